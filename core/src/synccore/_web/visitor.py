"""Who asks: the address behind proxies that are trusted, and whether a form comes from a page of ours."""

import ipaddress
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from starlette.requests import HTTPConnection

__all__ = ["Origins", "Proxies", "forwarded", "household"]

_PORTS = {"http": 80, "https": 443}
#: What proxies, tunnels and content networks add; a browser on this machine sends none of it.
_FORWARDED = (
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "via",
    "cf-connecting-ip",
    "cdn-loop",
)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def forwarded(connection: HTTPConnection) -> bool:
    """Whether something stands between us and who asks. Browsers speak HTTP/1.1; proxies often 1.0 to us."""
    return connection.scope.get("http_version") == "1.0" or any(name in connection.headers for name in _FORWARDED)


class Proxies:
    """`[server] trusted_proxies`: from these alone X-Forwarded-For is believed."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks: list[Network] = [ipaddress.ip_network(n, strict=False) for n in networks]

    def client(self, connection: HTTPConnection) -> str:
        """The address that asks: the last one in X-Forwarded-For that is no proxy of ours, else who is connected.

        What stands further left was written by whoever asks, and says nothing.
        """
        address = connection.client.host if connection.client else ""
        hops = [h.strip() for h in ",".join(connection.headers.getlist("x-forwarded-for")).split(",") if h.strip()]
        while hops and self._trusted(address):
            address = hops.pop()
        return address

    def _trusted(self, address: str) -> bool:
        found = _address(address)
        return found is not None and any(found in network for network in self._networks)


def household(address: str) -> str:
    """Whom to count together: an address, or the network that one line has with IPv6."""
    found = _address(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found) if found is not None else "unknown"


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


class Origins:
    """The origins whose forms are ours: `public_url`, and the address the request itself was sent to."""

    def __init__(self, public_url: str | None) -> None:
        self._public = _origin(public_url) if public_url else None

    def ours(self, connection: HTTPConnection) -> bool:
        """Whether a form comes from one of our pages. Without an Origin header the form's token alone decides."""
        origin = connection.headers.get("origin")
        if origin is None:
            return True
        found = _origin(origin)
        if found is None:
            return False  # "null" among others: a page that hides where it comes from
        host = _origin(f"{found[0]}://{connection.headers.get('host', '')}")
        return found in (self._public, host)


def _origin(address: str) -> tuple[str, str, int] | None:
    try:
        parts: SplitResult = urlsplit(address)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or port is None:
        return None
    return parts.scheme, parts.hostname.lower(), port
