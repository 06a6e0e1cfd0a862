"""Attempts to collect a renewal, told apart from what was seen of its order, in whatever order it was seen.

The API has no list of attempts. An order that is `failed` tells of one. With automatic retry on, Subscriptions moves
the order on to `pending` in the same request, so that nobody ever sees `failed`: then the order's meta data says that
its payment failed, and the subscription when it is tried again. Each sight of an order is kept with its version, and
a failure is a run of sights that no other state interrupts. An order that is owed once more after it was cancelled has
the mark still, and failed no second time. A sight that arrives late finds its place among the others, and what was
told once keeps its number.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import evolve, frozen

__all__ = ["Failure", "History", "Sight"]

#: Sights kept of one order: many more than Subscriptions has retry rules.
_KEPT = 40


@frozen(kw_only=True)
class Failure:
    """One failed attempt. `number` is its name for good; `at` and `retry` are times in ISO form ("": unknown)."""

    number: int
    at: str
    retry: str = ""
    #: None: nobody asked yet; "": nobody says.
    reason: str | None = None


@frozen(kw_only=True)
class Sight:
    """What one look at the order showed: `failed`, `waiting` (for the retry at `retry`), or something else ("")."""

    version: int
    kind: str
    retry: str = ""
    #: The failure it belongs to; 0: none.
    failure: int = 0


@frozen(kw_only=True)
class History:
    """All that is known of one renewal's attempts."""

    sights: tuple[Sight, ...] = ()
    failures: tuple[Failure, ...] = ()

    def seen(self, sight: Sight) -> "History":
        """The history with one sight more, and with the failure that it may be the first to tell of."""
        place = sum(1 for other in self.sights if other.version <= sight.version)
        before = self.sights[place - 1] if place else None
        after = self.sights[place] if place < len(self.sights) else None
        if not sight.kind:
            within = before is not None and after is not None and before.failure == after.failure != 0
            parts = within and after is not None and _is_told(after) and not self._waited(after, place)
            grown = self._with(place, sight)
            return grown._parted(place + 1) if parts else grown  # noqa: SLF001  its own
        number = self._known(sight, place)
        if number:
            marked = evolve(self, failures=_marked(self.failures, number, sight.retry))
            return evolve(marked, sights=self._with(place, evolve(sight, failure=number)).sights)
        new = self._next(sight)
        grown = self._with(place, evolve(sight, failure=new.number))
        return evolve(grown, failures=(*self.failures, new))

    def explained(self, reason: str | None) -> "History":
        """With the reason of the last failure."""
        return evolve(self, failures=(*self.failures[:-1], evolve(self.failures[-1], reason=reason)))

    def attempt(self, failure: Failure) -> int:
        """Which attempt it was, 1 for the first, by the time of the failures."""
        return 1 + sum(1 for other in self.failures if (other.at, other.number) < (failure.at, failure.number))

    # -- inside

    def _next(self, sight: Sight) -> Failure:
        number = max((f.number for f in self.failures), default=0) + 1
        at = datetime.fromtimestamp(sight.version / 1000, UTC).isoformat() if sight.version else ""
        return Failure(number=number, at=at, retry=sight.retry)

    def _parted(self, place: int) -> "History":
        """What was taken for one failure was interrupted: from `place` on it is another one."""
        old, new = self.sights[place].failure, self._next(self.sights[place])
        sights = tuple(
            evolve(s, failure=new.number) if n >= place and s.failure == old else s for n, s in enumerate(self.sights)
        )
        return evolve(self, sights=sights, failures=(*self.failures, new))

    def _known(self, sight: Sight, place: int) -> int:
        """The failure that a sight belongs to by its neighbours; 0 for a new one."""
        before = self.sights[place - 1] if place else None
        after = self.sights[place] if place < len(self.sights) else None
        if sight.kind == "failed":
            if before is not None and before.kind == "failed":
                return before.failure
            # The retry rule moves on what failed a moment before, and a hold has the mark of whatever failed before it.
            follows = after if after is not None and after.kind else self._held_after(place)
            return follows.failure if follows is not None and follows.failure != self._last(place) else 0
        if before is not None and before.kind:
            # An order that is as it was failed no more: its subscription waits for another one's retry meanwhile.
            seen = any(s.retry and s.version == sight.version for s in self.sights[:place])
            if seen or self._retry_of(before.failure) in ("", sight.retry):
                return before.failure
        if sight.retry and (waits := self._waits_for(sight.retry)):
            return waits
        if not _is_told(sight) and (last := self._last(place)):
            return last
        return after.failure if after is not None and after.kind and after.retry == sight.retry else 0

    def _held_after(self, place: int) -> Sight | None:
        """The next sight of an order that is owed, where it tells of no failure by itself."""
        following = next((s for s in self.sights[place:] if s.kind), None)
        return following if following is not None and not _is_told(following) else None

    def _last(self, place: int) -> int:
        """The last failure before that place; 0: none."""
        return next((s.failure for s in reversed(self.sights[:place]) if s.failure), 0)

    def _waited(self, sight: Sight, place: int) -> bool:
        """Whether the order waited for that retry before that place already."""
        return bool(sight.retry) and any(other.retry == sight.retry for other in self.sights[:place])

    def _waits_for(self, retry: str) -> int:
        """The failure after which that retry was set, which each sets anew; 0: none."""
        return next((f.number for f in self.failures if f.retry == retry), 0)

    def _retry_of(self, number: int) -> str:
        return next((f.retry for f in self.failures if f.number == number), "")

    def _with(self, place: int, sight: Sight) -> "History":
        sights = (*self.sights[:place], sight, *self.sights[place:])
        return evolve(self, sights=sights[-_KEPT:])

    # -- as JSON

    def to_json(self) -> dict[str, Any]:
        """What the instance's state keeps."""
        return {
            "sights": [[s.version, s.kind, s.retry, s.failure] for s in self.sights],
            "failures": [[f.number, f.at, f.retry, f.reason] for f in self.failures],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> "History":
        """What `to_json` gave; also what an older release kept, which knew only a count."""
        data = data or {}
        if "failures" in data and isinstance(data["failures"], int):
            count = data["failures"]
            kind = "failed" if data.get("status") == "failed" else ""
            return cls(
                sights=(Sight(version=0, kind=kind, failure=count if kind else 0),),
                failures=tuple(Failure(number=n, at="") for n in range(1, count + 1)),
            )
        return cls(
            sights=tuple(_sight(row) for row in data.get("sights", ())),
            failures=tuple(_failure(row) for row in data.get("failures", ())),
        )


def _is_told(sight: Sight) -> bool:
    """Whether a sight tells of a failure by itself. One that waits for no retry only has the mark of a former one:
    somebody cancelled the order by hand, and took it up again."""
    return sight.kind == "failed" or bool(sight.retry)


def _marked(failures: Sequence[Failure], number: int, retry: str) -> tuple[Failure, ...]:
    """With the time of the retry, where it was not known yet."""
    return tuple(evolve(f, retry=f.retry or retry) if f.number == number else f for f in failures)


def _sight(row: Sequence[Any]) -> Sight:
    return Sight(version=int(row[0]), kind=str(row[1]), retry=str(row[2]), failure=int(row[3]))


def _failure(row: Sequence[Any]) -> Failure:
    return Failure(number=int(row[0]), at=str(row[1]), retry=str(row[2]), reason=row[3])
