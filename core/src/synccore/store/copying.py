"""An outbox copied into another engine's, row by row, and the proof that it is the same. Held by `synccore db copy`."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import ConfigError
from .engine import Engine, Transaction

__all__ = ["COUNTED", "TABLES", "UNDER_WAY", "Copying"]

#: Every table with its key, those that others refer to first.
TABLES: dict[str, tuple[str, ...]] = {
    "snapshot": ("id",),
    "event": ("id",),
    "event_route": ("event", "route"),
    "link": ("id",),
    "link_archive": ("account", "sink", "route", "source", "entity", "key"),
    "delivery": ("id",),
    # Routes without rows any more have a line here all the same.
    "delivery_count": ("sink", "route", "state"),
    "snapshot_count": ("source", "entity"),
    "history": ("id",),
    "cursor": ("source", "name"),
    "sweep": ("source", "name"),
    "sweep_seen": ("source", "name", "entity", "key"),
    "lane": ("sink",),
    "hold": ("route",),
    "backfill": ("id",),
    "secret": ("name",),
    "plugin_state": ("namespace", "key"),
    "tombstone": ("digest",),
    "hint": ("source", "op", "entity", "key"),
    "awaited": ("source", "entity", "key", "hint_entity", "hint_key"),
    "unreadable": ("source", "entity", "place"),
}
#: What triggers count; a copy writes it anew instead of going on behind it.
COUNTED = ("delivery_count", "snapshot_count")
#: Where a copy that is under way remembers its source; no part of what is copied.
UNDER_WAY = "synccore:copy"
_PAGE = 500
_Row = dict[str, Any]


class Copying(Engine):
    """Reads and writes whole tables in the order of their keys."""

    def must_be_whole(self) -> None:
        """Raises ConfigError where a copy into this outbox was begun and not ended: records whose links did not arrive
        would all be made anew."""
        begun = self.one("SELECT value FROM plugin_state WHERE namespace = ? AND key = 'from'", (UNDER_WAY,))
        if begun is not None:
            why = f"a copy of {json.loads(begun['value'])} into it was begun and not ended; say synccore db copy again"
            raise ConfigError(f"only a part of the outbox is there: {why}", path="synccore.database")

    def pages(self, table: str, after: Sequence[Any] | None = None) -> Iterator[list[_Row]]:
        """All rows of a table, or those behind a key, in the order of keys."""
        while rows := self._page(table, after):
            yield rows
            after = [rows[-1][column] for column in TABLES[table]]

    def _page(self, table: str, after: Sequence[Any] | None) -> list[_Row]:
        """Rows behind a key, in the order of keys."""
        columns = ", ".join(TABLES[table])
        behind, values = "1 = 1", list(after or ())
        if after is not None:
            behind = f"({columns}) > ({', '.join('?' * len(after))})"
        if table == "plugin_state":
            behind += f" AND namespace <> '{UNDER_WAY}'"
        statement = f"SELECT * FROM {table} WHERE {behind} ORDER BY {columns} LIMIT {_PAGE}"  # noqa: S608  own names
        with self.reading() as view:
            return [_plain(dict(row)) for row in view.execute(statement, values)]

    def last_key(self, table: str) -> tuple[Any, ...] | None:
        """The key of the last row; None where there is none."""
        columns = ", ".join(TABLES[table])
        order = ", ".join(f"{column} DESC" for column in TABLES[table])
        where = f"WHERE namespace <> '{UNDER_WAY}'" if table == "plugin_state" else ""
        row = self.one(f"SELECT {columns} FROM {table} {where} ORDER BY {order} LIMIT 1")  # noqa: S608  own names
        return None if row is None else tuple(row)

    def put_page(self, table: str, rows: Sequence[_Row]) -> None:
        """Write rows as they are; those of a key that is there already stay as they are."""
        if not rows:
            return
        columns = list(rows[0])
        statement = (
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(f':{c}' for c in columns)}) "  # noqa: S608  own names
            "ON CONFLICT DO NOTHING"
        )
        if table in COUNTED:
            rows = [{**row, "rows": 0} for row in rows]  # the triggers have counted what there is
        with self.writing() as tx:
            tx.executemany(statement, rows)
            self.renumbered(tx)

    def renumbered(self, tx: Transaction) -> None:
        """Rows were written with the numbers they had: new ones begin behind them. SQLite sees that by itself."""

    def tally(self, table: str) -> tuple[int, str]:
        """How many rows there are, and a digest of all that is in them."""
        count, digest = 0, hashlib.sha256()
        for rows in self.pages(table):
            for row in rows:
                digest.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass"))
            count += len(rows)
        return count, digest.hexdigest()


def _plain(row: _Row) -> _Row:
    """Without zero characters, which not every database can hold."""
    return {k: v.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(v, str) else v for k, v in row.items()}
