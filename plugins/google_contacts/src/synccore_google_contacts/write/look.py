"""What `deliver` would do, without doing it: what `plan` and `adopt` promise is what happens."""

from collections.abc import Mapping

from synccore.types import Ambiguous, Link, LookupResult, Operation, Retry

from ..match import Match, find
from ..schema import contact_source
from .plan import prepare, waiting
from .round import Round


def lookup(round_: Round) -> list[LookupResult]:
    """The contact each operation would be written to. Writes nothing at Google."""
    prepare(round_)
    taken: dict[str, int] = {}
    for op in round_.operations:
        if (match := find(round_.index, op)).candidates and _choice(round_, op) == "skip":
            round_.doubt(op, match.candidates)
    round_.settle_doubts()
    return [_look(round_, op, taken) for op in round_.operations]


def _choice(round_: Round, op: Operation) -> str:
    return str(op.settings.get("ambiguous") or round_.config.ambiguous)


def _look(round_: Round, op: Operation, taken: dict[str, int]) -> LookupResult:
    match = find(round_.index, op, lambda name: taken.get(name, op.id) != op.id)
    if match.candidates and _choice(round_, op) == "skip":
        return Ambiguous(match.candidates)
    name = _name(round_, op, match)
    if name is None:
        wait = waiting(round_, op)
        return Retry(after=wait[0], reason=wait[1]) if wait else None
    taken.setdefault(name, op.id)
    person: Mapping[str, object] = round_.index.person(name)
    return Link(
        object=op.object, remote_id=name, etag=contact_source(person).get("etag"),
        adopted=not round_.index.made(name), marked=op.uid in round_.index.markers_of(name),
    )  # fmt: skip


def _name(round_: Round, op: Operation, match: Match) -> str | None:
    if not match.candidates:
        return match.name
    return match.candidates[0] if _choice(round_, op) == "first" else None
