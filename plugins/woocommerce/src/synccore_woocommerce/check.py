"""Finding out what a shop is, and precisely what is wrong where it cannot be used."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from synccore.errors import AuthError, Rejected, SynccoreError
from synccore.types import Check, Context, Finding

from .abilities import Abilities
from .account import Connection, account_of
from .changes import Translator
from .client import OLDEST, Client
from .config import Config
from .errors import Forbidden, KeysRefused
from .webhooks.registry import Registry

__all__ = ["Checker"]


class Checker:
    """Looks at one shop."""

    def __init__(
        self,
        shop: Client,
        connection: Connection,
        abilities: Abilities,
        registry: Registry,
        translator: Translator,
        config: Config,
        context: Context,
    ) -> None:
        self._shop = shop
        self._translate = translator
        self._connection = connection
        self._abilities = abilities
        self._registry = registry
        self._config = config
        self._context = context

    def check(self) -> Check:
        """Address, keys, permissions, what the shop has, who is left out, and how its webhooks do."""
        index = self._connection.index()
        self._readable()
        self._abilities.forget()
        findings = [
            *self._entities(),
            *self._writable(),
            *self._pollable(),
            *self._others(),
            *self._registry.findings(),
        ]
        detail = self._detail(index)
        return Check(account=account_of(index, self._shop.url, detail), detail=detail, findings=tuple(findings))

    # -- steps

    def _readable(self) -> None:
        try:
            self._shop.page("wc/v3/customers", {"role": "all", "per_page": "1", "_fields": "id"})
        except Forbidden as error:
            raise AuthError(
                f"the key's user may not read customers: make the key for an administrator or a shop manager "
                f"({error.message})"
            ) from error
        except KeysRefused as error:
            raise AuthError(f"{error.message.rstrip('.')}; {self._connection.keys.way_out()}") from error

    def _entities(self) -> list[Finding]:
        plugins = {"subscription": "WooCommerce Subscriptions", "membership": "WooCommerce Memberships"}
        return [
            Finding(
                level="warning",
                path=f"sources.{self._context.name}.entities",
                message=f"{entity}: the shop has no {plugin}, so there are none",
            )
            for entity, plugin in plugins.items()
            if entity in self._config.entities and not self._abilities.known(entity)
        ]

    def _writable(self) -> list[Finding]:
        """Webhooks and write-back need a key that may write; an empty batch finds out and changes nothing."""
        if not self._config.write_back and self._context.public_url is None:
            return []
        why = "write_back" if self._config.write_back else "making webhooks"
        try:
            self._shop.post("wc/v3/orders/batch", {"update": []})
        except AuthError as error:
            return [
                Finding(
                    level="error",
                    path=f"sources.{self._context.name}.consumer_key",
                    message=f"{why} needs a read/write key: {error.message}",
                )
            ]
        return []

    def _pollable(self) -> list[Finding]:
        """Whether orders can be asked for by when they changed; older shops refuse that, or ignore it."""
        tomorrow = (self._context.clock.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S")
        params = {"orderby": "modified", "modified_after": tomorrow, "dates_are_gmt": "true"}
        try:
            able = not self._shop.page("wc/v3/orders", {**params, "per_page": "1", "_fields": "id"}).rows
        except Rejected:
            able = False
        if able:
            return []
        version = self._version()
        said = (
            f"{version} cannot be asked for what changed: {OLDEST} or newer is needed to poll orders and subscriptions "
            "(where it is newer, something in front of the shop drops or ignores the query)"
        )
        return [Finding(level="error", path=f"sources.{self._context.name}", message=said)]

    def _others(self) -> list[Finding]:
        """Accounts that are no customers by their role, and what to set where they should be."""
        if "customer" not in self._config.entities:
            return []
        roles = Counter(role for _, role, _ in self._translate.people.others() if role)
        buyers = Counter(role for _, role, bought in self._translate.people.others() if bought and role)
        if not roles:
            return []
        named = ", ".join(f"{count} {role}" for role, count in sorted(roles.items()))
        said = f"{sum(roles.values())} accounts are left out, since their roles are not in `roles`: {named}"
        if buyers:
            as_guests = self._config.others_as_guests and self._config.guests
            what = "are treated as those of guests" if as_guests else "have no customer"
            bought = ", ".join(f"{count} {role}" for role, count in sorted(buyers.items()))
            wanted = ", ".join(f'"{role}"' for role in (*self._config.roles, *sorted(buyers)))
            said += f". Of these, {bought} have bought: their orders {what}; to take them in, set roles = [{wanted}]"
        level: Literal["warning", "info"] = "warning" if buyers else "info"
        return [Finding(level=level, path=f"sources.{self._context.name}.roles", message=said)]

    def _detail(self, index: Mapping[str, Any]) -> str:
        parts = [self._version()]
        parts += [
            name
            for entity, name in (("subscription", "Subscriptions"), ("membership", "Memberships"))
            if self._abilities.known(entity)
        ]
        parts.append(str(index.get("timezone_string") or f"UTC{index.get('gmt_offset', '')}"))
        return ", ".join(part for part in parts if part)

    def _version(self) -> str:
        """Only an administrator's key may ask for it."""
        try:
            status = self._shop.get("wc/v3/system_status", {"_fields": "environment.version,settings.HPOS_enabled"})
            storage = "order tables" if status["settings"]["HPOS_enabled"] else "orders as posts"
            return f"WooCommerce {status['environment']['version']} ({storage})"
        except (SynccoreError, KeyError, TypeError):
            return "WooCommerce"
