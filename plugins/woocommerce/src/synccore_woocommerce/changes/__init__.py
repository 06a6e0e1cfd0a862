"""What a record of the shop means: the changes it stands for.

An order says more than one thing: there is the order, the buyer without an account behind it, and, where it renews a
subscription, an attempt to collect money. Rules that keep people and facts from being doubled live here. A record that
cannot be read harms no other: it is named, and the rest goes on.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, tzinfo
from typing import Any, Protocol

from attrs import evolve

from synccore.entities import Customer, Order, Subscription, guest_key, normalize_email
from synccore.types import Change, Clock, EntityRef, State, Unreadable

from .. import mapping
from ..client import Record
from ..config import Config
from ..mapping.dates import date_of, zone_name, zone_of
from ..php import Broken, address_of, flag, key, mapped, text
from .attempts import Failure, History, Sight
from .erased import cleaned, is_erased, is_placeholder
from .notes import Notes
from .people import People, Person

__all__ = ["DRAFTS", "TRASH", "ZONE", "Asked", "Odd", "Translator"]

#: Statuses of orders that are no orders: an unfinished checkout holds full personal data of somebody who did not buy.
DRAFTS = ("checkout-draft", "auto-draft", "draft")
TRASH = "trash"
#: Where the instance's state keeps the shop's time zone.
ZONE = "time_zone"
_BROKEN = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError)

#: Takes what cannot be read.
Odd = Callable[[Unreadable], None]


class Asked(Protocol):
    """What the shop was asked beside the orders themselves: it says no more of a renewal without being asked."""

    def subscription(self, number: str) -> Record | None:
        """The subscription that an order renews."""
        ...

    def reason(self, order: Record) -> str | None:
        """Why its payment failed just now; "" where nobody says, None where it was not asked for."""
        ...


class Translator:
    """Turns records into changes. Reads and writes the instance's state, never the network.

    `odd` of each method takes what cannot be read; left out, it is passed over.
    """

    def __init__(self, config: Config, state: State, clock: Clock) -> None:
        self._config = config
        self._state = Notes(state)
        self._clock = clock
        self.people = People(self._state)
        self._url = config.url.rstrip("/")
        self.emits = frozenset(config.entities) | ({"payment"} if "subscription" in config.entities else set())

    @property
    def guests(self) -> bool:
        """Whether buyers without an account are wanted."""
        return self._config.guests and "customer" in self.emits

    def wants(self, entity: str) -> bool:
        """Whether records of this kind say anything that is reported; an order also tells of guests and payments."""
        return entity in self.emits or (entity == "order" and (self.guests or "payment" in self.emits))

    def zone(self) -> tzinfo | None:
        """The shop's time zone, once its index was read."""
        return zone_of(self._state.get(ZONE))

    def learn(self, index: Record) -> None:
        """Take from the shop's index what records do not say: its time zone."""
        name = zone_name(index)
        self._note(ZONE, name)

    def _page(self, records: Iterable[Any], account: str, *more: str) -> AbstractContextManager[None]:
        """Read at once what is noted of these records: of the accounts they name, and `more` of the records."""
        rows = [record for record in records if isinstance(record, dict)]
        accounts = [number for row in rows if (number := key(row.get(account)))]
        names = [f"{kind}/{number}" for number in accounts for kind in ("account", "other", "consent")]
        names += [f"{kind}/{number}" for row in rows if (number := key(row.get("id"))) for kind in more]
        return self._state.page([ZONE, *names])

    def _note(self, name: str, value: Any) -> None:
        if self._state.get(name) != value:
            self._state.put({name: value})

    def _each(
        self, entity: str, records: Iterable[Any], read: Callable[[Record], list[Change]], odd: Odd | None
    ) -> list[Change]:
        changes: list[Change] = []
        for record in records:
            number = key(record.get("id")) if isinstance(record, dict) else None
            try:
                if number is None:
                    raise Broken("it has no id" if isinstance(record, dict) else "it is no record")
                changes += read(record)
            except _BROKEN as error:
                reason = str(error) if isinstance(error, Broken) else f"{type(error).__name__} in reading it"
                if odd is not None:
                    where = f"{entity} {number}" if number else f"a {entity} without a number"
                    odd(Unreadable(where=where, reason=reason, entity=entity, key=number))
                continue
            if odd is not None and (unread := mapping.unread_amounts(record)):
                said = f"no amount that can be read for certain: {', '.join(unread)}; taken as unknown"
                odd(Unreadable(where=f"{entity} {number}", reason=said, entity=entity, key=None))
        return changes

    # -- customers

    def customers(self, records: Iterable[Record], odd: Odd | None = None) -> list[Change]:
        """Changes of the accounts whose role makes them customers; one without a role is taken as one."""
        listed = list(records)
        with self._page(listed, "id"):
            return self._each("customer", listed, self._account, odd)

    def is_customer(self, record: Record) -> bool:
        """Whether an account's role makes it a customer. Shops older than the role in the API give none."""
        role = text(record.get("role"))
        return role is None or role in self._config.roles

    def _account(self, record: Record) -> list[Change]:
        number, erased = str(key(record["id"])), is_placeholder(address_of(record.get("email")))
        listed = self.is_customer(record)
        data = self._customer(cleaned(record) if erased else record)
        known = self.people.is_customer(number)
        person = Person(
            key=number,
            email=data.email,
            role="erased" if erased else text(record.get("role")),
            listed=listed and not erased,
            filled=data.billing.email is not None or not data.billing.is_empty() or data.phone is not None,
        )
        blanked = self.people.remember([person]) or (erased and known)
        if "customer" not in self.emits or not listed or (erased and not known):
            return []
        if blanked and self._config.on_erased == "forget":
            return [Change(entity="customer", key=number, op="forget")]
        return [
            self._state_of(
                record,
                data,
                replaces=(guest_key(data.email),) if record.get("email") and data.email and not erased else (),
            )
        ]

    def _customer(self, record: Record) -> Customer:
        keys = self._config.consent_keys
        data = mapping.customer(record, shop_url=self._url, consent_keys=keys, zone=self.zone())
        if keys and data.accepts_marketing is None:
            agreed = self._state.get(f"consent/{data.key}")
            if agreed is not None:
                data = evolve(data, accepts_marketing=agreed["value"], consent_at=mapping.moment(agreed["at"]))
        return data

    # -- orders

    def orders(self, records: Iterable[Record], asked: Asked | None = None, odd: Odd | None = None) -> list[Change]:
        """Per order: the order, the guest behind it and the payment it stands for, as far as they are wanted.

        An unfinished checkout gives nothing, a trashed order is a deleted one.
        """
        listed = list(records)
        with self._page(listed, "customer_id", "guest_of", "renewal"):
            return self._each("order", listed, lambda record: self._order(record, asked), odd)

    def strangers(self, records: Iterable[Record]) -> list[str]:
        """The buyers of these orders (or owners of these records) of whom nothing is known yet."""
        if "customer" not in self.emits:
            return []
        listed = list(records)
        owners = dict.fromkeys(k for r in listed if (k := key(r.get("customer_id"))))
        with self._page(listed, "customer_id"):
            return [owner for owner in owners if self.people.is_customer(owner) is None]

    def _order(self, record: Record, asked: Asked | None) -> list[Change]:
        status = str(record.get("status", ""))
        if status in DRAFTS:
            return []
        if status == TRASH:
            return [self.deleted("order", str(key(record["id"])), record)] if "order" in self.emits else []
        zone = self.zone()
        gone: list[Change] = []
        if is_erased(record):
            gone, record = self._erased_guest(record), cleaned(record)
        owner, changes = self._buyer(record)
        changes += self._remember_consent(record)
        if "order" in self.emits:
            data = mapping.order(
                record, owner=owner, shop_url=self._url, consent_keys=self._config.consent_keys, zone=zone
            )
            changes.append(self._state_of(record, data, owner=_customer_ref(owner)))
        if "payment" in self.emits and mapping.renewed(record) and (owner is not None or not self._is_remnant(record)):
            changes += self._payments(record, owner, asked)
        return [*gone, *changes]

    def _buyer(self, record: Record) -> tuple[str | None, list[Change]]:
        """The key of an order's customer, and the guest's change where it is one."""
        owner = self._owner(record)
        guest = _guest_of(record) if self.guests else None
        if owner is not None:
            self.people.billed(owner, guest)
            return owner, []
        account = key(record.get("customer_id"))
        if account is not None:
            self.people.bought(account)
            if not self._config.others_as_guests:
                return None, []
        if guest is None or self._is_remnant(record):
            return None, []
        placed = date_of(record, "date_created", self.zone())
        self._note(f"guest_of/{key(record['id'])}", guest)
        change = Change(
            entity="customer",
            key=guest,
            op="upsert",
            data=mapping.guest(record, guest, consent_keys=self._config.consent_keys, zone=self.zone()),
            version=_guest_version(placed, date_of(record, "date_modified", self.zone())),
            at=date_of(record, "date_modified", self.zone()),
        )
        return guest, [change]

    def _is_remnant(self, record: Record) -> bool:
        """Whether an order without a customer was placed by one who is gone since: it brings nobody back."""
        guest = _guest_of(record)
        return guest is not None and self.people.is_remnant(guest, date_of(record, "date_created", self.zone()))

    def _owner(self, record: Record) -> str | None:
        """The account that owns a record, unless it is known to be no customer: nobody waits for who never comes."""
        owner = key(record.get("customer_id"))
        if owner is None or "customer" not in self.emits:
            return owner
        return None if self.people.is_customer(owner) is False else owner

    def _erased_guest(self, record: Record) -> list[Change]:
        """The guest who was behind an order before it was erased: emptied at the targets, or forgotten there."""
        name = f"guest_of/{key(record['id'])}"
        guest = self._state.get(name)
        if guest is None or not self.guests:
            return []
        self._note(name, None)
        if self._config.on_erased == "forget":
            return [Change(entity="customer", key=guest, op="forget")]
        modified = date_of(record, "date_modified", self.zone())
        version = _guest_version(modified, modified)
        blank = Customer(key=guest, guest=True)
        return [Change(entity="customer", key=guest, op="upsert", data=blank, version=version, at=modified)]

    def _remember_consent(self, record: Record) -> list[Change]:
        """Keep what a checkout said about marketing: WooCommerce hides it from the customer's own record. That is to be
        read once more where it may have been read with another word: in a comparison accounts come before orders.
        """
        keys, customer = self._config.consent_keys, key(record.get("customer_id"))
        agreed = mapping.consent(record, keys) if keys and customer else None
        if agreed is None:
            return []
        name, at = f"consent/{customer}", str(record.get("date_created_gmt") or "")
        known = self._state.get(name)
        if known is None or (at, agreed) > (known["at"], known["value"]):
            self._note(name, {"value": agreed, "at": at})
            if known is not None and known["value"] != agreed and self._owner(record) is not None:
                return [Change(entity="customer", key=str(customer), op="touch")] if "customer" in self.emits else []
        return []

    # -- payments

    def note(self, record: Record) -> None:
        """Remember what an order shows of its renewal just now; it may look different when it is read again."""
        if is_renewal(record):
            self._history(record, None)

    def _payments(self, record: Record, owner: str | None, asked: Asked | None) -> list[Change]:
        """Every attempt to collect this renewal that is known of; what was told before is told with the same id."""
        subscription = asked.subscription(str(mapping.renewed(record))) if asked is not None else None
        history = self._history(record, asked, subscription)
        changes = [
            self._attempt(record, owner, f"failed:{failure.number}", history, failure, subscription)
            for failure in history.failures
            if failure.at
        ]
        paid = date_of(record, "date_paid", self.zone())
        if paid is not None:  # whatever became of the order since
            changes.append(self._attempt(record, owner, "paid", history, None, subscription))
        return changes

    def _history(self, record: Record, asked: Asked | None, subscription: Record | None = None) -> History:
        name = f"renewal/{key(record['id'])}"
        history = History.from_json(self._state.get(name))
        sight = self._sight(record, subscription)
        if not sight.kind and not history.failures:
            return history
        history = history.seen(sight)
        if asked is not None and history.failures and history.failures[-1].reason is None:
            history = history.explained(asked.reason(record))
        self._note(name, history.to_json())
        return history

    def _sight(self, record: Record, subscription: Record | None) -> Sight:
        status, version = str(record.get("status", "")), mapping.version(record, self.zone()) or 0
        if status == "failed":
            return Sight(version=version, kind="failed")
        # Once it is paid the mark of a failure before is an old one: somebody moved the order back by hand.
        owed = status in ("pending", "on-hold") and date_of(record, "date_paid", self.zone()) is None
        if owed and flag(mapping.meta_value(record, "_failed_renewal_order")):
            retry = mapping.retry_at(subscription) if subscription is not None else None
            return Sight(version=version, kind="waiting", retry=retry.isoformat() if retry is not None else "")
        return Sight(version=version, kind="")

    def _attempt(
        self,
        record: Record,
        owner: str | None,
        outcome: str,
        history: History,
        failure: Failure | None,
        subscription: Record | None,
    ) -> Change:
        paid = date_of(record, "date_paid", self.zone())
        at = paid if failure is None else datetime.fromisoformat(failure.at)
        data = mapping.payment(
            record,
            owner=owner,
            shop_url=self._url,
            succeeded=failure is None,
            attempt=len(history.failures) + 1 if failure is None else history.attempt(failure),
            at=at or self._clock.now(),
            reason=None if failure is None else failure.reason or None,
            retry_at=None if failure is None else mapping.moment(failure.retry),
            subscription=subscription,
            zone=self.zone(),
        )
        return Change(
            entity="payment",
            key=data.key,
            op="event",
            data=data,
            at=at,
            event_id=f"{data.key}:{outcome}",
            version=mapping.version(record, self.zone()),
            late_ok=True,
            owner=_customer_ref(owner),
        )

    def _state_of(self, record: Record, data: Customer | Order | Subscription, **values: Any) -> Change:
        version = mapping.version(record, self.zone())
        entity = type(data).entity
        return Change(
            entity=entity, key=data.key, op="upsert", data=data, version=version, at=data.updated_at, **values
        )

    # -- subscriptions and memberships

    def subscriptions(self, records: Iterable[Record], odd: Odd | None = None) -> list[Change]:
        """Subscriptions; a trashed one is a deleted one."""
        listed = list(records)
        with self._page(listed, "customer_id"):
            return self._each("subscription", listed, self._subscription, odd)

    def _subscription(self, record: Record) -> list[Change]:
        if "subscription" not in self.emits or record.get("status") in DRAFTS:
            return []
        if record.get("status") == TRASH:
            return [self.deleted("subscription", str(key(record["id"])), record)]
        if is_erased(record):
            record = cleaned(record)
        owner = self._owner(record)
        data = mapping.subscription(record, owner=owner, shop_url=self._url, zone=self.zone())
        return [self._state_of(record, data, owner=_customer_ref(owner))]

    def memberships(self, records: Iterable[Record], odd: Odd | None = None) -> list[Change]:
        """Members. The record has no modified date, so the later observation wins."""
        if "membership" not in self.emits:
            return []
        plans = self._state.get("plans") or {}
        return self._each("membership", records, lambda record: self._membership(record, plans), odd)

    def _membership(self, record: Record, plans: Mapping[str, Record]) -> list[Change]:
        if record.get("status") == TRASH:
            return []
        owner, product = self._owner(record), key(record.get("product_id"))
        data = mapping.membership(
            record,
            owner=owner,
            plan=plans.get(str(key(record.get("plan_id")))),
            product=self._state.get(f"product/{product}") if product else None,
            zone=self.zone(),
        )
        return [Change(entity="membership", key=data.key, op="upsert", data=data, owner=_customer_ref(owner))]

    def plans(self, records: Iterable[Record]) -> None:
        """Remember plans: a member's record names its plan by id only."""
        known: dict[str, Mapping[str, Any]] = self._state.get("plans") or {}
        seen = {
            number: {"slug": text(record.get("slug")), "name": text(record.get("name"))}
            for record in records
            if isinstance(record, dict) and (number := key(record.get("id")))
        }
        if any(known.get(number) != plan for number, plan in seen.items()):
            self._state.put({"plans": {**known, **seen}})

    def unnamed(self, records: Iterable[Record]) -> tuple[list[str], list[str]]:
        """Plans and products of these members whose names are not known yet."""
        rows = [record for record in records if isinstance(record, dict)]
        known = self._state.get("plans") or {}
        plans = dict.fromkeys(k for r in rows if (k := key(r.get("plan_id"))) and k not in known)
        products = dict.fromkeys(k for r in rows if (k := key(r.get("product_id"))))
        return list(plans), [k for k in products if self._state.get(f"product/{k}") is None]

    def products(self, records: Iterable[Record]) -> None:
        """Remember the names of products."""
        names = {
            f"product/{number}": name
            for record in records
            if isinstance(record, dict) and (number := key(record.get("id"))) and (name := text(record.get("name")))
        }
        if news := {name: value for name, value in names.items() if self._state.get(name) != value}:
            self._state.put(news)

    # -- deletions

    def deleted(self, entity: str, number: str, record: Record | None = None) -> Change:
        """The record is gone; `record` is what the trash still shows of it."""
        if entity == "customer":
            if self.guests:
                self.people.leave(number, self._clock.now())
            if self._config.consent_keys:
                self._state.put({f"consent/{number}": None})
        version = None if record is None else mapping.version(record, self.zone())
        return Change(entity=entity, key=number, op="delete", version=version)


def is_renewal(record: Record) -> bool:
    """Whether an order renews a subscription."""
    return mapping.renewed(record) is not None


def _guest_of(record: Record) -> str | None:
    """The key of the buyer of an order as a guest; None where it has no address."""
    email = address_of(mapped(record.get("billing")).get("email"))
    return guest_key(email) if email and normalize_email(email) else None


def _guest_version(placed: datetime | None, modified: datetime | None) -> int | None:
    """Grows with the newest order of a guest, which knows the person best, and then with each change of that order."""
    if placed is None:
        return None
    later = int((modified - placed).total_seconds()) if modified is not None else 0
    return int(placed.timestamp()) * 1_000_000_000 + max(0, min(later, 999_999_999))


def _customer_ref(owner: str | None) -> EntityRef | None:
    return None if owner is None else EntityRef("customer", owner)
