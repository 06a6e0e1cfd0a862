"""The shop of `synccore demo`."""

import random
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from synccore.hookspecs import DemoInstance, DemoVendor

from .rest import FakeWooCommerce, settings

__all__ = ["VENDOR", "DemoShop"]

_FIRST = ("Ada", "Jürgen", "María José", "Łukasz", "Zoë", "Taro", "Ines", "Noor", "Olu", "Sofía", "Henrik", "Mei")
_LAST = ("Okafor", "Müller-Lüdtke", "Núñez", "Żółć", "van Dijk", "Yamada", "Moreau", "Haddad", "Berg", "Silva", "Kaya")
_TOWNS = (
    ("Köln", "50667", "NW", "DE", "+49 221 {:06d}"),
    ("Leeds", "LS1 4DY", "", "GB", "+44 113 496 {:04d}"),
    ("New York", "10001", "NY", "US", "+1 212 555 {:04d}"),
    ("A Coruña", "15001", "C", "ES", "+34 600 {:06d}"),
    ("Utrecht", "3511", "UT", "NL", "+31 30 {:07d}"),
)


class DemoShop:
    """A shop with made-up customers that tells the daemon of its changes."""

    def __init__(self, hook_url: str) -> None:
        self._random = random.Random(7)  # noqa: S311  the same people each time
        secret = secrets.token_hex(16)
        self.shop = FakeWooCommerce(name="Demo shop")
        self.routes: Mapping[str, Mapping[str, Any]] = {}
        self.config: Mapping[str, Any] = settings(self.shop, secret, ["customer", "order"])
        for topic in ("created", "updated", "deleted"):
            self.shop.webhook(f"customer.{topic}", hook_url, secret)
        for topic in ("created", "updated", "deleted", "restored"):
            self.shop.webhook(f"order.{topic}", hook_url, secret)
        self._people: list[int] = []
        self._edits = 0

    def seed(self, count: int) -> None:
        """Put `count` customers into the shop, some with an order."""
        now = datetime.now(UTC)
        for _ in range(count):
            number = len(self._people) + 1
            first, last = self._random.choice(_FIRST), self._random.choice(_LAST)
            billing = self._address(first, last) | {"email": f"buyer{number}@shop.test"}
            person = self.shop.add_customer(
                billing["email"], first_name=first, last_name=last, billing=billing, username=f"buyer{number}"
            )
            self._people.append(person)
            if number % 3 == 0:
                at = now - timedelta(days=self._random.randrange(1, 200))
                lines = [{"name": "Mug", "price": "19.90", "quantity": self._random.randrange(1, 4)}]
                self.shop.place_order(at=at, customer_id=person, status="completed", billing=billing, line_items=lines)
        # The past: the daemon reads it, the shop does not send it.
        self.shop.hooks.waiting.clear()

    def _address(self, first: str, last: str) -> dict[str, str]:
        town, postcode, state, country, phone = self._random.choice(_TOWNS)
        return {
            "first_name": first,
            "last_name": last,
            "company": self._random.choice(("", "", "Example & Co")),
            "address_1": f"{self._random.randrange(1, 200)} Sample Street",
            "city": town,
            "postcode": postcode,
            "state": state,
            "country": country,
            "phone": phone.format(self._random.randrange(10_000)),
        }

    def edit(self) -> str:
        """A shop manager corrects somebody's phone number; the shop sends its webhook."""
        if not self._people:
            self.seed(1)
        number = self._people[self._edits % len(self._people)]
        self._edits += 1
        phone = f"+49 221 {self._random.randrange(100_000, 1_000_000)}"
        self.shop.edit_customer(number, billing={"phone": phone})
        self.shop.run_queue()
        return f"customer {number} got a new phone number"

    def approve(self, url: str) -> str:
        """A shop with keys asks nobody."""
        return url

    def counts(self) -> Mapping[str, int]:
        """What is in the shop."""
        return {"customers": len(self._people), "orders": len(self.shop.shop.orders)}

    def close(self) -> None:
        """Close the shop."""
        self.shop.close()


def _start(hook_url: str) -> DemoInstance:
    return DemoShop(hook_url)


VENDOR = DemoVendor(role="source", name="shop", type="woocommerce", start=_start)
