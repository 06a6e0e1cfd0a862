"""What an org asks of orders: made as drafts, activated on their own, locked after that."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .model import RowRefused

if TYPE_CHECKING:
    from .org import Org

__all__ = ["check_order"]


def check_order(
    org: "Org", name: str, clean: Mapping[str, Any], merged: Mapping[str, Any], old: Mapping[str, Any] | None
) -> None:
    """Raise RowRefused for what an order or an order item may not do now."""
    if name == "Order":
        _order(org, clean, merged, old)
    else:
        _item(org, clean, merged)


def _order(org: "Org", clean: Mapping[str, Any], merged: Mapping[str, Any], old: Mapping[str, Any] | None) -> None:
    if old is None:
        if not clean.get("AccountId"):
            raise RowRefused("REQUIRED_FIELD_MISSING", "Required fields are missing: [AccountId]", ["AccountId"])
        if clean.get("Status") != "Draft":
            raise RowRefused("FAILED_ACTIVATION", "an order is created as a draft", ["Status"])
        return
    changed = {n for n, v in clean.items() if old.get(n) != v}
    if old["Status"] == "Activated" and changed - {"Status"}:
        raise RowRefused("ENTITY_IS_LOCKED", "the entity is locked for editing")
    if merged["Status"] == "Activated" and old["Status"] != "Activated":
        if set(clean) != {"Status"}:
            raise RowRefused("FAILED_ACTIVATION", "Status must be the only field changed", ["Status"])
        if not any(i["OrderId"] == old["Id"] for i in org.records("OrderItem")):
            raise RowRefused("FAILED_ACTIVATION", "An order must have at least one product.", ["Status"])
    if "Pricebook2Id" in changed and any(i["OrderId"] == old["Id"] for i in org.records("OrderItem")):
        raise RowRefused("FIELD_INTEGRITY_EXCEPTION", "the price book is fixed once there are items", ["Pricebook2Id"])


def _item(org: "Org", clean: Mapping[str, Any], merged: Mapping[str, Any]) -> None:
    order = org.objects["Order"].records[str(merged["OrderId"])]
    if order["Status"] == "Activated":
        raise RowRefused("ENTITY_IS_LOCKED", "the entity is locked for editing")
    entry = org.objects["PricebookEntry"].records[str(merged["PricebookEntryId"])]
    if entry["Pricebook2Id"] != order.get("Pricebook2Id"):
        raise RowRefused(
            "FIELD_INTEGRITY_EXCEPTION", "the price book entry is not of the order's price book", ["PricebookEntryId"]
        )
    if not entry.get("IsActive"):
        raise RowRefused("FIELD_INTEGRITY_EXCEPTION", "the price book entry is not active", ["PricebookEntryId"])
