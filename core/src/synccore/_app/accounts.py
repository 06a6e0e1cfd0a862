"""Whom each instance was connected to last. Not a credential: it survives `disconnect`, because the links to that
account's records do. This is the one place that knows; sinks and sources are held to it alike."""

from typing import Any

from ..errors import AnotherAccount, AuthError
from ..store import Store
from ..types import Account

__all__ = ["another_account", "known_account", "not_another_account", "remember_account", "stranger"]

#: Namespace of the plugin state in which core keeps it.
_ACCOUNTS = "synccore:accounts"


def known_account(store: Store, name: str) -> Account | None:
    """Whom the instance was connected to last, as far as that is known without asking."""
    stored = store.state(_ACCOUNTS).get(name)
    return Account(**stored) if stored else None


def remember_account(store: Store, name: str, account: Account) -> None:
    """Note whom the instance is connected to: links and cursors are of that account."""
    store.state(_ACCOUNTS).put({name: {"id": account.id, "label": account.label, "detail": account.detail}})


def stranger(store: Store, name: str, account: Account | None, *, source: bool) -> str | None:
    """Both accounts and what to do, where this is not the one the instance was connected to."""
    known = known_account(store, name)
    if known is None or account is None or known.id == account.id:
        return None
    switch = f"synccore connect {name} --switch-account"
    if source:
        return (
            f"{name} reaches another shop ({account.label}) than the one its records came from ({known.label}): "
            "nothing is read. Another shop is a source of its own, under another name; the same shop at another "
            f"address: {switch}"
        )
    return (
        f"{name} reaches another account ({account.label}) than the one its records are in ({known.label}): nothing is "
        f"written to either. Put the old credentials back, or leave that account: {switch}"
    )


def another_account(
    store: Store, name: str, instance: Any, *, source: bool = False, remember: bool = True
) -> str | None:
    """Why nothing may be delivered or read, where the instance reaches another account than its records are of.

    Asked is its cheap `account`, else its `check`; whom it reaches first is remembered, unless the caller writes
    nothing. Who has no right to ask is told nothing, and goes on: the work itself says what is wrong with the
    credentials.
    Raises what else the instance raises.
    """
    ask = getattr(instance, "account", None)
    if not callable(ask) and not callable(getattr(instance, "check", None)):
        return None
    try:
        account: Account | None = ask() if callable(ask) else instance.check().account
    except AnotherAccount:
        raise
    except AuthError:
        return None
    if remember and account is not None and known_account(store, name) is None:
        remember_account(store, name, account)
    return stranger(store, name, account, source=source)


def not_another_account(store: Store, name: str, instance: Any, *, remember: bool = False) -> None:
    """For a command that compares a sink with the links here, which mean nothing in another account.

    Raises AnotherAccount, and what else the instance raises.
    """
    if (another := another_account(store, name, instance, remember=remember)) is not None:
        raise AnotherAccount(another)
