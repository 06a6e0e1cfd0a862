"""What `deliver` would do, without doing it: what `plan` and `adopt` promise is what happens."""

from collections.abc import Mapping

from attrs import define, field

from synccore.types import Ambiguous, Link, LookupResult, Operation, Retry

from ..match import Match, find
from ..schema import contact_source
from .plan import prepare, settle_doubts, waiting
from .round import Round
from .search import search, sought, still, warm_up


@define
class Promises:
    """What was said since the last delivery: of two who could have a contact, who was asked for first has it."""

    _turns: dict[str, int] = field(factory=dict)
    _owners: dict[str, str] = field(factory=dict)

    def ask(self, uid: str) -> None:
        """A record is asked for; again, it keeps its turn."""
        self._turns.setdefault(uid, len(self._turns))

    def taken(self, name: str, uid: str) -> bool:
        """Whether a record that was asked for before this one has the contact."""
        return name in self._owners and self._turns[self._owners[name]] < self._turns[uid]

    def give(self, name: str, uid: str) -> None:
        """Nobody who is asked for later gets it."""
        if not self.taken(name, uid):
            self._owners[name] = uid

    def forget(self) -> None:
        """What was written says it by now."""
        self._turns.clear()
        self._owners.clear()


def lookup(round_: Round, promises: Promises) -> list[LookupResult]:
    """The contact each operation would be written to. Writes nothing at Google."""
    looked_for, left = sought(round_, round_.operations)
    prepare(round_)
    # Of many at once nobody is searched for: that would take the quota from what is delivered.
    if not left and (unknown := still(round_.index, looked_for)):
        search(round_, unknown, warm_up(round_))
    settle_doubts(round_, round_.operations)
    return [_look(round_, op, promises) for op in round_.operations]


def _look(round_: Round, op: Operation, promises: Promises) -> LookupResult:
    promises.ask(op.uid)
    match = find(round_.index, op, lambda name: promises.taken(name, op.uid))
    if match.candidates and round_.ambiguous(op) == "skip":
        return Ambiguous(match.candidates)
    name = _name(round_, op, match)
    if name is None:
        wait = waiting(round_, op)
        return Retry(after=wait[0], reason=wait[1]) if wait else None
    promises.give(name, op.uid)
    person: Mapping[str, object] = round_.index.person(name)
    marks = round_.index.markers_of(name)
    return Link(
        object=op.object, remote_id=name, etag=contact_source(person).get("etag"),
        adopted=not round_.index.made(name), marked=op.uid in marks,
        common=op.uid in marks and len(marks - round_.index.dead_on(name)) > 1,
    )  # fmt: skip


def _name(round_: Round, op: Operation, match: Match) -> str | None:
    if not match.candidates:
        return match.name
    return match.candidates[0] if round_.ambiguous(op) == "first" else None
