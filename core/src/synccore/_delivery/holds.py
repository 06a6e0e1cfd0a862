"""Routes that wait: their target refuses record after record, or asked for time for this route alone.

What meets record after record without one success is not the records' fault (no room left, an object that is gone, a
permission that was taken away): the route is held with that reason, no attempt is used, nothing is parked, and one
record at a time is the probe until one gets through. The lane's other routes go on.
"""

import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from attrs import define, field

from ..store import Hold, Store
from ..types import Failed
from .halving import MANY, Answer, cause_of

__all__ = ["Holds"]

#: How soon a held route is tried with one record, growing up to the cap.
FIRST = timedelta(seconds=5)
CAP = timedelta(minutes=5)


@define
class _Run:
    """Equal refusals of one route since its last success."""

    cause: str
    count: int = 0
    #: Rows that were parked for it.
    parked: list[int] = field(factory=list)


class Holds:
    """The held routes of one lane; kept in the store, so that a restart and `status` know them."""

    def __init__(self, store: Store, sink: str, random_: random.Random) -> None:
        self._store = store
        self._sink = sink
        self._random = random_
        self._runs: dict[str, _Run] = {}
        self._held: dict[str, Hold] = {}

    def refresh(self) -> None:
        """What the store says now."""
        self._held = {hold.route: hold for hold in self._store.holds(self._sink)}

    def clear(self) -> None:
        """A person let everything go on."""
        self._runs.clear()
        for route in list(self._held):
            self._drop(route)

    def until(self, route: str, now: datetime) -> datetime | None:
        """When a held route may be tried; None where it is free to go."""
        hold = self._held.get(route)
        return hold.until if hold is not None and hold.until > now else None

    def probing(self, route: str) -> bool:
        """Whether one record is all that may be tried."""
        hold = self._held.get(route)
        return hold is not None and hold.kind == "refused"

    def rest(self, route: str, until: datetime, reason: str, now: datetime) -> None:
        """The target asked for time for this route."""
        known = self._held.get(route)
        if known is None or known.kind != "refused":
            since = known.since if known is not None else now
            self._put(Hold(route=route, sink=self._sink, kind="rate_limited", reason=reason, until=until, since=since))

    def judge(self, route: str, answers: Sequence[Answer], now: datetime) -> tuple[Hold | None, str | None]:
        """What a call's answers mean for the route: the hold it is under now and the cause that made it, if any."""
        if any(not isinstance(a.outcome, Failed) for a in answers):
            self._runs.pop(route, None)
            self._drop(route)
            return None, None
        causes = Counter(cause for a in answers if (cause := cause_of(a.outcome)) is not None)
        if not causes:
            return None, None
        cause, count = causes.most_common(1)[0]
        run = self._runs.get(route)
        held = self._held.get(route)
        if held is not None and held.kind == "refused":
            if not held.reason.endswith(_words(cause)):
                return None, None  # another fault: this record's own
            return self._again(held, now), cause
        if run is None or run.cause != cause:
            run = self._runs[route] = _Run(cause)
        run.count += count
        if run.count <= MANY:
            return None, None
        reason = f"the target refuses record after record: {_words(cause)}"
        first = Hold(route=route, sink=self._sink, kind="refused", reason=reason, until=now, since=now)
        hold = self._again(first, now)
        if run.parked:
            self._store.retry(run.parked, now)
            run.parked.clear()
        return hold, cause

    def parked(self, route: str, delivery: int, cause: str | None) -> None:
        """A record was parked for this refusal: if the next ones are refused alike, it was not its fault."""
        run = self._runs.get(route)
        if run is not None and run.cause == cause:
            run.parked.append(delivery)

    def _again(self, hold: Hold, now: datetime) -> Hold:
        wait: timedelta = min(CAP, FIRST * 2 ** min(hold.failures, 10)) * self._random.uniform(0.8, 1)
        renewed = Hold(
            route=hold.route,
            sink=hold.sink,
            kind=hold.kind,
            reason=hold.reason,
            until=now + wait,
            since=hold.since,
            failures=hold.failures + 1,
        )
        self._put(renewed)
        return renewed

    def _put(self, hold: Hold) -> None:
        self._held[hold.route] = hold
        self._store.put_hold(hold)

    def _drop(self, route: str) -> None:
        if self._held.pop(route, None) is not None:
            self._store.drop_hold(route)


def _words(cause: str) -> str:
    return cause.partition(": ")[2]
