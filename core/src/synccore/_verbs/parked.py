"""What is parked, by cause: the vendor's words, what helps as far as it is known, and the records behind them."""

import hashlib
import re
from collections.abc import Iterator

from attrs import frozen

from .._app.app import App
from ..store import Delivery, ParkedCause
from .find import name_of

__all__ = ["Cause", "Record", "advice", "cause_id", "cause_of", "causes", "ids_of", "records"]

#: Causes that are told apart.
MOST = 500
_ADVICE = (
    (
        re.compile(r"could be this one|candidates|ambiguous|records fit", re.IGNORECASE),
        "More than one record at the target may be meant: merge them there, then retry.",
    ),
    (
        re.compile(r"validation", re.IGNORECASE),
        "A rule of the target's own refuses it: mend the record in the shop, map the field it asks for, or relax it.",
    ),
    (
        re.compile(r"duplicate|already exists|already in use|already taken", re.IGNORECASE),
        "The target has such a record already: merge the two there, or link what exists with synccore adopt {route}.",
    ),
    (
        re.compile(r"too long|max length|maximum length", re.IGNORECASE),
        "Write truncate = true for that field of the route, or shorten it in the expression.",
    ),
    (
        re.compile(r"required|missing|be empty|be blank", re.IGNORECASE),
        "The target asks for a field that is empty: map it, or give it a default in the route's mapping.",
    ),
    (
        re.compile(r"picklist|restricted|not one of|invalid value|not a valid", re.IGNORECASE),
        "The target does not take that value: map it to one of its own in the route's mapping.",
    ),
    (
        re.compile(r"permission|not allowed|access|forbidden|privilege|insufficient", re.IGNORECASE),
        "The user that synccore signs in as may not do this: give it the right at the target.",
    ),
    (
        re.compile(r"inactive|deactivated", re.IGNORECASE),
        "Somebody or something it refers to is inactive at the target: look there.",
    ),
    (
        re.compile(r"email|e-mail|phone", re.IGNORECASE),
        "The target does not take the address or number: correct it in the shop.",
    ),
)
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
class Cause:
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
class Record:
    """One of them, with what people call it."""

    delivery: Delivery
    name: str | None


def cause_id(kind: str, text: str) -> str:
    """A short name of a cause for addresses and alerts: the same as long as it is the same cause."""
    return hashlib.sha256(f"{kind}\n{text}".encode()).hexdigest()[:16]


def causes(app: App, *, sink: str | None = None, route: str | None = None) -> list[Cause]:
    """All causes, most records first; only those of a sink or a route."""
    found = app.store.parked_causes(MOST)
    return [_cause(c) for c in found if sink in (None, c.sink) and route in (None, c.route)]


def cause_of(app: App, route: str, id_: str) -> Cause | None:
    """One cause of a route; None where nothing is parked for it any more."""
    return next((cause for cause in causes(app, route=route) if cause.id == id_), None)


def records(app: App, cause: Cause, *, before: int | None = None, limit: int = 50) -> list[Record]:
    """A page of its records, the newest first."""
    rows = _rows(app, cause, before, limit)
    return [Record(row, name_of(app.store.snapshot(row.source, row.entity, row.key))) for row in rows]


def ids_of(app: App, cause: Cause) -> list[int]:
    """All its deliveries."""
    return [row.id for row in _rows(app, cause, None, None)]


def _rows(app: App, cause: Cause, before: int | None, limit: int | None) -> list[Delivery]:
    words = (cause.kind, cause.text)
    return app.store.deliveries(
        state="parked", sink=cause.sink, route=cause.route, cause=words, before_id=before, limit=limit
    )


def advice(kind: str, text: str, route: str) -> str | None:
    """What helps against a cause, in a sentence; by the words vendors use, whichever vendor it is."""
    found = next(_fitting(kind, text), None) or _BY_KIND.get(kind)
    return found.format(route=route) if found else None


def _fitting(kind: str, text: str) -> Iterator[str]:
    if kind in ("rejected", "batch_rejected"):
        yield from (said for words, said in _ADVICE if words.search(text))


def _cause(found: ParkedCause) -> Cause:
    return Cause(
        id=cause_id(found.error_kind, found.error),
        count=found.count,
        route=found.route,
        sink=found.sink,
        kind=found.error_kind,
        text=found.error,
        first_id=found.first_id,
        advice=advice(found.error_kind, found.error, found.route),
    )
