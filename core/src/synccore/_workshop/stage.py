"""What the demo plays on: stand-ins, a configuration that leads to them, and a real daemon in this process."""

import json
import platform
import socket
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from ..errors import ConfigError
from ..hookspecs import DemoInstance, DemoVendor
from ..testing import AutoBrowser
from ..types import Settled

if TYPE_CHECKING:
    from .._app.app import App
    from .._daemon.run import Daemon
    from .._plugins import Plugins

__all__ = ["RouteLine", "Stage", "Vendor", "Wave", "open_stage"]

#: Whether a socket may listen on a port that another one is only bound to.
_SHARES_PORTS = platform.system() == "Linux"
#: How often a wait looks again.
TICK = 0.05


@frozen
class Vendor:
    """A stand-in that runs."""

    descriptor: DemoVendor
    instance: DemoInstance

    @property
    def name(self) -> str:
        """Its instance name."""
        return self.descriptor.name


@frozen(kw_only=True)
class RouteLine:
    """One route's figures."""

    name: str
    sink: str
    owed: int
    delivered: int
    skipped: int
    parked: int
    #: HTTP calls of the sink so far; all its routes share them.
    calls: int


@define
class Wave:
    """One edit in the shop and how it spread."""

    text: str
    started: float
    #: Sink -> seconds until its delivery was settled there.
    arrived: dict[str, float] = field(factory=dict)


class Stage:
    """Stand-ins, daemon and what is seen of them."""

    def __init__(self, vendors: Sequence[Vendor], app: "App", daemon: "Daemon", accounts: Mapping[str, str]) -> None:
        self.vendors = tuple(vendors)
        self.sources = [v for v in vendors if v.descriptor.role == "source"]
        self.app = app
        self.daemon = daemon
        #: Instance -> whom it is connected to.
        self.accounts = accounts
        self._lock = threading.Lock()
        self._wave: Wave | None = None
        #: Sink and size of the calls made, newest last; emptied by whoever shows them.
        self.batches: deque[tuple[str, int]] = deque(maxlen=1000)
        app.observers.append(self._settled)
        measure = app.measure

        def counted(sink: str, size: int, took: timedelta) -> None:
            measure(sink, size, took)
            self.batches.append((sink, size))

        app.measure = counted

    def _settled(self, event: Settled) -> None:
        if event.outcome not in ("delivered", "unchanged", "skipped") or event.sink not in self.app.sinks:
            return
        with self._lock:
            if self._wave is not None:
                self._wave.arrived.setdefault(event.sink, time.monotonic() - self._wave.started)

    # -- looking

    def lines(self) -> list[RouteLine]:
        """All routes with their figures."""
        counts = self.app.store.counts_by_route()
        lines = []
        for route in self.app.routes.values():
            count = counts.get(route.name)
            lines.append(
                RouteLine(
                    name=route.name,
                    sink=route.sink,
                    owed=count.owed if count else 0,
                    delivered=count.done if count else 0,
                    skipped=count.skipped if count else 0,
                    parked=count.parked if count else 0,
                    calls=self.app.calls(route.sink),
                )
            )
        return lines

    def owed(self) -> int:
        """Deliveries that are not done."""
        return sum(line.owed for line in self.lines())

    def known(self) -> Mapping[str, int]:
        """Records known here, per entity."""
        total: dict[str, int] = {}
        for name in self.app.sources:
            for entity, count in self.app.store.snapshot_counts(name).items():
                total[entity] = total.get(entity, 0) + count
        return total

    def _listed(self) -> bool:
        """Whether every source has been read once."""
        for name, unit in self.app.sources.items():
            cursors = self.app.store.cursors(name)
            if any(f"polled:{entity}" not in cursors for entity in unit.settings.config.entities):
                return False
        return True

    def parked_causes(self) -> list[str]:
        """What is parked, in words."""
        return [f"{c.route}: {c.count} x {c.error}" for c in self.app.store.parked_causes(5)]

    # -- acting

    def wait_quiet(self, patience: float, watch: Callable[[], None] = lambda: None) -> bool:
        """Wait until everything was read and nothing is owed; False where that takes longer than `patience` s."""
        end = time.monotonic() + patience
        while time.monotonic() < end and not self.app.stopping.is_set():
            watch()
            if self._listed() and self.owed() == 0:
                return True
            self.app.stopping.wait(TICK)
        return False

    def edit(self) -> Wave:
        """Have somebody change a customer in the shop."""
        wave = Wave("", time.monotonic())
        with self._lock:
            self._wave = wave
        wave.text = self.sources[0].instance.edit()
        return wave

    def wait_wave(self, wave: Wave, patience: float, watch: Callable[[], None] = lambda: None) -> bool:
        """Wait until the edit was settled somewhere and nothing is owed any more."""
        end = time.monotonic() + patience
        while time.monotonic() < end and not self.app.stopping.is_set():
            watch()
            if wave.arrived and self.owed() == 0:
                return True
            self.app.stopping.wait(TICK)
        return False


@contextmanager
def open_stage(
    plugins: "Plugins", customers: int, database: str, log_to: Callable[[Path], AbstractContextManager[None]]
) -> Iterator[Stage]:
    """Start everything; all is gone again at the end, the file of the log too.

    Raises ConfigError where a source or a sink is missing.
    """
    vendors = sorted(plugins.demo_vendors, key=lambda v: v.role != "source")
    for role, hint in (("source", "synccore-woocommerce"), ("sink", "synccore-google-contacts")):
        if not any(v.role == role for v in vendors):
            raise ConfigError(f"no installed plugin brings a {role} to the demo: pip install {hint}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="synccore-demo-")))
        stack.enter_context(log_to(folder / "synccore.log"))
        reserved = _reserve()
        stack.callback(reserved.close)
        port: int = reserved.getsockname()[1]
        running: list[Vendor] = []
        for descriptor in vendors:
            instance = descriptor.start(f"http://127.0.0.1:{port}/hooks/{descriptor.name}")
            stack.callback(instance.close)
            running.append(Vendor(descriptor, instance))
        config = folder / "synccore.toml"
        config.write_text(_config(running, port, database), encoding="utf-8")
        config.chmod(0o600)

        from .._app.app import App
        from .._daemon.run import Daemon

        app = stack.enter_context(App.open(config, plugins=plugins))
        if any(app.store.last_key(table) is not None for table in ("snapshot", "delivery", "history")):
            raise ConfigError("this database holds an outbox already: name an empty one for the demo")
        accounts = _connect(app, running, port)
        for vendor in running:
            if vendor.descriptor.role == "source":
                vendor.instance.seed(customers)
        stack.enter_context(app.store.daemon_lock())
        if not _SHARES_PORTS:
            reserved.close()
        daemon = Daemon(app)
        stage = Stage(running, app, daemon, accounts)
        stack.callback(daemon.stop)
        daemon.start()
        yield stage


def _reserve() -> socket.socket:
    """A port of our own: bound and not listening, which lets the daemon, and nobody else, listen on it."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved


def _config(vendors: Sequence[Vendor], port: int, database: str) -> str:
    import tomlkit

    tables: dict[str, Any] = {
        "synccore": {"database": database},
        "server": {"listen": f"127.0.0.1:{port}"},
        "sources": {},
        "sinks": {},
        "routes": {},
    }
    for vendor in vendors:
        tables[vendor.descriptor.role + "s"][vendor.name] = _plain(vendor.instance.config)
        tables["routes"].update(_plain(vendor.instance.routes))
    return tomlkit.dumps(tables)


def _plain(value: Any) -> Any:
    """Dicts and lists only, as the TOML writer wants them."""
    return json.loads(json.dumps(value, default=dict))


def _connect(app: "App", vendors: Sequence[Vendor], port: int) -> dict[str, str]:
    """Connect every instance as a person would; whom each reached."""
    from .._verbs.connect import connect

    accounts = {}
    for vendor in vendors:
        account = connect(app, vendor.name, AutoBrowser(vendor.instance.approve, port)).account
        accounts[vendor.name] = account.label if account else vendor.descriptor.type
    return accounts
