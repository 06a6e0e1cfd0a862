"""The clock of one machine, which somebody may set while all others go right."""

from datetime import datetime, timedelta

from attrs import define

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

    def now(self) -> datetime:
        """The time it shows."""
        return self.right.now() + self.ahead

    def set(self, by: timedelta) -> None:
        """Somebody sets it on, or back."""
        self.ahead, self.was_set = self.ahead + by, True

    def sleep(self, duration: timedelta) -> None:
        """For everybody that time goes by."""
        self.longest = max(self.longest, duration)
        self.right.sleep(duration)
