"""The canonical shapes that sources translate into and sinks read.

One vocabulary for every shop: a sink never sees a shop's own JSON except under `raw`. Times are aware UTC, money is
`Decimal` in the currency's major unit, absent text is None (never an empty string), countries are ISO 3166-1 alpha-2.

    customer      a person who buys; `key` is the shop's id, or `guest:<hash>` for a buyer without an account
    order         a purchase; owned by its customer
    membership    a customer's place in a plan; owned by its customer
    subscription  a recurring order; owned by its customer
    payment       one renewal attempt, a fact (delivered as an event); owned by its customer
"""

import hashlib
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from attrs import field, frozen

from ._plain import Plain
from ._swift import swift

__all__ = [
    "ENTITIES",
    "FACTS",
    "PLURALS",
    "Address",
    "Coupon",
    "Customer",
    "Entity",
    "Fee",
    "Membership",
    "Order",
    "OrderLine",
    "Payment",
    "PersonName",
    "Refund",
    "Subscription",
    "guest_key",
    "normalize_email",
]


def normalize_email(email: str) -> str:
    """The form e-mail addresses are compared in: trimmed, Unicode NFC, lower case. Dots and +tags stay."""
    email = email.strip()
    return (email if email.isascii() else unicodedata.normalize("NFC", email)).lower()


def guest_key(email: str) -> str:
    """The key of a buyer without an account: a hash of the normalised address, so that keys carry no personal data."""
    return "guest:" + hashlib.sha256(normalize_email(email).encode()).hexdigest()[:32]


@swift
@frozen(kw_only=True, weakref_slot=False)
class Address(Plain):
    """A postal address with the contact data that shops keep beside it."""

    first_name: str | None = None
    last_name: str | None = None
    company: str | None = None
    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    postcode: str | None = None
    #: State, province or region: a code where the shop has one ("NY", "DE-NW" is given as "NW"), else free text.
    state: str | None = None
    #: ISO 3166-1 alpha-2, upper case.
    country: str | None = None
    email: str | None = None
    #: As typed by the buyer; use the `e164` filter with `country`.
    phone: str | None = None

    def is_empty(self) -> bool:
        """True where no postal part is known (a country alone does not make an address)."""
        return not any((self.line1, self.line2, self.city, self.postcode))


#: An address of which nothing is known.
NOWHERE = Address()


@frozen(kw_only=True)
class PersonName(Plain):
    """A person's name as one place holds it."""

    first: str | None = None
    last: str | None = None

    @property
    def full(self) -> str | None:
        """First and last name joined, or None."""
        return " ".join(p for p in (self.first, self.last) if p) or None


@frozen(kw_only=True)
class _Record(Plain):
    """What every entity has."""

    #: The source's key, unique per source and entity.
    key: str
    created_at: datetime | None = None
    #: When the source says it last changed. Not part of the fingerprint.
    updated_at: datetime | None = None
    #: Further values by the source's own keys (WordPress meta data). Part of the fingerprint.
    meta: Mapping[str, Any] = field(factory=dict)
    #: The record as the source gave it. Not part of the fingerprint.
    raw: Mapping[str, Any] = field(factory=dict, repr=False)


@swift
@frozen(kw_only=True)
class Customer(_Record):
    """A person who buys, with or without an account."""

    entity: ClassVar[str] = "customer"

    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    #: The contact number as typed (billing phone where the shop has no other).
    phone: str | None = None
    company: str | None = None
    username: str | None = None
    role: str | None = None
    guest: bool = False
    paying: bool | None = None
    #: BCP 47, for instance "en-US".
    locale: str | None = None
    billing: Address = NOWHERE
    shipping: Address = NOWHERE
    #: Marketing consent: True opted in, False opted out, None unknown. Absence is never consent.
    accepts_marketing: bool | None = None
    #: When the consent above was recorded, if the source knows.
    consent_at: datetime | None = None
    #: The customer's page in the shop's admin, for people.
    admin_url: str | None = None
    # Derived by core from owned orders where the route includes `order`; None otherwise.
    order_count: int | None = None
    total_spent: Decimal | None = None
    last_order_at: datetime | None = None

    @property
    def name(self) -> str | None:
        """First and last name joined, or None."""
        return self.person.full

    @property
    def person(self) -> PersonName:
        """The name of the account, else of the billing address, else of the shipping address: never a mix of two."""
        for place in (self, self.billing, self.shipping):
            if place.first_name or place.last_name:
                return PersonName(first=place.first_name, last=place.last_name)
        return PersonName()


@swift
@frozen(kw_only=True, weakref_slot=False)
class OrderLine(Plain):
    """One position of an order or subscription."""

    key: str
    name: str
    quantity: Decimal = Decimal(1)
    product_key: str | None = None
    variation_key: str | None = None
    sku: str | None = None
    #: Price of one unit after discounts, without tax.
    price: Decimal | None = None
    subtotal: Decimal | None = None
    total: Decimal | None = None
    tax: Decimal | None = None
    product_url: str | None = None
    image_url: str | None = None
    categories: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(factory=dict)


@swift
@frozen(kw_only=True, weakref_slot=False)
class Refund(Plain):
    """Money given back on an order; `amount` is positive."""

    key: str
    amount: Decimal
    reason: str | None = None


@swift
@frozen(kw_only=True, weakref_slot=False)
class Fee(Plain):
    """An extra charge on an order."""

    key: str
    name: str
    total: Decimal


@swift
@frozen(kw_only=True, weakref_slot=False)
class Coupon(Plain):
    """A discount code used on an order."""

    code: str
    discount: Decimal | None = None


@swift
@frozen(kw_only=True)
class Order(_Record):
    """A purchase."""

    entity: ClassVar[str] = "order"

    number: str
    #: The shop's word without prefix: pending, processing, on-hold, completed, cancelled, refunded, failed, ...
    status: str
    currency: str
    #: None where the shop's amount cannot be read for certain: it is unknown, not 0.
    total: Decimal | None
    customer_key: str | None = None
    subtotal: Decimal | None = None
    discount_total: Decimal | None = None
    shipping_total: Decimal | None = None
    tax_total: Decimal | None = None
    paid_at: datetime | None = None
    completed_at: datetime | None = None
    email: str | None = None
    billing: Address = NOWHERE
    shipping: Address = NOWHERE
    lines: tuple[OrderLine, ...] = ()
    refunds: tuple[Refund, ...] = ()
    fees: tuple[Fee, ...] = ()
    coupons: tuple[Coupon, ...] = ()
    payment_method: str | None = None
    payment_title: str | None = None
    transaction_id: str | None = None
    customer_note: str | None = None
    #: How it came about: checkout, admin, rest-api, subscription, ...
    created_via: str | None = None
    #: The subscription this order renews, if it does.
    subscription_key: str | None = None
    accepts_marketing: bool | None = None
    admin_url: str | None = None

    @property
    def refunded(self) -> Decimal:
        """The sum of all refunds."""
        return sum((r.amount for r in self.refunds), Decimal(0))


@swift
@frozen(kw_only=True)
class Membership(_Record):
    """A customer's place in a membership plan."""

    entity: ClassVar[str] = "membership"

    #: active, free_trial, delayed, complimentary, pending (to be cancelled), paused, expired, cancelled.
    status: str
    plan_key: str
    customer_key: str | None = None
    plan_name: str | None = None
    plan_slug: str | None = None
    product_key: str | None = None
    product_name: str | None = None
    order_key: str | None = None
    subscription_key: str | None = None
    started_at: datetime | None = None
    ends_at: datetime | None = None
    paused_at: datetime | None = None
    cancelled_at: datetime | None = None

    @property
    def grants_access(self) -> bool:
        """True while the status lets the member in."""
        return self.status in ("active", "free_trial", "complimentary", "pending")


@swift
@frozen(kw_only=True)
class Subscription(_Record):
    """A recurring order."""

    entity: ClassVar[str] = "subscription"

    #: pending, active, on-hold, pending-cancel, cancelled, switched, expired.
    status: str
    currency: str
    #: None where the shop's amount cannot be read for certain.
    total: Decimal | None
    customer_key: str | None = None
    order_key: str | None = None
    #: day, week, month, year
    billing_period: str | None = None
    billing_interval: int | None = None
    started_at: datetime | None = None
    trial_ends_at: datetime | None = None
    next_payment_at: datetime | None = None
    #: When a failed renewal is tried again, where the shop does that by itself and says when.
    retry_at: datetime | None = None
    last_payment_at: datetime | None = None
    cancelled_at: datetime | None = None
    ends_at: datetime | None = None
    email: str | None = None
    billing: Address = NOWHERE
    shipping: Address = NOWHERE
    lines: tuple[OrderLine, ...] = ()
    payment_method: str | None = None
    payment_title: str | None = None

    @property
    def is_active(self) -> bool:
        """True while it renews or is still paid for."""
        return self.status in ("active", "pending-cancel")


@swift
@frozen(kw_only=True)
class Payment(_Record):
    """One attempt to collect a renewal: a fact, delivered as an event, each exactly once and in order."""

    entity: ClassVar[str] = "payment"

    succeeded: bool
    #: None where the shop's amount cannot be read for certain.
    amount: Decimal | None
    currency: str
    at: datetime
    customer_key: str | None = None
    subscription_key: str | None = None
    order_key: str | None = None
    #: 1 for the first attempt at this renewal.
    attempt: int = 1
    #: Which renewal of the subscription it is, if known.
    renewal_number: int | None = None
    reason: str | None = None
    retry_at: datetime | None = None
    next_payment_at: datetime | None = None
    payment_method: str | None = None
    email: str | None = None
    lines: tuple[OrderLine, ...] = ()


Entity = Customer | Order | Membership | Subscription | Payment

#: Entity word to class; the closed vocabulary of `Change.entity`.
ENTITIES: Mapping[str, type[Entity]] = {c.entity: c for c in (Customer, Order, Membership, Subscription, Payment)}
#: Entities that are facts, delivered as events: each is sent once, there is no newer state to compare or to send again.
FACTS = frozenset({Payment.entity})
#: Entity word to the name under which a route's `include` shows it in expressions.
PLURALS: Mapping[str, str] = {name: name + "s" for name in ENTITIES}
