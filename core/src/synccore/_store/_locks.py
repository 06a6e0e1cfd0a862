"""Locks among threads and processes: `flock` on small files beside the database, gone with who held them."""

import contextlib
import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ConfigError

__all__ = ["FileLocks"]


#: Seconds for which a lock that nobody at work holds is waited for: who ended may be held on to by a process that it
#: was just starting, or by the kernel that is still tidying up.
_LETTING_GO = 2.0
_LOOK_EVERY = 0.02
#: Daemon locks that this process holds, by their database.
_OURS: set[Path] = set()


class _Named:
    def __init__(self) -> None:
        self.thread = threading.RLock()
        self.depth = 0
        self.descriptor = -1


class FileLocks:
    """The locks of one database, in the directory `<database>.locks`."""

    def __init__(self, database: Path, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._database = database
        self._pause = pause
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
            if not self._taken(descriptor):
                other = self._holder(descriptor)
                os.close(descriptor)
                who = f"process {other}" if other is not None else "which one cannot be told: it may be ending"
                raise ConfigError(
                    f"another synccore daemon ({who}) works on {self._database}: stop it first, or let it do the work",
                    path="synccore.database",
                )
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        _OURS.add(self._place)
        try:
            yield
        finally:
            _OURS.discard(self._place)
            # Whoever comes next is not told of one that is gone.
            os.ftruncate(descriptor, 0)
            os.close(descriptor)

    @property
    def _place(self) -> Path:
        return self._directory.absolute()

    def _taken(self, descriptor: int) -> bool:
        """The daemon's lock, waited for only where nobody at work seems to hold it."""
        end = time.monotonic() + _LETTING_GO
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._holder(descriptor) is not None or time.monotonic() >= end:
                    return False
            else:
                return True
            self._pause(_LOOK_EVERY)

    def _holder(self, descriptor: int) -> int | None:
        """The process that says it is the daemon; None where there is no such process, or where it is this one and
        holds nothing (a former life's number, or another container's)."""
        text = os.pread(descriptor, 32, 0).strip()
        if not text.isdigit():
            return None
        if (number := int(text)) == os.getpid():
            return number if self._place in _OURS else None
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return None
        except OSError:
            return number  # somebody else's
        return number

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
