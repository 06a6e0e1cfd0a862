"""The clock of one machine, which somebody may set while all others go right."""

from datetime import datetime, timedelta

from attrs import define, field

from synccore.testing import FakeClock

__all__ = ["MachineClock"]


@define
class MachineClock:
    """Goes as the right one does, and may be ahead of it or behind."""

    right: FakeClock
    ahead: timedelta = timedelta(0)
    was_set: bool = False
    #: The longest that somebody slept.
    longest: timedelta = timedelta(0)
    #: Until when it was how far ahead.
    _before: list[tuple[datetime, timedelta]] = field(factory=list)

    def now(self) -> datetime:
        """The time it shows."""
        return self.right.now() + self.ahead

    def set(self, by: timedelta) -> None:
        """Somebody sets it on, or back."""
        self._before.append((self.right.now(), self.ahead))
        self.ahead, self.was_set = self.ahead + by, True

    def showed(self, time: datetime) -> list[datetime]:
        """When it showed that time (which is told in whole seconds), the earliest first; at no time, for one that is
        yet to come."""
        second, moments, since = timedelta(seconds=1), [], None
        for until, ahead in (*self._before, (self.right.now(), self.ahead)):
            moment = time - ahead
            if (since is None or since - second <= moment) and moment <= until:
                moments.append(moment)
            since = until
        return moments

    def sleep(self, duration: timedelta) -> None:
        """For everybody that time goes by."""
        self.longest = max(self.longest, duration)
        self.right.sleep(duration)
