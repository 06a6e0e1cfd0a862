"""The keys: from the configuration, or from the shop's own approval screen; and which shop they lead to."""

import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from synccore.errors import AuthError, ConfigError, SynccoreError, Transient
from synccore.oauth import Browser
from synccore.types import Account, Check, Context, WebhookRequest

from .client import Client, Record
from .config import Config
from .errors import NoApi
from .php import listed

__all__ = ["Connection", "Keys", "account_of"]

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


class Connection:
    """The shop that an address and its keys lead to."""

    def __init__(self, client: Client, keys: Keys, learn: Callable[[Record], None]) -> None:
        self.keys = keys
        self._shop = client
        self._learn = learn

    def account(self) -> Account:
        """Which shop this is: one request, no keys."""
        return account_of(self.index(), self._shop.url)

    def connect(self, browser: Browser, check: Callable[[], Check]) -> Account:
        """Keys from the shop's approval screen where none are configured, then `check`. Raises what is wrong.

        What is no error is left to core, which says what `check` found.
        """
        if not self.keys.known():
            self.index()
            self.keys.approve(browser)
        found = check()
        for finding in found.findings:
            if finding.level == "error":
                raise AuthError(finding.message)
        if found.account is None:
            raise Transient("the shop did not say what it is")
        return found.account

    def disconnect(self, *, keep_grant: bool) -> str:
        """Forget the keys that `connect` stored; WooCommerce has no way to revoke a key from here.

        Core has asked for `unsubscribe` before, and says what came of it.
        """
        self.keys.forget()
        return "" if keep_grant else "delete the key itself in WooCommerce > Settings > Advanced > REST API"

    def index(self) -> Record:
        """What the shop says of itself. Raises ConfigError where the address leads to no shop."""
        try:
            index = self._shop.index()
        except NoApi as error:
            self._explain(error)
            raise
        if "wc/v3" not in (listed(index.get("namespaces")) or ()):
            raise ConfigError(
                f"{self._shop.url} is a WordPress without WooCommerce's REST API: switch WooCommerce on there",
                path="url",
            )
        self._learn(index)
        return index

    def _explain(self, error: SynccoreError) -> None:
        """Raises what the address really is: a shop with plain permalinks, or a page of a shop that is elsewhere."""
        try:
            answer = self._shop.probe("", {"rest_route": "/"})
        except SynccoreError:
            return
        body = answer.json_or_none()
        if not answer.ok or not isinstance(body, dict) or "namespaces" not in body:
            return
        home = str(body.get("home") or self._shop.url).rstrip("/")
        if urlsplit(home).path.rstrip("/") != urlsplit(self._shop.url).path.rstrip("/"):
            raise ConfigError(f"the shop is at {home}, not at {self._shop.url}: set url to that", path="url") from error
        raise ConfigError(
            "the shop uses plain permalinks, where WooCommerce does not look at keys: in WordPress, choose any "
            "other structure under Settings > Permalinks (where that is so already, the web server does not hand "
            "/wp-json/ on to WordPress as it came)",
            path="url",
        ) from error


def account_of(index: Mapping[str, Any], url: str, detail: str = "") -> Account:
    """Which shop this is, by what its index says of itself.

    Without the scheme: a shop that moves to https stays the same shop.
    """
    home = str(index.get("home") or url)
    return Account(id=home.partition("://")[2] or home, label=str(index.get("name") or home), detail=detail)
