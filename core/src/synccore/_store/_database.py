"""Connections: one writer behind a fair lock, readers on loan, and errors that say what to do."""

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..store import DiskFull, StoreError
from ._rows import Connection

__all__ = ["BUSY_TIMEOUT", "Database", "FairLock", "create_file"]

#: Seconds to wait for another process's write before giving up.
BUSY_TIMEOUT = 15.0
_PATH = "synccore.database"
#: How pages were before a statement that touches many rows, in case that it fails midway: as files below /var/tmp these
#: are four fifths of all that a batch writes (and hold what people may ask to be forgotten).
_KEPT_IN_MEMORY = "PRAGMA temp_store = MEMORY"


class FairLock:
    """A lock that threads get in the order they asked for it; `threading.Lock` promises no order."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held = False
        self._queue: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._guard:
            if not self._held:
                self._held = True
                return
            turn = threading.Lock()
            turn.acquire()
            self._queue.append(turn)
        try:
            turn.acquire()
        except BaseException:
            # Interrupted while waiting: leave the queue, or hand on what arrived in the same moment.
            with self._guard:
                waiting = turn in self._queue
                if waiting:
                    self._queue.remove(turn)
            if not waiting:
                self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        with self._guard:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._held = False


class Database:
    """One SQLite file. Raises ConfigError where it cannot be opened, StoreError where it cannot be used just now."""

    def __init__(self, path: Path, *, busy_timeout: float = BUSY_TIMEOUT) -> None:
        self.path = path
        self._busy_timeout = busy_timeout
        self._writing = FairLock()
        self.said = _Said(path)
        self._guard = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        if sqlite3.sqlite_version_info < (3, 37):
            raise ConfigError(f"SQLite {sqlite3.sqlite_version} is too old: synccore needs 3.37 or later", path=_PATH)
        try:
            self._writer = self._connect()
            self._file = _identity(path)
            # Kibibytes: a backfill of a million keys touches index pages all over the file.
            self._writer.execute("PRAGMA cache_size = -8192")
            # Pages of the log that are moved into the file together, for which whoever commits waits until the disk has
            # them: after a thousand, as SQLite has it, that is one webhook in eighty.
            self._writer.execute("PRAGMA wal_autocheckpoint = 4000")
            self._writer.execute(_KEPT_IN_MEMORY)
        except sqlite3.Error as error:
            raise _unusable(error, path) from error

    def _connect(self, *, create: bool = True) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}",
            uri=True,
            timeout=self._busy_timeout,
            isolation_level=None,
            check_same_thread=False,
            factory=Connection,
        )
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
            # What is deleted is overwritten, whatever this Python's SQLite was built with: people ask to be forgotten.
            connection.execute("PRAGMA secure_delete = ON")
            # A burst grows the log; afterwards the file shrinks to this again.
            connection.execute("PRAGMA journal_size_limit = 67108864")
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is durable when the block ends, or nothing."""
        with self._writing, self.said:
            self._still_there()
            connection = self._writer
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # A full disk may have ended the transaction by itself.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _still_there(self) -> None:
        """What is written to a file that somebody moved away is lost to whoever looks at its place."""
        try:
            found = _identity(self.path)
        except OSError as error:
            raise StoreError(
                f"{self.path} is not there any more: put it back, or stop synccore and restore the last backup"
            ) from error
        if found != self._file:
            raise StoreError(
                f"{self.path} is another file than the one synccore opened: stop synccore, see which is right, start it"
            )

    def _another(self) -> sqlite3.Connection:
        """A further connection to the same file. One that is moved away meanwhile must not be made anew, empty."""
        self._still_there()
        try:
            connection = self._connect(create=False)
        except sqlite3.Error:
            self._still_there()
            raise
        try:
            self._still_there()
        except BaseException:
            connection.close()
            raise
        return connection

    def read(self) -> AbstractContextManager[sqlite3.Connection]:
        """One consistent view, never waiting for writers."""
        return _Reading(self)

    def one(self, statement: str, values: Any) -> sqlite3.Row | None:
        """The first row of one statement, which is a consistent view by itself."""
        connection = self.lend()
        try:
            with self.said:
                row: sqlite3.Row | None = connection.execute(statement, values).fetchone()
                return row
        finally:
            self.take_back(connection)

    def lend(self) -> sqlite3.Connection:
        """A connection for one who reads."""
        with self._guard:
            if self._idle:
                return self._idle.pop()
        with self.said:
            return self._another()

    def take_back(self, connection: sqlite3.Connection) -> None:
        """One that was lent."""
        with self._guard:
            keep = not self._closed
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()

    @contextmanager
    def exclusive(self) -> Iterator[sqlite3.Connection]:
        """The writer outside any transaction (migrations, checkpoints)."""
        with self._writing, self.said:
            # Sorted for a new index, or copied to be compacted, the whole file would be held in memory.
            self._writer.execute("PRAGMA temp_store = DEFAULT")
            try:
                yield self._writer
            finally:
                self._writer.execute(_KEPT_IN_MEMORY)

    def close(self) -> None:
        """Close all connections; those on loan close when they come back."""
        with self._guard:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        with self._writing:
            self._writer.close()


class _Said(AbstractContextManager[None]):
    """Makes errors of SQLite's say what to do. It holds nothing: there is one for all blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.IntegrityError | sqlite3.ProgrammingError
        ):
            raise _unusable(error, self._path) from error


class _Reading(AbstractContextManager[sqlite3.Connection]):
    """A view. Most are a statement or two: a generator would take as long as these."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> sqlite3.Connection:
        database = self._database
        self._connection = connection = database.lend()
        try:
            with database.said:
                connection.execute("BEGIN")
        except BaseException:
            database.take_back(connection)
            raise
        return connection

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        database, connection = self._database, self._connection
        try:
            with database.said:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        finally:
            database.take_back(connection)
        database.said.__exit__(kind, error, trace)


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def create_file(path: Path) -> None:
    """Make the file with mode 0600; SQLite gives the same mode to its -wal and -shm files.

    Raises ConfigError where that cannot be done.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except FileNotFoundError:
        raise ConfigError(f"the directory {path.parent} does not exist: create it", path=_PATH) from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a directory: name a file in it", path=_PATH) from None
    except PermissionError:
        raise ConfigError(
            f"{path} cannot be opened for writing: check the owner and mode of the file and of its directory",
            path=_PATH,
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be created: {error.strerror}", path=_PATH) from error


def _unusable(error: sqlite3.Error, path: Path) -> Exception:
    """What happened, and what to do about it."""
    # Extended codes keep the plain one in their low byte.
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    match code:
        case sqlite3.SQLITE_FULL:
            return DiskFull(f"the disk with {path} is full: free some space; what was accepted before is safe")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreError(f"{path} is locked by another program: close it, or wait for it to finish, and try again")
        case sqlite3.SQLITE_READONLY:
            return StoreError(f"{path} is read-only: make the file and its directory writable for this user")
        case sqlite3.SQLITE_NOTADB:
            return ConfigError(f"{path} is not a SQLite database: name another file", path=_PATH)
        case sqlite3.SQLITE_CORRUPT:
            return StoreError(f"{path} is damaged: stop synccore and restore the last backup (synccore db backup)")
        case sqlite3.SQLITE_CANTOPEN:
            return StoreError(f"{path} cannot be opened: check that its directory exists and is writable")
        case _:
            return StoreError(f"{path} cannot be used: {error}")
