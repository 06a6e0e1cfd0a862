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
from urllib.parse import urljoin, urlsplit

from attrs import frozen

from synccore.errors import SynccoreError, Transient
from synccore.http import Client as Http
from synccore.http import Response, parse_json
from synccore.types import Context

from .config import Config
from .errors import NoApi, error_of, not_json, not_seen, printed_before
from .php import key, listed, rows
from .signing import signed

__all__ = ["BATCH", "OLDEST", "PER_PAGE", "QUERY_LOST", "Client", "Listing", "Record"]

Record = Mapping[str, Any]
Params = Mapping[str, Any]
Keys = Callable[[], tuple[str, str]]

#: The most WooCommerce gives on a page, and takes in one batch; one more is 400 and 413.
PER_PAGE = 100
BATCH = 100
#: A PHP host may take half a minute for a page of orders.
#: Since then lists can be asked for what changed (`modified_after`); 4.4 brought the order by it.
OLDEST = "WooCommerce 5.8"
#: Why a list may be another than the one that was asked for.
QUERY_LOST = "is there a cache or a firewall in front of the shop that drops or ignores the query?"
_TIMEOUT = timedelta(seconds=60)
#: Bytes: a hundred orders of a hundred lines each, with all that plugins hang on them.
_LARGEST = 32_000_000
_TRIES = 3


@frozen(kw_only=True)
class Listing:
    """One page of a list, and how many rows the whole list has (None where the shop does not say).

    `rows` holds whatever the shop gave, also what is no record.
    """

    rows: Sequence[Any]
    total: int | None


class Client:
    """One shop's REST API. Safe to share between threads.

    Args:
        keys: gives consumer key and secret; called for each request, so that keys may arrive late.
    """

    def __init__(self, config: Config, context: Context, keys: Keys) -> None:
        self.url = config.url.rstrip("/")
        self._keys = keys
        self._context = context
        self._http = Http(context, self.url + "/", timeout=_TIMEOUT, largest=_LARGEST, ca_file=config.ca_file)
        self._slots = threading.BoundedSemaphore(config.concurrency)
        self._plain = urlsplit(self.url).scheme == "http"
        self._sign: bool | None = True if self._plain else None
        self._home: str | None = None
        #: What the shop wants at the end of each path: some redirect to the address with a slash.
        self._slash = ""

    # -- reading

    def index(self) -> Record:
        """What the shop says of itself to anybody: name, home, time zone, namespaces. Needs no keys.

        Raises as `get` does; `ConfigError` where the address leads to no WordPress.
        """
        answer = self._send("GET", "wp-json/", {"_fields": "name,url,home,gmt_offset,timezone_string,namespaces"})
        if (answer.ok or answer.status in (404, 405)) and not _is_wordpress(answer):
            if answer.ok and printed_before(answer):
                raise not_json(answer)
            raise NoApi(self.url, answer.structure())
        body: Record = self._read(answer)
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

    def page(self, path: str, params: Params) -> Listing:
        """One page of a list. Raises as `get`."""
        answer, rows = self._retrying(path, params)
        found = listed(rows)
        if found is None and rows != {}:
            raise Transient("the shop gave something else than a list", outage=False)
        return Listing(rows=found or [], total=_total(answer))

    def some(self, path: str, numbers: Sequence[str], params: Params) -> list[Record]:
        """The records of these numbers (at most a hundred) that there are, however few of them the shop gives at once.

        Raises as `get`; Transient where the shop gives others than it was asked for.
        """
        found: dict[str, Record] = {}
        missing = list(numbers)
        while missing:
            listing = self.page(path, {**params, "include": ",".join(missing), "per_page": PER_PAGE})
            came = {number: row for row in rows(listing.rows) if (number := key(row.get("id")))}
            if came.keys() - set(numbers):
                raise Transient(f"{path} gives other records than it was asked for: {QUERY_LOST}", outage=False)
            news = came.keys() - found.keys()
            found |= came
            if not news or listing.total == len(came):
                break
            missing = [number for number in numbers if number not in found]
        return list(found.values())

    def count(self, path: str, params: Params | None = None) -> int | None:
        """How many rows a list has, without reading one; None where the shop does not say. Raises as `get`."""
        answer = self._send("HEAD", f"wp-json/{path}", {**(params or {}), "per_page": "1"})
        if not answer.ok:
            # A HEAD has no body to say why; ask again for the words.
            return self.page(path, {**(params or {}), "per_page": "1"}).total
        return _total(answer)

    # -- writing

    def post(self, path: str, body: Any) -> Any:
        """Create something, or carry out a batch. Never tried twice. Raises as `get`, and Rejected."""
        return self._read(self._send("POST", f"wp-json/{path}", {}, json=body), wrote=True)

    def put(self, path: str, body: Any) -> Any:
        """Change something. Raises as `post`."""
        return self._read(self._send("PUT", f"wp-json/{path}", {}, json=body), wrote=True)

    def delete(self, path: str) -> Any:
        """Delete for good. Raises as `post`."""
        return self._read(self._send("DELETE", f"wp-json/{path}", {"force": "true"}), wrote=True)

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
            answer = self._dial(method, path + self._slash, pairs, json)
            if not self._slash and _adds_a_slash(answer):
                answer = self._dial(method, f"{path}/", pairs, json)
                if not 300 <= answer.status < 400:
                    self._slash = "/"
            return answer

    def _dial(self, method: str, path: str, pairs: list[tuple[str, str]], json: Any) -> Response:
        if path.rstrip("/") == "wp-json":
            return self._http.request(method, "wp-json/", params=pairs)
        if self._sign:
            return self._send_signed(method, path, pairs, json)
        answer = self._http.request(method, path, params=pairs, headers=self._basic(), json=json)
        if self._sign is None and not_seen(answer):
            # The keys may be wrong; or PHP may not know that this is https and look for a signature instead; or
            # another plugin may take every Authorization header for its own.
            signed_answer = self._send_signed(method, path, pairs, json)
            if not_seen(signed_answer):
                return answer
            self._sign = True if signed_answer.ok else None
            return signed_answer
        if answer.ok:
            self._sign = False
        return answer

    def _basic(self) -> dict[str, str]:
        name, secret = self._keys()
        return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}

    def _send_signed(self, method: str, path: str, pairs: Iterable[tuple[str, str]], json: Any) -> Response:
        name, secret = self._keys()
        params = signed(
            method,
            f"{self._signing_home()}/{path}",
            pairs,
            key=name,
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
                raise self._error(answer)
            body = answer.json_or_none()
            home = body.get("home") if answer.ok and isinstance(body, dict) else None
            if not home:
                return self.url
            self._home = str(home).rstrip("/")
        return self._home

    def _read(self, answer: Response, *, wrote: bool = False) -> Any:
        if not answer.ok:
            raise self._error(answer)
        try:
            return parse_json(answer.content)
        except ValueError:
            raise not_json(answer, wrote=wrote) from None

    def _error(self, answer: Response) -> SynccoreError:
        return error_of(answer, self._context.clock.now(), self.url, signed=bool(self._sign))


def _pairs(params: Params) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in params.items() if value is not None]


def _total(answer: Response) -> int | None:
    total = answer.headers.get("x-wp-total", "").strip()
    return int(total) if total.isascii() and total.isdigit() else None


def _is_wordpress(answer: Response) -> bool:
    """Whether an answer is what WordPress's REST API gives: an index, or an error with a code."""
    body = answer.json_or_none()
    return isinstance(body, dict) and ("namespaces" in body or "code" in body or "home" in body)


def _adds_a_slash(answer: Response) -> bool:
    """Whether this is a redirect to the very same address with a slash at its end."""
    if not 300 <= answer.status < 400:
        return False
    asked, target = urlsplit(answer.url), urlsplit(urljoin(answer.url, answer.headers.get("location", "")))
    same = (asked.scheme, asked.netloc) == (target.scheme, target.netloc)
    return same and not asked.path.endswith("/") and target.path == f"{asked.path}/"
