"""Two threads of which one runs at any moment: who would wait for what the other one holds lets that one go on, and
goes on itself as soon as it is let go of. No clock decides anything."""

import threading
from _thread import allocate_lock, get_ident, start_new_thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any
from unittest.mock import patch

from attrs import define, field

__all__ = ["Turns", "seen_locks"]

#: The two that are at it just now, and the seconds that were waited for in vain.
_now: "Turns | None" = None
_passed = 0.0


class Lock:
    """As `threading.Lock`; the two of `Turns` wait for it by giving each other the turn, all others as ever."""

    def __init__(self) -> None:
        self._inner = allocate_lock()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Whether it was free, or came to be."""
        if self._inner.acquire(blocking=False):
            return True
        if not blocking:
            return False
        if _now is None or get_ident() not in _now.sides:
            return self._inner.acquire(timeout=timeout)
        return _now.wait(lambda: self._inner.acquire(blocking=False), timeout)

    def release(self) -> None:
        """Let go of it."""
        self._inner.release()
        if _now is not None:
            _now.released()

    def locked(self) -> bool:
        """Whether somebody has it."""
        return self._inner.locked()

    def _at_fork_reinit(self) -> None:
        """What is imported meanwhile may have one for good."""
        self._inner = allocate_lock()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


@contextmanager
def seen_locks() -> Iterator[None]:
    """Whatever is made meanwhile waits by such locks: conditions and events are made of them as well."""
    python: Any = threading
    with (
        patch.object(python, "Lock", Lock),
        patch.object(python, "_allocate_lock", Lock),
        patch.object(python, "RLock", python._PyRLock),  # the one that is written in Python
        patch.object(python, "_time", lambda: monotonic() + _passed),
    ):
        yield


@define(eq=False)
class _Side:
    """One of the two. Its `gate` opens where it gets the turn."""

    gate: Any = field(factory=allocate_lock)
    waiting: bool = False
    ended: bool = False

    def __attrs_post_init__(self) -> None:
        self.gate.acquire()


class Turns:
    """One side is whoever makes this, and has the turn; the other one is a thread that does `act` once it gets it."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act
        self._mine, self._other = _Side(), _Side()
        self._error: BaseException | None = None
        self._over = allocate_lock()
        self._over.acquire()
        #: By their threads.
        self.sides = {get_ident(): self._mine}

    def begin(self) -> bool:
        """Let the other one run; whether it is through, and does not wait for something that this one holds."""
        global _now  # noqa: PLW0603  whoever takes a lock knows of nobody else
        assert _now is None, "two are at it already"
        _now = self
        start_new_thread(self._run, ())
        self._mine.gate.acquire()
        return self._other.ended

    def end(self) -> None:
        """This side is through: the other one goes on to its end. What it raised is raised."""
        global _now  # noqa: PLW0603  see above
        self._mine.ended = True
        if not self._other.ended:
            self._other.gate.release()
        self._over.acquire()
        _now = None
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        self.sides[get_ident()] = self._other
        try:
            self._act()
        except BaseException as error:
            self._error = error
        self._other.ended = True
        if not self._mine.ended:
            self._mine.gate.release()
        self._over.release()

    def wait(self, ready: Callable[[], bool], seconds: float) -> bool:
        """Until that is so. Who waits no longer than some seconds does so in vain: the other one stands still."""
        global _passed  # noqa: PLW0603  as any clock
        if seconds >= 0:
            _passed += seconds
            return False
        side, other = self._both()
        while not ready():
            assert not other.ended, "it waits for what nobody lets go of"
            assert not other.waiting, "each waits for what the other one holds"
            side.waiting = True
            self._hand_over(side, other)
            side.waiting = False
        return True

    def released(self) -> None:
        """Something was let go of: who waits goes on, if it was for that."""
        if get_ident() in self.sides:
            side, other = self._both()
            if other.waiting:
                self._hand_over(side, other)

    def _both(self) -> tuple[_Side, _Side]:
        side = self.sides[get_ident()]
        return side, self._other if side is self._mine else self._mine

    def _hand_over(self, side: _Side, other: _Side) -> None:
        other.gate.release()
        side.gate.acquire()
