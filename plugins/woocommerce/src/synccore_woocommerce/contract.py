"""The source against the hazards of the kit. Shipped, so that `synccore plugins check woocommerce` can repeat it."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from synccore.entities import Address
from synccore.secrets import Secret
from synccore.testing import FakeClock, Fault, LoopbackServer, Reply, Request, SourceContract
from synccore.types import WebhookRequest
from synccore_woocommerce.config import Config
from synccore_woocommerce.source import SOURCE
from synccore_woocommerce.testing import KEY, FakeWooCommerce

SECRET = "synccore-test-secret"  # noqa: S105  the stand-in's own


#: What an address of synccore's calls what WooCommerce's calls otherwise.
_PARTS = {"company": "company", "line1": "address_1", "city": "city"}
_TIMES = (("create", "created"), ("update", "modified"))


def _address(row: Mapping[str, str]) -> Address:
    return Address(**{name: _typed(row[theirs]) for name, theirs in _PARTS.items()})


def _typed(text: str) -> str | None:
    return text.replace("&amp;", "&") or None


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Ears(LoopbackServer):
    """Where the shop's webhooks arrive."""

    def handle(self, request: Request) -> Reply:
        """Take anything."""
        return Reply(200, "ok")


class TestWooCommerce(SourceContract):
    """Customers, by list and by webhook."""

    source_type = SOURCE
    many = 120

    def start(self, clock: FakeClock) -> FakeWooCommerce:
        """The stand-in, by the test's clock."""
        self.numbers: dict[int, int] = {}
        self.deleted: dict[int, WebhookRequest] = {}
        return FakeWooCommerce(clock=clock)

    def config(self, stand_in: FakeWooCommerce) -> Config:
        """The settings that reach it."""
        return Config(
            url=stand_in.url,
            consumer_key=Secret(KEY.key),
            consumer_secret=Secret(KEY.secret),
            webhook_secret=Secret(SECRET),
        )

    def put(self, stand_in: FakeWooCommerce, number: int) -> None:
        """A customer."""
        self.numbers[number] = stand_in.add_customer(f"person{number}@shop.test", first_name="Ann")

    def edit(self, stand_in: FakeWooCommerce, number: int) -> None:
        """Another name, and a family's."""
        stand_in.edit_customer(
            self.numbers[number], first_name="Married", last_name="Person", billing={"company": "Person Ltd"}
        )

    def remove(self, stand_in: FakeWooCommerce, number: int) -> None:
        """Gone, and the shop says so."""
        delete = partial(stand_in.delete_customer, self.numbers[number])
        self.deleted[number] = self._sent(stand_in, "customer.deleted", delete)

    def webhook(self, stand_in: FakeWooCommerce, number: int) -> WebhookRequest:
        """What the shop really sends after an edit."""
        edit = partial(stand_in.edit_customer, self.numbers[number], first_name="Anna")
        return self._sent(stand_in, "customer.updated", edit)

    def deletion(self, stand_in: FakeWooCommerce, number: int) -> WebhookRequest:
        """What the shop really sends; `remove` kept it."""
        return self.deleted[number]

    def exchange_account(self, stand_in: FakeWooCommerce) -> None:
        """The domain was given to another shop, which calls itself by another address."""
        stand_in.names_itself = "https://another.shop.test"

    def _sent(self, stand_in: FakeWooCommerce, topic: str, act: Callable[[], object]) -> WebhookRequest:
        with Ears() as ears:
            stand_in.hooks.waiting.clear()
            stand_in.webhook(topic, f"{ears.url}/hooks/shop", SECRET)
            act()
            stand_in.run_queue()
            (sent,) = ears.requests
        return WebhookRequest(method=sent.method, path=sent.path, headers=sent.headers, body=sent.body)

    def cap(self, stand_in: FakeWooCommerce, rows: int) -> None:
        """A host that caps pages and leaves the totals out."""
        stand_in.quirks.cap = rows
        stand_in.quirks.no_total = True

    def repeat(self, stand_in: FakeWooCommerce) -> None:
        """A cache that knows neither `offset` nor `page`."""
        stand_in.quirks.ignore = frozenset({"offset", "page"})

    def tie(self, stand_in: FakeWooCommerce, numbers: Sequence[int]) -> None:
        """An import: one time for all."""
        first, *others = (stand_in.shop.customers[self.numbers[number]] for number in numbers)
        for record in others:
            for name in ("date_created", "date_created_gmt", "date_modified", "date_modified_gmt"):
                record[name] = first[name]

    def bare(self, stand_in: FakeWooCommerce, number: int) -> None:
        """An account without an address."""
        self.numbers[number] = stand_in.add_customer("")

    def holds(self, stand_in: FakeWooCommerce, number: int) -> Mapping[str, object]:
        """What the account says."""
        row = stand_in.shop.customers[self.numbers[number]]
        told = {name: _typed(row[name]) for name in ("email", "first_name", "last_name", "username", "role")}
        billing, shipping = (_address(row[part]) for part in ("billing", "shipping"))
        times = {f"{name}d_at": _utc(row[f"date_{long}_gmt"]) for name, long in _TIMES}
        shown = {"company": billing.company, "paying": row["is_paying_customer"]}
        return {**told, **times, **shown, "billing": billing, "shipping": shipping}

    def fill(self, stand_in: FakeWooCommerce, number: int, text: str) -> None:
        """Names and an address of any kind, stored as WordPress's forms do."""
        stored = text.replace("&", "&amp;")
        billing = dict.fromkeys(("company", "address_1", "city"), stored)
        stand_in.edit_customer(self.numbers[number], first_name=stored, last_name=stored, billing=billing)

    def spoil(self, stand_in: FakeWooCommerce, name: str) -> None:
        """What a plugin made of rows: one has no number, one is a text."""
        odd = stand_in.quirks.odd_rows.setdefault("customers", [])
        odd.append(name if odd else {"last_name": name})

    def only(self, stand_in: FakeWooCommerce, number: int) -> Mapping[str, str]:
        """By address, as the shop's own list can."""
        return {"email": f"person{number}@shop.test"}

    def signed(self, stand_in: FakeWooCommerce, body: bytes) -> WebhookRequest:
        """Any body under the shop's signature."""
        signature = base64.b64encode(hmac.digest(SECRET.encode(), body, hashlib.sha256)).decode()
        headers = {
            "content-type": "application/json",
            "x-wc-webhook-topic": "customer.updated",
            "x-wc-webhook-signature": signature,
        }
        return WebhookRequest(method="POST", path="/hooks/shop", headers=headers, body=body)

    def unauthorised(self) -> Fault:
        """Keys that may not read."""
        body = {"code": "woocommerce_rest_cannot_view", "message": "Sorry.", "data": {"status": 401}}
        return Fault.status(401, body)

    def forbidden(self) -> Fault:
        """Keys whose user may not see customers."""
        body = {"code": "woocommerce_rest_cannot_view", "message": "Sorry.", "data": {"status": 403}}
        return Fault.status(403, body)
