"""Who works on a batch has the floor: Python runs one thread at a time, and several that work through records side by
side take it from each other at every row of SQL, which costs a fifth of all their work.

News never waits for it: whoever works on news goes beside the one that has it. Nothing is right or wrong by it either;
one that does not come back loses it.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Floor"]

#: Seconds after which whoever is next takes the floor from one that has not given it back: a page or a batch takes some
#: hundredths, so that one waits for something (a plugin's own network, another program's write).
PATIENCE = 0.1


class Floor:
    """One thread has it, and gives it away while it waits; the others get it in the order they asked.

    Where it is not `needed`, everybody works at once.
    """

    def __init__(self, *, needed: bool = True) -> None:
        self._needed = needed
        self._guard = threading.Lock()
        self._holder: threading.Thread | None = None
        self._queue: deque[tuple[threading.Thread, threading.Lock]] = deque()

    def take(self) -> None:
        """Wait for it, unless this thread has it."""
        if not self._needed:
            return
        me = threading.current_thread()
        with self._guard:
            if self._holder is None or self._holder is me:
                self._holder = me
                return
            turn = threading.Lock()
            turn.acquire()
            self._queue.append((me, turn))
        if not turn.acquire(timeout=PATIENCE):
            with self._guard:
                # Else it came in this very moment, and may have been taken from this thread again.
                if (me, turn) in self._queue:
                    self._queue.remove((me, turn))
                    self._holder = me

    def give(self) -> None:
        """Leave it to the next one, if this thread has it."""
        with self._guard:
            if self._holder is threading.current_thread():
                self._holder = None
                if self._queue:
                    self._holder, turn = self._queue.popleft()
                    turn.release()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Meanwhile this thread has it."""
        self.take()
        try:
            yield
        finally:
            self.give()

    @contextmanager
    def given_away(self) -> Iterator[None]:
        """This thread waits for something; nothing changes for one that does not have it."""
        if self._holder is not threading.current_thread():
            yield
            return
        self.give()
        try:
            yield
        finally:
            self.take()
