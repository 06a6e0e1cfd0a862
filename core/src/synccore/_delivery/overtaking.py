"""What must not wait for a vendor's job, or for a first listing to end: handed to the sink at once."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from ..http import time_limit
from ..store import Delivery, Store, Work
from ..types import Delivered, Failed, Limits, Operation
from .calls import Caller
from .prepare import Preparer
from .settle import Settler
from .watch import Turn

__all__ = ["Overtaking"]

#: How soon what must not wait for a job is handed over again, where the sink could not do it.
OVERTAKE_AGAIN = timedelta(seconds=5)


class Overtaking:
    """One lane's; see `OvertakeSink`.

    Args:
        held_since: route -> since when a first listing holds its rows back; None where none does.
    """

    def __init__(
        self,
        name: str,
        limits: Limits,
        preparers: Mapping[str, Preparer],
        call: Caller,
        store: Store,
        settler: Settler,
        held_since: Callable[[str], datetime | None],
        turn: Turn,
    ) -> None:
        self._name = name
        self._limits = limits
        self._preparers = preparers
        self._call = call
        self._store = store
        self._settler = settler
        self._held_since = held_since
        self._turn = turn
        self._again_at: datetime | None = None

    def step(self, now: datetime) -> None:
        """Hand newer states of what is in a submitted job, and what a listing found changed since `adopt`, to the sink,
        each once: some of it must not wait."""
        if not self._call.can("overtake") or (self._again_at is not None and now < self._again_at):
            return
        with self._turn.taken() as mine:
            if not mine:
                return
            waiting = [
                w for w in self._store.behind_jobs(self._name, self._limits.max_batch) if w[0].route in self._preparers
            ]
            for route in dict.fromkeys(d.route for d, _ in waiting):
                self._behind_jobs(route, [w for w in waiting if w[0].route == route], now)
            for route in filter(self._held_since, self._preparers):
                self._behind_listing(route, now)

    def _behind_jobs(self, route: str, waiting: Sequence[tuple[Delivery, Mapping[str, Any]]], now: datetime) -> None:
        held = {d.id: in_job for d, in_job in waiting}
        self._hand(
            route,
            [d for d, _ in waiting],
            lambda preparer, work, number: preparer.behind_job(work, held[work.delivery.id], number),
            now,
        )

    def _behind_listing(self, route: str, now: datetime) -> None:
        found = self._store.changed_since_adopted(self._name, route, self._limits.max_batch)
        if found:
            self._hand(route, found, lambda preparer, work, number: preparer.prepare(work, number).operation, now)

    def _hand(
        self,
        route: str,
        waiting: Sequence[Delivery],
        prepare: Callable[[Preparer, Work, int], Operation | None],
        now: datetime,
    ) -> None:
        preparer = self._preparers[route]
        prepared: list[tuple[Work, Operation]] = []
        for number, work in enumerate(self._store.load(waiting, include=preparer.route.include)):
            with suppress(Exception):  # what cannot be mapped says so when it is delivered
                if operation := prepare(preparer, work, number):
                    prepared.append((work, operation))
        with time_limit(self._limits.deadline):
            answers = self._call.overtake([operation for _, operation in prepared]) if prepared else []
        failed = {w.delivery.id for (w, _), a in zip(prepared, answers, strict=True) if isinstance(a, Failed)}
        if failed:
            self._again_at = now + OVERTAKE_AGAIN
        entries = [
            self._settler.overtook(work, answer.note or "")
            for (work, _), answer in zip(prepared, answers, strict=True)
            if isinstance(answer, Delivered)
        ]
        self._store.overtaken([d for d in waiting if d.id not in failed], entries)
