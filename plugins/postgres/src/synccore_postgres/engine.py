"""The engine: one outbox for several daemons on several hosts."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from psycopg import errors

from synccore.errors import ConfigError
from synccore.secrets import Secret
from synccore.store import Ingest, Ingested, RunningDaemon, Store, Transaction
from synccore.store.copying import COUNTED, TABLES

from .presence import PLACE, Presence, is_gone
from .sessions import Sessions
from .wakeups import Wakeups

__all__ = ["PostgresStore"]

#: Applied in this order; one that was released is never edited.
MIGRATIONS = (
    ("p001_outbox", "schema.sql"),
    ("p002_seen", "seen.sql"),
    ("p003_wakeups", "wakeups.sql"),
    ("p004_counts", "counts.sql"),
    ("p005_moves", "moves.sql"),
    ("p006_texts", "texts.sql"),
    ("p007_owed", "owed.sql"),
    ("p008_former_email", "former_email.sql"),
    ("p009_hanging", "hanging.sql"),
)
#: Whether any was applied, and which.
_MADE = "SELECT to_regclass(quote_ident(current_schema()) || '.synccore_migration') IS NOT NULL"
_APPLIED = "SELECT name FROM synccore_migration"
#: Seconds that a named lock may be held without a word to the database.
HELD = 600
#: Tables whose rows have numbers.
NUMBERED = ("snapshot", "event", "link", "delivery", "backfill", "history")
#: Tables that grow with what comes in, and after how many records PostgreSQL is first told how they look.
GROWING = ("snapshot", "delivery", "link")
FEW = 200
#: After so many more, autovacuum has long taken over.
MANY = 100_000
#: The oldest release that is tried.
OLDEST = 140000


class PostgresStore(Store):
    """An outbox in a schema of a PostgreSQL database. Opening it brings the schema up to date.

    `own_clock`: leases are judged by the database's clock. False: by the caller's times (tests that invent them).

    Raises ConfigError where the database cannot be used.
    """

    #: Lanes hear of news; this is for what they miss, and for a pooler that passes none on.
    look_every = timedelta(seconds=5)

    def __init__(self, url: str, *, password: Secret | None = None, own_clock: bool = True) -> None:
        self._own_clock = own_clock
        self._sessions = Sessions(url, password)
        self._presence = Presence(self._sessions)
        self._wakeups = Wakeups(self._sessions)
        self.holder = f"{self._presence.name}@{PLACE}/"
        self._guard = threading.Lock()
        self._news, self._known = 0, FEW
        self._named: dict[str, tuple[threading.RLock, list[None]]] = {}
        try:
            if self._sessions.version < OLDEST:
                raise ConfigError(f"{self._sessions.place} is older than PostgreSQL 14", path="synccore.database")
            if self._sessions.encoding != "UTF8":
                raise ConfigError(
                    f"{self._sessions.place} holds {self._sessions.encoding}, not every character: create one "
                    "with ENCODING 'UTF8'",
                    path="synccore.database",
                )
            self.migrate()
        except BaseException:
            self._sessions.close()
            raise

    def writing(self) -> AbstractContextManager[Transaction]:
        return self._sessions.write()

    def ingest(self, batch: Sequence[Ingest], now: datetime) -> list[Ingested]:
        done = super().ingest(batch, now)
        self._grown(sum(one.accepted for one in done))
        return done

    def _grown(self, records: int) -> None:
        """Autovacuum looks at a new table after a minute. Until then PostgreSQL takes it for one of a few rows, and
        walks through all of them for each record of a batch."""
        with self._guard:
            self._news += records
            if not self._known <= self._news < MANY:
                return
            self._known = 2 * self._news
        with self._sessions.once() as connection:
            connection.execute(f"ANALYZE {', '.join(GROWING)}")

    def claiming(self, sink: str) -> AbstractContextManager[Transaction]:
        return self._sessions.claim(sink)

    def noting(self, name: str) -> AbstractContextManager[Transaction]:
        return self._sessions.note(name)

    def reading(self) -> AbstractContextManager[Transaction]:
        return self._sessions.read()

    def one(self, statement: str, values: Mapping[str, Any] | Sequence[Any] = ()) -> Any:
        with self._sessions.once() as view:
            return view.execute(statement, values).fetchone()

    def listening(self, heard: Callable[[str], None]) -> AbstractContextManager[None]:
        return self._wakeups.listening(heard)

    def migrate(self) -> tuple[str, ...]:
        with self._sessions.lock("schema", HELD) as connection:
            # A role that may not create tables asks for none where they are.
            made = connection.execute(_MADE).fetchone() == (True,)
            applied = {row[0] for row in connection.execute(_APPLIED)} if made else set()
            if unknown := applied - {name for name, _ in MIGRATIONS}:
                raise ConfigError(
                    f"the database was written by a newer synccore-postgres ({', '.join(sorted(unknown))}): upgrade it",
                    path="synccore.database",
                )
            pending = [(name, file) for name, file in MIGRATIONS if name not in applied]
            try:
                if not made:
                    connection.execute("CREATE TABLE synccore_migration (name text PRIMARY KEY)")
                for name, file in pending:
                    connection.execute(resources.files(__package__).joinpath(file).read_bytes())
                    connection.execute("INSERT INTO synccore_migration VALUES (%s)", (name,))
            except (errors.InsufficientPrivilege, errors.DuplicateTable, errors.DuplicateFunction) as error:
                raise ConfigError(
                    f"{self._sessions.place}: no outbox can be made in the schema {self._sessions.schema} "
                    f"({error.diag.message_primary}): name a role that owns an empty schema of its own",
                    path="synccore.database",
                ) from error
        return tuple(name for name, _ in pending)

    def close(self) -> None:
        self._sessions.close()

    # -- among several daemons

    def daemon_lock(self) -> AbstractContextManager[None]:
        """Be one of the daemons: any number may work on this outbox."""
        return self._presence.daemon()

    def daemon_running(self) -> bool:
        return self._presence.held or self._presence.others() > 0

    def daemons(self) -> Sequence[RunningDaemon]:
        return self._presence.all()

    def leads(self) -> bool:
        return self._presence.leads()

    def lease_clock(self, tx: Transaction, now: int) -> int:
        if not self._own_clock:
            return now
        return int(tx.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now").fetchone()["now"])

    def rescue(self, now: datetime, *, all_running: bool = False, keep: Collection[str] = ()) -> int:
        """As of any engine; but what other daemons have claimed is theirs until its lease is over, or until this
        machine knows that its process is gone."""
        alone = all_running and self._presence.others() == 0
        dead = [] if alone else self._tokens_of_the_dead()
        given_back = sum(self.release(token, now, sent=True) for token in dead)
        return given_back + super().rescue(now, all_running=alone, keep=keep)

    def _tokens_of_the_dead(self) -> list[str]:
        with self.reading() as view:
            rows = view.execute("SELECT DISTINCT lease_token AS token FROM delivery WHERE lease_token IS NOT NULL")
            return [row["token"] for row in rows if is_gone(row["token"].partition("/")[0])]

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        with self._guard:
            thread, depth = self._named.setdefault(name, (threading.RLock(), []))
        with thread:
            if depth:
                yield
                return
            with self._sessions.lock("plugin:" + name, HELD):
                depth.append(None)
                try:
                    yield
                finally:
                    depth.pop()

    # -- files

    def renumbered(self, tx: Transaction) -> None:
        for table in NUMBERED:
            # Of rows that are gone the trail still tells: no number is given twice.
            more = ", (SELECT max(delivery) FROM history)" if table == "delivery" else ""
            tx.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), greatest(1, max(id){more})) FROM {table} "  # noqa: S608  own names
                "HAVING max(id) IS NOT NULL"
            )

    def backup(self, target: Path) -> None:
        """PostgreSQL's own tools do that better. Raises ConfigError naming them."""
        raise ConfigError(
            f"{self._sessions.place} is backed up with PostgreSQL's own tools: pg_dump --format=custom "
            f"--schema={self._sessions.schema} --file={target} (or base backups with WAL archiving)",
            path="synccore.database",
        )

    def scrub(self) -> None:
        """Vacuum the tables: what was deleted there can then be read by no statement any more.

        Their bytes stay in pages until those are written again, and in the WAL and backups (docs/scale.md). Raises
        StoreError where a transaction that is open still holds them.
        """
        self._sessions.vacuum(table for table in TABLES if table not in COUNTED)
