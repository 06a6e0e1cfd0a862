"""Statements that are alike, written together: what a page of records brings costs a few calls and not a few each."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .engine import Result, Transaction

__all__ = ["Pen"]


class Pen:
    """A transaction in which some writes may wait. Whatever is executed finds them written.

    Statements that wait are carried out one statement after the other, each with all its rows in their order: so only
    those may wait that do not read what another of them writes.
    """

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._waiting: dict[str, list[Mapping[str, Any]]] = {}
        #: Statement -> rows that it touched, of those that waited.
        self.touched: Counter[str] = Counter()

    def later(self, statement: str, values: Mapping[str, Any]) -> None:
        """Write this before anything is executed, and at the latest when `flush` is called."""
        self._waiting.setdefault(statement, []).append(values)

    def flush(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, {}
        for statement, rows in waiting.items():
            self.touched[statement] += self._tx.executemany(statement, rows).rowcount

    def execute(self, statement: str, values: Mapping[str, Any] | Sequence[Any] = ()) -> Result:
        """Carry out one statement."""
        if self._waiting:
            self.flush()
        return self._tx.execute(statement, values)

    def executemany(self, statement: str, values: Iterable[Any]) -> Result:
        """Carry it out once for each."""
        if self._waiting:
            self.flush()
        return self._tx.executemany(statement, values)
