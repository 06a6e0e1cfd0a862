"""Two things at once: one after the other in both orders, and each in the middle of the other."""

import threading
from collections.abc import Callable

from attrs import define

from .mortal import MortalStore

__all__ = ["Meeting"]

#: So long is waited for who may wait for a lock that the other holds; then the other goes on, and they end together.
PATIENCE = 0.3

Act = Callable[[], object]


@define
class Meeting:
    """Lets `inner` happen at the n-th moment of `outer`: before one of its transactions, and so around every call."""

    store: MortalStore
    outer: Act
    inner: Act
    #: How many transactions `outer` has begun.
    begun: int = 0
    _error: BaseException | None = None

    def at(self, moment: int) -> bool:
        """Let them meet there; whether `outer` had so many moments. What `inner` raises is raised."""
        here, other = threading.get_ident(), threading.Thread(target=self._inner)

        def look() -> None:
            if threading.get_ident() == here:
                self.begun += 1
                if self.begun == moment + 1:
                    other.start()
                    other.join(PATIENCE)

        self.store.look = look
        try:
            self.outer()
        finally:
            self.store.look = None
        met = self.begun > moment
        if not met:
            other.start()
        other.join()
        if self._error is not None:
            raise self._error
        return met

    def _inner(self) -> None:
        try:
            self.inner()
        except BaseException as error:
            self._error = error
