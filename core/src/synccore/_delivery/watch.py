"""Calls into a plugin that do not come back: seen while they are late, and in the end waited for no longer."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypeVar

from attrs import frozen

from .._floor import Floor
from .._plain import Plain
from ..errors import RateLimited
from ..http import time_left
from ..store import Delivery
from ..types import Clock

__all__ = ["Flight", "Turn", "Watch"]

T = TypeVar("T")

#: So many calls of a lane may be waited for no longer at the same time, each in a thread that nothing can end.
#: After that a person has to start the process again.
MOST_LOST = 5
#: For how long records of a call that did not come back go alone: until each had its three tries.
ALONE = timedelta(minutes=15)


@frozen
class Flight(Plain):
    """A lease that runs in this process."""

    thread: threading.Thread
    deliveries: Sequence[Delivery] = ()


class Turn:
    """What one thread at a time does while the others go by."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: threading.Thread | None = None

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """Whether it is this thread's turn."""
        me = threading.current_thread()
        with self._lock:
            mine = self._owner is None
            if mine:
                self._owner = me
        try:
            yield mine
        finally:
            if mine:
                self.relieve(me)

    def relieve(self, thread: threading.Thread) -> None:
        """Let others go on where this thread was at it."""
        with self._lock:
            if self._owner is thread:
                self._owner = None


class Watch:
    """The calls of one lane that are under way, by thread."""

    def __init__(self, clock: Clock, floor: Floor) -> None:
        self._clock = clock
        self.floor = floor
        self._since: dict[threading.Thread, datetime] = {}
        self._turns: list[Turn] = []
        #: Threads whose call is waited for no longer.
        self._lost: set[threading.Thread] = set()
        #: Deliveries of such calls, with the time they were given back.
        self._suspects: dict[int, datetime] = {}

    @contextmanager
    def call(self) -> Iterator[None]:
        """One call into the plugin. None begins after the end of the work it belongs to (`time_limit`), or in a
        thread that was given up.

        Raises RateLimited then: nothing was sent, and the records wait unharmed.
        """
        left = time_left()
        if self.is_lost() or (left is not None and not left):
            raise RateLimited(
                "the time for one delivery was over before this was sent: it goes with the next",
                retry_after=timedelta(seconds=1),
                scope="operation",
            )
        with self.waited_for(), self.floor.given_away():
            yield

    @contextmanager
    def waited_for(self) -> Iterator[None]:
        """What may not come back, and sends nothing."""
        me = threading.current_thread()
        self._since[me] = self._clock.now()
        try:
            yield
        finally:
            self._since.pop(me, None)

    def turn(self) -> Turn:
        """A turn that a lost thread does not keep."""
        turn = Turn()
        self._turns.append(turn)
        return turn

    def watched(self, ask: Callable[[], T]) -> Callable[[], T]:
        """As `call`, around one that is made elsewhere."""

        def asking() -> T:
            with self.call():
                return ask()

        return asking

    def began(self) -> datetime:
        """When the oldest of the calls began that are waited for; now, where none is under way."""
        waited = [since for thread, since in list(self._since.items()) if thread not in self._lost]
        return min(waited, default=self._clock.now())

    def later_than(self, duration: timedelta) -> list[threading.Thread]:
        """Threads whose call runs for longer, as many as may be waited for no longer."""
        now = self._clock.now()
        self._lost = {thread for thread in self._lost if thread.is_alive()}
        late = [t for t, since in list(self._since.items()) if now - since > duration and t not in self._lost]
        return late[: MOST_LOST - len(self._lost)]

    def lose(self, thread: threading.Thread, suspects: Iterable[int]) -> None:
        """Wait for its call no longer. `suspects`: deliveries that it had, one of which is to blame."""
        self._lost.add(thread)
        self._suspects |= dict.fromkeys(suspects, self._clock.now())
        for turn in self._turns:
            turn.relieve(thread)

    def cleared(self, deliveries: Iterable[int]) -> None:
        """A call with these came back."""
        for one in () if self.is_lost() else deliveries:
            self._suspects.pop(one, None)

    @property
    def suspicious(self) -> bool:
        """Whether each record has to go alone, so that the one that holds its call up holds up no other."""
        if self._suspects:
            now = self._clock.now()
            self._suspects = {one: at for one, at in self._suspects.items() if now - at < ALONE}
        return bool(self._suspects)

    def is_lost(self) -> bool:
        """Whether this thread was given up: another one is in its place."""
        return threading.current_thread() in self._lost
