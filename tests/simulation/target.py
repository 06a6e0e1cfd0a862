"""What every vendor's account can be asked, and how it comes into trouble."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from random import Random
from typing import Any, ClassVar

from synccore._closing import Closing
from synccore.testing import Fault

from .held import Held
from .troubles import CUT, TROUBLES

__all__ = ["Target"]


class Target(Closing):
    """One vendor's account. `server` is its stand-in."""

    name: ClassVar[str]
    #: Its routes, by name.
    routes: ClassVar[Mapping[str, Mapping[str, Any]]]
    #: Where a write goes, for faults that hit writes alone.
    writes: ClassVar[tuple[str, ...]] = ("POST", "PATCH", "PUT", "DELETE")
    #: What can go wrong with one call.
    can_go_wrong: ClassVar[tuple[str, ...]] = tuple(TROUBLES)

    server: Any
    #: For so long it shows nothing new.
    lag = timedelta(0)

    def config(self) -> Mapping[str, Any]:
        """The `[sinks.NAME]` table."""
        raise NotImplementedError

    def people(self) -> list[Held]:
        """Everybody it holds."""
        raise NotImplementedError

    def mailed(self) -> set[str]:
        """Who is sent marketing mail."""
        return set()

    def deals(self) -> list[tuple[int, str]]:
        """Order and stage of every deal."""
        return []

    def fail(self, luck: Random) -> None:
        """The next calls, one to four, go wrong in one of the ways the vendor's calls go wrong."""
        kinds = [
            lambda: Fault.status(503),
            lambda: Fault.status(500),
            lambda: Fault.status(429, headers={"Retry-After": str(luck.randrange(1, 90))}),
            Fault.html,
            Fault.reset,
            Fault.truncated,
            lambda: Fault.commit_then_drop(when=self._is_write),
            lambda: Fault.commit_then_status(502, when=self._is_write),
        ]
        self.server.fail_next(*(luck.choice(kinds)() for _ in range(luck.randrange(1, 5))))

    def trouble_at(self, when: Callable[[Any], bool], trouble: str) -> None:
        """One of `TROUBLES` at the next call of which that is so."""
        self.server.fail_next((TROUBLES | CUT)[trouble](when=when))

    def go_away(self, luck: Random) -> None:
        """Nothing is answered until `come_back`."""
        self.server.fail_always(luck.choice([Fault.status(503), Fault.reset(), Fault.html(502)]))

    def come_back(self) -> None:
        """Well again."""
        self.server.clear_faults()

    def takes_a_day(self) -> None:
        """A job does, from now on, where it takes any time."""
        if getattr(getattr(self, "server", None), "job_time", None) is not None:
            self.server.job_time = timedelta(days=1)

    def owner(self, luck: Random) -> None:
        """Somebody works in the account by hand."""

    def renames(self, email: str) -> bool:
        """The owner does what gives a record another name here. As all acts by hand: whether there was one."""
        return False

    def deletes(self, email: str) -> bool:
        """The owner deletes whoever has that address."""
        return False

    def types(self, email: str) -> bool:
        """The owner types in somebody with that address, and nothing else of them, where nobody has it."""
        return False

    def as_typed(self, person: Held, wanted: Held) -> Held:
        """What is wanted of somebody, with what the owner typed of them."""
        return wanted

    def joins(self, email: str, other: str) -> bool:
        """The owner takes two for one: the first one's record goes into the other one's."""
        return False

    def refuse(self, email: str) -> None:
        """Nothing more is taken of who has that address, until `come_back`."""

    def fill(self) -> None:
        """Nobody new is taken, until `come_back`."""

    def _is_write(self, request: Any) -> bool:
        return request.method in self.writes and "token" not in request.path

    def close(self) -> None:
        """Stop the stand-in."""
        self.server.close()
