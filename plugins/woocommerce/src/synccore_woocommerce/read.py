"""Reading single records: what is behind a hint, and saying for sure that something is gone."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from synccore.entities import guest_key
from synccore.errors import Transient
from synccore.types import Change, Context, Unreadable

from .changes import DRAFTS, TRASH, Translator
from .client import BATCH, Client, Record
from .errors import Gone, NoRoute
from .listing.paging import only, whole
from .lookups import Lookups
from .mapping import FIELDS
from .php import address_of, key, mapped, rows

__all__ = ["Fetched", "Reader"]

_PATHS = {
    "customer": "wc/v3/customers",
    "order": "wc/v3/orders",
    "payment": "wc/v3/orders",
    "subscription": "wc/v3/subscriptions",
    "membership": "wc/v3/memberships/members",
}
#: What lists leave out unless it is asked for.
_ALL = {"customer": {"role": "all"}, "order": {"status": "any,trash"}, "payment": {"status": "any,trash"}}
#: How long one walk through all guest orders answers questions about guests.
_WALK_LASTS = timedelta(minutes=10)

#: A record, a record and what came with it, what of it cannot be read, or None: it is gone.
Fetched = Change | Sequence[Change | Unreadable] | None


class Reader:
    """Answers `fetch` and `fetch_many`."""

    def __init__(self, shop: Client, translator: Translator, lookups: Lookups, context: Context) -> None:
        self._shop = shop
        self._translate = translator
        self._lookups = lookups
        self._context = context
        self._walked: tuple[datetime, dict[str, int]] | None = None

    def fetch(self, entity: str, number: str) -> Fetched:
        """The record's change (with what else it says), None where it is gone, trashed, or no customer by its role.

        Raises Transient where the shop lacks the entity just now: a plugin that was switched off deletes nobody.
        """
        if entity == "customer" and number.startswith("guest:"):
            return self._guest(number)
        path = _PATHS.get(entity)
        if path is None or not number.isdecimal():
            return None
        record = self._record(entity, path, number)
        return None if record is None else self._meaning(entity, number, [record])

    def fetch_many(self, entity: str, numbers: Sequence[str]) -> Mapping[str, Fetched]:
        """`fetch` of several, a hundred in a request; who is missing from the answer is asked for alone."""
        path, rest = _PATHS.get(entity), list(numbers)
        found: dict[str, Fetched] = {}
        numeric = [number for number in numbers if number.isdecimal()]
        for start in range(0, len(numeric) if path is not None and len(numeric) > 1 else 0, BATCH):
            part = numeric[start : start + BATCH]
            params = {**_ALL.get(entity, {}), "_fields": FIELDS["order" if entity == "payment" else entity]}
            came = {str(key(row.get("id"))): row for row in self._some(entity, str(path), part, params)}
            came = {number: row for number, row in came.items() if number in part}
            self._prepare(entity, list(came.values()))
            found |= {number: self._meaning(entity, number, [row], prepared=True) for number, row in came.items()}
        return found | {number: self.fetch(entity, number) for number in rest if number not in found}

    def search(self, email: str) -> Sequence[Change | Unreadable]:
        """The accounts with this address, as `fetch` tells them; where there is none, the guest who bought with it."""
        asked = {"email": email.strip(), "role": "all", "_fields": "id"}
        found = rows(self._shop.get("wc/v3/customers", asked))
        numbers = [number for row in found if (number := key(row.get("id")))]
        told: list[Change | Unreadable] = []
        for number in numbers or ([guest_key(email)] if self._translate.guests else []):
            fetched = self.fetch("customer", number)
            told += [fetched] if isinstance(fetched, Change) else fetched or ()
        return told

    # -- inside

    def _some(self, entity: str, path: str, numbers: Sequence[str], params: Mapping[str, str]) -> list[Record]:
        try:
            return self._shop.some(path, numbers, params)
        except NoRoute as error:
            raise self._lacking(entity, error) from error

    def _record(self, entity: str, path: str, number: str) -> Record | None:
        try:
            record = self._shop.get(f"{path}/{number}", {"_fields": FIELDS["order" if entity == "payment" else entity]})
        except Gone:
            self._translate.deleted(entity, number)
            return None
        except NoRoute as error:
            raise self._lacking(entity, error) from error
        if not isinstance(record, dict) or key(record.get("id")) != number:
            raise Transient("the shop gave something else than the record", outage=False)
        return record

    def _lacking(self, entity: str, error: NoRoute) -> Transient:
        return Transient(f"the shop knows no {entity} at the moment: {error.message}", outage=False)

    def _prepare(self, entity: str, records: Sequence[Record]) -> list[Change]:
        """Learn what the records name and do not say, and whose days they tell."""
        if self._translate.zone() is None:
            self._lookups.zone()
        if entity == "membership":
            self._lookups.names(records)
        return [] if entity == "customer" else self._lookups.buyers(records)

    def _meaning(self, entity: str, number: str, records: list[Record], *, prepared: bool = False) -> Fetched:
        buyers = [] if prepared else self._prepare(entity, records)
        status = records[0].get("status")
        if entity != "customer" and (status == TRASH or status in DRAFTS):
            return None
        unreadable: list[Unreadable] = []
        changes = [*buyers, *self._read(entity, records, unreadable)]
        if any(odd.key is not None for odd in unreadable):
            return [*buyers, *unreadable]
        if not any(c.entity == entity and c.key == number for c in changes):
            return None if entity in self._translate.emits else (changes or None)
        return changes[0] if len(changes) == 1 else changes

    def _read(self, entity: str, records: list[Record], unreadable: list[Unreadable]) -> list[Change]:
        if entity == "customer":
            return self._translate.customers(records, unreadable.append)
        if entity == "subscription":
            return self._translate.subscriptions(records, unreadable.append)
        if entity == "membership":
            return self._translate.memberships(records, unreadable.append)
        return self._translate.orders(records, self._lookups.renewals(records), unreadable.append)

    def _guest(self, number: str) -> Change | None:
        """A guest is gone when no order without an account carries the address any more."""
        now = self._context.clock.now()
        if self._walked is None or now - self._walked[0] > _WALK_LASTS:
            self._walked = (now, self._walk())
        order = self._walked[1].get(number)
        if order is None:
            return None
        try:
            record = self._shop.get(f"wc/v3/orders/{order}", {"_fields": FIELDS["order"]})
        except Gone:
            return None
        self._prepare("order", [record])
        return next((c for c in self._translate.orders([record]) if c.entity == "customer" and c.key == number), None)

    def _walk(self) -> dict[str, int]:
        """Guest key -> newest order, over all orders of guests and of those who are treated as guests.

        Raises Transient where the list ends short, or holds orders of others: who was not seen is not gone.
        """
        found: dict[str, int] = {}
        others = [number for number, _, bought in self._translate.people.others() if bought]
        for number in ("0", *others):
            for row in whole(self._shop, "wc/v3/orders", {"customer": number}, "id,customer_id,billing.email"):
                only("wc/v3/orders", [row], "customer_id", {number})
                self._note_guest(row, found)
        return found

    def _note_guest(self, row: Record, found: dict[str, int]) -> None:
        try:
            email = address_of(mapped(row.get("billing")).get("email"))
        except ValueError:
            return
        if email:
            guest = guest_key(email)
            found[guest] = max(int(key(row.get("id")) or 0), found.get(guest, 0))
