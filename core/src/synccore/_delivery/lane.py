"""One lane: claim, prepare, deliver, settle. `step` does it once; threads only repeat it."""

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import evolve

from .._floor import Floor
from .._set_back import Hand
from .._swift import swiftly
from ..errors import Conflict, RateLimited, Transient, WaitFor
from ..http import Budget, time_limit
from ..store import Delivery, DirtyRule, Settlement, Store, Work
from ..types import Clock, Delivered, Failed, Limits, Operation, Settled, Submitted, Unchanged
from .bell import Bell
from .calls import Caller
from .claims import LEASE_MARGIN, Claims
from .doubtful import Doubtful
from .gate import Gate
from .halving import MANY, Answer, cause_of, deliver_halving, in_doubt
from .heirs import Heirs
from .holds import Holds
from .jobs import Jobs
from .namesakes import Namesakes
from .overtaking import Overtaking
from .packed import PART, Packed, in_parts
from .policy import PauseLane, Snooze, Tried, decide
from .prepare import Preparer, beside
from .recognition import Recognition
from .settle import Book, Settler
from .steps import Closing, Item, Operations, Step
from .unlisted import Unlisted
from .watch import Watch

#: Where the calls of every sink are counted, by all daemons.
CALLS = "synccore:calls"
_new_item = swiftly(Item)
NOT_BACK = TimeoutError("the call did not come back, long past its deadline")


class Lane:
    """Everything owed to one sink.

    Args:
        preparers: route -> preparer, in order of preference among equals (parents before children).
        owes: route -> routes that owe a delivery once a record of this route is linked (write-back).
        observe: told about every settled delivery and every change of state; must not raise.
        measure: told about every `deliver`: sink, operations, duration; must not raise.
        full: (route, batch) -> how many of its bulk rows have to be due before they go: while a listing fills it,
            batches go full or not at all.
        held_since: route -> since when a first listing of what its records include runs; None where none does.
    """

    def __init__(
        self,
        name: str,
        sink: Any,
        limits: Limits,
        preparers: Mapping[str, Preparer],
        *,
        store: Store,
        clock: Clock,
        floor: Floor,
        random_: random.Random,
        after_entity: Mapping[str, str],
        owes: Mapping[str, tuple[DirtyRule, ...]] | None = None,
        observe: Callable[[Settled], None] = lambda _: None,
        measure: Callable[[str, int, timedelta], None] = lambda *_: None,
        full: Callable[[str, int], int] = lambda *_: 1,
        held_since: Callable[[str], datetime | None] = lambda _: None,
        another_account: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.name = name
        self.limits = limits
        self.gate = Gate(store, name)
        self.bell = Bell(floor)
        self._preparers, self._after_entity = preparers, after_entity
        self._store, self._clock, self._random = store, clock, random_
        self._observe, self._measure = observe, measure
        self._watch = Watch(clock, floor)
        self._recognition = Recognition(self._watch.watched(another_account), limits.look_within, random_)
        self._call = Caller(name, sink, self._watch)
        self._holds = Holds(store, name, random_)
        self.claims = Claims(
            *(name, self.routes, limits),
            store=store,
            clock=clock,
            gate=self.gate,
            holds=self._holds,
            watch=self._watch,
            full=full,
            bell=self.bell,
        )
        self._settler = Settler(name, store, clock, owes or {}, observe)
        self._unlisted = Unlisted(self._call, store, self._settler, held_since)
        by_address = [name for name, preparer in preparers.items() if preparer.by_address]
        told = [name for name, preparer in preparers.items() if by_address and preparer.tells]
        self._namesakes = Namesakes(store, self._settler, self.routes, by_address, told, owes)
        self._heirs = Heirs(store, self._settler)
        self._doubtful = Doubtful(self._call, store, self._settler, preparers, clock, self._failed, limits.seen_within)
        windows = [(limits.calls, limits.per)] if limits.calls else []
        self._budget = Budget(clock, windows, state=store.state(CALLS) if windows else None, name=name)
        self._hand = Hand(store.noted_last())
        self._last_success: datetime | None = None
        self._failed_since: dict[int, datetime] = {}
        self._jobs = self._begin_jobs()
        self._recognising = self._watch.turn()
        self._overtaking = Overtaking(
            name, limits, preparers, self._call, store, self._settler, held_since, self._watch.turn()
        )

    def _begin_jobs(self) -> Jobs:
        return Jobs(
            sink=self.name,
            limits=self.limits,
            preparers=self._preparers,
            call=self._call,
            store=self._store,
            settler=self._settler,
            turn=self._watch.turn(),
            judge=self._job_told,
            failed=self._job_failed,
            lost=lambda work: self._failed(work, NOT_BACK, maybe_applied=True),
        )

    @property
    def routes(self) -> tuple[str, ...]:
        """The routes that lead here; rows of others are left alone."""
        return tuple(self._preparers)

    # -- one step

    def step(self) -> Step:
        """Do one round. Never raises for what a plugin or a record does."""
        now = self._clock.now()
        if back := self._hand.back(now):
            self._store.go_along(back, now, sink=self.name)
            self._jobs.ask_at.clear()
        self.claims.release()
        if self.gate.refresh():
            self._resumed()
        self._holds.refresh()
        opens = self.gate.open_at(now)
        if opens is None or opens > now:
            self._recognition.forget()
            return self._waits(opens or now + self._store.look_every)
        if not self._recognise(now):
            return self._waits(now + self._store.look_every)
        self._overtaking.step(now)
        collected = self._jobs.collect(now)
        if (free := self._budget.free_at(now)) > now:
            return self._waits(free, collected)
        # No call begins after the lease: wherever this process was stopped, others have sent what is newer since.
        with time_limit(self.limits.deadline + LEASE_MARGIN):
            deliveries, token = self.claims.take()
            if deliveries:
                # Whoever has the floor keeps it for the next look, which is then in nobody's way.
                if deliveries[0].bulk:
                    self._watch.floor.take()
                else:
                    self._watch.floor.give()
                return Step(settled=collected + self._run(deliveries, token))
        return Step(settled=collected, idle_until=None if collected else self._next_due(now))

    def _waits(self, until: datetime, settled: int = 0) -> Step:
        """Nothing may be sent before then."""
        self.claims.decline()
        return Step(settled=settled, idle_until=until)

    def _recognise(self, now: datetime) -> bool:
        """Whether this is the account its links belong to, as far as that has to be asked now."""
        if self._recognition.fresh(now):
            return True
        counts = self._store.counts_by_sink().get(self.name)
        if counts is None or not (counts.ready or counts.submitted):
            return True  # nothing to do yet: asked when there is
        with self._recognising.taken() as mine:
            if not mine:
                return False  # one thread asks for all
            if self._recognition.fresh(now):
                return True
            closing = self._recognition.ask(now, self.gate.record.failures)
        if closing is not None:
            self._close(closing)
        self.bell.ring()
        return closing is None

    def _next_due(self, now: datetime) -> datetime:
        moments = [m for m in (self.claims.next_due(now), *self._jobs.ask_at.values()) if m is not None and m > now]
        return min([*moments, now + self._store.look_every])

    def _run(self, deliveries: Sequence[Delivery], token: str) -> int:
        route = deliveries[0].route
        started = self._clock.now()
        book = self._settler.book()
        items: Packed[Item] = Packed()
        try:
            with contextlib.ExitStack() as calls:
                for number, part in enumerate(in_parts(deliveries)):
                    settlements: list[Settlement] = []
                    with self._watch.waited_for():
                        mapped = self._mapped(route, part, number * PART, settlements)
                    if not number:
                        # All calls of a step together: the lease that covers them begins once.
                        calls.enter_context(time_limit(self.limits.deadline))
                    items.extend(self._going(route, mapped, settlements))
                    book.add(settlements)
                closing = self._deliver(items, book, started)
            book.close()
            if closing is not None:
                self._close(closing)
        except BaseException:
            # Not the record's fault (the store failed, or the process is going down): give everything back.
            self.claims.give_back(token)
            raise
        finally:
            self.claims.ended(token)
        self._watch.cleared(delivery.id for delivery in deliveries)
        return book.settled

    def _load(self, deliveries: Sequence[Delivery]) -> list[Work]:
        route = self._preparers[deliveries[0].route].route
        after_entity = self._after_entity.get(route.name)
        return self._store.load(deliveries, include=route.include, after=route.after, after_entity=after_entity)

    # -- before the call

    def _going(self, route: str, items: list[Item], settlements: list[Settlement]) -> Iterator[Item]:
        """Those that are to be sent now; what becomes of the others is added to `settlements`."""
        items = self._unlisted.part(route, items, settlements, self._clock.now())
        items = self._namesakes.part(route, items, settlements, self._clock.now())
        items = self._heirs.part(route, items, settlements, self._clock.now())
        if any(item.operation.maybe_applied for item in items):  # hardly ever: else there is nothing to ask about
            items = self._doubtful.settle(route, items, settlements)
        return (item.going() for item in items)

    def _mapped(
        self, route: str, deliveries: Sequence[Delivery], first: int, settlements: list[Settlement]
    ) -> list[Item]:
        preparer = self._preparers[route]
        items, now = [], self._clock.now()
        for number, one in enumerate(self._load(deliveries), first):
            try:
                prepared = preparer.prepare(one, number, now)
            except Exception as error:  # noqa: BLE001  a mapper's bug parks the record, not the lane
                settlements.append(self._failed(one, error))
            else:
                if prepared.operation is not None:
                    operation = beside(prepared.operation, self._store, by_address=preparer.by_address)
                    items.append(
                        _new_item(work=one, operation=operation, why=prepared.why, made_from=prepared.made_from)
                    )
                elif prepared.until is not None:
                    reason = "waits for further changes"
                    settlements.append(self._settler.snoozed(one, prepared.until, reason))
                elif prepared.let_go:
                    settlements.append(self._settler.let_go(one, prepared.skip or ""))
                else:
                    settlements.append(self._settler.skipped(one, prepared.skip or "", prepared.made_from))
        return items

    # -- the call

    def _deliver(self, items: Sequence[Item], book: Book, started: datetime) -> Closing | None:
        """Call the sink and write down what came of it; gives the pause the lane has to make, if any."""
        if not items:
            return None
        now = self._clock.now()
        if (free := self._budget.take(now)) > now:
            book.add(self._settler.snoozed(i.work, free, "another call took what was left") for i in items)
            return None
        operations = Operations(items)
        answers = deliver_halving(self._call, operations)
        again = [
            at
            for at, a in enumerate(answers)
            if isinstance(a.outcome, Failed) and isinstance(a.outcome.error, Conflict) and not a.unsure
        ]
        if again:
            second = deliver_halving(self._call, [_without_etag(operations[at]) for at in again])
            for at, answer in zip(again, second, strict=True):
                answers[at] = answer
        took = self._clock.now() - started
        self._measure(self.name, len(items), took)
        succeeded = any(not isinstance(a.outcome, Failed) for a in answers)
        if succeeded:
            self._got_through()
        return self._judged(items, answers, book, round(took / timedelta(milliseconds=1)), others=succeeded)

    def _judged(
        self, items: Sequence[Item], answers: Sequence[Answer], book: Book, elapsed: int, *, others: bool
    ) -> Closing | None:
        """What came of single records, or, where all are refused alike, of a route that is held."""
        gravest: Closing | None = None
        now, route = self._clock.now(), items[0].work.delivery.route
        hold, cause = self._holds.judge(route, answers, now)
        for item, answer in zip(items, answers, strict=True):
            outcome = answer.outcome
            if hold is not None and isinstance(outcome, Failed) and cause_of(outcome) == cause:
                # Refused ones come after those that were not tried: the next probe is another record.
                later = hold.until + timedelta(seconds=1) if answer.sent else now
                unsure = _unsure(item.work, outcome.error, answer)
                held = self._settler.failed(item.work, outcome.error, Snooze(later), elapsed, maybe_applied=unsure)
                book.add([self._settler.unheard(item.work, item.operation, held)])
                continue
            settlement, closing = self._outcome(item, answer, elapsed, others=others)
            book.add([settlement])
            if settlement.to == "parked":
                self._holds.parked(route, settlement.delivery_id, cause_of(outcome))
            if closing is not None and (gravest is None or closing.severity > gravest.severity):
                gravest = closing
        return gravest

    def _outcome(self, item: Item, answer: Answer, elapsed: int, *, others: bool) -> tuple[Settlement, Closing | None]:
        operation, outcome = item.operation, answer.outcome
        if not isinstance(outcome, Failed):
            self._failed_since.pop(item.work.delivery.id, None)
        match outcome:
            case Delivered() | Unchanged():
                return self._settler.delivered(
                    item.work, operation, outcome, elapsed, why=item.why, made_from=item.made_from
                ), None
            case Submitted():
                return self._settler.submitted(item.work, operation, outcome, elapsed), None
            case Failed():
                unsure = _unsure(item.work, outcome.error, answer)
                told, closing = self._failure(item.work, outcome.error, elapsed, others=others, maybe_applied=unsure)
                return self._settler.unheard(item.work, operation, told), closing

    def _failed(self, work: Work, error: BaseException, *, maybe_applied: bool = False) -> Settlement:
        settlement, closing = self._failure(work, error, None, others=False, maybe_applied=maybe_applied)
        if closing is not None:
            self._close(closing)
        return settlement

    def _failure(
        self, work: Work, error: BaseException, elapsed: int | None, *, others: bool, maybe_applied: bool = False
    ) -> tuple[Settlement, Closing | None]:
        """`others`: other records got through in the same call."""
        delivery = work.delivery
        now = self._clock.now()
        # Mates that got through in the very call go on to count.
        began = self._last_success - timedelta.resolution if others and self._last_success else now
        since = self._failed_since.setdefault(delivery.id, began)
        others = others or (self._last_success is not None and self._last_success > since)
        tried = Tried(
            attempts=delivery.attempts,
            first_failed_at=delivery.first_failed_at,
            waiting_since=delivery.waiting_since,
            lane_failures=self.gate.record.failures,
            look_within=self.limits.look_within,
            outage=not others,
        )
        decision = decide(error, tried, now, self._random)
        if isinstance(error, RateLimited) and error.scope == "route" and isinstance(decision, Snooze):
            self._holds.rest(delivery.route, decision.until, error.message, now)
        settlement = self._settler.failed(
            work,
            error,
            decision,
            elapsed,
            maybe_applied=maybe_applied or _unsure(work, error),
            wait=self._parent_of(work, error),
        )
        if isinstance(decision, PauseLane):
            return settlement, Closing(decision, isinstance(error, Transient))
        if settlement.to == "parked":
            self._failed_since.pop(delivery.id, None)
        return settlement, None

    def _parent_of(self, work: Work, error: BaseException) -> tuple[str, str, str] | None:
        if not isinstance(error, WaitFor):
            return None
        route = self._preparers[work.delivery.route].route
        return (route.after, error.entity, error.key) if route.after else None

    # -- jobs

    def _job_told(self, items: Sequence[Item], answers: Sequence[Answer], book: Book) -> None:
        self._got_through()
        closing = self._judged(items, answers, book, 0, others=True)
        if closing is not None:
            self._close(closing)

    def _job_failed(self, error: Exception, routes: Iterable[str]) -> None:
        now = self._clock.now()
        tried = Tried(lane_failures=self.gate.record.failures, look_within=self.limits.look_within)
        decision = decide(error, tried, now, self._random)
        if isinstance(decision, PauseLane):
            self._close(Closing(decision, isinstance(error, Transient)))
        for route in routes:  # what meets record after record holds the route, and is said
            self._holds.judge(route, [Answer(Failed(error))] * (MANY + 1), now)

    # -- state

    def _resumed(self) -> None:
        """A person let it go on: what this process counted before is void, and so is what the sink itself waits for."""
        self._budget.clear()
        self._jobs.ask_at.clear()
        self._holds.clear()
        self._recognition.forget()
        self._call.resume()

    def _got_through(self) -> None:
        now = self._clock.now()
        self._last_success = now
        if self.gate.succeeded(now):
            self._observe(Settled(at=now, sink=self.name, outcome="lane", lane_state="ok"))

    def _close(self, closing: Closing) -> None:
        pause = closing.pause
        now = self._clock.now()
        if self.gate.close(pause, now, outage=closing.outage):
            self._observe(Settled(at=now, sink=self.name, outcome="lane", lane_state=pause.state, reason=pause.reason))

    # -- calls that do not come back

    @property
    def stuck_since(self) -> datetime | None:
        """When a call should have come back at the latest; None where all is well."""
        over = self._watch.began() + self.limits.deadline
        return over if over < self._clock.now() else None

    @property
    def given_up(self) -> bool:
        """Whether the calling thread was given up: another one is in its place."""
        return self._watch.is_lost()

    def give_up(self) -> int:
        """Wait no longer for calls whose lease is over; gives how many threads they keep, to be replaced.

        Nobody knows what came of them: their records are tried again, each alone, asked for before they are made.
        """
        late = self._watch.later_than(self.limits.deadline + LEASE_MARGIN)
        for thread in late:
            flights = {token: f for token, f in self.claims.in_flight.items() if f.thread is thread and f.deliveries}
            settlements = [self._failed(w, NOT_BACK) for f in flights.values() for w in self._load(f.deliveries)]
            self._settler.settle(settlements, self._clock.now())
            self._jobs.give_up(thread)
            self._watch.lose(thread, (s.delivery_id for s in settlements if s.to != "parked"))
            for token in flights:
                self.claims.ended(token)
        return len(late)


def _unsure(work: Work, error: BaseException, answer: Answer | None = None) -> bool:
    """Whether it may have been carried out: the target is asked before it is made again."""
    return in_doubt(error) or work.delivery.maybe_applied or (answer is not None and answer.unsure_of_it)


def _without_etag(operation: Operation) -> Operation:
    return evolve(operation, link=evolve(operation.link, etag=None) if operation.link else None)
