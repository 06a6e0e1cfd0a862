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

    def now(self) -> datetime:
        """The time it shows."""
        return self.right.now() + self.ahead

    def sleep(self, duration: timedelta) -> None:
        """For everybody that time goes by."""
        self.right.sleep(duration)
