"""The client."""

import json as jsonlib
import ssl
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from .._closing import Closing
from ..errors import ConfigError, RateLimited, Rejected, Transient, redact
from ..types import Context
from ..values import encodable
from ._answer import Response
from ._time import time_left, time_limit
from ._transport import TooLarge, bound, no_cookies, read_body

__all__ = ["LARGEST", "Client"]

DEFAULT_TIMEOUT = timedelta(seconds=30)
#: Bytes of an answer, unpacked. A hundred orders with all that plugins add to them are a few millions; what is larger
#: by nature (the results of a bulk job) is asked for with a `largest` of its own.
LARGEST = 8_000_000


@cache
def _trusted() -> ssl.SSLContext:
    """The authorities that httpx trusts, read once: that takes longer than all else there is to opening a client."""
    return httpx.create_ssl_context()


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
        verify = _trusted()
        if ca_file is not None:
            try:
                verify = ssl.create_default_context()
                verify.load_verify_locations(ca_file)
            except (OSError, ValueError, ssl.SSLError) as error:
                raise ConfigError(f"ca_file {ca_file} cannot be used: {error}") from error
        self._http = httpx.Client(
            base_url=_base(base_url),
            headers={
                "User-Agent": "synccore/0.1",
                "Accept": "application/json",
                "Accept-Encoding": "gzip, deflate",
                **(headers or {}),
            },
            auth=auth,
            cookies=no_cookies(),
            verify=verify,
            follow_redirects=False,
            trust_env=True,
        )
        bound(self._http)

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        content: bytes | str | None = None,
        timeout: timedelta | None = None,
        largest: int | None = None,
    ) -> Response:
        """Send one request and read the whole answer, whatever its status.

        The whole call ends within `timeout`, and within what `time_limit` leaves around it. Texts that cannot be
        encoded (half an emoji) are mended before they are sent.

        Raises:
            Transient: nothing was sent, or (maybe_applied=True) the answer was lost, late or too large.
            RateLimited: the time for the work under way is used up; nothing was sent, and the record waits unharmed.
            ConfigError: the address cannot be used, or the certificate is not trusted.
            Rejected: no address can be made of the record's data.
        """
        left = time_left()
        if left is not None and not left:
            raise RateLimited(
                "the time for one delivery was over before this was sent: it goes with the next",
                retry_after=timedelta(seconds=1),
                scope="operation",
            )
        if json is not None:
            headers = {"Content-Type": "application/json", **(headers or {})}
            content = jsonlib.dumps(json, ensure_ascii=False, separators=(",", ":"))
        seconds = (timeout or self._timeout).total_seconds()
        self._context.count_call()
        try:
            request = self._http.build_request(
                method,
                encodable(url),
                params=_encodable_pairs(params),
                headers=headers,
                data=None if form is None else dict(_encodable_pairs(form) or ()),
                content=encodable(content) if isinstance(content, str) else content,
                timeout=seconds,
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise self._unaddressed(url, error) from error
        with time_limit(timedelta(seconds=seconds)):
            return self._sent(request, largest or self._largest, seconds)

    def _sent(self, request: httpx.Request, largest: int, seconds: float) -> Response:
        host = request.url.host
        try:
            answer = self._http.send(request, stream=True)
            try:
                body = read_body(answer, largest)
            finally:
                answer.close()
        except httpx.UnsupportedProtocol as error:
            raise ConfigError(f"the address {redact(str(request.url))} cannot be used: {error}") from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _unsent(error, host) from error
        except httpx.LocalProtocolError as error:
            raise Transient(f"the request to {host} could not be written: {redact(str(error))}") from error
        except TooLarge:
            text = f"the answer of {host} is larger than {largest // 1_000_000} MB"
            raise Transient(text, maybe_applied=True) from None
        except httpx.TimeoutException as error:
            text = f"no whole answer from {host} within {seconds:g} s: {type(error).__name__}"
            raise Transient(text, maybe_applied=True) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise Transient(f"no answer from {host}: {type(error).__name__}", maybe_applied=True) from error
        return Response(
            status=answer.status_code,
            headers={k.lower(): v for k, v in answer.headers.items()},
            body=body,
            url=str(answer.url),
        )

    def _unaddressed(self, url: str, error: Exception) -> ConfigError | Rejected:
        """An address from the configuration is its mistake, one made of a record's data the record's."""
        if "://" in url[:20] or not self._http.base_url.host:
            return ConfigError(f"the address {redact(url)} cannot be used: {redact(str(error))}")
        return Rejected(f"no request can be made of the record's data: {redact(str(error))}")

    def get(self, url: str, **options: Any) -> Response:
        """`request("GET", ...)`."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> Response:
        """`request("POST", ...)`."""
        return self.request("POST", url, **options)

    def close(self) -> None:
        """Close the pool."""
        self._http.close()


def _base(url: str) -> httpx.URL:
    """Raises ConfigError where no host can be asked under it."""
    try:
        found = httpx.URL(url)
        if url and not 0 < (found.port or 80) < 65536:
            raise ValueError(f"there is no port {found.port}")
    except (httpx.InvalidURL, ValueError) as error:
        raise ConfigError(f"the address {redact(url, 100)} cannot be used: {error}") from error
    return found


def _unsent(error: httpx.TransportError, host: str) -> Transient | ConfigError:
    if isinstance(error.__cause__ and error.__cause__.__cause__, ssl.SSLCertVerificationError) or (
        "CERTIFICATE_VERIFY_FAILED" in str(error)
    ):
        return ConfigError(f"the certificate of {host} is not trusted: set ca_file to its authority's PEM file")
    return Transient(f"cannot reach {host}: {type(error).__name__}", sent=False)


def _encodable_pairs(
    pairs: Mapping[str, Any] | Iterable[tuple[str, Any]] | None,
) -> list[tuple[str, Any]] | None:
    if pairs is None:
        return None
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    return [(encodable(k), encodable(v) if isinstance(v, str) else v) for k, v in items]
