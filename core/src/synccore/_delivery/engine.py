"""All lanes together: threads that repeat `Lane.step`, rescue of lost leases, an orderly stop."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta

from attrs import frozen

from .._floor import Floor
from .._plain import Plain
from ..errors import SynccoreError, redact
from ..store import Delivery, Loan, Store, StoreError
from ..types import Clock, Log
from .claims import NEVER
from .lane import Lane
from .trouble import LaneTrouble

#: How often expired leases are looked for.
RESCUE_EVERY = timedelta(seconds=30)
#: What a lane's thread waits after something that is nobody's fault but ours (disk full, database locked).
TROUBLE_WAIT = timedelta(seconds=5)
#: For how long a step that failed counts, where no other of that lane gets anything done.
FAILURE_COUNTS = timedelta(minutes=1)


@frozen(kw_only=True)
class _Failed(Plain):
    told: LaneTrouble
    last: datetime
    #: The store refused what had to be written.
    store: bool


class Engine:
    """The lanes of one process.

    Args:
        tell: told about the lanes' troubles whenever they change, so that other processes can say them.
    """

    def __init__(
        self, store: Store, clock: Clock, log: Log, tell: Callable[[Mapping[str, LaneTrouble]], None] = lambda _: None
    ) -> None:
        self.lanes: dict[str, Lane] = {}
        #: Of those who work on batches.
        self.floor = Floor(needed=store.in_process)
        self._store = store
        self._clock = clock
        self._log = log
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listening = ExitStack()
        self._filled: Counter[str] = Counter()
        self._held: Counter[str] = Counter()
        self._held_since: dict[str, datetime] = {}
        #: Lane -> what kept one of its threads from stepping.
        self._failed: dict[str, _Failed] = {}
        self._tell = tell
        self._told: Mapping[str, LaneTrouble] = {}

    @contextmanager
    def holding(self, routes: Collection[str]) -> Iterator[None]:
        """Keep these routes' bulk rows, and of the live ones those of records that were never delivered and are older
        than this: what belongs to them is not listed yet."""
        for route in routes:
            if self._held[route] <= 0:
                self._held_since[route] = self._clock.now()
        self._held.update(routes)
        try:
            yield
        finally:
            self._held.subtract(routes)
            self.wake(self.lanes)

    @contextmanager
    def filling(self, routes: Collection[str]) -> Iterator[None]:
        """While a listing fills these routes, their bulk rows go in full batches only."""
        self._filled.update(routes)
        try:
            yield
        finally:
            self._filled.subtract(routes)
            self.wake(self.lanes)

    def wanted(self, routes: Collection[str]) -> int:
        """How many rows of these routes make the largest batch that a lane would be given; 0: none would be."""
        return max((lane.claims.wanted(routes) for lane in self.lanes.values()), default=0)

    def lend(self, routes: Collection[str], rows: int) -> list[Loan]:
        """Batches that lanes would be given of so many rows that these routes owe anew; what is made of them `lent` is
        told in any case."""
        return [loan for lane in self.lanes.values() for loan in lane.claims.lend(routes, rows)]

    def lent(self, loans: Collection[Loan], lent: Mapping[str, Sequence[Delivery]] | None) -> None:
        """What was made of them, by their tokens; None: that cannot be told."""
        for lane in self.lanes.values() if loans else ():
            lane.claims.lent(loans, lent)

    def return_lent(self) -> None:
        """Nobody takes what was lent any more: all of it goes back unharmed."""
        for lane in self.lanes.values():
            lane.claims.decline()
            lane.claims.release()

    def full(self, route: str, batch: int) -> int:
        """How many bulk rows of the route have to be due before they may go; `batch` is how many go at once."""
        if self._held[route] > 0:
            return NEVER
        return batch if self._filled[route] > 0 else 1

    def held_since(self, route: str) -> datetime | None:
        """Since when the route's records wait for what belongs to them; None where they do not."""
        return self._held_since.get(route) if self._held[route] > 0 else None

    # -- threads

    def start(self) -> None:
        """Begin to deliver."""
        self.recover()
        self._listening.enter_context(self._store.listening(lambda sink: self.wake([sink])))
        for lane in self.lanes.values():
            for number in range(lane.limits.max_in_flight):
                self._spawn(f"lane-{lane.name}-{number}", self._repeat, lane)
        self._spawn("rescue", self._rescue)

    def recover(self) -> None:
        """Before the first delivery of a process: give back what one that died left running, and look anew at lanes
        that a mistake in the configuration closed, since this process has read it anew."""
        self._store.rescue(self._clock.now(), all_running=True)
        for lane in self.lanes.values():
            lane.gate.forget_mistake(self._clock.now())

    def _spawn(self, name: str, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, name=name, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _repeat(self, lane: Lane) -> None:
        # A thread that was given up has been replaced, and takes nothing more.
        while not (self._stopping.is_set() or lane.given_up):
            if lane.claims.gathered_elsewhere():
                lane.bell.wait(self._store.look_every.total_seconds())
                continue
            try:
                step = lane.step()
            except Exception as error:  # noqa: BLE001  a lane must not die while the process lives
                self.floor.give()
                self._failing(lane.name, error)
                self._log.warning("lane trouble", lane=lane.name, error=type(error).__name__, detail=str(error))
                self._stopping.wait(TROUBLE_WAIT.total_seconds())
                continue
            if step.settled:
                self._working(lane.name)
            if step.idle_until is not None:
                self._idle(lane, step.idle_until)
        self.floor.give()

    def _idle(self, lane: Lane, until: datetime) -> None:
        wait = min(until - self._clock.now(), self._store.look_every)
        lane.bell.wait(wait.total_seconds())

    def _rescue(self) -> None:
        while not self._stopping.wait(RESCUE_EVERY.total_seconds()):
            # A call past its deadline still holds its rows: giving them back now would send them twice.
            running = {token for lane in self.lanes.values() for token in list(lane.claims.in_flight)}
            try:
                self._replace_lost()
                self._store.rescue(self._clock.now(), keep=running)
            except Exception as error:  # noqa: BLE001  the next round tries again
                self._log.warning("rescue failed", error=type(error).__name__)
            self._tell_troubles()

    def _replace_lost(self) -> None:
        """Threads in the place of those whose call does not come back."""
        for lane in self.lanes.values():
            for _ in range(lost := lane.give_up()):
                self._spawn(f"lane-{lane.name}-again", self._repeat, lane)
            if lost:
                self._log.warning("calls did not come back and are waited for no longer", lane=lane.name, calls=lost)

    def wake(self, sinks: Iterable[str]) -> None:
        """There is work for these."""
        for sink in sinks:
            if lane := self.lanes.get(sink):
                lane.bell.ring()

    def wake_all(self) -> None:
        """Every thread looks whether what it waits for is still to come."""
        for lane in self.lanes.values():
            lane.bell.ring_for_all()

    def halt(self) -> None:
        """Claim nothing more; what runs may finish."""
        self._stopping.set()

    def stop(self, patience: timedelta) -> None:
        """Stop claiming, let running calls finish, and give back what does not end in time."""
        self._stopping.set()
        self._listening.close()
        self.wake_all()
        end = time.monotonic() + patience.total_seconds()
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0))
        self.return_lent()
        for lane in self.lanes.values():
            for token in list(lane.claims.in_flight):
                self._store.release(token, self._clock.now(), sent=True)
        self._threads.clear()

    # -- what keeps lanes from working, beyond their gates

    def troubles(self) -> dict[str, LaneTrouble]:
        """Lane -> a full disk, a call past its deadline."""
        now = self._clock.now()
        found = {name: one.told for name, one in list(self._failed.items()) if now - one.last < FAILURE_COUNTS}
        for name, lane in self.lanes.items():
            if (since := lane.stuck_since) is not None:
                text = f"a call to this target had to come back by {since:%H:%M:%S} UTC and has not"
                found.setdefault(name, LaneTrouble(since=since, text=text))
        return found

    def refusal(self) -> str | None:
        """Why the store refused a lane lately what it had to write; None where it did not."""
        now = self._clock.now()
        refused = [one for one in list(self._failed.values()) if one.store and now - one.last < FAILURE_COUNTS]
        return refused[0].told.text if refused else None

    def _failing(self, name: str, error: Exception) -> None:
        now, known = self._clock.now(), self._failed.get(name)
        text = error.message if isinstance(error, SynccoreError) else f"{type(error).__name__}: {redact(str(error))}"
        told = LaneTrouble(since=known.told.since if known else now, text=text)
        self._failed[name] = _Failed(told=told, last=now, store=isinstance(error, StoreError))
        self._tell_troubles()

    def _working(self, name: str) -> None:
        if self._failed.pop(name, None) is not None:
            self._tell_troubles()

    def _tell_troubles(self) -> None:
        found = self.troubles()
        if found == self._told:
            return
        try:
            self._tell(found)
        except StoreError:  # then the store's own trouble is what everybody sees
            return
        self._told = found

    # -- without a daemon

    def drain(self) -> int:
        """Step every lane until none can do anything now; gives how many deliveries were settled. One thread."""
        total = 0
        while settled := sum(self._exhaust(lane) for lane in self.lanes.values()):
            total += settled
        return total

    def drain_in_parallel(self, more: Callable[[], bool] = lambda: False) -> int:
        """As `drain`, with as many calls at once as each sink allows; for commands that deliver themselves.

        As long as there is `more` to come, it is waited for.
        """
        total = 0
        with ThreadPoolExecutor(thread_name_prefix="drain") as pool:
            while True:
                rounds = [
                    pool.submit(self._exhaust, lane, more)
                    for lane in self.lanes.values()
                    for _ in range(lane.limits.max_in_flight)
                ]
                settled = sum(r.result() for r in rounds)
                if settled == 0 or self._stopping.is_set():
                    return total + settled
                total += settled

    def _exhaust(self, lane: Lane, more: Callable[[], bool] = lambda: False) -> int:
        settled = 0
        try:
            while not self._stopping.is_set():
                step = lane.step()
                settled += step.settled
                if step.idle_until is not None:
                    if not more():
                        break
                    self._idle(lane, step.idle_until)
        finally:
            self.floor.give()
        return settled

    def next_try(self) -> datetime | None:
        """The earliest time a lane with something owed can go on; None where all of them need a person."""
        now = self._clock.now()
        submitted = {name for name, counts in self._store.counts_by_sink().items() if counts.submitted}
        moments = []
        for lane in self.lanes.values():
            opens = lane.gate.open_at(now)
            if opens is None:
                continue
            if (due := lane.claims.next_due(now)) is not None:
                moments.append(max(opens, due))
            if lane.name in submitted:
                moments.append(max(opens, now + self._store.look_every))
        return min(moments, default=None)
