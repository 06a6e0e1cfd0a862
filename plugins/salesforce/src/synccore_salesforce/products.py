"""Price books: from the SKUs of order items to price book entries, made where the route allows it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from attrs import frozen

from synccore.errors import Rejected, Transient
from synccore.types import Operation
from synccore.values import amount

from .client import COLLECTION, Client, chunked, literal
from .errors import Problem, error_of, problems_of
from .mapping.defaults import ITEMS
from .match import fold
from .schema import Catalog

__all__ = ["Line", "Products", "entry_of"]

_ID_LENGTHS = (15, 18)


@frozen
class Line:
    """One item of an order."""

    code: str
    name: str
    quantity: Decimal
    price: Decimal

    @classmethod
    def parse(cls, item: Mapping[str, Any]) -> "Line":
        """From `{"sku", "name", "quantity", "price"}`. Raises Rejected for what is no item."""
        try:
            return cls(
                code=str(item.get("sku") or "").strip(),
                name=str(item.get("name") or item.get("sku") or "").strip(),
                quantity=_exact(item.get("quantity", 1)),
                price=_exact(item.get("price") or 0),
            )
        except (ValueError, AttributeError) as error:
            raise Rejected('items are a list of {"sku", "name", "quantity", "price"}', fields=[ITEMS]) from error


def _exact(value: Any) -> Decimal:
    exact = amount(value)
    if exact is None:
        raise ValueError(value)
    return exact


class Products:
    """The products of one org, as the orders of one route see them."""

    def __init__(self, client: Client, catalog: Catalog) -> None:
        self._client = client
        self._catalog = catalog

    def book(self, op: Operation) -> str:
        """Id of the route's price book. Raises Rejected where there is none of that name."""
        wanted = str(op.settings.get("price_book") or "")
        found = self._catalog.fact(f"book:{wanted}", lambda: self._find_book(wanted))
        if found is None:
            raise Rejected(
                f"there is no active price book {wanted!r}" if wanted else "the standard price book is not active",
                fields=["Pricebook2Id"],
            )
        return str(found)

    def _find_book(self, wanted: str) -> str | None:
        where = f"Name = {literal(wanted)}" if wanted else "IsStandard = true"
        if len(wanted) in _ID_LENGTHS and wanted.startswith("01s"):
            where = f"Id = {literal(wanted)}"
        found = list(self._client.query(["Id"], f"Pricebook2 WHERE {where} AND IsActive = true LIMIT 1"))
        return str(found[0]["Id"]) if found else None

    def _standard(self) -> str:
        found = self._catalog.fact("book:", lambda: self._find_book(""))
        if found is None:
            raise Rejected("products can be made only while the standard price book is active")
        return str(found)

    def entries(self, op: Operation, lines: Sequence[Line], currency: str) -> dict[str, list[str]]:
        """The entries of the route's price book for these lines, made where the route allows it; see `entry_of`."""
        book = self.book(op)
        found = self._entries(book, lines, currency)
        missing = {_name(line): line for line in lines if _name(line) not in found}
        if missing and op.settings.get("create_products", False):
            self._make(book, list(missing.values()), currency)
            found = self._entries(book, lines, currency)
        return found

    def _entries(self, book: str, lines: Sequence[Line], currency: str) -> dict[str, list[str]]:
        """Entries of the book by SKU, for lines without one by product name."""
        schema = self._catalog.find("PricebookEntry")
        where = f"Pricebook2Id = {literal(book)} AND IsActive = true"
        if currency and schema is not None and schema.get("CurrencyIsoCode"):
            where += f" AND CurrencyIsoCode = {literal(currency)}"
        found: dict[str, list[str]] = defaultdict(list)
        for column, values in (
            ("ProductCode", [line.code for line in lines if line.code]),
            ("Name", [line.name for line in lines if not line.code]),
        ):
            columns = ["Id", "Product2.ProductCode", "Product2.Name"]
            for entry in self._client.select(columns, "PricebookEntry", f"Product2.{column}", values, where=where):
                found[f"{column}:{fold(entry['Product2'][column])}"].append(str(entry["Id"]))
        return found

    # -- making products

    def _make(self, book: str, lines: Sequence[Line], currency: str) -> None:
        products = self._products(lines)
        fresh = [line for line in lines if _name(line) not in products]
        records = [{"Name": line.name[:255], "ProductCode": line.code or None, "IsActive": True} for line in fresh]
        for line, record_id in zip(fresh, self._create("Product2", records), strict=True):
            products[_name(line)] = record_id
        schema = self._catalog.find("PricebookEntry")
        more = {"CurrencyIsoCode": currency} if currency and schema and schema.get("CurrencyIsoCode") else {}
        # A product has to be in the standard price book before any other may list it.
        for each in dict.fromkeys((self._standard(), book)):
            listed = self._listed(each, list(products.values()))
            entries = [
                {"Pricebook2Id": each, "Product2Id": products[_name(line)], "UnitPrice": float(line.price)} | more
                for line in lines
                if products[_name(line)] not in listed
            ]
            self._create("PricebookEntry", [{**e, "IsActive": True} for e in entries])

    def _products(self, lines: Sequence[Line]) -> dict[str, str]:
        found: dict[str, str] = {}
        for column, values in (
            ("ProductCode", [line.code for line in lines if line.code]),
            ("Name", [line.name for line in lines if not line.code]),
        ):
            for product in self._client.select(["Id", column], "Product2", column, values, where="IsActive = true"):
                found.setdefault(f"{column}:{fold(product[column])}", str(product["Id"]))
        return found

    def _listed(self, book: str, products: Sequence[str]) -> set[str]:
        where = f"Pricebook2Id = {literal(book)}"
        found = self._client.select(["Id", "Product2Id"], "PricebookEntry", "Product2Id", products, where=where)
        return {str(e["Product2Id"]) for e in found}

    def _create(self, name: str, records: Sequence[Mapping[str, Any]]) -> list[str]:
        ids: list[str] = []
        for part in chunked(records, COLLECTION):
            sent = [{"attributes": {"type": name}, **r} for r in part]
            for result in self._client.create(sent, {}):
                if not result.get("success"):
                    problem = (*problems_of(result.get("errors")), Problem("UNKNOWN_EXCEPTION"))[0]
                    error = error_of(problem)
                    raise error if isinstance(error, Transient) else Rejected(f"{name}: {error.message}")
                ids.append(str(result["id"]))
        return ids


def entry_of(line: Line, entries: Mapping[str, list[str]]) -> str:
    """The one entry of a line. Raises Rejected where there is none, or more than one."""
    found = entries.get(_name(line), [])
    if len(found) == 1:
        return found[0]
    what = f"SKU {line.code}" if line.code else f"product {line.name!r} (it has no SKU)"
    raise Rejected(
        f"no active price book entry for {what}: add it, or set create_products = true on the route"
        if not found
        else f"{len(found)} price book entries for {what}: {', '.join(found)}",
        fields=[ITEMS],
    )


def _name(line: Line) -> str:
    return f"ProductCode:{fold(line.code)}" if line.code else f"Name:{fold(line.name)}"
