"""A vendor's jobs: asked with growing patience, and what they tell written down part by part."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta

from attrs import frozen

from ..http import time_limit
from ..store import JobWork, Store
from ..types import Limits, Outcome
from .calls import Caller
from .halving import Answer
from .packed import Packed, in_parts
from .prepare import Preparer
from .settle import Book, Settler
from .steps import Item, Operations
from .watch import Turn

__all__ = ["Jobs"]


@frozen(kw_only=True)
class Jobs:
    """The submitted jobs of one lane.

    Attributes:
        judge: writes what came of some of a job's rows (one route's) into a book.
        failed: told what `collect` raised; the job stays submitted.
        turn: one thread at a time asks.
        ask_at: job -> when it is asked again.
    """

    sink: str
    limits: Limits
    preparers: Mapping[str, Preparer]
    call: Caller
    store: Store
    settler: Settler
    turn: Turn
    judge: Callable[[Sequence[Item], Sequence[Answer], Book], None]
    failed: Callable[[Exception], None]
    ask_at: dict[str, datetime]

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
        return settled

    def _collect_one(self, job: JobWork) -> int:
        book = self.settler.book(token=job.job)
        with closing(self._told(job)) as parts:
            for part in parts:
                for route in dict.fromkeys(i.work.delivery.route for i, _ in part):
                    some = [(i, Answer(o)) for i, o in part if i.work.delivery.route == route]
                    self.judge([i for i, _ in some], [a for _, a in some], book)
        book.close()
        return book.settled

    def _told(self, job: JobWork) -> Generator[list[tuple[Item, Outcome]]]:
        """The job's rows and their outcomes, in parts, once they are known.

        Whatever ends this early, what was told stays told and the other rows stay in their job.
        """
        items: Packed[Item] = Packed()
        for ids in in_parts(job.ids):
            items.extend(
                Item(work=w, operation=self.settler.restored(w, self.preparers.get(w.delivery.route), n)).going()
                for n, w in enumerate(self.store.load_job(job, ids), len(items))
            )
        try:
            with time_limit(self.limits.deadline):
                outcomes = self.call.collect(job.job, Operations(items), job.submitted_at) if items else None
                if outcomes is not None:
                    yield from in_parts(zip(items, outcomes, strict=True))
                    self.ask_at.pop(job.job, None)
        except Exception as error:  # noqa: BLE001  the policy decides
            self.failed(error)
