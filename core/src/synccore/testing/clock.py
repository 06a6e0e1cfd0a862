"""Time that a test moves by hand."""

import threading
from datetime import UTC, datetime, timedelta

__all__ = ["START", "FakeClock"]

#: Where fake clocks begin.
START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


class FakeClock:
    """A clock that stands still. `sleep` moves it, so that code that waits neither waits nor loops for ever."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self._lock = threading.Lock()
        #: Everything that was slept, in order.
        self.slept: list[timedelta] = []

    def now(self) -> datetime:
        """The time it shows."""
        with self._lock:
            return self._now

    def sleep(self, duration: timedelta) -> None:
        """Move on by `duration` at once."""
        with self._lock:
            self.slept.append(duration)
            self._now += max(duration, timedelta(0))

    def advance(self, duration: timedelta) -> None:
        """Move on (or, for a clock that was set back, backwards)."""
        with self._lock:
            self._now += duration
