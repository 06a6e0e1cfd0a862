"""Finding out what a shop is, and precisely what is wrong where it cannot be used."""

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from synccore.errors import AuthError, ConfigError, SynccoreError, Transient
from synccore.oauth import Browser
from synccore.types import Account, Check, Context, Finding

from ._abilities import Abilities
from ._hooks import APPROVAL, KEY_NAMES
from ._registry import Registry
from .client import Forbidden, NoApi, Shop
from .config import Config

__all__ = ["Checker"]

#: How long keys may take from the shop's approval to our address, in seconds.
_ARRIVES_WITHIN = 60


class Checker:
    """Answers `check` and `connect`."""

    def __init__(self, shop: Shop, abilities: Abilities, registry: Registry, config: Config, context: Context) -> None:
        self._shop = shop
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
        home = str(index.get("home") or self._shop.url)
        # Without the scheme: a shop that moves to https stays the same shop.
        account = Account(id=home.partition("://")[2] or home, label=str(index.get("name") or home), detail=detail)
        return Check(account=account, detail=detail, findings=tuple(findings))

    def connect(self, browser: Browser) -> Account:
        """Keys from the shop's approval screen where none are configured, then `check`. Raises what is wrong."""
        if not self._has_keys():
            self._index()
            self._approve(browser)
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

    # -- the approval screen

    def _has_keys(self) -> bool:
        if self._config.consumer_key is not None and self._config.consumer_secret is not None:
            return True
        return all(self._context.vault.get(name) for name in KEY_NAMES)

    def _approve(self, browser: Browser) -> None:
        """Send the person to the shop's own screen; the shop posts the keys to our webhook address."""
        public = self._context.public_url
        if public is None or urlsplit(public).scheme != "https":
            raise ConfigError(
                "no keys: make one in WooCommerce > Settings > Advanced > REST API and set consumer_key and "
                "consumer_secret (or set server.public_url to an https address, and the shop can send one)",
                path="consumer_key",
            )
        word = secrets.token_urlsafe(24)
        self._context.vault.put(APPROVAL, word)
        callback = f"{public.rstrip('/')}/hooks/{self._context.name}"

        def address(return_url: str) -> str:
            query = {
                "app_name": "synccore",
                "scope": "read_write",
                "user_id": word,
                "return_url": return_url,
                "callback_url": callback,
            }
            return f"{self._shop.url}/wc-auth/v1/authorize?{urlencode(query)}"

        _, answer = browser.authorize(address)
        if answer.get("success") != "1":
            self._context.vault.delete(APPROVAL)
            raise AuthError("the shop's owner did not approve")
        for _ in range(_ARRIVES_WITHIN):
            if self._has_keys():
                return
            self._context.clock.sleep(timedelta(seconds=1))
        raise AuthError(f"approved, but no keys arrived at {callback}: is synccore run answering there?")
