"""`synccore plan`: what a backfill of a route would do. Reads both sides, writes nothing."""

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import Factory, define, field

from .._app.app import App
from .._app.records import Heard, Records, ability, lookup, read_back, reader
from ..errors import MappingError
from ..types import Ambiguous, Failed, Link, Operation, Retry, RouteSpec
from .parts.changed import file_notes
from .parts.compare import differing
from .parts.matches import Matches, both_sides, not_said

__all__ = ["Plan", "plan"]

EXAMPLES = 5
KINDS = ("create", "update", "leave", "unchanged", "skipped", "refused")


@define
class _Reason:
    kind: str
    count: int = 0
    examples: list[str] = field(factory=list)


@define
class Plan:
    """Counts per kind, with a few keys of each, and why records would be skipped or refused."""

    route: str
    seen: int = 0
    counts: dict[str, int] = Factory(lambda: dict.fromkeys(KINDS, 0))
    examples: dict[str, list[str]] = Factory(lambda: {kind: [] for kind in KINDS})
    reasons: dict[str, _Reason] = field(factory=dict)
    #: For people: what the file has to do with it, and what could not be looked at.
    notes: list[str] = field(factory=list)

    def add(self, kind: str, key: str, reason: str | None = None) -> None:
        """Count one record."""
        self.counts[kind] += 1
        if len(self.examples[kind]) < EXAMPLES:
            self.examples[kind].append(key)
        if reason is not None:
            entry = self.reasons.setdefault(reason, _Reason(kind))
            entry.count += 1
            if len(entry.examples) < EXAMPLES:
                entry.examples.append(key)

    def note(self, text: str) -> None:
        """Say something once."""
        if text not in self.notes:
            self.notes.append(text)

    def told(self) -> list[tuple[str, _Reason]]:
        """Why records would be skipped or refused, what concerns most first."""
        return sorted(self.reasons.items(), key=lambda item: -item[1].count)

    def document(self) -> dict[str, Any]:
        """The JSON of `plan --json`."""
        return {
            "route": self.route,
            "seen": self.seen,
            **self.counts,
            "reasons": [
                {"kind": r.kind, "reason": text, "count": r.count, "examples": r.examples} for text, r in self.told()
            ],
            "examples": self.examples,
            "notes": self.notes,
        }


def plan(app: App, route_name: str, heard: Heard = lambda *_: None) -> Plan:
    """Compare what the source lists with what is linked and with what the target already has.

    Raises ConfigError for an unknown route, AuthError, Transient, RateLimited when a side cannot be read.
    """
    route = app.route(route_name)
    found = Plan(route=route.name, notes=list(file_notes(app, (route.name,))))
    with both_sides(app, route, heard) as (records, matches):
        _sort(app, route, records, matches, found, heard)
        matches.seal()
        for key, _, kind, rivals in matches.found():
            if rivals:
                found.add("refused", key, "its twin at the target is found by other records of the shop too")
            else:
                found.add(kind, key)
    return found


def _sort(app: App, route: RouteSpec, records: Records, matches: Matches, found: Plan, heard: Heard) -> None:
    preparer = app.preparer(route.name)
    for page in records.pages():
        unlinked: list[Operation] = []
        for number, work in enumerate(page, 1):
            found.seen += 1
            key = work.delivery.key
            try:
                prepared = preparer.prepare(work, number)
            except MappingError as error:
                found.add("refused", key, error.message)
                continue
            if prepared.operation is None:
                if prepared.skip == "unchanged":
                    found.add("unchanged", key)
                else:
                    found.add("skipped", key, prepared.skip)
            elif prepared.operation.op == "leave":
                found.add("leave", key, f"{prepared.operation.on_leave}; {prepared.why}")
            elif work.link is not None and work.link.mapped:
                found.add("update", key)
            else:
                unlinked.append(prepared.operation)
        _unlinked(app, route, unlinked, matches, found)
        heard("compared", found.seen, None)


def _unlinked(app: App, route: RouteSpec, operations: Sequence[Operation], matches: Matches, found: Plan) -> None:
    """Records never written: the target may have them all the same."""
    linked = [(o, o.link) for o in operations if o.link is not None]
    twins: list[tuple[Operation, Link]] = []
    if ability(app, route.sink, "lookup") is None:
        found.note("the target cannot say what it already has: every record without a link counts as new")
        for operation in operations:
            if operation.link is None:
                found.add("create", operation.key)
    else:
        # Those that were adopted are asked for too: what they have nobody else is promised.
        for operation, answer in lookup(app, route, operations):
            if operation.link is not None:
                continue
            if isinstance(answer, Link):
                twins.append((operation, answer))
            else:
                found.add(*_sorted(operation.key, answer))
    for operation, _, kind in _kinds(app, route, linked):
        found.add(kind, operation.key)
    for operation, twin, kind in _kinds(app, route, twins):
        matches.add(operation.key, twin, kind)


def _sorted(key: str, answer: Ambiguous | Retry | Failed | None) -> tuple[str, str, str | None]:
    match answer:
        case None:
            return "create", key, None
        case Ambiguous():
            return "refused", key, f"{len(answer.candidates)} records at the target could be it"
        case Retry() | Failed():
            return "skipped" if isinstance(answer, Retry) else "refused", key, not_said(answer)


def _kinds(
    app: App, route: RouteSpec, twins: Sequence[tuple[Operation, Link]]
) -> Iterator[tuple[Operation, Link, str]]:
    """Records that exist and were never written by us: equal already, or to be updated."""
    if reader(app, route) is None:
        yield from ((operation, twin, "update") for operation, twin in twins)
        return
    remotes = read_back(app, route, [link for _, link in twins])
    for (operation, twin), (_, remote) in zip(twins, remotes, strict=True):
        equal = remote is not None and not differing(operation.fields, remote)
        yield operation, twin, "unchanged" if equal else "update"
