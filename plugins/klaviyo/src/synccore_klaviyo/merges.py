"""Profiles that Klaviyo is joining: it takes a merge and carries it out later, and the source is gone then.

Until then the source still has its address. Whoever gets that one meanwhile would be joined along, and what is written
into the gaps of the other profile would be filled with what the source has. So what concerns either waits; and once the
source is gone its person is known by the other profile. Until they were written there that one has the address for
which it was asked for, though they may have moved on: whoever is new with it would find their profile, and waits too.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import evolve, frozen

from synccore.entities import normalize_email
from synccore.errors import RateLimited, SynccoreError, Transient
from synccore.types import Context, Failed, Operation, Outcome

from .client import PROFILE_MERGE, Client
from .digest import digest
from .errors import ApiError
from .match import Resource, find

__all__ = ["Merges"]

#: How soon it is looked again whether a source is gone.
SOON = timedelta(seconds=2)
#: A source that is there for longer than this is no longer waited for: the merge is asked for once more.
PATIENCE = timedelta(minutes=5)
#: Whose change never came to an end is forgotten after this long.
REMEMBERED = timedelta(days=1)
_MERGING = "merging:"


@frozen
class _Merge:
    """A merge that was asked for; `address` is the digest of the source's, `wanted` that of the other profile's."""

    source: str
    into: str
    address: str
    wanted: str
    at: datetime

    @property
    def name(self) -> str:
        """What it is remembered by."""
        return _MERGING + self.source


class Merges:
    """Asks for merges, and knows what they hold up."""

    def __init__(self, client: Client, context: Context) -> None:
        self._client = client
        self._clock = context.clock
        self._state = context.state()

    def begin(self, source: str, email: str | None, into: str, wanted: str) -> bool:
        """Have a profile joined into another one, which has the address `wanted`; False: it is gone already.

        Raises RateLimited where a third one is being joined into that, for somebody who is not known by it yet.
        """
        now = self._clock.now()
        if any(m.into == into and m.source != source and now - m.at < PATIENCE for m in self._known()):
            raise _not_yet()
        merge = _Merge(source, into, _of(email), _of(wanted), now)
        known = {"into": into, "address": merge.address, "wanted": merge.wanted, "at": merge.at.isoformat()}
        self._state.put({merge.name: known})
        relationships = {"profiles": {"data": [{"type": "profile", "id": source}]}}
        body = {"data": {"type": "profile-merge", "id": into, "relationships": relationships}}
        try:
            self._client.call(PROFILE_MERGE, body=body)
        except SynccoreError as error:
            if not (isinstance(error, Transient) and error.maybe_applied):
                self.end([source])
            if isinstance(error, ApiError) and error.status == 404:
                return False
            raise
        return True

    def wait(self, source: str) -> None:
        """Raises RateLimited as long as a profile is still there."""
        if find(self._client, "id", [source]):
            raise _not_yet()

    def end(self, sources: Sequence[str]) -> None:
        """These hold up nobody any more, and their people are known by what they were joined into."""
        if sources:
            self._state.put({_MERGING + source: None for source in sources})

    def follow(self, operations: Sequence[Operation]) -> tuple[list[Operation], dict[int, Outcome], dict[int, str]]:
        """(the operations, at the profile that theirs was joined into; what of them waits; operation id -> source)."""
        waits: dict[int, Outcome] = {}
        followed: dict[int, str] = {}
        merges = self._known()
        concerned = {op.id: found for op in operations if (found := [m for m in merges if _concerns(m, op)])}
        if not concerned:
            return list(operations), waits, followed
        try:
            there = find(
                self._client, "id", {name for ms in concerned.values() for m in ms for name in (m.source, m.into)}
            )
        except SynccoreError as error:
            return list(operations), {number: Failed(error) for number in concerned}, followed
        operations = list(operations)
        for place, op in enumerate(operations):
            for merge in concerned.get(op.id, ()):
                if merge.source not in there:
                    if op.link is not None and _is_mine(merge, op):
                        followed[op.id] = merge.source
                        operations[place] = _joined(op, merge, there.get(merge.into))
                    elif _is_new_with(merge, op):
                        waits[op.id] = Failed(_not_yet())
                elif self._clock.now() - merge.at < PATIENCE:
                    waits[op.id] = Failed(_not_yet(), partly=_is_mine(merge, op))  # it cannot be taken back
        return operations, waits, followed

    def _known(self) -> list[_Merge]:
        now = self._clock.now()
        found: list[_Merge] = []
        old: list[_Merge] = []
        for name, one in self._state.scan(_MERGING):
            at = datetime.fromisoformat(one["at"])
            merge = _Merge(name.removeprefix(_MERGING), one["into"], one["address"], one.get("wanted", ""), at)
            (old if now - at > REMEMBERED else found).append(merge)
        self.end([merge.source for merge in old])
        return found


def _concerns(merge: _Merge, operation: Operation) -> bool:
    same = bool(merge.address) and _of(operation.fields.get("email")) == merge.address
    return _is_mine(merge, operation) or (operation.op == "upsert" and same) or _is_new_with(merge, operation)


def _is_mine(merge: _Merge, operation: Operation) -> bool:
    """Whether its own profile is the one that is joined into another."""
    return operation.link is not None and operation.link.remote_id == merge.source


def _joined(operation: Operation, merge: _Merge, other: Resource | None) -> Operation:
    """At the profile that its own was joined into; anew where that one's person took it along to another address."""
    known = _of((other or {}).get("attributes", {}).get("email"))
    if operation.op == "upsert" and known and known not in (merge.wanted, _of(operation.fields.get("email"))):
        return evolve(operation, link=None, changed=frozenset(operation.fields))
    return evolve(operation, link=operation.link and evolve(operation.link, remote_id=merge.into, adopted=True))


def _is_new_with(merge: _Merge, operation: Operation) -> bool:
    """Whether it would find the profile that another one was merged into. Who has a profile is not held up: the person
    of that one may wait for theirs."""
    new = operation.op == "upsert" and operation.link is None
    return new and bool(merge.wanted) and _of(operation.fields.get("email")) == merge.wanted


def _not_yet() -> RateLimited:
    return RateLimited("waits until Klaviyo has merged two profiles", retry_after=SOON, scope="operation")


def _of(email: Any) -> str:
    text = normalize_email(str(email or ""))
    return digest(text) if text else ""
