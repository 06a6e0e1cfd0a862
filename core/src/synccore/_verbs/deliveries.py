"""`synccore deliveries`: rows of the outbox, looked at, retried, given up."""

from collections.abc import Sequence
from typing import Any

from attrs import evolve, frozen

from .._app.base import Base
from .._delivery.gate import open_by_hand
from .._plain import Plain
from ..errors import redact
from ..store import Delivery, HistoryEntry, LaneRecord
from . import log
from .parts.changed import file_notes

__all__ = ["SHOWN", "Acted", "Shown", "dismiss", "document", "listed", "retry", "show"]

#: A list without `everything` ends here.
SHOWN = 100
_PLACE = ("route", "sink", "entity", "key", "op")
#: What the JSON of a list tells of a row, and what that of a single row tells beside it.
_LISTED = ("id", *_PLACE, "state", "attempts", "due_at", "error_kind", "error", "created_at", "settled_at")
_MORE = ("source", "bulk", "event_id", "first_change_at", "last_change_at", "first_failed_at", "maybe_applied", "job")


@frozen(kw_only=True)
class Shown(Plain):
    """One delivery with all that happened to it."""

    delivery: Delivery
    history: tuple[HistoryEntry, ...]

    def facts(self) -> dict[str, Any]:
        """Everything about the row itself."""
        return document(self.delivery) | {name: getattr(self.delivery, name) for name in _MORE}

    def document(self) -> dict[str, Any]:
        """The JSON of `deliveries show --json`."""
        return {**self.facts(), "history": [log.document(line) for line in self.history]}


@frozen(kw_only=True)
class Acted(Plain):
    """What was `done` ("retried", "dismissed"): to how many of the chosen; which of those named are not parked."""

    done: str
    count: int
    ids: tuple[int, ...]
    not_parked: tuple[int, ...]
    #: A daemon goes on with them at once.
    running: bool
    #: What has to be known of the file by which they are delivered.
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The JSON of `deliveries retry --json` and `deliveries dismiss --json`."""
        told = {self.done: self.count, "ids": list(self.ids), "not_parked": list(self.not_parked)}
        return {**told, "notes": list(self.notes)} if self.done == "retried" else told


def document(d: Delivery) -> dict[str, Any]:
    """A row in the JSON of `deliveries list --json`."""
    return {name: getattr(d, name) for name in _LISTED} | {"error": d.error or d.waits}


def listed(app: Base, state: str | None, sink: str | None, *, everything: bool = False) -> list[Delivery]:
    """The newest SHOWN, or all of them, newest first."""
    return app.store.deliveries(state=state, sink=sink, limit=None if everything else SHOWN)


def show(app: Base, id_: int) -> Shown | None:
    """One row and its trail; None where no row has the id."""
    found = app.store.deliveries(ids=[id_])
    if not found:
        return None
    delivery = found[0]
    history = tuple(
        line
        for line in app.store.history(key=delivery.key, sink=delivery.sink, limit=None)
        if line.route == delivery.route and line.entity == delivery.entity and line.delivery_id in (None, id_)
    )
    return Shown(delivery=delivery, history=history)


def _parked(app: Base, ids: Sequence[int], sink: str | None) -> list[Delivery]:
    """Those of these ids (of all, where there are none) that wait for a person."""
    return app.store.deliveries(state="parked", sink=sink, ids=ids or None, limit=None)


def retry(app: Base, ids: Sequence[int], sink: str | None) -> Acted:
    """Owe parked ones again, through today's mapping and newest state; a throttle or an outage is looked at afresh."""
    chosen = _parked(app, ids, sink)
    count, now = app.store.retry([d.id for d in chosen], app.clock.now()), app.clock.now()
    for name in {d.sink for d in chosen}:
        lane = app.lane_of(name)
        if lane.state in ("rate_limited", "circuit_open"):
            # What was right of the target a while ago need not be now that a person has looked at it.
            open_by_hand(app.store, LaneRecord(sink=lane.sink, changed_at=now), now)
    notes = file_notes(app, {d.route for d in chosen})
    return evolve(_acted(app, "retried", count, ids, chosen), notes=notes)


def dismiss(app: Base, ids: Sequence[int], sink: str | None, reason: str | None = None) -> Acted:
    """Give parked ones up; `reason` is kept in the trail, without addresses and numbers."""
    chosen = _parked(app, ids, sink)
    note = redact(reason.strip(), 300) if reason and reason.strip() else None
    count = app.store.dismiss([d.id for d in chosen], app.clock.now(), note)
    return _acted(app, "dismissed", count, ids, chosen)


def _acted(app: Base, done: str, count: int, named: Sequence[int], chosen: Sequence[Delivery]) -> Acted:
    ids = {d.id for d in chosen}
    return Acted(
        done=done,
        count=count,
        ids=tuple(sorted(ids)),
        not_parked=tuple(sorted(set(named) - ids)),
        running=app.store.daemon_running(),
    )
