"""The SQLite engine: one file, a fair lock for those who write, file locks among processes."""

import os
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..store import Store, StoreError, Transaction
from ._database import BUSY_TIMEOUT, Database, create_file
from ._locks import FileLocks
from ._new import fill, is_new
from ._releases import is_current

__all__ = ["SqliteStore", "open_sqlite", "restore_sqlite"]


def open_sqlite(path: Path) -> "SqliteStore":
    """Open (or make) the database and bring its schema up to date. Raises ConfigError where it cannot be used."""
    return SqliteStore(path)


def restore_sqlite(backup: Path, path: Path) -> Path | None:
    """Put a backup in the database's place; gives where the replaced one is kept, None where there was none.

    Raises ConfigError where a daemon runs, or where the backup is no database that this synccore can use: then the
    present one stays in its place.
    """
    with FileLocks(path).daemon():
        draft = path.with_name(path.name + ".restoring")
        draft.unlink(missing_ok=True)
        try:
            _copy(backup, draft)
            SqliteStore(draft).close()
            kept = _put_aside(path)
            draft.replace(path)
        finally:
            for suffix in ("", "-wal", "-shm"):
                draft.with_name(draft.name + suffix).unlink(missing_ok=True)
            shutil.rmtree(draft.with_name(draft.name + ".locks"), ignore_errors=True)
        return kept


def _copy(backup: Path, draft: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{backup.absolute().as_uri()}?mode=ro", uri=True)) as source:
            sound = source.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"
            ours = source.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'delivery'").fetchone()
            if not (sound and ours):
                raise ConfigError(
                    f"{backup} is {'no database of synccore' if sound else 'damaged'}: nothing was changed"
                )
            create_file(draft)
            with closing(sqlite3.connect(draft)) as copy:
                source.backup(copy)
    except sqlite3.Error as error:
        raise ConfigError(f"{backup} cannot be read as a database ({error}): nothing was changed") from error


def _put_aside(path: Path) -> Path | None:
    there = path.exists()
    number = 1
    while (kept := path.with_name(f"{path.name}.replaced-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            # A log that outlived its database too: it would be replayed into the copy.
            beside.replace(kept.with_name(kept.name + suffix))
    return kept if there else None


def _refuse_orphan(path: Path) -> None:
    """A new database beside the log of another one would take that for its own."""
    log = path.with_name(path.name + "-wal")
    if log.exists() and not path.exists():
        raise StoreError(
            f"{path} is not there, but its log {log.name} is: it was moved or deleted while in use. Put it back, "
            "or stop synccore and restore the last backup (synccore db restore)"
        )


class SqliteStore(Store):
    """An outbox in one SQLite file, for one daemon and any number of commands beside it."""

    in_process = True

    def __init__(self, path: Path, *, busy_timeout: float = BUSY_TIMEOUT) -> None:
        _refuse_orphan(path)
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

    def writing(self) -> AbstractContextManager[Transaction]:
        return self._database.write()

    def reading(self) -> AbstractContextManager[Transaction]:
        return self._database.read()

    def one(self, statement: str, values: Mapping[str, Any] | Sequence[Any] = ()) -> Any:
        return self._database.one(statement, values)

    def migrate(self) -> tuple[str, ...]:
        with self._locks.named("schema"), self._database.exclusive() as connection:
            if is_current(connection):
                return ()
            if is_new(connection):
                return fill(connection)
            from . import schema  # only an older file needs what carries migrations out

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

    def scrub(self) -> None:
        from .schema import overwrite_old_pages

        with self._database.exclusive() as connection:
            overwrite_old_pages(connection)
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise StoreError(
                f"what was erased is still in {self._database.path}-wal, because another program reads the database: "
                "close that program, then run this again"
            )
