"""The shop's REST API: authentication, errors, pages. It knows HTTP and nothing of changes.

Over https the keys go as HTTP Basic. Over plain http, and where a proxy ends TLS without telling PHP, WooCommerce
ignores Basic without a word and only OAuth 1.0a works; the client finds out by itself. The address that is signed is
the one the shop is configured with, not the one that was dialled, so it is asked for once.
"""

import base64
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen

from synccore.errors import SynccoreError, Transient
from synccore.http import Client, Response
from synccore.types import Context

from .config import Config
from .errors import NoApi, failure, not_seen
from .signing import signed

__all__ = ["BATCH", "PER_PAGE", "Listing", "Record", "Shop"]

Record = Mapping[str, Any]
Params = Mapping[str, Any]
Keys = Callable[[], tuple[str, str]]

#: The most WooCommerce gives on a page, and takes in one batch; one more is 400 and 413.
PER_PAGE = 100
BATCH = 100
#: A PHP host may take half a minute for a page of orders.
_TIMEOUT = timedelta(seconds=60)
_TRIES = 3


@frozen(kw_only=True)
class Listing:
    """One page of a list, and how many rows the whole list has (None where the shop does not say)."""

    rows: Sequence[dict[str, Any]]
    total: int | None


class Shop:
    """One shop's REST API. Safe to share between threads.

    Args:
        keys: gives consumer key and secret; called for each request, so that keys may arrive late.
    """

    def __init__(self, config: Config, context: Context, keys: Keys) -> None:
        self.url = config.url.rstrip("/")
        self._keys = keys
        self._context = context
        self._http = Client(context, self.url + "/", timeout=_TIMEOUT, ca_file=config.ca_file)
        self._slots = threading.BoundedSemaphore(config.concurrency)
        self._plain = urlsplit(self.url).scheme == "http"
        self._sign: bool | None = True if self._plain else None
        self._home: str | None = None

    # -- reading

    def index(self) -> Record:
        """What the shop says of itself to anybody: name, home, time zone, namespaces. Needs no keys.

        Raises as `get` does; `ConfigError` where the address leads to no WordPress.
        """
        answer = self._send("GET", "wp-json/", {"_fields": "name,url,home,gmt_offset,timezone_string,namespaces"})
        if answer.status == 404 and not isinstance(answer.json_or_none(), dict):
            raise NoApi(self.url)
        body = self._read(answer)
        if not isinstance(body, dict):
            raise Transient("the shop's index is not what WordPress gives")
        self._home = str(body.get("home") or self.url).rstrip("/")
        return body

    def get(self, path: str, params: Params | None = None) -> Any:
        """Read one thing below `wp-json/`. Tries three times before it gives up.

        Raises:
            AuthError, Forbidden: the keys do not do.
            Gone, NoRoute: there is no such record, or no such address.
            Transient, RateLimited: not now.
            ConfigError: the address is not the shop's.
        """
        return self._retrying(path, params)[1]

    def list(self, path: str, params: Params) -> Listing:
        """One page of a list. Raises as `get`."""
        answer, rows = self._retrying(path, params)
        if not isinstance(rows, list):
            raise Transient("the shop gave something else than a list")
        total = answer.headers.get("x-wp-total", "")
        return Listing(rows=rows, total=int(total) if total.isdecimal() else None)

    def count(self, path: str, params: Params | None = None) -> int:
        """How many rows a list has, without reading one. Raises as `get`."""
        answer = self._send("HEAD", f"wp-json/{path}", {**(params or {}), "per_page": "1"})
        if not answer.ok:
            # A HEAD has no body to say why; ask again for the words.
            return self.list(path, {**(params or {}), "per_page": "1"}).total or 0
        total = answer.headers.get("x-wp-total", "")
        return int(total) if total.isdecimal() else 0

    # -- writing

    def post(self, path: str, body: Any) -> Any:
        """Create something, or carry out a batch. Never tried twice. Raises as `get`, and Rejected."""
        return self._read(self._send("POST", f"wp-json/{path}", {}, json=body))

    def put(self, path: str, body: Any) -> Any:
        """Change something. Raises as `post`."""
        return self._read(self._send("PUT", f"wp-json/{path}", {}, json=body))

    def delete(self, path: str) -> Any:
        """Delete for good. Raises as `post`."""
        return self._read(self._send("DELETE", f"wp-json/{path}", {"force": "true"}))

    def probe(self, path: str, params: Params | None = None) -> Response:
        """A bare request without keys, for finding out what is wrong with an address."""
        return self._http.get(path, params=_pairs(params or {}))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # -- inside

    def _retrying(self, path: str, params: Params | None) -> tuple[Response, Any]:
        """A GET, again after a moment where the host had a hiccup or mixed a page of its own into the answer."""
        attempt = 1
        while True:
            try:
                answer = self._send("GET", f"wp-json/{path}", params or {})
                return answer, self._read(answer)
            except Transient:
                if attempt == _TRIES or self._context.stopping():
                    raise
            self._context.clock.sleep(timedelta(seconds=2 ** (attempt - 1) * self._context.random.uniform(0.5, 1.0)))
            attempt += 1

    def _send(self, method: str, path: str, params: Params, json: Any = None) -> Response:
        pairs = _pairs(params)
        with self._slots:
            if path == "wp-json/":
                return self._http.request(method, path, params=pairs)
            if self._sign:
                return self._send_signed(method, path, pairs, json)
            answer = self._http.request(method, path, params=pairs, headers=self._basic(), json=json)
            if self._sign is None and not_seen(answer):
                # The keys may be wrong, or PHP may not know that this is https and look for a signature instead.
                signed_answer = self._send_signed(method, path, pairs, json)
                if not_seen(signed_answer):
                    return answer
                self._sign, answer = True, signed_answer
            elif answer.ok:
                self._sign = False
            return answer

    def _basic(self) -> dict[str, str]:
        key, secret = self._keys()
        return {"Authorization": "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode()}

    def _send_signed(self, method: str, path: str, pairs: Iterable[tuple[str, str]], json: Any) -> Response:
        key, secret = self._keys()
        params = signed(
            method,
            f"{self._signing_home()}/{path}",
            pairs,
            key=key,
            secret=secret,
            timestamp=int(self._context.clock.now().timestamp()),
            # Not from the context: repeatable numbers would be refused as used.
            nonce=secrets.token_hex(16),
        )
        return self._http.request(method, path, params=params, json=json)

    def _signing_home(self) -> str:
        if self._home is None:
            answer = self._http.get("wp-json/", params={"_fields": "home"})
            if answer.status >= 500 or answer.status == 429:
                raise self._failure(answer)
            body = answer.json_or_none()
            home = body.get("home") if answer.ok and isinstance(body, dict) else None
            if not home:
                return self.url
            self._home = str(home).rstrip("/")
        return self._home

    def _read(self, answer: Response) -> Any:
        if answer.ok:
            return answer.json()
        raise self._failure(answer)

    def _failure(self, answer: Response) -> SynccoreError:
        return failure(answer, self._context.clock.now(), signed=bool(self._sign))


def _pairs(params: Params) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in params.items() if value is not None]
