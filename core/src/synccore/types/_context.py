"""What core hands to an instance."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Protocol

from ._mapping import RouteSpec


class Clock(Protocol):
    """Time, injected. Plugins never call `time.sleep` or `datetime.now`."""

    def now(self) -> datetime:
        """The time, aware UTC."""
        ...

    def sleep(self, duration: timedelta) -> None:
        """Wait; returns early when the process is stopping."""
        ...


class State(Protocol):
    """A plugin's own durable key-value store; values are JSON."""

    def get(self, key: str) -> Any:
        """The value, or None."""
        ...

    def get_all(self, keys: Iterable[str]) -> Mapping[str, Any]:
        """The values of several keys, read at once; keys without one are left out."""
        ...

    def put(self, items: Mapping[str, Any]) -> None:
        """Store all items in one transaction; a value of None deletes its key."""
        ...

    def change(self, key: str, now: datetime, make: Callable[[Any, datetime], Any]) -> Any:
        """Replace a value by what `make` gives for it (None where there is none), and give that.

        Alone among all threads, processes and hosts: nobody changes the key between reading and writing. `make` gets
        `now`, or the database's own time where hosts share one, and must use no state itself.
        """
        ...

    def scan(self, prefix: str = "") -> Iterable[tuple[str, Any]]:
        """All items whose key begins with `prefix`, by key; flat memory."""
        ...

    def clear(self, prefix: str = "") -> None:
        """Delete all items whose key begins with `prefix`."""
        ...


class Vault(Protocol):
    """Secrets of one instance, encrypted at rest."""

    def get(self, name: str) -> str | None:
        """The secret's text, or None."""
        ...

    def put(self, name: str, value: str) -> None:
        """Store it; durable when this returns."""
        ...

    def delete(self, name: str) -> None:
        """Forget it; nothing happens where there is none."""
        ...


class Log(Protocol):
    """A structured logger. Events are constant texts; keyword values are facts and ids, never personal data."""

    def info(self, event: str, **values: Any) -> Any:
        """Something a person may want to know."""
        ...

    def warning(self, event: str, **values: Any) -> Any:
        """Something a person should look at."""
        ...


class Context(Protocol):
    """What `open(config, context)` receives: everything an instance may use of the world besides HTTP."""

    @property
    def name(self) -> str:
        """Name in the configuration (`shop`, `crm`)."""
        ...

    @property
    def type(self) -> str:
        """The type the instance is of."""
        ...

    @property
    def clock(self) -> Clock:
        """The time."""
        ...

    @property
    def random(self) -> random.Random:
        """Randomness for jitter; secrets come from `secrets`."""
        ...

    @property
    def vault(self) -> Vault:
        """The instance's secrets."""
        ...

    @property
    def log(self) -> Log:
        """A logger bound to the instance."""
        ...

    @property
    def public_url(self) -> str | None:
        """`[server] public_url`, if set."""
        ...

    @property
    def routes(self) -> Sequence[RouteSpec]:
        """The routes that lead to this sink (or from this source); known once `open` has returned."""
        ...

    def state(self, account: str = "") -> State:
        """Durable state of this instance, or, with `account`, state shared by all instances of this type on it."""
        ...

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Hold a lock that is exclusive among the threads and processes of this database."""
        ...

    def count_call(self) -> None:
        """Count one HTTP call; `synccore.http.Client` does it by itself."""
        ...

    def stopping(self) -> bool:
        """True once the process has been asked to stop: long listings should return at the next page."""
        ...


Opener = Callable[[Any, Context], Any]
