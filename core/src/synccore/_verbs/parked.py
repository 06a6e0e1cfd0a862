"""What is parked, by cause: the vendor's words, what helps as far as it is known, and the records behind them."""

import hashlib
from collections.abc import Iterator

from attrs import frozen

from .._app.app import App
from .._plain import Plain
from ..hookspecs import SinkType
from ..store import Delivery, ParkedCause

__all__ = ["Cause", "Record", "advice", "cause_id", "cause_of", "causes", "ids_of", "records"]

#: Causes that are told apart.
MOST = 500
#: Core's own words of an error, and what helps; those of a vendor are its plugin's (`SinkType.advice`).
_OWN = (("could be this one", "More than one record at the target may be meant: merge them there, then retry."),)
_BY_KIND = {
    "mapping": "The mapping of route {route} cannot make a value of this record: try another expression on the "
    "route's page, or mend the record in the shop.",
    "wait_for": "The record it hangs under did not arrive within a day: look at that one first.",
    "bug": "The plugin failed; please report it with these words. Retry after an upgrade.",
    "transient": "It was tried for days. If the target works by now, retry.",
    "batch_rejected": "The target refuses the batch without a reason: retry, or look at the record there.",
    "rejected": "Mend the record in the shop, or what the route maps, then retry.",
}


@frozen(kw_only=True)
class Cause(Plain):
    """Parked deliveries of one route with one cause."""

    id: str
    count: int
    route: str
    sink: str
    kind: str
    text: str
    first_id: int
    #: What helps, where that is known.
    advice: str | None


@frozen
class Record(Plain):
    """One of them, with what people call it."""

    delivery: Delivery
    name: str | None


def cause_id(kind: str, text: str) -> str:
    """A short name of a cause for addresses and alerts: the same as long as it is the same cause."""
    return hashlib.sha256(f"{kind}\n{text}".encode()).hexdigest()[:16]


def causes(app: App, *, sink: str | None = None, route: str | None = None) -> list[Cause]:
    """All causes, most records first; only those of a sink or a route."""
    found = app.store.parked_causes(MOST)
    return [_cause(app, c) for c in found if sink in (None, c.sink) and route in (None, c.route)]


def cause_of(app: App, route: str, id_: str) -> Cause | None:
    """One cause of a route; None where nothing is parked for it any more."""
    return next((cause for cause in causes(app, route=route) if cause.id == id_), None)


def records(app: App, cause: Cause, *, before: int | None = None, limit: int = 50) -> list[Record]:
    """A page of its records, the newest first."""
    from .find import name_of  # `status` only counts them

    rows = _rows(app, cause, before, limit)
    return [Record(row, name_of(app.store.snapshot(row.source, row.entity, row.key))) for row in rows]


def ids_of(app: App, cause: Cause) -> list[int]:
    """The deliveries that are parked for it, for who retries or dismisses them at once."""
    return [row.id for row in _rows(app, cause, None, None)]


def _rows(app: App, cause: Cause, before: int | None, limit: int | None) -> list[Delivery]:
    words = (cause.kind, cause.text)
    return app.store.deliveries(
        state="parked", sink=cause.sink, route=cause.route, cause=words, before_id=before, limit=limit
    )


def advice(app: App, sink: str, kind: str, text: str, route: str) -> str | None:
    """What helps against a cause, in a sentence: by the vendor's words, which its plugin knows, else by the kind."""
    found = next(_fitting(app, sink, text.lower()), None) or _BY_KIND.get(kind)
    return found.replace("{route}", route) if found else None


def _fitting(app: App, sink: str, text: str) -> Iterator[str]:
    known = app.settings.sinks.get(sink)
    table = known.descriptor.advice if known is not None and isinstance(known.descriptor, SinkType) else ()
    yield from (said for words, said in (*_OWN, *table) if words.lower() in text)


def _cause(app: App, found: ParkedCause) -> Cause:
    return Cause(
        id=cause_id(found.error_kind, found.error),
        count=found.count,
        route=found.route,
        sink=found.sink,
        kind=found.error_kind,
        text=found.error,
        first_id=found.first_id,
        advice=advice(app, found.sink, found.error_kind, found.error, found.route),
    )
