"""Which contact is the customer's: `twin` decides, `search` asks for those that the listing may not show yet."""

from collections.abc import Mapping, Sequence

from synccore.errors import Rejected
from synccore.types import Ambiguous, Failed, Link, LookupResult, Operation, Retry

from ..round import Round, Rounds
from ..schema import contact_source
from ..whose import whose
from .look import prepare, settle_doubts, unheard, waiting
from .search import search, sought, still, warm_up
from .twin import ANOTHER, Match, find

__all__ = ["Finder"]


class Finder:
    """What `deliver` would do, without doing it: what `plan` and `adopt` promise is what happens.

    Of two who could have a contact, who was asked for first has it, until something is delivered.
    """

    def __init__(self, rounds: Rounds) -> None:
        self._rounds = rounds
        self._turns: dict[str, int] = {}
        self._owners: dict[str, str] = {}

    def lookup(self, operations: Sequence[Operation]) -> list[LookupResult | Failed]:
        """The contact each operation would be written to. Writes nothing at Google."""
        with self._rounds.begin(operations) as round_:
            looked_for, left = sought(round_, round_.operations)
            prepare(round_)
            # Of many at once nobody is searched for: that would take the quota from what is delivered.
            if not left and (unknown := still(round_.index, looked_for)):
                search(round_, unknown, warm_up(round_))
            settle_doubts(round_, round_.operations)
            return [self._look(round_, op) for op in round_.operations]

    def adopted(self, links: Sequence[Link]) -> None:
        """These contacts are these customers', of which nothing on them tells before they are first written."""
        with self._rounds.index() as index:
            index.expect({link.remote_id: link.uid for link in links})

    def forget(self) -> None:
        """What was promised; what was written says it by now."""
        self._turns.clear()
        self._owners.clear()

    def _look(self, round_: Round, op: Operation) -> LookupResult | Failed:
        # Asked for again, it keeps its turn.
        self._turns.setdefault(op.uid, len(self._turns))
        match = find(round_.index, op, lambda name: self._taken(name, op.uid))
        if match.another:
            return Failed(Rejected(ANOTHER))
        if match.seems and (wait := unheard(round_, op)):
            return Retry(after=wait[0], reason=wait[1])
        if match.candidates and round_.ambiguous(op) == "skip":
            return Ambiguous(match.candidates)
        name = _name(round_, op, match)
        if name is None:
            wait = waiting(round_, op)
            return Retry(after=wait[0], reason=wait[1]) if wait else None
        if not self._taken(name, op.uid):
            self._owners[name] = op.uid
        person: Mapping[str, object] = round_.index.person(name)
        alive = whose(round_.index, name).alive
        return Link(
            object=op.object, remote_id=name, etag=contact_source(person).get("etag"),
            adopted=not round_.index.made(name), marked=op.uid in round_.index.markers_of(name),
            common=op.uid in alive and len(alive) > 1,
        )  # fmt: skip

    def _taken(self, name: str, uid: str) -> bool:
        """Whether a record that was asked for before this one has the contact."""
        return name in self._owners and self._turns[self._owners[name]] < self._turns[uid]


def _name(round_: Round, op: Operation, match: Match) -> str | None:
    if not match.candidates:
        return match.name
    return match.candidates[0] if round_.ambiguous(op) == "first" else None
