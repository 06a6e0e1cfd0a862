"""The SQLite engine: the methods of `base.Store`, each one transaction.

The way of a change through these modules: `_ingest` stores it and owes, `_claim` leases and gathers, `_settle` ends.
`_owing` makes and folds rows, `_people` is what persons do, `_look` reads, `_keep` holds the small things.
"""

import os
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from datetime import datetime, timedelta
from pathlib import Path

from ..errors import ConfigError
from ..types import Link, Snapshot
from . import _claim, _ingest, _keep, _look, _people, _settle, schema, sql
from ._convert import from_ms, maybe_ms, to_backfill, to_lane, to_link, to_ms, to_snapshot
from ._database import BUSY_TIMEOUT, Database, create_file
from ._locks import FileLocks
from ._owing import write_history
from .rows import (
    BackfillJob,
    ClaimRule,
    Delivery,
    HistoryEntry,
    Ingest,
    Ingested,
    JobWork,
    LaneRecord,
    LinkUpdate,
    ParkedCause,
    RouteCounts,
    Settlement,
    Work,
)

__all__ = ["SqliteStore", "open_sqlite"]

#: Rows deleted per transaction by `prune`, so that it never holds up a webhook for long.
_PRUNE = 500
#: Lists that grow, and the column that says how old a row is (a parked delivery has none: it is not settled).
_PRUNED = (("delivery", "settled_at"), ("history", "at"), ("backfill", "finished_at"))


def open_sqlite(path: Path) -> "SqliteStore":
    """Open (or make) the database and bring its schema up to date. Raises ConfigError where it cannot be used."""
    return SqliteStore(path)


class SqliteStore:
    """An outbox in one SQLite file, for one daemon and any number of commands beside it."""

    def __init__(self, path: Path, *, busy_timeout: float = BUSY_TIMEOUT) -> None:
        create_file(path)
        self._locks = FileLocks(path)
        # Two processes that open a new database at once must not both set it up.
        with self._locks.named("schema"):
            self._database = Database(path, busy_timeout=busy_timeout)
            try:
                self.migrate()
            except BaseException:
                self._database.close()
                raise

    # -- life

    def migrate(self) -> tuple[str, ...]:
        with self._locks.named("schema"), self._database.exclusive() as connection:
            return schema.migrate(connection)

    def close(self) -> None:
        self._database.close()

    def daemon_lock(self) -> AbstractContextManager[None]:
        return self._locks.daemon()

    def daemon_running(self) -> bool:
        return self._locks.daemon_running()

    def lock(self, name: str) -> AbstractContextManager[None]:
        return self._locks.named("plugin:" + name)

    def backup(self, target: Path) -> None:
        if target.exists() and target.samefile(self._database.path):
            raise ConfigError(f"{target} is the database itself: name another file for the backup")
        draft = target.with_name(target.name + ".part")
        try:
            draft.unlink(missing_ok=True)
            os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            with closing(sqlite3.connect(draft)) as copy:
                with self._database.read() as view:
                    view.execute("ROLLBACK")
                    view.backup(copy)
                # One file, without a -wal beside it.
                copy.execute("PRAGMA journal_mode = DELETE")
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.replace(target)
        except OSError as error:
            raise ConfigError(f"the backup {target} cannot be written: {error.strerror}") from error
        finally:
            draft.unlink(missing_ok=True)

    def prune(self, before: datetime) -> Mapping[str, int]:
        gone = dict.fromkeys((table for table, _ in _PRUNED), 0)
        for table, column in _PRUNED:
            count = _PRUNE
            while count == _PRUNE:
                with self._database.write() as tx:
                    count = tx.execute(
                        f"DELETE FROM {table} WHERE id IN "  # noqa: S608  own names
                        f"(SELECT id FROM {table} WHERE {column} < ? LIMIT ?)",
                        (to_ms(before), _PRUNE),
                    ).rowcount
                gone[table] += count
        with self._database.write() as tx:
            # Comparisons that never came to their end.
            tx.execute("DELETE FROM sweep WHERE started_at < ?", (to_ms(before),))
        return gone

    # -- ingest

    def ingest(self, batch: Sequence[Ingest], now: datetime) -> list[Ingested]:
        with self._database.write() as tx:
            return _ingest.ingest(tx, batch, to_ms(now))

    def get_cursor(self, source: str, name: str) -> str | None:
        value = self._one("SELECT value FROM cursor WHERE source = ? AND name = ?", source, name)
        return None if value is None else value["value"]

    def put_cursor(self, source: str, name: str, value: str | None, now: datetime) -> None:
        with self._database.write() as tx:
            _keep.put_cursor(tx, source, name, value, to_ms(now))

    def cursors(self, source: str) -> Mapping[str, tuple[str | None, datetime]]:
        with self._database.read() as view:
            rows = view.execute("SELECT * FROM cursor WHERE source = ? ORDER BY name", (source,)).fetchall()
        return {row["name"]: (row["value"], from_ms(row["stored_at"])) for row in rows}

    def missing(self, source: str, entity: str, sweep: str, after: str, limit: int) -> list[str]:
        with self._database.read() as view:
            return _look.missing(view, source, entity, sweep, after, limit)

    def sweep_counts(self, source: str, entity: str, sweep: str) -> tuple[int, int]:
        with self._database.read() as view:
            return _look.sweep_counts(view, source, entity, sweep)

    def end_sweep(self, source: str, entity: str, sweep: str) -> None:
        with self._database.write() as tx:
            tx.execute("DELETE FROM sweep_seen WHERE source = ? AND name = ? AND entity = ?", (source, sweep, entity))
            tx.execute(
                "DELETE FROM sweep WHERE source = :source AND name = :name AND NOT EXISTS "
                "(SELECT 1 FROM sweep_seen WHERE source = :source AND name = :name)",
                {"source": source, "name": sweep},
            )

    # -- delivery

    def due(self, sink: str, now: datetime, limit: int, *, routes: Sequence[str] | None = None) -> int:
        with self._database.read() as view:
            return _claim.due(view, sink, routes, to_ms(now), limit)

    def next_due(self, sink: str, *, routes: Sequence[str] | None = None) -> datetime | None:
        with self._database.read() as view:
            return _claim.next_due(view, sink, routes)

    def claim(
        self, sink: str, rules: Sequence[ClaimRule], now: datetime, lease: timedelta, token: str
    ) -> list[Delivery]:
        # An idle lane asks often and finds nothing: it must not wait for (or hold up) those who write.
        with self._database.read() as view:
            if _claim.find_route(view, sink, rules, to_ms(now)) is None:
                return []
        with self._database.write() as tx:
            return _claim.claim(tx, sink, rules, to_ms(now), lease, token)

    def load(
        self,
        deliveries: Sequence[Delivery],
        *,
        include: Sequence[str] = (),
        after: str | None = None,
        after_entity: str | None = None,
    ) -> list[Work]:
        with self._database.read() as view:
            gatherer = _claim.Gatherer(view, include, after, after_entity)
            return [gatherer.gather(delivery) for delivery in deliveries]

    def work_for(
        self,
        route: str,
        source: str,
        entity: str,
        keys: Sequence[str],
        *,
        include: Sequence[str] = (),
        after: str | None = None,
        after_entity: str | None = None,
    ) -> list[Work]:
        with self._database.read() as view:
            gatherer = _claim.Gatherer(view, include, after, after_entity)
            return [gatherer.gather(_claim.made_up(view, route, source, entity, key)) for key in keys]

    def settle(self, settlements: Sequence[Settlement], now: datetime) -> frozenset[int]:
        with self._database.write() as tx:
            return _settle.settle(tx, settlements, to_ms(now))

    def release(self, token: str, now: datetime, *, sent: bool) -> int:
        with self._database.write() as tx:
            rows = tx.execute(sql.LEASED, {"token": token}).fetchall()
            return _settle.give_back(tx, rows, maybe_applied=sent)

    def rescue(self, now: datetime, *, all_running: bool = False) -> int:
        overdue = {"now": 1 << 62 if all_running else to_ms(now)}
        with self._database.read() as view:
            if view.execute(sql.OVERDUE, overdue).fetchone() is None:
                return 0
        with self._database.write() as tx:
            return _settle.give_back(tx, tx.execute(sql.OVERDUE, overdue).fetchall(), maybe_applied=True)

    def jobs(self, sink: str, *, skip: Collection[str] = ()) -> list[JobWork]:
        with self._database.read() as view:
            return _claim.jobs(view, sink, skip)

    # -- lanes

    def lane(self, sink: str) -> LaneRecord:
        row = self._one("SELECT * FROM lane WHERE sink = ?", sink)
        return LaneRecord(sink=sink) if row is None else to_lane(row)

    def put_lane(self, record: LaneRecord) -> None:
        with self._database.write() as tx:
            _keep.put_lane(tx, record)

    # -- links and snapshots

    def link(self, route: str, source: str, entity: str, key: str) -> Link | None:
        row = self._one(
            "SELECT * FROM link WHERE route = ? AND source = ? AND entity = ? AND key = ?", route, source, entity, key
        )
        return None if row is None else to_link(row)

    def put_link(
        self,
        route: str,
        source: str,
        entity: str,
        key: str,
        update: LinkUpdate,
        now: datetime,
        history: HistoryEntry | None = None,
    ) -> None:
        with self._database.write() as tx:
            _settle.put_link(tx, route, source, entity, key, update, to_ms(now))
            if history is not None:
                write_history(tx, history)

    def links(self, route: str, after: str = "", limit: int = 500) -> list[Link]:
        with self._database.read() as view:
            rows = view.execute(
                "SELECT * FROM link WHERE route = ? AND key > ? ORDER BY key LIMIT ?", (route, after, limit)
            )
            return [to_link(row) for row in rows]

    def links_of(self, source: str, entity: str, key: str) -> list[Link]:
        with self._database.read() as view:
            rows = view.execute(
                "SELECT * FROM link WHERE source = ? AND entity = ? AND key = ? ORDER BY route", (source, entity, key)
            )
            return [to_link(row) for row in rows]

    def sample_links(self, route: str, count: int, seed: int) -> list[Link]:
        with self._database.read() as view:
            return _look.sample_links(view, route, count, seed)

    def snapshot(self, source: str, entity: str, key: str) -> Snapshot | None:
        row = self._one("SELECT * FROM snapshot WHERE source = ? AND entity = ? AND key = ?", source, entity, key)
        return None if row is None else to_snapshot(row)

    def snapshots(self, source: str, entity: str, after: str = "", limit: int = 500) -> list[Snapshot]:
        with self._database.read() as view:
            rows = view.execute(
                "SELECT * FROM snapshot WHERE source = ? AND entity = ? AND key > ? AND deleted = 0 "
                "ORDER BY key LIMIT ?",
                (source, entity, after, limit),
            )
            return [to_snapshot(row) for row in rows]

    def keys_by_email(self, email: str) -> list[tuple[str, str]]:
        with self._database.read() as view:
            return _people.keys_by_email(view, email)

    # -- looking

    def deliveries(
        self,
        *,
        state: str | None = None,
        sink: str | None = None,
        route: str | None = None,
        key: str | None = None,
        ids: Sequence[int] | None = None,
        limit: int | None = 100,
    ) -> list[Delivery]:
        with self._database.read() as view:
            return _look.deliveries(view, state=state, sink=sink, route=route, key=key, ids=ids, limit=limit)

    def retry(self, ids: Sequence[int], now: datetime) -> int:
        with self._database.write() as tx:
            return _people.retry(tx, ids, to_ms(now))

    def dismiss(self, ids: Sequence[int], now: datetime) -> int:
        with self._database.write() as tx:
            return _people.dismiss(tx, ids, to_ms(now))

    def history(
        self,
        *,
        keys: Sequence[tuple[str, str]] | None = None,
        key: str | None = None,
        sink: str | None = None,
        since: datetime | None = None,
        after_id: int | None = None,
        limit: int | None = 200,
    ) -> list[HistoryEntry]:
        with self._database.read() as view:
            return _look.history(
                view, keys=keys, key=key, sink=sink, since=maybe_ms(since), after_id=after_id, limit=limit
            )

    def add_history(self, entries: Sequence[HistoryEntry]) -> None:
        with self._database.write() as tx:
            for entry in entries:
                write_history(tx, entry)

    def counts_by_sink(self) -> Mapping[str, RouteCounts]:
        with self._database.read() as view:
            return _look.counts(view, "sink")

    def counts_by_route(self) -> Mapping[str, RouteCounts]:
        with self._database.read() as view:
            return _look.counts(view, "route")

    def snapshot_counts(self, source: str) -> Mapping[str, int]:
        with self._database.read() as view:
            rows = view.execute("SELECT entity, rows FROM snapshot_count WHERE source = ?", (source,))
            return {row["entity"]: row["rows"] for row in rows}

    def route_balance(self, route: str, source: str, entity: str) -> Mapping[str, int]:
        with self._database.read() as view:
            return _look.balance(view, route, source, entity)

    def parked_causes(self, limit: int = 50) -> list[ParkedCause]:
        with self._database.read() as view:
            return _look.causes(view, limit)

    def last_activity(self) -> Mapping[str, datetime]:
        with self._database.read() as view:
            return _look.last_activity(view)

    # -- backfills

    def queue_backfill(
        self, kind: str, source: str, entity: str, filters: Mapping[str, str], route: str | None, now: datetime
    ) -> BackfillJob:
        with self._database.write() as tx:
            return _keep.queue_backfill(tx, kind, source, entity, filters, route, to_ms(now))

    def next_backfill(self, source: str | None = None) -> BackfillJob | None:
        with self._database.read() as view:
            return _keep.next_backfill(view, source)

    def get_backfill(self, job_id: int) -> BackfillJob | None:
        row = self._one("SELECT * FROM backfill WHERE id = ?", job_id)
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
        values = {"state": state, "cursor": cursor, "seen": seen, "total": total, "error": error}
        with self._database.write() as tx:
            _keep.update_backfill(tx, job_id, now, values)

    # -- secrets, plugin state, people

    def get_secret(self, name: str) -> str | None:
        row = self._one("SELECT ciphertext FROM secret WHERE name = ?", name)
        return None if row is None else row["ciphertext"]

    def put_secret(self, name: str, ciphertext: str, now: datetime) -> None:
        with self._database.write() as tx:
            tx.execute("INSERT OR REPLACE INTO secret VALUES (?, ?, ?)", (name, ciphertext, to_ms(now)))

    def delete_secret(self, name: str) -> bool:
        with self._database.write() as tx:
            return tx.execute("DELETE FROM secret WHERE name = ?", (name,)).rowcount > 0

    def secret_names(self, prefix: str = "") -> list[tuple[str, datetime]]:
        with self._database.read() as view:
            return _keep.secret_names(view, prefix)

    def state(self, namespace: str) -> _keep.PluginState:
        return _keep.PluginState(self._database, namespace)

    def forget(self, email: str, digest: str, now: datetime) -> list[Link]:
        with self._database.exclusive() as connection:
            # Overwrite what is deleted, and empty the log that still holds it.
            connection.execute("PRAGMA secure_delete = ON")
        try:
            with self._database.write() as tx:
                links = _people.forget(tx, email, digest, to_ms(now))
        finally:
            with self._database.exclusive() as connection:
                connection.execute("PRAGMA secure_delete = OFF")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return links

    def _one(self, statement: str, *values: object) -> sqlite3.Row | None:
        with self._database.read() as view:
            row: sqlite3.Row | None = view.execute(statement, values).fetchone()
            return row
