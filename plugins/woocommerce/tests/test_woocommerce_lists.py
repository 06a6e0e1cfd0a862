"""Lists as hosts, caches and plugins really give them: read to their end, or failed with a reason; never in part."""

from contextlib import suppress
from datetime import timedelta
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synccore.errors import Transient
from synccore.testing import FakeClock
from synccore_woocommerce.client import Listing
from synccore_woocommerce.listing.paging import Order, Position, ordered
from synccore_woocommerce.testing import FakeWooCommerce

HIDDEN = (False, True)


def keys(changes, entity):
    return [c.key for c in changes if c.entity == entity]


def fill(shop, count=35):
    """So many of everything: customers, their orders, members, subscriptions, plans."""
    people = [shop.add_customer(f"p{i}@shop.test", first_name=f"P{i}") for i in range(count)]
    plans = [shop.add_plan(f"Plan {i}", f"plan-{i}") for i in range(count)]
    for person, plan in zip(people, plans, strict=True):
        shop.place_order(customer_id=person, billing={"email": f"p{person}@shop.test"})
        shop.subscribe(person)
        shop.add_member(person, plan)
    return people


@pytest.mark.parametrize("no_total", HIDDEN)
@pytest.mark.parametrize("cap", [1, 3, 20, 50])
@pytest.mark.parametrize("entity", ["customer", "order", "subscription", "membership"])
def test_a_host_that_caps_pages_hides_nobody(shop, client, entity, cap, no_total):
    # Pages of one are many calls; members, whose list has no order, are met by many pages only.
    people = fill(shop, 35 if entity == "membership" else min(35, 8 * cap))
    shop.quirks.cap, shop.quirks.no_total = cap, no_total
    assert len(set(keys(client.all(entity), entity))) == len(people)


@pytest.mark.parametrize("no_total", HIDDEN)
@pytest.mark.parametrize("ignored", ["per_page", "offset"])
@pytest.mark.parametrize("cap", [None, 20])
def test_a_parameter_that_is_ignored_hides_nobody(shop, client, ignored, cap, no_total):
    fill(shop)
    shop.quirks.cap, shop.quirks.no_total, shop.quirks.ignore = cap, no_total, frozenset({ignored})
    for entity in ("customer", "order", "subscription", "membership"):
        assert len(set(keys(client.all(entity), entity))) == 35, entity


@pytest.mark.parametrize("no_total", HIDDEN)
@pytest.mark.parametrize("ignored", [{"everything"}, {"offset", "page"}, {"orderby"}, {"per_page", "offset", "page"}])
@pytest.mark.parametrize("entity", ["customer", "order", "membership"])
def test_what_cannot_be_read_to_its_end_fails_with_its_reason(shop, client, clock, entity, ignored, no_total):
    fill(shop, 130)
    clock.advance(timedelta(minutes=10))
    shop.edit_order(min(shop.shop.orders), meta_data=[{"key": "x", "value": "1"}])
    shop.quirks.ignore, shop.quirks.no_total = frozenset(ignored), no_total
    if entity == "membership" and ignored == {"orderby"}:
        pytest.skip("members have no order to lose")
    with pytest.raises(Transient, match=r"the list wc/v3/\S+ cannot be believed") as caught:
        client.all(entity)
    assert not caught.value.outage


def test_a_poll_notices_that_it_is_told_what_did_not_change(shop, client, clock):
    """Told everything again, a poll would read the whole past every five minutes, or stop before what is new."""
    fill(shop, 5)
    _, cursor = client.listed("order")
    clock.advance(timedelta(hours=3))
    shop.place_order(billing={"email": "new@shop.test"})
    _, cursor = client.listed("order", cursor)
    shop.quirks.ignore = frozenset({"modified_after"})
    clock.advance(timedelta(hours=3))
    with pytest.raises(Transient, match=r"WooCommerce 5\.8 or newer"):
        client.all("order", cursor)


def test_no_cursor_moves_past_what_was_not_seen(shop, client):
    people = fill(shop)
    shop.quirks.cap = 20
    pages = client.source.poll("customer", None, {})
    first = next(pages)
    shop.quirks.ignore = frozenset({"everything"})
    with pytest.raises(Transient):
        list(pages)
    shop.quirks.ignore = frozenset()
    rest = client.all("customer", first.cursor)
    assert set(keys(first.changes, "customer") + keys(rest, "customer")) == {str(p) for p in people}


@pytest.mark.parametrize("no_total", HIDDEN)
def test_a_place_in_a_list_that_there_is_no_more_is_left(shop, client, no_total):
    """A poll that cannot go on where it stands would stand there for good."""
    people = fill(shop)
    shop.quirks.cap, shop.quirks.no_total, shop.quirks.ignore = 5, no_total, frozenset({"offset"})
    places = [page.cursor for page in client.source.poll("customer", None, {})]
    for person in people[3:]:
        shop.delete_customer(person)
    for place in places:
        client.all("customer", place)
    shop.quirks.ignore = frozenset({"everything"})
    with pytest.raises(Transient, match="cannot be believed"):
        client.all("customer", places[1])


def test_a_list_that_gives_its_one_row_again_and_again_comes_to_an_end(shop, client):
    shop.add_member(shop.add_customer("ada@shop.test"), shop.add_plan("Gold", "gold"))
    shop.quirks.no_total, shop.quirks.ignore = True, frozenset({"page", "offset"})
    with pytest.raises(Transient, match="again and again"):
        client.all("membership")


@pytest.mark.parametrize("no_total", HIDDEN)
def test_a_guest_is_not_gone_because_a_page_was_short(shop, client, no_total):
    for i in range(45):
        shop.place_order(billing={"email": f"guest{i}@shop.test"})
    guests = [c.key for c in client.all("order") if c.entity == "customer"]
    assert len(guests) == 45
    shop.quirks.cap, shop.quirks.no_total = 20, no_total
    assert all(client.source.fetch("customer", guest) is not None for guest in guests)


def test_a_walk_that_ends_short_deletes_nobody(shop, client):
    for i in range(45):
        shop.place_order(billing={"email": f"guest{i}@shop.test"})
    guests = [c.key for c in client.all("order") if c.entity == "customer"]
    shop.quirks.ignore = frozenset({"offset", "page", "per_page"})
    with pytest.raises(Transient):
        client.source.fetch("customer", guests[-1])


@pytest.mark.parametrize("ignored", ["customer", "everything"])
def test_orders_of_others_keep_no_guest_and_let_none_go(shop, client, ignored):
    """Nobody counts as there, or as gone, by the orders of somebody else."""
    number = shop.place_order(billing={"email": "guest@shop.test"})
    [guest] = [c.key for c in client.all("order") if c.entity == "customer"]
    ada = shop.add_customer("ada@shop.test")
    shop.edit_order(number, customer_id=ada)
    assert client.source.fetch("customer", guest) is None
    client.context.clock.sleep(timedelta(hours=1))
    shop.quirks.ignore = frozenset({ignored})
    with pytest.raises(Transient, match="cannot be believed"):
        client.source.fetch("customer", guest)


@pytest.mark.parametrize(
    ("entity", "filters", "ignored"),
    [
        ("membership", {"plan": "gold"}, "plan"),
        ("membership", {"plan": "NUMBER"}, "plan"),
        ("customer", {"plan": "gold"}, "plan"),
        ("membership", {"customer": "1"}, "customer"),
        ("membership", {"status": "expired"}, "status"),
        ("order", {"customer": "1"}, "customer"),
        ("order", {"status": "completed,wc-on-hold"}, "status"),
        ("subscription", {"customer": "1"}, "customer"),
        ("payment", {"status": "completed"}, "status"),
        ("customer", {"email": "p0@shop.test"}, "email"),
        ("customer", {"customer": "1"}, "include"),
    ],
)
def test_a_filter_that_the_shop_ignores_sends_nobody_else(shop, client, entity, filters, ignored):
    people = fill(shop, 3)
    gold = shop.add_plan("Gold", "gold")
    shop.add_member(people[0], gold)
    given = {name: {"1": str(people[0]), "NUMBER": str(gold)}.get(value, value) for name, value in filters.items()}
    client.all(entity, **given)
    shop.quirks.ignore = frozenset({ignored})
    with pytest.raises(Transient, match="cannot be believed"):
        client.all(entity, **given)


@pytest.mark.parametrize("ignored", ["per_page", "offset", "page", "everything"])
def test_plans_and_webhooks_with_a_parameter_ignored_are_whole_or_said_to_be_none(shop, make, ignored):
    client = make(shop, public_url="https://sync.shop.test")
    person = shop.add_customer("ada@shop.test")
    plans = {f"plan-{i}": shop.add_plan(f"Plan {i}", f"plan-{i}") for i in range(12)}
    members = {str(shop.add_member(person, plan)): slug for slug, plan in plans.items()}
    for _ in range(12):
        shop.hooks.create(
            {"topic": "product.created", "delivery_url": "http://127.0.0.1:9/x", "secret": "s"}, ping=False
        )
    hook = "http://127.0.0.1:9/hooks/shop"
    client.source.subscribe(hook)
    made = len(shop.hooks.all)
    shop.quirks.ignore, shop.quirks.cap = frozenset({ignored}), 5
    with suppress(Transient):
        assert {c.key: c.data.plan_slug for c in client.all("membership")} == members
    with suppress(Transient):
        client.source.subscribe(hook)
    assert len(shop.hooks.all) == made, "webhooks of its own were not found again"


@pytest.mark.parametrize("no_total", HIDDEN)
def test_plans_and_webhooks_are_read_whole_too(shop, make, no_total):
    client = make(shop, public_url="https://sync.shop.test")
    shop.hooks.post = lambda *_: 200  # its pings would look for hosts that there are not
    members = {}
    person = shop.add_customer("ada@shop.test")
    for i in range(11):
        plan = shop.add_plan(f"Plan {i}", f"plan-{i}")
        members[str(shop.add_member(person, plan))] = f"plan-{i}"
    for _ in range(11):
        shop.webhook("product.created", "http://127.0.0.1:9/x", "s")
    shop.quirks.cap, shop.quirks.no_total = 5, no_total
    assert {c.key: c.data.plan_slug for c in client.all("membership")} == members
    client.source.subscribe("https://sync.shop.test/hooks/shop")
    made = len(shop.hooks.all)
    client.source.subscribe("https://sync.shop.test/hooks/shop")
    assert len(shop.hooks.all) == made, "webhooks of its own were not found again"


def test_what_is_asked_for_by_number_comes_whole(shop, client):
    people = fill(shop, 12)
    shop.quirks.cap = 5
    fetched = client.source.fetch_many("customer", [str(p) for p in people])
    assert {key for key, change in fetched.items() if change is not None} == {str(p) for p in people}


def test_numbers_that_are_ignored_make_nobody_a_stranger(shop, client):
    """A buyer who is missing from an answer counts as gone: an answer to another question must not."""
    person = shop.add_customer("ada@shop.test")
    shop.place_order(customer_id=person, billing={"email": "ada@shop.test"})
    for i in range(5):
        shop.add_customer(f"p{i}@shop.test")
    shop.quirks.ignore = frozenset({"include"})
    with pytest.raises(Transient, match="other records than it was asked for"):
        client.all("order")


def test_staff_are_no_part_of_the_total(shop, client):
    fill(shop, 5)
    pages = list(client.source.poll("customer", None, {}))
    assert pages[-1].total == 5


@pytest.mark.parametrize("entity", ["customer", "order", "subscription", "membership", "payment"])
def test_progress_ends_where_the_total_says(shop, client, entity):
    """An order tells of its guest too, and of a payment only now and then; staff are listed and counted nowhere."""
    fill(shop, 5)
    shop.add_customer("boss@shop.test", role="administrator")
    for i in range(4):
        shop.place_order(billing={"email": f"guest{i % 2}@shop.test"})
    shop.quirks.odd_rows = {"customers": [None], "orders": [None]}
    pages = list(client.source.poll(entity, None, {}))
    assert sum(page.rows for page in pages) == pages[-1].total


def test_rows_that_are_no_records_are_named_and_lose_nobody(shop, client):
    fill(shop, 3)
    shop.quirks.odd_rows["customers"] = [None, [], {"email": "x@shop.test", "role": "customer"}, {"id": None}, 7]
    pages = list(client.source.poll("customer", None, {}))
    assert len([c for p in pages for c in p.changes if c.entity == "customer"]) == 3
    named = [(u.where, u.reason, u.entity) for p in pages for u in p.unreadable]
    assert named == [
        ("row 1 of wc/v3/customers", "it is no record but null", "customer"),
        ("row 2 of wc/v3/customers", "it is no record but a list", "customer"),
        ("row 3 of wc/v3/customers", "it has no id", "customer"),
        ("row 4 of wc/v3/customers", "it has no id", "customer"),
        ("row 5 of wc/v3/customers", "it is no record but a number", "customer"),
    ]


@pytest.mark.parametrize(
    ("kind", "entity"), [("orders", "order"), ("subscriptions", "subscription"), ("memberships/members", "membership")]
)
def test_odd_rows_of_every_list_are_named(shop, client, kind, entity):
    fill(shop, 3)
    shop.quirks.odd_rows[kind] = [None, {"status": "x"}]
    pages = list(client.source.poll(entity, None, {}))
    assert len({c.key for p in pages for c in p.changes if c.entity == entity}) == 3
    assert {u.entity for p in pages for u in p.unreadable} == {entity}
    assert sum(len(p.unreadable) for p in pages) >= 2


def test_a_record_that_cannot_be_read_is_named_by_its_number(shop, client):
    people = fill(shop, 3)
    shop.quirks.overlay["customers", people[1]] = {"email": 4}
    pages = list(client.source.poll("customer", None, {}))
    assert keys([c for p in pages for c in p.changes], "customer") == [str(people[0]), str(people[2])]
    (named,) = [u for p in pages for u in p.unreadable]
    assert (named.key, named.reason) == (str(people[1]), "its e-mail address is a number")


@pytest.mark.parametrize("entity", ["customer", "order", "subscription", "membership"])
def test_lists_that_php_made_objects_are_lists(shop, client, entity):
    fill(shop, 4)
    plain = {c.key: c.data for c in client.all(entity) if c.entity == entity}
    shop.quirks.php_arrays = True
    odd = {c.key: c.data for c in client.all(entity) if c.entity == entity}
    assert [_without_raw(d) for d in odd.values()] == [_without_raw(d) for d in plain.values()]


def _without_raw(data):
    from attrs import evolve

    return evolve(data, raw={})


@pytest.mark.parametrize(("cap", "no_total"), [(2, False), (2, True), (3, True)])
def test_who_moves_up_in_the_smallest_pages_is_met(shop, client, cap, no_total):
    people = [shop.add_customer(f"p{i}@shop.test") for i in range(12)]
    shop.quirks.cap, shop.quirks.no_total = cap, no_total
    seen = set()
    for number, page in enumerate(client.source.poll("customer", None, {})):
        seen |= set(keys(page.changes, "customer"))
        if number in (3, 8):
            shop.delete_customer(people[number // 8])
    assert {str(p) for p in people[2:]} <= seen


class Shrinking:
    """A list of small pages, whose first row goes away right before one call."""

    def __init__(self, leaves_at, *, size, alike, total):
        self.rows = [{"id": n, "date_modified_gmt": f"2026-01-01T00:00:0{n // alike}"} for n in range(1, 8)]
        self.leaves_at, self.size, self.total, self.calls = leaves_at, size, total, 0

    def page(self, path, params):
        self.calls += 1
        if self.calls == self.leaves_at:
            del self.rows[0]
        rows = [r for r in self.rows if r["date_modified_gmt"] > params.get("modified_after", "")]
        offset = int(params["offset"])
        return Listing(rows=rows[offset : offset + self.size], total=len(rows) if self.total else None)


@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize("alike", [2, 3, 9], ids=lambda rows: f"{rows} in one second")
@pytest.mark.parametrize("by_modified", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_who_moves_up_between_any_two_calls_is_met(size, by_modified, alike, total):
    for leaves_at in range(1, 30):
        shop = Shrinking(leaves_at, size=size, alike=alike, total=total)
        order = Order(path="wc/v3/rows", by_modified=by_modified)
        try:
            seen = {row["id"] for part in ordered(shop, order, Position()) for row in part.rows}
        except Transient:
            continue  # a list that shrinks while it is read may be called short: it is read again
        assert {2, 3, 4, 5, 6, 7} <= seen, leaves_at
    assert shop.calls < 30, "not every call was tried"


@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize("by_modified", [True, False])
@pytest.mark.parametrize("size", [2, 3, 6, 8])
def test_a_list_without_offsets_is_read_whole_however_long_it_is(size, by_modified, total):
    for length in range(1, 25):
        rows = [{"id": n, "date_modified_gmt": "2026-01-01T00:00:00"} for n in range(1, length + 1)]

        def page(path, params, rows=rows):
            first = (int(params.get("page", 1)) - 1) * size
            return Listing(rows=rows[first : first + size], total=len(rows) if total else None)

        order = Order(path="wc/v3/rows", by_modified=by_modified)
        seen = {row["id"] for part in ordered(SimpleNamespace(page=page), order, Position()) for row in part.rows}
        assert seen == set(range(1, length + 1))


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    cap=st.integers(1, 30),
    no_total=st.booleans(),
    gone=st.lists(st.integers(0, 59), max_size=30, unique=True),
    hidden=st.sampled_from([(), ("offset",), ("per_page",)]),
)
def test_whatever_the_cap_and_whoever_leaves_nobody_who_stays_is_missed(make, cap, no_total, gone, hidden):
    with FakeWooCommerce(clock=FakeClock()) as shop:
        people = [shop.add_customer(f"p{i}@shop.test") for i in range(60)]
        shop.quirks.cap, shop.quirks.no_total, shop.quirks.ignore = cap, no_total, frozenset(hidden)
        client = make(shop, guests=False)
        seen, leaving = set(), [] if hidden == ("offset",) else list(gone)
        try:
            for page in client.source.poll("customer", None, {}):
                seen |= set(keys(page.changes, "customer"))
                for index in leaving[:3]:
                    shop.delete_customer(people[index])
                del leaving[:3]
        except Transient:
            return  # a list that shrinks while it is read may be called short: it is read again
        left = {str(n) for n, r in shop.shop.customers.items() if r["role"] == "customer"}
        assert left <= seen
