"""The daemon: webhooks in, polls, lanes out, until it is told to stop."""

import threading
from collections.abc import Callable
from datetime import timedelta

from .._app.app import App
from .._app.base import on_signals
from .._verbs.changed import note_routes
from .._web.app import create_web
from .._web.metrics import Metrics
from .._web.server import WebServer
from ..errors import ConfigError
from ..types import WebhookRequest
from .alerts import AlertWatch
from .backfill import deliver_all
from .sources import SourceWorker

#: How long running calls may take to finish after SIGTERM before they are given back.
PATIENCE = timedelta(seconds=20)
#: How often final rows past their retention are deleted.
PRUNE_EVERY = timedelta(hours=1)


class Daemon:
    """Everything that runs, started and stopped as one. Use it under the store's daemon lock."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.workers = {
            name: SourceWorker(app, unit) for name, unit in app.sources.items() if unit.instance is not None
        }
        self.metrics = Metrics()
        self._state: str | None = "starting"
        app.observers.append(self.metrics.settled)
        app.measure = self.metrics.batch
        server = app.settings.server
        self.web = WebServer(create_web(app, self), server.host, server.port)
        self._alerts = AlertWatch(app)
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """Where the endpoint listens."""
        return self.web.url

    def not_ready(self) -> str | None:
        """Why it does not work yet or any more; None while it does."""
        return self._state

    def receive(self, source: str, request: WebhookRequest) -> None:
        """Take a webhook; committed when this returns. Raises as `SourceWorker.receive`."""
        worker = self.workers.get(source)
        if worker is None:
            unit = self.app.sources.get(source)
            raise ConfigError(unit.error if unit and unit.error else f"no source is called {source!r}")
        worker.receive(request)

    def start(self) -> None:
        """Deliver, listen and poll."""
        # Before the lanes begin: what a first listing holds back must not slip through.
        threads = [t for worker in self.workers.values() for t in worker.threads()]
        self.app.engine.start()
        self.web.start()
        self._threads = threads
        self._threads.append(threading.Thread(target=self._prune, name="prune", daemon=True))
        self._threads.append(threading.Thread(target=self._alerts.run, name="alerts", daemon=True))
        for thread in self._threads:
            thread.start()
        self._state = None

    def stop(self) -> None:
        """Take nothing more in, let running calls finish, give back the rest."""
        self._state = "stopping"
        self.app.stopping.set()
        self.web.stop()
        self.app.engine.stop(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE.total_seconds())
        self._alerts.close()

    def _prune(self) -> None:
        clock = self.app.clock
        while not self.app.stopping.is_set():
            try:
                self.app.store.prune(clock.now() - self.app.settings.retention)
            except Exception as error:  # noqa: BLE001  the next hour tries again
                self.app.log.warning("prune failed", error=type(error).__name__)
            clock.sleep(PRUNE_EVERY)


def run_daemon(
    app: App,
    *,
    once: bool = False,
    wait: bool = False,
    timeout: timedelta | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> int:
    """Run until SIGTERM or SIGINT; with `once` poll, deliver what is due (`wait`: until nothing is owed) and return.

    Gives the exit code: 0 done, 1 findings. Raises ConfigError where another daemon works on the same database.
    """
    with app.store.daemon_lock(), on_signals(app.stop):
        if once:
            return _once(app, wait=wait, timeout=timeout)
        daemon = Daemon(app)
        daemon.start()
        try:
            if on_ready is not None:
                on_ready(daemon.url)
            app.stopping.wait(timeout.total_seconds() if timeout else None)
        finally:
            daemon.stop()
        return 0


def _once(app: App, *, wait: bool, timeout: timedelta | None) -> int:
    note_routes(app)
    app.engine.recover()
    well = not any(unit.error for unit in (*app.sources.values(), *app.sinks.values()))
    for name, unit in app.sources.items():
        if unit.instance is not None:
            worker = SourceWorker(app, app.sources[name])
            well = worker.poll_all() and well
            while worker.work_job():
                pass
    if wait:
        deliver_all(app, timeout)
    else:
        app.engine.drain_in_parallel()
    counts = app.store.counts_by_sink()
    parked = any(c.parked for c in counts.values())
    owed = wait and any(c.ready or c.running or c.submitted for name, c in counts.items() if name in app.engine.lanes)
    return 0 if well and not parked and not owed else 1
