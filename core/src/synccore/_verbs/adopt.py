"""`synccore adopt`: link what already exists on both sides, before the first write.

Sure means: the target has exactly one twin, and no other record of this route has the same one. Such a link is
written with no fields, so that the first delivery writes what differs. It keeps the record as it is seen here: what
the shop changes before that delivery, a consent above all, is a change then.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from attrs import asdict, define, evolve, field

from .._app.app import App
from .._app.records import Heard, Records, ability, lookup
from ..entities import Entity
from ..errors import MappingError
from ..store import HistoryEntry, LinkUpdate, email_digest, email_of, key_digest
from ..types import Ambiguous, Failed, Link, Operation, Retry, RouteSpec
from .parts.matches import Matches, both_sides, not_said

__all__ = ["Adoption", "adopt"]

EXAMPLES = 20
#: Links told of and written at a time.
CHUNK = 500


@define
class Adoption:
    """What was found. Examples are those a person has to look at, ambiguous ones first of all."""

    route: str
    sure: int = 0
    ambiguous: int = 0
    none: int = 0
    already: int = 0
    skipped: int = 0
    refused: int = 0
    examples: list[dict[str, Any]] = field(factory=list)

    def example(self, key: str, result: str, **more: Any) -> None:
        """Keep it, as long as there are few."""
        if len(self.examples) < EXAMPLES:
            self.examples.append({"key": key, "result": result, **more})

    def overtaken(self) -> None:
        """A running daemon linked it meanwhile, or whose it is was forgotten."""
        self.sure -= 1
        self.already += 1

    def refuse(self, key: str, reason: str) -> None:
        """Count a record that cannot be linked now."""
        self.refused += 1
        self.example(key, "refused", reason=reason)

    def document(self, *, dry_run: bool) -> dict[str, Any]:
        """The JSON of `adopt --json`."""
        return {"route": self.route, "dry_run": dry_run} | asdict(self)


def adopt(app: App, route_name: str, *, dry_run: bool = False, heard: Heard = lambda *_: None) -> Adoption:
    """Find and link the twins of everything the source lists. `dry_run` writes no link.

    Raises ConfigError for an unknown route or a sink that cannot say what exists; AuthError, Transient, RateLimited
    when a side cannot be read: what was linked by then stays linked, and running it again goes on.
    """
    route = app.route(route_name)
    result, since = Adoption(route=route.name), app.clock.now()
    with both_sides(app, route, heard, remember=not dry_run) as (records, matches):
        _find(app, route, records, matches, result, heard)
        matches.seal()
        for chunk in _chunks(_sure(matches, result)):
            if dry_run:
                continue
            _tell(app, route, chunk)
            for key, twin in chunk:
                if not _write(app, route, key, twin, records.data(key), since):
                    result.overtaken()
    return result


def _sure(matches: Matches, result: Adoption) -> Iterator[tuple[str, Link]]:
    for key, twin, _, rivals in matches.found():
        if rivals:
            result.ambiguous += 1
            result.example(key, "ambiguous", candidates=[twin.remote_id], shared_with=list(rivals))
        else:
            result.sure += 1
            yield key, twin


def _chunks(found: Iterable[tuple[str, Link]]) -> Iterator[list[tuple[str, Link]]]:
    left = iter(found)
    while chunk := list(islice(left, CHUNK)):
        yield chunk


def _tell(app: App, route: RouteSpec, chunk: list[tuple[str, Link]]) -> None:
    """Nothing at the target says whose these are before they are first written: the sink is to know."""
    tell = ability(app, route.sink, "adopted")
    if tell is not None:
        tell([evolve(twin, source=route.source, entity=route.entity, key=key) for key, twin in chunk])


def _find(app: App, route: RouteSpec, records: Records, matches: Matches, result: Adoption, heard: Heard) -> None:
    preparer, seen = app.preparer(route.name), 0
    for page in records.pages():
        asked: list[Operation] = []
        for number, work in enumerate(page, 1):
            if work.link is not None:
                result.already += 1
                if work.link.mapped:
                    continue
                # Never written, so nothing at the target says whose it is: asked for too, lest another one gets it.
            try:
                prepared = preparer.prepare(work, number)
            except MappingError as error:
                if work.link is None:
                    result.refuse(work.delivery.key, error.message)
                continue
            if prepared.operation is None:
                result.skipped += work.link is None
            else:
                asked.append(prepared.operation)
        for operation, answer in lookup(app, route, asked):
            if operation.link is None:
                _sort(operation.key, answer, matches, result)
        seen += len(page)
        heard("compared", seen, None)


def _sort(key: str, answer: Link | Ambiguous | Retry | Failed | None, matches: Matches, result: Adoption) -> None:
    match answer:
        case None:
            result.none += 1
        case Link():
            matches.add(key, answer)
        case Ambiguous():
            result.ambiguous += 1
            result.example(key, "ambiguous", candidates=list(answer.candidates))
        case Retry() | Failed():
            result.refuse(key, not_said(answer))


def _write(app: App, route: RouteSpec, key: str, twin: Link, seen: Entity | None, since: datetime) -> bool:
    """Whether it is linked now because of this."""
    update = LinkUpdate(
        object=twin.object,
        remote_id=twin.remote_id,
        etag=twin.etag,
        fields={},
        adopted=True,
        sink=route.sink,
        seen=seen,
        moved=True,
    )
    line = HistoryEntry(
        at=app.clock.now(),
        route=route.name,
        sink=route.sink,
        source=route.source,
        entity=route.entity,
        key=key,
        op="upsert",
        outcome="linked",
        remote_id=twin.remote_id,
        note="found at the target by adopt",
    )
    digests = [key_digest(route.source, route.entity, key)]
    if seen is not None and (email := email_of(seen)):
        digests.append(email_digest(email))
    return app.store.adopt(line, update, digests, since)
