"""Every list of a shop, in pages of any size, while rows come, change and go between any two calls: whoever is there
all the time is met."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from itertools import product
from random import Random
from typing import Any

import pytest
from attrs import frozen

from synccore.errors import Transient
from synccore.secrets import Secret
from synccore.testing import FakeClock, FakeContext, Reply, Request
from synccore_woocommerce.client import Client, Listing
from synccore_woocommerce.config import Config
from synccore_woocommerce.source import WooCommerce
from synccore_woocommerce.testing import KEY, FakeWooCommerce

#: So many lists in which something moves, for each entity; more at night, and where the sabotages have to be seen.
LISTS = 5000 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 1000 if "SUITE_LIVES" in os.environ else 60
#: How often what fails with a reason is gone on with.
TRIES = 6
#: What never arrives at a shop behind some hosts; a list can be read whole all the same.
LOST = ((), ("offset",), ("per_page",))
#: Where pages go by number alone, who moves up while they are read is met by the next list: a known limit.
KEPT = tuple(names for names in LOST if "offset" not in names)
#: A list without an order, whose rows of one second change places with the page that is looked at: only its total says
#: whether all were met, and pages that are never others meet never all.
SHUFFLED = "membership"


class Restless(FakeWooCommerce):
    """A shop in which something happens right before a call."""

    def __init__(self) -> None:
        self.calls, self.moves = 0, defaultdict[int, list[Callable[[], object]]](list)
        super().__init__(clock=FakeClock())

    def handle(self, request: Request) -> Reply:
        self.calls += 1
        for move in self.moves.pop(self.calls, ()):
            move()
        return super().handle(request)


@frozen
class Rows:
    """One kind of rows: which there are, and how one comes, changes and goes."""

    there: Callable[[FakeWooCommerce], Mapping[int, object]]
    comes: Callable[[FakeWooCommerce], object]
    changes: Callable[[FakeWooCommerce, int], object]
    goes: tuple[Callable[[FakeWooCommerce, int], object], ...]


def _owner(shop: FakeWooCommerce) -> int:
    return next(n for n, c in shop.shop.customers.items() if c["email"] == "owner@shop.test")


def _customers(shop: FakeWooCommerce) -> Mapping[int, object]:
    return {n: c for n, c in shop.shop.customers.items() if c["role"] in ("customer", "subscriber")}


def _orders(shop: FakeWooCommerce) -> Mapping[int, object]:
    return {n: o for n, o in shop.shop.orders.items() if o["status"] != "trash"}


def _subscriptions(shop: FakeWooCommerce) -> Mapping[int, object]:
    return {n: s for n, s in shop.shop.subscriptions.items() if s["status"] != "trash"}


def _touch(shop: FakeWooCommerce, number: int) -> None:
    shop.shop.edit_order(number, meta_data=[{"key": "touched", "value": str(shop.calls)}])


ROWS: Mapping[str, Rows] = {
    "customer": Rows(
        there=_customers,
        comes=lambda shop: shop.shop.add_customer(f"p{shop.calls}.{len(shop.shop.customers)}@shop.test"),
        changes=lambda shop, number: shop.shop.edit_customer(number, first_name=f"Ada{shop.calls}"),
        goes=(lambda shop, number: shop.shop.delete_customer(number),),
    ),
    "order": Rows(
        there=_orders,
        comes=lambda shop: shop.shop.place_order(billing={"email": f"g{len(shop.shop.orders) % 3}@shop.test"}),
        changes=_touch,
        goes=(
            lambda shop, number: shop.shop.delete_order(number),
            lambda shop, number: shop.shop.trash_order(number),
        ),
    ),
    "subscription": Rows(
        there=_subscriptions,
        comes=lambda shop: shop.shop.subscribe(_owner(shop)),
        changes=lambda shop, number: shop.shop.edit_subscription(number, status="on-hold"),
        goes=(
            lambda shop, number: shop.shop.delete_subscription(number),
            lambda shop, number: shop.shop.trash_subscription(number),
        ),
    ),
    "membership": Rows(
        there=lambda shop: shop.shop.members,
        comes=lambda shop: shop.shop.add_member(_owner(shop), min(shop.shop.plans)),
        changes=lambda shop, number: shop.shop.set_member_status(number, "paused"),
        goes=(lambda shop, number: shop.shop.delete_member(number),),
    ),
    "payment": Rows(
        there=_orders,
        comes=lambda shop: shop.shop.renew(min(shop.shop.subscriptions)),
        changes=_touch,
        goes=(
            lambda shop, number: shop.shop.delete_order(number),
            lambda shop, number: shop.shop.trash_order(number),
        ),
    ),
}


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Restless]:
    """Asked without HTTP, keys and JSON: they are most of the time of a call, and tried elsewhere."""
    with Restless() as shop:
        monkeypatch.setattr(shop.gate, "user", lambda *_, **__: KEY)
        monkeypatch.setattr(Client, "index", lambda _: _asked(shop, "", {}).body)
        monkeypatch.setattr(Client, "get", lambda _, path, params=None: _asked(shop, path, params or {}).body)
        monkeypatch.setattr(Client, "page", lambda _, path, params: _listing(_asked(shop, path, params)))
        yield shop


def _asked(shop: Restless, path: str, params: Mapping[str, Any]) -> Reply:
    query = tuple((name, str(value)) for name, value in params.items() if value is not None)
    reply = shop.handle(
        Request(method="GET", path=f"/wp-json/{path}", query=query, headers={}, body=b"", target=f"/wp-json/{path}")
    )
    assert reply.status == 200
    return reply


def _listing(reply: Reply) -> Listing:
    total = reply.headers.get("X-WP-Total")
    return Listing(rows=reply.body, total=None if total is None else int(total))


def opened(shop: Restless) -> WooCommerce:
    """A source that has read nothing yet."""
    config = Config(
        url=shop.url, consumer_key=Secret(KEY.key), consumer_secret=Secret(KEY.secret), entities=tuple(ROWS)
    )
    return WooCommerce(config, FakeContext("shop", "woocommerce", clock=shop._clock))


def filled(shop: Restless, entity: str, count: int, alike: int) -> None:
    """So many rows, so many of them within a second."""
    _emptied(shop)
    shop.shop.add_customer("owner@shop.test")
    shop.shop.add_plan("Gold", "gold")
    shop.shop.subscribe(_owner(shop))
    for number in range(count):
        ROWS[entity].comes(shop)
        if number % alike == alike - 1:
            shop._clock.advance(timedelta(seconds=1))


def _emptied(shop: Restless) -> None:
    shop.calls = 0
    shop.moves.clear()
    shop.hooks.all.clear()
    for table in (shop.shop.orders, shop.shop.subscriptions, shop.shop.members, shop.shop.plans):
        table.clear()
    for number in _customers(shop):
        del shop.shop.customers[number]


def met(source: WooCommerce, entity: str, cursor: str | None = None) -> tuple[set[int], str | None]:
    """Whoever a poll meets; where it fails with a reason it is gone on with, as the daemon does."""
    seen: set[int] = set()
    for _ in range(TRIES):
        try:
            for page in source.poll(entity, cursor, {}):
                cursor = page.cursor
                seen |= {int(c.key) for c in page.changes if c.entity == entity and c.op != "delete"}
        except Transient:
            continue
        return seen, cursor
    raise AssertionError("it never ends")


@pytest.mark.parametrize("lost", LOST, ids=lambda names: f"without {' and '.join(names) or 'loss'}")
@pytest.mark.parametrize("entity", ROWS)
def test_a_list_of_any_length_is_read_whole_in_pages_of_any_size(shop, entity, lost):
    shop.quirks.ignore = frozenset(lost)
    ways = product(range(10), (1, 2, 3, 5, 100), (False, True), (1, 99))
    for count, cap, no_total, alike in ways:
        if entity == SHUFFLED and alike > 1 and (no_total or cap == 1 or lost):
            continue
        filled(shop, entity, count, alike)
        shop.quirks.cap, shop.quirks.no_total = cap, no_total
        seen, _ = met(source := opened(shop), entity)
        source.close()
        assert seen == set(ROWS[entity].there(shop)), (count, cap, no_total, alike)


@pytest.mark.parametrize("entity", ROWS)
def test_whoever_is_there_all_the_time_is_met_whatever_moves_between_any_two_calls(shop, entity):
    missed = {}
    for number in range(LISTS):
        luck = Random(f"{entity} {number}")
        shop.quirks.ignore = frozenset(luck.choice(KEPT if entity != SHUFFLED else [()]))
        shop.quirks.no_total = entity != SHUFFLED and luck.random() < 0.5
        shop.quirks.cap = luck.choice((1, 2, 3, 4, 100) if entity != SHUFFLED else (2, 3, 4, 100))
        filled(shop, entity, luck.randrange(2, 12), luck.choice((1, 2, 3, 99)))
        source, cursor, wanted = opened(shop), None, set(ROWS[entity].there(shop))
        if luck.random() < 0.4:
            _, cursor = met(source, entity)
            wanted = _changed_since(shop, entity, luck)
        gone = _moving(shop, entity, luck)
        seen, _ = met(source, entity, cursor)
        source.close()
        if wanted - gone - seen:
            missed[number] = wanted - gone - seen
    assert missed == {}


def _changed_since(shop: Restless, entity: str, luck: Random) -> set[int]:
    """What another poll has to meet: some that were there, and some that came."""
    shop._clock.advance(timedelta(minutes=5))
    rows = ROWS[entity]
    before = set(rows.there(shop))
    changed = set(luck.sample(sorted(before), luck.randrange(len(before) + 1)))
    for number in sorted(changed):
        rows.changes(shop, number)
        shop._clock.advance(timedelta(seconds=luck.choice((0, 0, 1))))
    for _ in range(luck.randrange(4)):
        rows.comes(shop)
    return changed | (set(rows.there(shop)) - before)


def _moving(shop: Restless, entity: str, luck: Random) -> set[int]:
    """Up to three things happen while the list is read; who will have gone by then is added to what this gives."""
    rows, gone = ROWS[entity], set[int]()

    def goes(how: Callable[[FakeWooCommerce, int], object], place: float) -> None:
        if there := sorted(rows.there(shop)):
            gone.add(number := there[int(place * len(there))])
            how(shop, number)

    def changes(place: float) -> None:
        if there := sorted(rows.there(shop)):
            rows.changes(shop, there[int(place * len(there))])

    for _ in range(luck.randrange(1, 4)):
        place = luck.choice((0.0, luck.random()))
        act = luck.choice(
            (
                partial(goes, luck.choice(rows.goes), place),
                partial(goes, luck.choice(rows.goes), place),
                partial(changes, place),
                partial(rows.comes, shop),
            )
        )
        shop.moves[shop.calls + luck.randrange(1, 16)].append(act)
    return gone
