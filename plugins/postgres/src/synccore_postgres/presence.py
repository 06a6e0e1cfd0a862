"""Which daemons run on an outbox, and which of them leads."""

import contextlib
import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection

from synccore.store import RunningDaemon, StoreError

from .sessions import Sessions

__all__ = ["PLACE", "Presence", "is_gone"]

#: Seconds between two signs of life, and after how many without one PostgreSQL takes what a daemon holds.
BEAT = 2.0
SILENT = 20
#: A daemon that could give none for so long leads no more: less than SILENT, so that there are never two.
DOUBT = 12.0
#: What the connection of a daemon is called, before its own name.
_CALLED = "synccore daemon "


def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii") + str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""  # no Linux: nothing is known of others
    return hashlib.sha256(boot.encode()).hexdigest()[:8]


#: Where process ids mean the same: this start of this machine, and this container.
PLACE = _place()


def is_gone(holder: str) -> bool:
    """Whether the process that claimed (`host:pid@place`) is known to have ended: another host's never is."""
    name, _, place = holder.partition("@")
    pid = name.rpartition(":")[2]
    if not PLACE or place != PLACE or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


class Presence:
    """One process's place among the daemons: a transaction that stays open, holding a shared lock, and the leader's
    where nobody has it. It reads nothing, so it keeps no row from being vacuumed."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._guard = threading.Lock()
        self._connection: Connection[Any] | None = None
        self._leads = False
        self._beaten = float("-inf")
        self._over = threading.Event()
        self._held = False
        #: How the others see this process.
        self.name = f"{socket.gethostname()[:40]}:{os.getpid()}"

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """Be one of the daemons."""
        self._over.clear()
        self.beat()
        self._held = True
        thread = threading.Thread(target=self._keep, name="presence", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(5)
            self._held = False
            self._let_go()

    def leads(self) -> bool:
        """Whether this one leads; of a process that is no daemon: that it works alone (a command)."""
        if not self._held:
            return True
        return self._leads and time.monotonic() - self._beaten < DOUBT

    def others(self) -> int:
        """How many other daemons run."""
        return len(self.all()) - (self._held and self._connection is not None)

    def all(self) -> list[RunningDaemon]:
        """The daemons that run, as the database sees them, by name."""
        with self._sessions.read() as view:
            rows = view.execute(
                "SELECT a.application_name AS name, (extract(epoch FROM a.backend_start) * 1000)::bigint AS since, "
                "EXISTS (SELECT 1 FROM pg_locks b WHERE b.pid = l.pid AND b.locktype = 'advisory' AND b.granted "
                "AND b.objsubid = 1 AND b.classid = :high AND b.objid = :low) AS leads "
                "FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid "
                "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
                "AND l.classid = :head AND l.objid = :tail AND l.database = "
                "(SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1",
                self._halves("leader", "high", "low") | self._halves("daemon", "head", "tail"),
            ).fetchall()
        return [
            RunningDaemon(
                name=str(row["name"] or "").removeprefix(_CALLED),
                since=None if row["since"] is None else datetime.fromtimestamp(row["since"] / 1000, UTC),
                leads=bool(row["leads"]),
            )
            for row in rows
        ]

    def _halves(self, name: str, high: str, low: str) -> dict[str, int]:
        """A lock's number as pg_locks shows it."""
        key = self._sessions.key(name) & (1 << 64) - 1
        return {high: key >> 32, low: key & (1 << 32) - 1}

    @property
    def held(self) -> bool:
        """Whether this process is a daemon."""
        return self._held

    def _keep(self) -> None:
        while not self._over.wait(BEAT):
            with contextlib.suppress(StoreError):
                self.beat()

    def beat(self) -> None:
        """Say that this daemon lives; come back after the connection was lost; lead where nobody does."""
        sessions = self._sessions
        with self._guard:
            if self._over.is_set():
                return  # asked to end while this was on its way
            try:
                if self._connection is None:
                    self._leads = False
                    fresh = sessions.alone(f"{_CALLED}{self.name}")
                    self._connection = fresh
                    fresh.execute(
                        f"BEGIN; SET LOCAL idle_in_transaction_session_timeout = '{SILENT}s'; "
                        f"SELECT pg_advisory_xact_lock_shared({sessions.key('daemon')})"
                    )
                if self._leads:
                    self._connection.execute("SELECT 1")
                else:
                    row = self._connection.execute(f"SELECT pg_try_advisory_xact_lock({sessions.key('leader')})")
                    self._leads = bool((row.fetchone() or (False,))[0])
                self._beaten = time.monotonic()
            except psycopg.Error as error:
                self._drop()
                raise StoreError(f"{sessions.place} was lost: {type(error).__name__}") from error

    def _drop(self) -> None:
        self._leads = False
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _let_go(self) -> None:
        """Be no daemon any more; seen by the others when this returns."""
        with self._guard:
            if self._connection is not None:
                with contextlib.suppress(psycopg.Error):
                    # The server frees the locks of a closed connection when it notices, those of a transaction at once.
                    self._connection.execute("ROLLBACK")
            self._drop()
