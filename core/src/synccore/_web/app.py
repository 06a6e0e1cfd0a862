"""The routes of the endpoint, who may ask for them, and the headers of every answer."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .._settings import is_loopback
from .._verbs.status import status
from ..errors import ConfigError
from .hooks import Door, Hooks, where
from .metrics import CONTENT_TYPE
from .pages import Pages
from .sessions import Sessions
from .visitor import forwarded

__all__ = ["create_web"]

log = structlog.get_logger("synccore.web")

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
#: Answered whatever the Host header says: machines ask here, and nothing of it concerns a browser's session.
_OPEN = ("/hooks/", "/healthz", "/readyz", "/metrics")
_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": browsers then send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


class Guard:
    """Puts security headers on every answer, and refuses what comes under a foreign name (DNS rebinding).

    Without a password only this machine may look, so neither another host name nor a proxy's headers are accepted, and
    nothing is shown where a `public` address is set: a proxy that adds no header would show the page to everybody.
    """

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str], open_house: bool, public: bool = False) -> None:
        self._app = app
        self._hosts = hosts
        self._open_house = open_house
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        begun = False

        async def send_guarded(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if (problem := self._problem(scope)) is not None:
            await PlainTextResponse(problem, 403)(scope, receive, send_guarded)
            return
        try:
            await self._app(scope, receive, send_guarded)
        except Exception as error:  # noqa: BLE001  the words of a bug may be personal data: they go nowhere
            log.warning("page failed", path=scope["path"], reason=type(error).__name__, where=where(error))
            if not begun:
                text = "Something went wrong; see the log of synccore."
                await PlainTextResponse(text, 500)(scope, receive, send_guarded)

    def _problem(self, scope: Scope) -> str | None:
        if scope["path"].startswith(_OPEN):
            return None
        asked = HTTPConnection(scope)
        headers = asked.headers
        if self._hosts and _name(headers.get("host", "")) not in self._hosts:
            return "This address is not the dashboard's. Open it by the address in [server] listen or public_url."
        if self._open_house and (self._public or forwarded(asked)):
            return "Others can reach this address, through a proxy: set [server] dashboard_password first."
        return None


def _name(host: str) -> str:
    """The host name of a Host header, without port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def create_web(door: Door) -> Starlette:
    """The endpoint. Raises ConfigError for an address others can reach without a password."""
    app = door.app
    server = app.settings.server
    password = server.dashboard_password.reveal() if server.dashboard_password is not None else None
    loopback = is_loopback(server.host)
    if not password and not loopback:
        # The settings ask for one too, but cannot see that a stored one is empty.
        raise ConfigError(
            f"{server.host} can be reached by others: set dashboard_password (or listen on 127.0.0.1)",
            path="server.dashboard_password",
        )
    public = _name(urlsplit(server.public_url).netloc) if server.public_url else ""
    hosts = frozenset[str]()
    if loopback:
        hosts = _LOOPBACK_NAMES | {server.host}
        if public and password:
            hosts |= {public}
    hooks = Hooks(door)
    pages = Pages(door, Sessions(app.clock, password or None))

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        reason = await run_in_threadpool(door.not_well)
        return PlainTextResponse("ready") if reason is None else PlainTextResponse(reason, 503)

    async def metrics(_: Request) -> Response:
        body = await run_in_threadpool(lambda: door.metrics.page(status(door.app, submitted=True), door.app.calls))
        return Response(body, media_type=CONTENT_TYPE)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        hooks.close()
        pages.connects.close()

    return Starlette(
        routes=[
            Route("/hooks/{source}", hooks.answer, methods=["POST", "GET", "HEAD"]),
            # Taken, not redirected: a shop counts a redirect as a failure, or as success without asking again.
            Route("/hooks/{source}/", hooks.answer, methods=["POST", "GET", "HEAD"]),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            *pages.routes(),
        ],
        middleware=[
            Middleware(Guard, hosts=hosts, open_house=not password, public=bool(public and not is_loopback(public)))
        ],
        lifespan=lifespan,
    )
