"""The shop's webhooks: made over REST, queued by what happens, sent when the queue runs.

Lossy as the real ones are: no second try, off for good after the seventh failure in a row, nothing queued while
paused, the body built when it is sent.
"""

import base64
import hashlib
import hmac
import http.client
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from .lists import RestError
from .records import Record, stamp

__all__ = ["AGENT", "TOPICS", "Webhooks", "php_json"]

AGENT = "WooCommerce/11.0.1 Hookshot (WordPress/7.0.4)"
#: Failures in a row that are counted; the next one switches the webhook off.
_TOLERATED = 6
_GOOD = (200, 201, 202, 203, 204, 205, 206, 301, 302)

TOPICS: Mapping[str, tuple[str, ...]] = {
    "customer": ("created", "updated", "deleted"),
    "order": ("created", "updated", "deleted", "restored"),
    "product": ("created", "updated", "deleted", "restored"),
    "coupon": ("created", "updated", "deleted", "restored"),
    "subscription": ("created", "updated", "deleted", "switched"),
    "user_membership": ("created", "updated", "transferred", "deleted"),
    "membership_plan": ("created", "updated", "deleted", "restored"),
}
_HOOKS: Mapping[str, tuple[str, ...]] = {
    "customer.created": ("user_register", "woocommerce_created_customer", "woocommerce_new_customer"),
    "customer.updated": ("profile_update", "woocommerce_update_customer"),
    "membership_plan.updated": ("wc_memberships_webhook_membership_plan_updated",),
}


def php_json(value: Any) -> bytes:
    """As PHP writes it: pure ASCII, slashes escaped."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/").encode()


class Webhooks:
    """Registered webhooks and what waits to be sent."""

    def __init__(self, now: Callable[[], datetime], home: Callable[[], str]) -> None:
        self._now = now
        self._home = home
        self.all: dict[int, Record] = {}
        self.secrets: dict[int, str] = {}
        self.failures: dict[int, int] = {}
        self.unsettled: set[int] = set()
        #: (webhook, record): a record that changes again before the queue runs is sent once.
        self.waiting: dict[tuple[int, int], str] = {}
        #: Webhooks whose owner lost its rights.
        self.demoted: set[int] = set()
        self.payload: Callable[[str, int], Any] = lambda resource, number: {"id": number}
        #: Every delivery made: topic, headers, body, answer.
        self.sent: list[tuple[str, dict[str, str], bytes, int | None]] = []
        #: What carries a delivery: address, body and headers; gives the status, None where nobody answers.
        self.post: Callable[[str, bytes, Mapping[str, str]], int | None] = self._over_http
        self._last = 0

    # -- over REST

    def create(self, given: Mapping[str, Any], *, ping: bool = True) -> Record:
        """Make a webhook; pings it at once and does not mind when that fails."""
        self._validate(given)
        self._last += 1
        number, now = self._last, self._now()
        resource, _, event = str(given["topic"]).partition(".")
        record: Record = {
            "id": number,
            "name": given.get("name") or f"Webhook created on {now:%b %d, %Y @ %I:%M %p}",
            "status": given.get("status", "active"),
            "topic": given["topic"],
            "resource": resource,
            "event": event,
            "hooks": list(_HOOKS.get(str(given["topic"]), (f"woocommerce_{event}_{resource}",))),
            "delivery_url": given["delivery_url"],
        }
        stamp(record, "date_created", now)
        stamp(record, "date_modified", None)
        self.all[number] = record
        self.secrets[number] = given.get("secret") or "a-random-one-that-nobody-can-read"
        self.failures[number] = 0
        if ping:
            self.unsettled.add(number)
            self._ping(number)
        return record

    def edit(self, number: int, given: Mapping[str, Any]) -> Record:
        """Change a webhook; the failure count stays, also when it is switched on again."""
        record = self.all[number]
        self._validate({**record, **given})
        for name in ("name", "status", "topic", "delivery_url"):
            if name in given:
                record[name] = given[name]
        if given.get("secret"):
            self.secrets[number] = given["secret"]
        stamp(record, "date_modified", self._now())
        self._ping(number)
        return record

    def delete(self, number: int) -> Record:
        """Delete a webhook and what waits for it."""
        self.waiting = {k: v for k, v in self.waiting.items() if k[0] != number}
        return self.all.pop(number)

    def _validate(self, given: Mapping[str, Any]) -> None:
        resource, _, event = str(given.get("topic", "")).partition(".")
        if event not in TOPICS.get(resource, ()) and resource != "action":
            code = "woocommerce_rest_shop_webhook_invalid_topic"
            raise RestError(400, code, "Webhook topic is required and must be valid.")
        if not str(given.get("delivery_url", "")).startswith(("http://", "https://")):
            raise RestError(
                400,
                "woocommerce_rest_shop_webhook_invalid_delivery_url",
                "Webhook delivery URL must be a valid URL starting with http:// or https://.",
            )

    def _ping(self, number: int) -> None:
        if number not in self.unsettled:
            return
        body = f"webhook_id={number}".encode()
        answer = self.post(
            self.all[number]["delivery_url"], body, {"Content-Type": "application/x-www-form-urlencoded"}
        )
        if answer == 200:
            self.unsettled.discard(number)

    # -- the queue

    def queue(self, topic: str, number: int) -> None:
        """Something happened: note it for every active webhook of that topic."""
        for webhook in self.all.values():
            if webhook["topic"] == topic and webhook["status"] == "active":
                self.waiting[webhook["id"], number] = topic

    def run(self) -> int:
        """Send everything that waits, one after the other; gives the number of deliveries."""
        waiting, self.waiting = self.waiting, {}
        sent = 0
        for (webhook, number), topic in waiting.items():
            if webhook in self.all:
                self._deliver(webhook, topic, number)
                sent += 1
        return sent

    def _deliver(self, number: int, topic: str, record: int) -> None:
        webhook = self.all[number]
        resource, _, event = topic.partition(".")
        if event == "deleted":
            payload: Any = {"id": record}
        elif number in self.demoted:
            payload = {
                "code": "woocommerce_rest_cannot_view",
                "message": "Sorry, you cannot view this resource.",
                "data": {"status": 403},
            }
        else:
            payload = self.payload(resource, record)
        body = php_json(payload)
        digest = hmac.new(self.secrets[number].encode(), body, hashlib.sha256).digest()
        stamp_text = f"{number}{self._now():%Y%m%d%H%M%S}"
        headers = {
            "Content-Type": "application/json",
            "X-WC-Webhook-Source": self._home() + "/",
            "X-WC-Webhook-Topic": topic,
            "X-WC-Webhook-Resource": resource,
            "X-WC-Webhook-Event": event,
            "X-WC-Webhook-Signature": base64.b64encode(digest).decode(),
            "X-WC-Webhook-ID": str(number),
            # Not unique: webhook and second.
            "X-WC-Webhook-Delivery-ID": hashlib.md5(stamp_text.encode()).hexdigest(),  # noqa: S324  only an id
        }
        answer = self.post(webhook["delivery_url"], body, headers)
        self.sent.append((topic, headers, body, answer))
        if answer in _GOOD:
            self.failures[number] = 0
        elif self.failures[number] >= _TOLERATED:
            webhook["status"] = "disabled"
        else:
            self.failures[number] += 1

    def _over_http(self, url: str, body: bytes, headers: Mapping[str, str]) -> int | None:
        """The status, or None where nobody answers. Redirects are not followed."""
        parts = urlsplit(url)
        if not parts.hostname:
            return None
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname, parts.port, timeout=10)
        try:
            path = parts.path or "/"
            connection.putrequest("POST", path + (f"?{parts.query}" if parts.query else ""), skip_accept_encoding=True)
            sent = {
                "User-Agent": AGENT,
                "Accept": "*/*",
                "Accept-Encoding": "deflate, gzip, br, zstd",
                **headers,
                "Connection": "close",
                "Content-Length": str(len(body)),
            }
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
