"""What must be remembered of a shop's people because no record says it: as hashes and roles, never as addresses.

An order names its buyer by number only. Whether that is a customer, staff, or nobody any more, the list of accounts
says. WooCommerce turns the orders of a deleted customer into guest orders, and nothing in such an order tells it from
one that was placed without an account. WordPress's eraser blanks an account or an order without saying whose it was.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from attrs import frozen

from synccore.entities import guest_key
from synccore.types import State

__all__ = ["People", "Person"]

#: An account that orders for ever new addresses is somebody's who sells by telephone.
_ADDRESSES = 50


@frozen(kw_only=True)
class Person:
    """An account as its record shows it. `listed`: its role makes it a customer; `filled`: it has an address."""

    key: str
    email: str | None
    role: str | None
    listed: bool
    filled: bool


class People:
    """Accounts by key, those that are gone, those that are no customers, and the guests behind orders."""

    def __init__(self, state: State) -> None:
        self._state = state

    # -- accounts

    def remember(self, people: Iterable[Person]) -> frozenset[str]:
        """Note who is there, writing only what is new; gives the keys of those whose address was blanked since."""
        items: dict[str, Any] = {}
        blanked = set()
        for person in people:
            guest = guest_key(person.email) if person.email else None
            known = self._account(person.key) if person.listed else {}
            if known.get("filled") and not person.filled:
                blanked.add(person.key)
            account: dict[str, Any] | None = {"guest": guest, "filled": person.filled} if person.listed else None
            other = None if person.listed else {"role": person.role, "guest": guest}
            if account is not None and (also := _others(guest, known.get("guest"), *known.get("also", ()))):
                account["also"] = also
            for name, value in ((f"account/{person.key}", account), (f"other/{person.key}", other)):
                stored = self._state.get(name)
                if value is not None and isinstance(stored, dict) and "bought" in stored:
                    value = {**value, "bought": True}
                if stored != value:
                    items[name] = value
        if items:
            self._state.put(items)
        return frozenset(blanked)

    def is_customer(self, key: str) -> bool | None:
        """Whether an account is a customer; None where it was never seen."""
        if self._state.get(f"account/{key}") is not None:
            return True
        return None if self._state.get(f"other/{key}") is None else False

    def missing(self, keys: Iterable[str]) -> None:
        """Accounts that the shop does not have (any more)."""
        self._state.put({f"other/{key}": {"role": None} for key in keys})

    def bought(self, key: str) -> None:
        """Note that somebody who is no customer has ordered."""
        other = self._state.get(f"other/{key}")
        if other is not None and not other.get("bought"):
            self._state.put({f"other/{key}": {**other, "bought": True}})

    def billed(self, key: str, guest: str | None) -> None:
        """Note an address that a customer's order went to and their account does not have: it is theirs too."""
        account = self._state.get(f"account/{key}")
        if isinstance(account, dict):
            also = _others(account.get("guest"), guest, *account.get("also", ()))
            if also != account.get("also", []):
                self._state.put({f"account/{key}": {**account, "also": also}})

    def others(self) -> Iterator[tuple[str, str | None, bool]]:
        """Key, role (None: gone) and whether they bought something, of all who are no customers."""
        for name, other in self._state.scan("other/"):
            yield name.partition("/")[2], other.get("role"), bool(other.get("bought"))

    def other(self, asked: str) -> tuple[str, str | None] | None:
        """Key and role of an account that is no customer, by its key or its address."""
        guest = guest_key(asked) if "@" in asked else None
        for name, other in self._state.scan("other/"):
            number = name.partition("/")[2]
            if number == asked or (guest is not None and other.get("guest") == guest):
                return number, other.get("role")
        return None

    def _account(self, key: str) -> dict[str, Any]:
        """An older release kept the hash alone."""
        stored = self._state.get(f"account/{key}")
        return stored if isinstance(stored, dict) else {"guest": stored, "filled": False}

    # -- who is gone

    def leave(self, key: str, at: datetime) -> None:
        """The account is gone: orders placed before now make no guest of its owner."""
        account = self._account(key)
        left = {f"left/{guest}": at.isoformat() for guest in (account.get("guest"), *account.get("also", ())) if guest}
        self._state.put({**left, f"account/{key}": None, f"other/{key}": None})

    def is_remnant(self, guest: str, placed: datetime | None) -> bool:
        """Whether a guest order is what a deleted account left behind."""
        left = self._state.get(f"left/{guest}")
        return left is not None and (placed is None or placed <= datetime.fromisoformat(left))


def _others(own: str | None, *guests: str | None) -> list[str]:
    """The newest addresses, as hashes, that somebody was known by beside their own."""
    return [guest for guest in dict.fromkeys(guests) if guest is not None and guest != own][:_ADDRESSES]
