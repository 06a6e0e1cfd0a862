"""The accounts that orders made for contacts: remembered before they are made, so that none is made twice or lost.

A create has no idempotency key, and its contact may be deleted before the next try: the intent is stored first. Where
the account carries the customer's key, the key finds it again. In an org without that field the accounts of that name
that are there already are stored with it: what is there beside them afterwards, made by our own user and with nobody in
it, is the one whose answer was lost.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from synccore.types import State

from .client import Client
from .mapping.defaults import KEY_FIELD
from .match import fold
from .schema import Catalog

__all__ = ["MadeAccounts"]

#: In the sink's state, before a contact's id: the account made for it, or what is about to be made. The order it was
#: made for may never be delivered, and then no link tells whose the account is.
_MADE = "account:"
#: Before the id of a contact that lost its name because Salesforce keeps it for its orders.
_KEPT = "nameless:"


def _short(record_id: str) -> str:
    """The form in which records are compared: the case-sensitive first 15 characters of an id."""
    return record_id[:15]


class MadeAccounts:
    """What this sink made, or meant to make, by the contact it is for."""

    def __init__(self, client: Client, catalog: Catalog, state: State) -> None:
        self._client = client
        self._catalog = catalog
        self._state = state

    def intend(self, records: Mapping[str, Mapping[str, Any]]) -> None:
        """Remember, before any is made, that this account is to be made for each contact."""
        names = {c: str(r["Name"]) for c, r in records.items() if KEY_FIELD not in r}
        there: dict[str, list[str]] = defaultdict(list)
        for account in self._named(names.values()):
            there[fold(account["Name"])].append(_short(str(account["Id"])))
        notes = {
            c: {"name": names[c], "there": there[fold(names[c])]} if c in names else {"key": r[KEY_FIELD]}
            for c, r in records.items()
        }
        self._state.put({_MADE + c: note for c, note in notes.items()})

    def settle(self, made: Mapping[str, str | None]) -> None:
        """Remember what came of it by contact: the account's id, or None where none was made or it is gone."""
        if made:
            self._state.put({_MADE + contact: account for contact, account in made.items()})

    def of(self, contacts: Iterable[str]) -> dict[str, str]:
        """The accounts there are of those made for contacts (first 15 characters of their ids), also where the answer
        was lost."""
        noted = {c: note for c in contacts if (note := self._state.get(_MADE + c)) is not None}
        found = self._alive({c: note for c, note in noted.items() if isinstance(note, str)})
        if lost := {c: note for c, note in noted.items() if not isinstance(note, str)}:
            again = self._again(lost)
            self.settle(again)
            found |= again
        return found

    def keep(self, contact: str, *, kept: bool = True) -> None:
        """Remember that a contact was to be deleted and is there as long as its orders are; or that it is gone."""
        self._state.put({_KEPT + contact: kept or None})

    def kept(self, contact: str) -> bool:
        """True for a contact that is there for its orders alone."""
        return bool(self._state.get(_KEPT + contact))

    def _alive(self, made: Mapping[str, str]) -> dict[str, str]:
        there = (
            {_short(str(a["Id"])) for a in self._client.select(["Id"], "Account", "Id", made.values())} if made else ()
        )
        return {c: account for c, account in made.items() if _short(account) in there}

    def _again(self, lost: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        keys = {c: str(note["key"]) for c, note in lost.items() if "key" in note}
        found = self._by_key(keys) if keys else {}
        return found | self._by_name({c: note for c, note in lost.items() if c not in keys})

    def _by_key(self, keys: Mapping[str, str]) -> dict[str, str]:
        accounts = self._client.select(["Id", KEY_FIELD], "Account", KEY_FIELD, keys.values())
        made = {fold(a[KEY_FIELD]): str(a["Id"]) for a in accounts}
        return {c: made[fold(key)] for c, key in keys.items() if fold(key) in made}

    def _by_name(self, lost: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        free: dict[str, list[str]] = defaultdict(list)
        candidates = {str(a["Id"]): fold(a["Name"]) for a in self._named(str(n["name"]) for n in lost.values())}
        full = {
            _short(str(c["AccountId"])) for c in self._client.select(["AccountId"], "Contact", "AccountId", candidates)
        }
        for account, name in candidates.items():
            if _short(account) not in full:
                free[name].append(account)
        found: dict[str, str] = {}
        for contact, note in lost.items():
            mine = [a for a in free[fold(note["name"])] if _short(a) not in note["there"]]
            if mine:
                found[contact] = mine[0]
                free[fold(note["name"])].remove(mine[0])
        return found

    def _named(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """The accounts of these names that our own user made (all, where the org does not show who made them)."""
        schema = self._catalog.find("Account")
        wanted = list(dict.fromkeys(names))
        if schema is None or not wanted:
            return []
        user = self._client.user if schema.get("CreatedById") else None
        where = f"CreatedById = '{user}'" if user else ""
        return list(self._client.select(["Id", "Name"], "Account", "Name", wanted, where=where))
