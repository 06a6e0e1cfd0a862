"""Everything that is not as it should be, each with its measure: alerts, `status` and the first page choose from it."""

import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from attrs import evolve

from .._app.app import App
from .._app.units import FAILED, Unit, lane_name
from .._delivery.trouble import LaneTrouble
from ..store import LaneRecord, RouteCounts
from ..types import Trouble
from .parked import cause_id
from .parts.waits import forgotten, held_remedy, moment, remedy

__all__ = ["stuck", "troubles"]

#: How many causes of parked deliveries are told apart; the rest is counted with the last.
CAUSES = 50
#: For less long, what holds a lane up is nothing to tell anybody.
_HELD_UP = timedelta(minutes=1)


def troubles(app: App, running_since: datetime | None = None) -> tuple[Trouble, ...]:
    """Everything there is, each with its measure; asks nobody outside this machine. No personal value in it.

    `running_since`: when the daemon was started. What nobody listened to before was no silence.
    """
    now = app.clock.now()
    return (
        *_instances(app, now),
        *_held_up(app, now),
        *_holds(app, now),
        *_listings(app),
        *_silences(app, now, running_since or now),
        *_backlogs(app, now),
        *_parked(app, now),
        *_stale(app, now),
        *_disk(app, now),
    )


def _instances(app: App, now: datetime) -> Iterator[Trouble]:
    for name, source in app.sources.items():
        yield from _instance(name, source, app.store.lane(lane_name(name)), now)
    for name, sink in app.sinks.items():
        lane = app.store.lane(name)
        yield from _instance(name, sink, evolve(lane, state="ok") if forgotten(app, lane) else lane, now)


def _lasting(kind: str, name: str, since: datetime, now: datetime, sentence: str, **more: Any) -> Trouble:
    """A trouble whose measure is how long it lasts."""
    measure = (now - since).total_seconds()
    return Trouble(kind=kind, name=name, measure=measure, sentence=sentence, since=since, **more)


def _instance(name: str, unit: Unit, lane: LaneRecord, now: datetime) -> Iterator[Trouble]:
    state, reason = ("error", unit.error) if unit.error is not None and not unit.unasked else (lane.state, lane.reason)
    if state == "ok":
        return
    until = f", until {moment(lane.until)}" if lane.until is not None else ""
    sentence = f"{name}: {state.replace('_', ' ')}{until}" + (f": {reason}" if reason else "")
    yield _lasting(state, name, lane.changed_at or now, now, sentence, next=remedy(state, name))


def stuck(app: App) -> Mapping[str, LaneTrouble]:
    """Lane -> what keeps it from working beyond its state: a full disk, a call past its deadline. The daemon knows."""
    return {**app.running.troubles(), **(app.engine.troubles() if "engine" in app.__dict__ else {})}


def _held_up(app: App, now: datetime) -> Iterator[Trouble]:
    for name, trouble in stuck(app).items():
        if now - trouble.since >= _HELD_UP:
            sentence = f"{name}: {trouble.text}"
            yield _lasting("error", name, trouble.since, now, sentence, cause="held up", next="synccore status")


def _holds(app: App, now: datetime) -> Iterator[Trouble]:
    """Routes whose target refuses record after record."""
    for hold in app.store.holds():
        if hold.kind == "refused" and hold.route in app.routes:
            sentence = f"{hold.sink}: {hold.route} is held, record after record is refused: {hold.reason}"
            step = held_remedy(hold.sink)
            yield _lasting("error", hold.sink, hold.since, now, sentence, cause=hold.route, next=step)


def _listings(app: App) -> Iterator[Trouble]:
    """Listings that failed, as often as they did without one success between."""
    for name in app.sources:
        for mark, (text, at) in app.store.cursors(name).items():
            if mark.startswith(FAILED) and text:
                times, _, reason = text.partition(" ")
                entity = mark.removeprefix(FAILED)
                yield Trouble(
                    kind="listing",
                    name=name,
                    cause=entity,
                    measure=int(times),
                    sentence=f"{name}: listing {entity} failed {times} times in a row: {reason}",
                    next="synccore check",
                    since=at,
                )


def _stale(app: App, now: datetime) -> Iterator[Trouble]:
    """The daemon works with another configuration than the file holds."""
    behind = app.running.behind(app.path)
    if behind is None:
        return
    try:
        changed = datetime.fromtimestamp(app.path.stat().st_mtime, UTC)
    except OSError:
        changed = now
    yield Trouble(
        kind="stale",
        name="configuration",
        measure=max((now - changed).total_seconds(), 0),
        sentence=behind,
        next="synccore reload",
        since=changed,
    )


def _silences(app: App, now: datetime, running_since: datetime) -> Iterator[Trouble]:
    """A source whose polls do not succeed, or that changes records and sends no webhooks although it should."""
    for name, unit in app.sources.items():
        lane = app.store.lane(lane_name(name))
        if lane.state == "ok" and lane.reason and lane.changed_at:  # what it said when its webhooks were looked after
            sentence = f"{name}: {lane.reason}"
            yield _lasting("silent", name, lane.changed_at, now, sentence, cause="webhooks", next="synccore check")
        if unit.settings.config.poll is None:
            continue
        polls = [at for mark, (_, at) in app.store.cursors(name).items() if mark.startswith("polled:")]
        if not polls:
            continue
        last = max(polls)
        yield Trouble(
            kind="silent",
            name=name,
            measure=(now - max(last, running_since)).total_seconds(),
            sentence=f"{name}: nothing was heard since {moment(last)}",
            next="synccore check",
            since=last,
        )


def _backlogs(app: App, now: datetime) -> Iterator[Trouble]:
    counts = app.store.counts_by_sink()
    for name in app.sinks:
        count = counts.get(name, RouteCounts())
        if (oldest := count.oldest_ready_at) is not None:
            sentence = f"{name}: {count.ready:,} owed, the oldest since {moment(oldest)}"
            yield _lasting("backlog", name, oldest, now, sentence, next="synccore status")


def _parked(app: App, now: datetime) -> Iterator[Trouble]:
    for cause in app.store.parked_causes(CAUSES):
        yield Trouble(
            kind="parked",
            name=cause.route,
            cause=cause_id(cause.error_kind, cause.error),
            measure=cause.count,
            sentence=f"{cause.route}: {cause.count:,} parked: {cause.error}",
            next=f"synccore deliveries show {cause.first_id}",
            since=now,
        )


def _disk(app: App, now: datetime) -> Iterator[Trouble]:
    file = app.settings.database_file
    if file is None:
        return
    free = shutil.disk_usage(Path(file).parent).free
    yield Trouble(
        kind="disk",
        name="database",
        measure=free,
        sentence=f"{free / 10**9:.1f} GB are free where the database is",
        since=now,
    )
