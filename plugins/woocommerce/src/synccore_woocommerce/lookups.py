"""What a record names and does not say: its buyer, its plan, its product, the subscription it renews.

Each is asked for a page of records at a time, and what was learnt is remembered.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from synccore.errors import RateLimited, Rejected, SynccoreError, Transient
from synccore.types import Change

from . import mapping
from .changes import Translator
from .client import BATCH, Client, Record
from .errors import Forbidden, NoRoute
from .mapping import FIELDS
from .php import decoded, key, rows, text

__all__ = ["Lookups", "Renewals"]

#: What notes of failed payments say, in the languages most shops speak.
_FAILURE_WORDS = (
    *("fail", "declin", "refus", "insufficient", "expired", "error", "fehlgeschlagen", "abgelehnt", "échou", "refusé"),
    *(
        "fallid",
        "rechazad",
        "fallit",
        "rifiutat",
        "mislukt",
        "geweigerd",
        "falhou",
        "recusad",
        "nie powiod",
        "odrzucon",
    ),
)


_STATUS_WORDS = ("status", "statut", "estado", "stato", "retry rule")


class Lookups:
    """Asks the shop."""

    def __init__(self, shop: Client, translator: Translator) -> None:
        self._shop = shop
        self._translate = translator

    def accounts(self, numbers: Iterable[str]) -> list[Change]:
        """The customers among these accounts; who is none, or is not there, is remembered as such."""
        wanted = sorted(set(numbers), key=int)
        changes: list[Change] = []
        for start in range(0, len(wanted), BATCH):
            part = wanted[start : start + BATCH]
            found = self._shop.some("wc/v3/customers", part, {"role": "all", "_fields": FIELDS["customer"]})
            changes += self._translate.customers(found)
            there = {key(row.get("id")) for row in found}
            if gone := [number for number in part if number not in there]:
                self._translate.people.missing(gone)
        return changes

    def buyers(self, records: Sequence[Record]) -> list[Change]:
        """The accounts behind these records of whom nothing is known yet."""
        return self.accounts(self._translate.strangers(records))

    def names(self, members: Sequence[Record], *, anew: bool = False) -> None:
        """Names of the plans and products of these members; `anew`: of the products known already too."""
        plans, products = self._translate.unnamed(members)
        if plans:
            fields = {"_fields": "id,slug,name"}
            self._translate.plans(self._shop.some("wc/v3/memberships/plans", plans, fields))
        if anew:
            products = sorted({k for row in members if (k := key(row.get("product_id")))}, key=int)
        for start in range(0, len(products), BATCH):
            part = products[start : start + BATCH]
            try:
                found = self._shop.some("wc/v3/products", part, {"_fields": "id,name", "status": "any"})
                # Variations are in no list of products, and still answer to their number.
                missing = sorted(set(part) - {key(row.get("id")) for row in found}, key=int)
                found += [row for number in missing if (row := self._product(number)) is not None]
            except (Forbidden, NoRoute):
                return
            self._translate.products(found)

    def zone(self) -> None:
        """Learn the shop's time zone; a shop that hides its index keeps the one that was known.

        Raises Transient and RateLimited while none is known: what is told by another's days stays told so.
        """
        try:
            self._translate.learn(self._shop.index())
        except SynccoreError as error:
            if self._translate.zone() is None and isinstance(error, Transient | RateLimited):
                raise

    def _product(self, number: str) -> Record | None:
        try:
            row = self._shop.get(f"wc/v3/products/{number}", {"_fields": "id,name"})
        except Rejected:
            return None
        return row if isinstance(row, dict) else None

    def renewals(self, orders: Sequence[Record], *, reasons: bool = True) -> "Renewals":
        """What there is to ask about the renewals among these orders."""
        numbers = {number for order in orders if isinstance(order, dict) and (number := mapping.renewed(order))}
        found: dict[str, Record] = {}
        if numbers:
            try:
                came = self._shop.some(
                    "wc/v3/subscriptions",
                    sorted(numbers, key=int),
                    {"status": "any", "_fields": FIELDS["subscription"]},
                )
            except NoRoute:
                came = []
            found = {str(key(row.get("id"))): row for row in came}
        return Renewals(self._shop, found, reasons=reasons)


class Renewals:
    """The subscriptions that some orders renew, and why payments failed."""

    def __init__(self, shop: Client, subscriptions: Mapping[str, Record], *, reasons: bool) -> None:
        self._shop = shop
        self._subscriptions = subscriptions
        self._reasons = reasons

    def subscription(self, number: str) -> Record | None:
        """The subscription of that number, if the shop gave it."""
        return self._subscriptions.get(number)

    def reason(self, order: Record) -> str | None:
        """Why a payment failed: the API has it in the order's notes only, newest first. "" where they do not say."""
        if not self._reasons:
            return None
        try:
            notes = self._shop.get(f"wc/v3/orders/{key(order['id'])}/notes", {"_fields": "id,note"})
        except Rejected:
            return ""
        said = [text(note.get("note")) or "" for note in rows(notes)]
        words = [" ".join(decoded(re.sub(r"<[^<>]*+>", " ", note)).split()) for note in said]
        failed = [note for note in words if any(word in note.lower() for word in _FAILURE_WORDS)]
        # What the gateway said tells more than that the order's status was changed.
        telling = [note for note in failed if not any(word in note.lower() for word in _STATUS_WORDS)]
        return (telling or failed or [""])[0][:200]
