"""The daemon: webhooks in, polls, lanes out, until it is told to stop."""

import math
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from attrs import fields

from .._app.app import App
from .._app.base import on_signals
from .._app.running import Reloaded
from .._verbs.parts.changed import note_routes
from .._web.app import create_web
from .._web.metrics import Metrics
from .._web.server import WebServer
from ..config import Problem
from ..errors import ConfigError
from ..http import prepare
from ..secrets import Secret
from ..store import DiskFull, StoreError
from ..types import WebhookRequest
from .alerts import AlertWatch
from .backfill import deliver_all
from .memory import give_back_large_blocks
from .sources import SourceWorker
from .telling import Teller

#: How long running calls may take to finish after SIGTERM before they are given back.
PATIENCE = timedelta(seconds=20)
#: Seconds between two looks for a wish to read the configuration again.
WISHES_EVERY = 1.0
#: Between two tries to begin where the store is busy or away.
TROUBLE_WAIT = timedelta(seconds=5)
#: For how long a webhook that the store refused keeps the daemon from being ready.
REFUSAL_COUNTS = timedelta(minutes=1)
#: How often final rows past their retention are deleted.
PRUNE_EVERY = timedelta(hours=1)


class Works:
    """What one reading of the configuration keeps busy: lanes, polls, listings."""

    def __init__(self, app: App, metrics: Metrics) -> None:
        self.app = app
        self.workers = {
            name: SourceWorker(app, unit) for name, unit in app.sources.items() if unit.instance is not None
        }
        app.observers.append(metrics.settled)
        app.measure = metrics.batch
        self._alerts = AlertWatch(app)
        self._teller = Teller(app)
        app.observers.append(self._teller.settled)
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Deliver and poll. From now on this is the configuration that the daemon works with.

        Raises StoreError where the store cannot be used just now: nothing has begun then, and it can be tried again.
        """
        app = self.app
        app.rename_routes()
        note_routes(app)
        app.running.began(app.text, app.clock.now())
        # Before the lanes begin: what a first listing holds back must not slip through.
        self._threads = [t for worker in self.workers.values() for t in worker.threads()]
        app.engine.start()
        self._threads.append(threading.Thread(target=self._prune, name="prune", daemon=True))
        self._threads.append(threading.Thread(target=self._alerts.run, name="alerts", daemon=True))
        self._threads.append(threading.Thread(target=self._teller.run, name="teller", daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self, patience: timedelta = PATIENCE) -> None:
        """Let running calls finish, give back the rest; however many are stuck, this ends after `patience`."""
        end = time.monotonic() + patience.total_seconds()
        self.app.stop()
        self.app.engine.stop(patience)
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0))
        self._alerts.close()

    def _prune(self) -> None:
        clock = self.app.clock
        while not self.app.stopping.is_set():
            try:
                if self.app.store.leads():
                    self.app.store.prune(clock.now() - self.app.settings.retention)
            except Exception as error:  # noqa: BLE001  the next hour tries again
                self.app.log.warning("prune failed", error=type(error).__name__)
            clock.sleep(PRUNE_EVERY)


class Daemon:
    """Everything that runs, started and stopped as one. Use it under the store's daemon lock."""

    def __init__(self, app: App) -> None:
        self._first = app
        prepare()  # the first change after a start is somebody's too
        self.metrics = Metrics()
        self._works = Works(app, self.metrics)
        self._state: str | None = "starting"
        self._answered = app.running.wish
        #: Set once somebody asked it to stop; safe in a signal's handler.
        self.ending = threading.Event()
        self._hung_up = threading.Event()
        #: When the store last refused a webhook, and why; None once it took one again.
        self._refused: tuple[datetime, str] | None = None
        server = app.settings.server
        self.web = WebServer(create_web(self), server.host, server.port)

    @property
    def app(self) -> App:
        """What works now; another one after a reload."""
        return self._works.app

    @property
    def url(self) -> str:
        """Where the endpoint listens."""
        return self.web.url

    def not_ready(self) -> str | None:
        """Why it does not work yet or any more; None while it does."""
        return self._state

    def not_well(self) -> str | None:
        """As `not_ready`, and why the store takes nothing more.

        A webhook that it refused a moment ago counts: a full disk may still have room for the little that is tried.
        """
        if (reason := self._state) is not None:
            return reason
        refused = self._refused
        if refused is not None and self.app.clock.now() - refused[0] < REFUSAL_COUNTS:
            return refused[1]
        return self.app.engine.refusal() or self.app.store_trouble()

    def receive(self, source: str, request: WebhookRequest) -> None:
        """Take a webhook; committed when this returns. Raises as `SourceWorker.receive`."""
        works = self._works
        worker = works.workers.get(source)
        if worker is None:
            unit = works.app.sources.get(source)
            raise ConfigError(unit.error if unit and unit.error else f"no source is called {source!r}")
        try:
            worker.receive(request)
        except StoreError as error:
            # What a small write meets too is asked for each time; only what it does not meet has to be remembered.
            small_ones_fit = isinstance(error, DiskFull) and works.app.store_trouble() is None
            self._refused = (works.app.clock.now(), error.message) if small_ones_fit else None
            raise
        self._refused = None

    def start(self) -> None:
        """Deliver, listen and poll."""
        self._begin(self._works)
        self.web.start()
        self._state = None

    def _begin(self, works: Works) -> None:
        """Start it as soon as the store works: one that is busy, full or away holds it up, and does not end it."""
        begun = False
        while not begun and not self.ending.is_set():
            try:
                works.start()
                begun = True
            except StoreError as error:
                works.app.log.warning("waits for the store to begin", reason=error.message)
                works.app.clock.sleep(TROUBLE_WAIT)

    def stop(self) -> None:
        """Take nothing more in, let running calls finish, give back the rest."""
        end = time.monotonic() + PATIENCE.total_seconds()
        self._state = "stopping"
        self._works.app.stop()
        self.web.stop()
        self._works.stop(timedelta(seconds=max(end - time.monotonic(), 0)))
        if self.app is not self._first:
            self.app.release()

    # -- reading the configuration again

    def hang_up(self) -> None:
        """Wish that the configuration is read again; safe in a signal's handler."""
        self._hung_up.set()

    def look_for_wishes(self) -> None:
        """Read the configuration again where somebody asked for it."""
        wish = self.app.running.wish
        if wish > self._answered or self._hung_up.is_set():
            self._hung_up.clear()
            self._answered = wish
            self.app.running.answered(self.reload(wish))

    def reload(self, wish: int = 0) -> Reloaded:
        """Read the file again. Where it has a mistake everything goes on as before; webhooks are taken all the time."""
        old = self._works
        try:
            fresh = old.app.anew()
        except ConfigError as error:
            problems = getattr(error, "problems", None) or (Problem(error.path or "", error.message),)
            old.app.log.warning("configuration has mistakes, the old one stays", problems=[str(p) for p in problems])
            return Reloaded(wish=wish, problems=tuple((p.path, p.message) for p in problems))
        works = Works(fresh, self.metrics)
        old.stop()
        self._works = works
        self._begin(works)  # asked to stop meanwhile: nothing new begins
        old.app.release()
        fresh.log.info("configuration read again", file=str(fresh.path))
        return Reloaded(wish=wish, notes=_needs_restart(self._first, fresh))


def _needs_restart(first: App, fresh: App) -> tuple[str, ...]:
    """What of `[server]` is bound once for a process's life."""
    before, after = first.settings.server, fresh.settings.server
    names = [a.name for a in fields(type(after)) if _plain(getattr(before, a.name)) != _plain(getattr(after, a.name))]
    return tuple(f"[server] {name} takes effect when the daemon is started again" for name in names)


def _plain(value: object) -> object:
    return value.reveal() if isinstance(value, Secret) else value


def run_daemon(
    app: App,
    *,
    once: bool = False,
    wait: bool = False,
    timeout: timedelta | None = None,
    on_ready: Callable[[str], None] | None = None,
    on_stop: Callable[[], None] = lambda: None,
) -> int:
    """Run until SIGTERM or SIGINT; with `once` poll, deliver what is due (`wait`: until nothing is owed) and return.

    `on_stop` is called from the signal's handler. Gives the exit code: 0 done, 1 findings.

    Raises ConfigError where another daemon works on the same database.
    """
    give_back_large_blocks()
    with app.store.daemon_lock():
        if once:
            with on_signals(_both(on_stop, app.stop)):
                return _once(app, wait=wait, timeout=timeout)
        daemon = Daemon(app)
        with on_signals(_both(on_stop, daemon.ending.set), daemon.hang_up):
            daemon.start()
            try:
                if on_ready is not None:
                    on_ready(daemon.url)
                _attend(daemon, timeout)
            finally:
                daemon.stop()
        return 0


def _both(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def call() -> None:
        first()
        second()

    return call


def _attend(daemon: Daemon, timeout: timedelta | None) -> None:
    """Until somebody asks it to stop, or its time is over."""
    end = time.monotonic() + timeout.total_seconds() if timeout else math.inf
    while not daemon.app.stopping.is_set() and not daemon.ending.wait(
        min(WISHES_EVERY, max(end - time.monotonic(), 0))
    ):
        if time.monotonic() >= end:
            return
        try:
            daemon.look_for_wishes()
        except Exception as error:  # noqa: BLE001  the store failed: the next look tries again
            daemon.app.log.warning("reload failed", error=type(error).__name__)


def _once(app: App, *, wait: bool, timeout: timedelta | None) -> int:
    """A round of the daemon's work; logged as such, and told to whom it concerns at its end."""
    teller, alerts = Teller(app), AlertWatch(app)
    app.observers.append(teller.settled)
    try:
        return _round(app, wait=wait, timeout=timeout)
    finally:
        teller.count()
        alerts.attend()
        alerts.close()


def _round(app: App, *, wait: bool, timeout: timedelta | None) -> int:
    note_routes(app)
    app.engine.recover()
    well = not any(unit.error for unit in (*app.sources.values(), *app.sinks.values()))
    for name, unit in app.sources.items():
        if unit.instance is not None:
            worker = SourceWorker(app, app.sources[name])
            well = worker.poll_all() and well
            while worker.work_job():
                pass
            while worker.follow_hints():
                pass
    if wait:
        deliver_all(app, timeout)
    else:
        app.engine.drain_in_parallel()
    counts = app.store.counts_by_sink()
    parked = any(c.parked for c in counts.values())
    owed = wait and any(c.owed for name, c in counts.items() if name in app.engine.lanes)
    return 0 if well and not parked and not owed else 1
