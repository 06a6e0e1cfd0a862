"""From the shop's JSON to the canonical entities.

Dates arrive as UTC without a suffix (`..._gmt`), money as text, unset text as "".
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any

from synccore import values
from synccore.entities import (
    Address,
    Coupon,
    Customer,
    Fee,
    Membership,
    Order,
    OrderLine,
    Payment,
    Refund,
    Subscription,
)

from ..client import Record
from ..php import Broken, address_of, flag, key, listed, mapped, rows, text, whole
from .dates import date_of, moment
from .states import state_code

__all__ = [
    "FIELDS",
    "META_PREFIX",
    "consent",
    "customer",
    "guest",
    "membership",
    "meta_value",
    "moment",
    "order",
    "payment",
    "renewed",
    "retry_at",
    "subscription",
    "unread_amounts",
    "version",
]

#: What we store at the shop begins with this, and is never read as the shop's own data: an echo changes nothing.
META_PREFIX = "synccore_"

_RENEWALS = "_subscription_renewal_order_ids_cache"

#: Customer meta that WordPress and plugins touch on every visit; it says nothing about the person.
_NOISE = (
    "_",
    META_PREFIX,
    "wc_last_active",
    "default_password_nag",
    "session_tokens",
    "dismissed_",
    "wp_",
    "last_update",
)

_SAVED = "date_created,date_created_gmt,date_modified,date_modified_gmt"
#: What is asked for, so that pages stay small: 2.5 kB instead of 34 kB on a real shop.
FIELDS: Mapping[str, str] = {
    "customer": (f"id,{_SAVED},email,first_name,last_name,role,username,billing,shipping,is_paying_customer,meta_data"),
    "order": (
        f"id,parent_id,number,status,currency,{_SAVED},date_completed,date_completed_gmt,date_paid,date_paid_gmt,"
        "discount_total,shipping_total,total,total_tax,customer_id,billing,shipping,payment_method,"
        "payment_method_title,transaction_id,created_via,customer_note,meta_data,line_items,fee_lines,coupon_lines,"
        "refunds"
    ),
    "subscription": (
        f"id,parent_id,status,currency,{_SAVED},total,customer_id,billing,shipping,payment_method,"
        "payment_method_title,meta_data,line_items,billing_period,billing_interval,start_date_gmt,trial_end_date_gmt,"
        "next_payment_date_gmt,payment_retry_date_gmt,last_payment_date_gmt,cancelled_date_gmt,end_date_gmt"
    ),
    "membership": (
        "id,customer_id,plan_id,plan_name,status,order_id,product_id,subscription_id,date_created_gmt,start_date_gmt,"
        "end_date_gmt,paused_date_gmt,cancelled_date_gmt,profile_fields,meta_data"
    ),
}


# -- single values


def version(record: Record, zone: tzinfo | None = None) -> int | None:
    """The record's modified time in ms; None where there is none (members, users WooCommerce never saved)."""
    at = date_of(record, "date_modified", zone)
    return None if at is None else int(at.timestamp() * 1000)


def unread_amounts(record: Record) -> tuple[str, ...]:
    """Names of the amounts that are there and cannot be read for certain: they are unknown, not 0."""
    places = [(name, record.get(name)) for name in ("total", "discount_total", "shipping_total", "total_tax")]
    parts = {"line_items": ("total", "quantity"), "refunds": ("total",), "fee_lines": ("total",)}
    for part, names in parts.items():
        places += [(f"{part}.{name}", row.get(name)) for row in rows(record.get(part)) for name in names]
    return tuple(dict.fromkeys(name for name, value in places if value not in (None, "") and _money(value) is None))


def _money(value: Any) -> Decimal | None:
    return values.amount(value) if isinstance(value, str | int | float) else None


# -- meta data and consent


def meta_value(record: Record, name: str) -> Any:
    """The value of a meta key, the last one where there are several; None where there is none."""
    found = None
    for row in rows(record.get("meta_data")):
        if row.get("key") == name:
            found = row.get("value")
    return found


def _meta(record: Record, hidden: tuple[str, ...]) -> dict[str, Any]:
    return {
        str(row["key"]): row.get("value")
        for row in rows(record.get("meta_data"))
        if row.get("key") and not str(row["key"]).startswith(hidden)
    }


def consent(record: Record, keys: Iterable[str]) -> bool | None:
    """What the first present meta key says about marketing; None where none is present or its value says neither."""
    for name in keys:
        value = meta_value(record, name)
        if value is None:
            continue
        word = str(value).strip().lower()
        if word in ("1", "yes", "true", "on", "y", "subscribed", "granted", "accepted"):
            return True
        if word in ("0", "no", "false", "off", "n", "unsubscribed", "denied", "revoked"):
            return False
    return None


# -- parts


def _address(data: Mapping[str, Any]) -> Address:
    country = values.country(text(data.get("country")))
    return Address(
        first_name=text(data.get("first_name")),
        last_name=text(data.get("last_name")),
        company=text(data.get("company")),
        line1=text(data.get("address_1")),
        line2=text(data.get("address_2")),
        city=text(data.get("city")),
        postcode=text(data.get("postcode")),
        state=state_code(text(data.get("state")), country),
        country=country,
        email=address_of(data.get("email")),
        phone=text(data.get("phone")),
    )


def _line(row: Mapping[str, Any], shop_url: str) -> OrderLine:
    product = key(row.get("product_id"))
    return OrderLine(
        key=key(row.get("id")) or "",
        name=text(row.get("name")) or "",
        quantity=_money(row.get("quantity")) or Decimal(0),
        product_key=product,
        variation_key=key(row.get("variation_id")),
        sku=text(row.get("sku")),
        price=_money(row.get("price")),
        subtotal=_money(row.get("subtotal")),
        total=_money(row.get("total")),
        tax=_money(row.get("total_tax")),
        product_url=f"{shop_url}/?post_type=product&p={product}" if product else None,
        image_url=text(mapped(row.get("image")).get("src")),
        meta=_meta(row, ("_",)),
    )


def _lines(record: Record, shop_url: str) -> tuple[OrderLine, ...]:
    return tuple(_line(row, shop_url) for row in rows(record.get("line_items")))


def _status(record: Record, prefix: str) -> str:
    return (text(record.get("status")) or "").removeprefix(prefix)


def _id(record: Record) -> str:
    """Raises Broken where there is none."""
    found = key(record.get("id"))
    if found is None:
        raise Broken("it has no id")
    return found


def _raw(record: Record) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "_links"}


# -- records


def customer(
    record: Record, *, shop_url: str, consent_keys: Iterable[str] = (), zone: tzinfo | None = None
) -> Customer:
    """An account."""
    billing, shipping = _address(mapped(record.get("billing"))), _address(mapped(record.get("shipping")))
    first, last = text(record.get("first_name")), text(record.get("last_name"))
    if first is None and last is None:
        first, last = billing.first_name, billing.last_name
    return Customer(
        key=_id(record),
        created_at=date_of(record, "date_created", zone),
        updated_at=date_of(record, "date_modified", zone),
        email=address_of(record.get("email")) or billing.email,
        first_name=first,
        last_name=last,
        phone=billing.phone or shipping.phone,
        company=billing.company or shipping.company,
        username=text(record.get("username")),
        role=text(record.get("role")),
        paying=flag(record.get("is_paying_customer")),
        billing=billing,
        shipping=shipping,
        accepts_marketing=consent(record, consent_keys),
        admin_url=f"{shop_url}/wp-admin/user-edit.php?user_id={_id(record)}",
        meta=_meta(record, _NOISE),
        raw=_raw(record),
    )


def guest(record: Record, guest: str, *, consent_keys: Iterable[str] = (), zone: tzinfo | None = None) -> Customer:
    """The buyer of an order without an account, as that order knows them."""
    billing, shipping = _address(mapped(record.get("billing"))), _address(mapped(record.get("shipping")))
    agreed = consent(record, consent_keys)
    return Customer(
        key=guest,
        updated_at=date_of(record, "date_modified", zone),
        email=billing.email,
        first_name=billing.first_name,
        last_name=billing.last_name,
        phone=billing.phone or shipping.phone,
        company=billing.company or shipping.company,
        guest=True,
        billing=billing,
        shipping=shipping,
        accepts_marketing=agreed,
        consent_at=date_of(record, "date_created", zone) if agreed is not None else None,
        raw={"billing": dict(mapped(record.get("billing"))), "shipping": dict(mapped(record.get("shipping")))},
    )


def order(
    record: Record,
    *,
    owner: str | None,
    shop_url: str,
    consent_keys: Iterable[str] = (),
    zone: tzinfo | None = None,
) -> Order:
    """A purchase; `owner` is the key of its customer."""
    billing = _address(mapped(record.get("billing")))
    lines = _lines(record, shop_url)
    return Order(
        key=_id(record),
        created_at=date_of(record, "date_created", zone),
        updated_at=date_of(record, "date_modified", zone),
        number=text(record.get("number")) or _id(record),
        status=_status(record, "wc-"),
        currency=text(record.get("currency")) or "",
        total=_money(record.get("total")),
        customer_key=owner,
        subtotal=sum((line.subtotal or Decimal(0) for line in lines), Decimal(0)),
        discount_total=_money(record.get("discount_total")),
        shipping_total=_money(record.get("shipping_total")),
        tax_total=_money(record.get("total_tax")),
        paid_at=date_of(record, "date_paid", zone),
        completed_at=date_of(record, "date_completed", zone),
        email=billing.email,
        billing=billing,
        shipping=_address(mapped(record.get("shipping"))),
        lines=lines,
        refunds=_refunds(record),
        fees=_fees(record),
        coupons=_coupons(record),
        payment_method=text(record.get("payment_method")),
        payment_title=text(record.get("payment_method_title")),
        transaction_id=text(record.get("transaction_id")),
        customer_note=text(record.get("customer_note")),
        created_via=text(record.get("created_via")),
        subscription_key=renewed(record),
        accepts_marketing=consent(record, consent_keys),
        admin_url=f"{shop_url}/wp-admin/post.php?post={_id(record)}&action=edit",
        meta=_meta(record, ("_", META_PREFIX)),
        raw=_raw(record),
    )


def _refunds(record: Record) -> tuple[Refund, ...]:
    return tuple(
        Refund(key=key(row.get("id")) or "", amount=abs(amount), reason=text(row.get("reason")))
        for row in rows(record.get("refunds"))
        if (amount := _money(row.get("total"))) is not None
    )


def _fees(record: Record) -> tuple[Fee, ...]:
    return tuple(
        Fee(key=key(row.get("id")) or "", name=text(row.get("name")) or "", total=amount)
        for row in rows(record.get("fee_lines"))
        if (amount := _money(row.get("total"))) is not None
    )


def _coupons(record: Record) -> tuple[Coupon, ...]:
    return tuple(
        Coupon(code=code, discount=_money(row.get("discount")))
        for row in rows(record.get("coupon_lines"))
        if (code := text(row.get("code")))
    )


def subscription(record: Record, *, owner: str | None, shop_url: str, zone: tzinfo | None = None) -> Subscription:
    """A recurring order."""
    billing = _address(mapped(record.get("billing")))
    return Subscription(
        key=_id(record),
        created_at=date_of(record, "date_created", zone),
        updated_at=date_of(record, "date_modified", zone),
        status=_status(record, "wc-"),
        currency=text(record.get("currency")) or "",
        total=_money(record.get("total")),
        customer_key=owner,
        order_key=key(record.get("parent_id")),
        billing_period=text(record.get("billing_period")),
        billing_interval=whole(record.get("billing_interval")),
        started_at=date_of(record, "start_date", zone),
        trial_ends_at=date_of(record, "trial_end_date", zone),
        next_payment_at=date_of(record, "next_payment_date", zone),
        retry_at=retry_at(record),
        last_payment_at=date_of(record, "last_payment_date", zone),
        cancelled_at=date_of(record, "cancelled_date", zone),
        ends_at=date_of(record, "end_date", zone),
        email=billing.email,
        billing=billing,
        shipping=_address(mapped(record.get("shipping"))),
        lines=_lines(record, shop_url),
        payment_method=text(record.get("payment_method")),
        payment_title=text(record.get("payment_method_title")),
        meta=_meta(record, ("_", META_PREFIX)),
        raw=_raw(record),
    )


def membership(
    record: Record,
    *,
    owner: str | None,
    plan: Record | None = None,
    product: str | None = None,
    zone: tzinfo | None = None,
) -> Membership:
    """A member; the plan's slug is not in the record and comes from `plan`, nor is the name of its `product`."""
    return Membership(
        key=_id(record),
        created_at=date_of(record, "date_created", zone),
        status=_status(record, "wcm-"),
        plan_key=key(record.get("plan_id")) or "",
        customer_key=owner,
        plan_name=text(record.get("plan_name")) or text((plan or {}).get("name")),
        plan_slug=text((plan or {}).get("slug")),
        product_key=key(record.get("product_id")),
        product_name=product,
        order_key=key(record.get("order_id")),
        subscription_key=key(record.get("subscription_id")),
        started_at=date_of(record, "start_date", zone),
        ends_at=date_of(record, "end_date", zone),
        paused_at=date_of(record, "paused_date", zone),
        cancelled_at=date_of(record, "cancelled_date", zone),
        meta=_meta(record, ("_", META_PREFIX)),
        raw=_raw(record),
    )


def retry_at(subscription: Record) -> datetime | None:
    """When Subscriptions tries again to collect a failed renewal; None where it does not, or does not say.

    Its retry system adds the date to the schedule that the API shows.
    """
    return moment(subscription.get("payment_retry_date_gmt")) or moment(
        meta_value(subscription, "_schedule_payment_retry")
    )


def renewal_number(subscription: Record, order: str) -> int | None:
    """Which renewal of the subscription an order is, 1 for the first; Subscriptions keeps the list of their ids."""
    ids = sorted(int(found) for row in listed(meta_value(subscription, _RENEWALS)) or () if (found := key(row)))
    return ids.index(int(order)) + 1 if int(order) in ids else None


def renewed(record: Record) -> str | None:
    """The subscription an order renews, or None."""
    return key(meta_value(record, "_subscription_renewal"))


def payment(
    record: Record,
    *,
    owner: str | None,
    shop_url: str,
    succeeded: bool,
    attempt: int,
    at: datetime,
    reason: str | None,
    retry_at: datetime | None = None,
    subscription: Record | None = None,
    zone: tzinfo | None = None,
) -> Payment:
    """One attempt to collect the renewal that this order stands for; `subscription` is the one it renews, if read."""
    return Payment(
        key=_id(record),
        created_at=date_of(record, "date_created", zone),
        updated_at=date_of(record, "date_modified", zone),
        succeeded=succeeded,
        amount=_money(record.get("total")),
        currency=text(record.get("currency")) or "",
        at=at,
        customer_key=owner,
        subscription_key=renewed(record),
        order_key=_id(record),
        attempt=attempt,
        renewal_number=renewal_number(subscription, _id(record)) if subscription is not None else None,
        reason=reason,
        retry_at=retry_at,
        next_payment_at=date_of(subscription, "next_payment_date") if subscription is not None else None,
        payment_method=text(record.get("payment_method")),
        email=address_of(mapped(record.get("billing")).get("email")),
        lines=_lines(record, shop_url),
        raw=_raw(record),
    )
