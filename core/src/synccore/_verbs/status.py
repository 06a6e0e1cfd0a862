"""The document of `synccore status --json`, the one truth that the command, the dashboard and metrics show."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .._app.app import App
from .._app.units import SinkUnit, SourceUnit, Unit, lane_name
from ..store import LaneRecord, RouteCounts


def status(app: App, *, submitted: bool = False) -> dict[str, Any]:
    """Sources, sinks and routes with their state and what they owe.

    `submitted`: say beside, for each sink, how many of its running rows
    are in a vendor's job: metrics tell them apart.
    """
    now = app.clock.now()
    sinks = app.store.counts_by_sink()
    routes = app.store.counts_by_route()
    document: dict[str, Any] = {
        "sources": {name: _source(app, unit) for name, unit in app.sources.items()},
        "sinks": {name: _sink(app, unit, sinks.get(name, RouteCounts()), now) for name, unit in app.sinks.items()},
        "routes": {name: _counts(routes.get(name, RouteCounts())) for name in app.routes},
    }
    if submitted:
        for name, sink in document["sinks"].items():
            sink["submitted"] = sinks.get(name, RouteCounts()).submitted
    return document


def _source(app: App, unit: SourceUnit) -> dict[str, Any]:
    state, reason = _state(unit, app.store.lane(lane_name(unit.name)))
    snapshots = app.store.snapshot_counts(unit.name)
    cursors = app.store.cursors(unit.name)
    doubts = [text for mark, (text, _) in cursors.items() if mark.startswith("doubted:") and text]
    if doubts and state == "ok":
        state, reason = "error", doubts[0]
    entities = {
        entity: {
            "snapshots": snapshots.get(entity, 0),
            "cursor": cursors.get(f"poll:{entity}", (None, None))[0],
            "last_poll_at": cursors.get(f"polled:{entity}", (None, None))[0],
        }
        for entity in {**dict.fromkeys(unit.settings.config.entities), **snapshots}
    }
    return {"type": unit.settings.type, "state": state, "reason": reason, "entities": entities}


def _sink(app: App, unit: SinkUnit, counts: RouteCounts, now: datetime) -> dict[str, Any]:
    state, reason = _state(unit, app.store.lane(unit.name))
    if "engine" in app.__dict__ and (trouble := app.engine.trouble(unit.name)):
        state, reason = "error", trouble
    oldest = counts.oldest_ready_at
    age = max(0, round((now - oldest).total_seconds())) if oldest else None
    return {
        "type": unit.settings.type,
        "state": state,
        "reason": reason,
        **_counts(counts),
        "oldest_ready_seconds": age,
    }


def _state(unit: Unit, record: LaneRecord) -> tuple[str, str | None]:
    if unit.error is not None:
        return "error", unit.error
    return record.state, record.reason


def _counts(counts: RouteCounts) -> Mapping[str, int]:
    return {
        "ready": counts.ready,
        # A submitted row is under way at the vendor: for whoever watches, it runs.
        "running": counts.running + counts.submitted,
        "parked": counts.parked,
        "done": counts.done,
        "skipped": counts.skipped,
    }
