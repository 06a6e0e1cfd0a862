"""Small things that must survive: lanes, backfills, secrets, plugin state. Held by whoever needs one of them."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from attrs import asdict

from ..types import State
from ._convert import from_ms, maybe_ms, to_backfill, to_hold, to_lane, to_ms
from .engine import Engine
from .rows import BackfillJob, Hold, LaneRecord

__all__ = ["Keeping"]

_PAGE = 500
_PUT = """
INSERT INTO plugin_state (namespace, key, value) VALUES (:namespace, :key, :value)
ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value
"""
#: A comparison's marks bear the number of its listing; they go along with it, whatever it came to.
_END_SWEEP = """
DELETE FROM sweep WHERE name = CAST(:id AS TEXT) AND source = (SELECT source FROM backfill WHERE id = :id)
"""
#: Where a listing stood that nobody goes on with.
_END_CURSOR = """
DELETE FROM cursor WHERE source = (SELECT source FROM backfill WHERE id = :id)
    AND name IN (SELECT 'backfill:' || id FROM backfill WHERE id = :id
                 UNION ALL SELECT 'reconcile:' || id || ':' || entity FROM backfill WHERE id = :id)
"""


class Keeping(Engine):
    """Lanes, listings that were handed over, encrypted texts, and what plugins remember."""

    def lane(self, sink: str) -> LaneRecord:
        """A lane's durable state; the default where none is stored."""
        row = self.one("SELECT * FROM lane WHERE sink = ?", (sink,))
        return LaneRecord(sink=sink) if row is None else to_lane(row)

    def put_lane(self, record: LaneRecord) -> None:
        """Write a lane's state over the one before."""
        with self.writing() as tx:
            tx.execute(
                "INSERT INTO lane VALUES (:sink, :state, :reason, :until, :changed_at, :failures) "
                "ON CONFLICT (sink) DO UPDATE SET state = excluded.state, reason = excluded.reason, "
                "until = excluded.until, changed_at = excluded.changed_at, failures = excluded.failures",
                asdict(record) | {"until": maybe_ms(record.until), "changed_at": maybe_ms(record.changed_at)},
            )

    def holds(self, sink: str | None = None) -> list[Hold]:
        """Routes that wait, of one sink or all."""
        with self.reading() as view:
            rows = view.execute("SELECT * FROM hold WHERE sink = coalesce(:sink, sink) ORDER BY route", {"sink": sink})
            return [to_hold(row) for row in rows]

    def put_hold(self, hold: Hold) -> None:
        """Let a route wait; what held it before is over."""
        values = asdict(hold) | {"until": to_ms(hold.until), "since": to_ms(hold.since)}
        with self.writing() as tx:
            tx.execute(
                "INSERT INTO hold (route, sink, kind, reason, until, since, failures) "
                "VALUES (:route, :sink, :kind, :reason, :until, :since, :failures) "
                "ON CONFLICT (route) DO UPDATE SET sink = excluded.sink, kind = excluded.kind, "
                "reason = excluded.reason, until = excluded.until, since = excluded.since, "
                "failures = excluded.failures",
                values,
            )

    def drop_hold(self, route: str) -> None:
        """It may go on."""
        with self.writing() as tx:
            tx.execute("DELETE FROM hold WHERE route = ?", (route,))

    # -- backfills

    def queue_backfill(
        self, kind: str, source: str, entity: str, filters: Mapping[str, str], route: str | None, now: datetime
    ) -> BackfillJob:
        """Hand a listing over; an unfinished one of the same kind and words is resumed, not doubled."""
        words = (kind, source, entity, json.dumps(dict(filters), sort_keys=True), route)
        with self.writing() as tx:
            row = tx.execute(
                "SELECT * FROM backfill WHERE finished_at IS NULL AND kind = ? AND source = ? AND entity = ? "
                "AND filters = ? AND route IS ? ORDER BY id",
                words,
            ).fetchone()
            if row is None:
                row = tx.execute(
                    "INSERT INTO backfill (kind, source, entity, filters, route, state, created_at) "
                    "VALUES (?, ?, ?, ?, ?, 'queued', ?) RETURNING *",
                    (*words, to_ms(now)),
                ).fetchone()
        return to_backfill(row)

    def next_backfill(self, source: str | None = None) -> BackfillJob | None:
        """The oldest queued or running one."""
        row = self.one(
            "SELECT * FROM backfill WHERE finished_at IS NULL AND source = coalesce(:source, source) "
            "ORDER BY id LIMIT 1",
            {"source": source},
        )
        return None if row is None else to_backfill(row)

    def backfills(self) -> list[BackfillJob]:
        """All that are queued or running, oldest first."""
        with self.reading() as view:
            rows = view.execute("SELECT * FROM backfill WHERE finished_at IS NULL ORDER BY id")
            return [to_backfill(row) for row in rows]

    def ended_backfills(self, limit: int = 10) -> list[BackfillJob]:
        """The last ones that came to their end."""
        with self.reading() as view:
            rows = view.execute(
                "SELECT * FROM backfill WHERE finished_at IS NOT NULL ORDER BY id DESC LIMIT ?", (limit,)
            )
            return [to_backfill(row) for row in rows]

    def get_backfill(self, job_id: int) -> BackfillJob | None:
        """A listing by its number, whatever became of it."""
        row = self.one("SELECT * FROM backfill WHERE id = ?", (job_id,))
        return None if row is None else to_backfill(row)

    def update_backfill(
        self,
        job_id: int,
        *,
        state: str | None = None,
        cursor: str | None = None,
        seen: int | None = None,
        total: int | None = None,
        error: str | None = None,
        now: datetime,
    ) -> None:
        """Change what is given (not None). With one that comes to its end goes what only it needed."""
        values = {"state": state, "cursor": cursor, "seen": seen, "total": total, "error": error}
        given: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
        if state is not None:
            given["finished_at"] = to_ms(now) if state in ("done", "failed") else None
        if not given:
            return
        columns = ", ".join(f"{name} = :{name}" for name in given)
        with self.writing() as tx:
            tx.execute(f"UPDATE backfill SET {columns} WHERE id = :id", given | {"id": job_id})  # noqa: S608  own names
            if given.get("finished_at") is not None:
                tx.execute(_END_SWEEP, {"id": job_id})
                tx.execute(_END_CURSOR, {"id": job_id})

    # -- secrets

    def get_secret(self, name: str) -> str | None:
        """The encrypted text."""
        row = self.one("SELECT ciphertext FROM secret WHERE name = ?", (name,))
        return None if row is None else row["ciphertext"]

    def put_secret(self, name: str, ciphertext: str, now: datetime) -> None:
        """Store an encrypted text, durable when this returns."""
        with self.writing() as tx:
            tx.execute(
                "INSERT INTO secret VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
                "ciphertext = excluded.ciphertext, stored_at = excluded.stored_at",
                (name, ciphertext, to_ms(now)),
            )

    def delete_secret(self, name: str) -> bool:
        """Forget it; whether there was one."""
        with self.writing() as tx:
            return tx.execute("DELETE FROM secret WHERE name = ?", (name,)).rowcount > 0

    def secret_names(self, prefix: str = "") -> list[tuple[str, datetime]]:
        """The names with this beginning, and when each was stored; never a value."""
        statement = "SELECT name, stored_at FROM secret WHERE substr(name, 1, length(:prefix)) = :prefix ORDER BY name"
        with self.reading() as view:
            return [(row["name"], from_ms(row["stored_at"])) for row in view.execute(statement, {"prefix": prefix})]

    # -- plugin state

    def state(self, namespace: str) -> State:
        """A plugin's key-value store."""
        return _PluginState(self, namespace)


class _PluginState:
    """A `synccore.types.State` in the database."""

    def __init__(self, engine: Engine, namespace: str) -> None:
        self._engine = engine
        self._namespace = namespace

    def get(self, key: str) -> Any:
        """The value, or None."""
        row = self._engine.one("SELECT value FROM plugin_state WHERE namespace = ? AND key = ?", (self._namespace, key))
        return None if row is None else json.loads(row["value"])

    def get_all(self, keys: Iterable[str]) -> Mapping[str, Any]:
        """The values of several keys; those that have none are left out."""
        with self._engine.reading() as view:
            rows = view.execute(
                "SELECT s.key, s.value FROM json_each(:keys) j CROSS JOIN plugin_state s "
                "ON s.namespace = :namespace AND s.key = j.value",
                {"namespace": self._namespace, "keys": json.dumps(list(keys))},
            )
            return {row["key"]: json.loads(row["value"]) for row in rows}

    def put(self, items: Mapping[str, Any]) -> None:
        """Store all items in one transaction; None deletes."""
        texts = [(key, None if value is None else json.dumps(value)) for key, value in items.items()]
        with self._engine.writing() as tx:
            tx.executemany(
                "DELETE FROM plugin_state WHERE namespace = ? AND key = ?",
                [(self._namespace, key) for key, text in texts if text is None],
            )
            kept = [
                {"namespace": self._namespace, "key": key, "value": text} for key, text in texts if text is not None
            ]
            tx.executemany(_PUT, kept)

    def change(self, key: str, now: datetime, make: Callable[[Any, datetime], Any]) -> Any:
        """Replace a value by what `make` gives for it, while nobody else changes it."""
        place = {"namespace": self._namespace, "key": key}
        with self._engine.noting(f"{self._namespace}/{key}") as tx:
            at = self._engine.lease_clock(tx, to_ms(now))
            statement = "SELECT value FROM plugin_state WHERE namespace = :namespace AND key = :key"
            row = tx.execute(statement, place).fetchone()
            before = None if row is None else json.loads(row["value"])
            after = make(before, from_ms(at))
            if after != before:
                tx.execute(_PUT, place | {"value": json.dumps(after)})
        return after

    def scan(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """All items below `prefix`, by key; read page by page."""
        after, again = prefix, False
        while True:
            with self._engine.reading() as view:
                rows = view.execute(
                    "SELECT key, value FROM plugin_state WHERE namespace = :namespace "
                    "AND (key > :after OR key = :after AND 0 = :again) ORDER BY key LIMIT :page",
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
        with self._engine.writing() as tx:
            tx.execute(
                "DELETE FROM plugin_state WHERE namespace = :namespace AND key >= :prefix "
                "AND substr(key, 1, length(:prefix)) = :prefix",
                {"namespace": self._namespace, "prefix": prefix},
            )
