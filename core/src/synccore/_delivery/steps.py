"""What one step of a lane works on and comes to."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import overload

from attrs import evolve, frozen

from .._plain import Plain
from ..store import Work
from ..types import Operation
from .policy import PauseLane

__all__ = ["Closing", "Item", "Operations", "Step"]


@frozen(kw_only=True)
class Step(Plain):
    """What one step did: how many deliveries were settled, and when the next step can do anything."""

    settled: int = 0
    #: None: at once. Otherwise not before then, unless something wakes the lane.
    idle_until: datetime | None = None


@frozen
class Closing(Plain):
    """The lane has to pause; `outage` counts towards the circuit."""

    pause: PauseLane
    outage: bool

    @property
    def severity(self) -> tuple[int, float]:
        """Of several, the gravest counts."""
        order = {"needs_auth": 3, "error": 2, "rate_limited": 1}
        until = self.pause.until
        return order.get(self.pause.state, 0), until.timestamp() if until else float("inf")


@frozen(kw_only=True, weakref_slot=False)
class Item(Plain):
    """A claimed delivery on its way through a step."""

    work: Work
    operation: Operation
    #: Why it is let go of, for the trail.
    why: str | None = None
    #: What its fields were made from (`Settlement.made_from`).
    made_from: str | None = None
    #: Nothing is to be done but to ask whether an earlier try was carried out.
    only_asked: bool = False

    def going(self) -> "Item":
        """Without what only the mapping needed."""
        work = self.work
        if not (work.owner or work.included or work.before or work.sent):
            return self  # most of them; to make two records anew takes a tenth of what mapping takes
        return evolve(self, work=evolve(work, owner=None, included={}, before=None, sent=None))


class Operations(Sequence[Operation]):
    """What a sink is given of a step's items."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Operation]:
        return (item.operation for item in self._items)

    @overload
    def __getitem__(self, at: int) -> Operation: ...

    @overload
    def __getitem__(self, at: slice) -> list[Operation]: ...

    def __getitem__(self, at: int | slice) -> Operation | list[Operation]:
        if isinstance(at, slice):
            return [item.operation for item in self._items[at]]
        return self._items[at].operation
