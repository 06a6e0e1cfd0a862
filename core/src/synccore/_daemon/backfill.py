"""Backfill and reconcile as an operator asks for them: by the running daemon, else right here."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

from attrs import evolve, frozen

from .._ingest.listing import Listed, MassDeletionError, Stopped
from .._ingest.rules import rules_of
from .._store.rows import BackfillJob, LaneRecord
from ..errors import ConfigError, RateLimited, Transient
from ..types import Settled
from .app import App, SourceUnit
from .sources import CONFIRMED, SourceWorker

WATCH_EVERY = timedelta(milliseconds=250)


@frozen(kw_only=True)
class Progress:
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

    Raises as `backfill`. Too many deletions at once are among the report's errors unless `confirmed`.
    """
    unit = _usable(app, source)
    now = app.clock.now()
    words = CONFIRMED if confirmed else {}
    entities = unit.settings.config.entities
    jobs = [app.store.queue_backfill("reconcile", source, one, words, None, now) for one in entities]
    return _work(app, unit, jobs, enqueue_only=False, progress=progress)


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
) -> BackfillReport:
    watch = progress or (lambda _: None)
    if app.store.daemon_running():
        report = _watch_daemon(app, unit, jobs, enqueue_only=enqueue_only, watch=watch)
        if report is not None:
            return report
        # It went away over the work: what it left is done here.
    with app.store.daemon_lock():
        app.engine.recover()
        return _here(app, unit, jobs, deliver=not enqueue_only, watch=watch)


def _watch_daemon(
    app: App, unit: SourceUnit, jobs: list[BackfillJob], *, enqueue_only: bool, watch: Watch
) -> BackfillReport | None:
    """The daemon works; this only looks on until nothing is left that can go on by itself. None: it went away."""
    report = BackfillReport(source=unit.name, entities=tuple(j.entity for j in jobs), handed_over=True)
    if enqueue_only:
        return report
    while app.store.daemon_running():
        found = [job for j in jobs if (job := app.store.get_backfill(j.id)) is not None]
        for job in found:
            watch(_progress(app, unit, job, job.seen, job.total))
        if all(j.state in ("done", "failed") for j in found):
            owed, parked = _owed(app, unit)
            errors = tuple(j.error for j in found if j.state == "failed" and j.error)
            if owed == 0 or errors or _stuck(app, unit):
                return evolve(report, seen=sum(j.seen for j in found), owed=owed, parked=parked, errors=errors)
        if app.stopping.is_set():
            return report
        app.clock.sleep(WATCH_EVERY)
    return None


def _here(app: App, unit: SourceUnit, jobs: list[BackfillJob], *, deliver: bool, watch: Watch) -> BackfillReport:
    """List in this thread while the lanes deliver in others; then deliver until nothing is owed."""
    worker = SourceWorker(app, unit)
    tally = _Tally()
    app.observers.append(tally)
    listed, failed = threading.Event(), threading.Event()
    seen = deleted = 0
    errors: list[str] = []
    with ThreadPoolExecutor(1, thread_name_prefix="backfill-lanes") as pool:
        delivering = pool.submit(_deliver, app, listed, failed) if deliver else None
        try:
            with worker.listing(j.entity for j in jobs) as done:
                for job in _unfinished(app, jobs):
                    try:
                        found = worker.run_job(job, watch=_reporter(app, unit, job, watch, tally))
                    except MassDeletionError as error:
                        errors.append(error.message)
                    else:
                        seen += found.seen
                        deleted += found.deleted
                    done(job.entity)
        except BaseException as error:
            failed.set()
            if isinstance(error, Transient | RateLimited):
                error.add_note(f"{unit.name} failed for now: run the same command again, it goes on where it stopped")
            raise
        finally:
            listed.set()
        while delivering is not None and not wait([delivering], WATCH_EVERY.total_seconds()).done:
            watch(_deliveries(app, unit, tally))
        if delivering is not None:
            delivering.result()
            watch(_deliveries(app, unit, tally))
    app.observers.remove(tally)
    if deliver and app.stopping.is_set():
        raise Stopped
    owed, parked = _owed(app, unit)
    return BackfillReport(
        source=unit.name,
        entities=tuple(j.entity for j in jobs),
        seen=seen,
        deleted=deleted,
        owed=owed,
        settled=tally.settled,
        parked=parked,
        errors=tuple(errors),
    )


def _unfinished(app: App, jobs: list[BackfillJob]) -> Iterator[BackfillJob]:
    for job in jobs:
        now = app.store.get_backfill(job.id)
        if now is not None and now.state not in ("done", "failed"):
            yield now


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
    return lambda found: watch(_progress(app, unit, job, found.seen, found.total, tally.settled))


def _deliver(app: App, listed: threading.Event, failed: threading.Event) -> None:
    """What is owed meanwhile; and once everything is listed, all of it."""
    while not listed.wait(0.2) and not app.stopping.is_set():
        app.engine.drain_in_parallel()
    if not failed.is_set():
        deliver_all(app)


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
        pause = max(upcoming - now, timedelta(milliseconds=20))
        if deadline is not None:
            pause = min(pause, deadline - (now - started))
        app.clock.sleep(min(pause, timedelta(seconds=1)))
    return settled


def _owed(app: App, unit: SourceUnit) -> tuple[int, int]:
    counts = app.store.counts_by_route()
    mine = [counts[r.name] for r in app.routes.values() if r.source == unit.name and r.name in counts]
    return sum(c.ready + c.running + c.submitted for c in mine), sum(c.parked for c in mine)


def _waiting(app: App, unit: SourceUnit) -> list[LaneRecord]:
    """The lanes of this source's routes that may not work now although something is owed there."""
    now = app.clock.now()
    counts = app.store.counts_by_sink()
    lanes = [
        app.store.lane(sink) for sink in dict.fromkeys(r.sink for r in app.routes.values() if r.source == unit.name)
    ]
    held = [lane for lane in lanes if lane.state not in ("ok", "circuit_open") or (lane.until and lane.until > now)]
    return [lane for lane in held if (c := counts.get(lane.sink)) is not None and c.ready]


def _stuck(app: App, unit: SourceUnit) -> bool:
    """Whether all that is owed waits for a person."""
    waiting = {lane.sink for lane in _waiting(app, unit) if lane.until is None}
    counts = app.store.counts_by_route()
    mine = [r for r in app.routes.values() if r.source == unit.name and r.name in counts]
    return not any(counts[r.name].running or counts[r.name].submitted for r in mine) and all(
        r.sink in waiting for r in mine if counts[r.name].ready
    )


def _deliveries(app: App, unit: SourceUnit, tally: _Tally) -> Progress:
    owed, _ = _owed(app, unit)
    waiting = ", ".join(
        f"{lane.sink} waits until {lane.until:%H:%M:%S} UTC ({lane.state if lane.state != 'ok' else lane.reason})"
        if lane.until is not None
        else f"{lane.sink} waits for a person ({lane.state})"
        for lane in _waiting(app, unit)
    )
    return Progress(
        source=unit.name,
        entity=None,
        seen=tally.settled,
        total=tally.settled + owed,
        owed=owed,
        settled=tally.settled,
        waiting=waiting,
    )


def _progress(app: App, unit: SourceUnit, job: BackfillJob, seen: int, total: int | None, settled: int = 0) -> Progress:
    owed, _ = _owed(app, unit)
    return Progress(source=unit.name, entity=job.entity, seen=seen, total=total, owed=owed, settled=settled)
