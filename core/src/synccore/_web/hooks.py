"""POST /hooks/{source}: answered 200 only when what it says is committed."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from .._app.app import App
from .._delivery.policy import where
from ..errors import SignatureError, SynccoreError
from ..store import StoreError
from ..types import WebhookRequest
from .metrics import Metrics

__all__ = ["BODY_LIMIT", "Door", "Hooks", "TooLarge", "read_body"]

#: Bytes. A vendor's largest known webhook (an order with a thousand lines) is well below.
BODY_LIMIT = 5_000_000
#: Bytes that bodies longer than SMALL may hold together before they can be authenticated.
ROOM, SMALL = 16_000_000, 65_536
#: Commits that wait side by side share one fsync, so more threads make webhooks cheaper, not dearer.
WORKERS = 64


class Door(Protocol):
    """The process, as those who ask from outside need it. May be called from any thread."""

    metrics: Metrics

    @property
    def app(self) -> App:
        """What works now; another one after the configuration was read again."""
        ...

    def not_ready(self) -> str | None:
        """None while it works; else why it does not (starting, stopping)."""
        ...

    def not_well(self) -> str | None:
        """As `not_ready`, and why the store takes nothing more. Asks the store."""
        ...

    def receive(self, source: str, request: WebhookRequest) -> None:
        """Take a webhook in; everything it says is committed when this returns.

        Raises SignatureError (answered 401), anything else is answered 500. `source` is a configured one.
        """
        ...


class TooLarge(Exception):
    """The body is longer than the limit."""


class Full(Exception):
    """Bodies of others that are on their way fill the room there is."""


class Room:
    """What all bodies under way may hold together. Small ones always fit: a flood of large ones keeps none out."""

    def __init__(self, most: int = ROOM, small: int = SMALL) -> None:
        self._most, self._small = most, small
        self._held = 0

    @contextmanager
    def desk(self) -> Iterator[Callable[[int], None]]:
        """For one request: call what this gives with the length of the body so far. Raises Full."""
        own = 0

        def grow(length: int) -> None:
            nonlocal own
            need = max(length - self._small, 0)
            if self._held - own + need > self._most:
                raise Full
            self._held += need - own
            own = need

        try:
            yield grow
        finally:
            self._held -= own


async def read_body(request: Request, limit: int, grow: Callable[[int], None] = lambda _: None) -> bytes:
    """The body; raises TooLarge as soon as that is known, without reading the rest."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 15 or int(announced) > limit):
        raise TooLarge
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLarge
        grow(len(body))
    return bytes(body)


class Hooks:
    """The endpoint of every source's webhooks."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._room = Room()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="synccore-hook")

    async def answer(self, request: Request) -> Response:
        """Answer one request to /hooks/{source}."""
        name = request.path_params["source"]
        metrics = self._door.metrics
        if name not in self._door.app.settings.sources:
            metrics.refused("unknown", "unknown_source")
            return _text(404, "no such source")
        if request.method == "HEAD":
            return _text(200, "")
        if request.method == "GET":
            return _text(405, f"webhooks of {name} are received here by POST", {"Allow": "POST"})
        with self._room.desk() as grow:
            return await self._take(name, request, grow)

    async def _take(self, name: str, request: Request, grow: Callable[[int], None]) -> Response:
        metrics = self._door.metrics
        try:
            body = await read_body(request, BODY_LIMIT, grow)
        except Full:
            metrics.refused(name, "not_ready")
            return _text(503, "too many large webhooks at once", {"Retry-After": "5", "Connection": "close"})
        except TooLarge:
            metrics.refused(name, "too_large")
            return _text(413, f"a webhook has at most {BODY_LIMIT} bytes", {"Connection": "close"})
        except ClientDisconnect:
            metrics.refused(name, "incomplete")
            return _text(400, "the body is incomplete")
        if (reason := self._door.not_ready()) is not None:
            metrics.refused(name, "not_ready")
            return _text(503, reason, {"Retry-After": "5"})
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._receive, name, _plain(request, body))

    def _receive(self, name: str, webhook: WebhookRequest) -> Response:
        metrics = self._door.metrics
        try:
            self._door.receive(name, webhook)
        except SignatureError as error:
            metrics.refused(name, "signature")
            return _text(401, error.message)
        except StoreError as error:
            # Not the shop's fault, nor the webhook's: it should come again.
            metrics.refused(name, "not_ready")
            self._door.app.log.warning("webhook failed", source=name, reason=error.message)
            return _text(503, "nothing can be stored just now; see the log of synccore", {"Retry-After": "5"})
        except Exception as error:  # noqa: BLE001  a plugin's bug must not take the endpoint down
            metrics.refused(name, "error")
            # A bug's own words may quote the body: only a SynccoreError's are redacted.
            reason = error.message if isinstance(error, SynccoreError) else type(error).__name__
            self._door.app.log.warning("webhook failed", source=name, reason=reason, where=where(error))
            return _text(500, "the webhook could not be taken; see the log of synccore")
        metrics.received(name)
        return _text(200, "ok")

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False)


def _plain(request: Request, body: bytes) -> WebhookRequest:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return WebhookRequest(
        method=request.method,
        path=request.url.path,
        headers=headers,
        body=body,
        query=dict(request.query_params),
    )


def _text(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(text, status, headers)
