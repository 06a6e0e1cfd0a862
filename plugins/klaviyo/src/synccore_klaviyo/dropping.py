"""Profiles that Klaviyo was asked to delete. It does so some time later, and names none: whoever is written to such a
profile until then (a customer who registers anew with the address) goes with it. So they wait until it is gone."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from synccore.entities import normalize_email
from synccore.errors import RateLimited, SynccoreError
from synccore.types import Context, Failed, Operation

from .client import Client
from .digest import digest
from .erase import request_deletion
from .match import find

__all__ = ["Dropping"]

_ASKED = "dropping:"
#: How often it is asked whether a profile is gone, and for how long: then what was asked for has come to nothing.
EVERY = timedelta(minutes=1)
PATIENCE = timedelta(days=1)


class Dropping:
    """Remembers them by their addresses."""

    def __init__(self, client: Client, context: Context) -> None:
        self._client = client
        self._clock = context.clock
        self._state = context.state()

    def ask(self, remote_id: str, email: str | None) -> None:
        """Ask for the deletion of a profile with that address. Raises what the call raises."""
        place = _place(email) if email else None
        if place is not None:
            # Before it is asked for: this process may die with the answer.
            self._state.put({place: {"id": remote_id, "at": self._clock.now().isoformat()}})
        try:
            request_deletion(self._client, remote_id)
        except SynccoreError as error:
            if place is not None and not getattr(error, "maybe_applied", False):
                self._state.put({place: None})
            raise

    def waiting(self, operations: Sequence[Operation]) -> dict[int, Failed]:
        """Those that would be written to a profile which is about to be deleted, with how long they wait."""
        asked: Mapping[str, Any] = dict(self._state.scan(_ASKED))
        if not asked:
            return {}
        places = {op.id: _place(str(op.fields["email"])) for op in operations if _has_address(op)}
        found = {number: asked[place] for number, place in places.items() if place in asked}
        try:
            there = find(self._client, "id", {one["id"] for one in found.values()}) if found else {}
        except SynccoreError as error:
            return {number: Failed(error) for number in found}
        going = {number for number, one in found.items() if one["id"] in there and not self._is_over(one)}
        self._state.put({places[number]: None for number in found.keys() - going})
        why = "Klaviyo is about to delete the profile with this address: waits until it is gone"
        return {number: Failed(RateLimited(why, retry_after=EVERY, scope="operation")) for number in going}

    def _is_over(self, one: Mapping[str, str]) -> bool:
        return self._clock.now() - datetime.fromisoformat(one["at"]) > PATIENCE


def _has_address(operation: Operation) -> bool:
    return operation.op == "upsert" and bool(operation.fields.get("email"))


def _place(email: str) -> str:
    return _ASKED + digest(normalize_email(email) or email)
