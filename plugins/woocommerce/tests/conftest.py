"""A shop, a source that reads it, and an address where its webhooks arrive."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from synccore.errors import SignatureError
from synccore.secrets import Secret
from synccore.testing import FakeClock, FakeContext, LoopbackServer, Reply, Request
from synccore.types import Change, Unreadable, WebhookRequest
from synccore_woocommerce.config import Config
from synccore_woocommerce.source import WooCommerce
from synccore_woocommerce.testing import KEY, FakeWooCommerce, Key
from synccore_woocommerce.testing.webhooks import TOPICS

sys.path.insert(0, str(Path(__file__).parent))  # for the helpers beside the tests

SECRET = "synccore-test-secret"
EVERYTHING = ("customer", "order", "membership", "subscription", "payment")


@frozen
class Client:
    """A source and the context it lives in."""

    source: WooCommerce
    context: FakeContext

    def all(self, entity: str, cursor: str | None = None, **filters: str) -> list[Change]:
        """Every change of a whole poll."""
        return self.listed(entity, cursor, **filters)[0]

    def listed(self, entity: str, cursor: str | None = None, **filters: str) -> tuple[list[Change], str | None]:
        """Every change of a whole poll, and the cursor it ends with."""
        changes: list[Change] = []
        for page in self.source.poll(entity, cursor, filters):
            changes += page.changes
            cursor = page.cursor
        return changes, cursor


class Ears(LoopbackServer):
    """Where the shop's webhooks arrive: answers as the daemon does and keeps what they said."""

    def __init__(self, source: Callable[[], WooCommerce | None]) -> None:
        self.changes: list[Change] = []
        self.unreadable: list[Unreadable] = []
        self.received: list[WebhookRequest] = []
        self.status = 200
        self._source = source
        super().__init__()

    def handle(self, request: Request) -> Reply:
        hook = webhook_request(request)
        self.received.append(hook)
        source = self._source()
        if self.status == 200 and source is not None:
            try:
                for told in source.receive(hook):
                    (self.unreadable if isinstance(told, Unreadable) else self.changes).append(told)
            except SignatureError as error:
                return Reply(401, error.message)
        return Reply(self.status, "ok")

    @property
    def hook_url(self) -> str:
        return f"{self.url}/hooks/shop"

    def take(self) -> list[Change]:
        """What arrived since the last time, hints followed up as core does."""
        taken, self.changes = self.changes, []
        source = self._source()
        assert source is not None
        return [change for told in taken for change in followed(source, told)]


def followed(source: WooCommerce, change: Change) -> list[Change]:
    """What core makes of a change: behind a hint it reads the record, and one that is gone is a deletion."""
    if change.op != "touch":
        return [change]
    found = source.fetch(change.entity, change.key)
    if found is None:
        return [Change(entity=change.entity, key=change.key, op="delete")]
    return [found] if isinstance(found, Change) else [one for one in found if isinstance(one, Change)]


def webhook_request(request: Request) -> WebhookRequest:
    return WebhookRequest(
        method=request.method, path=request.path, headers=request.headers, body=request.body, query=dict(request.query)
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def shop(clock: FakeClock) -> Iterator[FakeWooCommerce]:
    with FakeWooCommerce(clock=clock) as server:
        yield server


@pytest.fixture
def make(clock: FakeClock) -> Iterator[Callable[..., Client]]:
    """Open a source on a shop: `make(shop, entities=(...), guests=False)`."""
    opened: list[WooCommerce] = []

    def build(
        shop: FakeWooCommerce,
        *,
        key: Key = KEY,
        context: FakeContext | None = None,
        public_url: str | None = None,
        name: str = "shop",
        **settings: Any,
    ) -> Client:
        values: dict[str, Any] = {
            "url": shop.url,
            "consumer_key": Secret(key.key),
            "consumer_secret": Secret(key.secret),
            "webhook_secret": Secret(SECRET),
            "entities": EVERYTHING,
            "ca_file": shop.ca_file,
            **settings,
        }
        context = context or FakeContext(name, "woocommerce", clock=clock, public_url=public_url)
        source = WooCommerce(Config(**values), context)
        opened.append(source)
        return Client(source, context)

    yield build
    for source in opened:
        source.close()


@pytest.fixture
def client(shop: FakeWooCommerce, make: Callable[..., Client]) -> Client:
    return make(shop)


@pytest.fixture
def ears(client: Client) -> Iterator[Ears]:
    with Ears(lambda: client.source) as server:
        yield server


@pytest.fixture
def listening(shop: FakeWooCommerce, ears: Ears) -> FakeWooCommerce:
    """A shop that sends everything it can to `ears`."""
    for resource, events in TOPICS.items():
        for event in events:
            shop.webhook(f"{resource}.{event}", ears.hook_url, SECRET)
    return shop


@pytest.fixture
def replay(client: Client) -> Callable[[WebhookRequest], list[Change]]:
    """Hand a delivery over once more, and follow up what it hints at."""

    def again(request: WebhookRequest) -> list[Change]:
        told = [change for change in client.source.receive(request) if isinstance(change, Change)]
        return [found for change in told for found in followed(client.source, change)]

    return again
