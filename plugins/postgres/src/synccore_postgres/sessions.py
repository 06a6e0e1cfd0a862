"""Connections, and the transactions on them: what is lost with one is a `StoreError`, and the next one is new."""

import contextlib
import hashlib
import logging
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import ClientCursor, Connection, conninfo, errors
from psycopg.abc import Params
from psycopg_pool import ConnectionPool, PoolTimeout

from synccore.errors import ConfigError
from synccore.secrets import Secret
from synccore.store import DiskFull, Result, StoreError, Transaction

from .dialect import Record, bound, prepared, records, translated

__all__ = ["Sessions"]

#: Seconds after which PostgreSQL ends the transaction of a process that stopped in the middle of one.
STALLED = 15
#: Seconds that a writer waits for its turn.
PATIENCE = 30
#: Statements that are alike, sent in one message; more than so few of them are planned once.
TOGETHER = 200
FEW = 3
#: Seconds that a new connection may take.
CONNECT = 10
#: Seconds after which a connection is asked whether it is still there before it is used.
IDLE = 1.0

#: What VACUUM says of rows that were deleted and that it had to leave.
_KEPT = re.compile(r"(?<!\d)(\d+) (?:dead row versions cannot be removed yet|are dead but not yet removable)")
#: What is asked first of a database.
_OPENED = "SELECT current_schema(), current_setting('server_version_num')::int, current_setting('server_encoding')"
#: What is no mistake of a statement's: the connection, the server, or what this role finds there and may do.
_UNUSABLE = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,
    errors.InsufficientPrivilege,
    errors.InvalidSchemaName,
    errors.UndefinedTable,
)
#: A process that is cut off notices; PostgreSQL notices by itself, see STALLED.
_DEFAULTS: Mapping[str, Any] = {
    "application_name": "synccore",
    "connect_timeout": CONNECT,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


class _Session(Connection[Any]):
    """A connection that knows when it was last of use."""

    used_at = float("-inf")


class _Work:
    """A transaction that speaks the shared SQL. It begins with its first statement: in one message with it."""

    def __init__(self, connection: Connection[Any], begin: str) -> None:
        self._connection = connection
        self._begin = begin

    @property
    def begun(self) -> bool:
        return not self._begin

    def execute(self, statement: str, values: Mapping[str, Any] | Sequence[Any] = (), /) -> Result:
        cursor = self._cursor()
        return self._say(cursor, cursor.mogrify(translated(statement).encode(), bound(values)))

    def executemany(self, statement: str, values: Iterable[Any], /) -> Result:
        rows = [bound(one) for one in values]
        return _Touched(
            sum(self._together(statement, rows[start : start + TOGETHER]) for start in range(0, len(rows), TOGETHER))
        )

    def _together(self, statement: str, rows: Sequence[Params]) -> int:
        """Carry it out for each in one message, which waits for the network once; how many rows were touched."""
        cursor = self._cursor()
        # PostgreSQL keeps it beyond a transaction that fails, and PgBouncer gives the session to somebody else then.
        name = "synccore_" + secrets.token_hex(8)
        said = prepared(name, statement, rows, lambda value: cursor.mogrify("%s", [value])) if len(rows) > FEW else None
        if said is None:
            text = translated(statement).encode()
            said = [cursor.mogrify(text, row) for row in rows]
        cursor.execute(self._opened(";".join(said)))
        counts = [cursor.rowcount]
        while cursor.nextset():
            counts.append(cursor.rowcount)
        # What stands before them began the transaction.
        return sum(max(count, 0) for count in counts[-len(said) :])

    def _say(self, cursor: ClientCursor[Any], text: str) -> ClientCursor[Any]:
        began = self.begun
        cursor.execute(self._opened(text))
        while not began and cursor.nextset():
            pass
        return cursor

    def _opened(self, text: str) -> bytes:
        begin, self._begin = self._begin, ""
        return (f"{begin}; {text}" if begin else text).encode()

    def _cursor(self) -> ClientCursor[Any]:
        return ClientCursor(self._connection, row_factory=records)


class _Touched:
    """How many rows a statement that was carried out several times touched."""

    def __init__(self, rowcount: int) -> None:
        self.rowcount = rowcount

    def fetchone(self) -> None:
        return None

    def fetchall(self) -> list[Record]:
        return []

    def __iter__(self) -> Iterator[Record]:
        return iter(())


class Sessions:
    """The connections to one outbox: a database and the schema that its search path begins with."""

    def __init__(self, url: str, password: Secret | None = None) -> None:
        self._conninfo, self.place = _read(url)
        self._password = password
        # Of each connection that is lost the pool tells in its own words; a StoreError says it to whom it concerns.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        # What this process may hold at once: its writers take turns, its locks have connections of their own.
        self._pool = self._new_pool(12)
        self._locks = self._new_pool(24)
        try:
            # Not from the pool, which tries again and keeps to itself why it cannot connect.
            connection = self.alone()
            with self._saying(), contextlib.closing(connection):
                row = connection.execute(_OPENED).fetchone() or (None, 0, "")
            self._pool.open()
            self._locks.open()
            self.schema: str | None = row[0]
            self.version: int = row[1]
            self.encoding: str = row[2]
        except StoreError as error:
            self.close()
            raise ConfigError(error.message, path="synccore.database") from error
        if self.schema is None:
            self.close()
            raise ConfigError(
                f"{self.place} has no schema that this role may use: create one, or set the role's search_path",
                path="synccore.database",
            )

    def _new_pool(self, most: int) -> ConnectionPool[_Session]:
        return ConnectionPool(
            self._conninfo,
            connection_class=_Session,
            min_size=0,
            max_size=most,
            open=False,
            timeout=CONNECT,
            check=_still_there,
            reconnect_timeout=CONNECT,
            kwargs=self._words(),
        )

    def _words(self) -> dict[str, Any]:
        """What every connection is opened with. No prepared statements: PgBouncer gives each transaction another
        session."""
        known: dict[str, Any] = {**_DEFAULTS, "autocommit": True, "prepare_threshold": None}
        return known if self._password is None else {**known, "password": self._password.reveal()}

    def key(self, name: str) -> int:
        """The number of a lock of this outbox, the same for everybody who opened it."""
        digest = hashlib.sha256(f"synccore:{self.schema}:{name}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction that is alone in writing: writers of one outbox take turns, whatever process they are in.

        PostgreSQL ends it where its process stops in the middle, and the next one goes on.
        """
        begin = f"{self._turn}; SELECT pg_advisory_xact_lock({self.key('write')})"
        with self._work(begin) as work:
            yield work

    @contextmanager
    def claim(self, sink: str) -> Iterator[Transaction]:
        """As `write`, beside the claims of other sinks; those of one sink take turns."""
        begin = (
            f"{self._turn}; SELECT pg_advisory_xact_lock_shared({self.key('write')}), "
            f"pg_advisory_xact_lock({self.key('claim:' + sink)})"
        )
        with self._work(begin) as work:
            yield work

    @contextmanager
    def note(self, name: str) -> Iterator[Transaction]:
        """As `write`, beside all that write something else: only those of the same name take turns."""
        with self._work(f"{self._turn}; SELECT pg_advisory_xact_lock({self.key('note:' + name)})") as work:
            yield work

    @property
    def _turn(self) -> str:
        return (
            f"BEGIN; SET LOCAL lock_timeout = '{PATIENCE}s'; SET LOCAL plan_cache_mode = force_generic_plan; "
            f"SET LOCAL idle_in_transaction_session_timeout = '{STALLED}s'"
        )

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """One consistent view."""
        with self._work("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as work:
            yield work

    @contextmanager
    def once(self) -> Iterator[Transaction]:
        """One statement that reads: nothing begins and ends around it."""
        with self._work("") as work:
            yield work

    @contextmanager
    def lock(self, name: str, seconds: int) -> Iterator[Connection[Any]]:
        """Hold a named lock among all processes, in a transaction of its own: so it is gone with its connection,
        and PgBouncer keeps the session for it."""
        begin = (
            f"BEGIN; SET LOCAL idle_in_transaction_session_timeout = '{seconds}s'; "
            f"SELECT pg_advisory_xact_lock({self.key(name)})"
        )
        with self._on_loan(self._locks) as connection:
            connection.execute(begin)
            yield connection
            connection.execute("COMMIT")

    def alone(self, name: str = "synccore") -> Connection[Any]:
        """A connection outside the pools, for who keeps it; `name` is how others see it."""
        with self._saying():
            return psycopg.connect(self._conninfo, **self._words() | {"application_name": name})

    def vacuum(self, tables: Iterable[str]) -> None:
        """Take away what deleted rows hold. Raises StoreError where somebody may still see them."""
        connection = self.alone()
        with self._saying(), contextlib.closing(connection):
            if not all(_vacuumed(connection, table) for table in tables):
                raise StoreError(
                    f"what was erased is still in {self.place}, because a transaction that is open (a pg_dump, a "
                    "replica) may read it: run this again when it has ended"
                )

    @contextmanager
    def _work(self, begin: str) -> Iterator[_Work]:
        with self._on_loan(self._pool) as connection:
            work = _Work(connection, begin)
            yield work
            if begin and work.begun:
                connection.execute("COMMIT")

    @contextmanager
    def _on_loan(self, pool: ConnectionPool[_Session]) -> Iterator[_Session]:
        """A connection; what it began and did not end is undone."""
        with self._saying(), pool.connection() as connection:
            try:
                yield connection
            except BaseException:
                if not connection.closed:
                    connection.rollback()
                raise
            connection.used_at = time.monotonic()

    def close(self) -> None:
        """Close all connections; those on loan when they come back."""
        self._pool.close(timeout=2)
        self._locks.close(timeout=2)

    @contextmanager
    def _saying(self) -> Iterator[None]:
        try:
            yield
        except (*_UNUSABLE, PoolTimeout) as error:
            raise self._told(error) from error

    def _told(self, error: Exception) -> StoreError:
        match error:
            case errors.LockNotAvailable():
                text = f"is busy: no turn to write within {PATIENCE} s; the next try follows by itself"
            case errors.DiskFull():
                return DiskFull(f"the disk of {self.place} is full: free some space; what was accepted before is safe")
            case errors.ReadOnlySqlTransaction():
                text = "takes no writes (a standby?): name the primary"
            case errors.InsufficientPrivilege():
                text = f"lets this role do too little ({_line(error)}): it has to own the outbox's schema and tables"
            case errors.InvalidPassword() | errors.InvalidAuthorizationSpecification():
                text = "refuses this role: look at database_password (or PGPASSWORD) and pg_hba.conf"
            case _:
                text = f"cannot be used: {_line(error)}"
        return StoreError(f"{self.place} {text}")


def _line(error: Exception) -> str:
    """What the server says, without the statement."""
    said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return (said or " ".join(str(error).split()) or type(error).__name__)[:300]


def _still_there(connection: _Session) -> None:
    """Ask one that was not used for a while; of a busy one its next statement tells."""
    if time.monotonic() - connection.used_at > IDLE:
        ConnectionPool.check_connection(connection)


def _vacuumed(connection: Connection[Any], table: str) -> bool:
    """Whether no deleted row is left in a table; one that others just read is looked at again."""
    for _ in range(10):
        said, refused = list[str](), list[str]()

        def hear(notice: errors.Diagnostic, said: list[str] = said, refused: list[str] = refused) -> None:
            said.append(f"{notice.message_primary} {notice.message_detail}")
            if notice.severity_nonlocalized == "WARNING":
                refused.append(str(notice.message_primary))

        connection.add_notice_handler(hear)
        connection.execute(f"VACUUM (VERBOSE, INDEX_CLEANUP ON) {table}".encode())
        connection.remove_notice_handler(hear)
        if refused:
            raise StoreError(f"what was erased is still in pages: {refused[0]}: run this again as the tables' owner")
        kept = (number for text in said for number in _KEPT.findall(text))
        if not any(number.strip("0") for number in kept):
            return True
        connection.execute("SELECT pg_sleep(0.2)")
    return False


def _read(url: str) -> tuple[str, str]:
    """What libpq is given, and how the database is called in messages: without its parameters."""
    try:
        known = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        said = " ".join(str(error).split())
        # Of anything else it may quote the whole address, and a password in it.
        words = said if said.startswith("invalid URI query parameter") else "write postgresql://ROLE@HOST/DATABASE"
        raise ConfigError(f"no address of a PostgreSQL database: {words}", path="synccore.database") from None
    if "password" in known:
        raise ConfigError(
            "an address holds no password, since it is shown and logged: set database_password, or PGPASSWORD",
            path="synccore.database",
        )
    host = known.get("host") or "the local socket"
    return conninfo.make_conninfo(url), f"PostgreSQL database {str(known.get('dbname') or '')!r} at {host}"
