"""Locks among threads and processes: `flock` on small files beside the database, gone with who held them."""

import contextlib
import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ConfigError

__all__ = ["FileLocks"]


class _Named:
    def __init__(self) -> None:
        self.thread = threading.RLock()
        self.depth = 0
        self.descriptor = -1


class FileLocks:
    """The locks of one database, in the directory `<database>.locks`."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._directory = database.with_name(database.name + ".locks")
        self._guard = threading.Lock()
        self._named: dict[str, _Named] = {}

    def _open(self, name: str) -> int:
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            return os.open(self._directory / name, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigError(
                f"the lock file {self._directory / name} cannot be opened: {error.strerror}", path="synccore.database"
            ) from error

    @contextmanager
    def _gate(self) -> Iterator[None]:
        # Who looks whether a daemon runs takes its lock for a moment; the gate keeps that from failing a real start.
        descriptor = self._open("gate")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """Be the one daemon. Raises ConfigError naming the other's process id."""
        with self._gate():
            descriptor = self._open("daemon")
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                other = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
                os.close(descriptor)
                raise ConfigError(
                    f"another synccore daemon (process {other}) works on {self._database}: stop it first, "
                    "or let it do the work",
                    path="synccore.database",
                ) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        try:
            yield
        finally:
            os.close(descriptor)

    def daemon_running(self) -> bool:
        """Whether some process holds the daemon lock."""
        with self._gate():
            descriptor = self._open("daemon")
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            finally:
                os.close(descriptor)
        return False

    @contextmanager
    def named(self, name: str) -> Iterator[None]:
        """Hold the lock `name`; re-entrant in one thread."""
        with self._guard:
            lock = self._named.setdefault(name, _Named())
        with lock.thread:
            if lock.depth == 0:
                # Names may hold any character; the file's name may not.
                lock.descriptor = self._open("n-" + hashlib.sha256(name.encode()).hexdigest()[:32])
                try:
                    fcntl.flock(lock.descriptor, fcntl.LOCK_EX)
                except BaseException:
                    os.close(lock.descriptor)
                    raise
            lock.depth += 1
            try:
                yield
            finally:
                lock.depth -= 1
                if lock.depth == 0:
                    with contextlib.suppress(OSError):
                        os.close(lock.descriptor)
