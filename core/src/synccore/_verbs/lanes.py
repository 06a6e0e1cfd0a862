"""`synccore lanes`: the ways to the sinks and from the sources, held and let go by a person."""

from datetime import datetime
from typing import Any, Literal

from attrs import asdict, evolve, frozen

from .._app.base import Base
from .._delivery.gate import RESUMED, open_by_hand
from .._plain import Plain
from ..errors import redact
from ..store import LaneRecord, RouteCounts
from ..values import timestamp
from .parts.waits import lane_state, reached

__all__ = ["LaneLine", "Resumed", "lanes", "pause", "resume"]


@frozen(kw_only=True)
class LaneLine(Plain):
    """One lane. `ready` is what is owed to a sink; a source owes nothing."""

    name: str
    kind: Literal["source", "sink"]
    state: str
    reason: str | None
    until: datetime | None
    changed_at: datetime | None
    ready: int = 0

    def document(self) -> dict[str, Any]:
        """A lane in the JSON of `lanes list --json`."""
        return {"sink": self.name, **{n: v for n, v in asdict(self).items() if n != "name"}}


@frozen(kw_only=True)
class Resumed(Plain):
    """What goes on, and what of it still waits: `later` deliveries, the first of them until `until`.

    `daemon`: one runs, and goes on with it at once.
    """

    name: str
    was: str
    ready: int
    later: int
    until: datetime | None
    daemon: bool

    def document(self) -> dict[str, Any]:
        """The JSON of `lanes resume --json`."""
        told = {n: v for n, v in asdict(self).items() if n not in ("name", "until")}
        return {"lane": self.name, "state": "ok", "until": timestamp(self.until), **told}


def lanes(app: Base) -> list[LaneLine]:
    """All lanes, sources first."""
    counts = app.store.counts_by_sink()
    return [
        LaneLine(
            name=name,
            kind="source" if name in app.sources else "sink",
            state=state,
            reason=reason,
            until=lane.until,
            changed_at=lane.changed_at,
            ready=counts.get(name, RouteCounts()).ready,
        )
        for name in (*app.sources, *app.sinks)
        for lane, (state, reason) in ((app.lane_of(name), lane_state(app, name)),)
    ]


def pause(app: Base, name: str, reason: str) -> LaneRecord:
    """Deliver nothing to a sink, or ask a source nothing, until it is resumed. Webhooks are taken in all the same."""
    reason = redact(reason, 200)  # it is shown to everybody, and people write about people
    lane = evolve(app.lane_of(name), state="paused", reason=reason, until=None, changed_at=app.clock.now(), failures=0)
    app.store.put_lane(lane)
    return lane


def resume(app: Base, name: str) -> Resumed:
    """Go on now, whatever held it: a person, a limit, an outage, and what each delivery waits for after a failure.

    Resuming reaches nobody: a lane that never was reached still waits for its first answer.
    """
    was = app.lane_of(name).state
    now = app.clock.now()
    app.store.hurry(name, now)
    lane = LaneRecord(sink=app.lane_of(name).sink, changed_at=now if reached(app, name) else None)
    open_by_hand(app.store, lane, now)
    running = app.store.daemon_running()
    if name in app.sinks and not running:
        app.store.state(RESUMED).put({name: now.isoformat()})
    later, until = app.store.later(name, now)
    ready = app.store.counts_by_sink().get(name, RouteCounts()).ready
    return Resumed(name=name, was=was, ready=ready, later=later, until=until, daemon=running)
