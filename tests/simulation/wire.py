"""The network between a process and the stand-ins of one world: a call is a call, without a socket or a thread.

What sockets do to a call is tried where there are some; here they would be two fifths of a life, and chance in it.
"""

from collections.abc import Callable, Iterator, Mapping
from unittest.mock import patch
from urllib.parse import parse_qsl, urlsplit

import httpx

from synccore._closing import Closing
from synccore.testing import Fault, LoopbackServer, Reply, Request

from .mortal import MortalStore

__all__ = ["Wire"]


class Wire(Closing):
    """Whatever httpx would send to one of the servers is handed to it; everything else goes its way."""

    def __init__(
        self, servers: Mapping[str, LoopbackServer], heard: Callable[..., None], caller: Callable[[], MortalStore]
    ) -> None:
        self._servers = {urlsplit(server.url).port: (name, server) for name, server in servers.items()}
        #: Told of each call: the server's name, and whether something was written there.
        self._heard = heard
        #: The outbox of the process that calls: it may die at any moment of a call.
        self._caller = caller
        self._send = httpx.HTTPTransport.handle_request
        self._patch = patch.object(httpx.HTTPTransport, "handle_request", self._handle())
        self._patch.start()

    def close(self) -> None:
        """Leave httpx as it was."""
        self._patch.stop()

    def _handle(self) -> object:
        def handle(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
            if request.url.port not in self._servers:
                return self._send(transport, request)
            caller = self._caller()
            caller.burn_call()
            name, server = self._servers[request.url.port]
            reply, fault = server.answer(_received(request))
            wrote = request.method != "GET" and reply.status < 300 and "token" not in request.url.path
            self._heard(name, wrote=wrote)
            caller.burn_call()
            return _answer(reply, fault, caller.burn_call)

        return handle


def _received(request: httpx.Request) -> Request:
    target = request.url.raw_path.decode()
    path, _, query = target.partition("?")
    return Request(
        method=request.method,
        path=path,
        query=tuple(parse_qsl(query, keep_blank_values=True)),
        headers={name.decode().lower(): value.decode() for name, value in request.headers.raw},
        body=request.read(),
        target=target,
    )


def _answer(reply: Reply, fault: Fault | None, read: Callable[[], None]) -> httpx.Response:
    """As the servers' own handler writes it; `read` is called once it was read. Raises what httpx makes of a connection
    that is cut."""
    kind = fault.kind if fault else "reply"
    if kind == "reset":
        raise httpx.ReadError("the connection was cut")
    if kind not in ("reply", "truncated", "altered"):
        raise ValueError(f"a fault of the kind {kind} needs a socket")
    body, content_type = reply.encoded()
    headers = {name.lower(): value for name, value in reply.headers.items()}
    if content_type:
        headers.setdefault("content-type", content_type)
    if reply.status == 204:
        body = b""
    headers["content-length"] = str(len(body))
    whole = kind != "truncated"
    stream = _Body(body if whole else body[: len(body) // 2], whole, read)
    return httpx.Response(reply.status, headers=headers, stream=stream)


class _Body(httpx.SyncByteStream):
    def __init__(self, body: bytes, whole: bool, read: Callable[[], None]) -> None:
        self._body = body
        self._whole = whole
        self._read = read

    def __iter__(self) -> Iterator[bytes]:
        yield self._body
        if not self._whole:
            raise httpx.RemoteProtocolError("the connection was closed in the middle of a body")
        self._read()
