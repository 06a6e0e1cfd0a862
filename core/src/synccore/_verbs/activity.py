"""How much happened, and how much waited, in each stretch of the last day."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from attrs import define, frozen

from .._app.base import Base
from .._plain import Plain

__all__ = ["SLOTS", "STEP", "Day", "Slot", "last_day"]

STEP = timedelta(minutes=30)
SLOTS = 48
_ARRIVED = ("delivered", "unchanged")
_WRONG = ("parked", "retry", "failed")


@define
class Slot:
    """One stretch: what arrived, what did not work, and what was owed at its end."""

    at: datetime
    delivered: int = 0
    wrong: int = 0
    owed: int = 0


@frozen
class Day(Plain):
    """The last day, the oldest stretch first."""

    slots: Sequence[Slot]

    @property
    def delivered(self) -> int:
        """All that arrived."""
        return sum(slot.delivered for slot in self.slots)

    @property
    def wrong(self) -> int:
        """All that did not work."""
        return sum(slot.wrong for slot in self.slots)


def last_day(app: Base, sink: str | None = None) -> Day:
    """From the trail and the outbox, for one sink or all. What was folded into a newer state counts once."""
    now = app.clock.now()
    since = now - STEP * SLOTS
    slots = [Slot(at=since + STEP * number) for number in range(SLOTS)]
    for number, outcome, rows in app.store.throughput(since, STEP, sink):
        slot = slots[min(number, SLOTS - 1)]
        if outcome in _ARRIVED:
            slot.delivered += rows
        elif outcome in _WRONG:
            slot.wrong += rows
    changes = [0] * (SLOTS + 1)
    for made, ended, rows in app.store.flow(since, STEP, sink):
        changes[min(max(made, 0), SLOTS - 1)] += rows
        if ended is not None:
            changes[min(ended, SLOTS - 1)] -= rows
    owed = 0
    for slot, change in zip(slots, changes, strict=False):
        owed += change
        slot.owed = owed
    return Day(slots)
