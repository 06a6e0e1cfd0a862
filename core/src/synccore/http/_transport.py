"""What lies under a call: sockets that know when it has to be over, bodies that know how large they may be."""

import http.cookiejar
import socket
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Any

import httpcore
import httpx

from .._redact import redact
from ._room import ROOM
from ._time import time_left

__all__ = ["TooLarge", "Unread", "bound", "no_cookies", "read_body"]

#: A body is sent in pieces of this size, with a look at the time before each.
_PIECE = 65_536
#: Connecting takes at most this long, whatever the call may take.
_CONNECT = 10.0


class TooLarge(Exception):
    """An answer is longer than may be held, as it came or unpacked."""


def bound(client: httpx.Client) -> None:
    """Let every socket of a client end its work when the time of the call it serves is over.

    httpx counts each read anew, so that a byte a second would hold a call for ever; the pools below it take a network
    backend, and httpx hands none through.
    """
    transports = [client._transport, *client._mounts.values()]  # noqa: SLF001  see above
    for transport in transports:
        if isinstance(transport, httpx.HTTPTransport):
            pool: Any = transport._pool  # noqa: SLF001  see above
            pool._network_backend = _Backend(httpcore.SyncBackend())  # noqa: SLF001  see above


def no_cookies() -> http.cookiejar.CookieJar:
    """A jar that stays empty: nobody may fill our memory, or follow a connection through accounts."""
    return http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))


class Unread(httpx.Cookies):
    """Looks for no cookie in an answer, which takes httpx a fifth of a request, to throw it away."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Leave them where they are."""


def _left(timeout: float | None) -> float:
    """Seconds the next step may take; never zero, which sockets take for "do not wait at all"."""
    left = time_left()
    seconds = [s for s in (timeout, left.total_seconds() if left is not None else None) if s is not None]
    return max(min(seconds, default=60.0), 0.001)


def _in_time(late: type[Exception]) -> None:
    left = time_left()
    if left is not None and not left:
        raise late


class _Stream(httpcore.NetworkStream):
    """A connection whose every step ends in time."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        _in_time(httpcore.ReadTimeout)
        return self._inner.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            _in_time(httpcore.WriteTimeout)
            self._inner.write(buffer[start : start + _PIECE], _left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        _in_time(httpcore.ConnectTimeout)
        seconds = _left(timeout)
        # A handshake is many reads, each with the whole time: from outside its end can be forced.
        plain = self._inner.get_extra_info("socket")
        guard = threading.Timer(seconds, _shut, (plain,))
        guard.daemon = True
        guard.start()
        try:
            return _Stream(self._inner.start_tls(ssl_context, server_hostname, seconds))
        finally:
            guard.cancel()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it ended by itself at this very moment


class _Backend(httpcore.NetworkBackend):
    """Opens connections in time."""

    def __init__(self, inner: httpcore.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        _in_time(httpcore.ConnectTimeout)
        seconds = min(_left(timeout), _CONNECT)
        return _Stream(self._inner.connect_tcp(host, port, seconds, local_address, socket_options))

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


# -- bodies ------------------------------------------------------------------------------------------------------------


def read_body(answer: httpx.Response, most: int, into: IO[bytes] | None = None) -> bytes:
    """An answer's body, unpacked; empty where it was written `into` a file.

    Raises TooLarge once it is known, without reading or unpacking the rest.
    """
    announced = answer.headers.get("content-length", "")
    if announced.isdecimal() and len(announced) < 20 and int(announced) > most:
        raise TooLarge
    coding = answer.headers.get("content-encoding", "identity").strip().lower()
    pieces = answer.iter_raw(_PIECE)
    if coding not in ("", "identity"):
        pieces = _unpacked(pieces, coding)
    if into is not None:
        _write(pieces, most, into)
        return b""
    body = bytearray()
    with ROOM.seat() as grow:
        for piece in pieces:
            if len(body) + len(piece) > most:
                raise TooLarge
            grow(len(body) + len(piece))
            body += piece
        return bytes(body)


def _write(pieces: Iterable[bytes], most: int, into: IO[bytes]) -> None:
    into.seek(0)
    into.truncate()
    for piece in pieces:
        if into.tell() + len(piece) > most:
            raise TooLarge
        into.write(piece)
    into.seek(0)


def _unpacked(pieces: Iterable[bytes], coding: str) -> Iterator[bytes]:
    """gzip and deflate, never more than a piece beyond what may be held."""
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise httpx.DecodingError(f"the answer is packed as {redact(coding, 40)}, which was not asked for")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    first = True
    for piece in pieces:
        data = piece
        while data:
            try:
                yield unpacker.decompress(data, _PIECE)
            except zlib.error as error:
                if not (first and coding == "deflate"):
                    raise httpx.DecodingError("the answer cannot be unpacked") from error
                unpacker = zlib.decompressobj(-zlib.MAX_WBITS)  # some servers leave out the wrapper
                first = False
                continue
            first = False
            data = unpacker.unconsumed_tail
            if unpacker.eof:
                break
    yield unpacker.flush(_PIECE)
    if not unpacker.eof and not first:
        raise httpx.DecodingError("the answer's packing ends in the middle")
