"""Work under way: listings, what is owed to each sink, jobs at vendors; with what it waits for. Asks nobody outside."""

from attrs import frozen

from .._app.app import App
from .._plain import Plain
from ..errors import ConfigError
from ..store import BackfillJob, RouteCounts, RunningJob
from .parts.pace import Pace
from .parts.waits import waiting_sinks
from .status import listing_waits, named_listing

__all__ = ["Listing", "Owing", "Work", "stop_listing", "work"]


@frozen(kw_only=True)
class Listing(Plain):
    """A backfill or comparison that is not done."""

    job: BackfillJob
    name: str
    #: Records a second; None: not known yet.
    rate: float | None
    #: What it waits for; empty while it goes on.
    waits: str
    #: Its source is held by a person.
    paused: bool

    @property
    def rest(self) -> int | None:
        """Records that are still to be listed."""
        return None if self.job.total is None else max(self.job.total - self.job.seen, 0)


@frozen(kw_only=True)
class Owing(Plain):
    """What is owed to one sink."""

    sink: str
    owed: int
    settled: int
    rate: float | None
    waits: str


@frozen(kw_only=True)
class Work(Plain):
    """What is under way: listings, and what each sink is owed."""

    listings: tuple[Listing, ...]
    owing: tuple[Owing, ...]
    jobs: tuple[RunningJob, ...]
    ended: tuple[BackfillJob, ...]


def work(app: App, pace: Pace) -> Work:
    """What is under way; `pace` keeps what was seen of it before."""
    now, running = app.clock.now(), app.store.daemon_running()
    listings = []
    for job in app.store.backfills():
        rate = pace.note(f"listing {job.id}", job.seen, now)
        if job.source in app.sources:
            held = listing_waits(app, app.sources[job.source], running=running)
            # What stands still has no pace, and no time that is left.
            rate = None if held and running else rate
            paused = app.lane_of(job.source).state == "paused"
            listings.append(Listing(job=job, name=named_listing(job), rate=rate, waits=held, paused=paused))
    waits = {wait.sink: wait.text for wait in waiting_sinks(app)}
    owing = []
    for name, counts in app.store.counts_by_sink().items():
        owed = counts.owed
        rate = pace.note(f"sink {name}", settled := _settled(counts), now)
        if owed and name in app.sinks:
            held = waits.get(name, "")
            owing.append(Owing(sink=name, owed=owed, settled=settled, rate=None if held else rate, waits=held))
    return Work(
        listings=tuple(listings),
        owing=tuple(owing),
        jobs=tuple(app.store.running_jobs()),
        ended=tuple(app.store.ended_backfills()),
    )


def _settled(counts: RouteCounts) -> int:
    return counts.done + counts.skipped


def stop_listing(app: App, job_id: int) -> BackfillJob:
    """End a listing before it is done; what it listed stays, and the same command begins anew.

    Raises ConfigError where no such listing is under way.
    """
    job = app.store.get_backfill(job_id)
    if job is None or job.finished_at is not None:
        raise ConfigError("this listing is not under way any more")
    app.store.update_backfill(job.id, state="failed", error="stopped by a person", now=app.clock.now())
    return job
