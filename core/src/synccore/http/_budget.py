"""A vendor's quota, shared by whoever uses it up: threads, processes, hosts."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from attrs import define, field

from .._set_back import set_back
from ..errors import LONGEST_WAIT, RateLimited
from ..types import Allowance, Clock, State
from ._time import time_left

__all__ = ["Budget", "Window"]

T = TypeVar("T")

#: Timers end a little early or late; more than this is on purpose.
_EARLY = timedelta(milliseconds=100)
#: Vendors tell the end of a window in whole seconds.
_WHOLE = timedelta(seconds=1)


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

    def shift(self, by: timedelta) -> None:
        """All of it was at another time."""
        self.resets_at = self.resets_at and self.resets_at + by

    def clear(self) -> None:
        """Nothing was used."""
        self.used, self.resets_at = 0, None

    def told(self) -> Sequence[Any]:
        """What was used, as JSON."""
        return [self.used, _text(self.resets_at)]

    def recall(self, told: Sequence[Any]) -> None:
        """Know what `told` said."""
        self.used, self.resets_at = int(told[0]), _time(told[1])


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

    def shift(self, by: timedelta) -> None:
        """All of it was at another time."""
        self._taken = deque((at + by, units) for at, units in self._taken)

    def clear(self) -> None:
        """Nothing was used."""
        self._taken.clear()

    def told(self) -> Sequence[Any]:
        """What was used, as JSON."""
        return [[_text(at), units] for at, units in self._taken]

    def recall(self, told: Sequence[Any]) -> None:
        """Know what `told` said."""
        self._taken = deque((datetime.fromisoformat(at), int(units)) for at, units in told)


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _length(per: timedelta) -> str:
    words = {timedelta(seconds=1): "a second", timedelta(minutes=1): "a minute", timedelta(days=1): "a day"}
    return words.get(per, f"in {per.total_seconds():g} s")


class Budget:
    """A vendor's quota: fixed windows, corrected by the vendor's headers. Threads share it.

    `headroom` is the share of each window left to other users of the same account; 0.1 keeps a tenth free.
    `sliding`: nobody says when a window begins (no headers), so the limit is kept within any stretch of that length.
    `state`, `name`: where it is counted, as in `context.state(account)`: then all processes and hosts on one database
    share it, each call costs a small transaction, and StoreError is raised where the database cannot be used. Without
    a state each process counts for itself.
    """

    def __init__(
        self,
        clock: Clock,
        windows: Iterable[tuple[int, timedelta]],
        headroom: float = 0.0,
        *,
        sliding: bool = False,
        state: State | None = None,
        name: str = "budget",
    ) -> None:
        self._clock = clock
        self._headroom = headroom
        self._state = state
        self._name = name
        self._lock = threading.Lock()
        kind = SlidingWindow if sliding else Window
        self._windows = [kind(self._share(limit), per) for limit, per in windows]
        self._blocked_until: datetime | None = None
        #: When it was counted last.
        self._counted_at: datetime | None = None
        #: How far the state's clock, which all hosts go by, is ahead of this one's.
        self._ahead = timedelta(0)

    def _share(self, limit: int) -> int:
        return max(1, int(limit * (1 - self._headroom)))

    def acquire(self, cost: int = 1, max_wait: timedelta = timedelta(seconds=60)) -> None:
        """Wait until `cost` units are free and take them.

        Raises RateLimited(retry_after) where that would take longer than `max_wait` or than is left for the work under
        way: core then holds the lane.
        """
        if (left := time_left()) is not None:
            max_wait = min(max_wait, left)
        while wait := self._take(cost):
            if wait > max_wait:
                raise RateLimited("the quota is used up", retry_after=wait)
            ready = self._clock.now() + wait
            self._clock.sleep(wait)
            if self._clock.now() + _EARLY < ready:
                # A clock that wakes early says that the process is stopping.
                raise RateLimited("stopped while waiting for the quota", retry_after=wait)

    def free_at(self, now: datetime, cost: int = 1) -> datetime:
        """When `cost` units will be free; `now` where they are. Takes nothing."""
        with self._lock:
            self._look(now + self._ahead)
            return now + self._wait(cost, now + self._ahead)

    def take(self, now: datetime, cost: int = 1) -> datetime:
        """Take `cost` units and give `now`; where they are not free take nothing, and give the time they will be."""
        return now + self._take(cost)

    def _take(self, cost: int) -> timedelta:
        """How long until so many are free; nothing: they were, and are taken."""

        def taking(now: datetime) -> timedelta:
            if not (wait := self._wait(cost, now)):
                for window in self._windows:
                    window.take(cost, now)
            return wait

        return self._alone(taking)

    def _wait(self, cost: int, now: datetime) -> timedelta:
        ready = max((w.free_at(cost, now) for w in self._windows), default=now)
        return max(ready, self._blocked_until or now) - now

    def observe(self, *, limit: int | None, remaining: int | None, reset: timedelta | None) -> None:
        """Correct the widest window by what the vendor said in an answer's headers."""
        if not self._windows:
            return
        window = max(self._windows, key=lambda w: w.per)
        if limit is not None and limit > 0:
            window.limit = self._share(limit)
        if remaining is None or limit is None:
            return
        spent = max(0, limit - remaining)

        def corrected(now: datetime) -> bool:
            ends = None if reset is None else now + min(reset, LONGEST_WAIT)
            known = window.resets_at is not None and (ends is None or abs(window.resets_at - ends) <= _WHOLE)
            if window.used < spent or not known:
                window.used = max(window.used, spent)
                window.resets_at = window.resets_at if ends is None else ends
            return known

        self._alone(corrected)

    def allowances(self, label: str) -> list[Allowance]:
        """What of each window is used, for people: `Sink.budgets`. Limits are without the headroom."""
        with self._lock:
            now = self._clock.now() + self._ahead
            self._look(now)
            return [
                Allowance(
                    label=f"{label}, {_length(window.per)}",
                    used=window.used_by(now),
                    limit=window.limit,
                    resets_at=window.resets_at - self._ahead
                    if window.resets_at is not None and window.resets_at > now
                    else None,
                )
                for window in self._windows
            ]

    def clear(self) -> None:
        """Begin anew: a person said that what was counted is void. The vendor's next answer corrects it again."""
        self._alone(lambda _: self._know(None))

    def block(self, duration: timedelta) -> None:
        """Let nobody through for this long (a 429 with Retry-After), at most a day."""

        def blocking(now: datetime) -> None:
            until = now + min(duration, LONGEST_WAIT)
            self._blocked_until = max(until, self._blocked_until or until)

        self._alone(blocking)

    # -- where it is counted

    def _alone(self, work: Callable[[datetime], T]) -> T:
        """What `work` makes of what all together used, while nobody else uses anything."""
        with self._lock:
            own = self._clock.now()
            if self._state is None:
                self._go_along(own)
                return work(own)
            done: list[T] = []

            def change(told: Any, now: datetime) -> Mapping[str, Any]:
                self._know(told)
                self._ahead = now - own
                self._go_along(now)
                done.append(work(now))
                windows = [window.told() for window in self._windows]
                return {"blocked": _text(self._blocked_until), "windows": windows, "at": _text(self._counted_at)}

            self._state.change(self._name, own, change)
            return done[0]

    def _look(self, now: datetime) -> None:
        if self._state is not None:
            self._know(self._state.get(self._name))
        self._go_along(now)

    def _go_along(self, now: datetime) -> None:
        """With a clock that was set back: nobody waits longer for that."""
        if back := set_back(self._counted_at, now):
            for window in self._windows:
                window.shift(-back)
            self._blocked_until = self._blocked_until and self._blocked_until - back
        self._counted_at = now if back else max(now, self._counted_at or now)

    def _know(self, told: Mapping[str, Any] | None) -> None:
        """Know what somebody told; of windows that were others then, and of nothing: that nothing was used."""
        self._blocked_until = _time(told["blocked"]) if told else None
        self._counted_at = _time(told.get("at")) if told else None
        before = told["windows"] if told and len(told["windows"]) == len(self._windows) else None
        for number, window in enumerate(self._windows):
            if before is None:
                window.clear()
            else:
                window.recall(before[number])
