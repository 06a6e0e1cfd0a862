"""From the shop's JSON to the canonical entities.

Dates arrive as UTC without a suffix (`..._gmt`), money as text, unset text as "".
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

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

from .client import Record

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
    "subscription",
    "version",
]

#: What we store at the shop begins with this, and is never read as the shop's own data: an echo changes nothing.
META_PREFIX = "synccore_"

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

#: What is asked for, so that pages stay small: 2.5 kB instead of 34 kB on a real shop.
FIELDS: Mapping[str, str] = {
    "customer": (
        "id,date_created_gmt,date_modified_gmt,email,first_name,last_name,role,username,billing,shipping,"
        "is_paying_customer,meta_data"
    ),
    "order": (
        "id,parent_id,number,status,currency,date_created_gmt,date_modified_gmt,date_completed_gmt,date_paid_gmt,"
        "discount_total,shipping_total,total,total_tax,customer_id,billing,shipping,payment_method,"
        "payment_method_title,transaction_id,created_via,customer_note,meta_data,line_items,fee_lines,coupon_lines,"
        "refunds"
    ),
    "subscription": (
        "id,parent_id,status,currency,date_created_gmt,date_modified_gmt,total,customer_id,billing,shipping,"
        "payment_method,payment_method_title,meta_data,line_items,billing_period,billing_interval,start_date_gmt,"
        "trial_end_date_gmt,next_payment_date_gmt,last_payment_date_gmt,cancelled_date_gmt,end_date_gmt"
    ),
    "membership": (
        "id,customer_id,plan_id,plan_name,status,order_id,product_id,subscription_id,date_created_gmt,start_date_gmt,"
        "end_date_gmt,paused_date_gmt,cancelled_date_gmt,profile_fields,meta_data"
    ),
}


# -- single values


def moment(value: Any) -> datetime | None:
    """A `..._gmt` date; None where it is unset ("" or null)."""
    if not value or not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    except ValueError:
        return None


def version(record: Record) -> int | None:
    """The record's modified time in ms; None where there is none (members, users WooCommerce never saved)."""
    at = moment(record.get("date_modified_gmt"))
    return None if at is None else int(at.timestamp() * 1000)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, bool | dict | list):
        return None
    return str(value).strip() or None


def _key(value: Any) -> str | None:
    """An id as a key; 0, null and "" mean that there is none."""
    return str(value) if value not in (None, "", 0, "0") else None


def _money(value: Any) -> Decimal | None:
    if value in (None, "") or isinstance(value, bool):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def _rows(value: Any) -> Iterable[dict[str, Any]]:
    return (row for row in value if isinstance(row, dict)) if isinstance(value, list) else ()


def _part(record: Record, name: str) -> Mapping[str, Any]:
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def _whole(value: Any) -> int | None:
    text = _text(value)
    return int(text) if text is not None and text.isdecimal() else None


# -- meta data and consent


def meta_value(record: Record, key: str) -> Any:
    """The value of a meta key, the last one where there are several; None where there is none."""
    found = None
    for row in _rows(record.get("meta_data")):
        if row.get("key") == key:
            found = row.get("value")
    return found


def _meta(record: Record, hidden: tuple[str, ...]) -> dict[str, Any]:
    return {
        str(row["key"]): row.get("value")
        for row in _rows(record.get("meta_data"))
        if row.get("key") and not str(row["key"]).startswith(hidden)
    }


def consent(record: Record, keys: Iterable[str]) -> bool | None:
    """What the first present meta key says about marketing; None where none is present or its value says neither."""
    for key in keys:
        value = meta_value(record, key)
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
    country = _text(data.get("country"))
    country = country.upper() if country else None
    state = _text(data.get("state"))
    if state and country and state.startswith(f"{country}-"):
        state = state[len(country) + 1 :]
    return Address(
        first_name=_text(data.get("first_name")),
        last_name=_text(data.get("last_name")),
        company=_text(data.get("company")),
        line1=_text(data.get("address_1")),
        line2=_text(data.get("address_2")),
        city=_text(data.get("city")),
        postcode=_text(data.get("postcode")),
        state=state,
        country=country,
        email=_text(data.get("email")),
        phone=_text(data.get("phone")),
    )


def _line(row: Mapping[str, Any], shop_url: str) -> OrderLine:
    product = _key(row.get("product_id"))
    return OrderLine(
        key=str(row.get("id", "")),
        name=_text(row.get("name")) or "",
        quantity=_money(row.get("quantity")) or Decimal(0),
        product_key=product,
        variation_key=_key(row.get("variation_id")),
        sku=_text(row.get("sku")),
        price=_money(row.get("price")),
        subtotal=_money(row.get("subtotal")),
        total=_money(row.get("total")),
        tax=_money(row.get("total_tax")),
        product_url=f"{shop_url}/?post_type=product&p={product}" if product else None,
        image_url=_text(_part(row, "image").get("src")),
        meta=_meta(row, ("_",)),
    )


def _lines(record: Record, shop_url: str) -> tuple[OrderLine, ...]:
    return tuple(_line(row, shop_url) for row in _rows(record.get("line_items")))


def _raw(record: Record) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "_links"}


# -- records


def customer(record: Record, *, shop_url: str, consent_keys: Iterable[str] = ()) -> Customer:
    """An account."""
    billing, shipping = _address(_part(record, "billing")), _address(_part(record, "shipping"))
    return Customer(
        key=str(record["id"]),
        created_at=moment(record.get("date_created_gmt")),
        updated_at=moment(record.get("date_modified_gmt")),
        email=_text(record.get("email")) or billing.email,
        first_name=_text(record.get("first_name")) or billing.first_name,
        last_name=_text(record.get("last_name")) or billing.last_name,
        phone=billing.phone or shipping.phone,
        company=billing.company or shipping.company,
        username=_text(record.get("username")),
        role=_text(record.get("role")),
        paying=bool(record["is_paying_customer"]) if "is_paying_customer" in record else None,
        billing=billing,
        shipping=shipping,
        accepts_marketing=consent(record, consent_keys),
        admin_url=f"{shop_url}/wp-admin/user-edit.php?user_id={record['id']}",
        meta=_meta(record, _NOISE),
        raw=_raw(record),
    )


def guest(record: Record, key: str, *, consent_keys: Iterable[str] = ()) -> Customer:
    """The buyer of an order without an account, as that order knows them."""
    billing, shipping = _address(_part(record, "billing")), _address(_part(record, "shipping"))
    agreed = consent(record, consent_keys)
    return Customer(
        key=key,
        updated_at=moment(record.get("date_modified_gmt")),
        email=billing.email,
        first_name=billing.first_name,
        last_name=billing.last_name,
        phone=billing.phone or shipping.phone,
        company=billing.company or shipping.company,
        guest=True,
        billing=billing,
        shipping=shipping,
        accepts_marketing=agreed,
        consent_at=moment(record.get("date_created_gmt")) if agreed is not None else None,
        raw={"billing": dict(_part(record, "billing")), "shipping": dict(_part(record, "shipping"))},
    )


def order(record: Record, *, owner: str | None, shop_url: str, consent_keys: Iterable[str] = ()) -> Order:
    """A purchase; `owner` is the key of its customer."""
    billing = _address(_part(record, "billing"))
    lines = _lines(record, shop_url)
    return Order(
        key=str(record["id"]),
        created_at=moment(record.get("date_created_gmt")),
        updated_at=moment(record.get("date_modified_gmt")),
        number=_text(record.get("number")) or str(record["id"]),
        status=str(record.get("status", "")).removeprefix("wc-"),
        currency=_text(record.get("currency")) or "",
        total=_money(record.get("total")) or Decimal(0),
        customer_key=owner,
        subtotal=sum((line.subtotal or Decimal(0) for line in lines), Decimal(0)),
        discount_total=_money(record.get("discount_total")),
        shipping_total=_money(record.get("shipping_total")),
        tax_total=_money(record.get("total_tax")),
        paid_at=moment(record.get("date_paid_gmt")),
        completed_at=moment(record.get("date_completed_gmt")),
        email=billing.email,
        billing=billing,
        shipping=_address(_part(record, "shipping")),
        lines=lines,
        refunds=tuple(
            Refund(
                key=str(row.get("id", "")),
                amount=abs(_money(row.get("total")) or Decimal(0)),
                reason=_text(row.get("reason")),
            )
            for row in _rows(record.get("refunds"))
        ),
        fees=tuple(
            Fee(
                key=str(row.get("id", "")),
                name=_text(row.get("name")) or "",
                total=_money(row.get("total")) or Decimal(0),
            )
            for row in _rows(record.get("fee_lines"))
        ),
        coupons=tuple(
            Coupon(code=str(row["code"]), discount=_money(row.get("discount")))
            for row in _rows(record.get("coupon_lines"))
            if row.get("code")
        ),
        payment_method=_text(record.get("payment_method")),
        payment_title=_text(record.get("payment_method_title")),
        transaction_id=_text(record.get("transaction_id")),
        customer_note=_text(record.get("customer_note")),
        created_via=_text(record.get("created_via")),
        subscription_key=renewed(record),
        accepts_marketing=consent(record, consent_keys),
        admin_url=f"{shop_url}/wp-admin/post.php?post={record['id']}&action=edit",
        meta=_meta(record, ("_", META_PREFIX)),
        raw=_raw(record),
    )


def subscription(record: Record, *, owner: str | None, shop_url: str) -> Subscription:
    """A recurring order."""
    billing = _address(_part(record, "billing"))
    return Subscription(
        key=str(record["id"]),
        created_at=moment(record.get("date_created_gmt")),
        updated_at=moment(record.get("date_modified_gmt")),
        status=str(record.get("status", "")).removeprefix("wc-"),
        currency=_text(record.get("currency")) or "",
        total=_money(record.get("total")) or Decimal(0),
        customer_key=owner,
        order_key=_key(record.get("parent_id")),
        billing_period=_text(record.get("billing_period")),
        billing_interval=_whole(record.get("billing_interval")),
        started_at=moment(record.get("start_date_gmt")),
        trial_ends_at=moment(record.get("trial_end_date_gmt")),
        next_payment_at=moment(record.get("next_payment_date_gmt")),
        last_payment_at=moment(record.get("last_payment_date_gmt")),
        cancelled_at=moment(record.get("cancelled_date_gmt")),
        ends_at=moment(record.get("end_date_gmt")),
        email=billing.email,
        billing=billing,
        shipping=_address(_part(record, "shipping")),
        lines=_lines(record, shop_url),
        payment_method=_text(record.get("payment_method")),
        payment_title=_text(record.get("payment_method_title")),
        meta=_meta(record, ("_", META_PREFIX)),
        raw=_raw(record),
    )


def membership(record: Record, *, owner: str | None, plan: Record | None = None) -> Membership:
    """A member; the plan's slug is not in the record and comes from `plan`."""
    return Membership(
        key=str(record["id"]),
        created_at=moment(record.get("date_created_gmt")),
        status=str(record.get("status", "")).removeprefix("wcm-"),
        plan_key=str(record.get("plan_id", "")),
        customer_key=owner,
        plan_name=_text(record.get("plan_name")),
        plan_slug=_text((plan or {}).get("slug")),
        product_key=_key(record.get("product_id")),
        order_key=_key(record.get("order_id")),
        subscription_key=_key(record.get("subscription_id")),
        started_at=moment(record.get("start_date_gmt")),
        ends_at=moment(record.get("end_date_gmt")),
        paused_at=moment(record.get("paused_date_gmt")),
        cancelled_at=moment(record.get("cancelled_date_gmt")),
        meta=_meta(record, ("_", META_PREFIX)),
        raw=_raw(record),
    )


def renewed(record: Record) -> str | None:
    """The subscription an order renews, or None."""
    return _key(meta_value(record, "_subscription_renewal"))


def payment(
    record: Record, *, owner: str | None, shop_url: str, succeeded: bool, attempt: int, at: datetime, reason: str | None
) -> Payment:
    """One attempt to collect the renewal that this order stands for."""
    return Payment(
        key=str(record["id"]),
        created_at=moment(record.get("date_created_gmt")),
        updated_at=moment(record.get("date_modified_gmt")),
        succeeded=succeeded,
        amount=_money(record.get("total")) or Decimal(0),
        currency=_text(record.get("currency")) or "",
        at=at,
        customer_key=owner,
        subscription_key=renewed(record),
        order_key=str(record["id"]),
        attempt=attempt,
        reason=reason,
        payment_method=_text(record.get("payment_method")),
        email=_text(_part(record, "billing").get("email")),
        lines=_lines(record, shop_url),
        raw=_raw(record),
    )
