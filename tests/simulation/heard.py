"""What reached each target, and what the operator holds: for what is said of it, and what must not come meanwhile."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from synccore._app.app import App

__all__ = ["Endless", "Heard", "written"]

#: So often nobody is asked in one round of work.
MANY = 5000


class Endless(BaseException):
    """A round of work that comes to no end."""


class Heard:
    """`now`: the machine's clock, by which the log goes as well."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        #: Target -> when it carried something out, and said so.
        self.writes: dict[str, set[datetime]] = defaultdict(set)
        #: What the operator holds, the shop or a target.
        self.held: set[str] = set()
        #: What of it was held before this round began: a call that was under way then goes on.
        self._still: frozenset[str] = frozenset()
        #: How often anybody was asked in this round.
        self._asked = 0
        #: What must not have come.
        self.faults: list[str] = []

    def look(self, app: App) -> None:
        """A process died, maybe as the operator said so, or a backup came back: what is held as far as that goes."""
        self.held = {name for name in (*app.sources, *app.sinks) if app.lane_of(name).state == "paused"}

    @contextmanager
    def round(self) -> Iterator[None]:
        """A round of the process's own work. What people ask for by hand reaches what they hold, too."""
        self._still, self._asked = frozenset(self.held), 0
        try:
            yield
        finally:
            self._still = frozenset()

    def call(self, name: str, *, wrote: bool) -> None:
        """Something reached the shop or a target."""
        self._asked += 1
        if self._asked > MANY:
            self.faults.append(f"{name} is asked again and again")
            raise Endless(self.faults[-1])
        if name in self._still:
            self.faults.append(f"{name} is held, and was asked")
        if wrote:
            self.writes[name].add(written(self._now()))


def written(at: datetime) -> datetime:
    """As the log writes a moment down."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
