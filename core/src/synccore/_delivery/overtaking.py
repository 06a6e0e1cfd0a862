"""What must not wait for a vendor's job: newer states of records in it, handed to the sink at once."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from ..http import time_limit
from ..store import Delivery, Store, Work
from ..types import Delivered, Failed, Limits, Operation
from .calls import Caller
from .prepare import Preparer
from .settle import Settler

__all__ = ["Overtaking"]

#: How soon what must not wait for a job is handed over again, where the sink could not do it.
OVERTAKE_AGAIN = timedelta(seconds=5)


class Overtaking:
    """One lane's; see `OvertakeSink`."""

    def __init__(
        self,
        name: str,
        limits: Limits,
        preparers: Mapping[str, Preparer],
        call: Caller,
        store: Store,
        settler: Settler,
    ) -> None:
        self._name = name
        self._limits = limits
        self._preparers = preparers
        self._call = call
        self._store = store
        self._settler = settler
        self._lock = threading.Lock()
        self._again_at: datetime | None = None

    def step(self, now: datetime) -> None:
        """Hand newer states of what is in a submitted job to the sink, each once: some of it must not wait."""
        if not self._call.can("overtake") or (self._again_at is not None and now < self._again_at):
            return
        if not self._lock.acquire(blocking=False):
            return
        try:
            waiting = [
                w for w in self._store.behind_jobs(self._name, self._limits.max_batch) if w[0].route in self._preparers
            ]
            for route in dict.fromkeys(d.route for d, _ in waiting):
                self._of_route(route, [w for w in waiting if w[0].route == route], now)
        finally:
            self._lock.release()

    def _of_route(self, route: str, waiting: Sequence[tuple[Delivery, Mapping[str, Any]]], now: datetime) -> None:
        preparer = self._preparers[route]
        loaded = self._store.load([d for d, _ in waiting], include=preparer.route.include)
        prepared: list[tuple[Work, Operation]] = []
        for number, (work, (_, in_job)) in enumerate(zip(loaded, waiting, strict=True)):
            with suppress(Exception):  # what cannot be mapped says so when it is delivered
                if operation := preparer.behind_job(work, in_job, number):
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
        self._store.overtaken([d for d, _ in waiting if d.id not in failed], entries)
