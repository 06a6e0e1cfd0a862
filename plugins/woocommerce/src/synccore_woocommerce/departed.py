"""People whose account was deleted: they must not come back as guests.

WooCommerce turns the orders of a deleted customer into guest orders. Nothing in such an order tells it from one that
was placed without an account, so which address each account had is remembered, as a hash.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from synccore.entities import guest_key
from synccore.types import State

__all__ = ["Departed"]


class Departed:
    """Accounts by key -> hash of their e-mail address, and the hashes of those that are gone."""

    def __init__(self, state: State) -> None:
        self._state = state

    def remember(self, people: Iterable[tuple[str, str | None]]) -> None:
        """Note the addresses of accounts that are there. Writes only what is new."""
        items: dict[str, Any] = {}
        for key, email in people:
            guest = guest_key(email) if email else None
            if self._state.get(f"account/{key}") != guest:
                items[f"account/{key}"] = guest
        if items:
            self._state.put(items)

    def leave(self, key: str, at: datetime) -> None:
        """The account is gone: orders placed before now make no guest of its owner."""
        guest = self._state.get(f"account/{key}")
        if guest is not None:
            self._state.put({f"account/{key}": None, f"left/{guest}": at.isoformat()})

    def is_remnant(self, guest: str, placed: datetime | None) -> bool:
        """Whether a guest order is what a deleted account left behind."""
        left = self._state.get(f"left/{guest}")
        return left is not None and (placed is None or placed <= datetime.fromisoformat(left))
