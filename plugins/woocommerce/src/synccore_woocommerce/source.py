"""The source: what core calls."""

from collections.abc import Iterator, Sequence

from synccore.errors import AuthError
from synccore.hookspecs import SourceType
from synccore.types import (
    Account,
    BackfillFilters,
    Change,
    Check,
    Context,
    Page,
    WebhookRequest,
)

from ._changes import Translator
from ._fetch import Fetcher
from ._hooks import Receiver
from ._poll import Poller
from .client import Shop
from .config import ENTITIES, Config

__all__ = ["SOURCE", "WooCommerce"]


class WooCommerce:
    """One shop."""

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._context = context
        self._shop = Shop(config, context, self._keys)
        self._translate = Translator(config, context.state())
        self._receiver = Receiver(self._translate, config, context)
        self._poller = Poller(self._shop, self._translate, config, context)
        self._fetcher = Fetcher(self._shop, self._translate, context)

    def _keys(self) -> tuple[str, str]:
        key, secret = self._config.consumer_key, self._config.consumer_secret
        if key is not None and secret is not None:
            return key.reveal(), secret.reveal()
        stored = self._context.vault.get("consumer_key"), self._context.vault.get("consumer_secret")
        if stored[0] is None or stored[1] is None:
            raise AuthError(
                f"no keys: set consumer_key and consumer_secret, or run synccore connect {self._context.name}"
            )
        return stored[0], stored[1]

    def check(self) -> Check:
        """Reach the shop and say what it is. Raises AuthError, ConfigError, Transient."""
        index = self._shop.index()
        self._shop.count("wc/v3/customers", {"role": "all"})
        home = str(index.get("home") or self._shop.url)
        return Check(account=Account(id=home, label=str(index.get("name") or home)))

    def poll(self, entity: str, cursor: str | None, filters: BackfillFilters) -> Iterator[Page]:
        """List records; see `_poll` for the cursor. Raises Transient, RateLimited, AuthError, ConfigError."""
        return self._poller.poll(entity, cursor, filters)

    def receive(self, request: WebhookRequest) -> Sequence[Change]:
        """Turn a webhook into changes. No network. Raises SignatureError."""
        return self._receiver.receive(request)

    def fetch(self, entity: str, key: str) -> Change | None:
        """Read one record; None where it is gone. Raises Transient when that cannot be told."""
        return self._fetcher.fetch(entity, key)

    def close(self) -> None:
        """Close the connections."""
        self._shop.close()


def _open(config: Config, context: Context) -> WooCommerce:
    return WooCommerce(config, context)


SOURCE = SourceType(
    name="woocommerce",
    summary="a WooCommerce shop: customers, orders, memberships, subscriptions, renewal payments",
    config=Config,
    open=_open,
    entities=ENTITIES,
)
