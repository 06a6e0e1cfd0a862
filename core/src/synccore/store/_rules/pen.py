"""Statements that are alike, written together: what a page of records brings costs a few calls and not a few each."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .. import codec
from ..engine import Result, Transaction

__all__ = ["Pen"]


class Pen:
    """A transaction in which some writes may wait. Whatever is executed finds them written.

    Statements that wait are carried out one statement after the other, each with all its rows in their order, and what
    is owed comes last: so only those may wait that do not read what another of them writes.
    """

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._waiting: dict[str, list[Mapping[str, Any]]] = {}
        #: Route and source -> the statement, what its keys have in common, and the keys.
        self._owed: dict[tuple[str, str], tuple[str, Mapping[str, Any], dict[str, str | None]]] = {}
        #: Statement -> rows that it touched, of those that waited.
        self.touched: Counter[str] = Counter()

    def later(self, statement: str, values: Mapping[str, Any]) -> None:
        """Write this before anything is executed, and at the latest when `flush` is called."""
        self._waiting.setdefault(statement, []).append(values)

    def owe(self, statement: str, alike: Mapping[str, Any], key: str, known: str | None) -> bool:
        """As `later`, for a statement of `:owed`: keys, each with what is known of it, written all at once.

        Whether the key is not among those that wait already.
        """
        place = alike["route"], alike["source"]
        group = self._owed.get(place)
        if group is not None and group[:2] != (statement, alike):
            self.flush()  # the same key may be owed otherwise: in the order it was said
            group = None
        if group is None:
            group = self._owed[place] = statement, alike, {}
        keys = group[2]
        new = key not in keys
        if keys.get(key) is None:
            keys[key] = known
        return new

    def flush(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, {}
        for statement, rows in waiting.items():
            self.touched[statement] += self._tx.executemany(statement, rows).rowcount
        owed, self._owed = self._owed, {}
        for statement, alike, keys in owed.values():
            self.touched[statement] += self._tx.execute(statement, {**alike, "owed": codec.dump_json(keys)}).rowcount

    def execute(self, statement: str, values: Mapping[str, Any] | Sequence[Any] = ()) -> Result:
        """Carry out one statement."""
        if self._waiting or self._owed:
            self.flush()
        return self._tx.execute(statement, values)

    def executemany(self, statement: str, values: Iterable[Any]) -> Result:
        """Carry it out once for each."""
        if self._waiting or self._owed:
            self.flush()
        return self._tx.executemany(statement, values)
