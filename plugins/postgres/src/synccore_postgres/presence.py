"""Which daemons run on an outbox, and which of them leads."""

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection

from synccore.store import StoreError

from .sessions import Sessions

__all__ = ["Presence"]

#: Seconds between two signs of life, and after how many without one PostgreSQL takes what a daemon holds.
BEAT = 2.0
SILENT = 20
#: A daemon that could give none for so long leads no more: less than SILENT, so that there are never two.
DOUBT = 12.0


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

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """Be one of the daemons."""
        self._over.clear()
        self._beat()
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
        key = self._sessions.key("daemon") & (1 << 64) - 1
        with self._sessions.read() as view:
            row = view.execute(
                "SELECT count(*) AS daemons FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
                "AND classid = ? AND objid = ?",
                (key >> 32, key & (1 << 32) - 1),
            ).fetchone()
        return int(row["daemons"]) - (self._held and self._connection is not None)

    @property
    def held(self) -> bool:
        """Whether this process is a daemon."""
        return self._held

    def _keep(self) -> None:
        while not self._over.wait(BEAT):
            with contextlib.suppress(StoreError):
                self._beat()

    def _beat(self) -> None:
        """Say that this daemon lives; come back after the connection was lost; lead where nobody does."""
        sessions = self._sessions
        with self._guard:
            try:
                if self._connection is None:
                    self._leads = False
                    fresh = sessions.alone()
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
