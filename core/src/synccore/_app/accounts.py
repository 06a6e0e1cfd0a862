"""Whom each instance was connected to last. Not a credential: it survives `disconnect`, because the links to that
account's records do."""

from ..store import Store
from ..types import Account

__all__ = ["known_account", "remember_account"]

#: Namespace of the plugin state in which core keeps it.
_ACCOUNTS = "synccore:accounts"


def known_account(store: Store, name: str) -> Account | None:
    """Whom the instance was connected to last, as far as that is known without asking."""
    stored = store.state(_ACCOUNTS).get(name)
    return Account(**stored) if stored else None


def remember_account(store: Store, name: str, account: Account) -> None:
    """Keep it."""
    store.state(_ACCOUNTS).put({name: {"id": account.id, "label": account.label, "detail": account.detail}})
