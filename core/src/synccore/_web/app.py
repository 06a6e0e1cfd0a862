"""The routes of the endpoint: webhooks, health, metrics, and the dashboard's pages."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from .._settings import is_loopback
from .._verbs.status import status
from ..errors import ConfigError
from .dashboard.pages import Pages
from .guard import LOOPBACK_NAMES, Guard, host_name
from .hooks import Door, Hooks
from .metrics import CONTENT_TYPE
from .sessions import Sessions

__all__ = ["create_web"]


def create_web(door: Door) -> Starlette:
    """The endpoint. Raises ConfigError for an address others can reach without a password."""
    server = door.app.settings.server
    password = server.dashboard_password.reveal() if server.dashboard_password is not None else None
    if not password and not is_loopback(server.host):
        # The settings ask for one too, but cannot see that a stored one is empty.
        raise ConfigError(
            f"{server.host} can be reached by others: set dashboard_password (or listen on 127.0.0.1)",
            path="server.dashboard_password",
        )
    hooks = Hooks(door)
    pages = Pages(door, Sessions(door.app.clock, password or None))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        hooks.close()
        pages.close()

    return Starlette(
        routes=[*_hooks(hooks), *_health(door), *pages.routes()],
        middleware=[_guard(door, password=bool(password))],
        lifespan=lifespan,
    )


def _guard(door: Door, *, password: bool) -> Middleware:
    server = door.app.settings.server
    public = host_name(urlsplit(server.public_url).netloc) if server.public_url else ""
    hosts = frozenset[str]()
    if is_loopback(server.host):
        hosts = LOOPBACK_NAMES | {server.host}
        if public and password:
            hosts |= {public}
    shown = bool(public and not is_loopback(public))
    return Middleware(Guard, log=door.app.log, hosts=hosts, open_house=not password, public=shown)


def _hooks(hooks: Hooks) -> Sequence[BaseRoute]:
    methods = ["POST", "GET", "HEAD"]
    return [
        Route("/hooks/{source}", hooks.answer, methods=methods),
        # Taken, not redirected: a shop counts a redirect as a failure, or as success without asking again.
        Route("/hooks/{source}/", hooks.answer, methods=methods),
    ]


def _health(door: Door) -> Sequence[BaseRoute]:
    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        reason = await run_in_threadpool(door.not_well)
        return PlainTextResponse("ready") if reason is None else PlainTextResponse(reason, 503)

    async def metrics(_: Request) -> Response:
        body = await run_in_threadpool(lambda: door.metrics.page(status(door.app, submitted=True), door.app.calls))
        return Response(body, media_type=CONTENT_TYPE)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
