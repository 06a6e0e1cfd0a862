"""The library below the client: it is imported with the first request, since most commands send none."""

import ssl
import threading
from collections.abc import Iterable, Mapping
from functools import cache
from typing import IO, Any

import httpx

from .._closing import Closing
from ..errors import ConfigError, Rejected, Transient, redact
from ._address import Addresses
from ._answer import Response
from ._transport import TooLarge, Unread, bound, no_cookies, read_body

__all__ = ["Wire"]

_NOTHING = httpx.ByteStream(b"")
_READING = threading.Lock()


@cache
def _authorities() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _trusted() -> ssl.SSLContext:
    """The authorities that httpx trusts, read once: that takes longer than all else there is to opening a client."""
    with _READING:  # by one of the threads that open their connections at once
        return _authorities()


class _Late(ssl.SSLContext):
    """Trusts whom httpx trusts once something is encrypted, and nobody before: a plain target needs no authorities."""

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        _trusted().set_alpn_protocols(alpn_protocols)

    def wrap_socket(self, *arguments: Any, **named: Any) -> ssl.SSLSocket:
        return _trusted().wrap_socket(*arguments, **named)

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        return _trusted().wrap_bio(*arguments, **named)


_LATE = _Late(ssl.PROTOCOL_TLS_CLIENT)


class Wire(Closing):
    """The connections of one client. Raises ConfigError where no host can be asked under its address."""

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str],
        auth: tuple[str, str] | None,
        verify: ssl.SSLContext | None,
    ) -> None:
        try:
            self._http = httpx.Client(
                base_url=base_url,
                headers=dict(headers),
                auth=auth,
                cookies=no_cookies(),
                verify=verify or _LATE,
                follow_redirects=False,
                trust_env=True,
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise ConfigError(f"the address {redact(base_url, 100)} cannot be used: {error}") from error
        bound(self._http)
        self._http._cookies = Unread(no_cookies())  # noqa: SLF001  of one that is handed to it, it keeps a copy
        self._addresses = Addresses(self._http.base_url)

    @staticmethod
    def prepare() -> None:
        """Read what takes long, once for all."""
        _trusted()

    def send(
        self,
        method: str,
        url: str,
        *,
        params: list[tuple[str, Any]] | None,
        largest: int,
        seconds: float,
        into: IO[bytes] | None,
        **parts: Any,
    ) -> Response:
        """One request (`parts` as httpx names them) and its whole answer; raises what `Client.request` raises."""
        try:
            if (whole := self._addresses.of(url, params)) is not None:
                request = self._http.build_request(method, whole, timeout=seconds, **parts)
            else:
                request = self._http.build_request(method, url, params=params, timeout=seconds, **parts)
        except (httpx.InvalidURL, ValueError) as error:
            raise self._unaddressed(url, error) from error
        host = request.url.host
        try:
            answer = self._http.send(request, stream=True)
            try:
                body = read_body(answer, largest, into if answer.is_success else None)
            finally:
                answer.close()
                # It knows its answer, which knows it: both, and all that was sent, would wait for Python's collector.
                answer.stream = _NOTHING
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
            text = f"no whole answer from {host} within {seconds:.3g} s: {type(error).__name__}"
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

    def close(self) -> None:
        """Close the pool."""
        self._http.close()


def _unsent(error: httpx.TransportError, host: str) -> Transient | ConfigError:
    if isinstance(error.__cause__ and error.__cause__.__cause__, ssl.SSLCertVerificationError) or (
        "CERTIFICATE_VERIFY_FAILED" in str(error)
    ):
        return ConfigError(f"the certificate of {host} is not trusted: set ca_file to its authority's PEM file")
    why = redact(str(error)) or type(error).__name__
    return Transient(f"cannot reach {host}: {why}", sent=False)
