"""What a lane takes to be done: what is due and not held, a batch of one route at a time, under a lease."""

import secrets
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from attrs import evolve

from ..store import ClaimRule, Delivery, Loan, Store, StoreError
from ..types import Clock, Limits
from .bell import Bell
from .gate import Gate
from .holds import Holds
from .loans import Loans
from .packed import Packed
from .watch import Flight, Watch

__all__ = ["LEASE_MARGIN", "Claims"]

#: A lease outlives the call's deadline by this much, so that a slow call still settles.
LEASE_MARGIN = timedelta(seconds=60)
#: More rows than any outbox holds.
NEVER = 2**31


class Claims:
    """The leases of one lane in this process.

    Args:
        full: (route, batch) -> how many of its bulk rows have to be due before they go.
        ring: wakes a thread of the lane.
    """

    def __init__(
        self,
        sink: str,
        routes: tuple[str, ...],
        limits: Limits,
        *,
        store: Store,
        clock: Clock,
        gate: Gate,
        holds: Holds,
        watch: Watch,
        full: Callable[[str, int], int],
        bell: Bell,
    ) -> None:
        #: Token -> the lease that runs in this process.
        self.in_flight: dict[str, Flight] = {}
        #: Leases whose rows could not be given back yet, and whether they may have been carried out.
        self._unreleased: dict[str, bool] = {}
        self._sink, self._routes, self._limits = sink, routes, limits
        self._store, self._clock = store, clock
        self._gate, self._holds, self._watch, self._full, self._bell = gate, holds, watch, full, bell
        #: Route -> when its last batch was claimed, where it was not full.
        self._short_since: dict[str, datetime] = {}
        self._gathering = threading.Lock()
        self._guard = threading.Lock()
        #: Whether a thread gathers, and whether another one had reason to look meanwhile.
        self._gathers = self._looked_for = False
        #: Whether the last thread that looked was allowed to take something.
        self._open = False
        #: Whether nothing was made of the last loans: rows that are owed already go before it.
        self._behind = False
        self._loans = Loans(clock, limits.deadline + LEASE_MARGIN, token=self._new_lease, over=self._not_taken)

    def take(self) -> tuple[Sequence[Delivery], str]:
        """What is to be done now, and the token of its lease."""
        self._open = True
        if self._loans.waiting and not self._pauses(self._clock.now()):
            # What is lent is the past: news goes before it.
            deliveries, token = self._taken(self._clock.now(), news_only=True)
            if deliveries:
                self._bell.ring()
                return deliveries, token
        if (lent := self._loans.take()) is not None:
            deliveries, token = lent
            self.in_flight[token] = Flight(threading.current_thread(), deliveries)
            return lent
        # One thread gathers at a time: several would share out what makes one batch.
        with self._gathering:
            with self._guard:
                self._gathers = True
            try:
                now = self._clock.now()
                deliveries, token = self._taken(self._clock.now()) if self._lingered(now) else ((), "")
            finally:
                with self._guard:
                    self._gathers, again, self._looked_for = False, self._looked_for, False
                if again:
                    self._bell.ring()
        if deliveries:
            self._bell.ring()  # for what this one left
        return deliveries, token

    def _new_lease(self) -> str:
        token = self._store.holder + secrets.token_hex(8)
        self.in_flight[token] = Flight(threading.current_thread())
        return token

    def gathered_elsewhere(self) -> bool:
        """Whether another thread is about to take what is due: it rings for what it leaves."""
        with self._guard:
            self._looked_for |= self._gathers
            return self._gathers

    def _taken(self, now: datetime, *, news_only: bool = False) -> tuple[Sequence[Delivery], str]:
        rules = [self._rule(route) for route in self._free(now)]
        if news_only:
            rules = [evolve(rule, bulk_at_least=NEVER) for rule in rules]
        token = self._new_lease()
        found: Packed[Delivery] = Packed()
        try:
            found.extend(
                self._store.claim(self._sink, rules, self._clock.now(), self._limits.deadline + LEASE_MARGIN, token)
            )
        except StoreError:
            # The answer was lost, not for sure the claim: what it may hold is given back, not left to its lease.
            self._unreleased[token] = True
            raise
        finally:
            if found:
                self.in_flight[token] = Flight(threading.current_thread(), found)
                self._note(found[0].route, len(found), now)
            else:
                self.in_flight.pop(token, None)
        return found, token

    def _free(self, now: datetime) -> list[str]:
        """The routes that are not held."""
        return [route for route in self._routes if self._holds.until(route, now) is None]

    def _rule(self, route: str) -> ClaimRule:
        limits = self._limits
        alone = self._gate.probing or self._holds.probing(route) or self._watch.suspicious
        bulk_batch = 1 if alone else max(limits.bulk_batch or 0, limits.max_batch)
        return ClaimRule(
            route=route,
            max_batch=1 if alone else limits.max_batch,
            bulk_batch=bulk_batch,
            bulk_threshold=1 if alone else limits.bulk_threshold,
            bulk_at_least=self._full(route, bulk_batch),
        )

    def _lingered(self, now: datetime) -> bool:
        """While changes come one after the other, a batch that is not full begins `linger` after the route's last one:
        so each takes what came in that time, and a change that comes alone waits for nothing. Whether to look."""
        waits = self._pauses(now)
        waiting = list(waits)
        if not waiting:
            return True
        free = [route for route in self._routes if route not in waiting]
        if free and self._store.due(self._sink, now, 1, routes=free):
            return True
        due = self._store.due(self._sink, now, self._limits.max_batch, routes=waiting)
        if 0 < due < self._limits.max_batch:
            self._watch.floor.give()
            self._clock.sleep(min(waits[route] for route in waiting))
        return due > 0  # what comes after this look rings, and would begin too soon

    def _pauses(self, now: datetime) -> dict[str, timedelta]:
        """Route -> for how long a batch of it that is not full waits still."""
        # A clock that was set back makes nobody wait longer.
        linger = self._limits.linger
        waits = {r: min(since + linger - now, linger) for r, since in self._short_since.items()}
        return {route: wait for route, wait in waits.items() if wait > timedelta(0)}

    def _note(self, route: str, claimed: int, now: datetime) -> None:
        if claimed < self._limits.max_batch:
            self._short_since[route] = now
        else:
            self._short_since.pop(route, None)

    def next_due(self, now: datetime) -> datetime | None:
        """When something owed may be tried next, as far as the routes' holds go."""
        moments = [self._store.next_due(self._sink, routes=self._free(now))]
        for route in self._routes:
            if (until := self._holds.until(route, now)) is not None:
                due = self._store.next_due(self._sink, routes=[route])
                moments.append(due and max(due, until))
        return min((m for m in moments if m is not None), default=None)

    # -- what comes without being looked for

    def wanted(self, routes: Collection[str]) -> int:
        """How many rows of these routes make the largest batch that a thread would be given; 0: none would be."""
        return max((self._missing(rule) for rule in self._lendable(routes)), default=0)

    def _missing(self, rule: ClaimRule) -> int:
        """Where rows go before what could be lent and make no full batch, those that fill it: else some were ahead of
        a whole listing, and nothing of it was lent."""
        size = self._loans.size(rule)
        if not size or not self._behind:
            return size
        return size - self._store.due(self._sink, self._clock.now(), size, routes=[rule.route]) % size

    def lend(self, routes: Collection[str], rows: int) -> list[Loan]:
        """Batches that threads would be given of so many rows that these routes owe anew."""
        return [loan for rule in self._lendable(routes) for loan in self._loans.promise(rule, rows)]

    def _lendable(self, routes: Collection[str]) -> list[ClaimRule]:
        # Threads of this process work: they wait for something to do, or will come back from what they do.
        if not self._open or not (self._bell.waiting or self.in_flight):
            return []
        return [self._rule(route) for route in self._free(self._clock.now()) if route in routes]

    def lent(self, loans: Iterable[Loan], lent: Mapping[str, Sequence[Delivery]] | None) -> None:
        """What was made of them; None: that cannot be told."""
        own = [loan for loan in loans if loan.route in self._routes]
        if own:
            self._behind = not lent
        if self._loans.given(own, lent):
            self._bell.ring()

    def decline(self) -> None:
        """Nothing may be delivered now."""
        self._open = False
        self._loans.decline()

    def _not_taken(self, token: str, leased: bool) -> None:
        if leased:
            self._unreleased[token] = False
        else:
            self.ended(token)

    # -- how a lease ends

    def ended(self, token: str) -> None:
        """The lease runs here no more."""
        self.in_flight.pop(token, None)

    def give_back(self, token: str) -> None:
        """A step failed: its rows are for whoever comes next."""
        self._unreleased[token] = True
        self.release()

    def release(self) -> None:
        """Give back what a step that failed left running. A full disk takes no "given back" either: then later."""
        for token, sent in list(self._unreleased.items()):
            self._store.release(token, self._clock.now(), sent=sent)
            self._unreleased.pop(token, None)
            self.ended(token)
