"""uvicorn in a thread: the daemon owns the process, its signals and its end."""

import contextlib
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import uvicorn

from ..errors import ConfigError
from .protocol import CONNECTIONS, BoundedProtocol

__all__ = ["WebServer", "url_host"]


def url_host(host: str) -> str:
    """The host as it is written in an address."""
    return f"[{host}]" if ":" in host else host


class WebServer:
    """Serves an ASGI application on `host`:`port` (0: any free one) between `start` and `stop`.

    Bound at once, so that `port` is known before anything is served; raises ConfigError where that does not work.
    """

    def __init__(self, app: Callable[..., Any], host: str, port: int) -> None:
        self.host = host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=256)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {url_host(host)}:{port}: {error.strerror or error}", path="server.listen"
            ) from error
        # An answer is two small pieces, and asyncio says "at once" only of sockets it made itself: without this the
        # second waits for the caller's delayed acknowledgement of the first, 40 ms a webhook.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = self._socket.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="on",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=6,
                http=BoundedProtocol,
                limit_concurrency=CONNECTIONS + 100,
                h11_max_incomplete_event_size=65_536,
                # Whom to believe is a setting of ours; uvicorn would believe everybody on this machine.
                proxy_headers=False,
            )
        )
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """`http://HOST:PORT`, no slash at the end."""
        return f"http://{url_host(self.host)}:{self.port}"

    def start(self) -> None:
        """Serve. Connections made before uvicorn is up wait in the socket's queue."""
        self._thread = threading.Thread(target=self._run, name="synccore-web", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])

    def stop(self, timeout: timedelta = timedelta(seconds=8)) -> None:
        """Take no more connections, let running requests finish, and free the port."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout.total_seconds())
            if self._thread.is_alive():
                self._server.force_exit = True
                self._thread.join(2)
        with contextlib.suppress(OSError):
            self._socket.close()

    def __enter__(self) -> "WebServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
