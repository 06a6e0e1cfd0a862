"""A shop in memory: what people do in it, what that touches, and which webhooks it queues.

What moves a modified date and what sends nothing is as seen on a real shop: any write to a customer over REST moves
its date, a role change or a moved end date of a member sends nothing, an order deleted for good sends nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from .records import (
    Record,
    customer_record,
    gmt,
    line_record,
    member_record,
    meta_rows,
    order_record,
    plan_record,
    stamp,
    subscription_record,
)

__all__ = ["Shop"]

_PAID = ("processing", "completed")
_FAILED_RENEWAL = "_failed_renewal_order"


class Shop:
    """The data and the actions. `queue(topic, id)` is called for everything WooCommerce would send.

    Args:
        hpos: whether orders live in tables of their own; with the old storage a save that changes nothing but meta
            data does not move an order's date and sends nothing.
    """

    def __init__(self, now: Callable[[], datetime], home: Callable[[], str], *, hpos: bool = True) -> None:
        self._now = now
        self.home = home
        self.hpos = hpos
        self.queue: Callable[[str, int], None] = lambda topic, number: None
        self.customers: dict[int, Record] = {}
        self.orders: dict[int, Record] = {}
        self.subscriptions: dict[int, Record] = {}
        self.members: dict[int, Record] = {}
        self.plans: dict[int, Record] = {}
        self.products: dict[int, Record] = {}
        #: Subscriptions' automatic retry of failed payments, on by default there; None: off. Hours between attempts.
        self.retry_hours: tuple[int, ...] | None = None
        self.notes: dict[int, list[Record]] = {}
        self._next = {"user": 0, "post": 10, "meta": 100, "line": 0}
        self._before_trash: dict[int, str] = {}
        self._retries: dict[int, int] = {}
        self.user("admin@shop.test", role="administrator")
        self.user("manager@shop.test", role="shop_manager")
        self.user("editor@shop.test", role="editor")

    def _id(self, kind: str, count: int = 1) -> int:
        self._next[kind] += count
        return self._next[kind] - count + 1

    # -- people

    def user(self, email: str, role: str = "customer", **fields: Any) -> int:
        """Somebody made in wp-admin: WooCommerce never saved them, so there is no modified date."""
        number = self._id("user")
        self.customers[number] = customer_record(number, self._now(), {**fields, "email": email, "role": role}, None)
        if number > 3:
            self.queue("customer.created", number)
        return number

    def add_customer(self, email: str, **fields: Any) -> int:
        """A registration, or a customer made over REST."""
        number, now = self._id("user"), self._now()
        record = customer_record(number, now, {**fields, "email": email}, now)
        record["meta_data"] = self._meta([], fields.get("meta_data", ()))
        self.customers[number] = record
        self.queue("customer.created", number)
        self.queue("customer.updated", number)
        return number

    def edit_customer(self, number: int, **fields: Any) -> None:
        """Any save through WooCommerce: moves the date and is sent, changed or not."""
        record = self.customers[number]
        for name in ("email", "first_name", "last_name"):
            if name in fields:
                record[name] = str(fields[name])
        for part in ("billing", "shipping"):
            record[part] = {**record[part], **{k: str(v) for k, v in fields.get(part, {}).items() if k in record[part]}}
        record["meta_data"] = self._meta(record["meta_data"], fields.get("meta_data", ()))
        stamp(record, "date_modified", self._now())
        self.queue("customer.updated", number)

    def set_role(self, number: int, role: str) -> None:
        """A role change: no webhook, no date."""
        self.customers[number]["role"] = role

    def set_user_meta(self, number: int, key: str, value: Any) -> None:
        """`update_user_meta` by some plugin: no webhook, no date."""
        record = self.customers[number]
        record["meta_data"] = self._meta(record["meta_data"], [{"key": key, "value": value}])

    def delete_customer(self, number: int) -> None:
        """Their orders become guest orders, memberships and subscriptions go. Only the role `customer` is announced.

        Subscriptions deletes for good, as it says in `WC_Subscriptions_Manager::trash_users_subscriptions`.
        """
        record = self.customers.pop(number)
        for subscription in [n for n, s in self.subscriptions.items() if s["customer_id"] == number]:
            self.delete_subscription(subscription)
        for order in self.orders.values():
            if order["customer_id"] == number:
                order["customer_id"] = 0
        for member in [m for m in self.members.values() if m["customer_id"] == number]:
            self.delete_member(member["id"])
        if record["role"] == "customer":
            self.queue("customer.deleted", number)

    def _meta(self, old: list[Record], new: Iterable[Mapping[str, Any]]) -> list[Record]:
        rows = list(new)
        return meta_rows(old, rows, self._id("meta", len(rows) or 1))

    # -- orders

    def _lines(self, given: Mapping[str, Any]) -> list[Record]:
        return [line_record(self._id("line"), row) for row in given.get("line_items", ({},))]

    def place_order(self, **fields: Any) -> int:
        """A checkout (or an order over REST). `customer_id` 0 is a guest."""
        number = self._id("post")
        record = order_record(number, fields.pop("at", self._now()), fields, self._lines(fields), self.home())
        stamp(record, "date_modified", self._now())
        record["meta_data"] = self._meta([], fields.get("meta_data", ()))
        self.orders[number] = record
        if record["status"] == "checkout-draft":
            self.queue("order.updated", number)
            return number
        self._pay(record)
        self.queue("order.updated", number)
        if record["created_via"] == "checkout" and record["customer_id"]:
            self.edit_customer(record["customer_id"])
        self.queue("order.created", number)
        return number

    def checkout_with_account(self, email: str, **fields: Any) -> tuple[int, int]:
        """A checkout that makes an account: customer and order. The order is announced first."""
        number, customer = self._id("post"), self._id("user")
        now = self._now()
        billing = {**fields.pop("billing", {}), "email": email}
        given = {
            "status": "processing",
            "created_via": "store-api",
            **fields,
            "billing": billing,
            "customer_id": customer,
        }
        self.orders[number] = order_record(number, now, given, self._lines(given), self.home())
        names = {name: billing.get(name, "") for name in ("first_name", "last_name")}
        self.customers[customer] = customer_record(customer, now, {"email": email, **names, "billing": billing}, now)
        for topic, record in (
            ("order.updated", number),
            ("customer.created", customer),
            ("customer.updated", customer),
            ("order.created", number),
        ):
            self.queue(topic, record)
        return customer, number

    def edit_order(self, number: int, **fields: Any) -> None:
        """A save of an order."""
        record = self.orders[number]
        old = dict(record)
        if "status" in fields:
            record["status"] = str(fields["status"]).removeprefix("wc-")
        for part in ("billing", "shipping"):
            record[part] = {**record[part], **{k: str(v) for k, v in fields.get(part, {}).items() if k in record[part]}}
        if "customer_id" in fields:
            record["customer_id"] = int(fields["customer_id"])
        changed = record != old
        record["meta_data"] = self._meta(record["meta_data"], fields.get("meta_data", ()))
        if self.hpos or changed:
            stamp(record, "date_modified", self._now())
            self.queue("order.updated", number)
        self._pay(record)

    def _pay(self, record: Record) -> None:
        now = self._now()
        owed = record["payment_method"] == "cod" and record["status"] != "completed"
        if record["status"] in _PAID and record["date_paid"] is None and not owed:
            stamp(record, "date_paid", now)
            customer = self.customers.get(record["customer_id"])
            if customer is not None and not customer["is_paying_customer"]:
                customer["is_paying_customer"] = True
                stamp(customer, "date_modified", now)
                self.queue("customer.updated", customer["id"])
        if record["status"] == "completed" and record["date_completed"] is None:
            stamp(record, "date_completed", now)

    def refund(self, number: int, amount: str, reason: str = "") -> int:
        """Money back: moves the order's date under HPOS only."""
        record, refund = self.orders[number], self._id("post")
        record["refunds"].append({"id": refund, "reason": reason, "total": f"-{amount}", "total_tax": "0.00"})
        if self.hpos:
            stamp(record, "date_modified", self._now())
        self.queue("order.updated", number)
        return refund

    def trash_order(self, number: int) -> None:
        """Looks like a deletion."""
        record = self.orders[number]
        self._before_trash[number] = record["status"]
        record["status"] = "trash"
        stamp(record, "date_modified", self._now())
        self.queue("order.deleted", number)

    def restore_order(self, number: int) -> None:
        """Back out of the trash."""
        record = self.orders[number]
        record["status"] = self._before_trash.pop(number, "pending")
        stamp(record, "date_modified", self._now())
        self.queue("order.restored", number)

    def delete_order(self, number: int) -> None:
        """For good: no order topic is sent. With the last paid order its customer stops being a paying one."""
        customer = self.customers.get(self.orders.pop(number)["customer_id"])
        if customer is None or not customer["is_paying_customer"]:
            return
        if not any(o["customer_id"] == customer["id"] and o["date_paid"] for o in self.orders.values()):
            customer["is_paying_customer"] = False
            stamp(customer, "date_modified", self._now())
            self.queue("customer.updated", customer["id"])

    def note(self, number: int, text: str) -> None:
        """An order note: nothing is sent, no date moves."""
        row: Record = {"id": self._id("post"), "author": "system"}
        stamp(row, "date_created", self._now())
        self.notes.setdefault(number, []).insert(0, row | {"note": text, "customer_note": False})

    # -- subscriptions

    def subscribe(self, customer: int, **fields: Any) -> int:
        """A subscription; its customer gets the role `subscriber` without a word. `bought`: at a checkout."""
        number, now = self._id("post"), self._now()
        bought = fields.pop("bought", False)
        given = {
            "status": "active",
            "customer_id": customer,
            "start_date_gmt": gmt(now),
            "next_payment_date_gmt": gmt(now + timedelta(days=30)),
            "line_items": [{"name": "Coffee box (monthly)", "product_id": 14, "price": "24.00", "sku": "SUB-M"}],
            **fields,
        }
        billing = given.get("billing") or self.customers[customer]["billing"]
        given["billing"] = {**billing, "email": billing.get("email") or self.customers[customer]["email"]}
        record = subscription_record(number, now, given, self._lines(given), self.home())
        self.subscriptions[number] = record
        if record["status"] == "active":
            self.set_role(customer, "subscriber")
        self.queue("subscription.updated", number)
        if bought:
            self.queue("subscription.created", number)
        return number

    def edit_subscription(self, number: int, **fields: Any) -> None:
        """Status or other saved change."""
        record = self.subscriptions[number]
        record.update({k: v for k, v in fields.items() if k in record})
        now = self._now()
        if record["status"] == "cancelled":
            record["cancelled_date_gmt"] = record["end_date_gmt"] = gmt(now)
            mine = [s for s in self.subscriptions.values() if s["customer_id"] == record["customer_id"]]
            if record["customer_id"] in self.customers and not any(s["status"] == "active" for s in mine):
                self.set_role(record["customer_id"], "customer")
        stamp(record, "date_modified", now)
        self.queue("subscription.updated", number)

    def move_next_payment(self, number: int, at: datetime) -> None:
        """In wp-admin: the webhook fires, the modified date stays."""
        self.subscriptions[number]["next_payment_date_gmt"] = gmt(at)
        self.queue("subscription.updated", number)

    def renew(self, number: int, *, paid: bool = True, reason: str = "") -> int:
        """A renewal order, paid or failed."""
        source = self.subscriptions[number]
        order, now = self._id("post"), self._now()
        given = {**source, "status": "processing" if paid else "failed", "created_via": "subscription"}
        lines = [{**line, "id": self._id("line")} for line in source["line_items"]]
        record = order_record(order, now, {**given, "parent_id": 0, "number": order}, lines, self.home())
        record["meta_data"] = self._meta([], [{"key": "_subscription_renewal", "value": str(number)}])
        self.orders[order] = record
        cache = "_subscription_renewal_order_ids_cache"
        before: list[int] = next((m["value"] for m in source["meta_data"] if m["key"] == cache), [])
        source["meta_data"] = self._meta(source["meta_data"], [{"key": cache, "value": [order, *before]}])
        self._pay(record)
        if reason:
            self.note(order, reason)
        self.queue("order.created", order)
        self.queue("order.updated", order)
        if paid:
            source["last_payment_date_gmt"] = gmt(now)
        self.edit_subscription(number, status="active" if paid else "on-hold")
        if not paid:
            self._payment_failed(order, number)
        return order

    def retry_renewal(self, order: int, *, paid: bool, reason: str = "") -> None:
        """Another attempt at a failed renewal: pending while the gateway works, then the outcome."""
        self.edit_order(order, status="processing" if paid else "failed")
        record = self.orders[order]
        if reason:
            self.note(order, reason)
        number = int(next(m["value"] for m in record["meta_data"] if m["key"] == "_subscription_renewal"))
        if not paid:
            self._payment_failed(order, number)
            return
        record["meta_data"] = self._meta(record["meta_data"], [{"key": _FAILED_RENEWAL, "value": None}])
        self._retry_at(number, None)
        self.edit_subscription(number, status="active", last_payment_date_gmt=gmt(self._now()))

    def _payment_failed(self, order: int, number: int) -> None:
        """What Subscriptions does in the request in which a payment failed.

        With automatic retry on, the retry rule moves the order on before anybody can see it failed; after the last
        rule it stays failed.
        """
        record = self.orders[order]
        record["meta_data"] = self._meta(record["meta_data"], [{"key": _FAILED_RENEWAL, "value": "yes"}])
        if self.retry_hours is None:
            return
        used = self._retries.get(order, 0)
        self._retries[order] = used + 1
        if used >= len(self.retry_hours):
            self._retry_at(number, None)
            return
        record["status"] = "pending"
        self.note(order, "Retry rule applied: Order status changed from Failed to Pending payment.")
        self._retry_at(number, self._now() + timedelta(hours=self.retry_hours[used]))

    def _retry_at(self, number: int, at: datetime | None) -> None:
        """With its retry system on, Subscriptions shows one date more; it moves no modified date."""
        if self.retry_hours is not None:
            self.subscriptions[number]["payment_retry_date_gmt"] = "" if at is None else gmt(at)

    def erase(self, number: int | None = None, email: str | None = None) -> None:
        """WordPress's eraser of personal data: an account keeps its name and loses its addresses, orders lose both."""
        if number is not None:
            record = self.customers[number]
            email = record["email"]
            self.edit_customer(
                number, billing=dict.fromkeys(record["billing"], ""), shipping=dict.fromkeys(record["shipping"], "")
            )
        for order in [o for o in self.orders.values() if o["billing"]["email"] == email]:
            order["customer_id"] = 0
            order["billing"] = {k: "" if k in ("country", "state", "phone") else "[deleted]" for k in order["billing"]}
            order["billing"]["email"] = "deleted@site.invalid"
            order["shipping"] = {
                k: "" if k in ("country", "state", "phone") else "[deleted]" for k in order["shipping"]
            }
            self.edit_order(order["id"], meta_data=[{"key": "_anonymized", "value": "yes"}])

    def add_product(self, name: str, kind: str = "simple") -> int:
        """A product; `variation` is in no list of products."""
        number = self._id("post")
        self.products[number] = {"id": number, "name": name, "type": kind}
        return number

    def trash_subscription(self, number: int) -> None:
        """Sends both topics."""
        self.subscriptions[number]["status"] = "trash"
        stamp(self.subscriptions[number], "date_modified", self._now())
        self.queue("subscription.updated", number)
        self.queue("subscription.deleted", number)

    def delete_subscription(self, number: int) -> None:
        """For good."""
        self.subscriptions.pop(number)
        self.queue("subscription.deleted", number)

    # -- memberships

    def add_plan(self, name: str, slug: str, products: Iterable[int] = ()) -> int:
        """A membership plan."""
        number = self._id("post")
        self.plans[number] = plan_record(number, self._now(), name, slug, tuple(products))
        return number

    def add_member(self, customer: int, plan: int, **fields: Any) -> int:
        """A membership, granted by purchase or by hand."""
        number = self._id("post")
        given = {**fields, "customer_id": customer}
        self.members[number] = member_record(number, self._now(), given, self.plans[plan], self.home())
        self.queue("user_membership.created", number)
        return number

    def set_member_status(self, number: int, status: str) -> None:
        """Paused, active again, cancelled ...: sent. `cancelled_date` stays once set."""
        record = self.members[number]
        record["status"] = status
        stamp(record, "paused_date", self._now() if status == "paused" else None)
        if status == "cancelled":
            stamp(record, "cancelled_date", self._now())
        self.queue("user_membership.updated", number)

    def move_member_end(self, number: int, at: datetime) -> None:
        """Nothing is sent, and the record has no modified date to tell."""
        stamp(self.members[number], "end_date", at)

    def transfer_member(self, number: int, customer: int) -> None:
        """To another customer."""
        self.members[number]["customer_id"] = customer
        self.queue("user_membership.updated", number)
        self.queue("user_membership.transferred", number)

    def delete_member(self, number: int) -> None:
        """For good."""
        self.members.pop(number)
        self.queue("user_membership.deleted", number)

    def rename_plan(self, number: int, name: str) -> None:
        """A plan saved; its members show the new name."""
        self.plans[number]["name"] = name
        stamp(self.plans[number], "date_modified", self._now())
        for member in self.members.values():
            if member["plan_id"] == number:
                member["plan_name"] = name
        self.queue("membership_plan.updated", number)
