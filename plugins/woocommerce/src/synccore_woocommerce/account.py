"""The keys: from the configuration, or from the shop's own approval screen; and which shop they lead to."""

import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from synccore.errors import AuthError, ConfigError
from synccore.oauth import Browser
from synccore.types import Account, Context, WebhookRequest

from .config import Config

__all__ = ["Keys", "account_of"]

#: Vault names: the one-time word of an approval that is under way, and the keys it brought.
_APPROVAL = "approval"
_NAMES = ("consumer_key", "consumer_secret")
#: How long keys may take from the shop's approval to our address, in seconds.
_ARRIVES_WITHIN = 60


class Keys:
    """Consumer key and secret of one shop."""

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._context = context
        self._url = config.url.rstrip("/")

    def get(self) -> tuple[str, str]:
        """Key and secret. Raises AuthError where there are none yet."""
        key, secret = self._config.consumer_key, self._config.consumer_secret
        if key is not None and secret is not None:
            return key.reveal(), secret.reveal()
        stored = [self._context.vault.get(name) for name in _NAMES]
        if stored[0] is None or stored[1] is None:
            raise AuthError(
                f"no keys: set consumer_key and consumer_secret, or run synccore connect {self._context.name}"
            )
        return stored[0], stored[1]

    def known(self) -> bool:
        """Whether there are any."""
        if self._config.consumer_key is not None and self._config.consumer_secret is not None:
            return True
        return all(self._context.vault.get(name) for name in _NAMES)

    def way_out(self) -> str:
        """What to do about keys that the shop does not take."""
        name = self._context.name
        if self._config.consumer_key is None:
            return f"run synccore disconnect {name}, then synccore connect {name}"
        return (
            "make a key in WooCommerce > Settings > Advanced > REST API, set it as consumer_key and consumer_secret, "
            f"and run synccore connect {name}"
        )

    def forget(self) -> None:
        """Delete what `approve` stored."""
        for name in (*_NAMES, _APPROVAL):
            self._context.vault.delete(name)

    def approve(self, browser: Browser) -> None:
        """Send the person to the shop's own screen; the shop posts the keys to our webhook address.

        Raises ConfigError where the shop could not reach that address, AuthError where nobody approved or no keys came.
        """
        public = self._context.public_url
        if public is None or urlsplit(public).scheme != "https":
            raise ConfigError(
                "no keys: make one in WooCommerce > Settings > Advanced > REST API and set consumer_key and "
                "consumer_secret (or set server.public_url to an https address, and the shop can send one)",
                path="consumer_key",
            )
        word = secrets.token_urlsafe(24)
        self._context.vault.put(_APPROVAL, word)
        callback = f"{public.rstrip('/')}/hooks/{self._context.name}"

        def address(return_url: str) -> str:
            query = {
                "app_name": "synccore",
                "scope": "read_write",
                "user_id": word,
                "return_url": return_url,
                "callback_url": callback,
            }
            return f"{self._url}/wc-auth/v1/authorize?{urlencode(query)}"

        _, answer = browser.authorize(address)
        if answer.get("success") != "1":
            self._context.vault.delete(_APPROVAL)
            raise AuthError("the shop's owner did not approve")
        for _ in range(_ARRIVES_WITHIN):
            if self.known():
                return
            self._context.clock.sleep(timedelta(seconds=1))
        raise AuthError(f"approved, but no keys arrived at {callback}: is synccore run answering there?")

    def take(self, request: WebhookRequest) -> bool:
        """The keys that the shop's approval screen posts here, known by the one-time word `approve` gave it."""
        if "x-wc-webhook-signature" in request.headers:
            return False
        word = self._context.vault.get(_APPROVAL)
        try:
            body = json.loads(request.body) if word else None
        except ValueError:
            return False
        if not word or not isinstance(body, dict) or not all(isinstance(body.get(n), str) for n in _NAMES):
            return False
        if not hmac.compare_digest(str(body.get("user_id", "")).encode(), word.encode()):
            return False
        for name in _NAMES:
            self._context.vault.put(name, body[name])
        self._context.vault.delete(_APPROVAL)
        return True


def account_of(index: Mapping[str, Any], url: str, detail: str = "") -> Account:
    """Which shop this is, by what its index says of itself.

    Without the scheme: a shop that moves to https stays the same shop.
    """
    home = str(index.get("home") or url)
    return Account(id=home.partition("://")[2] or home, label=str(index.get("name") or home), detail=detail)
