"""Reading one record, and saying for sure that it is gone."""

from datetime import datetime, timedelta

from synccore.entities import guest_key
from synccore.errors import Transient
from synccore.types import Change, Context

from .changes import DRAFTS, TRASH, Translator
from .client import PER_PAGE, Record, Shop
from .errors import Gone, NoRoute
from .mapping import FIELDS

__all__ = ["Fetcher"]

_PATHS = {
    "customer": "wc/v3/customers",
    "order": "wc/v3/orders",
    "payment": "wc/v3/orders",
    "subscription": "wc/v3/subscriptions",
    "membership": "wc/v3/memberships/members",
}
#: How long one walk through all guest orders answers questions about guests.
_WALK_LASTS = timedelta(minutes=10)


class Fetcher:
    """Answers `fetch`."""

    def __init__(self, shop: Shop, translator: Translator, context: Context) -> None:
        self._shop = shop
        self._translate = translator
        self._context = context
        self._walked: tuple[datetime, dict[str, int]] | None = None

    def fetch(self, entity: str, key: str) -> Change | None:
        """The record's change; None where it is gone, trashed, or no customer by its role.

        Raises Transient where the shop lacks the entity just now: a plugin that was switched off deletes nobody.
        """
        if entity == "customer" and key.startswith("guest:"):
            return self._guest(key)
        path = _PATHS.get(entity)
        if path is None or not key.isdecimal():
            return None
        try:
            fields = FIELDS["order" if entity == "payment" else entity]
            record = self._shop.get(f"{path}/{key}", {"_fields": fields})
        except Gone:
            self._translate.deleted(entity, key)
            return None
        except NoRoute as error:
            raise Transient(f"the shop knows no {entity} at the moment: {error.message}", outage=False) from error
        if not isinstance(record, dict) or "id" not in record:
            raise Transient("the shop gave something else than the record")
        return next((change for change in self._read(entity, record) if change.entity == entity), None)

    def _read(self, entity: str, record: Record) -> list[Change]:
        if record.get("status") == TRASH or record.get("status") in DRAFTS:
            return []
        if entity == "customer":
            return self._translate.customers([record])
        if entity == "subscription":
            return self._translate.subscriptions([record])
        if entity == "membership":
            return self._translate.memberships([record])
        return self._translate.orders([record])

    def _guest(self, key: str) -> Change | None:
        """A guest is gone when no order without an account carries the address any more."""
        now = self._context.clock.now()
        if self._walked is None or now - self._walked[0] > _WALK_LASTS:
            self._walked = (now, self._walk())
        order = self._walked[1].get(key)
        if order is None:
            return None
        try:
            record = self._shop.get(f"wc/v3/orders/{order}", {"_fields": FIELDS["order"]})
        except Gone:
            return None
        return next((c for c in self._read("order", record) if c.entity == "customer" and c.key == key), None)

    def _walk(self) -> dict[str, int]:
        """Guest key -> newest order, over all guest orders."""
        found: dict[str, int] = {}
        offset, last = 0, 0
        while True:
            listing = self._shop.list(
                "wc/v3/orders",
                {
                    "customer": "0",
                    "orderby": "id",
                    "order": "asc",
                    "per_page": PER_PAGE,
                    "offset": offset,
                    "_fields": "id,billing.email",
                },
            )
            if offset and last and (not listing.rows or int(listing.rows[0]["id"]) > last):
                offset = max(0, offset - PER_PAGE)
                continue
            for row in listing.rows:
                email = (row.get("billing") or {}).get("email")
                if email:
                    found[guest_key(email)] = int(row["id"])
            if len(listing.rows) < PER_PAGE:
                return found
            last, offset = int(listing.rows[-1]["id"]), offset + PER_PAGE - 5
