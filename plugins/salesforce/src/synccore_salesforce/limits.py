"""Keeps this sync from using up the org's daily API calls, which all its other apps share.

Every answer carries `Sforce-Limit-Info: api-usage=18/5000; per-app-api-usage=17/250(appName=x)` (Salesforce REST API
Developer Guide, "Limit Info Header"). Backfills stop at `share` of the day's calls, live changes at three quarters of
what is left after that; from three quarters of the share on, small live batches are made to wait for company.
"""

import re
import threading
from datetime import datetime, timedelta

from synccore.errors import RateLimited
from synccore.types import Clock

__all__ = ["BULK_ROWS", "SLICE", "Governor"]

#: Salesforce counts one batch of its daily allowance for each 10,000 rows of a job.
BULK_ROWS = 10_000
#: Operations looked up at once: five queries of 200 in one request, whatever a request may write.
SLICE = 1000

_USAGE = re.compile(r"(per-app-)?api-usage=(\d+)/(\d+)")
#: Waits grow while usage does not fall. The window is a rolling 24 hours: it falls slowly, but somebody may also buy
#: more, and one question (`/limits`) per wait costs next to nothing.
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=30), timedelta(minutes=15)
#: A reading older than this is not held against anyone: it is asked for anew.
_FRESH = timedelta(minutes=10)
#: While calls are short, a batch that is not full leaves at most this often.
_STRETCH = timedelta(seconds=60)


class Governor:
    """What is known of the org's usage, and who may call now."""

    def __init__(self, clock: Clock, share: float) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.soft = share
        self.hard = 1 - (1 - share) / 4
        self.used = 0
        self.limit = 0
        self._ratio = 0.0
        self._seen_at: datetime | None = None
        self._small_batch_at: datetime | None = None
        self._pause = timedelta(0)
        self._refused = timedelta(0)

    def observe(self, header: str | None) -> None:
        """Learn from an answer's header."""
        readings = [(bool(app), int(used), int(limit)) for app, used, limit in _USAGE.findall(header or "")]
        if not readings:
            return
        with self._lock:
            self._ratio = max((used / limit for _, used, limit in readings if limit), default=0.0)
            self.used, self.limit = next(((u, m) for app, u, m in readings if not app), (self.used, self.limit))
            self._seen_at = self._clock.now()

    @property
    def ratio(self) -> float:
        """Share of the day's calls used, as last seen; the tighter of org and app."""
        return self._ratio

    @property
    def is_stale(self) -> bool:
        """True where a stop would rest on an old reading: ask `/limits` before holding anyone."""
        if self._ratio < self.soft * 0.75 or self._seen_at is None:
            return False
        return self._clock.now() - self._seen_at >= (self._pause or _FRESH)

    def refused(self) -> timedelta:
        """Salesforce itself said that the day's calls are used up: how long to wait, longer each time in a row."""
        with self._lock:
            self._refused = _longer(self._refused)
            return self._refused

    def forget(self) -> None:
        """Forget what is known: the next answer tells anew."""
        with self._lock:
            self._ratio, self._seen_at, self._small_batch_at = 0.0, None, None
            self._pause = self._refused = timedelta(0)

    def accepted(self) -> None:
        """A call went through."""
        self._refused = timedelta(0)

    def admit(self, *, bulk: bool, full: bool) -> None:
        """Let a batch through. Raises RateLimited(retry_after) for one that has to wait."""
        if self._ratio >= (self.soft if bulk else self.hard):
            with self._lock:
                self._pause = _longer(self._pause)
            what = "a backfill waits" if bulk else "everything waits"
            raise RateLimited(
                f"{self.used} of {self.limit} API calls of the org's last 24 hours are used: {what}",
                retry_after=self._pause,
            )
        self._pause = timedelta(0)
        if full or self._ratio < self.soft * 0.75:
            return
        with self._lock:
            now = self._clock.now()
            last, self._small_batch_at = self._small_batch_at, now
            if last is not None and timedelta(0) <= now - last < _STRETCH:
                self._small_batch_at = last
                raise RateLimited(
                    "API calls are getting short: small batches wait for company", retry_after=_STRETCH - (now - last)
                )


def _longer(pause: timedelta) -> timedelta:
    return min(pause * 2, _LONGEST_PAUSE) if pause else _FIRST_PAUSE
