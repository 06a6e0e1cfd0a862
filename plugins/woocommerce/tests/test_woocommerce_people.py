"""Who an order belongs to: customers, guests, staff, people who left, people who were erased."""

from datetime import timedelta

import pytest

from synccore.entities import guest_key


def orders(changes):
    return {c.key: c for c in changes if c.entity == "order"}


def people(changes):
    return {c.key: c for c in changes if c.entity == "customer"}


def bought(shop, customer, email, **fields):
    return shop.place_order(customer_id=customer, status="completed", billing={"email": email}, **fields)


# -- buyers who are no customers


@pytest.mark.parametrize("role", ["administrator", "shop_manager", "editor", "wholesale", "author"])
@pytest.mark.parametrize("how", ["webhook", "full listing", "poll"])
def test_an_order_of_staff_is_that_of_a_guest(listening, ears, client, clock, role, how):
    """Nobody waits for a customer who never comes."""
    shop = listening
    first = shop.place_order(billing={"email": "first@shop.test"})
    _, cursor = client.listed("order")
    clock.advance(timedelta(minutes=2))
    staff = shop.user("staff@shop.test", role=role)
    number = bought(shop, staff, "staff.home@shop.test")
    if how == "webhook":
        shop.run_queue()
        changes = ears.take()
    else:
        changes = client.all("order", cursor if how == "poll" else None)
    key = guest_key("staff.home@shop.test")
    assert orders(changes)[str(number)].owner.key == key
    assert people(changes)[key].data.guest
    assert str(staff) not in people(changes)
    assert str(first)


def test_an_account_that_is_no_longer_there_is_no_owner(listening, ears, client):
    """Removed from the database by hand: WooCommerce then still names it."""
    number = bought(listening, 4711, "gone@shop.test")
    listening.run_queue()
    key = guest_key("gone@shop.test")
    assert orders(ears.take())[str(number)].owner.key == key
    assert orders(client.all("order"))[str(number)].owner.key == key
    assert client.source.fetch("customer", key) is not None


def test_with_the_setting_off_such_an_order_has_no_customer(shop, make):
    client = make(shop, others_as_guests=False)
    staff = shop.user("staff@shop.test", role="editor")
    number = bought(shop, staff, "staff@shop.test")
    changes = client.all("order")
    assert (orders(changes)[str(number)].owner, people(changes)) == (None, {})


def test_a_listed_role_owns_its_orders(shop, make):
    client = make(shop, roles=("customer", "wholesale"))
    trader = shop.user("trader@shop.test", role="wholesale")
    number = bought(shop, trader, "trader@shop.test")
    assert orders(client.all("order"))[str(number)].owner.key == str(trader)


def test_what_else_staff_own_has_no_owner(shop, client):
    staff = shop.user("staff@shop.test", role="editor")
    box = shop.subscribe(shop.add_customer("ada@shop.test"))
    shop.shop.subscriptions[box]["customer_id"] = staff
    member = shop.add_member(staff, shop.add_plan("Gold", "gold"))
    assert {c.key: c.owner for c in client.all("subscription") if c.entity == "subscription"} == {str(box): None}
    assert {c.key: c.owner for c in client.all("membership")} == {str(member): None}


def test_a_guest_who_is_staff_is_not_called_gone(shop, client):
    staff = shop.user("staff@shop.test", role="editor")
    bought(shop, staff, "staff@shop.test")
    client.all("order")
    fetched = client.source.fetch("customer", guest_key("staff@shop.test"))
    assert fetched.data.guest


def test_check_counts_who_is_left_out_and_says_what_to_set(shop, client):
    shop.user("trader@shop.test", role="wholesale")
    bought(shop, shop.user("buyer@shop.test", role="wholesale"), "buyer@shop.test")
    client.all("customer")
    client.all("order")
    (found,) = [f for f in client.source.check().findings if f.path == "sources.shop.roles"]
    assert found.level == "warning"
    assert "6 accounts" not in found.message
    assert "5 accounts are left out" in found.message
    assert "2 wholesale" in found.message
    assert "1 wholesale have bought: their orders are treated as those of guests" in found.message
    assert 'roles = ["customer", "subscriber", "wholesale"]' in found.message


def test_why_somebody_is_left_out_is_said_without_asking_the_shop(shop, client):
    trader = shop.user("trader@shop.test", role="wholesale")
    ada = shop.add_customer("ada@shop.test")
    client.all("customer")
    calls = client.context.calls
    for asked in (str(trader), "Trader@shop.test"):
        assert f"account {trader} of shop has the role wholesale" in client.source.left_out(asked)
    assert client.source.left_out(str(ada)) is None
    assert client.source.left_out("nobody@shop.test") is None
    assert client.context.calls == calls


# -- an order that changes hands


def test_a_guests_order_given_to_an_account(listening, ears, client, clock):
    ada = listening.add_customer("ada@shop.test")
    number = bought(listening, 0, "guest@shop.test")
    listening.run_queue()
    before = orders(ears.take())[str(number)]
    assert before.owner.key == guest_key("guest@shop.test")
    clock.advance(timedelta(seconds=5))
    listening.edit_order(number, customer_id=ada)
    listening.run_queue()
    after = orders(ears.take())[str(number)]
    assert (after.owner.key, after.data.customer_key) == (str(ada), str(ada))
    assert after.version > before.version


def test_a_buyer_whose_address_changes_is_another_guest(listening, ears, clock):
    number = bought(listening, 0, "old@shop.test")
    listening.run_queue()
    ears.take()
    clock.advance(timedelta(seconds=5))
    listening.edit_order(number, billing={"email": "new@shop.test"})
    listening.run_queue()
    assert orders(ears.take())[str(number)].owner.key == guest_key("new@shop.test")


# -- the newest order of a guest


def test_an_older_order_does_not_win_over_a_newer_one(listening, ears, clock, replay):
    old = listening.place_order(billing={"email": "guest@shop.test", "first_name": "Old"})
    listening.run_queue()
    stale = ears.received[-1]
    clock.advance(timedelta(days=1))
    listening.place_order(billing={"email": "guest@shop.test", "first_name": "New"})
    listening.run_queue()
    newest = [c for c in ears.take() if c.entity == "customer"][-1]
    clock.advance(timedelta(days=1))
    listening.edit_order(old, status="completed")
    listening.run_queue()
    edited = [c for c in ears.take() if c.entity == "customer"][-1]
    replayed = [c for c in replay(stale) if c.entity == "customer"][-1]
    assert replayed.version < edited.version < newest.version


# -- WordPress's eraser


MARKS = (
    {"email": "deleted@site.invalid"},
    {"email": "geloescht@site.invalid", "first_name": "[gel\u00f6scht]"},
    {"email": "DELETED@Site.Invalid."},
    {"email": "anyone@example.invalid"},
)


@pytest.mark.parametrize("billing", MARKS)
def test_an_erased_order_makes_no_person(listening, ears, client, billing):
    number = listening.place_order(customer_id=0, billing={"first_name": "[deleted]", **billing})
    listening.run_queue()
    for changes in (ears.take(), client.all("order")):
        assert people(changes) == {}
        order = orders(changes)[str(number)]
        assert (order.owner, order.data.email) == (None, None)
        assert order.data.billing.is_empty()
        assert "deleted" not in repr(order.data)


def test_the_orders_own_mark_is_enough(listening, ears):
    """In whatever language, and with whatever address."""
    meta = [{"key": "_anonymized", "value": "yes"}]
    listening.place_order(billing={"email": "x@shop.test", "first_name": "[eliminado]"}, meta_data=meta)
    listening.run_queue()
    assert people(ears.take()) == {}


def test_an_erased_guest_is_emptied(listening, ears, clock):
    listening.place_order(billing={"email": "guest@shop.test", "first_name": "Ada", "phone": "1"})
    listening.run_queue()
    before = people(ears.take())[guest_key("guest@shop.test")]
    clock.advance(timedelta(hours=1))
    listening.erase(email="guest@shop.test")
    listening.run_queue()
    after = people(ears.take())
    assert list(after) == [before.key]
    blank = after[before.key]
    assert (blank.op, blank.data.email, blank.data.first_name, blank.data.phone) == ("upsert", None, None, None)
    assert blank.version > before.version


def test_an_erased_account_is_blank_and_its_orders_make_no_guest(listening, ears, client, clock):
    ada = listening.add_customer(
        "ada@shop.test", billing={"email": "ada@shop.test", "phone": "1", "address_1": "A", "city": "B"}
    )
    bought(listening, ada, "ada@shop.test")
    listening.run_queue()
    ears.take()
    clock.advance(timedelta(hours=1))
    listening.erase(ada)
    listening.run_queue()
    after = people(ears.take())
    assert list(after) == [str(ada)]
    assert (after[str(ada)].data.phone, after[str(ada)].data.billing.is_empty()) == (None, True)
    assert list(people(client.all("customer"))) == [str(ada)]


@pytest.mark.parametrize("known_by", ["webhook", "listing"])
def test_with_the_setting_the_erased_are_forgotten(shop, make, clock, known_by):
    client = make(shop, on_erased="forget")
    ada = shop.add_customer("ada@shop.test", billing={"email": "ada@shop.test", "address_1": "A", "city": "B"})
    shop.place_order(billing={"email": "guest@shop.test"})
    for entity in ("customer", "order"):
        client.all(entity)
    clock.advance(timedelta(hours=1))
    shop.erase(ada)
    shop.erase(email="guest@shop.test")
    told = [*client.all("customer"), *client.all("order")]
    assert {(c.key, c.op) for c in told if c.entity == "customer"} == {
        (str(ada), "forget"),
        (guest_key("guest@shop.test"), "forget"),
    }


def test_an_account_that_never_had_an_address_was_not_erased(shop, make):
    client = make(shop, on_erased="forget")
    ada = shop.add_customer("ada@shop.test")
    client.all("customer")
    shop.edit_customer(ada, first_name="Ada")
    assert [c.op for c in client.all("customer")] == ["upsert"]


# -- somebody who was never reported


def test_a_person_is_found_by_address_account_or_guest(shop, client):
    ada = shop.add_customer("Ada@shop.test")
    shop.add_customer("other@shop.test")
    shop.place_order(billing={"email": "guest@shop.test"}, status="completed")
    assert [c.key for c in people(client.source.search(" ada@SHOP.test ")).values()] == [str(ada)]
    assert list(people(client.source.search("guest@shop.test"))) == [guest_key("guest@shop.test")]
    assert list(client.source.search("nobody@shop.test")) == []
