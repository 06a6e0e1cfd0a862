"""Small things that must survive: cursors, lanes, backfills, secrets, plugin state."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from . import sql
from ._convert import from_ms, maybe_ms, to_backfill
from ._database import Database
from .rows import BackfillJob, LaneRecord

__all__ = [
    "PluginState",
    "next_backfill",
    "put_cursor",
    "put_lane",
    "queue_backfill",
    "secret_names",
    "update_backfill",
]

_PAGE = 500


def put_cursor(tx: sqlite3.Connection, source: str, name: str, value: str | None, now: int) -> None:
    """Store a cursor; None deletes it."""
    if value is None:
        tx.execute("DELETE FROM cursor WHERE source = ? AND name = ?", (source, name))
    else:
        tx.execute(sql.PUT_CURSOR, {"source": source, "name": name, "value": value, "now": now})


def put_lane(tx: sqlite3.Connection, record: LaneRecord) -> None:
    """Store a lane."""
    tx.execute(
        "INSERT OR REPLACE INTO lane VALUES (?, ?, ?, ?, ?, ?)",
        (
            record.sink,
            record.state,
            record.reason,
            maybe_ms(record.until),
            maybe_ms(record.changed_at),
            record.failures,
        ),
    )


def queue_backfill(
    tx: sqlite3.Connection,
    kind: str,
    source: str,
    entity: str,
    filters: Mapping[str, str],
    route: str | None,
    now: int,
) -> BackfillJob:
    """A new listing, or the unfinished one of the same words."""
    words = (kind, source, entity, json.dumps(dict(filters), sort_keys=True), route)
    row = tx.execute(
        "SELECT * FROM backfill WHERE finished_at IS NULL AND kind = ? AND source = ? AND entity = ? AND filters = ? "
        "AND route IS ? ORDER BY id",
        words,
    ).fetchone()
    if row is None:
        row = tx.execute(
            "INSERT INTO backfill (kind, source, entity, filters, route, state, created_at) "
            "VALUES (?, ?, ?, ?, ?, 'queued', ?) RETURNING *",
            (*words, now),
        ).fetchone()
    return to_backfill(row)


def next_backfill(view: sqlite3.Connection, source: str | None) -> BackfillJob | None:
    """The oldest unfinished one."""
    row = view.execute(
        "SELECT * FROM backfill WHERE finished_at IS NULL AND source = coalesce(:source, source) ORDER BY id LIMIT 1",
        {"source": source},
    ).fetchone()
    return None if row is None else to_backfill(row)


def update_backfill(tx: sqlite3.Connection, job_id: int, now: datetime, values: Mapping[str, Any]) -> None:
    """Change what is given (not None)."""
    given = {name: value for name, value in values.items() if value is not None}
    if given.get("state") is not None:
        given["finished_at"] = maybe_ms(now) if given["state"] in ("done", "failed") else None
    if given:
        columns = ", ".join(f"{name} = :{name}" for name in given)
        tx.execute(f"UPDATE backfill SET {columns} WHERE id = :id", given | {"id": job_id})  # noqa: S608  own names


def secret_names(view: sqlite3.Connection, prefix: str) -> list[tuple[str, datetime]]:
    """Names with this prefix."""
    rows = view.execute(
        "SELECT name, stored_at FROM secret WHERE substr(name, 1, length(:p)) = :p ORDER BY name", {"p": prefix}
    )
    return [(row["name"], from_ms(row["stored_at"])) for row in rows]


class PluginState:
    """A `synccore.types.State` in the database."""

    def __init__(self, database: Database, namespace: str) -> None:
        self._database = database
        self._namespace = namespace

    def get(self, key: str) -> Any:
        """The value, or None."""
        with self._database.read() as view:
            row = view.execute(
                "SELECT value FROM plugin_state WHERE namespace = ? AND key = ?", (self._namespace, key)
            ).fetchone()
        return None if row is None else json.loads(row["value"])

    def put(self, items: Mapping[str, Any]) -> None:
        """Store all items in one transaction; None deletes."""
        texts = [(key, None if value is None else json.dumps(value)) for key, value in items.items()]
        with self._database.write() as tx:
            tx.executemany(
                "DELETE FROM plugin_state WHERE namespace = ? AND key = ?",
                [(self._namespace, key) for key, text in texts if text is None],
            )
            tx.executemany(
                "INSERT INTO plugin_state VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                [(self._namespace, key, text) for key, text in texts if text is not None],
            )

    def scan(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """All items below `prefix`, by key; read page by page."""
        after, again = prefix, False
        while True:
            with self._database.read() as view:
                rows = view.execute(
                    "SELECT key, value FROM plugin_state WHERE namespace = :namespace "
                    "AND (key > :after OR key = :after AND NOT :again) ORDER BY key LIMIT :page",
                    {"namespace": self._namespace, "after": after, "again": again, "page": _PAGE},
                ).fetchall()
            for row in rows:
                if not row["key"].startswith(prefix):
                    return
                yield row["key"], json.loads(row["value"])
            if len(rows) < _PAGE:
                return
            after, again = rows[-1]["key"], True

    def clear(self, prefix: str = "") -> None:
        """Delete all items below `prefix`."""
        with self._database.write() as tx:
            tx.execute(
                "DELETE FROM plugin_state WHERE namespace = :namespace AND key >= :prefix "
                "AND substr(key, 1, length(:prefix)) = :prefix",
                {"namespace": self._namespace, "prefix": prefix},
            )
