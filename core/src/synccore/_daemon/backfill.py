"""Backfill and reconcile as an operator asks for them: by the running daemon, else right here."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

from attrs import evolve

from .._app.accounts import another_account
from .._app.app import App
from .._app.units import SourceUnit
from .._ingest.listing import Listed, MassDeletionError, Stopped
from .._verbs.backfill import (
    WATCH_EVERY,
    Asked,
    BackfillReport,
    Watch,
    ask_backfill,
    ask_reconcile,
    delivery_progress,
    listing_progress,
    owed_of,
    stuck,
    watch_daemon,
)
from .._verbs.parts.changed import note_routes
from ..errors import RateLimited, SynccoreError, Transient
from ..store import BackfillJob
from ..types import Settled
from .progress import NowAndThen
from .sources import SourceWorker


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
    return _work(app, ask_backfill(app, source, entity, filters, route), enqueue_only=enqueue_only, progress=progress)


def reconcile(app: App, source: str, *, progress: Watch | None = None, confirmed: bool = False) -> BackfillReport:
    """Compare everything the source has with what is known here, and deliver what that brings up.

    Raises as `backfill`. Too many deletions at once are among the report's errors unless `confirmed`.
    """
    return _work(app, ask_reconcile(app, source, confirmed=confirmed), enqueue_only=False, progress=progress)


def _work(app: App, asked: Asked, *, enqueue_only: bool, progress: Watch | None) -> BackfillReport:
    report = _worked(app, asked, enqueue_only=enqueue_only, watch=progress or (lambda _: None))
    said = " ".join(report.errors)
    return evolve(report, errors=(*report.errors, *(e for e in _elsewhere(app, asked.unit) if e not in said)))


def _elsewhere(app: App, unit: SourceUnit) -> Iterator[str]:
    """Sinks that reach another account than before: what equals the links of the old one is not in this one."""
    for sink in dict.fromkeys(r.sink for r in app.routes.values() if r.source == unit.name):
        try:
            another = another_account(app.store, sink, app.sinks[sink].instance)
        except SynccoreError:
            continue  # its lane says so, where anything is owed
        if another is not None:
            yield another


def _worked(app: App, asked: Asked, *, enqueue_only: bool, watch: Watch) -> BackfillReport:
    if app.store.daemon_running():
        report = watch_daemon(app, asked, enqueue_only=enqueue_only, watch=watch)
        if report is not None:
            return report
        # It went away over the work: what it left is done here.
    with app.store.daemon_lock():
        note_routes(app)
        app.engine.recover()
        return _here(app, asked.unit, asked.jobs, deliver=not enqueue_only, watch=watch)


def _here(app: App, unit: SourceUnit, jobs: Sequence[BackfillJob], *, deliver: bool, watch: Watch) -> BackfillReport:
    """List in this thread while the lanes deliver in others; then deliver until nothing is owed."""
    worker = SourceWorker(app, unit)
    tally = _Tally()
    app.observers.append(tally)
    listed, failed = threading.Event(), threading.Event()
    seen = deleted = 0
    errors: list[str] = []
    with ThreadPoolExecutor(1, thread_name_prefix="backfill-lanes") as pool:
        delivering = pool.submit(_deliver, app, unit, listed, failed) if deliver else None
        try:
            with worker.listing(j.entity for j in jobs) as done:
                for job in _unfinished(app, jobs):
                    try:
                        telling = NowAndThen(app.clock, _reporter(app, unit, job, watch, tally))
                        found = worker.run_job(job, watch=telling)
                        telling.close()
                        seen, deleted = seen + found.seen, deleted + found.deleted
                    except MassDeletionError as error:
                        errors.append(error.message)
                    while worker.follow_hints():
                        pass
                    done(job.entity)
        except BaseException as error:
            failed.set()
            if isinstance(error, Transient | RateLimited):
                error.add_note(f"{unit.name} failed for now: run the same command again, it goes on where it stopped")
            raise
        finally:
            listed.set()
            app.engine.wake_all()
        while delivering is not None and not wait([delivering], WATCH_EVERY.total_seconds()).done:
            watch(delivery_progress(app, unit, tally.settled))
        if delivering is not None:
            delivering.result()
            watch(delivery_progress(app, unit, tally.settled))
    app.observers.remove(tally)
    if deliver and app.stopping.is_set():
        raise Stopped
    owed, parked = owed_of(app, unit)
    if deliver and owed:
        errors += stuck(app, unit, listing=False)
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


def _unfinished(app: App, jobs: Sequence[BackfillJob]) -> Iterator[BackfillJob]:
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
    return lambda found: watch(listing_progress(app, unit, job, found.seen, found.total, tally.settled))


def _deliver(app: App, unit: SourceUnit, listed: threading.Event, failed: threading.Event) -> None:
    """What is owed meanwhile; and once everything is listed, all of it."""
    try:
        while not listed.is_set() and not app.stopping.is_set():
            app.engine.drain_in_parallel(more=lambda: not listed.is_set())
        if not failed.is_set():
            deliver_all(app, over=lambda: bool(stuck(app, unit, listing=False)))
    finally:
        app.engine.return_lent()


def deliver_all(app: App, deadline: timedelta | None = None, over: Callable[[], bool] = lambda: False) -> int:
    """Deliver until nothing is owed, a person is needed, the deadline is over, the process stops, or `over` says so."""
    started = app.clock.now()
    settled = 0
    while not app.stopping.is_set():
        settled += app.engine.drain_in_parallel()
        upcoming = app.engine.next_try()
        now = app.clock.now()
        if upcoming is None or over() or (deadline is not None and now - started >= deadline):
            return settled
        pause = max(upcoming - now, timedelta(milliseconds=20))
        if deadline is not None:
            pause = min(pause, deadline - (now - started))
        app.clock.sleep(min(pause, timedelta(seconds=1)))
    return settled
