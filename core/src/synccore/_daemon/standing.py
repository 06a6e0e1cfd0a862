"""How one source is: whether it may be asked now, and what comes of its failures."""

from datetime import datetime, timedelta

from .._app.accounts import another_account
from .._app.app import App
from .._app.units import SourceUnit, lane_name
from .._delivery.policy import Tried, decide, error_text, source_state
from .._delivery.recognition import EVERY as RECOGNISE_EVERY
from .._ingest.listing import Listed, Stopped
from .._set_back import Hand, lately
from ..errors import AnotherAccount, Transient
from ..store import LaneRecord, StoreError
from ..types import Settled

__all__ = ["LOOK", "RECHECK", "Standing"]

#: How soon a source that failed in a way only a person can mend is asked again.
RECHECK = timedelta(minutes=5)
#: A source that is away, or in maintenance for as long as it may say, is looked for at least this often.
LOOK = timedelta(seconds=30)


class Standing:
    """Kept beside the lanes', so that `status` and other daemons see it. Safe from any of the source's threads."""

    def __init__(self, app: App, unit: SourceUnit) -> None:
        self._app = app
        self._unit = unit
        self._store, self._clock = app.store, app.clock
        self._hand = Hand(app.store.noted_last())
        self.retry_at: datetime | None = None
        #: In a row.
        self.failures = 0
        self._recognised_at: datetime | None = None

    def paused(self) -> bool:
        """Whether a person paused it."""
        return self._store.lane(lane_name(self._unit.name)).state == "paused"

    def doubt(self) -> None:
        """Recognise the shop anew before the next work."""
        self._recognised_at = None

    def recognise(self) -> None:
        """Before the first work, after trouble and now and then: is this the shop its records are of?

        Raises AnotherAccount otherwise.
        """
        now = self._clock.now()
        if self._recognised_at is not None and lately(self._recognised_at, now, RECOGNISE_EVERY):
            return
        if another := another_account(self._store, self._unit.name, self._unit.instance, source=True):
            raise AnotherAccount(another)
        self._recognised_at = now

    def may_ask(self, now: datetime) -> bool:
        """Not while a person paused it, nor before its time after a failure, unless a person resumed it."""
        if back := self._hand.back(now):
            self._store.go_along(back, now, sink=lane_name(self._unit.name), source=self._unit.name)
            self.retry_at = self.retry_at and self.retry_at - back
        lane = self._store.lane(lane_name(self._unit.name))
        if lane.state == "ok" and lane.until is None:
            self.retry_at = None
        return lane.state != "paused" and (self.retry_at is None or now >= self.retry_at)

    def unless_paused(self, _: Listed) -> None:
        """Between two pages: the listing of a source that a person paused goes on from its cursor later."""
        if self.paused():
            raise Stopped

    def failed(self, error: Exception) -> None:
        """What the policy says of it. Raises a StoreError: our own trouble, and over as soon as the store works."""
        self._recognised_at = None
        if isinstance(error, StoreError):
            raise error
        now = self._clock.now()
        decision = decide(error, Tried(lane_failures=self.failures), now, self._app.random)
        self.failures += 1
        until = getattr(decision, "until", None) or now + RECHECK
        # A shop in maintenance says ten minutes and means ten seconds; one that asks us to slow down means it.
        longest = LOOK if isinstance(error, Transient) else RECHECK
        self.retry_at = min(until, now + longest)
        self.put_state(source_state(error, decision), error_text(error), self.retry_at)

    def succeeded(self) -> None:
        """The source answered: nothing is waited for any more, and a lane that stood still is well."""
        self.retry_at, self.failures = None, 0
        lane = self._store.lane(lane_name(self._unit.name))
        if lane.state != "ok" or lane.changed_at is None:
            self.put_state("ok", None)

    def put_state(self, state: str, reason: str | None, until: datetime | None = None) -> None:
        """Keep it, unless a person paused the source meanwhile."""
        name, now = lane_name(self._unit.name), self._clock.now()
        before = self._store.lane(name)
        if before.state == "paused":
            return
        since = (before.changed_at if state == before.state != "ok" else None) or now
        self._store.put_lane(LaneRecord(sink=name, state=state, reason=reason, until=until, changed_at=since))
        if (before.state, before.reason) != (state, reason):
            told = Settled(at=now, sink=self._unit.name, outcome="lane", lane_state=state, reason=reason)
            self._app.observe(told)
