"""Many rows in one INSERT: row by row, half of what writing them takes is beginning and ending a statement."""

import re
import sqlite3
from collections.abc import Callable, Iterable
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
            if len(left) >= size and (found := _together(statement, size)) is not None:
                text, values = found
                whole = len(left) // size * size
                parts = (left[at : at + size] for at in range(0, whole, size))
                cursor.executemany(text, (tuple(chain.from_iterable(map(values, part))) for part in parts))
                left = left[whole:]
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
def _together(statement: str, size: int) -> tuple[str, Callable[[Any], tuple[Any, ...]]] | None:
    """The statement for so many rows, and what gives a row's values; None where each row needs its own."""
    found = _INSERT.fullmatch(statement)
    names = [] if found is None else _NAME.findall(found[2])
    if found is None or len(names) < 2:  # an itemgetter of one gives no tuple
        return None
    row = _NAME.sub("?", found[2])
    return found[1] + ", ".join([row] * size) + found[3], itemgetter(*names)
