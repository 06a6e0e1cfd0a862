"""Finding out what a shop is, and precisely what is wrong where it cannot be used."""

from collections.abc import Mapping
from typing import Any

from synccore.errors import AuthError, ConfigError, SynccoreError, Transient
from synccore.oauth import Browser
from synccore.types import Account, Check, Context, Finding

from .abilities import Abilities
from .account import Keys, account_of
from .client import Shop
from .config import Config
from .errors import Forbidden, NoApi
from .registry import Registry

__all__ = ["Checker"]


class Checker:
    """Answers `check` and `connect`."""

    def __init__(
        self, shop: Shop, keys: Keys, abilities: Abilities, registry: Registry, config: Config, context: Context
    ) -> None:
        self._shop = shop
        self._keys = keys
        self._abilities = abilities
        self._registry = registry
        self._config = config
        self._context = context

    def check(self) -> Check:
        """Address, keys, permissions, what the shop has, and how its webhooks do."""
        index = self._index()
        self._readable()
        self._abilities.forget()
        findings = [*self._entities(), *self._writable(), *self._registry.findings()]
        detail = self._detail(index)
        return Check(account=account_of(index, self._shop.url, detail), detail=detail, findings=tuple(findings))

    def connect(self, browser: Browser) -> Account:
        """Keys from the shop's approval screen where none are configured, then `check`. Raises what is wrong."""
        if not self._keys.known():
            self._index()
            self._keys.approve(browser)
        found = self.check()
        for finding in found.findings:
            if finding.level == "error":
                raise AuthError(finding.message)
            browser.say(finding.message)
        if found.account is None:
            raise Transient("the shop did not say what it is")
        return found.account

    # -- steps

    def _index(self) -> Mapping[str, Any]:
        try:
            index = self._shop.index()
        except NoApi as error:
            self._explain_plain_permalinks(error)
            raise
        if "wc/v3" not in (index.get("namespaces") or ()):
            raise ConfigError(
                f"{self._shop.url} is a WordPress without WooCommerce's REST API: is it active?", path="url"
            )
        return index

    def _explain_plain_permalinks(self, error: SynccoreError) -> None:
        try:
            answer = self._shop.probe("", {"rest_route": "/"})
        except SynccoreError:
            return
        body = answer.json_or_none()
        if answer.ok and isinstance(body, dict) and "namespaces" in body:
            raise ConfigError(
                "the shop uses plain permalinks, where WooCommerce does not look at keys: in WordPress, choose any "
                "other structure under Settings > Permalinks",
                path="url",
            ) from error

    def _readable(self) -> None:
        try:
            self._shop.list("wc/v3/customers", {"role": "all", "per_page": "1", "_fields": "id"})
        except Forbidden as error:
            raise AuthError(
                f"the key's user may not read customers: make the key for an administrator or a shop manager "
                f"({error.message})"
            ) from error

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
