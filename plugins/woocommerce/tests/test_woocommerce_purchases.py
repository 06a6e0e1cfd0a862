"""Listing what was bought, and by whom: guests, orders, memberships, subscriptions, payments."""

from datetime import datetime, timedelta

import pytest
from attrs import evolve

from synccore.entities import guest_key
from synccore.errors import ConfigError, Transient, UnknownFilter
from synccore.testing import FakeClock
from synccore_woocommerce.testing import FakeWooCommerce


def keys(changes, entity=None):
    return [c.key for c in changes if entity in (None, c.entity)]


# -- guests


def guest_order(shop, email="gast@shop.test", **fields):
    billing = {"email": email, "first_name": "Gast", "last_name": "Ünlü", **fields.pop("billing", {})}
    values = {"customer_id": 0, "status": "processing", "created_via": "checkout", "billing": billing, **fields}
    return shop.place_order(**values)


def test_buyers_without_an_account_are_customers(shop, client):
    guest_order(shop, "Gast@Shop.test")
    (change,) = client.all("customer")
    assert change.key == guest_key("gast@shop.test")
    assert change.data.guest
    assert change.data.name == "Gast Ünlü"


def test_several_orders_of_a_guest_are_one_person_and_the_newest_knows_best(shop, client, clock):
    old = guest_order(shop, billing={"phone": "1"})
    clock.advance(timedelta(days=1))
    guest_order(shop, billing={"phone": "2"})
    clock.advance(timedelta(days=1))
    shop.edit_order(old, status="completed")
    changes = client.all("customer")
    assert [c.data.phone for c in changes] == ["2"]
    late = [c for c in client.all("order") if c.entity == "customer"]
    assert late[0].version == changes[0].version


def test_guests_can_be_left_out(shop, make):
    number = guest_order(shop)
    client = make(shop, guests=False)
    assert client.all("customer") == []
    (order,) = client.all("order")
    assert (order.key, order.owner) == (str(number), None)


def test_guests_are_found_without_polling_orders(shop, make):
    client = make(shop, entities=("customer",))
    _, cursor = client.listed("customer")
    guest_order(shop)
    assert keys(client.all("customer", cursor)) == [guest_key("gast@shop.test")]


def test_between_full_listings_guests_come_with_the_orders(shop, client):
    _, customers = client.listed("customer")
    _, orders = client.listed("order")
    guest_order(shop)
    assert client.all("customer", customers) == []
    assert keys(client.all("order", orders), "customer") == [guest_key("gast@shop.test")]


def test_an_account_takes_the_place_of_the_guest_with_its_address(shop, client):
    shop.add_customer("Ada@shop.test")
    (change,) = client.all("customer")
    assert change.replaces == (guest_key("ada@shop.test"),)


def test_a_guest_is_there_while_one_of_the_orders_is(shop, client):
    first, second = guest_order(shop), guest_order(shop)
    shop.delete_order(second)
    found = client.source.fetch("customer", guest_key("gast@shop.test"))
    assert found is not None
    assert found.data.email == "gast@shop.test"
    shop.delete_order(first)
    assert client.source.fetch("customer", guest_key("gast@shop.test")) is None


def test_a_deleted_customer_does_not_come_back_by_an_address_they_had_or_were_billed_at(shop, client, clock):
    person = shop.add_customer("old@shop.test")
    for email in ("old@shop.test", "office@shop.test"):
        shop.place_order(customer_id=person, status="completed", billing={"email": email})
    client.all("customer")
    client.all("order")
    shop.edit_customer(person, email="new@shop.test")
    client.all("customer")
    shop.delete_customer(person)
    clock.advance(timedelta(minutes=1))
    assert client.source.fetch("customer", str(person)) is None
    assert client.all("customer") == []
    clock.advance(timedelta(minutes=1))
    shop.place_order(status="completed", billing={"email": "office@shop.test"})
    assert [c.key for c in client.all("customer")] == [guest_key("office@shop.test")]


def test_a_deleted_customer_does_not_come_back_as_a_guest(shop, client, clock):
    """WooCommerce turns the orders of a deleted customer into guest orders."""
    for found_by in ("webhook", "comparison"):
        email = f"{found_by}@shop.test"
        person = shop.add_customer(email)
        order = shop.place_order(customer_id=person, status="completed", billing={"email": email})
        client.all("customer")
        shop.delete_customer(person)
        clock.advance(timedelta(minutes=1))
        if found_by == "webhook":
            client.source._translate.deleted("customer", str(person))
        else:
            assert client.source.fetch("customer", str(person)) is None
        assert client.all("customer") == []
        assert client.source.fetch("customer", guest_key(email)) is None
        orders = {c.key: c for c in client.all("order")}
        assert orders[str(order)].owner is None
    clock.advance(timedelta(minutes=1))
    guest_order(shop, "webhook@shop.test")
    assert keys(client.all("customer")) == [guest_key("webhook@shop.test")], "who buys again is a guest again"


def test_many_missing_guests_cost_one_walk(shop, client):
    for i in range(150):
        guest_order(shop, f"g{i}@shop.test")
    before = shop.count("GET", "/wp-json/wc/v3/orders")
    for i in range(200, 260):
        assert client.source.fetch("customer", guest_key(f"g{i}@shop.test")) is None
    assert shop.count("GET", "/wp-json/wc/v3/orders") - before == 2


# -- orders


def test_orders_come_with_their_owner(shop, client):
    ada = shop.add_customer("ada@shop.test")
    number = shop.place_order(customer_id=ada, status="completed", line_items=[{"price": "7.50", "quantity": 2}])
    changes = client.all("order")
    assert keys(changes) == [str(ada), str(number)], "who was not known yet comes before the order"
    assert changes[1].owner.key == str(ada)
    assert str(changes[1].data.total) == "15.00"


def test_only_changed_orders_are_polled_again(shop, client, clock):
    ada = shop.add_customer("ada@shop.test")
    numbers = [shop.place_order(customer_id=ada) for _ in range(150)]
    _, cursor = client.listed("order")
    clock.advance(timedelta(minutes=10))
    shop.edit_order(numbers[7], status="completed")
    changes, cursor = client.listed("order", cursor)
    assert str(numbers[7]) in keys(changes, "order")
    clock.advance(timedelta(minutes=10))
    shop.requests.clear()
    again = client.all("order", cursor)
    assert keys(again) == [str(numbers[7])]
    assert shop.count("GET") == 2


def test_what_changes_after_the_shops_clock_was_set_right_is_polled(make, clock):
    """Dated before what changed while it was ahead."""
    shops = FakeClock()
    with FakeWooCommerce(clock=shops) as shop:
        client = make(shop)
        first, second = (shop.place_order(customer_id=0) for _ in range(2))
        clock.advance(timedelta(minutes=30))
        shops.advance(timedelta(minutes=40))
        _, cursor = client.listed("order")
        shop.edit_order(first, status="completed")
        _, cursor = client.listed("order", cursor)
        clock.advance(timedelta(minutes=3))
        shops.advance(timedelta(minutes=-7))
        shop.edit_order(first, status="refunded")
        shop.edit_order(second, status="completed")
        clock.advance(timedelta(minutes=2))
        shops.advance(timedelta(minutes=2))
        changes, cursor = client.listed("order", cursor)
        assert {c.key: c.data.status for c in changes} == {str(first): "refunded", str(second): "completed"}
        clock.advance(timedelta(minutes=3))
        shops.advance(timedelta(minutes=3))
        assert client.all("order", cursor) != [], "polls overlap"
        _, cursor = client.listed("order", cursor)
        shop.edit_order(second, status="refunded")
        assert str(second) in keys(client.all("order", cursor))


def test_a_poll_of_orders_brings_the_buyers_of_new_ones_along(shop, make, clock):
    """The list of customers knows no changes and is read now and then only: a buyer must not wait for it."""
    client = make(shop, consent_keys=("optin",))
    _, cursor = client.listed("order")
    clock.advance(timedelta(minutes=10))
    ada = shop.add_customer("ada@shop.test")
    order = shop.place_order(customer_id=ada, meta_data=[{"key": "optin", "value": "1"}])
    changes, cursor = client.listed("order", cursor)
    assert [(c.entity, c.key) for c in changes] == [("customer", str(ada)), ("order", str(order))]
    assert changes[0].data.accepts_marketing is True
    clock.advance(timedelta(minutes=10))
    shop.requests.clear()
    assert keys(client.all("order", cursor)) == [str(order)]
    assert not [r for r in shop.requests if "customers" in r.path], "nothing new: polls overlap"


def test_the_only_right_form_of_a_date_is_sent(shop, client, clock):
    shop.place_order(customer_id=0)
    _, cursor = client.listed("order")
    shop.requests.clear()
    client.all("order", cursor)
    after = [r.param("modified_after") for r in shop.requests if r.param("modified_after")]
    assert after
    assert all(datetime.fromisoformat(a).tzinfo is None and "." not in a for a in after)
    assert all(r.param("dates_are_gmt") == "true" for r in shop.requests)
    assert all(r.param("orderby") == "modified" and r.param("order") == "asc" for r in shop.requests)


def test_a_save_in_the_second_of_the_last_poll_is_found(shop, client):
    """modified_after is exclusive and a second long."""
    first = shop.place_order(customer_id=0)
    _, cursor = client.listed("order")
    second = shop.place_order(customer_id=0)
    assert shop.shop.orders[first]["date_modified_gmt"] == shop.shop.orders[second]["date_modified_gmt"]
    assert str(second) in keys(client.all("order", cursor))


def test_any_number_of_orders_in_one_second_is_read_once(shop, client):
    numbers = [shop.place_order(customer_id=0) for _ in range(330)]
    changes, cursor = client.listed("order")
    assert keys(changes) == [str(n) for n in numbers]
    assert len(client.all("order", cursor)) == 330


def test_an_order_that_changes_while_the_list_is_read_hides_no_other(shop, client, clock):
    numbers = []
    for _ in range(250):
        numbers.append(shop.place_order(customer_id=0))
        clock.advance(timedelta(seconds=1))
    pages = client.source.poll("order", None, {})
    seen = keys(next(pages).changes)
    for number in numbers[:50]:
        shop.edit_order(number, status="completed")
    for page in pages:
        seen += keys(page.changes)
    assert set(seen) == {str(n) for n in numbers}
    assert len(seen) == 300, "the 50 that changed are read again, the others once"


def test_offsets_stay_small_on_long_lists(shop, client, clock):
    for _ in range(400):
        shop.place_order(customer_id=0)
        clock.advance(timedelta(seconds=1))
    client.all("order")
    assert all(r.param("offset") == "0" for r in shop.requests if r.path.endswith("/orders"))


def test_an_unfinished_checkout_is_never_reported(shop, client):
    shop.place_order(customer_id=0, status="checkout-draft", billing={"email": "secret@shop.test"})
    assert client.all("order") == []
    assert client.all("customer") == []
    assert client.source.fetch("order", "11") is None


def test_a_trashed_order_is_deleted_and_a_restored_one_is_back(shop, client, clock):
    number = shop.place_order(customer_id=0, status="completed")
    _, cursor = client.listed("order")
    clock.advance(timedelta(minutes=5))
    shop.trash_order(number)
    changes, cursor = client.listed("order", cursor)
    assert [(c.key, c.op) for c in changes if c.op == "delete"] == [(str(number), "delete")]
    assert client.source.fetch("order", str(number)) is None
    clock.advance(timedelta(minutes=5))
    shop.restore_order(number)
    changes = client.all("order", cursor)
    assert changes[-1].op == "upsert"
    assert client.source.fetch("order", str(number)).op == "upsert"


def test_a_kill_between_trash_and_list_goes_on(shop, client, clock):
    number = shop.place_order(customer_id=0, status="completed")
    _, cursor = client.listed("order")
    clock.advance(timedelta(minutes=5))
    other = shop.place_order(customer_id=0)
    shop.trash_order(number)
    first = next(iter(client.source.poll("order", cursor, {})))
    rest = client.all("order", first.cursor)
    assert keys(first.changes) == [str(number)]
    assert keys(rest) == [str(other)]


# -- memberships


def club(shop, members):
    plan = shop.add_plan("Gold Club", "gold-club")
    return plan, [shop.add_member(shop.add_customer(f"m{i}@shop.test"), plan) for i in range(members)]


def test_members_name_their_plan(shop, client):
    plan, (member,) = club(shop, 1)
    (change,) = client.all("membership")
    assert change.key == str(member)
    assert (change.data.plan_key, change.data.plan_slug) == (str(plan), "gold-club")
    assert change.version is None


def test_members_whose_list_has_no_order_are_all_found(shop, client):
    """The real list gave 504 distinct rows of 509; one sweep is not enough to know them all."""
    _, members = club(shop, 209)
    page = {m for n in range(1, 4) for m in ids_of(shop, n)}
    assert len(page) < 209, "the stand-in is kinder than the real one"
    assert sorted(int(k) for k in keys(client.all("membership"))) == members


def test_a_count_that_no_reading_reaches_is_given_up(shop, client, monkeypatch):
    """A row that is counted and never shown must not have the whole list read a dozen times."""
    club(shop, 3)
    count = type(client.source._shop).page

    def one_too_many(self, path, params):
        listing = count(self, path, params)
        return evolve(listing, total=listing.total + 1) if path.endswith("members") else listing

    monkeypatch.setattr(type(client.source._shop), "page", one_too_many)
    shop.requests.clear()
    with pytest.raises(Transient, match="3 of 4 rows were met"):
        client.all("membership")
    assert shop.count("GET", "/wp-json/wc/v3/memberships/members") <= 12


def ids_of(shop, page):
    from synccore_woocommerce.testing.lists import rows_of

    rows = rows_of("memberships/members", shop.shop, {"per_page": "100", "page": str(page)})
    return [r["id"] for r in rows[(page - 1) * 100 : page * 100]]


def test_a_moved_end_date_is_found_by_the_next_sweep(shop, client, clock):
    _, (member,) = club(shop, 1)
    _, cursor = client.listed("membership")
    end = clock.now() + timedelta(days=40)
    shop.move_member_end(member, end)
    (change,) = client.all("membership", cursor)
    assert change.data.ends_at == end


def test_a_killed_sweep_of_members_loses_nobody(shop, client):
    _, members = club(shop, 220)
    pages = client.source.poll("membership", None, {})
    seen = []
    for _ in range(2):
        page = next(pages)
        seen += keys(page.changes)
    seen += keys(client.all("membership", page.cursor))
    assert {int(k) for k in seen} == set(members)


def test_a_plan_can_be_backfilled_on_its_own(shop, client):
    club(shop, 3)
    silver = shop.add_plan("Silver", "silver")
    ada = shop.add_customer("ada@shop.test")
    member = shop.add_member(ada, silver)
    changes = client.all("membership", plan=str(silver))
    assert [(c.entity, c.key) for c in changes] == [("customer", str(ada)), ("membership", str(member))]
    assert keys(client.all("membership", plan="silver"), "membership") == [str(member)]
    assert keys(client.all("customer", plan="silver")) == [str(ada)]


@pytest.mark.parametrize("entity", ["membership", "customer"])
def test_a_plan_there_is_not_is_named_with_those_there_are(shop, client, entity):
    silver = shop.add_plan("Silver", "silver")
    with pytest.raises(UnknownFilter, match=rf"no membership plan 99; there are: .*{silver} \(silver\)"):
        client.all(entity, plan="99")


def test_filters_reach_the_shop(shop, client):
    ada = shop.add_customer("ada@shop.test")
    for i in range(3):
        shop.add_customer(f"p{i}@shop.test")
    done = shop.place_order(customer_id=ada, status="completed")
    shop.place_order(customer_id=ada, status="failed")
    assert keys(client.all("customer", email="ADA@shop.test")) == [str(ada)]
    assert keys(client.all("customer", customer=str(ada))) == [str(ada)]
    assert keys(client.all("order", status="completed")) == [str(done)]
    assert len(client.all("order", email="ada@shop.test")) == 2
    assert client.all("order", after="2030-01-01") == []
    assert len(client.all("order", before="2030-01-01T12:00:00+02:00")) == 2


def test_an_unknown_filter_says_which_there_are(client):
    with pytest.raises(ConfigError, match=r"cannot be filtered by colour: use plan, status"):
        client.all("membership", colour="red")
    with pytest.raises(ConfigError, match="is no date"):
        client.all("order", after="yesterday")


# -- subscriptions and payments


def test_subscriptions_come_with_their_schedule(shop, client, clock):
    ada = shop.add_customer("ada@shop.test")
    number = shop.subscribe(ada)
    (change,) = client.all("subscription")
    assert change.key == str(number)
    assert change.data.next_payment_at == clock.now() + timedelta(days=30)
    assert (change.data.billing_period, change.data.billing_interval) == ("month", 1)
    assert change.data.cancelled_at is None


def test_a_moved_payment_date_is_found_though_no_date_moved(shop, client, clock):
    number = shop.subscribe(shop.add_customer("ada@shop.test"))
    clock.advance(timedelta(hours=2))
    shop.subscribe(shop.add_customer("ben@shop.test"))
    _, cursor = client.listed("subscription")
    clock.advance(timedelta(minutes=30))
    moved = clock.now() + timedelta(days=9)
    shop.move_next_payment(number, moved)
    changes, cursor = client.listed("subscription", cursor)
    assert str(number) not in keys(changes)
    clock.advance(timedelta(minutes=40))
    changes, cursor = client.listed("subscription", cursor)
    assert {c.key: c for c in changes}[str(number)].data.next_payment_at == moved
    shop.requests.clear()
    client.all("subscription", cursor)
    assert not [r for r in shop.requests if r.param("status") == "active"]


def renewals(changes):
    return [
        (c.event_id.split(":", 1)[1], c.data.succeeded, c.data.attempt, c.data.reason)
        for c in changes
        if c.entity == "payment"
    ]


def test_renewals_are_facts_told_once(shop, client, clock):
    ada = shop.add_customer("ada@shop.test")
    box = shop.subscribe(ada)
    paid = shop.renew(box)
    first, cursor = client.listed("payment")
    again = client.all("payment", cursor)
    assert renewals(first) == [("paid", True, 1, None)]
    assert [c.event_id for c in again] == [c.event_id for c in first] == [f"{paid}:paid"]
    assert first[0].op == "event"
    assert first[0].owner.key == str(ada)
    assert first[0].data.subscription_key == str(box)


def test_attempts_are_counted_and_carry_their_reason(shop, client, clock):
    box = shop.subscribe(shop.add_customer("ada@shop.test"))
    _, cursor = client.listed("payment")
    order = shop.renew(box, paid=False, reason="Payment failed: <b>card declined</b>")
    seen, cursor = client.listed("payment", cursor)
    for paid, status in ((None, "pending"), (False, "failed"), (None, "pending"), (True, "processing")):
        clock.advance(timedelta(minutes=10))
        shop.edit_order(order, status=status)
        if paid is False:
            shop.note(order, "Insufficient funds")
        more, cursor = client.listed("payment", cursor)
        seen += more
    assert list(dict.fromkeys(renewals(seen))) == [
        ("failed:1", False, 1, "Payment failed: card declined"),
        ("failed:2", False, 2, "Insufficient funds"),
        ("paid", True, 3, None),
    ]


def test_a_failed_renewal_that_is_saved_again_is_no_second_failure(shop, client, clock):
    order = shop.renew(shop.subscribe(shop.add_customer("ada@shop.test")), paid=False)
    first, cursor = client.listed("payment")
    clock.advance(timedelta(minutes=5))
    shop.edit_order(order, meta_data=[{"key": "synccore_crm_id", "value": "003"}])
    assert {c.event_id for c in client.all("payment", cursor)} == {c.event_id for c in first}


def test_an_ordinary_order_is_no_payment(shop, client):
    shop.place_order(customer_id=shop.add_customer("ada@shop.test"), status="completed")
    assert client.all("payment") == []


@pytest.mark.parametrize(
    ("entities", "polled"),
    [
        (("customer", "subscription"), "subscription"),
        (("customer", "subscription", "order"), "order"),
        (("customer", "payment"), "payment"),
    ],
)
def test_payments_come_with_subscriptions(shop, make, entities, polled):
    client = make(shop, entities=entities)
    shop.renew(shop.subscribe(shop.add_customer("ada@shop.test")))
    assert len(renewals(client.all(polled))) == 1


def test_no_payments_without_being_asked_for(shop, make):
    shop.renew(shop.subscribe(shop.add_customer("ada@shop.test")))
    assert renewals(make(shop, entities=("customer", "order")).all("order")) == []
