"""What an org asks of orders: made as drafts, activated on their own, locked after that."""

from collections.abc import Mapping
from typing import Any

from .model import ObjectDef, RowRefused

__all__ = ["check_order"]


def check_order(
    objects: Mapping[str, ObjectDef],
    name: str,
    clean: Mapping[str, Any],
    merged: Mapping[str, Any],
    old: Mapping[str, Any] | None,
) -> None:
    """Raise RowRefused for what an order or an order item may not do now."""
    if name == "Order":
        _order(objects, clean, merged, old)
    else:
        _item(objects, clean, merged)


def _order(
    objects: Mapping[str, ObjectDef], clean: Mapping[str, Any], merged: Mapping[str, Any], old: Mapping[str, Any] | None
) -> None:
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
        if not any(i["OrderId"] == old["Id"] for i in objects["OrderItem"].live()):
            raise RowRefused("FAILED_ACTIVATION", "An order must have at least one product.", ["Status"])
    if "Pricebook2Id" in changed and any(i["OrderId"] == old["Id"] for i in objects["OrderItem"].live()):
        raise RowRefused("FIELD_INTEGRITY_EXCEPTION", "the price book is fixed once there are items", ["Pricebook2Id"])


def _item(objects: Mapping[str, ObjectDef], clean: Mapping[str, Any], merged: Mapping[str, Any]) -> None:
    order = objects["Order"].records[str(merged["OrderId"])]
    if order["Status"] == "Activated":
        raise RowRefused("ENTITY_IS_LOCKED", "the entity is locked for editing")
    entry = objects["PricebookEntry"].records[str(merged["PricebookEntryId"])]
    if entry["Pricebook2Id"] != order.get("Pricebook2Id"):
        raise RowRefused(
            "FIELD_INTEGRITY_EXCEPTION", "the price book entry is not of the order's price book", ["PricebookEntryId"]
        )
    if not entry.get("IsActive"):
        raise RowRefused("FIELD_INTEGRITY_EXCEPTION", "the price book entry is not active", ["PricebookEntryId"])
