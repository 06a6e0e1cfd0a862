"""Whether a lane may work now: pause by a person, rate limit, lost credentials, open circuit. Survives restarts."""

import threading
from datetime import datetime

from attrs import evolve

from ..store import LaneRecord, Store
from .policy import PauseLane

#: Where `lanes resume` leaves word for the daemon that comes: sink -> when.
RESUMED = "synccore:resumed"
#: How often a person opened a lane, for the processes that work on it: sink -> times.
_OPENED = "synccore:opened"
#: States that end by themselves when their time has come.
TIMED = ("ok", "rate_limited", "circuit_open", "error")


def open_by_hand(store: Store, lane: LaneRecord, now: datetime) -> None:
    """Let a lane go on because a person says so: whoever works on it looks afresh at what it waited for."""
    store.state(_OPENED).change(lane.sink, now, lambda times, _: (times or 0) + 1)
    store.put_lane(lane)


class Gate:
    """One lane's gate. `record` is read again from the store where another process may have changed it."""

    def __init__(self, store: Store, sink: str) -> None:
        self._store = store
        self._sink = sink
        self._lock = threading.Lock()
        self.record = store.lane(sink)
        self._marks = store.state(RESUMED)
        self._opened = store.state(_OPENED).get(sink)
        self._looked = False

    def refresh(self) -> bool:
        """Look at what the store says now: `lanes pause`, `lanes resume` and `connect` write there.

        Whether a person opened the gate since the last look, even if it was closed and opened in between. That a call
        of another process got through is no such word: what all have used of a quota stays used.
        """
        with self._lock:
            meanwhile = self._resumed_meanwhile()
            before, self.record = self.record, self._store.lane(self._sink)
            touched = before.state != "ok" or before.until is not None or before.changed_at != self.record.changed_at
            if not touched or self.record.state != "ok" or self.record.until is not None:
                return meanwhile
            known, self._opened = self._opened, self._store.state(_OPENED).get(self._sink)
            return meanwhile or known != self._opened

    def _resumed_meanwhile(self) -> bool:
        """Whether a person resumed the lane while no process had it: waits that a sink wrote down are void too."""
        if self._looked:
            return False
        self._looked = True
        if self._marks.get(self._sink) is None:
            return False
        self._marks.put({self._sink: None})
        return True

    def open_at(self, now: datetime) -> datetime | None:
        """`now` where the lane may work, the time it may work again, or None: a person has to act first."""
        record = self.record
        if record.state not in TIMED:
            return None
        if record.until is None:
            return now if record.state == "ok" else None
        return max(now, record.until)

    @property
    def probing(self) -> bool:
        """After an outage the first call carries one operation only."""
        return self.record.failures > 0

    def close(self, decision: PauseLane, now: datetime, *, outage: bool) -> bool:
        """Close as the policy decided; whether the state changed. A person's pause stays."""
        with self._lock:
            current = self._store.lane(self._sink)
            if current.state == "paused":
                self.record = current
                return False
            if outage and current.failures and current.until is not None and current.until > now:
                # Calls that were under way side by side fail together: that is one outage, not several in a row.
                self.record = current
                return False
            changed = (current.state, current.reason) != (decision.state, decision.reason)
            self.record = LaneRecord(
                sink=self._sink,
                state=decision.state,
                reason=decision.reason,
                until=decision.until,
                changed_at=now if current.state != decision.state else current.changed_at,
                failures=current.failures + 1 if outage else current.failures,
            )
            self._store.put_lane(self.record)
            return changed

    def forget_mistake(self, now: datetime) -> None:
        """Open where a mistake in the configuration closed it: it may be mended."""
        with self._lock:
            self.record = self._store.lane(self._sink)
            if self.record.state == "error":
                self.record = evolve(self.record, state="ok", reason=None, until=None, changed_at=now)
                self._store.put_lane(self.record)

    def succeeded(self, now: datetime) -> bool:
        """A call got through: the circuit closes. Whether the state changed."""
        record = self.record
        if record.state == "ok" and record.failures == 0 and record.until is None and record.changed_at is not None:
            return False
        with self._lock:
            current = self._store.lane(self._sink)
            if current.state not in TIMED:
                self.record = current
                return False
            self.record = evolve(current, state="ok", reason=None, until=None, failures=0, changed_at=now)
            self._store.put_lane(self.record)
            return current.state != "ok"
