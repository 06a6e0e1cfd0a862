"""OAuth 1.0a, one-legged: how WooCommerce takes its keys where PHP sees plain http (RFC 5849, HMAC-SHA256).

All parameters travel in the query; a JSON body is not part of the signature. The key of the HMAC is the consumer
secret and an ampersand.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from urllib.parse import quote

__all__ = ["sign", "signed"]


_PLAIN = re.compile(r"[A-Za-z0-9._~-]*")
_ESCAPED = {code: quote(chr(code), safe="-._~") for code in range(128)}


def _encode(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return text.translate(_ESCAPED) if text.isascii() else quote(text, safe="-._~")


def sign(method: str, url: str, params: Iterable[tuple[str, str]], secret: str) -> str:
    """The signature of a request; `url` has no query, `params` holds everything but `oauth_signature`."""
    pairs = sorted((_encode(name), _encode(value)) for name, value in params)
    query = "&".join([f"{name}={value}" for name, value in pairs])
    # Encoded once more: of all that has to be, an encoded query has these three alone.
    query = query.replace("%", "%25").replace("&", "%26").replace("=", "%3D")
    base = "&".join((method.upper(), _encode(url), query))
    digest = hmac.new(f"{secret}&".encode(), base.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def signed(
    method: str, url: str, params: Iterable[tuple[str, str]], *, key: str, secret: str, timestamp: int, nonce: str
) -> list[tuple[str, str]]:
    """`params` with everything that proves who asks."""
    full = [
        *params,
        ("oauth_consumer_key", key),
        ("oauth_timestamp", str(timestamp)),
        ("oauth_nonce", nonce),
        ("oauth_signature_method", "HMAC-SHA256"),
    ]
    return [*full, ("oauth_signature", sign(method, url, full, secret))]
