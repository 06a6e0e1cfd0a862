"""What can be written, and how a shop's entities become it unless a route says otherwise."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from synccore.errors import ConfigError
from synccore.types import Defaults, FieldInfo, FieldOptions, ObjectInfo, ObjectType, RouteSpec

from ..config import Config
from ..events import STEERING
from ..profile import ATTRIBUTES

__all__ = ["check_settings", "describe", "objects"]

#: WooCommerce Subscriptions pauses and reactivates memberships while it renews; that long a change is held back.
SETTLE = timedelta(minutes=5)

_OWNED = "memberships, subscriptions, orders, payments"

_OPTIONS: Mapping[str, Mapping[str, tuple[type, Any, str]]] = {
    "profile": {
        "on_opt_out": (str, "unsubscribe", "what a fresh opt-out does: unsubscribe, suppress or nothing"),
        "on_delete": (str, "keep", "what a customer deleted in the shop means: keep, suppress or erase"),
        "on_conflict": (
            str,
            "adopt",
            "when a new e-mail address has a profile already: adopt it, or merge the old into it",
        ),
    },
    "event": {"backfill": (bool, False, "send events for the past too; they fire no flow")},
}
#: The shop's own words, which say what changed.
_SAYABLE = frozenset(
    {
        *("metric", "status", "PlanKey", "PlanName", "PlanId", "PlanKeys", "ActivePlans"),
        *("ProductName", "ProductNames", "BillingPeriod", "Store"),
    }
)
_CHOICES = {
    "on_opt_out": ("unsubscribe", "suppress", "nothing"),
    "on_delete": ("keep", "suppress", "erase"),
    "on_conflict": ("adopt", "merge"),
}


def objects(config: Config | None = None) -> tuple[ObjectType, ...]:
    """The objects with default mappings, shaped by `prefix`, `use_external_id` and `commerce_events`."""
    prefix = config.prefix if config else "woo_"
    external = config.use_external_id if config else False
    commerce = config.commerce_events if config else False
    events = {
        "membership": _membership(),
        "customer": _member(),
        "subscription": _subscription(),
        "payment": _payment(with_value=not commerce),
    }
    if commerce:
        events["order"] = _order()
    return (
        ObjectType(
            name="profile",
            summary="a person, with every plan and subscription as flat properties",
            defaults={"customer": _profile(prefix, external=external)},
            options=_OPTIONS["profile"],
            leaves=("keep", "clear", "delete"),
            by_address=True,
        ),
        ObjectType(
            name="event",
            summary="something that happened to a person, recorded once",
            defaults=events,
            options=_OPTIONS["event"],
            # Klaviyo gives events back without their unique_id.
            readable=False,
            sayable=_SAYABLE,
        ),
    )


def check_settings(routes: Sequence[RouteSpec]) -> None:
    """Raises ConfigError for a route's setting that is none of its choices, and for routes that fight each other."""
    _check_prefixes(routes)
    for route in routes:
        for name, choices in _CHOICES.items():
            if name in route.settings and route.settings[name] not in choices:
                raise ConfigError(
                    f"{name} is one of {', '.join(choices)}, not {route.settings[name]!r}",
                    path=f"routes.{route.name}.{name}",
                )


def _check_prefixes(routes: Sequence[RouteSpec]) -> None:
    """Two shops that write the same properties of one person: whether somebody is a member would flap between them."""
    written: dict[Any, RouteSpec] = {}
    for route in routes:
        expression = route.fields.get("properties")
        if route.object != "profile" or expression is None:
            continue
        other = written.setdefault(expression, route)
        if other.source != route.source:
            raise ConfigError(
                f"{other.source} (route {other.name}) and {route.source} write the same properties: for whoever buys in"
                " both the last writer wins. Make a second sink with the same api_key and another prefix for one of"
                " them, or write `properties` on the route with a prefix of its own",
                path=f"routes.{route.name}",
            )


def describe(routes: Sequence[RouteSpec]) -> list[ObjectInfo]:
    """Klaviyo's own fields, and every other name the routes use: any name is a property there."""
    profile = [
        FieldInfo(name="email", label="Email", type="email", length=100, unique=True),
        FieldInfo(name="phone_number", label="Phone number", type="phone", unique=True, help="E.164"),
        FieldInfo(name="external_id", label="External ID", unique=True),
        *(FieldInfo(name=n, label=n.replace("_", " ").capitalize()) for n in ATTRIBUTES[3:]),
        FieldInfo(
            name="location", label="Location", type="object", help="address1, address2, city, region, zip, country"
        ),
        FieldInfo(
            name="properties", label="Custom properties", type="object", help="name -> value; absent names go away"
        ),
        FieldInfo(
            name="accepts_marketing", label="Marketing consent", type="boolean", help="only a fresh change travels"
        ),
        FieldInfo(name="consent_at", label="Consent recorded at", type="datetime"),
    ]
    event = [FieldInfo(name=n, type="string", help=h) for n, h in STEERING.items()]
    return [
        ObjectInfo(name="profile", label="Profile", fields=_with_routes(profile, "profile", routes)),
        ObjectInfo(name="event", label="Event", fields=_with_routes(event, "event", routes)),
    ]


def _with_routes(known: Sequence[FieldInfo], name: str, routes: Sequence[RouteSpec]) -> tuple[FieldInfo, ...]:
    names = {f.name for f in known}
    used = {n for r in routes if r.object == name for n in r.fields} - names
    return (*known, *(FieldInfo(name=n, label=n, type="any", help="custom property") for n in sorted(used)))


def _profile(prefix: str, *, external: bool) -> Defaults:
    fields: dict[str, Any] = {
        "email": "customer | klaviyo_email",
        "first_name": "customer.person.first",
        "last_name": "customer.person.last",
        "phone_number": "customer.phone | phone(customer.billing.country)",
        "organization": "customer.company or customer.billing.company",
        "locale": "customer.locale",
        "location": "customer.billing | klaviyo_location",
        "properties": f"customer | klaviyo_profile('{prefix}', {_OWNED}, source=source)",
        "accepts_marketing": "customer.accepts_marketing",
        "consent_at": "customer.consent_at",
    }
    if external:
        fields["external_id"] = "uid"
    include = ("membership", "subscription", "order", "payment")
    # Who the person is and what they consented to goes at once; what renewals shake waits until it settles.
    return Defaults(
        fields=fields, options={"properties": FieldOptions(delay=SETTLE)}, match=("email",), include=include
    )


def _membership() -> Defaults:
    fields = {
        "metric": "'Changed Membership Status'",
        "email": "customer | klaviyo_email",
        "customer_key": "membership.customer_key",
        "status": "membership.status",
        "since": "membership.created_at or membership.started_at",
        "PlanKey": "membership | klaviyo_plan(source)",
        "PlanName": "membership.plan_name",
        "PlanId": "membership.plan_key",
        "ProductName": "membership.product_name",
        "MembershipId": "membership.key",
        "StartsAt": "membership.started_at | klaviyo_time",
        "EndsAt": "membership.ends_at | klaviyo_time",
        "ActivePlans": "memberships | klaviyo_active_plans(source)",
        "Store": "source",
    }
    return Defaults(fields=fields, include=("membership",), compare=("status",), delay=SETTLE)


def _member() -> Defaults:
    """Became Member and Lost Membership: access over all plans together."""
    fields = {
        "email": "customer | klaviyo_email",
        "customer_key": "customer.key",
        "is_member": "memberships | klaviyo_is_member",
        "since": "memberships | klaviyo_member_since",
        "time": "memberships | klaviyo_changed_at",
        "ActivePlans": "memberships | klaviyo_active_plans(source)",
        "Store": "source",
    }
    return Defaults(fields=fields, include=("membership",), compare=("is_member",), delay=SETTLE)


def _subscription() -> Defaults:
    fields = {
        "email": "customer | klaviyo_email(subscription)",
        "customer_key": "subscription.customer_key",
        "status": "subscription.status",
        "since": "subscription.created_at or subscription.started_at",
        "SubscriptionId": "subscription.key",
        "OrderId": "subscription.order_key",
        "ProductNames": "subscription | klaviyo_products",
        "SKUs": "subscription | klaviyo_skus",
        "PlanKeys": "memberships | klaviyo_plans_of(subscription.key, source)",
        "NextPaymentAt": "subscription.next_payment_at | klaviyo_time",
        "TrialEndsAt": "subscription.trial_ends_at | klaviyo_time",
        "EndsAt": "subscription.ends_at | klaviyo_time",
        "BillingPeriod": "subscription.billing_period",
        "BillingInterval": "subscription.billing_interval",
        "Items": "subscription | klaviyo_items",
        "Store": "source",
    }
    return Defaults(fields=fields, include=("membership",), compare=("status",), delay=SETTLE)


def _payment(*, with_value: bool) -> Defaults:
    fields = {
        "metric": "'Renewed Subscription' if payment.succeeded else 'Failed Subscription Renewal'",
        "email": "customer | klaviyo_email(payment)",
        "customer_key": "payment.customer_key",
        "time": "payment.at",
        "SubscriptionId": "payment.subscription_key",
        "OrderId": "payment.order_key",
        "Amount": "payment.amount",
        "Currency": "payment.currency",
        "Attempt": "payment.attempt",
        "RenewalNumber": "payment.renewal_number",
        "FailureReason": "payment.reason",
        "RetryAt": "payment.retry_at | klaviyo_time",
        "NextPaymentAt": "payment.next_payment_at | klaviyo_time",
        "PaymentMethod": "payment.payment_method",
        "ProductNames": "payment | klaviyo_products",
        "SKUs": "payment | klaviyo_skus",
        "Items": "payment | klaviyo_items",
        "Store": "source",
    }
    if with_value:
        # With Placed Order for the renewal's order beside it, the same money would count twice.
        fields["value"] = "payment.amount if payment.succeeded else none"
        fields["value_currency"] = "payment.currency if payment.succeeded else none"
    return Defaults(fields=fields)


def _order() -> Defaults:
    fields = {
        "email": "customer | klaviyo_email(order)",
        "customer_key": "order.customer_key",
        "status": "order.status",
        "refunds": "order | klaviyo_refunds",
        "placed_at": "order.created_at | klaviyo_time",
        "completed_at": "order.completed_at | klaviyo_time",
        "value": "order.total",
        "value_currency": "order.currency",
        "OrderId": "order.key",
        "OrderNumber": "order.number",
        "SubscriptionId": "order.subscription_key",
        "ItemNames": "order | klaviyo_products",
        "SKUs": "order | klaviyo_skus",
        "Categories": "order | klaviyo_categories",
        "DiscountCode": "order.coupons | map(attribute='code') | join(', ')",
        "DiscountValue": "order.discount_total",
        "BillingAddress": "order.billing | klaviyo_address",
        "ShippingAddress": "order.shipping | klaviyo_address",
        "Items": "order | klaviyo_items",
        "Store": "source",
    }
    return Defaults(fields=fields, compare=("status", "refunds"))
