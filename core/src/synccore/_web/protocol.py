"""Connections at the door: who does not finish a request in time is shut out, and who waits longest gives way."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["CONNECTIONS", "BoundedProtocol"]

#: Seconds for a request's headers, from the first moment of the connection or the end of the last answer, and for its
#: body. A vendor's webhook is here within a second.
HEADERS, BODY = 10.0, 30.0
#: Connections at a time; beyond this the one that has waited longest for its headers is closed.
CONNECTIONS = 400


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 whose every half-sent request ends: uvicorn bounds what is idle between two requests only."""

    _guard: asyncio.TimerHandle | None = None
    _waits_for: Any = None
    _since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A new connection: its headers are due."""
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > CONNECTIONS:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Some more of a request."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """The answer is out: the next request's headers are due."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of it."""
        if self._guard is not None:
            self._guard.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        state = self.conn.their_state
        if state is self._waits_for:
            return
        if self._guard is not None:
            self._guard.cancel()
        self._waits_for, self._since = state, self.loop.time()
        seconds = {h11.IDLE: HEADERS, h11.SEND_BODY: BODY}.get(state)
        self._guard = self.loop.call_later(seconds, self._shut) if seconds is not None else None

    def _make_room(self) -> None:
        waiting = [c for c in self.connections if isinstance(c, BoundedProtocol) and c._waits_for is h11.IDLE]  # noqa: SLF001  its own kind
        if waiting:
            min(waiting, key=lambda c: c._since)._shut()  # noqa: SLF001  its own kind

    def _shut(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()
