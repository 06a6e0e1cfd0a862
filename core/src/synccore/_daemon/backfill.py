"""Backfill and reconcile as an operator asks for them: by the running daemon, else right here."""

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta

from attrs import frozen

from .._ingest.listing import Listed
from .._ingest.rules import rules_of
from .._store.rows import BackfillJob
from ..errors import ConfigError
from ..types import Settled
from .app import App, SourceUnit
from .sources import SourceWorker

WATCH_EVERY = timedelta(milliseconds=250)


@frozen(kw_only=True)
class Progress:
    """How far it is: records listed, of how many; deliveries still owed and settled so far (bulk and live)."""

    source: str
    entity: str
    seen: int
    total: int | None
    owed: int
    settled: int


@frozen(kw_only=True)
class BackfillReport:
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


def backfill(
    app: App,
    source: str,
    entity: str | None,
    filters: Mapping[str, str],
    route: str | None,
    *,
    enqueue_only: bool = False,
    progress: Watch | None = None,
) -> BackfillReport:
    """Owe every listed record to its routes, and deliver until nothing is owed unless a daemon runs.

    Resumes an unfinished one of the same words. Raises ConfigError for names that do not exist and for a source that
    cannot be used, Transient where the source fails for now (run it again: it goes on where it stopped).
    """
    unit = _usable(app, source)
    entities = _entities(app, unit, entity, route)
    jobs = [
        app.store.queue_backfill("backfill", source, one, dict(filters), route, app.clock.now()) for one in entities
    ]
    return _work(app, unit, jobs, enqueue_only=enqueue_only, progress=progress)


def reconcile(app: App, source: str, *, progress: Watch | None = None, confirmed: bool = False) -> BackfillReport:
    """Compare everything the source has with what is known here, and deliver what that brings up.

    Raises as `backfill`, and MassDeletionError unless `confirmed`.
    """
    unit = _usable(app, source)
    now = app.clock.now()
    jobs = [app.store.queue_backfill("reconcile", source, one, {}, None, now) for one in unit.settings.config.entities]
    return _work(app, unit, jobs, enqueue_only=False, progress=progress, confirmed=confirmed)


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


def _work(
    app: App,
    unit: SourceUnit,
    jobs: list[BackfillJob],
    *,
    enqueue_only: bool,
    progress: Watch | None,
    confirmed: bool = False,
) -> BackfillReport:
    watch = progress or (lambda _: None)
    if app.store.daemon_running() and not confirmed:
        return _watch_daemon(app, unit, jobs, enqueue_only=enqueue_only, watch=watch)
    with app.store.daemon_lock():
        app.store.rescue(app.clock.now(), all_running=True)
        return _here(app, unit, jobs, deliver=not enqueue_only, watch=watch, confirmed=confirmed)


def _watch_daemon(
    app: App, unit: SourceUnit, jobs: list[BackfillJob], *, enqueue_only: bool, watch: Watch
) -> BackfillReport:
    """The daemon works; this only looks on until listings and bulk deliveries are through."""
    report = BackfillReport(source=unit.name, entities=tuple(j.entity for j in jobs), handed_over=True)
    if enqueue_only:
        return report
    while app.store.daemon_running() and not app.stopping.is_set():
        found = [job for j in jobs if (job := app.store.get_backfill(j.id)) is not None]
        for job in found:
            watch(_progress(app, unit, job, job.seen, job.total))
        owed, parked = _owed(app, unit)
        if all(j.state in ("done", "failed") for j in found):
            report = BackfillReport(
                source=unit.name,
                entities=report.entities,
                seen=sum(j.seen for j in found),
                owed=owed,
                parked=parked,
                handed_over=True,
                errors=tuple(j.error for j in found if j.state == "failed" and j.error),
            )
            if owed == 0 or report.errors:
                return report
        app.clock.sleep(WATCH_EVERY)
    return report


def _here(
    app: App, unit: SourceUnit, jobs: list[BackfillJob], *, deliver: bool, watch: Watch, confirmed: bool
) -> BackfillReport:
    """List in this thread while the lanes deliver in others; then deliver until nothing is owed."""
    worker = SourceWorker(app, unit)
    tally = _Tally()
    app.observers.append(tally)
    listed = threading.Event()
    delivering = threading.Thread(target=_deliver_while, args=(app, listed), name="backfill-lanes")
    if deliver:
        delivering.start()
    seen = deleted = 0
    try:
        for job in jobs:
            found = worker.run_job(job, confirmed=confirmed, watch=_reporter(app, unit, job, watch, tally))
            seen += found.seen
            deleted += found.deleted
    finally:
        listed.set()
        if deliver:
            delivering.join()
    if deliver:
        deliver_all(app)
    app.observers.remove(tally)
    owed, parked = _owed(app, unit)
    watch(_progress(app, unit, jobs[-1], seen, seen, tally.settled))
    return BackfillReport(
        source=unit.name,
        entities=tuple(j.entity for j in jobs),
        seen=seen,
        deleted=deleted,
        owed=owed,
        settled=tally.settled,
        parked=parked,
    )


class _Tally:
    """Counts what is settled for good while a command watches."""

    def __init__(self) -> None:
        self.settled = 0
        self._lock = threading.Lock()

    def __call__(self, event: Settled) -> None:
        if event.outcome in ("delivered", "unchanged", "skipped", "parked"):
            with self._lock:
                self.settled += 1


def _reporter(app: App, unit: SourceUnit, job: BackfillJob, watch: Watch, tally: _Tally) -> Callable[[Listed], None]:
    return lambda found: watch(_progress(app, unit, job, job.seen + found.seen, found.total, tally.settled))


def _deliver_while(app: App, listed: threading.Event) -> None:
    while not listed.wait(0.2) and not app.stopping.is_set():
        app.engine.drain_in_parallel()


def deliver_all(app: App, deadline: timedelta | None = None) -> int:
    """Deliver until nothing is owed, a person is needed, the deadline is over, or the process stops."""
    started = app.clock.now()
    settled = 0
    while not app.stopping.is_set():
        settled += app.engine.drain_in_parallel()
        upcoming = app.engine.next_try()
        now = app.clock.now()
        if upcoming is None or (deadline is not None and now - started >= deadline):
            return settled
        wait = max(upcoming - now, timedelta(milliseconds=20))
        if deadline is not None:
            wait = min(wait, deadline - (now - started))
        app.clock.sleep(min(wait, timedelta(seconds=1)))
    return settled


def _owed(app: App, unit: SourceUnit) -> tuple[int, int]:
    counts = app.store.counts_by_route()
    mine = [counts[r.name] for r in app.routes.values() if r.source == unit.name and r.name in counts]
    return sum(c.ready + c.running + c.submitted for c in mine), sum(c.parked for c in mine)


def _progress(app: App, unit: SourceUnit, job: BackfillJob, seen: int, total: int | None, settled: int = 0) -> Progress:
    owed, _ = _owed(app, unit)
    return Progress(source=unit.name, entity=job.entity, seen=seen, total=total, owed=owed, settled=settled)
