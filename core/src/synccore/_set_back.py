"""A clock that was set back: nobody waits longer for that."""

import threading
from datetime import datetime, timedelta

__all__ = ["TURN", "Hand", "lately", "set_back"]

#: Who comes after another one may know an earlier time, for it waited its turn; more than this is a clock set back.
TURN = timedelta(seconds=10)


def lately(noted: datetime, now: datetime, within: timedelta) -> bool:
    """Whether it was noted less than so long ago. What was noted at a time that is yet to come was noted before the
    clock was set back: nobody knows how long ago that is."""
    return -TURN <= now - noted < within


def set_back(last: datetime | None, now: datetime) -> timedelta:
    """By how much a clock was set back since it was last looked at; nothing where it was not."""
    return last - now if last is not None and now < last - TURN else timedelta(0)


class Hand:
    """Where a clock stood at the last look, by a process before this one (`last`) too. Safe from any thread."""

    def __init__(self, last: datetime | None) -> None:
        self._lock = threading.Lock()
        self._last = last

    def back(self, now: datetime) -> timedelta:
        """By how much it was set back since; nothing where it was not."""
        with self._lock:
            back = set_back(self._last, now)
            self._last = now if back else max(now, self._last or now)
        return back
