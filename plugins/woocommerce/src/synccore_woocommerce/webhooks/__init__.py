"""Webhooks as they arrive: who sent it, and what it says.

WooCommerce's words are not to be trusted further than its signature: the body is built when it is sent, so it may be
newer than the event or an error object, topics mix up created and updated, and delivery ids repeat.
"""

import base64
import binascii
import hashlib
import hmac
import re
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from synccore.errors import SignatureError
from synccore.http import parse_json
from synccore.types import Change, Context, Unreadable, WebhookRequest

from .. import mapping
from ..account import Keys
from ..changes import DRAFTS, TRASH, Translator, is_renewal
from ..config import Config
from ..php import key

__all__ = ["SECRET", "Receiver"]

#: The name of the generated webhook secret in the vault.
SECRET = "webhook_secret"  # noqa: S105  a name, not a secret
#: How exactly the time of the last webhook is remembered: each note is a write to the database.
_NOTED_EVERY = timedelta(minutes=1)
_PING = re.compile(rb"webhook_id=\d+")

_ENTITIES: Mapping[str, str] = {
    "customer": "customer",
    "order": "order",
    "subscription": "subscription",
    "user_membership": "membership",
}


class Receiver:
    """Authenticates and reads the shop's webhooks."""

    def __init__(self, translator: Translator, keys: Keys, config: Config, context: Context) -> None:
        self._translate = translator
        self._keys = keys
        self._config = config
        self._context = context
        self._state = context.state()
        self._noted: datetime | None = None
        self._lock = threading.Lock()

    def secret(self) -> str | None:
        """What webhooks are signed with: the configured secret, else the generated one."""
        if self._config.webhook_secret is not None:
            return self._config.webhook_secret.reveal()
        return self._context.vault.get(SECRET)

    def receive(self, request: WebhookRequest) -> Sequence[Change | Unreadable]:
        """The changes a delivery stands for, and what of it cannot be read. Raises SignatureError."""
        if _is_ping(request) or self._keys.take(request):
            return []
        self._authenticate(request)
        self._note_life()
        topic, entity = _topic(request), _ENTITIES.get(_topic(request).partition(".")[0], "")
        try:
            body = parse_json(request.body)
        except ValueError:
            body = None
        number = key(body.get("id")) if isinstance(body, dict) else None
        if number is None:
            return self._odd(request, body, entity)
        return self._changes(topic, number, body)

    def _odd(self, request: WebhookRequest, body: Any, entity: str) -> Sequence[Unreadable]:
        """A body that is no record. Answered all the same: seven refusals, and WooCommerce switches the webhook off."""
        if isinstance(body, dict) and body.get("code"):
            self._note_error(request, body)
            return []
        if not entity:
            return []
        kind = "its body is no JSON" if body is None else "its body is no record with an id"
        where = f"webhook {_topic(request)}, delivery {request.headers.get('x-wc-webhook-delivery-id', '')[:40]}"
        return [Unreadable(where=where, reason=kind, entity=entity)]

    def _authenticate(self, request: WebhookRequest) -> None:
        try:
            given = base64.b64decode(request.headers.get("x-wc-webhook-signature", ""), validate=True)
        except (binascii.Error, ValueError):
            given = b""
        # Deliveries signed before the secret was put into the configuration are still on their way.
        secrets = {s for s in (self.secret(), self._context.vault.get(SECRET)) if s}
        if not secrets:
            raise SignatureError("no webhook secret is known yet: run synccore connect")
        good = [
            hmac.compare_digest(hmac.new(s.encode(), request.body, hashlib.sha256).digest(), given) for s in secrets
        ]
        if not any(good):
            raise SignatureError

    def _changes(self, topic: str, number: str, body: Mapping[str, Any]) -> Sequence[Change | Unreadable]:
        resource, _, event = topic.partition(".")
        if resource == "membership_plan":
            if event != "deleted":
                self._translate.plans([body])
            return []
        entity = _ENTITIES.get(resource)
        if entity is None or not self._translate.wants(entity):
            return []
        if event == "deleted":
            # A number and no date: sent again after a restore it would delete what is there.
            return [Change(entity=entity, key=number, op="touch")] if entity in self._translate.emits else []
        odd: list[Unreadable] = []
        if self._is_hint(entity, body):
            if entity == "order":
                self._translate.note(body)
            changes = [Change(entity=entity, key=number, op="touch")]
        elif entity == "customer":
            changes = self._translate.customers([body], odd.append)
        else:
            changes = self._translate.orders([body], None, odd.append)
        return [*changes, *odd]

    def _is_hint(self, entity: str, body: Mapping[str, Any]) -> bool:
        """Whether the record is to be read again before anything is made of it.

        A member, and a user whom WooCommerce never saved, have no date: of two webhooks that overtake each other the
        body does not say which is newer; nor does that of a subscription whose next payment was moved. A renewal does
        not say why it failed, an order not whether its buyer is a customer. And nothing is told in another's days
        before the shop's time zone is known.
        """
        zone = self._translate.zone()
        if len(body) == 1 or entity in ("membership", "subscription"):
            return True
        if entity == "customer":
            return (zone is None or mapping.version(body, zone) is None) and self._translate.is_customer(body)
        if body.get("status") in (*DRAFTS, TRASH):
            return False
        renewal = "payment" in self._translate.emits and is_renewal(body)
        return zone is None or renewal or bool(self._translate.strangers([body]))

    def _note_life(self) -> None:
        now = self._context.clock.now()
        with self._lock:
            if self._noted is not None and now - self._noted < _NOTED_EVERY:
                return
            self._noted = now
        self._state.put({"last_webhook": now.isoformat(), "silent": None})

    def _note_error(self, request: WebhookRequest, body: Mapping[str, Any]) -> None:
        """An error object under a valid signature: the record is gone, or the webhook's owner lost its rights."""
        code = str(body.get("code", ""))
        data = body.get("data")
        status = data.get("status") if isinstance(data, dict) else None
        self._context.log.warning("webhook_carries_error", topic=_topic(request), code=code[:80])
        if status in (401, 403):
            self._state.put({"webhook_refused": {"code": code[:80], "topic": _topic(request)}})


def _topic(request: WebhookRequest) -> str:
    return request.headers.get("x-wc-webhook-topic", "")


def _is_ping(request: WebhookRequest) -> bool:
    """The unsigned `webhook_id=N` that the shop sends while a webhook is made; it says nothing and changes nothing."""
    return not any(name.startswith("x-wc-webhook") for name in request.headers) and bool(_PING.fullmatch(request.body))
