"""What `deliver` would do, without doing it: what `plan` and `adopt` promise is what happens."""

from collections.abc import Mapping

from synccore.types import Ambiguous, Link, LookupResult, Operation, Retry

from ..match import Match, find
from ..schema import contact_source
from .plan import prepare, waiting
from .round import Round
from .search import search, sought, still, warm_up


def lookup(round_: Round, promised: dict[str, str]) -> list[LookupResult]:
    """The contact each operation would be written to. Writes nothing at Google.

    Args:
        promised: contact -> the record (uid) it was promised to since the last delivery: nobody else gets it.
    """
    looked_for, left = sought(round_, round_.operations)
    prepare(round_)
    # Of many at once nobody is searched for: that would take the quota from what is delivered.
    if not left and (unknown := still(round_.index, looked_for)):
        search(round_, unknown, warm_up(round_))
    for op in round_.operations:
        if (match := find(round_.index, op)).candidates and _choice(round_, op) == "skip":
            round_.doubt(op, match.candidates)
    round_.settle_doubts()
    return [_look(round_, op, promised) for op in round_.operations]


def _choice(round_: Round, op: Operation) -> str:
    return str(op.settings.get("ambiguous") or round_.config.ambiguous)


def _look(round_: Round, op: Operation, promised: dict[str, str]) -> LookupResult:
    match = find(round_.index, op, lambda name: promised.get(name, op.uid) != op.uid)
    if match.candidates and _choice(round_, op) == "skip":
        return Ambiguous(match.candidates)
    name = _name(round_, op, match)
    if name is None:
        wait = waiting(round_, op)
        return Retry(after=wait[0], reason=wait[1]) if wait else None
    promised.setdefault(name, op.uid)
    person: Mapping[str, object] = round_.index.person(name)
    return Link(
        object=op.object, remote_id=name, etag=contact_source(person).get("etag"),
        adopted=not round_.index.made(name), marked=op.uid in round_.index.markers_of(name),
    )  # fmt: skip


def _name(round_: Round, op: Operation, match: Match) -> str | None:
    if not match.candidates:
        return match.name
    return match.candidates[0] if _choice(round_, op) == "first" else None
