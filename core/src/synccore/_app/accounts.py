"""Whom each instance was connected to last. Not a credential: it survives `disconnect`, because the links to that
account's records do."""

from typing import Any

from ..store import Store
from ..types import Account

__all__ = ["another_account", "known_account", "remember_account"]

#: Namespace of the plugin state in which core keeps it.
_ACCOUNTS = "synccore:accounts"


def known_account(store: Store, name: str) -> Account | None:
    """Whom the instance was connected to last, as far as that is known without asking."""
    stored = store.state(_ACCOUNTS).get(name)
    return Account(**stored) if stored else None


def remember_account(store: Store, name: str, account: Account) -> None:
    """Keep it."""
    store.state(_ACCOUNTS).put({name: {"id": account.id, "label": account.label, "detail": account.detail}})


def another_account(store: Store, name: str, instance: Any) -> str | None:
    """Why nothing may be written, where the instance reaches another account than its links belong to.

    A sink with a cheap `account` is always asked; another only where it was connected before, through its `check`.
    Raises what the instance raises.
    """
    known = known_account(store, name)
    ask = getattr(instance, "account", None)
    if not callable(ask) and (known is None or not callable(getattr(instance, "check", None))):
        return None
    account: Account | None = ask() if callable(ask) else instance.check().account
    if account is None:
        return None
    if known is None:
        remember_account(store, name, account)
        return None
    if known.id == account.id:
        return None
    return (
        f"{name} reaches another account ({account.label}) than the one its records are in ({known.label}): nothing is "
        f"written to either. Go back to the first, or leave it for good: synccore connect {name} --switch-account"
    )
