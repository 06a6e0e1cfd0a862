"""A plugin's context without an app: everything in memory."""

import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from ..types import Clock, RouteSpec
from .clock import FakeClock

__all__ = ["FakeContext", "MemoryState", "MemoryVault", "RecordingLog"]


class MemoryState:
    """A `State` in memory. Values go through JSON, as they do in the database."""

    def __init__(self) -> None:
        self._items: dict[str, str] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> Any:
        """The value, or None."""
        import json

        with self._lock:
            text = self._items.get(key)
        return None if text is None else json.loads(text)

    def get_all(self, keys: Iterable[str]) -> Mapping[str, Any]:
        """The values of several keys; those without one are left out."""
        return {key: value for key in keys if (value := self.get(key)) is not None}

    def put(self, items: Mapping[str, Any]) -> None:
        """Store all items; None deletes."""
        import json

        with self._lock:
            for key, value in items.items():
                if value is None:
                    self._items.pop(key, None)
                else:
                    self._items[key] = json.dumps(value)

    def change(self, key: str, now: datetime, make: Callable[[Any, datetime], Any]) -> Any:
        """Replace a value by what `make` gives for it."""
        import json

        with self._lock:
            text = self._items.get(key)
            self._items[key] = json.dumps(make(None if text is None else json.loads(text), now))
            return json.loads(self._items[key])

    def scan(self, prefix: str = "") -> Iterable[tuple[str, Any]]:
        """All items below `prefix`, by key."""
        import json

        with self._lock:
            found = sorted((k, v) for k, v in self._items.items() if k.startswith(prefix))
        return [(k, json.loads(v)) for k, v in found]

    def clear(self, prefix: str = "") -> None:
        """Delete all below `prefix`."""
        with self._lock:
            for key in [k for k in self._items if k.startswith(prefix)]:
                del self._items[key]


class MemoryVault:
    """A `Vault` in memory."""

    def __init__(self, **secrets: str) -> None:
        self.secrets = dict(secrets)

    def get(self, name: str) -> str | None:
        """The secret's text, or None."""
        return self.secrets.get(name)

    def put(self, name: str, value: str) -> None:
        """Store it."""
        self.secrets[name] = value

    def delete(self, name: str) -> None:
        """Forget it."""
        self.secrets.pop(name, None)


class RecordingLog:
    """A `Log` that keeps what it was told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, Any]]] = []

    def info(self, event: str, **values: Any) -> None:
        """Keep it."""
        self.events.append(("info", event, values))

    def warning(self, event: str, **values: Any) -> None:
        """Keep it."""
        self.events.append(("warning", event, values))


class FakeContext:
    """A `synccore.types.Context` for tests of one plugin: fake clock, fixed randomness, state in memory."""

    def __init__(
        self,
        name: str = "test",
        type: str = "test",  # noqa: A002  the contract's word
        *,
        clock: Clock | None = None,
        routes: Sequence[RouteSpec] = (),
        public_url: str | None = None,
        seed: int = 0,
    ) -> None:
        self.name = name
        self.type = type
        self.clock: Clock = clock or FakeClock()
        self.random = random.Random(seed)  # noqa: S311  repeatable on purpose
        self.vault = MemoryVault()
        self.log = RecordingLog()
        self.public_url = public_url
        self.routes = routes
        self.calls = 0
        self.stop = False
        self._states: dict[str, MemoryState] = {}
        self._locks: dict[str, threading.RLock] = {}
        self._guard = threading.Lock()

    def state(self, account: str = "") -> MemoryState:
        """One store per account."""
        with self._guard:
            return self._states.setdefault(account, MemoryState())

    def kept(self) -> Mapping[str, Any]:
        """Everything that was put into the states, of whatever account, and into the vault."""
        kept = {(account, key): value for account, state in self._states.items() for key, value in state.scan()}
        return {**{"/".join(place): value for place, value in kept.items()}, **self.vault.secrets}

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """A lock among threads."""
        with self._guard:
            lock = self._locks.setdefault(name, threading.RLock())
        with lock:
            yield

    def count_call(self) -> None:
        """Count one HTTP call in `calls`."""
        with self._guard:
            self.calls += 1

    def stopping(self) -> bool:
        """What `stop` says."""
        return self.stop
