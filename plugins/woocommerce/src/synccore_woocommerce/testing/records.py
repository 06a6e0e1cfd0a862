"""Records in the shape WooCommerce 11 gives them over REST, field by field as recorded from a real shop."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

__all__ = [
    "LOCAL",
    "SUBSCRIPTION_STATUSES",
    "customer_address",
    "customer_record",
    "gmt",
    "member_record",
    "meta_rows",
    "order_record",
    "plan_record",
    "refund_record",
    "stamp",
    "subscription_record",
]

#: The shop's time zone: UTC-5, so that a mix-up of local and GMT shows.
LOCAL = timezone(timedelta(hours=-5))

Record = dict[str, Any]

#: A list of statuses has prefixes, the records have none.
SUBSCRIPTION_STATUSES: Mapping[str, str] = {
    "wc-pending": "Pending",
    "wc-active": "Active",
    "wc-on-hold": "On hold",
    "wc-cancelled": "Cancelled",
    "wc-switched": "Switched",
    "wc-expired": "Expired",
    "wc-pending-cancel": "Pending Cancellation",
}


def gmt(at: datetime) -> str:
    """UTC without a suffix, whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def stamp(record: Record, name: str, at: datetime | None) -> None:
    """Set a date in both forms."""
    record[name] = None if at is None else at.astimezone(LOCAL).strftime("%Y-%m-%dT%H:%M:%S")
    record[f"{name}_gmt"] = None if at is None else gmt(at)


def customer_address(given: Mapping[str, Any] | None, *, email: bool) -> Record:
    """An account's address: unset text is "", never null."""
    names = ["first_name", "last_name", "company", "address_1", "address_2", "city", "postcode", "country", "state"]
    names += ["email", "phone"] if email else ["phone"]
    return {name: str((given or {}).get(name, "")) for name in names}


def order_address(given: Mapping[str, Any] | None, *, email: bool) -> Record:
    """An order's address: the same fields in another order."""
    names = ["first_name", "last_name", "company", "address_1", "address_2", "city", "state", "postcode", "country"]
    names += ["email", "phone"] if email else ["phone"]
    return {name: str((given or {}).get(name, "")) for name in names}


def customer_record(number: int, at: datetime, given: Mapping[str, Any], modified: datetime | None) -> Record:
    """A customer as `/customers/ID` gives it, without `_links`."""
    email = str(given.get("email", ""))
    record: Record = {"id": number}
    stamp(record, "date_created", at)
    stamp(record, "date_modified", modified)
    digest = hashlib.sha256(email.strip().lower().encode()).hexdigest()
    return record | {
        "email": email,
        "first_name": str(given.get("first_name", "")),
        "last_name": str(given.get("last_name", "")),
        "role": str(given.get("role", "customer")),
        "username": str(given.get("username", email.split("@", 1)[0])),
        "billing": customer_address(given.get("billing"), email=True),
        "shipping": customer_address(given.get("shipping"), email=False),
        "is_paying_customer": bool(given.get("is_paying_customer", False)),
        "avatar_url": f"https://secure.gravatar.com/avatar/{digest}?s=96&d=mm&r=g",
        "meta_data": [],
    }


def line_record(number: int, given: Mapping[str, Any]) -> Record:
    """A position of an order."""
    quantity = int(given.get("quantity", 1))
    price = Decimal(str(given.get("price", "19.90")))
    total = str(given.get("total", price * quantity))
    each = float(price)
    return {
        "id": number,
        "name": str(given.get("name", "Mug")),
        "product_id": int(given.get("product_id", 11)),
        "variation_id": int(given.get("variation_id", 0)),
        "quantity": quantity,
        "tax_class": "",
        "subtotal": str(given.get("subtotal", total)),
        "subtotal_tax": "0.00",
        "total": total,
        "total_tax": "0.00",
        "taxes": [],
        "meta_data": [],
        "sku": str(given.get("sku", "MUG")),
        "global_unique_id": "",
        "price": int(each) if each.is_integer() else each,
        "image": {"id": "", "src": ""},
        "parent_name": None,
    }


def _purchase(number: int, at: datetime, given: Mapping[str, Any], lines: Sequence[Record], home: str) -> Record:
    """What orders and subscriptions share, up to the last date."""
    fees = sum((Decimal(str(f["total"])) for f in given.get("fee_lines", ())), Decimal(0))
    total = given.get("total") or sum((Decimal(line["total"]) for line in lines), Decimal(0)) + fees
    record: Record = {
        "id": number,
        "parent_id": int(given.get("parent_id", 0)),
        "status": str(given.get("status", "pending")),
        "currency": str(given.get("currency", "USD")),
        "version": "11.0.1",
        "prices_include_tax": False,
        "date_created": None,
        "date_modified": None,
        "discount_total": str(given.get("discount_total", "0.00")),
        "discount_tax": "0.00",
        "shipping_total": str(given.get("shipping_total", "0.00")),
        "shipping_tax": "0.00",
        "cart_tax": "0.00",
        "total": f"{Decimal(str(total)):.2f}",
        "total_tax": "0.00",
        "customer_id": int(given.get("customer_id", 0)),
        "order_key": f"wc_order_{hashlib.sha256(str(number).encode()).hexdigest()[:13]}",
        "billing": order_address(given.get("billing"), email=True),
        "shipping": order_address(given.get("shipping"), email=False),
        **{name: str(given.get(name, "")) for name in ("payment_method", "payment_method_title", "transaction_id")},
        "customer_ip_address": "",
        "customer_user_agent": "",
        "created_via": str(given.get("created_via", "rest-api")),
        "customer_note": str(given.get("customer_note", "")),
        "date_completed": None,
        "date_paid": None,
        "cart_hash": "",
        "number": str(given.get("number", number)),
        "meta_data": [],
        "line_items": list(lines),
        "tax_lines": [],
        "shipping_lines": [],
        "fee_lines": list(given.get("fee_lines", ())),
        "coupon_lines": list(given.get("coupon_lines", ())),
        "refunds": [],
        "payment_url": f"{home}/checkout/order-pay/{number}/?pay_for_order=true",
        "is_editable": True,
        "needs_payment": True,
        "needs_processing": True,
    }
    stamp(record, "date_created", at)
    stamp(record, "date_modified", at)
    for name in ("date_completed", "date_paid"):
        stamp(record, name, None)
    return record


def order_record(number: int, at: datetime, given: Mapping[str, Any], lines: Sequence[Record], home: str) -> Record:
    """An order as `/orders/ID` gives it, without `_links`."""
    return _purchase(number, at, given, lines, home) | {"currency_symbol": "$"}


def refund_record(number: int, order: int, at: datetime, given: Mapping[str, Any], base: str) -> Record:
    """A refund as `POST /orders/ID/refunds` gives it; `base` is the address of the orders."""
    record: Record = {"id": number}
    stamp(record, "date_created", at)
    return record | {
        "amount": str(given["amount"]),
        "reason": str(given.get("reason", "")),
        "refunded_by": 1,
        "refunded_payment": bool(given.get("api_refund", True)),
        "meta_data": [{"id": number + 1000, "key": "_refund_type", "value": "partial"}],
        "line_items": [],
        "shipping_lines": [],
        "tax_lines": [],
        "fee_lines": [],
        "_links": {
            "self": [{"href": f"{base}/{order}/refunds/{number}", "targetHints": {"allow": ["GET", "DELETE"]}}],
            "collection": [{"href": f"{base}/{order}/refunds"}],
            "up": [{"href": f"{base}/{order}"}],
        },
    }


def subscription_record(
    number: int, at: datetime, given: Mapping[str, Any], lines: Sequence[Record], home: str
) -> Record:
    """A subscription as `/subscriptions/ID` gives it: an order with a schedule, dates in GMT only, "" when unset."""
    record = _purchase(number, at, given, lines, home)
    for name in ("transaction_id", "cart_hash", "refunds"):
        del record[name]
    schedule = {
        name: given.get(name, "")
        for name in (
            "start_date_gmt",
            "trial_end_date_gmt",
            "next_payment_date_gmt",
            "last_payment_date_gmt",
            "cancelled_date_gmt",
            "end_date_gmt",
        )
    }
    return record | {
        "billing_period": str(given.get("billing_period", "month")),
        "billing_interval": str(given.get("billing_interval", "1")),
        "trial_period": "",
        "suspension_count": 0,
        "requires_manual_renewal": True,
        **schedule,
        "resubscribed_from": "",
        "resubscribed_subscription": "",
        "removed_line_items": [],
    }


def plan_record(number: int, at: datetime, name: str, slug: str, products: Sequence[int] = ()) -> Record:
    """A membership plan, without `_links`."""
    record: Record = {
        "id": number,
        "name": name,
        "slug": slug,
        "status": "publish",
        "access_method": "purchase" if products else "manual-only",
        "has_subscription": False,
        "has_subscription_installment": False,
        "access_product_ids": list(products),
        "access_length_type": "unlimited",
        "subscription_access_length_type": "subscription",
        "access_length": None,
        "subscription_access_length": None,
    }
    for date in ("access_start", "access_end", "subscription_access_start", "subscription_access_end"):
        stamp(record, f"{date}_date", None)
    stamp(record, "date_created", at)
    stamp(record, "date_modified", at)
    return record | {"meta_data": []}


def member_record(number: int, at: datetime, given: Mapping[str, Any], plan: Record, home: str) -> Record:
    """A member, without `_links`. It has no modified date at all."""
    record: Record = {
        "id": number,
        "customer_id": int(given["customer_id"]),
        "customer_data": [],
        "plan_id": plan["id"],
        "plan_name": plan["name"],
        "status": str(given.get("status", "active")),
        "order_id": given.get("order_id"),
        "product_id": given.get("product_id"),
        "subscription_id": given.get("subscription_id"),
    }
    stamp(record, "date_created", at)
    stamp(record, "start_date", at)
    for date in ("end_date", "paused_date", "cancelled_date"):
        stamp(record, date, None)
    return record | {
        "view_url": f"{home}/my-account/members-area/{plan['id']}/",
        "profile_fields": [],
        "meta_data": [],
    }


def meta_rows(old: Sequence[Record], new: Sequence[Mapping[str, Any]], first_id: int) -> list[Record]:
    """Meta data after a write: a key that exists is changed in place, null removes it; numbers become text."""
    rows = [dict(row) for row in old]
    for change in new:
        key, value = str(change["key"]), change.get("value")
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        at = next((i for i, row in enumerate(rows) if row["key"] == key), None)
        if value is None:
            rows = [row for row in rows if row["key"] != key]
        elif at is not None:
            rows[at]["value"] = value
        else:
            rows.append({"id": first_id, "key": key, "value": value})
            first_id += 1
    return rows
