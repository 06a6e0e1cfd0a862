"""What something waits for, and until when: the same words wherever a wait is shown."""

from collections.abc import Iterable
from datetime import UTC, datetime

from attrs import frozen

from ..._app.accounts import known_account
from ..._app.base import Base
from ..._plain import Plain
from ...store import LaneRecord, RouteCounts

__all__ = [
    "SinkWait",
    "forgotten",
    "held_remedy",
    "lane_state",
    "moment",
    "reached",
    "remedy",
    "until_text",
    "waiting_sinks",
]

#: States that end by themselves: what shows them says when.
_TIMED = ("ok", "rate_limited", "circuit_open", "error")
#: Those that nobody has to mend: only the next call tells whether they are over.
_PASSING = ("rate_limited", "circuit_open")


@frozen(kw_only=True)
class SinkWait(Plain):
    """A sink that is owed something and may not be worked on now. `until` None: a person has to act."""

    sink: str
    owed: int
    state: str
    until: datetime | None
    text: str


def moment(at: datetime) -> str:
    """ "2026-01-31 14:05:10 UTC": how a time is written in a sentence."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def until_text(until: datetime, now: datetime) -> str:
    """ "until 14:05:10 UTC", with the day where it is another one."""
    text = moment(until)
    return f"until {text.removeprefix(f'{now.astimezone(UTC):%Y-%m-%d} ')}"


def reached(app: Base, name: str) -> bool:
    """Whether a source ever answered, or a sink ever took something or was connected."""
    if name in app.sources:
        polled = any(mark.startswith("polled:") for mark in app.store.cursors(name))
        return polled or bool(app.store.snapshot_counts(name))
    return app.store.counts_by_sink().get(name, RouteCounts()).done > 0 or known_account(app.store, name) is not None


def lane_state(app: Base, name: str) -> tuple[str, str | None]:
    """What holds a lane, in the words of `status`. One that nobody ever reached is not well."""
    record, now = app.lane_of(name), app.clock.now()
    if record.changed_at is None and not reached(app, name):
        return "needs_auth", f"never reached so far: run {remedy('needs_auth', name)}"
    if record.until is None or record.state not in _TIMED:
        return record.state, record.reason
    if record.until > now:
        return record.state, f"{record.reason or record.state}, {until_text(record.until, now)}"
    if record.state == "ok" or forgotten(app, record):
        return "ok", None  # what it waited for is over
    return record.state, f"{record.reason or record.state}; the wait is over, it is tried next"


def forgotten(app: Base, lane: LaneRecord) -> bool:
    """Whether a sink's wait is over and nobody waits any more: what was owed came to its end without a call (it is as
    it was, or was dismissed), and only the next one tells how the target is."""
    if lane.sink not in app.sinks or lane.state not in _PASSING or lane.until is None:
        return False
    return lane.until <= app.clock.now() and not app.store.counts_by_sink().get(lane.sink, RouteCounts()).owed


def remedy(state: str, name: str) -> str | None:
    """What to run where an instance is in a state that does not end by itself."""
    match state:
        case "needs_auth":
            return f"synccore connect {name}"
        case "paused":
            return f"synccore lanes resume {name}"
        case "error":
            return "synccore check"
    return None


def held_remedy(sink: str) -> str:
    """What helps a route whose target refuses record after record."""
    return f"synccore check; when it is mended: synccore lanes resume {sink}"


def waiting_sinks(app: Base, sinks: Iterable[str] | None = None) -> list[SinkWait]:
    """Of these sinks (all of them when left out), those that wait although something is owed there."""
    now = app.clock.now()
    found = []
    for name, counts in app.store.counts_by_sink().items():
        lane = app.store.lane(name)
        if (sinks is None or name in sinks) and counts.ready and (text := _held(lane, now)):
            until = lane.until if lane.state not in ("paused", "needs_auth") else None
            found.append(SinkWait(sink=name, owed=counts.ready, state=lane.state, until=until, text=text))
    return found


def _held(lane: LaneRecord, now: datetime) -> str | None:
    why, step = lane.reason or lane.state, remedy(lane.state, lane.sink)
    if lane.state in ("paused", "needs_auth"):
        return f"waits for a person ({why}): {step}"
    if lane.until is not None and lane.until > now:
        return f"waits {until_text(lane.until, now)} ({why})"
    return f"stopped ({why}): {step}" if lane.state == "error" else None
