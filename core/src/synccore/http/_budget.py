"""A vendor's quota that several threads share."""

import threading
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta

from attrs import define, field

from ..errors import LONGEST_WAIT, RateLimited
from ..types import Allowance, Clock
from ._time import time_left

__all__ = ["Budget", "Window"]

#: Timers end a little early or late; more than this is on purpose.
_EARLY = timedelta(milliseconds=100)


@define
class Window:
    """One fixed quota window: at most `limit` units in each `per`."""

    limit: int
    per: timedelta
    used: int = 0
    resets_at: datetime | None = None

    def free_at(self, cost: int, now: datetime) -> datetime:
        """When `cost` units fit."""
        if self.resets_at is None or now >= self.resets_at:
            return now
        return now if self.used + cost <= self.limit else self.resets_at

    def take(self, cost: int, now: datetime) -> None:
        """Use `cost` units."""
        if self.resets_at is None or now >= self.resets_at:
            self.used, self.resets_at = 0, now + self.per
        self.used += cost

    def used_by(self, now: datetime) -> int:
        """Units used of the window that runs."""
        return 0 if self.resets_at is None or now >= self.resets_at else self.used

    def clear(self) -> None:
        """Nothing was used."""
        self.used, self.resets_at = 0, None


@define
class SlidingWindow(Window):
    """At most `limit` units within any `per`, wherever it begins: for quotas whose windows are not announced."""

    _taken: deque[tuple[datetime, int]] = field(factory=deque)

    def free_at(self, cost: int, now: datetime) -> datetime:
        """When `cost` units fit."""
        held = [(at + self.per, units) for at, units in self._taken if at + self.per > now]
        left = self.limit - sum(units for _, units in held)
        for free, units in held:
            if left >= cost:
                break
            now, left = free, left + units
        return now

    def take(self, cost: int, now: datetime) -> None:
        """Use `cost` units."""
        while self._taken and self._taken[0][0] + self.per <= now:
            self._taken.popleft()
        self._taken.append((now, cost))

    def used_by(self, now: datetime) -> int:
        """Units used of the stretch that ends now."""
        return sum(units for at, units in self._taken if at + self.per > now)

    def clear(self) -> None:
        """Nothing was used."""
        self._taken.clear()


def _length(per: timedelta) -> str:
    words = {timedelta(seconds=1): "a second", timedelta(minutes=1): "a minute", timedelta(days=1): "a day"}
    return words.get(per, f"in {per.total_seconds():g} s")


class Budget:
    """A vendor's quota that several threads share: fixed windows, corrected by the vendor's headers.

    `headroom` is the share of each window left to other users of the same account; 0.1 keeps a tenth free.
    `sliding`: nobody says when a window begins (no headers), so the limit is kept within any stretch of that length.
    """

    def __init__(
        self, clock: Clock, windows: Iterable[tuple[int, timedelta]], headroom: float = 0.0, *, sliding: bool = False
    ) -> None:
        self._clock = clock
        self._headroom = headroom
        self._lock = threading.Lock()
        kind = SlidingWindow if sliding else Window
        self._windows = [kind(self._share(limit), per) for limit, per in windows]
        self._blocked_until: datetime | None = None

    def _share(self, limit: int) -> int:
        return max(1, int(limit * (1 - self._headroom)))

    def acquire(self, cost: int = 1, max_wait: timedelta = timedelta(seconds=60)) -> None:
        """Wait until `cost` units are free and take them.

        Raises RateLimited(retry_after) where that would take longer than `max_wait` or than is left for the work under
        way: core then holds the lane.
        """
        if (left := time_left()) is not None:
            max_wait = min(max_wait, left)
        while True:
            with self._lock:
                now = self._clock.now()
                ready = max((w.free_at(cost, now) for w in self._windows), default=now)
                if self._blocked_until is not None:
                    ready = max(ready, self._blocked_until)
                if ready <= now:
                    for window in self._windows:
                        window.take(cost, now)
                    return
            if ready - now > max_wait:
                raise RateLimited("the quota is used up", retry_after=ready - now)
            self._clock.sleep(ready - now)
            if self._clock.now() + _EARLY < ready:
                # A clock that wakes early says that the process is stopping.
                raise RateLimited("stopped while waiting for the quota", retry_after=ready - now)

    def free_at(self, now: datetime, cost: int = 1) -> datetime:
        """When `cost` units will be free; `now` where they are. Takes nothing."""
        with self._lock:
            ready = max((w.free_at(cost, now) for w in self._windows), default=now)
            return max(ready, self._blocked_until) if self._blocked_until is not None else ready

    def take(self, now: datetime, cost: int = 1) -> None:
        """Take `cost` units without waiting."""
        with self._lock:
            for window in self._windows:
                window.take(cost, now)

    def observe(self, *, limit: int | None, remaining: int | None, reset: timedelta | None) -> None:
        """Correct the widest window by what the vendor said in an answer's headers."""
        if not self._windows:
            return
        with self._lock:
            now = self._clock.now()
            window = max(self._windows, key=lambda w: w.per)
            if limit is not None and limit > 0:
                window.limit = self._share(limit)
            if remaining is not None and limit is not None:
                spent = max(0, limit - remaining)
                if reset is not None:
                    window.resets_at = now + min(reset, LONGEST_WAIT)
                    window.used = max(spent, 0) if window.used < spent else window.used
                else:
                    window.used = max(window.used, spent)

    def allowances(self, label: str) -> list[Allowance]:
        """What of each window is used, for people: `Sink.budgets`. Limits are without the headroom."""
        with self._lock:
            now = self._clock.now()
            return [
                Allowance(
                    label=f"{label}, {_length(window.per)}",
                    used=window.used_by(now),
                    limit=window.limit,
                    resets_at=window.resets_at if window.resets_at is not None and window.resets_at > now else None,
                )
                for window in self._windows
            ]

    def clear(self) -> None:
        """Begin anew: a person said that what was counted is void. The vendor's next answer corrects it again."""
        with self._lock:
            self._blocked_until = None
            for window in self._windows:
                window.clear()

    def block(self, duration: timedelta) -> None:
        """Let nobody through for this long (a 429 with Retry-After), at most a day."""
        with self._lock:
            until = self._clock.now() + min(duration, LONGEST_WAIT)
            self._blocked_until = max(until, self._blocked_until) if self._blocked_until else until
