"""The source: what core calls."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from synccore.hookspecs import SourceType
from synccore.types import (
    Account,
    BackfillFilters,
    Change,
    Check,
    Context,
    Outcome,
    Page,
    Unreadable,
    WebhookRequest,
    WriteBack,
)

from .config import ENTITIES, Config

if TYPE_CHECKING:
    from synccore.oauth import Browser

    from .read import Fetched

__all__ = ["SOURCE", "WooCommerce"]


class WooCommerce:
    """One shop."""

    def __init__(self, config: Config, context: Context) -> None:
        # With the first source: who only names the types needs none of the rooms.
        from .abilities import Abilities
        from .account import Connection, Keys
        from .changes import Translator
        from .check import Checker
        from .client import Client
        from .listing import Pace, Poller
        from .listing.stages import Stages
        from .lookups import Lookups
        from .read import Reader
        from .webhooks import Receiver
        from .webhooks.registry import Registry
        from .write import Writer

        self._config = config
        self._context = context
        keys = Keys(config, context)
        self._shop = Client(config, context, keys.get)
        self._translate = Translator(config, context.state(), context.clock)
        self._connection = Connection(self._shop, keys, self._translate.learn)
        self._receiver = Receiver(self._translate, keys, config, context)
        self._abilities = Abilities(self._shop, context.clock)
        self._registry = Registry(self._shop, self._receiver, self._abilities, self._translate.emits, config, context)
        self._checker = Checker(
            self._shop, self._connection, self._abilities, self._registry, self._translate, config, context
        )
        self._writer = Writer(self._shop)
        pace, lookups = Pace(context.clock), Lookups(self._shop, self._translate)
        stages = Stages(self._shop, self._translate, lookups, pace, config, context.clock)
        self._poller = Poller(self._shop, stages.plan, pace, config.pause, context)
        self._reader = Reader(self._shop, self._translate, lookups, context)

    def check(self) -> Check:
        """Reach the shop and say what it is and has. Raises AuthError, ConfigError, Transient."""
        return self._checker.check()

    def known(self, entity: str) -> bool:
        """Whether the shop has that entity at all (subscriptions and memberships are plugins)."""
        return self._abilities.known(entity)

    def connect(self, browser: "Browser") -> Account:
        """Verify address, keys and permissions; where no keys are configured ask the shop's owner for some."""
        return self._connection.connect(browser, self._checker.check)

    def disconnect(self, keep_grant: bool = False) -> str:
        """Forget the keys that `connect` stored; WooCommerce has no way to revoke a key from here.

        Core has asked for `unsubscribe` before, and says what came of it.
        """
        return self._connection.disconnect(keep_grant=keep_grant)

    def account(self) -> Account:
        """Which shop this is: one request that needs no keys. Raises ConfigError, Transient."""
        return self._connection.account()

    def poll(self, entity: str, cursor: str | None, filters: BackfillFilters) -> Iterator[Page]:
        """List records; see `listing` for the cursor. Raises Transient, RateLimited, AuthError, ConfigError."""
        return self._poller.poll(entity, cursor, filters)

    def receive(self, request: WebhookRequest) -> Sequence[Change | Unreadable]:
        """Turn a webhook into changes. No network. Raises SignatureError."""
        return self._receiver.receive(request)

    def fetch(self, entity: str, key: str) -> "Fetched":
        """Read one record; None where it is gone. Raises Transient when that cannot be told."""
        return self._reader.fetch(entity, key)

    def fetch_many(self, entity: str, keys: Sequence[str]) -> "Mapping[str, Fetched]":
        """Read several records, a hundred in a request. Raises as `fetch`."""
        return self._reader.fetch_many(entity, keys)

    def search(self, email: str) -> Sequence[Change | Unreadable]:
        """The person with this address, account or guest; nothing where there is none. Raises as `fetch`."""
        return self._reader.search(email)

    def time_zone(self) -> str | None:
        """The shop's time zone, an IANA name or a fixed offset; None before its index was read. No network."""
        from .changes import ZONE

        zone: str | None = self._context.state().get(ZONE)
        return zone

    def left_out(self, asked: str) -> str | None:
        """Why the account with this key or address is no customer, in a sentence; None for others. No network."""
        found = self._translate.people.other(asked)
        if found is None:
            return None
        number, role = found
        if role is None:
            return f"the shop has no account {number} (any more)"
        return (
            f"account {number} of {self._context.name} has the role {role}, which is none of those in `roles` "
            f"({', '.join(self._config.roles)}): add it there to take such accounts as customers"
        )

    def subscribe(self, hook_url: str) -> str:
        """Make sure the shop's webhooks point at `hook_url`, once each."""
        return self._registry.subscribe(hook_url)

    def unsubscribe(self) -> str:
        """Remove the webhooks that `subscribe` made."""
        return self._registry.unsubscribe()

    def heal(self, hook_url: str) -> tuple[str, ...]:
        """Repair webhooks that the shop switched off or lost, and notice a shop that went quiet."""
        return self._registry.heal(hook_url)

    def write_back(self, links: Sequence[WriteBack]) -> Sequence[Outcome]:
        """Store remote ids in meta data, a hundred per call, nothing that is there already."""
        return self._writer.write_back(links)

    def close(self) -> None:
        """Close the connections."""
        self._shop.close()


SOURCE = SourceType(
    name="woocommerce",
    summary="a WooCommerce shop: customers, orders, memberships, subscriptions, renewal payments",
    config=Config,
    open=WooCommerce,
    entities=ENTITIES,
)
