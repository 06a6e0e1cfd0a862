"""What an instance gets of the world."""

import random
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ..secrets import Cipher
from ..store import Store
from ..types import Clock, Log, RouteSpec, State


class SystemClock:
    """The machine's time. Sleeping ends when the process is asked to stop."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)

    def sleep(self, duration: timedelta) -> None:
        """Wait, or less when stopping."""
        self._stopping.wait(max(duration.total_seconds(), 0))


class CipherOf(Protocol):
    """Gives the cipher when it is needed."""

    def __call__(self, *, create: bool) -> Cipher:
        """Raises ConfigError where there is no key, unless `create`."""
        ...


class StoredVault:
    """Secrets of one instance in the store, encrypted."""

    def __init__(self, prefix: str, store: Callable[[], Store], cipher: CipherOf, now: Callable[[], datetime]) -> None:
        self._prefix = prefix
        self._store = store
        self._cipher = cipher
        self._now = now
        #: Name -> what was last read or written: kept out of whatever the other side says.
        self.shown: dict[str, str] = {}
        #: Name -> what was last opened, as it is stored, and its text: a client asks before each of its calls.
        self._opened: dict[str, tuple[str, str]] = {}
        #: Name -> what stood there, encrypted, when it was first replaced here; None: nothing.
        self._replaced: dict[str, str | None] | None = None

    def get(self, name: str) -> str | None:
        """The secret's text, or None."""
        token = self._store().get_secret(self._prefix + name)
        if token is None:
            return None
        if (opened := self._opened.get(name)) is None or opened[0] != token:
            opened = self._opened[name] = (token, self._cipher(create=False).decrypt(token))
        self.shown[name] = opened[1]
        return opened[1]

    def put(self, name: str, value: str) -> None:
        """Store it; durable when this returns."""
        self.shown[name] = value
        self._keep(name)
        self._store().put_secret(self._prefix + name, self._cipher(create=True).encrypt(value), self._now())

    def delete(self, name: str) -> None:
        """Forget it."""
        self._keep(name)
        self._store().delete_secret(self._prefix + name)

    def wipe(self) -> None:
        """Forget everything of this instance."""
        for name, _ in self._store().secret_names(self._prefix):
            self.delete(name.removeprefix(self._prefix))

    def keep(self) -> None:
        """Remember from now on what is replaced, as it is stored: even where its key was lost it can be put back."""
        self._replaced = {}

    def put_back(self) -> None:
        """Undo what was done to the entries since `keep`; what others wrote since is gone where this one did too."""
        replaced, self._replaced = self._replaced or {}, None
        for name, token in replaced.items():
            if token is None:
                self._store().delete_secret(self._prefix + name)
            else:
                self._store().put_secret(self._prefix + name, token, self._now())

    def _keep(self, name: str) -> None:
        if self._replaced is not None and name not in self._replaced:
            self._replaced[name] = self._store().get_secret(self._prefix + name)


class InstanceContext:
    """A `synccore.types.Context` over the store. Nothing is touched before the instance asks."""

    def __init__(
        self,
        name: str,
        type_: str,
        *,
        clock: Clock,
        random_: random.Random,
        store: Callable[[], Store],
        vault: StoredVault,
        public_url: str | None,
        stopping: threading.Event,
        log: Log,
    ) -> None:
        self.name = name
        self.type = type_
        self.clock = clock
        self.random = random_
        self.vault = vault
        self.log = log
        self.public_url = public_url
        self.routes: Sequence[RouteSpec] = ()
        self.calls = 0
        self._store = store
        self._stopping = stopping
        self._count_guard = threading.Lock()

    def state(self, account: str = "") -> State:
        """State of this instance, or of the account for all instances of the type."""
        namespace = f"{self.type}@{account}" if account else f"{self.type}:{self.name}"
        return self._store().state(namespace)

    def lock(self, name: str) -> AbstractContextManager[None]:
        """A lock among all instances of the type, in all processes."""
        return self._store().lock(f"{self.type}.{name}")

    def count_call(self) -> None:
        """Count one HTTP call."""
        with self._count_guard:
            self.calls += 1

    def stopping(self) -> bool:
        """Whether the process was asked to stop."""
        return self._stopping.is_set()
