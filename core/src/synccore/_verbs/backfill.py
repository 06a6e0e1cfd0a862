"""Backfill and reconcile as they are asked for: what to list is queued, and whoever asked may look on.

The daemon does the work where one runs; without one `synccore._daemon.backfill` does it in the asking process.
"""

from collections.abc import Callable, Container, Mapping
from datetime import timedelta

from attrs import evolve, frozen

from .._app.app import App
from .._app.records import PATIENCE
from .._app.units import SourceUnit, lane_name
from .._ingest.rules import rules_of
from .._plain import Plain
from ..errors import ConfigError
from ..store import BackfillJob, RouteCounts
from ..types import RouteSpec
from .parts.waits import remedy, until_text, waiting_sinks

__all__ = ["CONFIRMED", "WATCH_EVERY", "Asked", "BackfillReport", "Progress", "Watch", "ask_backfill", "ask_reconcile"]

WATCH_EVERY = timedelta(milliseconds=250)
#: Among a comparison's filters: a person said that what is gone is gone.
CONFIRMED = {"deletions": "confirmed"}


@frozen(kw_only=True)
class Progress(Plain):
    """How far it is: records listed, of how many; deliveries still owed and settled so far (bulk and live)."""

    source: str
    #: None once everything is listed, and deliveries are all that is left.
    entity: str | None
    seen: int
    total: int | None
    owed: int
    settled: int
    #: Which sinks wait, for what and until when; empty where none does.
    waiting: str = ""


@frozen(kw_only=True)
class BackfillReport(Plain):
    """What came of it. `handed_over`: a running daemon does the work."""

    source: str
    entities: tuple[str, ...]
    seen: int = 0
    deleted: int = 0
    owed: int = 0
    settled: int = 0
    parked: int = 0
    handed_over: bool = False
    errors: tuple[str, ...] = ()


Watch = Callable[[Progress], None]


@frozen
class Asked(Plain):
    """Listings that are queued now."""

    unit: SourceUnit
    jobs: tuple[BackfillJob, ...]

    @property
    def entities(self) -> tuple[str, ...]:
        """What is to be listed."""
        return tuple(job.entity for job in self.jobs)


def ask_backfill(app: App, source: str, entity: str | None, filters: Mapping[str, str], route: str | None) -> Asked:
    """Owe every listed record to its routes. Takes up an unfinished one of the same words.

    Raises ConfigError for names that do not exist and for a source that cannot be used.
    """
    unit = _usable(app, source)
    return _queue(app, unit, "backfill", _entities(app, unit, entity, route), filters, route)


def ask_reconcile(app: App, source: str, *, confirmed: bool = False) -> Asked:
    """Compare everything the source has with what is known here; `confirmed`: believe many deletions at once.

    Raises ConfigError as `ask_backfill`.
    """
    unit = _usable(app, source)
    return _queue(app, unit, "reconcile", unit.settings.config.entities, CONFIRMED if confirmed else {}, None)


def _queue(
    app: App, unit: SourceUnit, kind: str, entities: tuple[str, ...], words: Mapping[str, str], route: str | None
) -> Asked:
    now = app.clock.now()
    jobs = tuple(app.store.queue_backfill(kind, unit.name, one, dict(words), route, now) for one in entities)
    return Asked(unit, jobs)


def _usable(app: App, source: str) -> SourceUnit:
    unit = app.sources.get(source)
    if unit is None:
        known = ", ".join(app.sources) or "none"
        raise ConfigError(f"no source is called {source!r}; there are: {known}", path="sources")
    if unit.instance is None:
        raise ConfigError(f"{unit.error}. Run synccore check", path=f"sources.{source}")
    return unit


def _entities(app: App, unit: SourceUnit, entity: str | None, route: str | None) -> tuple[str, ...]:
    known: tuple[str, ...] = unit.settings.config.entities
    if route is not None:
        if (written := app.write_back_routes(unit.name).get(route)) is not None:
            return (written,)
        spec = app.route(route)
        if spec.source != unit.name:
            raise ConfigError(f"route {route} reads from {spec.source}, not from {unit.name}", path=f"routes.{route}")
        wanted = entity or spec.entity
        if wanted != spec.entity and wanted not in spec.include:
            raise ConfigError(f"route {route} neither maps nor includes {wanted}", path=f"routes.{route}")
        return (wanted,)
    if entity is None:
        routed = rules_of(app.routes.values(), unit.name)
        return tuple(e for e in known if e in routed) or known
    if entity not in unit.known_entities:
        raise ConfigError(
            f"{unit.settings.type} has no {entity!r}; it has: {', '.join(unit.known_entities)}",
            path=f"sources.{unit.name}.entities",
        )
    return (entity,)


def watch_daemon(app: App, asked: Asked, *, enqueue_only: bool, watch: Watch) -> BackfillReport | None:
    """The daemon works; this only looks on until nothing is left that can go on by itself. None: it went away."""
    unit = asked.unit
    report = BackfillReport(source=unit.name, entities=asked.entities, handed_over=True)
    if enqueue_only:
        return report
    before = settled_of(app, unit)
    while app.store.daemon_running():
        found = [job for j in asked.jobs if (job := app.store.get_backfill(j.id)) is not None]
        for job in found:
            watch(listing_progress(app, unit, job, job.seen, job.total, settled_of(app, unit) - before))
        listing = not all(j.state in ("done", "failed") for j in found)
        owed, parked = owed_of(app, unit)
        errors = [j.error for j in found if j.state == "failed" and j.error] or stuck(app, unit, listing=listing)
        if errors or not (owed or listing):
            seen = sum(j.seen for j in found)
            return evolve(report, seen=seen, owed=owed, parked=parked, errors=tuple(errors))
        if app.stopping.is_set():
            return report
        app.clock.sleep(WATCH_EVERY)
    return None


def owed_of(app: App, unit: SourceUnit) -> tuple[int, int]:
    """What this source's routes still owe, and what of it is parked."""
    counts = app.store.counts_by_route()
    mine = [counts[r.name] for r in app.routes.values() if r.source == unit.name and r.name in counts]
    return sum(c.owed for c in mine), sum(c.parked for c in mine)


def settled_of(app: App, unit: SourceUnit) -> int:
    """What of this source's routes came to its end so far."""
    counts = app.store.counts_by_route()
    mine = [counts[r.name] for r in app.routes.values() if r.source == unit.name and r.name in counts]
    return sum(c.done + c.skipped + c.parked for c in mine)


def stuck(app: App, unit: SourceUnit, *, listing: bool) -> list[str]:
    """Why nothing of it can go on soon: a sentence for each thing that waits for a person, or for longer than a
    command is patient. Empty where something can. `listing`: not everything is listed yet."""
    if listing:
        held = _held_source(app, unit)
        return [held] if held else []
    reasons = []
    now = app.clock.now()
    counts = app.store.counts_by_sink()
    waits = {wait.sink: wait for wait in waiting_sinks(app)}
    for sink in dict.fromkeys(r.sink for r in app.routes.values() if r.source == unit.name):
        owed = counts.get(sink, RouteCounts())
        if owed.running or owed.submitted:
            return []
        if not owed.ready:
            continue
        wait, due = waits.get(sink), app.store.next_due(sink)
        if wait is not None and (wait.until is None or wait.state == "error" or wait.until - now > PATIENCE):
            reasons.append(f"{owed.ready:,} owed to {sink}: {wait.text}")
        elif due is not None and due - now > PATIENCE:
            reasons.append(f"{owed.ready:,} owed to {sink}: the first is due {until_text(due, now)[6:]}")
        elif routes := _held_routes(app, unit, sink):
            reasons += routes
        else:
            return []
    return reasons


def _held_routes(app: App, unit: SourceUnit, sink: str) -> list[str]:
    """Why each of the source's routes to a sink that owe something waits: empty where one of them may go on soon."""
    reasons = []
    now = app.clock.now()
    counts = app.store.counts_by_route()
    holds = {h.route: h for h in app.store.holds(sink) if max(h.until - now, now - h.since) > PATIENCE}
    for route in app.routes.values():
        if (route.source, route.sink) != (unit.name, sink) or not (
            ready := counts.get(route.name, RouteCounts()).ready
        ):
            continue
        if hold := holds.get(route.name):
            why = f"{until_text(hold.until, now)} ({hold.reason})"
        elif parent := _held_parent(app, route, holds):
            # What could go without it went before; the rest waits until its parents are delivered.
            why = f"for route {parent}"
        elif ready == app.store.waiting_in_vain(sink, route.name):
            why = f"for records that route {route.after} does not owe: synccore why KEY, synccore deliveries list"
        else:
            return []
        reasons.append(f"{ready:,} owed to {sink}: route {route.name} waits {why}")
    return reasons


def _held_parent(app: App, route: RouteSpec, holds: Container[str]) -> str | None:
    """The held route that this one comes after, at once or by way of others."""
    parent = route.after
    while parent is not None and parent not in holds:
        parent = app.routes[parent].after
    return parent


def _held_source(app: App, unit: SourceUnit) -> str | None:
    lane, now = app.store.lane(lane_name(unit.name)), app.clock.now()
    why = lane.reason or lane.state
    if lane.state == "paused":
        return f"{unit.name} is paused ({why}): {remedy(lane.state, unit.name)}"
    if lane.state in ("needs_auth", "error"):
        return f"{unit.name} cannot be asked ({why}): synccore check"
    if lane.until is not None and lane.until - now > PATIENCE:
        return f"{unit.name} waits {until_text(lane.until, now)} ({why})"
    return None


def delivery_progress(app: App, unit: SourceUnit, settled: int) -> Progress:
    """How far the deliveries are, once everything is listed."""
    owed, _ = owed_of(app, unit)
    sinks = {r.sink for r in app.routes.values() if r.source == unit.name}
    waiting = ", ".join(f"{wait.sink} {wait.text}" for wait in waiting_sinks(app, sinks))
    return Progress(
        source=unit.name,
        entity=None,
        seen=settled,
        total=settled + owed,
        owed=owed,
        settled=settled,
        waiting=waiting,
    )


def listing_progress(
    app: App, unit: SourceUnit, job: BackfillJob, seen: int, total: int | None, settled: int = 0
) -> Progress:
    owed, _ = owed_of(app, unit)
    return Progress(source=unit.name, entity=job.entity, seen=seen, total=total, owed=owed, settled=settled)
