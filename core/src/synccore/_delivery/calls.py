"""Calls into a sink, guarded: what comes back is checked here, and the plugin is named where it is wrong."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from ..store import StoreError
from ..types import (
    Ambiguous,
    Delivered,
    Failed,
    Job,
    Link,
    LookupResult,
    Operation,
    Outcome,
    Retry,
    Submitted,
    Unchanged,
)
from .watch import Watch

_OUTCOMES = (Delivered, Unchanged, Submitted, Failed)


class Caller:
    """One sink behind checks.

    Where the plugin meets a store that is busy, full or away (its state, its locks, its vault), a call raises
    StoreError, also where it told that of single records: it is no record's fault, and nobody knows how far it got.
    """

    def __init__(self, name: str, sink: Any, watch: Watch) -> None:
        self._name = name
        self._sink = sink
        self._watch = watch

    def can(self, method: str) -> bool:
        """Whether the sink has this optional method."""
        return callable(getattr(self._sink, method, None))

    def resume(self) -> None:
        """`resume`, where the sink keeps waits of its own; a bug in it holds nobody up."""
        if self.can("resume"):
            with suppress(Exception):
                self._sink.resume()

    def deliver(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """`deliver`, checked."""
        with self._watch.call():
            return self._checked("deliver", self._sink.deliver(operations), len(operations), _OUTCOMES)

    def lookup(self, operations: Sequence[Operation]) -> Sequence[LookupResult]:
        """`lookup`, checked."""
        with self._watch.call():
            found = self._sink.lookup(operations)
            return self._checked("lookup", found, len(operations), (Link, Ambiguous, Retry, Failed, type(None)))

    def read(self, links: Sequence[Link]) -> Sequence[Mapping[str, Any] | None]:
        """`read`, checked."""
        with self._watch.call():
            return self._checked("read", self._sink.read(links), len(links), (Mapping, type(None)))

    def overtake(self, operations: Sequence[Operation]) -> list[Delivered | Failed | None]:
        """`overtake`, checked; whatever it raises is the outcome of all."""
        try:
            with self._watch.call():
                answers = self._sink.overtake(operations)
                return self._checked("overtake", answers, len(operations), (Delivered, Failed, type(None)))
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  it is tried again
            return [Failed(error)] * len(operations)

    def collect(self, job: str, operations: Sequence[Operation], submitted_at: datetime) -> Iterator[Outcome] | None:
        """`collect`, checked as its answers come."""
        types = (Delivered, Unchanged, Failed)
        with self._watch.call():
            outcomes = self._sink.collect(Job(id=job, operations=operations, submitted_at=submitted_at))
            if outcomes is None:
                return None
            if isinstance(outcomes, Sequence):
                return iter(self._checked("collect", outcomes, len(operations), types))
        return self._told("collect", iter(outcomes), len(operations), types)

    def _told(self, method: str, answers: Iterator[Any], count: int, types: tuple[type, ...]) -> Iterator[Any]:
        given, end = 0, object()
        while True:
            with self._watch.call():
                answer = next(answers, end)
            if answer is end:
                break
            given += 1
            yield from self._checked(method, [answer], 1, types)
        if given != count:
            raise TypeError(f"{self._name}.{method} gave {given} answers to {count} questions")

    def _checked(self, method: str, answers: Any, count: int, types: tuple[type, ...]) -> list[Any]:
        given: list[Any] = list(answers) if answers is not None else []
        if len(given) != count:
            raise TypeError(f"{self._name}.{method} gave {len(given)} answers to {count} questions")
        for answer in given:
            if not isinstance(answer, types):
                raise TypeError(f"{self._name}.{method} answered {type(answer).__name__}")
            if isinstance(answer, Failed) and isinstance(answer.error, StoreError):
                raise answer.error
        return given
