"""`synccore status`: where everything stands. Command, dashboard and metrics show this one answer."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import asdict, evolve, frozen

from .._app.app import App
from .._app.units import SinkUnit, SourceUnit, Unit, lane_name
from .._delivery.trouble import LaneTrouble
from .._plain import Plain
from .._settings.conditions import LATE
from ..entities import ENTITIES
from ..store import BackfillJob, RouteCounts, UnreadableRecord
from .needs import Need, needs
from .parts.changed import changed_routes
from .parts.waits import lane_state, remedy, until_text, waiting_sinks
from .parts.words import plural
from .troubles import stuck

__all__ = ["Overview", "listing_waits", "named_listing", "overview", "status"]

#: Of the jobs that run, so many are named.
JOBS_SHOWN = 5
#: Of the records that could not be read, so many of each source are named, the latest first.
UNREADABLE_SHOWN = 10


@frozen(kw_only=True)
class Overview(Plain):
    """Where everything stands.

    Attributes:
        document: the JSON of `status --json`.
        running: a daemon works on this database.
        work: listings that were asked for and are not done, a sentence each.
        needs: what needs a person, the gravest first.
    """

    document: Mapping[str, Any]
    running: bool
    work: tuple[str, ...]
    needs: tuple[Need, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What no state of an instance tells: a full disk, another file than the daemon's, routes that changed."""
        return tuple(need.sentence for need in self.needs if need.noted)

    @property
    def well(self) -> bool:
        """Whether nothing waits for a person."""
        return not any(need.grave for need in self.needs)


def overview(app: App) -> Overview:
    """All of it. Asks nobody outside this machine."""
    document, changed, daemons = status(app), changed_routes(app), _daemons(app)
    found = Overview(
        document=document,
        running=app.store.daemon_running(),
        work=tuple(_work(app, daemons)),
        needs=needs(app, document, changed),
    )
    told = {"daemons": daemons, "notes": list(found.notes), "changed": [asdict(change) for change in changed]}
    return evolve(found, document={**document, **told})


def status(app: App, *, submitted: bool = False) -> dict[str, Any]:
    """Sources, sinks and routes with their state and what they owe.

    `submitted`: say beside, for each sink, how many of its running rows
    are in a vendor's job: metrics tell them apart.
    """
    now = app.clock.now()
    sinks = app.store.counts_by_sink()
    routes = app.store.counts_by_route()
    held_up, active = stuck(app), app.store.last_activity()
    document: dict[str, Any] = {
        "sources": {name: _source(app, unit) for name, unit in app.sources.items()},
        "sinks": {
            name: {
                **_sink(app, unit, sinks.get(name, RouteCounts()), held_up.get(name), now),
                "last_active_at": active.get(name),
            }
            for name, unit in app.sinks.items()
        },
        "routes": {name: _counts(routes.get(name, RouteCounts())) for name in app.routes},
    }
    if submitted:
        for name, sink in document["sinks"].items():
            sink["submitted"] = sinks.get(name, RouteCounts()).submitted
    return document


def _source(app: App, unit: SourceUnit) -> dict[str, Any]:
    snapshots = app.store.snapshot_counts(unit.name)
    unreadable = app.store.unreadable_counts().get(unit.name, {})
    cursors = app.store.cursors(unit.name)
    state, reason = _state(app, unit)
    doubts = [text for mark, (text, _) in cursors.items() if mark.startswith("doubted:") and text]
    if doubts and state == "ok":
        state, reason = "error", doubts[0]
    entities = {
        entity: {
            "snapshots": snapshots.get(entity, 0),
            "cursor": cursors.get(f"poll:{entity}", (None, None))[0],
            "last_poll_at": _time(cursors.get(f"polled:{entity}", (None, None))[0]),
            "unreadable": unreadable.get(entity, 0),
        }
        # A body that could not be read is of no entity: it is told among `unreadable` alone.
        for entity in {**dict.fromkeys(unit.settings.config.entities), **snapshots, **unreadable}
        if entity in ENTITIES
    }
    return {
        "type": unit.settings.type,
        "state": state,
        "reason": reason,
        "entities": entities,
        "unreadable": [_odd(record) for record in app.store.unreadable(unit.name, UNREADABLE_SHOWN)]
        if unreadable
        else [],
    }


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _odd(record: UnreadableRecord) -> Mapping[str, Any]:
    """Where a record was met that could not be read, and why; nothing of what it holds."""
    return {
        "entity": record.entity,
        "place": record.place,
        "key": record.key,
        "reason": record.reason,
        "times": record.times,
        "last_at": record.last_at,
    }


def _sink(app: App, unit: SinkUnit, counts: RouteCounts, trouble: LaneTrouble | None, now: datetime) -> dict[str, Any]:
    state, reason = _state(app, unit)
    if trouble is not None:
        state, reason = "error", trouble.text
    if state == "ok" and (held := app.store.holds(unit.name)):
        # One route alone waits: the others go on, and somebody has to know.
        worst = min(held, key=lambda hold: hold.kind != "refused")
        state = "error" if worst.kind == "refused" else "rate_limited"
        reason = f"route {worst.route} waits {until_text(worst.until, now)}: {worst.reason}"
    oldest = counts.oldest_ready_at
    age = max(0, round((now - oldest).total_seconds())) if oldest else None
    return {
        "type": unit.settings.type,
        "state": state,
        "reason": reason,
        **_counts(counts),
        "oldest_ready_seconds": age,
        "late": age is not None and age > LATE.total_seconds(),
    }


def _state(app: App, unit: Unit) -> tuple[str, str | None]:
    if unit.error is not None and not unit.unasked:
        return "error", unit.error
    return lane_state(app, unit.name)


def _counts(counts: RouteCounts) -> Mapping[str, int]:
    return {
        "ready": counts.ready,
        # A submitted row is under way at the vendor: for whoever watches, it runs.
        "running": counts.running + counts.submitted,
        "parked": counts.parked,
        "done": counts.done,
        "skipped": counts.skipped,
    }


def _daemons(app: App) -> list[dict[str, Any]]:
    """The daemons that share this outbox, and what each holds; empty where there is never more than one."""
    running = app.store.daemons()
    runs = app.store.running_by() if running else {}
    return [{"name": d.name, "since": d.since, "leads": d.leads, "runs": dict(runs.get(d.name, {}))} for d in running]


def _told(daemon: Mapping[str, Any]) -> str:
    holds = ", ".join(f"{rows:,} to {sink}" for sink, rows in daemon["runs"].items()) or "nothing just now"
    return f"daemon {daemon['name']}{' leads and' if daemon['leads'] else ''} delivers {holds}"


def _work(app: App, daemons: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Who works, unfinished listings, and what they and their deliveries wait for."""
    yield from map(_told, daemons)
    running = app.store.daemon_running()
    for job in app.store.backfills():
        if (unit := app.sources.get(job.source)) is not None:
            yield f"{named_listing(job)}: {_how_far(job)}{listing_waits(app, unit, running=running)}"
    for source, count in app.store.hint_counts().items():
        told = plural(count, "record is", "records are")
        yield f"{told} to be read again at {source}, which said that something changed and not what"
    yield from _jobs(app)
    for wait in waiting_sinks(app):
        yield f"{wait.owed:,} owed to {wait.sink}: {wait.text}"


def _jobs(app: App) -> Iterator[str]:
    """The vendors' jobs that run, and what waits for them."""
    found = app.store.running_jobs()
    for job in found[:JOBS_SHOWN]:
        yield f"{job.records:,} owed to {job.sink}: in {job.named}"
        if job.waiting:
            yield f"{job.waiting:,} newer owed to {job.sink}: waits for {job.named}"
    if rest := found[JOBS_SHOWN:]:
        held, waiting = sum(job.records for job in rest), sum(job.waiting for job in rest)
        yield f"{held:,} in {len(rest)} further import jobs; {waiting:,} newer states wait for them"


def named_listing(job: BackfillJob) -> str:
    """ "backfill of shop customer for crm_people"."""
    word = "backfill" if job.kind == "backfill" else "comparison"
    return f"{word} of {job.source} {job.entity}{f' for {job.route}' if job.route else ''}"


def _how_far(job: BackfillJob) -> str:
    return f"{job.seen:,}{f' of {job.total:,}' if job.total else ''} listed"


def listing_waits(app: App, unit: SourceUnit, *, running: bool) -> str:
    """What the listings of a source wait for, after "; "; empty while they go on."""
    if not running:
        return "; goes on with synccore run, or with the same command again"
    now = app.clock.now()
    lane = app.store.lane(lane_name(unit.name))
    if lane.state == "paused":
        return f"; waits: {unit.name} is paused ({remedy('paused', unit.name)})"
    if lane.until is not None and lane.until > now:
        return f"; waits for {unit.name}, {until_text(lane.until, now)} ({lane.reason or lane.state})"
    return ""
