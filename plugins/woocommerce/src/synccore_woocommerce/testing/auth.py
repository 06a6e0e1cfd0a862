"""How the shop's REST API knows who asks: Basic over https, OAuth 1.0a over plain http, and nothing else."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import quote

from attrs import frozen

from synccore.testing import Request

from .lists import RestError

__all__ = ["Gate", "Key"]

_CODE = "woocommerce_rest_authentication_error"
_WINDOW_SECONDS = 15 * 60


@frozen(kw_only=True)
class Key:
    """A REST API key. `role` is that of the WordPress user it acts as."""

    key: str
    secret: str
    permissions: str = "read_write"
    role: str = "administrator"


class Gate:
    """Checks keys. `home` is the address the shop is configured with: that is what a signature must be over."""

    def __init__(self, now: Callable[[], datetime], home: Callable[[], str]) -> None:
        self._now = now
        self._home = home
        self._used: dict[tuple[str, str], float] = {}
        self.keys: dict[str, Key] = {}
        #: By how many seconds a signature's time may be another than the shop's.
        self.window = _WINDOW_SECONDS

    def user(self, request: Request, *, https: bool) -> Key | None:
        """The key that asks, or None where no key was seen. Raises RestError for one that is wrong."""
        key = (self._basic_or_query(request) if https else None) or self._oauth(request)
        if key is None:
            return None
        writes = request.method not in ("GET", "HEAD", "OPTIONS")
        needed = "write" if writes else "read"
        if needed not in key.permissions:
            error = RestError(401, _CODE, f"The API key provided does not have {needed} permissions.")
            error.known = True
            raise error
        return key

    def _basic_or_query(self, request: Request) -> Key | None:
        name, secret = request.param("consumer_key"), request.param("consumer_secret")
        header = request.headers.get("authorization", "")
        if name is None and header.lower().startswith("basic "):
            try:
                name, _, secret = base64.b64decode(header[6:]).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return None
        key = self.keys.get(name or "")
        if key is None:
            return None
        if not hmac.compare_digest(key.secret, secret or ""):
            raise RestError(401, _CODE, "Consumer secret is invalid.")
        return key

    def _oauth(self, request: Request) -> Key | None:
        query = dict(request.query)
        name = query.get("oauth_consumer_key")
        if name is None:
            return None
        for needed in ("oauth_timestamp", "oauth_nonce", "oauth_signature", "oauth_signature_method"):
            if not query.get(needed):
                raise RestError(401, _CODE, f"Missing OAuth parameter {needed}")
        key = self.keys.get(name)
        if key is None:
            raise RestError(401, _CODE, "Consumer key is invalid.")
        self._signature(request, query, key)
        self._once(query, key)
        return key

    def _signature(self, request: Request, query: Mapping[str, str], key: Key) -> None:
        methods = {"HMAC-SHA1": hashlib.sha1, "HMAC-SHA256": hashlib.sha256}
        method = methods.get(query["oauth_signature_method"])
        if method is None:
            raise RestError(401, _CODE, "Invalid signature - signature method is invalid.")
        pairs = sorted((_encode(n), _encode(v)) for n, v in request.query if n != "oauth_signature")
        joined = "&".join(f"{n}={v}" for n, v in pairs)
        base = f"{request.method}&{_encode(self._home() + request.path)}&{_encode(joined)}"
        right = base64.b64encode(hmac.new(f"{key.secret}&".encode(), base.encode(), method).digest()).decode()
        if not hmac.compare_digest(right, query["oauth_signature"]):
            raise RestError(401, _CODE, "Invalid signature - provided signature does not match.")

    def _once(self, query: Mapping[str, str], key: Key) -> None:
        now, text = self._now().timestamp(), query["oauth_timestamp"]
        if not text.isdigit() or abs(now - int(text)) > self.window:
            raise RestError(401, _CODE, "Invalid timestamp.")
        if self._used and now - next(iter(self._used.values())) > self.window:
            self._used = {k: at for k, at in self._used.items() if now - at <= self.window}
        nonce = (key.key, query["oauth_nonce"])
        if nonce in self._used:
            raise RestError(401, _CODE, "Invalid nonce - nonce has already been used.")
        self._used[nonce] = now


def _encode(text: str) -> str:
    """As the standard says, and not as the plugin does it: what that one signs is judged here."""
    return quote(text, safe="-._~")
