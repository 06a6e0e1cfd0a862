"""Many rows in one INSERT: row by row, half of what writing them takes is beginning and ending a statement."""

import re
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any, Self

__all__ = ["Connection"]

#: Rows of one statement, as many as there are: a batch is written in a few, and Python's lock is let go of for each.
TOGETHER = (100, 10)
#: What is inserted is named in the brackets alone; a conflict is settled by what stands in `excluded`.
_INSERT = re.compile(r"\s*(INSERT INTO [^:]*\bVALUES\s*)(\([^?]*?\))(\s*(?:ON CONFLICT[^:]*)?)", re.DOTALL)
_NAME = re.compile(r":(\w+)")


class Connection(sqlite3.Connection):
    """One that inserts many rows at a time."""

    def executemany(self, statement: str, rows: Iterable[Any], /) -> sqlite3.Cursor:
        """Carry a statement out for each of these rows, in their order."""
        cursor = self.cursor(_Touching)
        left = list(rows)
        for size in TOGETHER:
            while len(part := left[:size]) == size:
                if (found := _together(statement, size, _blank(statement, part))) is None:
                    break
                text, values = found
                cursor.executemany(text, (tuple(chain.from_iterable(map(values, part))),))
                left = left[size:]
        if left:
            cursor.executemany(statement, left)
        return cursor


class _Touching(sqlite3.Cursor):
    """Knows how many rows all its statements touched."""

    _touched = 0

    def executemany(self, statement: str, rows: Iterable[Any], /) -> Self:
        super().executemany(statement, rows)
        self._touched += max(super().rowcount, 0)
        return self

    @property
    def rowcount(self) -> int:
        return self._touched


@lru_cache(maxsize=100)
def _names(statement: str) -> tuple[str, ...]:
    """What rows of the statement give, where many may be written at once."""
    found = _INSERT.fullmatch(statement)
    return () if found is None else tuple(_NAME.findall(found[2]))


def _blank(statement: str, rows: Sequence[Any]) -> frozenset[str]:
    """What none of these rows has: to hand a None over takes Python's sqlite3 ten times as long as a text."""
    names = [name for name in _names(statement) if rows[0][name] is None]
    return frozenset([name for name in names if all(row[name] is None for row in rows)])


@lru_cache(maxsize=100)
def _together(
    statement: str, size: int, blank: frozenset[str] = frozenset()
) -> tuple[str, Callable[[Any], tuple[Any, ...]]] | None:
    """The statement for so many rows, and what gives a row's values; None where each row needs its own."""
    found = _INSERT.fullmatch(statement)
    names = [name for name in _names(statement) if name not in blank]
    if found is None or len(names) < 2:  # an itemgetter of one gives no tuple
        return None
    row = _NAME.sub(lambda name: "NULL" if name[1] in blank else "?", found[2])
    return found[1] + ", ".join([row] * size) + found[3], itemgetter(*names)
