"""How far a listing is, told now and then: for each page it would be half of what the page costs."""

from collections.abc import Callable
from datetime import datetime, timedelta

from .._ingest.listing import Listed
from ..types import Clock

__all__ = ["NowAndThen"]

EVERY = timedelta(milliseconds=250)


class NowAndThen:
    """Calls `tell` with the first of what it is given, with what comes long enough after that, and with the last."""

    def __init__(self, clock: Clock, tell: Callable[[Listed], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._told_at: datetime | None = None
        self._waiting: Listed | None = None

    def __call__(self, listed: Listed) -> None:
        now = self._clock.now()
        if self._told_at is not None and now - self._told_at < EVERY:
            self._waiting = listed
            return
        self._told_at, self._waiting = now, None
        self._tell(listed)

    def close(self) -> None:
        """There is no more: what was not told is told."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._tell(waiting)
