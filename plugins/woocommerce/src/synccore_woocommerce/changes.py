"""What a record of the shop means: the changes it stands for.

An order says more than one thing: there is the order, the buyer without an account behind it, and, where it renews a
subscription, an attempt to collect money. Rules that keep people and facts from being doubled live here.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from attrs import evolve

from synccore.entities import guest_key, normalize_email
from synccore.types import Change, Clock, EntityRef, State

from . import mapping
from .client import Record
from .config import Config
from .departed import Departed

__all__ = ["DRAFTS", "TRASH", "Translator"]

#: Statuses of orders that are no orders: an unfinished checkout holds full personal data of somebody who did not buy.
DRAFTS = ("checkout-draft", "auto-draft", "draft")
TRASH = "trash"
_FAILED = "failed"
_PAID = ("processing", "completed", "refunded")


#: Asks for what an order's record does not say.
Ask = Callable[[Record], str | None]


class _Notes:
    """State that is read through and written once: a page of orders is one write."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._new: dict[str, Any] = {}

    def get(self, name: str) -> Any:
        return self._new[name] if name in self._new else self._state.get(name)

    def put(self, name: str, value: Any) -> None:
        self._new[name] = value

    def flush(self) -> None:
        if self._new:
            self._state.put(self._new)


class Translator:
    """Turns records into changes. Reads and writes the instance's state, never the network."""

    def __init__(self, config: Config, state: State, clock: Clock) -> None:
        self._config = config
        self._state = state
        self._clock = clock
        self._departed = Departed(state)
        self._url = config.url.rstrip("/")
        self.emits = frozenset(config.entities) | ({"payment"} if "subscription" in config.entities else set())

    @property
    def guests(self) -> bool:
        """Whether buyers without an account are wanted."""
        return self._config.guests and "customer" in self.emits

    # -- customers

    def customers(self, records: Iterable[Record]) -> list[Change]:
        """Changes of the accounts whose role makes them customers."""
        wanted = [r for r in records if r.get("role") in self._config.roles]
        if self.guests:
            self._departed.remember((str(r["id"]), r.get("email")) for r in wanted)
        return [self._customer(r) for r in wanted] if "customer" in self.emits else []

    def _customer(self, record: Record) -> Change:
        data = mapping.customer(record, shop_url=self._url, consent_keys=self._config.consent_keys)
        if self._config.consent_keys and data.accepts_marketing is None:
            agreed = self._state.get(f"consent/{data.key}")
            if agreed is not None:
                data = evolve(data, accepts_marketing=agreed["value"], consent_at=mapping.moment(agreed["at"]))
        return Change(
            entity="customer",
            key=data.key,
            op="upsert",
            data=data,
            version=mapping.version(record),
            at=data.updated_at,
            replaces=(guest_key(record["email"]),) if record.get("email") else (),
        )

    # -- orders

    def orders(self, records: Iterable[Record], why: Ask | None = None) -> list[Change]:
        """Per order: the order, the guest behind it and the payment it stands for, as far as they are wanted.

        An unfinished checkout gives nothing, a trashed order is a deleted one. `why` is asked for the reason of a
        payment that failed just now.
        """
        notes = _Notes(self._state)
        changes = [change for record in records for change in self._order(record, notes, why)]
        notes.flush()
        return changes

    def _order(self, record: Record, notes: _Notes, why: Ask | None) -> list[Change]:
        status = str(record.get("status", ""))
        if status in DRAFTS:
            return []
        if status == TRASH:
            return [self.deleted("order", str(record["id"]))] if "order" in self.emits else []
        owner, changes = self._buyer(record)
        self._remember_consent(record, notes)
        if "order" in self.emits:
            data = mapping.order(record, owner=owner, shop_url=self._url, consent_keys=self._config.consent_keys)
            changes.append(
                Change(
                    entity="order",
                    key=data.key,
                    op="upsert",
                    data=data,
                    version=mapping.version(record),
                    at=data.updated_at,
                    owner=_customer_ref(owner),
                )
            )
        if "payment" in self.emits and mapping.renewed(record):
            changes += self._payment(record, owner, notes, why)
        return changes

    def _buyer(self, record: Record) -> tuple[str | None, list[Change]]:
        """The key of an order's customer, and the guest's change where it is one."""
        customer = record.get("customer_id")
        if customer:
            return str(customer), []
        billing = record.get("billing")
        email = billing.get("email") if isinstance(billing, dict) else None
        if not email or not normalize_email(email) or not self.guests:
            return None, []
        key = guest_key(email)
        placed = mapping.moment(record.get("date_created_gmt"))
        if self._departed.is_remnant(key, placed):
            return None, []
        guest = Change(
            entity="customer",
            key=key,
            op="upsert",
            data=mapping.guest(record, key, consent_keys=self._config.consent_keys),
            # The newest order knows the person best, however late an older one is edited.
            version=None if placed is None else int(placed.timestamp() * 1000),
            at=mapping.moment(record.get("date_modified_gmt")),
        )
        return key, [guest]

    def _remember_consent(self, record: Record, notes: _Notes) -> None:
        """Keep what a checkout said about marketing: WooCommerce hides it from the customer's own record."""
        keys, customer = self._config.consent_keys, record.get("customer_id")
        agreed = mapping.consent(record, keys) if keys and customer else None
        if agreed is None:
            return
        name, at = f"consent/{customer}", str(record.get("date_created_gmt") or "")
        known = notes.get(name)
        if known is None or (at, agreed) > (known["at"], known["value"]):
            notes.put(name, {"value": agreed, "at": at})

    # -- payments

    def _payment(self, record: Record, owner: str | None, notes: _Notes, why: Ask | None) -> list[Change]:
        """The attempt to collect this renewal that the order's status tells of, if it tells of one.

        The API has no list of attempts: they are counted from the changes of status that were seen.
        """
        status = str(record.get("status", ""))
        name = f"renewal/{record['id']}"
        seen = notes.get(name) or {"status": "", "failures": 0}
        anew = status == _FAILED and seen["status"] != _FAILED
        failures = int(seen["failures"]) + (1 if anew else 0)
        if failures and (status, failures) != (seen["status"], seen["failures"]):
            notes.put(name, {"status": status, "failures": failures})
        paid = mapping.moment(record.get("date_paid_gmt"))
        failed = mapping.moment(record.get("date_modified_gmt"))
        if status == _FAILED and failed is not None:
            reason = why(record) if anew and why is not None else None
            return [self._attempt(record, owner, f"failed:{failures}", failed, failures, reason)]
        if status in _PAID and paid is not None:
            return [self._attempt(record, owner, "paid", paid, failures + 1, None)]
        return []

    def _attempt(
        self, record: Record, owner: str | None, outcome: str, at: datetime, attempt: int, reason: str | None
    ) -> Change:
        data = mapping.payment(
            record,
            owner=owner,
            shop_url=self._url,
            succeeded=outcome == "paid",
            attempt=attempt,
            at=at,
            reason=reason,
        )
        return Change(
            entity="payment",
            key=data.key,
            op="event",
            data=data,
            at=at,
            event_id=f"{record['id']}:{outcome}",
            owner=_customer_ref(owner),
        )

    # -- subscriptions and memberships

    def subscriptions(self, records: Iterable[Record]) -> list[Change]:
        """Subscriptions; a trashed one is a deleted one."""
        return [change for record in records for change in self._subscription(record)]

    def _subscription(self, record: Record) -> list[Change]:
        if "subscription" not in self.emits or record.get("status") in DRAFTS:
            return []
        if record.get("status") == TRASH:
            return [self.deleted("subscription", str(record["id"]))]
        owner = str(record["customer_id"]) if record.get("customer_id") else None
        data = mapping.subscription(record, owner=owner, shop_url=self._url)
        return [
            Change(
                entity="subscription",
                key=data.key,
                op="upsert",
                data=data,
                version=mapping.version(record),
                at=data.updated_at,
                owner=_customer_ref(owner),
            )
        ]

    def memberships(self, records: Iterable[Record]) -> list[Change]:
        """Members. The record has no modified date, so the later observation wins."""
        if "membership" not in self.emits:
            return []
        plans = self._state.get("plans") or {}
        return [self._membership(record, plans) for record in records if record.get("status") != TRASH]

    def _membership(self, record: Record, plans: Mapping[str, Record]) -> Change:
        owner = str(record["customer_id"]) if record.get("customer_id") else None
        data = mapping.membership(record, owner=owner, plan=plans.get(str(record.get("plan_id"))))
        return Change(entity="membership", key=data.key, op="upsert", data=data, owner=_customer_ref(owner))

    def plans(self, records: Iterable[Record]) -> None:
        """Remember plans: a member's record names its plan by id only."""
        known: dict[str, Mapping[str, Any]] = self._state.get("plans") or {}
        seen = {str(r["id"]): {"slug": r.get("slug"), "name": r.get("name")} for r in records if r.get("id")}
        if any(known.get(key) != plan for key, plan in seen.items()):
            self._state.put({"plans": {**known, **seen}})

    # -- deletions

    def deleted(self, entity: str, key: str) -> Change:
        """The record is gone."""
        if entity == "customer" and self.guests:
            self._departed.leave(key, self._clock.now())
        if entity == "customer" and self._config.consent_keys:
            self._state.put({f"consent/{key}": None})
        return Change(entity=entity, key=key, op="delete")


def _customer_ref(key: str | None) -> EntityRef | None:
    return None if key is None else EntityRef("customer", key)
