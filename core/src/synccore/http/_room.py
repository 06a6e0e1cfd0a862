"""What all answers on their way may hold together, however many targets send however much at once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from ._time import time_left

__all__ = ["ROOM", "Room"]

#: Bytes that an answer may have without waiting for anybody.
_SMALL = 262_144


class Room:
    """Bytes that are read side by side. Who finds no room waits until others are done, as long as its call may take.

    The one that came first never waits: so somebody is always done next, and one answer may be as large as its call
    allows.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._changed = threading.Condition()
        #: Who holds how much, in the order they came.
        self._held: dict[object, int] = {}

    @contextmanager
    def seat(self) -> Iterator[Callable[[int], None]]:
        """For one answer: call what this gives with its length so far. Raises httpx.ReadTimeout."""
        who = object()

        def grow(length: int) -> None:
            if length > _SMALL:
                self._hold(who, length)

        try:
            yield grow
        finally:
            with self._changed:
                if self._held.pop(who, None) is not None:
                    self._changed.notify_all()

    def _hold(self, who: object, length: int) -> None:
        with self._changed:
            self._held.setdefault(who, 0)
            while not self._fits(who, length):
                left = time_left()
                if not self._changed.wait(None if left is None else left.total_seconds()):
                    raise httpx.ReadTimeout("other answers left no room for this one")
            self._held[who] = length

    def _fits(self, who: object, length: int) -> bool:
        others = sum(held for one, held in self._held.items() if one is not who)
        return others + length <= self._most or next(iter(self._held)) is who


#: Memory is the process's, so this is too: bytes, beside what is parsed of them.
ROOM = Room(16_000_000)
