"""The records behind the API: finding, showing, writing and deleting them."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from .lists import RestError
from .records import Record
from .shop import Shop
from .webhooks import Webhooks

__all__ = ["ALL_METHODS", "Resources"]

ALL_METHODS = "GET, POST, PUT, PATCH, DELETE"
_GONE = {
    "customers": ("wc_user_invalid_id", "Invalid user ID."),
    "orders": ("woocommerce_rest_shop_order_invalid_id", "Invalid ID."),
    "subscriptions": ("woocommerce_rest_shop_subscription_invalid_id", "Invalid ID."),
    "memberships/members": (
        "woocommerce_rest_invalid_wc_user_membership_id",
        "User Membership invalid or not found.",
    ),
    "memberships/plans": ("woocommerce_rest_invalid_wc_membership_plan_id", "Membership Plan invalid or not found."),
    "webhooks": ("woocommerce_rest_shop_webhook_invalid_id", "Invalid ID."),
    "products": ("woocommerce_rest_product_invalid_id", "Invalid ID."),
}
#: Topic's resource -> list.
_LISTS = {
    "customer": "customers",
    "order": "orders",
    "subscription": "subscriptions",
    "user_membership": "memberships/members",
    "membership_plan": "memberships/plans",
}


class Resources:
    """What a request acts on; errors are RestError."""

    def __init__(self, shop: Shop, hooks: Webhooks, home: Callable[[], str]) -> None:
        self.shop = shop
        self.hooks = hooks
        self._home = home

    def webhook_rows(self, query: Mapping[str, str]) -> list[Record]:
        rows = [r for r in self.hooks.all.values() if query.get("status", "all") in ("all", r["status"])]
        by = (lambda r: r["id"]) if query.get("orderby") == "id" else (lambda r: (r["date_created_gmt"], r["id"]))
        return sorted(rows, key=by, reverse=query.get("order", "desc") == "desc")

    def table(self, kind: str) -> dict[int, Record]:
        tables: dict[str, dict[int, Record]] = {
            "customers": self.shop.customers,
            "orders": self.shop.orders,
            "subscriptions": self.shop.subscriptions,
            "memberships/members": self.shop.members,
            "memberships/plans": self.shop.plans,
            "webhooks": self.hooks.all,
            "products": self.shop.products,
        }
        return tables[kind]

    def find(self, kind: str, number: int) -> Record:
        record = self.table(kind).get(number)
        if record is None:
            code, message = _GONE[kind]
            error = RestError(404, code, message)
            error.allow = kind != "customers"
            raise error
        return record

    def linked(self, kind: str, record: Record) -> Record:
        base = f"{self._home()}/wp-json/wc/v3/{kind}"
        own = {"href": f"{base}/{record['id']}"}
        allow = ["GET"] if kind == "memberships/plans" else ALL_METHODS.split(", ")
        if kind == "customers" and record["role"] == "administrator":
            allow = ["GET", "POST", "PUT", "PATCH"]
        links: dict[str, Any] = {"self": [{**own, "targetHints": {"allow": allow}}], "collection": [{"href": base}]}
        if kind in ("orders", "subscriptions"):
            links["email_templates"] = [{"embeddable": True, "href": f"{base}/{record['id']}/actions/email_templates"}]
        if record.get("customer_id"):
            links["customer"] = [{"href": f"{self._home()}/wp-json/wc/v3/customers/{record['customer_id']}"}]
        if kind in ("orders", "subscriptions") and record.get("parent_id"):
            links["up"] = [{"href": f"{self._home()}/wp-json/wc/v3/orders/{record['parent_id']}"}]
        if kind == "memberships/plans" and record["access_product_ids"]:
            links["products"] = [
                {"href": f"{self._home()}/wp-json/wc/v3/products/{number}"} for number in record["access_product_ids"]
            ]
        return {**record, "_links": links}

    def payload(self, resource: str, number: int) -> Any:
        """A webhook's body: the record as it is now, or the error that reading it gives."""
        kind = _LISTS[resource]
        try:
            record = self.find(kind, number)
        except RestError as error:
            return error.body
        return dict(record) if kind.startswith("memberships/") else self.linked(kind, record)

    def new(self, kind: str, body: Mapping[str, Any]) -> int:
        if kind == "webhooks":
            return int(self.hooks.create(body)["id"])
        if kind == "orders":
            return self.shop.place_order(**body)
        if kind == "memberships/members":
            return self._new_member(int(body["customer_id"]), int(body["plan_id"]))
        if kind == "customers":
            if "email" not in body:
                raise RestError(400, "rest_missing_callback_param", "Missing parameter(s): email", params=["email"])
            if any(c["email"].lower() == str(body["email"]).lower() for c in self.shop.customers.values()):
                raise RestError(
                    400,
                    "registration-error-email-exists",
                    f"An account is already registered with {body['email']}. "
                    "Please log in or use a different email address.",
                )
            fields = {
                k: v
                for k, v in body.items()
                if k in ("first_name", "last_name", "username", "billing", "shipping", "meta_data")
            }
            return self.shop.add_customer(str(body["email"]), **fields)
        raise RestError(404, "rest_no_route", "No route was found matching the URL and request method.")

    def _new_member(self, customer: int, plan: int) -> int:
        """One plan once per customer."""
        if any((m["customer_id"], m["plan_id"]) == (customer, plan) for m in self.shop.members.values()):
            message = f"A membership already exists for user {customer} and plan {plan}."
            raise RestError(400, "woocommerce_rest_wc_user_membership_exists", message)
        return self.shop.add_member(customer, plan)

    def write(self, kind: str, number: int, body: Any) -> None:
        if kind == "webhooks":
            self.hooks.edit(number, body)
        elif kind == "orders":
            self.shop.edit_order(number, **body)
        elif kind == "subscriptions":
            self.shop.edit_subscription(number, **body)
        elif kind == "memberships/members":
            self._write_member(number, body)
        else:
            email = body.get("billing", {}).get("email") if isinstance(body.get("billing"), dict) else None
            if email is not None and "@" not in email:
                raise RestError.parameter("billing", "Invalid email address.", "rest_invalid_email")
            self.shop.edit_customer(number, **body)

    def _write_member(self, number: int, body: Mapping[str, Any]) -> None:
        allowed = ("active", "free_trial", "delayed", "complimentary", "pending", "paused", "expired", "cancelled")
        if "status" in body:
            if body["status"] not in allowed:
                message = f"status is not one of {', '.join(allowed[:-1])}, and {allowed[-1]}."
                raise RestError.parameter("status", message, "rest_not_in_enum")
            self.shop.set_member_status(number, body["status"])
        if body.get("end_date_gmt"):
            self.shop.move_member_end(number, datetime.fromisoformat(body["end_date_gmt"]).replace(tzinfo=UTC))

    def delete(self, kind: str, number: int, *, force: bool) -> Record:
        """Delete or trash; gives the record as it was. 501 where there is no trash."""
        record = self.linked(kind, self.find(kind, number))
        if kind in ("customers", "webhooks") and not force:
            raise RestError(
                501, "woocommerce_rest_trash_not_supported", f"{kind.capitalize()} do not support trashing."
            )
        removers: dict[str, Callable[[int], Any]] = {
            "customers": self.shop.delete_customer,
            "orders": self.shop.delete_order if force else self.shop.trash_order,
            "subscriptions": self.shop.delete_subscription if force else self.shop.trash_subscription,
            "memberships/members": self.shop.delete_member,
            "webhooks": self.hooks.delete,
        }
        removers[kind](number)
        if kind == "customers":
            # Nothing may be done with the address any more.
            record["_links"]["self"] = [{"href": record["_links"]["self"][0]["href"]}]
        return record

    def batch_row(self, kind: str, part: str, number: int, row: Any) -> Any:
        try:
            if part == "create":
                return self.linked(kind, self.find(kind, self.new(kind, row)))
            self.find(kind, number)
            if part == "delete":
                return self.delete(kind, number, force=True)
            self.write(kind, number, {k: v for k, v in row.items() if k != "id"})
            return self.linked(kind, self.find(kind, number))
        except RestError as error:
            return {"id": number, "error": error.body}
