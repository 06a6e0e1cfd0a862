"""What every answer carries, and who may ask: security headers, own names only."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .._delivery.policy import where
from ..types import Log
from .visitor import forwarded

__all__ = ["LOOPBACK_NAMES", "Guard", "host_name"]

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
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

    def __init__(self, app: ASGIApp, *, log: Log, hosts: frozenset[str], open_house: bool, public: bool) -> None:
        self._app = app
        self._log = log
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
            self._log.warning("page failed", path=scope["path"], reason=type(error).__name__, where=where(error))
            if not begun:
                text = "Something went wrong; see the log of synccore."
                await PlainTextResponse(text, 500)(scope, receive, send_guarded)

    def _problem(self, scope: Scope) -> str | None:
        if scope["path"].startswith(_OPEN):
            return None
        asked = HTTPConnection(scope)
        headers = asked.headers
        if self._hosts and host_name(headers.get("host", "")) not in self._hosts:
            return "This address is not the dashboard's. Open it by the address in [server] listen or public_url."
        if self._open_house and (self._public or forwarded(asked)):
            return "Others can reach this address, through a proxy: set [server] dashboard_password first."
        return None


def host_name(host: str) -> str:
    """The host name of a Host header, without port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
