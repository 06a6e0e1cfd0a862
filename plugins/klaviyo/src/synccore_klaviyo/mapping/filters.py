"""Filters for expressions: pure functions from entities to flat values that Klaviyo can segment on.

Klaviyo segments on text, number, date, boolean and on exact items of a list, never on nested objects. So each plan
gets properties of its own side by side, and lists hold tokens that say one thing each (`gold:paused`).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from synccore.entities import Address, Customer, Membership, Order, OrderLine, Payment, Subscription, normalize_email
from synccore.values import json_number

from ..plans import by_slug
from ..profile import iso

__all__ = ["FILTERS", "named"]

#: How many subscriptions the list for templates holds.
SUBSCRIPTIONS_LIMIT = 20
#: A membership or subscription that counts comes before one that is over, when one plan is held twice.
_RANK = ("active", "complimentary", "free_trial", "pending", "delayed", "paused", "expired", "cancelled")


def email(*records: Any) -> str | None:
    """The first e-mail address among records (customer, order ...), lower case; None where none has one."""
    for record in records:
        for candidate in (getattr(record, "email", None), getattr(getattr(record, "billing", None), "email", None)):
            if isinstance(candidate, str) and candidate.strip():
                return normalize_email(candidate)
        if isinstance(record, str) and record.strip():
            return normalize_email(record)
    return None


#: Names of Klaviyo's -> attributes of an address.
_LOCATION = {
    "address1": "line1",
    "address2": "line2",
    "city": "city",
    "region": "state",
    "zip": "postcode",
    "country": "country",
}
_ADDRESS = {
    "FirstName": "first_name",
    "LastName": "last_name",
    "Company": "company",
    "Address1": "line1",
    "Address2": "line2",
    "City": "city",
    "Region": "state",
    "Zip": "postcode",
    "CountryCode": "country",
}


def _parts(address: Any, names: Mapping[str, str]) -> dict[str, str] | None:
    if not isinstance(address, Address):
        return None
    parts = {name: getattr(address, attribute) for name, attribute in names.items()}
    return {name: part for name, part in parts.items() if part} or None


def location(address: Any) -> dict[str, str] | None:
    """An address as Klaviyo's `location`; None where nothing of it is known."""
    return _parts(address, _LOCATION)


#: Gives a plan its name for property names: (membership, source) -> name.
Namer = Callable[[Membership, str], str]


def active_plans(memberships: Any, source: str = "", *, name: Namer = by_slug) -> list[str] | None:
    """Names of the plans that let the customer in, sorted, each once; None where memberships are not known."""
    return None if memberships is None else sorted({name(m, source) for m in memberships if m.grants_access})


def is_member(memberships: Any) -> bool | None:
    """True where any plan lets the customer in; None where memberships are not known."""
    return None if memberships is None else any(m.grants_access for m in memberships)


def plans_of(
    memberships: Any, subscription_key: str | None, source: str = "", *, name: Namer = by_slug
) -> list[str] | None:
    """Names of the plans that a subscription pays for, sorted; None where memberships are not known."""
    if memberships is None:
        return None
    paid = (m for m in memberships if m.subscription_key and m.subscription_key == subscription_key)
    return sorted({name(m, source) for m in paid})


def member_since(memberships: Any) -> datetime | None:
    """Since when a plan lets the customer in, as far as the memberships' dates tell."""
    begun = (m.started_at or m.created_at for m in memberships or () if m.grants_access)
    return min((t for t in begun if t is not None), default=None)


def changed_at(memberships: Any) -> datetime | None:
    """When the newest change of status among memberships happened, as far as their dates tell."""
    return max((t for m in memberships or () if (t := _changed_at(m)) is not None), default=None)


def _changed_at(membership: Membership) -> datetime | None:
    ended = {"paused": membership.paused_at, "cancelled": membership.cancelled_at, "expired": membership.ends_at}
    return membership.updated_at or ended.get(membership.status, membership.started_at or membership.created_at)


def time(value: Any) -> str | None:
    """A time as Klaviyo's date properties want it: ISO 8601 in UTC, to the second."""
    return iso(value) if isinstance(value, datetime) else None


def products(record: Subscription | Order | Payment) -> list[str]:
    """Names of the products of a subscription, order or payment, each once, in order."""
    return list(dict.fromkeys(line.name for line in record.lines if line.name))


def skus(record: Subscription | Order | Payment) -> list[str]:
    """SKUs of the products, each once, in order."""
    return list(dict.fromkeys(line.sku for line in record.lines if line.sku))


def lines(record: Subscription | Order | Payment) -> list[dict[str, Any]]:
    """The positions as Klaviyo's `Items`: for templates, not for segments."""
    return [_item(line) for line in record.lines]


def categories(record: Subscription | Order | Payment) -> list[str]:
    """Categories of all positions, sorted."""
    return sorted({c for line in record.lines for c in line.categories})


def refunds(order: Order) -> list[dict[str, Any]]:
    """The refunds of an order: id, amount, reason."""
    return [
        {k: v for k, v in (("id", r.key), ("amount", json_number(r.amount)), ("reason", r.reason)) if v is not None}
        for r in order.refunds
    ]


def address(value: Any) -> dict[str, str] | None:
    """An address for templates, named as Klaviyo's shop integrations do."""
    return _parts(value, _ADDRESS)


def profile(
    customer: Customer,
    prefix: str = "",
    memberships: Any = None,
    subscriptions: Any = None,
    orders: Any = None,
    payments: Any = None,
    *,
    source: str = "",
    name: Namer = by_slug,
) -> dict[str, Any]:
    """All properties of a customer under `prefix`: plans and subscriptions side by side, the whole state.

    What the route does not include is None and says nothing.
    """
    found: dict[str, Any] = {"customer_id": customer.key}
    if customer.order_count is not None:
        found |= {"order_count": customer.order_count, "total_spent": json_number(customer.total_spent)}
        found["last_order_at"] = time(customer.last_order_at)
    if memberships is not None:
        found |= _membership_properties(memberships, lambda m: name(m, source))
    if subscriptions is not None:
        found |= _subscription_properties(subscriptions, orders or (), payments or ())
        retry = max((s.retry_at for s in subscriptions if s.retry_at), default=None)
        if payments is None and (retry is not None or orders is None):
            # Of attempts nothing is known but that another one is planned; till then the order waits and is not failed.
            found |= {"payment_failing": True if retry else None, "payment_retry_at": time(retry)}
    return {prefix + k: v for k, v in found.items() if v is not None}


def _membership_properties(memberships: Sequence[Membership], name: Callable[[Membership], str]) -> dict[str, Any]:
    held: dict[str, Membership] = {}
    for membership in sorted(memberships, key=_membership_order):
        held.setdefault(name(membership), membership)
    found: dict[str, Any] = {
        "is_member": any(m.grants_access for m in held.values()),
        "active_plans": sorted(plan for plan, m in held.items() if m.grants_access),
        "membership_states": sorted(f"{plan}:{m.status}" for plan, m in held.items()),
    }
    for plan, membership in sorted(held.items()):
        found |= {
            f"plan_{plan}_status": membership.status,
            f"plan_{plan}_since": time(membership.started_at),
            f"plan_{plan}_ends_at": time(membership.ends_at),
            f"plan_{plan}_product": membership.product_name,
        }
    return found


def _membership_order(membership: Membership) -> tuple[int, float, str]:
    rank = _RANK.index(membership.status) if membership.status in _RANK else len(_RANK)
    return rank, -_stamp(membership.started_at or membership.created_at), membership.key


def _subscription_properties(
    subscriptions: Sequence[Subscription], orders: Sequence[Order], payments: Sequence[Payment]
) -> dict[str, Any]:
    active = sorted((s for s in subscriptions if s.is_active), key=lambda s: s.key)
    renewing = sorted(
        (s for s in active if s.status == "active" and s.next_payment_at),
        key=lambda s: (_stamp(s.next_payment_at), s.key),
    )
    failed = [p.at for p in payments if not p.succeeded]
    renewals = [o for o in orders if o.subscription_key and o.status == "failed"]
    failed += [t for o in renewals if (t := o.updated_at or o.created_at) is not None]
    paid = [p.at for p in payments if p.succeeded]
    paid += [s.last_payment_at for s in subscriptions if s.last_payment_at]
    last_failed, last_paid = max(failed, default=None), max(paid, default=None)
    failing = _failing(subscriptions, last_failed, last_paid)
    retries = [p.retry_at for p in payments if not p.succeeded and p.at == last_failed and p.retry_at]
    trials = [s.trial_ends_at for s in active if s.trial_ends_at]
    found: dict[str, Any] = {
        "subscription_states": sorted({s.status for s in subscriptions}),
        "active_subscription_count": len(active),
        "active_subscription_products": sorted({name for s in active for name in products(s)}),
        "last_renewal_at": time(last_paid),
        "last_renewal_failed_at": time(last_failed),
        "payment_failing": failing,
        "payment_retry_at": time(max(retries, default=None)) if failing else None,
        "trial_ends_at": time(max(trials, default=None)),
    }
    if renewing:
        found["next_renewal_at"] = time(renewing[0].next_payment_at)
        found["next_renewal_product"] = next(iter(products(renewing[0])), None)
    if subscriptions:
        newest = sorted(subscriptions, key=lambda s: (not s.is_active, -_stamp(s.started_at or s.created_at), s.key))
        found["subscriptions"] = [_subscription(s) for s in newest[:SUBSCRIPTIONS_LIMIT]]
    return found


def _failing(subscriptions: Sequence[Subscription], failed: datetime | None, paid: datetime | None) -> bool:
    """True while the newest renewal attempt failed and something is still there to be paid for."""
    alive = any(s.is_active or s.status == "on-hold" for s in subscriptions)
    return alive and failed is not None and (paid is None or failed > paid)


def _subscription(subscription: Subscription) -> dict[str, Any]:
    found = {
        "id": subscription.key,
        "status": subscription.status,
        "products": products(subscription),
        "total": json_number(subscription.total),
        "currency": subscription.currency,
        "period": subscription.billing_period,
        "interval": subscription.billing_interval,
        "next_payment_at": time(subscription.next_payment_at),
        "trial_ends_at": time(subscription.trial_ends_at),
        "ends_at": time(subscription.ends_at),
    }
    return {k: v for k, v in found.items() if v is not None}


def _item(line: OrderLine) -> dict[str, Any]:
    found = {
        "ProductID": line.product_key,
        "SKU": line.sku,
        "ProductName": line.name,
        "Quantity": json_number(line.quantity),
        "ItemPrice": json_number(line.price),
        "RowTotal": json_number(line.total),
        "ProductURL": line.product_url,
        "ImageURL": line.image_url,
        "Categories": list(line.categories) or None,
        "LineID": line.key,
    }
    # Nested values are kept with the link as JSON, so they take their final form here.
    return {k: v for k, v in found.items() if v is not None}


def _stamp(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0


FILTERS: Mapping[str, Callable[..., Any]] = {
    "klaviyo_active_plans": active_plans,
    "klaviyo_address": address,
    "klaviyo_categories": categories,
    "klaviyo_changed_at": changed_at,
    "klaviyo_email": email,
    "klaviyo_is_member": is_member,
    "klaviyo_items": lines,
    "klaviyo_location": location,
    "klaviyo_member_since": member_since,
    "klaviyo_plan": by_slug,
    "klaviyo_plans_of": plans_of,
    "klaviyo_products": products,
    "klaviyo_profile": profile,
    "klaviyo_refunds": refunds,
    "klaviyo_skus": skus,
    "klaviyo_time": time,
}


def named(name: Namer) -> Mapping[str, Callable[..., Any]]:
    """The filters that name plans, with the names one sink has given."""
    return {
        "klaviyo_active_plans": partial(active_plans, name=name),
        "klaviyo_plan": name,
        "klaviyo_plans_of": partial(plans_of, name=name),
        "klaviyo_profile": partial(profile, name=name),
    }
