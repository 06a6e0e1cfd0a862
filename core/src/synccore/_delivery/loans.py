"""Batches that threads of a lane are given by a listing of this process, before they look for any."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from attrs import frozen

from .._plain import Plain
from ..store import ClaimRule, Delivery, Loan
from ..types import Clock

__all__ = ["LATEST", "Loans"]

#: A batch that no thread has taken by then goes back to where all threads look.
LATEST = timedelta(seconds=30)
#: Batches that wait for a thread at most: after a crash all of them are asked for before they are sent.
MOST = 2
#: For so long a listing waits for the lane to take one: it would only fill the outbox meanwhile.
PATIENCE = timedelta(milliseconds=100)


@frozen
class _Batch(Plain):
    token: str
    deliveries: Sequence[Delivery]
    at: datetime


class Loans:
    """What is promised to a lane, and what was made of it.

    Args:
        lease: how long a call may take, and what a thread takes to come back from it.
        token: gives a new one, under which rows may be leased from now on.
        over: told a token whose rows, if there are any, nobody works on.
    """

    def __init__(
        self, clock: Clock, lease: timedelta, *, token: Callable[[], str], over: Callable[[str, bool], None]
    ) -> None:
        self._clock, self._lease = clock, lease
        self._token, self._over = token, over
        self._changed = threading.Condition()
        self._promised = 0
        self._batches: deque[_Batch] = deque()

    @staticmethod
    def size(rule: ClaimRule) -> int:
        """Rows of a full batch, while a listing fills the route; 0 where none is lent: of jobs, and of single rows."""
        size = rule.max_batch
        return size if 1 < size == rule.bulk_batch == rule.bulk_at_least else 0

    @property
    def waiting(self) -> bool:
        """Whether a batch waits for a thread."""
        return bool(self._batches)

    @property
    def _room(self) -> int:
        return MOST - self._promised - len(self._batches)

    def promise(self, rule: ClaimRule, rows: int) -> list[Loan]:
        """What may be lent of so many rows of that route: full batches, or nothing."""
        if not (size := self.size(rule)) or rows < size:
            return []
        with self._changed:
            self._changed.wait_for(lambda: self._room > 0, PATIENCE.total_seconds())
            count = min(self._room, rows // size)
            self._promised += count
        lease = self._lease + LATEST
        return [Loan(route=rule.route, token=self._token(), size=size, lease=lease) for _ in range(count)]

    def given(self, loans: Iterable[Loan], lent: Mapping[str, Sequence[Delivery]] | None) -> bool:
        """What came of these; None: nobody knows. Whether there is something to do."""
        now = self._clock.now()
        for loan in loans:
            batch = lent.get(loan.token) if lent else None
            with self._changed:
                self._promised -= 1
                if batch is not None:
                    self._batches.append(_Batch(loan.token, batch, now))
            if batch is None:
                self._over(loan.token, lent is None)
        return bool(lent)

    def take(self) -> tuple[Sequence[Delivery], str] | None:
        """A batch, for the calling thread."""
        while True:
            with self._changed:
                if not self._batches:
                    return None
                batch = self._batches.popleft()
                self._changed.notify()
            if self._clock.now() - batch.at < LATEST:
                return batch.deliveries, batch.token
            self._over(batch.token, True)

    def decline(self) -> None:
        """The lane may not deliver now: what waits for its threads goes back."""
        with self._changed:
            batches = list(self._batches)
            self._batches.clear()
            self._changed.notify()
        for batch in batches:
            self._over(batch.token, True)
