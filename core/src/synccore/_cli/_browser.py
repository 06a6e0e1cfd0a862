"""The two ways `connect` reaches a person's browser: opened here and called back, or pasted both ways."""

import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from time import monotonic
from urllib.parse import parse_qsl, urlsplit

import click

from ..errors import AuthError, ConfigError

__all__ = ["LoopbackBrowser", "PasteBrowser"]

#: How long a person may take over the consent screen.
PATIENCE_SECONDS = 300
_PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>synccore</title>
<p>That is all: this page can be closed, the terminal goes on.</p></html>"""


class LoopbackBrowser:
    """Opens the browser of this machine and waits on a loopback port for it to come back."""

    def __init__(self, open_url: Callable[[str], bool] | None = None, patience: float = PATIENCE_SECONDS) -> None:
        self._open_url = open_url
        self._patience = patience

    def authorize(
        self, build_url: Callable[[str], str], *, host: str = "127.0.0.1", port: int = 0, path: str = "/"
    ) -> tuple[str, Mapping[str, str]]:
        """See `synccore.oauth.Browser`."""
        came: list[Mapping[str, str]] = []
        try:
            server = HTTPServer((host, port), _handler(path, came))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}:{port} for the browser: {error.strerror or error}. Stop what uses the port, "
                "or add --no-browser"
            ) from error
        with server:
            redirect_uri = f"http://{host}:{server.server_port}{path}"
            # Beside the wait: a browser in the terminal (BROWSER=w3m) runs until it was answered.
            threading.Thread(target=self._send, args=(build_url(redirect_uri),), daemon=True).start()
            deadline = monotonic() + self._patience
            while not came:
                server.timeout = deadline - monotonic()
                if server.timeout <= 0:
                    raise AuthError("nobody came back from the browser: run connect again, or add --no-browser")
                server.handle_request()
        return redirect_uri, came[0]

    def _send(self, url: str) -> None:
        import webbrowser

        try:
            opened = (self._open_url or webbrowser.open)(url)
        except Exception:  # noqa: BLE001  BROWSER can hold anything; the address alone is enough to go on
            opened = False
        if not opened:
            self.say("No browser could be opened here. Open this address on this machine, or use --no-browser:")
        else:
            self.say("Go on in the browser. If it did not open, use this address:")
        self.say(url)

    def say(self, text: str) -> None:
        """On stderr."""
        click.echo(text, err=True)


def _handler(path: str, came: list[Mapping[str, str]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            # Browsers ask for an icon as well; only the address with an answer counts.
            expected = parts.path == path and bool({"code", "error", "state"} & query.keys())
            self.send_response(200 if expected else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(_PAGE if expected else b"")
            if expected:
                came.append(query)

        def log_message(self, *_: object) -> None:
            """Nothing: the address holds the code."""

    return Handler


class PasteBrowser:
    """For servers without a browser: the address goes out on stdout, the one it landed on comes in on stdin.

    `quiet` keeps stdout for something else: the address goes to stderr then.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet

    def authorize(
        self, build_url: Callable[[str], str], *, host: str = "127.0.0.1", port: int = 0, path: str = "/"
    ) -> tuple[str, Mapping[str, str]]:
        """See `synccore.oauth.Browser`. Nothing needs to listen: the page it lands on cannot load, and need not."""
        redirect_uri = f"http://{host}:{port or _free_port(host)}{path}"
        self.say("Open this address in a browser on any machine:")
        click.echo(build_url(redirect_uri), err=self._quiet)
        sys.stdout.flush()
        self.say("It ends on a page that cannot load. Paste the whole address of that page here:")
        pasted = sys.stdin.readline().strip().strip("<>\"'")
        if not pasted:
            raise AuthError("no address came back: run connect again and paste the address the browser landed on")
        parts = urlsplit(pasted)
        params = dict(parse_qsl(parts.query, keep_blank_values=True))
        if not params:
            raise AuthError(f"this is not the address the browser landed on: it begins with {redirect_uri}?")
        return redirect_uri, params

    def say(self, text: str) -> None:
        """On stderr: stdout has the address alone."""
        click.echo(text, err=True)


def _free_port(host: str) -> int:
    import socket

    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
