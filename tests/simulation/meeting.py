"""Two things at once: one after the other in both orders, and each in the middle of the other."""

from _thread import get_ident
from collections.abc import Callable

from attrs import define

from .mortal import MortalStore
from .turns import Turns

__all__ = ["Meeting"]

Act = Callable[[], object]


@define
class Meeting:
    """Lets `inner` happen at the n-th moment of `outer`: before one of its transactions, and so around every call.

    Where it would wait for what `outer` holds, that goes on until it lets go. The locks of both have to be seen
    (`seen_locks`).
    """

    store: MortalStore
    outer: Act
    inner: Act
    #: How many transactions `outer` has begun.
    begun: int = 0

    def at(self, moment: int) -> bool:
        """Let them meet there; whether `outer` had so many moments. What `inner` raises is raised."""
        here, turns = get_ident(), Turns(self.inner)

        def look() -> None:
            if get_ident() == here:
                self.begun += 1
                if self.begun == moment + 1:
                    turns.begin()

        self.store.look = look
        try:
            self.outer()
        finally:
            self.store.look = None
            met = self.begun > moment
            if met:
                turns.end()
        if not met:
            self.inner()
        return met
