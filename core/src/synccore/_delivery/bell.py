"""Wakes the threads of a lane, one at a time: what one of them can do alone is no reason for all of them to look."""

import threading

from .._floor import Floor

__all__ = ["Bell"]


class Bell:
    """One ring wakes one thread, or the next that would wait. Whoever takes something rings for what may be left."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._changed = threading.Condition()
        self._rung = False
        #: How often all were to wake.
        self._rounds = 0
        #: How many threads wait.
        self.waiting = 0

    def ring(self) -> None:
        """There may be something to do."""
        with self._changed:
            self._rung = True
            self._changed.notify()

    def ring_for_all(self) -> None:
        """Something has changed for every thread that waits."""
        with self._changed:
            self._rung = True
            self._rounds += 1
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Until it rings, or for so long; a ring since the last wait counts."""
        self._floor.give()
        with self._changed:
            rounds = self._rounds
            self.waiting += 1
            try:
                self._changed.wait_for(lambda: self._rung or self._rounds != rounds, max(seconds, 0))
            finally:
                self.waiting -= 1
            self._rung = False
