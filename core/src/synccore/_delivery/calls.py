"""Calls into a sink, guarded: what comes back is checked here, and the plugin is named where it is wrong."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, TypeVar

from .._redact import conceal
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

T = TypeVar("T")
_OUTCOMES = (Delivered, Unchanged, Submitted, Failed)


class Caller:
    """One sink behind checks."""

    def __init__(self, name: str, sink: Any, secrets: Callable[[], Iterable[str]] = tuple) -> None:
        self._name = name
        self._sink = sink
        self._secrets = secrets

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
        with self._discreet(operations):
            outcomes = self._sink.deliver(operations)
        checked: list[Outcome] = self._checked("deliver", outcomes, len(operations), _OUTCOMES)
        return self._without_values(operations, checked)

    def lookup(self, operations: Sequence[Operation]) -> Sequence[LookupResult]:
        """`lookup`, checked."""
        with self._discreet(operations):
            found = self._sink.lookup(operations)
        checked: list[LookupResult] = self._checked(
            "lookup", found, len(operations), (Link, Ambiguous, Retry, Failed, type(None))
        )
        return self._without_values(operations, checked)

    def overtake(self, operations: Sequence[Operation]) -> list[Delivered | Failed | None]:
        """`overtake`, checked; whatever it raises is the outcome of all."""
        try:
            with self._discreet(operations):
                answers = self._sink.overtake(operations)
            checked: list[Delivered | Failed | None] = self._checked(
                "overtake", answers, len(operations), (Delivered, Failed, type(None))
            )
            return self._without_values(operations, checked)
        except Exception as error:  # noqa: BLE001  it is tried again
            return [Failed(error)] * len(operations)

    def collect(self, job: str, operations: Sequence[Operation], submitted_at: datetime) -> Sequence[Outcome] | None:
        """`collect`, checked."""
        with self._discreet(operations):
            outcomes = self._sink.collect(Job(id=job, operations=tuple(operations), submitted_at=submitted_at))
        if outcomes is None:
            return None
        checked: list[Outcome] = self._checked("collect", outcomes, len(operations), (Delivered, Unchanged, Failed))
        return self._without_values(operations, checked)

    # -- what the target's words may not hold

    @contextmanager
    def _discreet(self, operations: Sequence[Operation]) -> Iterator[None]:
        """What is raised inside speaks of these records without their values."""
        try:
            yield
        except Exception as error:
            conceal(error, _values(operations), self._secrets())
            raise

    def _without_values(self, operations: Sequence[Operation], answers: list[T]) -> list[T]:
        for operation, answer in zip(operations, answers, strict=True):
            if isinstance(answer, Failed):
                conceal(answer.error, _values([operation]), self._secrets())
        return answers

    def _checked(self, method: str, answers: Any, count: int, types: tuple[type, ...]) -> list[Any]:
        given: list[Any] = list(answers) if answers is not None else []
        if len(given) != count:
            raise TypeError(f"{self._name}.{method} gave {len(given)} answers to {count} questions")
        for answer in given:
            if not isinstance(answer, types):
                raise TypeError(f"{self._name}.{method} answered {type(answer).__name__}")
        return given


def _values(operations: Sequence[Operation]) -> Mapping[str, Any]:
    """Target field -> what these records hold and held there."""
    found: dict[str, list[Any]] = {}
    for operation in operations:
        for fields in (operation.fields, operation.previous):
            for name, value in fields.items():
                found.setdefault(name, []).append(value)
    return found
