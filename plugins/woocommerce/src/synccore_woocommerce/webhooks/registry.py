"""The shop's side of webhooks: making them, keeping them alive, taking them away.

A webhook is ours when we made it or when it points at our address. One that the shop switched off is deleted and made
anew: switched on again it would keep its count of failures, and the very next one would switch it off for good.
"""

import contextlib
import hashlib
import ipaddress
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from synccore.errors import AuthError, Rejected, Transient
from synccore.types import Context, Finding

from ..abilities import Abilities
from ..client import Client, Record
from ..config import Config
from ..errors import Gone
from ..listing.paging import whole
from ..php import key, mapped
from ..webhooks import SECRET, Receiver

__all__ = ["Registry"]

_TOPICS: Mapping[str, tuple[str, ...]] = {
    "customer": ("customer.created", "customer.updated", "customer.deleted"),
    "order": ("order.created", "order.updated", "order.deleted", "order.restored"),
    "subscription": ("subscription.created", "subscription.updated", "subscription.deleted"),
    "membership": (
        "user_membership.created",
        "user_membership.updated",
        "user_membership.transferred",
        "user_membership.deleted",
        "membership_plan.updated",
    ),
}
_FIELDS = "id,topic,status,delivery_url"
#: How long webhooks that never arrive are left alone before they are made anew again.
_FUTILE = timedelta(hours=6)
#: WP-Cron sends within a minute while somebody visits the shop; longer than this is silence.
_QUIET = timedelta(minutes=15)
#: How a time stands in a sentence.
_WHEN = "%d %b %H:%M"


class Registry:
    """Keeps the shop's webhooks as they should be."""

    def __init__(
        self,
        shop: Client,
        receiver: Receiver,
        abilities: Abilities,
        emits: frozenset[str],
        config: Config,
        context: Context,
    ) -> None:
        self._shop = shop
        self._receiver = receiver
        self._abilities = abilities
        self._emits = emits
        self._config = config
        self._context = context
        self._state = context.state()
        #: What came or was missed before this, nobody here can tell: a backup may have been put back.
        self._listening_since = context.clock.now()

    # -- what core asks for

    def subscribe(self, hook_url: str) -> str:
        """Make what is missing, adopt what is there already, and say what was done."""
        with self._context.lock(f"webhooks.{self._context.name}"):
            made, adopted, dropped = self._arrange(hook_url, wake=True)
        parts = [
            f"{count} {word}"
            for count, word in ((made, "made"), (adopted, "already there"), (dropped, "removed"))
            if count
        ]
        return f"webhooks at the shop: {', '.join(parts) or 'none needed'}"

    def unsubscribe(self) -> str:
        """Remove every webhook of ours."""
        with self._context.lock(f"webhooks.{self._context.name}"):
            url = self._state.get("hook_url")
            rows = [row for row in self._all() if self._is_ours(row, url)]
            for row in rows:
                self._drop(int(row["id"]))
            gone = (
                "webhooks",
                "hook_url",
                "subscribed_at",
                "healed_at",
                "silent",
                "secret_mark",
                "topics_refused",
                "webhook_refused",
            )
            self._state.put(dict.fromkeys(gone))
            self._context.vault.delete(SECRET)
        return f"removed {len(rows)} webhooks from the shop"

    def heal(self, hook_url: str) -> tuple[str, ...]:
        """Repair what broke; says what and when, and whether the shop is quiet, so that core sweeps the gap.

        The sentence of a silence stays the same as long as it lasts. A key that may not make webhooks is no reason to
        stop polling: `check` says so.
        """
        try:
            with self._context.lock(f"webhooks.{self._context.name}"):
                return self._heal(hook_url)
        except AuthError as error:
            self._context.log.warning("webhooks_not_healed", reason=error.message)
            return ()

    def _heal(self, hook_url: str) -> tuple[str, ...]:
        now = self._context.clock.now()
        before = {str(row["id"]): row for row in self._all() if self._is_ours(row, hook_url)}
        said = self._broken(before, hook_url)
        if said and self._is_futile(before):
            said = []
        if said:
            self._arrange(hook_url, wake=False)
            self._state.put({"healed_at": now.isoformat()})
        # Webhooks of a quiet shop stay: what waits in its queue would be dropped with them.
        silent = self._state.get("silent") or self._silence()
        repaired = (f"{now:{_WHEN}} UTC: {'; '.join(said)}",) if said else ()
        return (*repaired, silent) if silent else repaired

    def findings(self) -> list[Finding]:
        """What `check` has to say about webhooks. Reads the shop's list where we made some."""
        path = f"sources.{self._context.name}"
        found = []
        url, silent, refused = (self._state.get(name) for name in ("hook_url", "silent", "webhook_refused"))
        if url:
            rows = {str(row["id"]): row for row in self._all() if self._is_ours(row, url)}
            found += [Finding(level="warning", path=path, message=text) for text in self._broken(rows, url)]
            found += [
                Finding(level="warning", path=path, message=f"webhook {row.get('topic')} is paused at the shop")
                for row in rows.values()
                if row.get("status") == "paused"
            ]
        address = url or (f"{self._context.public_url}/hooks" if self._context.public_url else None)
        if address and (trouble := _out_of_reach(address)):
            found.append(Finding(level="warning", path="server.public_url", message=trouble))
        if refused and not url:
            found.append(Finding(level="warning", path=path, message=_refused(refused)))
        if silent:
            found.append(Finding(level="warning", path=path, message=str(silent)))
        return found

    # -- inside

    def _wanted(self) -> list[str]:
        resources = [name for name in ("customer",) if name in self._emits]
        if {"order", "payment"} & self._emits or (self._config.guests and "customer" in self._emits):
            resources.append("order")
        resources += [
            name for name in ("subscription", "membership") if name in self._emits and self._abilities.known(name)
        ]
        refused = self._state.get("topics_refused") or []
        return [topic for resource in resources for topic in _TOPICS[resource] if topic not in refused]

    def _all(self) -> list[Record]:
        return list(whole(self._shop, "wc/v3/webhooks", {}, _FIELDS))

    def _is_ours(self, row: Mapping[str, Any], hook_url: str | None) -> bool:
        made = self._state.get("webhooks") or {}
        return row.get("id") in made.values() or (hook_url is not None and row.get("delivery_url") == hook_url)

    def _broken(self, rows: Mapping[str, Mapping[str, Any]], hook_url: str) -> list[str]:
        """What is wrong with the webhooks, in sentences; nothing where all is well."""
        said = []
        off = [str(row.get("topic")) for row in rows.values() if row.get("status") == "disabled"]
        astray = [
            str(row.get("topic"))
            for row in rows.values()
            if row.get("status") != "disabled" and row.get("delivery_url") != hook_url
        ]
        alive = {str(row.get("topic")) for row in rows.values()}
        if off:
            said.append(f"the shop had switched off webhooks after failed deliveries: {', '.join(off)}")
        if astray:
            said.append(f"webhooks pointed at another address: {', '.join(astray)}")
        missing = [topic for topic in self._wanted() if topic not in alive]
        if missing:
            said.append(f"the shop had no webhook for {', '.join(missing)}")
        refused = self._state.get("webhook_refused")
        if refused:
            said.append(_refused(refused))
        return said

    def _is_futile(self, rows: Mapping[str, Mapping[str, Any]]) -> bool:
        """Whether nothing arrived since it was made anew: the shop cannot reach us, and trying costs a sweep."""
        healed, heard = self._state.get("healed_at"), self._state.get("last_webhook")
        if healed is None or (heard is not None and heard >= healed):
            return False
        alive = [row for row in rows.values() if row.get("status") != "disabled"]
        again = self._context.clock.now() - datetime.fromisoformat(healed) >= _FUTILE
        return len(alive) < len(rows) and not again

    def _arrange(self, hook_url: str, *, wake: bool) -> tuple[int, int, int]:
        """Bring the shop's webhooks to what is wanted; gives how many were made, kept and removed."""
        secret, wanted = self._secret(), self._wanted()
        known = self._state.get("webhooks") or {}
        mark = hashlib.sha256(f"{self._context.name}/{secret}".encode()).hexdigest()[:16]
        rotated = self._state.get("secret_mark") != mark
        anew = bool(self._state.get("webhook_refused"))
        kept: dict[str, int] = {}
        dropped = 0
        for row in [row for row in self._all() if self._is_ours(row, hook_url)]:
            number, topic = int(row["id"]), str(row.get("topic"))
            fit = topic in wanted and topic not in kept and row.get("delivery_url") == hook_url
            if anew or not fit or row.get("status") == "disabled":
                self._drop(number)
                dropped += 1
                continue
            if rotated or number not in known.values() or (wake and row.get("status") != "active"):
                # Only a secret that we set is one that we know.
                self._shop.put(f"wc/v3/webhooks/{number}", {"secret": secret, "status": "active"})
            kept[topic] = number
        adopted = len(kept)
        for topic in wanted:
            if topic not in kept:
                made = self._make(topic, hook_url, secret)
                if made is not None:
                    kept[topic] = made
                    self._state.put({"webhooks": kept, "hook_url": hook_url})
        now = self._context.clock.now().isoformat()
        self._state.put(
            {"webhooks": kept, "hook_url": hook_url, "secret_mark": mark, "subscribed_at": now, "webhook_refused": None}
        )
        return len(kept) - adopted, adopted, dropped

    def _make(self, topic: str, hook_url: str, secret: str) -> int | None:
        name = f"synccore {self._context.name}: {topic}"
        try:
            made = self._shop.post(
                "wc/v3/webhooks", {"name": name, "topic": topic, "delivery_url": hook_url, "secret": secret}
            )
        except Rejected as error:
            if "invalid_topic" not in str(error):
                raise
            # An older version of the plugin: what it cannot send is found by polling.
            self._state.put({"topics_refused": [*(self._state.get("topics_refused") or []), topic]})
            return None
        if (number := key(mapped(made).get("id"))) is None:
            # It is known again by our address.
            raise Transient("the shop's answer does not say which webhook it made", maybe_applied=True)
        return int(number)

    def _drop(self, number: int) -> None:
        with contextlib.suppress(Gone):
            self._shop.delete(f"wc/v3/webhooks/{number}")

    def _secret(self) -> str:
        secret = self._receiver.secret()
        if secret is None:
            secret = secrets.token_hex(32)
            self._context.vault.put(SECRET, secret)
        return secret

    def _silence(self) -> str | None:
        """A sentence when the shop changed orders and told nobody; remembered until it talks again."""
        last = self._state.get("last_webhook") or self._state.get("subscribed_at")
        made = self._state.get("webhooks") or {}
        now = self._context.clock.now()
        if last is None or "order.updated" not in made:
            return None
        heard = max(datetime.fromisoformat(last), self._listening_since)
        since, until = heard + timedelta(minutes=1), now - _QUIET
        if since >= until:
            return None
        form = "%Y-%m-%dT%H:%M:%S"
        changed = self._shop.count(
            "wc/v3/orders",
            {"modified_after": since.strftime(form), "modified_before": until.strftime(form), "dates_are_gmt": "true"},
        )
        if not changed:
            return None
        said = (
            f"no webhook since {since:{_WHEN}} UTC although the shop changed {changed} orders: "
            "is WP-Cron running there, and can it reach this address?"
        )
        self._state.put({"silent": said})
        return said


def _refused(refused: Mapping[str, Any]) -> str:
    return (
        f"the shop sends {refused.get('code')} instead of records for {refused.get('topic')}: the user who owns the "
        "webhook lost its rights"
    )


def _out_of_reach(address: str) -> str | None:
    """Why WordPress would refuse to send to this address, without telling anybody (`wp_http_validate_url`)."""
    parts = urlsplit(address)
    try:
        private = not ipaddress.ip_address(parts.hostname or "").is_global
    except ValueError:
        private = parts.hostname == "localhost" or "." not in (parts.hostname or "")
    if private:
        return f"WooCommerce sends no webhooks to {parts.hostname}: the address must be public"
    if parts.port not in (None, 80, 443, 8080):
        return f"WooCommerce sends no webhooks to port {parts.port}: use 443"
    return None
