"""What the target said of others while it spoke of a person: a refused twin is named by its neighbour's values."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...errors import redact
from ..engine import Transaction

__all__ = ["Traces"]

#: Where words of the other side are kept: table, key, columns.
_WORDS = (
    ("history", "id", ("error", "note")),
    ("delivery", "id", ("error",)),
    ("lane", "sink", ("reason",)),
    ("hold", "route", ("reason",)),
    ("backfill", "id", ("error",)),
)
#: Longer than any of these columns: what is there was cut already.
_WHOLE = 5000


class Traces:
    """What one person is known by. Collected before the records go, looked for afterwards.

    A first or last name alone tells nobody apart, and may be a word: it is taken out only of what holds more of the
    person than that.
    """

    def __init__(self, address: str) -> None:
        self._telling = {address}
        self._names: set[str] = set()

    def add(self, stored: str) -> None:
        """A record of the person, as it is stored."""
        for place in _tables(json.loads(stored)):
            texts = {name: value for name, value in place.items() if isinstance(value, str) and value.strip()}
            self._telling |= {texts[name] for name in ("email", "phone", "line1", "username") if name in texts}
            first, last = texts.get("first_name"), texts.get("last_name")
            self._names |= {name for name in (first, last) if name}
            if first and last:
                self._telling |= {f"{first} {last}", f"{last} {first}", f"{last}, {first}"}

    def blot(self, tx: Transaction) -> None:
        """Take the person out of everything that was said of others."""
        known = {"forgotten": [*self._telling, *self._names]}
        keys = {table: key for table, key, _ in _WORDS}
        for table, column, value, told in list(self.told(tx)):
            tx.execute(
                f"UPDATE {table} SET {column} = ? WHERE {keys[table]} = ?",  # noqa: S608  constant names
                (redact(told, _WHOLE, known=known), value),
            )

    def told(self, view: Transaction) -> Iterator[tuple[str, str, Any, str]]:
        """Where the person is named: table, column, the row's key, the words."""
        telling = [text.lower() for text in self._telling]
        for table, key, columns in _WORDS:
            some = " OR ".join(f"{column} IS NOT NULL" for column in columns)
            rows = view.execute(f"SELECT {key}, {', '.join(columns)} FROM {table} WHERE {some}")  # noqa: S608  constant names
            yield from ((table, column, value, text) for column, value, text in _told(rows, key, columns, telling))


def _told(
    rows: Iterable[Any], key: str, columns: Iterable[str], telling: Iterable[str]
) -> Iterator[tuple[str, Any, str]]:
    for row in rows:
        for column in columns:
            text = row[column]
            if text and any(one in text.lower() for one in telling):
                yield column, row[key], text


def _tables(value: Any) -> Iterator[Mapping[str, Any]]:
    """A record and the addresses in it; not what the shop keeps beside (`meta`, `raw`)."""
    if isinstance(value, dict):
        yield value
        for name in ("billing", "shipping"):
            yield from _tables(value.get(name))
