"""Word from other processes that something is owed: LISTEN, with the lanes' own slow looks behind it."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from synccore.store import StoreError

from .sessions import Sessions

__all__ = ["Wakeups"]

#: Seconds between two looks whether to end, and before a lost connection is tried again.
LOOK, AGAIN = 0.5, 2.0


class Wakeups:
    """Hears of sinks with news, wherever they were written. What is missed is found by a lane's next look."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        #: Set while somebody is heard.
        self.hears = threading.Event()

    @property
    def channel(self) -> str:
        """As the triggers of the schema name it."""
        # Names have 63 bytes at most, a schema's alone may have as many.
        return "synccore_" + hashlib.md5(str(self._sessions.schema).encode(), usedforsecurity=False).hexdigest()

    @contextmanager
    def listening(self, heard: Callable[[str], None]) -> Iterator[None]:
        """Call `heard` with the name of each sink that has news."""
        over = threading.Event()
        thread = threading.Thread(target=self._keep, args=(heard, over), name="wakeups", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(5)

    def _keep(self, heard: Callable[[str], None], over: threading.Event) -> None:
        while not over.is_set():
            try:
                self._listen(heard, over)
            except (psycopg.Error, StoreError):
                self.hears.clear()
                over.wait(AGAIN)

    def _listen(self, heard: Callable[[str], None], over: threading.Event) -> None:
        with self._sessions.alone() as connection:
            connection.execute(f"LISTEN {self.channel}")
            self.hears.set()
            while not over.is_set():
                for notice in connection.notifies(timeout=LOOK):
                    heard(notice.payload)
