"""What works without a flawless configuration: the store and its secrets, for verbs that look or repair."""

import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from .._closing import Closing
from .._plugins import Plugins
from .._settings import SettingsError, database_of, find_config, load_outline
from ..errors import ConfigError
from ..secrets import Cipher, Secret, load_key
from ..store import LaneRecord, Store, StoreError
from ..types import Clock, Vault
from .context import StoredVault, SystemClock
from .running import RUNNING, Running
from .units import lane_name


@contextmanager
def on_signals(stop: Callable[[], None], reload: Callable[[], None] | None = None) -> Iterator[None]:
    """Call `stop` at SIGTERM and SIGINT, and `reload` at SIGHUP, instead of ending.

    Only the main thread can listen to signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    calls = {signal.SIGTERM: stop, signal.SIGINT: stop, **({signal.SIGHUP: reload} if reload else {})}
    before = {number: signal.signal(number, lambda *_, call=call: call()) for number, call in calls.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Base(Closing):
    """The outbox behind one configuration file. No instance is opened, no setting outside `[synccore]` is read.

    Attributes:
        sources, sinks: the names the file has, whether or not the instances can be opened.
        stopping: set once the process is asked to stop.
    """

    sources: Collection[str]
    sinks: Collection[str]
    retention: timedelta
    environ: Mapping[str, str] = MappingProxyType({})
    #: What whoever looks has to know about what is shown.
    doubts: tuple[str, ...] = ()

    def __init__(
        self,
        path: Path,
        database: str,
        *,
        plugins: Plugins,
        clock: Clock | None,
        store: Store | None = None,
        password: Secret | None = None,
    ) -> None:
        self._password = password
        self.path = path
        self.plugins = plugins
        self.stopping = threading.Event()
        self._given_clock = clock
        self.clock: Clock = clock if clock is not None else SystemClock(self.stopping)
        self._database = database
        self._given_store = store

    @classmethod
    def open_store(
        cls, config: Path | None, *, environ: Mapping[str, str], plugins: Plugins, clock: Clock | None = None
    ) -> "Base":
        """Find the configuration and read what the store needs of it.

        Raises SettingsError where that part has mistakes and no daemon runs, ConfigError where there is no
        configuration.
        """
        path = find_config(config, environ, Path.cwd())
        text, doubts = readable(path, plugins, clock, environ)
        outline = load_outline(path, plugins, text, environ)
        base = Base(outline.path, outline.database, plugins=plugins, clock=clock, password=outline.password)
        base.doubts, base.environ = doubts, environ
        base.sources, base.sinks, base.retention = outline.sources, outline.sinks, outline.retention
        return base

    @cached_property
    def store(self) -> Store:
        """The outbox, opened when first used."""
        if self._given_store is not None:
            return self._given_store
        return open_outbox(self._database, self.plugins, self.clock, self._password, beside=self.path.parent)

    def store_trouble(self) -> str | None:
        """Why the outbox takes nothing more: a full disk, a file that was moved or replaced. None: it does.

        Writes a mark, so that what is asked is what a webhook needs.
        """
        try:
            self.store.state(RUNNING).put({"probed": self.clock.now().isoformat()})
        except (StoreError, ConfigError) as error:
            return error.message
        return None

    @property
    def database_file(self) -> Path | None:
        """The SQLite file; None where another engine keeps the outbox."""
        return None if "://" in self._database else self.path.parent / self._database

    @property
    def exists(self) -> bool:
        """Whether there is a database already; looking makes none."""
        return self.database_file is None or self.database_file.exists()

    def lane_of(self, name: str) -> LaneRecord:
        """The durable state of a sink's lane, or of a source."""
        return self.store.lane(lane_name(name) if name in self.sources else name)

    def cipher(self, *, create: bool) -> Cipher:
        """What encrypts secrets at rest; `create` makes a key where there is none yet."""
        if self._cipher is None:
            self._cipher = Cipher(load_key(self.path.parent / key_file(self._database), create=create))
        return self._cipher

    _cipher: Cipher | None = None

    def vault(self, instance: str) -> StoredVault:
        """Secrets of one instance."""
        return self._vault(f"{instance}/")

    @property
    def secrets(self) -> Vault:
        """Secrets named by the user (`synccore secret set NAME`)."""
        return self._vault("@")

    def _vault(self, prefix: str) -> StoredVault:
        return StoredVault(prefix, lambda: self.store, self.cipher, self.clock.now)

    def stop(self) -> None:
        """Ask everything that runs to end at its next safe point."""
        self.stopping.set()

    def close(self) -> None:
        """Close the store."""
        if "store" in self.__dict__ and self._given_store is None:
            self.store.close()

    @property
    def running(self) -> Running:
        """What the daemon on this database says of itself."""
        return Running(self.store, self._vault(RUNNING), self.path)


def key_file(database: str) -> str:
    """The file, beside the configuration, that holds the key of an outbox's stored credentials."""
    return "synccore.key" if "://" in database else f"{database}.key"


def open_outbox(
    place: str, plugins: Plugins, clock: Clock, password: Secret | None = None, *, beside: Path = Path()
) -> Store:
    """The outbox in a file (its path counts from `beside`), or at an address, by the plugin that knows its scheme.

    Raises ConfigError.
    """
    scheme, separator, _ = place.partition("://")
    if not separator:
        from .._store.sqlite import open_sqlite

        return open_sqlite(beside / place)
    engine = plugins.store_for(place)
    if engine is None:
        raise ConfigError(
            f"no installed plugin opens {scheme}:// databases: pip install synccore-postgres",
            path="synccore.database",
        )
    known = {} if password is None else {"password": password}
    opened: Store = engine.open(place, clock, **known)
    return opened


def readable(
    path: Path, plugins: Plugins, clock: Clock | None, environ: Mapping[str, str] = os.environ
) -> tuple[str | None, tuple[str, ...]]:
    """What to read instead of a file that is no TOML: what a running daemon works with. None: the file itself.

    With it comes what the reader has to know. Where there is no such daemon either, reading the file tells why.
    """
    try:
        load_outline(path, plugins, environ=environ)
    except SettingsError as error:
        base = Base(path, database_of(path), plugins=plugins, clock=clock)
        try:
            text = base.running.text if base.exists and base.store.daemon_running() else None
        except ConfigError:
            text = None  # the database or its key cannot be used: the file's mistakes come first
        finally:
            base.close()
        return (
            (None, ())
            if text is None
            else (text, (f"{error.problems[0]}. Shown is what the running daemon works with: it read the file before",))
        )
    return None, ()
