"""How lists answer: filters, order, pages and their headers, one set of rules per resource."""

import zlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from .records import LOCAL, Record
from .shop import Shop

__all__ = ["RestError", "only_fields", "page_of", "rows_of"]

_ORDERBY: Mapping[str, tuple[str, ...]] = {
    "customers": ("id", "include", "name", "registered_date"),
    "orders": ("date", "id", "include", "title", "slug", "modified"),
    "subscriptions": ("date", "id", "include", "title", "slug", "modified"),
    "webhooks": ("date", "id", "title"),
}


class RestError(Exception):
    """An answer other than 2xx."""

    def __init__(self, status: int, code: str, message: str, **data: Any) -> None:
        super().__init__(code)
        self.status = status
        self.body = {"code": code, "message": message, "data": {"status": status, **data}}
        #: Whether the `Allow` header is there; it is not where the caller may do nothing with the address.
        self.allow = True
        #: Whether the shop knew who asked.
        self.known = False

    @classmethod
    def parameter(cls, name: str, message: str, code: str, data: Any = None) -> "RestError":
        """400: a parameter is wrong."""
        return cls(
            400,
            "rest_invalid_param",
            f"Invalid parameter(s): {name}",
            params={name: message},
            details={name: {"code": code, "message": message, "data": data}},
        )


def _listed(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])}, and {words[-1]}"


def page_of(kind: str, query: Mapping[str, str]) -> tuple[int, int, int]:
    """Page size, page and offset. 400 for a size that is not allowed."""
    size = query.get("per_page", "10")
    if not size.isdigit() or not 1 <= int(size) <= 100:
        raise RestError.parameter(
            "per_page", "per_page must be between 1 (inclusive) and 100 (inclusive)", "rest_out_of_bounds"
        )
    orderby = query.get("orderby")
    if orderby is not None and kind in _ORDERBY and orderby not in _ORDERBY[kind]:
        message = f"orderby is not one of {_listed(_ORDERBY[kind])}."
        raise RestError.parameter("orderby", message, "rest_not_in_enum")
    page = int(query.get("page", "1"))
    offset = int(query["offset"]) if query.get("offset") else (page - 1) * int(size)
    return int(size), page, offset


def _date(name: str, text: str, *, are_gmt: bool) -> datetime | None:
    """What the shop understands; None matches nothing (fractions of seconds lose their zone under HPOS)."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or "T" not in text:
        raise RestError.parameter(name, "Invalid date.", "rest_invalid_date")
    if at.microsecond or "." in text:
        return datetime(9999, 1, 1, tzinfo=UTC)
    if at.tzinfo is not None:
        # Converted to the shop's own time first, and with dates_are_gmt once more.
        local = at.astimezone(LOCAL).replace(tzinfo=None)
        return local.replace(tzinfo=UTC) if are_gmt else at
    return at.replace(tzinfo=UTC if are_gmt else LOCAL)


def _ids(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part.strip().isdigit()]


def rows_of(kind: str, shop: Shop, query: Mapping[str, str]) -> list[Record]:
    """The whole list, filtered and in order."""
    table: Callable[[Shop, Mapping[str, str]], list[Record]] = {
        "customers": _customers,
        "orders": lambda shop, query: _purchases(list(shop.orders.values()), query),
        "subscriptions": lambda shop, query: _purchases(list(shop.subscriptions.values()), query),
        "memberships/members": _members,
        "memberships/plans": lambda shop, query: _included(shop.plans.values(), query),
        "products": lambda shop, query: _included(
            (p for p in shop.products.values() if p["type"] != "variation"), query
        ),
    }[kind]
    return table(shop, query)


def _included(rows: Iterable[Record], query: Mapping[str, str]) -> list[Record]:
    wanted = set(_ids(query["include"])) if query.get("include") else None
    return sorted((r for r in rows if wanted is None or r["id"] in wanted), key=lambda r: -int(r["id"]))


def _customers(shop: Shop, query: Mapping[str, str]) -> list[Record]:
    """No modified filter, no order by modified; without `role` only the role customer."""
    role = query.get("role", "customer")
    rows = [r for r in shop.customers.values() if role in ("all", r["role"])]
    if query.get("email"):
        rows = [r for r in rows if r["email"].lower() == query["email"].lower()]
    if query.get("include"):
        wanted = set(_ids(query["include"]))
        rows = [r for r in rows if r["id"] in wanted]
    if query.get("search"):
        word = query["search"].lower()
        rows = [r for r in rows if word in r["email"].lower() or word in r["username"].lower()]
    keys: dict[str, Callable[[Record], Any]] = {
        "id": lambda r: r["id"],
        "registered_date": lambda r: (r["date_created_gmt"], r["id"]),
        "name": lambda r: (r["username"], r["id"]),
    }
    key = keys.get(query.get("orderby", "name"), keys["id"])
    return sorted(rows, key=key, reverse=query.get("order", "asc") == "desc")


def _purchases(rows: list[Record], query: Mapping[str, str]) -> list[Record]:
    statuses = query.get("status", "any").split(",")
    if "any" in statuses:
        rows = [r for r in rows if r["status"] not in ("trash", "checkout-draft", "auto-draft")]
    else:
        rows = [r for r in rows if r["status"] in [s.removeprefix("wc-") for s in statuses]]
    for name, column in (("customer", "customer_id"), ("parent", "parent_id")):
        if query.get(name, "").isdigit():
            rows = [r for r in rows if r[column] == int(query[name])]
    if query.get("include"):
        wanted = set(_ids(query["include"]))
        rows = [r for r in rows if r["id"] in wanted]
    if query.get("search"):
        word = query["search"].lower()
        rows = [r for r in rows if word in " ".join(r["billing"].values()).lower()]
    are_gmt = query.get("dates_are_gmt", "").lower() in ("1", "true")
    for name, dated, later in (
        ("modified_after", "date_modified_gmt", True),
        ("modified_before", "date_modified_gmt", False),
        ("after", "date_created_gmt", True),
        ("before", "date_created_gmt", False),
    ):
        if name in query:
            limit = _date(name, query[name], are_gmt=are_gmt)
            edge = limit.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S") if limit else "9999"
            rows = [r for r in rows if r[dated] and ((r[dated] > edge) if later else (r[dated] < edge))]
    orderby = query.get("orderby", "date")
    dates = {"modified": "date_modified_gmt", "date": "date_created_gmt"}
    by = dates.get(orderby, "")
    return sorted(
        rows,
        key=lambda r: (r.get(by) or "", r["id"]),
        reverse=query.get("order", "desc") == "desc",
    )


def _members(shop: Shop, query: Mapping[str, str]) -> list[Record]:
    """By date, newest first; within one second the order depends on the page that is looked at."""
    if "order" in query and not query["order"].isdigit():
        raise RestError.parameter("order", "order is not of type integer.", "rest_invalid_type", {"param": "order"})
    rows = list(shop.members.values())
    if query.get("plan"):
        plan = query["plan"]
        ids = {p["id"] for p in shop.plans.values() if plan in (str(p["id"]), p["slug"])}
        rows = [r for r in rows if r["plan_id"] in ids]
    if query.get("status") and query["status"] != "any":
        rows = [r for r in rows if r["status"] in query["status"].split(",")]
    if query.get("customer"):
        asked = query["customer"]
        ids = {c["id"] for c in shop.customers.values() if asked in (str(c["id"]), c["email"], c["username"])}
        rows = [r for r in rows if r["customer_id"] in ids]
    if query.get("include"):
        wanted = set(_ids(query["include"]))
        rows = [r for r in rows if r["id"] in wanted]
    window = f"{query.get('per_page', '10')}/{query.get('page', '1')}/{query.get('offset', '')}"

    def shuffled(row: Record) -> int:
        # Rows of one second change places wherever the database sorts another slice of them.
        return zlib.crc32(f"{row['id']}/{window}".encode())

    rows.sort(key=shuffled)
    return sorted(rows, key=lambda r: str(r["date_created_gmt"]), reverse=True)


def only_fields(record: Mapping[str, Any], fields: str | None, *, links: bool) -> Record:
    """What `_fields` leaves of a record; `links` says whether `_links` survive it."""
    if not fields:
        return dict(record)
    out: Record = {}
    for path in fields.split(","):
        name, _, inner = path.strip().partition(".")
        if name not in record:
            continue
        value = record[name]
        if inner and isinstance(value, dict):
            part = out.setdefault(name, {})
            if inner in value:
                part[inner] = value[inner]
        else:
            out[name] = value
    ordered = {name: out[name] for name in record if name in out}
    if links and "_links" in record:
        ordered["_links"] = record["_links"]
    return ordered
