"""A vendor's jobs: asked with growing patience, and what they tell written down part by part."""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta

from attrs import field, frozen

from .._plain import Plain
from ..errors import AuthError, ConfigError, RateLimited, Transient
from ..http import time_limit
from ..store import JobWork, Settlement, Store, StoreError, Work
from ..types import Failed, Limits, Outcome
from .calls import Caller
from .halving import MANY, Answer
from .packed import Packed, in_parts
from .prepare import Preparer
from .settle import Book, Settler
from .steps import Item, Operations
from .watch import Turn

__all__ = ["Jobs"]


@frozen(kw_only=True)
class Jobs(Plain):
    """The submitted jobs of one lane.

    Attributes:
        judge: writes what came of some of a job's rows (one route's) into a book.
        failed: told what `collect` raised for all of a job, and the routes of its rows; the job stays submitted.
        lost: the settlement of a row whose call did not come back.
        turn: one thread at a time asks.
        ask_at: job -> when it is asked again.
        alone: jobs whose rows are asked for one by one.
        asking: what each thread has asked last.
    """

    sink: str
    limits: Limits
    preparers: Mapping[str, Preparer]
    call: Caller
    store: Store
    settler: Settler
    turn: Turn
    judge: Callable[[Sequence[Item], Sequence[Answer], Book], None]
    failed: Callable[[Exception, Iterable[str]], None]
    lost: Callable[[Work], Settlement]
    ask_at: dict[str, datetime] = field(factory=dict)
    alone: set[str] = field(factory=set)
    asking: dict[threading.Thread, tuple[JobWork, Sequence[Item]]] = field(factory=dict)

    def collect(self, now: datetime) -> int:
        """Ask those that are due; how many deliveries are final now."""
        if not self.call.can("collect"):
            return 0
        settled = 0
        with self.turn.taken() as mine:
            waiting = [job for job, at in self.ask_at.items() if at > now]
            for job in self.store.jobs(self.sink, skip=waiting) if mine else ():
                self.ask_at[job.job] = now + max(
                    timedelta(seconds=1), min((now - job.submitted_at) / 4, timedelta(minutes=2))
                )
                settled += self._collect_one(job)
            self.asking.pop(threading.current_thread(), None)
        return settled

    def _collect_one(self, job: JobWork) -> int:
        book = self.settler.book(token=job.job)
        with closing(self._told(job)) as parts:
            for part in parts:
                for route in dict.fromkeys(i.work.delivery.route for i, _ in part):
                    some = [(i, answer) for i, answer in part if i.work.delivery.route == route]
                    self.judge([i for i, _ in some], [a for _, a in some], book)
        book.close()
        return book.settled

    def _told(self, job: JobWork) -> Generator[list[tuple[Item, Answer]]]:
        """The job's rows and their outcomes, in parts, once they are known.

        Whatever ends this early, what was told stays told and the other rows stay in their job.
        """
        items: Packed[Item] = Packed()
        for ids in in_parts(job.ids):
            items.extend(
                Item(work=w, operation=self.settler.restored(w, self.preparers.get(w.delivery.route), n)).going()
                for n, w in enumerate(self.store.load_job(job, ids), len(items))
            )
        asking = _Asking(lambda some: self._ask(job, some))
        try:
            with time_limit(self.limits.deadline):
                for some in ([item] for item in items) if job.job in self.alone else [items]:
                    yield from in_parts(asking.answers(some))
            if not asking.waits:
                self.ask_at.pop(job.job, None)
        except Exception as error:  # noqa: BLE001  the policy decides
            self.failed(error, dict.fromkeys(i.work.delivery.route for i in items))

    def _ask(self, job: JobWork, items: Sequence[Item]) -> Iterator[Outcome] | None:
        self.asking[threading.current_thread()] = job, items
        return self.call.collect(job.job, Operations(items), job.submitted_at)

    def give_up(self, thread: threading.Thread) -> None:
        """A call of this thread did not come back. If it was for a job, its rows are asked for one by one from now on;
        a row that was alone has used a try, and leaves the job."""
        job, items = self.asking.pop(thread, (None, ()))
        if job is None:
            return
        self.alone.add(job.job)
        if len(items) == 1:
            book = self.settler.book(token=job.job)
            book.add(self.lost(item.work) for item in items)
            book.close()


class _Asking:
    """One round of questions about a job. A call that fails as a whole is halved until the record at fault is alone."""

    def __init__(self, ask: Callable[[Sequence[Item]], Iterator[Outcome] | None]) -> None:
        self._ask = ask
        self._refused = 0
        self._through = False
        #: Whether some are not known yet.
        self.waits = False

    def answers(self, items: Sequence[Item]) -> Iterator[tuple[Item, Answer]]:
        """Those that are known. Raises what is the target's own fault, or meets record after record."""
        told = 0
        try:
            outcomes = self._ask(items) if items else iter(())
            if outcomes is None:
                self.waits = True
                return
            for item, outcome in zip(items, outcomes, strict=True):
                self._through, told = True, told + 1
                yield item, Answer(outcome)
        except (Transient, AuthError, ConfigError, RateLimited, StoreError):
            raise
        except Exception as error:
            rest = items[told:]
            if len(rest) == 1:
                self._refused += 1
                if self._refused > MANY and not self._through:
                    raise
                yield rest[0], Answer(Failed(error), unsure=True)
                return
            middle = len(rest) // 2
            for half in (rest[:middle], rest[middle:]):
                yield from self.answers(half)
