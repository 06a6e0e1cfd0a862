"""The daemon's log: each change of a lane, the first of each cause, and counts of the rest, a line each.

No personal value: causes are what plugins said, cleaned of them; records are counted, not named.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from .._app.app import App
from ..errors import WaitFor
from ..types import Settled

__all__ = ["Teller"]

#: How often lanes that another process changed (a person's pause) are looked for, and how often counts are told.
LOOK, COUNTS = timedelta(seconds=5), timedelta(minutes=1)
#: A cause that was not met for this long is new again.
FORGET = timedelta(hours=6)
_MOST = 1000
_QUIET = frozenset({"ok", "paused"})


class Teller:
    """Tells one configuration's log. `settled` is an observer; `run` repeats `look` and `count`."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._counts: dict[str, Counter[str]] = {}
        self._causes: dict[tuple[str, str, str], datetime] = {}
        #: Instance -> state as it was told last.
        self._told = {name: app.lane_of(name).state for name in self._names()}
        self._since = app.clock.now()

    def _names(self) -> Iterator[str]:
        yield from (*self._app.sources, *self._app.sinks)

    def settled(self, event: Settled) -> None:
        """A delivery ended one way or other, or a lane changed."""
        if event.outcome == "lane":
            self._lane(event.sink, event.lane_state or "ok", event.reason)
            return
        with self._lock:
            self._counts.setdefault(event.sink, Counter())[event.outcome] += 1
        # Whoever waits for a parent names it: that is no cause of its own for each, and no trouble before a day.
        waits = event.error_kind == WaitFor.kind
        cause = (event.route or "", event.error_kind or "", event.outcome if waits else event.reason or "")
        if event.error_kind is not None and self._is_new(cause, event.at):
            tell = self._app.log.info if waits and event.outcome == "snoozed" else self._app.log.warning
            tell(
                "new cause",
                sink=event.sink,
                route=event.route,
                outcome=event.outcome,
                kind=event.error_kind,
                reason=event.reason,
            )

    def _is_new(self, cause: tuple[str, str, str], at: datetime) -> bool:
        with self._lock:
            last = self._causes.pop(cause, None)
            self._causes[cause] = at
            while len(self._causes) > _MOST:
                del self._causes[next(iter(self._causes))]
        return last is None or at - last > FORGET

    def _lane(self, name: str, state: str, reason: str | None) -> None:
        """A state that goes on for another reason is a line where that reason is a new cause."""
        new = self._is_new((name, state, reason or ""), self._app.clock.now())
        with self._lock:
            before = self._told.get(name, "ok")
            self._told[name] = state
        if before == state and (state in _QUIET or not new):
            return
        tell = self._app.log.info if state in _QUIET else self._app.log.warning
        tell("lane changed", instance=name, before=before, state=state, reason=reason)

    def look(self) -> None:
        """Lanes whose state is another one than was told last."""
        for name in self._names():
            lane = self._app.lane_of(name)
            if lane.state != self._told.get(name, "ok"):
                self._lane(name, lane.state, lane.reason)

    def count(self) -> None:
        """What was settled since the last time, a line for each sink."""
        with self._lock:
            counts, self._counts = self._counts, {}
        for name, found in sorted(counts.items()):
            self._app.log.info("settled", sink=name, **dict(sorted(found.items())))

    def run(self) -> None:
        """Until the process is asked to stop."""
        while not self._app.stopping.is_set():
            self._app.clock.sleep(LOOK)
            try:
                self.look()
            except Exception as error:  # noqa: BLE001  the store failed: the next look tells
                self._app.log.warning("log trouble", error=type(error).__name__)
            if self._app.clock.now() - self._since >= COUNTS:
                self._since = self._app.clock.now()
                self.count()
        self.count()
