"""The base of loopback stand-ins: a real HTTP server on 127.0.0.1 that can be told to fail.

class FakeCrm(LoopbackServer):
    def handle(self, request: Request) -> Reply:
        if request.path == "/people" and request.method == "POST":
            ...
            return Reply(201, {"id": "1"})
        return Reply(404, {"error": "no such path"})

with FakeCrm() as crm:
    crm.fail_next(Fault.status(503))           # before it is carried out
    crm.fail_next(Fault.commit_then_drop())    # carried out, and the answer is lost
"""

import contextlib
import json as jsonlib
import socket
import struct
import threading
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from attrs import field, frozen

from .._closing import Closing

__all__ = ["Fault", "LoopbackServer", "Reply", "Request", "replaced"]


@frozen(kw_only=True)
class Request:
    """What a stand-in was sent. Header names are lower case; `query` keeps repeats and order."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    #: Path and query as they came over the wire, still percent-encoded.
    target: str = ""

    def param(self, name: str, default: str | None = None) -> str | None:
        """The last query value of that name."""
        return dict(self.query).get(name, default)

    def json(self) -> Any:
        """The body as JSON. Raises ValueError where it is not."""
        return jsonlib.loads(self.body)

    def form(self) -> dict[str, str]:
        """The body as a form."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@frozen
class Reply:
    """What a stand-in answers: bytes and str go out as they are, None gives no body, anything else becomes JSON."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(factory=dict)

    def encoded(self) -> tuple[bytes, str | None]:
        """Body bytes and content type."""
        if self.body is None:
            return b"", None
        if isinstance(self.body, bytes):
            return self.body, "application/octet-stream"
        if isinstance(self.body, str):
            return self.body.encode(), "text/html; charset=utf-8"
        return jsonlib.dumps(self.body).encode(), "application/json"


@frozen(kw_only=True)
class Fault:
    """One misbehaviour. `carried_out`: whether the request takes effect before the answer goes wrong."""

    kind: str
    reply: Reply | None = None
    carried_out: bool = False
    #: Which requests it applies to; None means any.
    when: Callable[[Request], bool] | None = None
    #: What is done to a JSON answer.
    change: Callable[[Any], Any] | None = None

    @classmethod
    def status(cls, status: int, body: Any = None, headers: Mapping[str, str] | None = None, **kw: Any) -> "Fault":
        """Answer this instead of carrying the request out."""
        return cls(kind="reply", reply=Reply(status, body, headers or {}), **kw)

    @classmethod
    def html(cls, status: int = 502, **kw: Any) -> "Fault":
        """The HTML page of a web server or firewall in front."""
        page = "<!DOCTYPE html><html><head><title>Bad gateway</title></head><body>upstream</body></html>"
        return cls(kind="reply", reply=Reply(status, page), **kw)

    @classmethod
    def reset(cls, **kw: Any) -> "Fault":
        """Cut the connection before anything is carried out."""
        return cls(kind="reset", **kw)

    @classmethod
    def commit_then_drop(cls, **kw: Any) -> "Fault":
        """Carry the request out and cut the connection instead of answering."""
        return cls(kind="reset", carried_out=True, **kw)

    @classmethod
    def commit_then_status(cls, status: int, body: Any = None, **kw: Any) -> "Fault":
        """Carry the request out and answer with an error all the same."""
        return cls(kind="reply", reply=Reply(status, body), carried_out=True, **kw)

    @classmethod
    def truncated(cls, **kw: Any) -> "Fault":
        """Carry the request out, announce the whole answer and send half of it."""
        return cls(kind="truncated", carried_out=True, **kw)

    @classmethod
    def shortened(cls, **kw: Any) -> "Fault":
        """Carry the request out, and leave the last entry of every list in the JSON answer out."""
        return cls.altered(_shortened, **kw)

    @classmethod
    def altered(cls, change: Callable[[Any], Any], **kw: Any) -> "Fault":
        """Carry the request out, and answer with what `change` makes of the JSON answer: see `replaced`."""
        return cls(kind="altered", carried_out=True, change=change, **kw)

    @classmethod
    def hang(cls, **kw: Any) -> "Fault":
        """Carry the request out and answer nothing until the server closes (use short client timeouts)."""
        return cls(kind="hang", carried_out=True, **kw)

    @classmethod
    def drip(cls, *, headers: bool = False, **kw: Any) -> "Fault":
        """Carry the request out and answer a byte at a time for ever, in the body or already in the headers."""
        return cls(kind="drip headers" if headers else "drip", carried_out=True, **kw)

    @classmethod
    def endless(cls, **kw: Any) -> "Fault":
        """Carry the request out and send a body that never ends, as fast as it is read."""
        return cls(kind="endless", carried_out=True, **kw)

    @classmethod
    def bomb(cls, size: int = 2_000_000_000, **kw: Any) -> "Fault":
        """Carry the request out and answer a small packed body that unpacks to `size` bytes."""
        return cls(
            kind="bomb", reply=Reply(200, _packed_spaces(size), {"Content-Encoding": "gzip"}), carried_out=True, **kw
        )


@cache
def _packed_spaces(size: int) -> bytes:
    """So many spaces as gzip, a thousandth of their size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    piece = b" " * 1_000_000
    return b"".join([*(packer.compress(piece) for _ in range(size // len(piece))), packer.flush()])


class LoopbackServer(Closing):
    """A stand-in on a free loopback port. Subclasses implement `handle`; requests are handled one at a time.

    Attributes:
        requests: everything that was asked, in order, faults included.
    """

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Request] = []
        self._faults: deque[Fault] = deque()
        self._standing: Fault | None = None
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.stand_in = self
        self._server.closing = self._closing
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    # -- for subclasses

    def handle(self, request: Request) -> Reply:
        """Answer one request. Runs under the server's lock."""
        return Reply(404, {"error": f"{request.method} {request.path} is not here"})

    # -- for tests

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, no slash at the end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail_next(self, *faults: Fault) -> None:
        """Queue faults: each applies once, to the next request it matches."""
        with self._lock:
            self._faults.extend(faults)

    def fail_always(self, fault: Fault) -> None:
        """Fail every request it matches until `clear_faults`."""
        with self._lock:
            self._standing = fault

    @property
    def has_faults(self) -> bool:
        """Whether a fault waits for a request, or stands."""
        return bool(self._faults) or self._standing is not None

    def clear_faults(self) -> None:
        """Behave again."""
        with self._lock:
            self._faults.clear()
            self._standing = None

    def count(self, method: str | None = None, path: str = "") -> int:
        """How many requests of that method came whose path begins with `path`."""
        with self._lock:
            return sum(1 for r in self.requests if method in (None, r.method) and r.path.startswith(path))

    def close(self) -> None:
        """Stop it and free the port."""
        if self._closing.is_set():
            return
        self._closing.set()
        with contextlib.suppress(OSError):
            self._server.wake()
        self._thread.join(5)
        self._server.server_close()

    # -- inside

    def _serve(self) -> None:
        while not self._closing.is_set():  # without a look at it every so often: a test may have a dozen stand-ins
            self._server.handle_request()

    def _next_fault(self, request: Request) -> Fault | None:
        for fault in self._faults:
            if fault.when is None or fault.when(request):
                self._faults.remove(fault)
                return fault
        standing = self._standing
        return standing if standing and (standing.when is None or standing.when(request)) else None

    def answer(self, request: Request) -> tuple[Reply, Fault | None]:
        """What goes back, and how it goes wrong."""
        with self._lock:
            self.requests.append(request)
            fault = self._next_fault(request)
            if fault is not None and not fault.carried_out:
                return fault.reply or Reply(500), fault
            reply = self.handle(request)
            if fault is not None and fault.reply is not None:
                reply = fault.reply
            if fault is not None and fault.change is not None and isinstance(reply.body, dict | list):
                body = jsonlib.dumps(fault.change(reply.body)).encode()
                reply = Reply(reply.status, body, {"Content-Type": "application/json", **reply.headers})
            return reply, fault


def replaced(path: Sequence[str | int], by: Any) -> Callable[[Any], Any]:
    """A change of JSON: another value in that place, such as `("data", 0, "id")`."""

    def change(value: Any) -> Any:
        if not path:
            return by
        copy = value.copy()
        copy[path[0]] = replaced(path[1:], by)(value[path[0]]) if path[1:] else by
        return copy

    return change


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shortened(inner) for name, inner in value.items()}
    return [_shortened(inner) for inner in value[:-1]] if isinstance(value, list) else value


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    stand_in: LoopbackServer
    closing: threading.Event

    def wake(self) -> None:
        """A call for the thread that waits for one: it looks whether it is to end."""
        socket.create_connection(("127.0.0.1", self.server_port), 5).close()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Nobody is answered by one that closes."""
        return not self.closing.is_set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's word
        """Nothing: requests are kept, not printed."""

    def serve(self) -> None:
        """Read the request, ask the stand-in, answer as it or a fault says."""
        reply, fault = self.server.stand_in.answer(self._read())
        kind = fault.kind if fault else "reply"
        if kind == "hang":
            self.server.closing.wait()
        if kind in ("drip", "drip headers", "endless"):
            self._send_for_ever(kind)
        if kind in ("reset", "hang", "drip", "drip headers", "endless"):
            self._cut()
            return
        body, content_type = reply.encoded()
        headers = dict(reply.headers)
        if content_type and "content-type" not in {k.lower() for k in headers}:
            headers["Content-Type"] = content_type
        if reply.status != 204:
            headers["Content-Length"] = str(len(body))
        self.send_response(reply.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD" or reply.status == 204:
            return
        self.wfile.write(body[: len(body) // 2] if kind == "truncated" else body)
        if kind == "truncated":
            self.wfile.flush()
            self._cut()

    def _send_for_ever(self, kind: str) -> None:
        """Until the client has had enough."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if kind == "drip headers":
            self.flush_headers()
            self.wfile.write(b"X-Slow: ")
        else:
            self.send_header(*(("Connection", "close") if kind == "endless" else ("Content-Length", "9999")))
            self.end_headers()
        piece, pause = (b" " * 65536, 0.0) if kind == "endless" else (b" ", 0.02)
        with contextlib.suppress(OSError):
            while not self.server.closing.wait(pause):
                self.wfile.write(piece)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = serve  # noqa: N815  the base class's

    def _read(self) -> Request:
        length = int(self.headers.get("content-length") or 0)
        parts = urlsplit(self.path)
        return Request(
            method=self.command,
            path=parts.path,
            query=tuple(parse_qsl(parts.query, keep_blank_values=True)),
            headers={k.lower(): v for k, v in self.headers.items()},
            body=self.rfile.read(length) if length else b"",
            target=self.path,
        )

    def _cut(self) -> None:
        self.close_connection = True
        # An RST instead of an orderly end: what a crashed peer looks like.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client went away
            super().handle()

    def finish(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().finish()
