"""The client."""

import json as jsonlib
import sys
import threading
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from .._closing import Closing
from ..errors import ConfigError, RateLimited, redact
from ..types import Context
from ..values import encodable
from ._answer import Response
from ._time import time_left, time_limit

if TYPE_CHECKING:
    import ssl

    from ._wire import Wire

__all__ = ["LARGEST", "Client", "prepare"]

DEFAULT_TIMEOUT = timedelta(seconds=30)
#: Bytes of an answer, unpacked. A hundred orders with all that plugins add to them are a few millions; what is larger
#: by nature (the results of a bulk job) is asked for with a `largest` of its own.
LARGEST = 8_000_000


def prepare() -> None:
    """Load what the first request of a process needs: a tenth of a second that somebody waits for otherwise."""
    _library().prepare()


def _library() -> "type[Wire]":
    # httpx brings a command line where rich is installed: 5 MB and a third of its import, left out here.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    from ._wire import Wire

    return Wire


class Client(Closing):
    """A connection pool to one host. Safe to share between threads.

    Args:
        context: the instance's context; every call is counted there.
        base_url: joined with relative paths.
        headers: sent with every request; a header given to `request` wins.
        auth: user and password for HTTP Basic.
        timeout: how long a call may take in all, from the first packet to the last byte of the answer.
        largest: bytes an answer may have, unpacked.
        ca_file: PEM file with an additional authority to trust.
    """

    def __init__(
        self,
        context: Context,
        base_url: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: timedelta = DEFAULT_TIMEOUT,
        largest: int = LARGEST,
        ca_file: Path | None = None,
    ) -> None:
        self._context = context
        self._timeout = timeout
        self._largest = largest
        self._base_url = _base(base_url)
        self._headers = {
            "User-Agent": "synccore/0.1",
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            **(headers or {}),
        }
        self._auth = auth
        self._verify = _trusting(ca_file) if ca_file else None
        self._opening = threading.Lock()
        self._opened: Wire | None = None

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        content: bytes | str | IO[bytes] | None = None,
        timeout: timedelta | None = None,
        largest: int | None = None,
        into: IO[bytes] | None = None,
    ) -> Response:
        """Send one request and read the whole answer, whatever its status.

        The whole call ends within `timeout`, and within what `time_limit` leaves around it. Texts that cannot be
        encoded (half an emoji) are mended before they are sent.

        What is too large for memory goes from a file (`content`, sent from its beginning) or into one (`into`: the body
        of a success, from its beginning, in place of `Response.body`).

        Raises:
            Transient: nothing was sent, or (maybe_applied=True) the answer was lost, late or too large.
            RateLimited: the time for the work under way is used up; nothing was sent, and the record waits unharmed.
            ConfigError: the address cannot be used, or the certificate is not trusted.
            Rejected: no address can be made of the record's data.
        """
        limit = _within_the_step(timeout or self._timeout)
        if json is not None:
            headers = {"Content-Type": "application/json", **(headers or {})}
            content = _as_json(json)
        if content is not None and not isinstance(content, bytes | str):
            content.flush()
            content.seek(0)
        self._context.count_call()
        with time_limit(limit):
            return self._wire().send(
                method,
                encodable(url),
                params=_encodable_pairs(params),
                headers=headers,
                data=None if form is None else dict(_encodable_pairs(form) or ()),
                content=encodable(content) if isinstance(content, str) else content,
                largest=largest or self._largest,
                into=into,
                seconds=limit.total_seconds(),
            )

    def _wire(self) -> "Wire":
        with self._opening:
            if self._opened is None:
                wire = _library()
                self._opened = wire(self._base_url, headers=self._headers, auth=self._auth, verify=self._verify)
            return self._opened

    def get(self, url: str, **options: Any) -> Response:
        """`request("GET", ...)`."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> Response:
        """`request("POST", ...)`."""
        return self.request("POST", url, **options)

    def close(self) -> None:
        """Close the pool."""
        if self._opened is not None:
            self._opened.close()


#: Times, data classes and kinds of text and number, which orjson would write in a form of its own, are left to the
#: standard library.
_STRICT = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS


def _as_json(value: Any) -> bytes | str:
    """A body; by orjson, where that is sure to say the same as the standard library."""
    try:
        text = orjson.dumps(value, option=_STRICT)
    except TypeError:  # halves of characters, large numbers, keys that are no text
        text = b"null"
    # A number that is none (NaN) becomes null: it would empty a field, where the target is to refuse it.
    return jsonlib.dumps(value, ensure_ascii=False, separators=(",", ":")) if b"null" in text else text


def _base(url: str) -> str:
    """Raises ConfigError where no host can be asked under it."""
    try:
        port = urlsplit(url).port
        if port == 0:
            raise ValueError("there is no port 0")
    except ValueError as error:
        raise ConfigError(f"the address {redact(url, 100)} cannot be used: {error}") from error
    return url


def _within_the_step(timeout: timedelta) -> timedelta:
    """How long a call may take. Raises RateLimited where the time for the work under way is used up."""
    left = time_left()
    if left is not None and not left:
        raise RateLimited(
            "the time for one delivery was over before this was sent: it goes with the next",
            retry_after=timedelta(seconds=1),
            scope="operation",
        )
    return timeout if left is None else min(timeout, left)


def _trusting(ca_file: Path) -> "ssl.SSLContext":
    import ssl  # a hundredth of a second, and most who open a client only look

    try:
        context = ssl.create_default_context()
        context.load_verify_locations(ca_file)
    except (OSError, ValueError, ssl.SSLError) as error:
        raise ConfigError(f"ca_file {ca_file} cannot be used: {error}") from error
    return context


def _encodable_pairs(
    pairs: Mapping[str, Any] | Iterable[tuple[str, Any]] | None,
) -> list[tuple[str, Any]] | None:
    if pairs is None:
        return None
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    return [(encodable(k), encodable(v) if isinstance(v, str) else v) for k, v in items]
