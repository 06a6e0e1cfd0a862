"""Remote ids into the shop: in batches, once, and never a loop."""

from datetime import UTC, datetime

import attrs
import pytest

from synccore.errors import Transient
from synccore.testing import Fault
from synccore.types import Delivered, Failed, Unchanged, WriteBack
from synccore_woocommerce.testing import Key

AT = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
SECRET = "synccore-test-secret"


def told(data):
    """What the fingerprint is made of."""
    return {k: v for k, v in attrs.asdict(data, recurse=False).items() if k not in ("updated_at", "raw")}


def link(key, entity="customer", **links):
    return WriteBack(entity=entity, key=str(key), links=links or {"crm": f"003{key}"}, at=AT)


def meta(shop, number, table="customers"):
    return {m["key"]: m["value"] for m in getattr(shop.shop, table)[number]["meta_data"]}


def test_ids_and_time_are_stored(shop, client):
    ada = shop.add_customer("ada@shop.test")
    (outcome,) = client.source.write_back([link(ada, crm="003X", contacts="people/c1")])
    assert isinstance(outcome, Delivered)
    assert meta(shop, ada) == {
        "synccore_crm_id": "003X",
        "synccore_contacts_id": "people/c1",
        "synccore_synced_at": "2026-11-21T20:00:00Z",
    }


def test_what_is_there_is_not_written_again(shop, client):
    ada = shop.add_customer("ada@shop.test")
    client.source.write_back([link(ada)])
    shop.requests.clear()
    (outcome,) = client.source.write_back([link(ada)])
    assert isinstance(outcome, Unchanged)
    assert shop.count("POST") == shop.count("PUT") == 0


def test_our_own_write_changes_nothing_when_it_comes_back(shop, client, ears):
    """The shop sends customer.updated for it; the record must read the same, but for its date."""
    ada = shop.add_customer("ada@shop.test", first_name="Ada", meta_data=[{"key": "shoe_size", "value": 44}])
    shop.webhook("customer.updated", ears.hook_url, SECRET)
    (before,) = client.all("customer")
    client.source.write_back([link(ada)])
    shop.run_queue()
    (echo,) = ears.take()

    assert told(echo.data) == told(before.data)
    assert echo.data.meta == {"shoe_size": "44"}


def test_the_same_for_orders(shop, client):
    number = shop.place_order(customer_id=0)
    (before,) = [c for c in client.all("order") if c.entity == "order"]
    assert isinstance(client.source.write_back([link(number, "order")])[0], Delivered)
    assert meta(shop, number, "orders")["synccore_crm_id"] == f"003{number}"
    (after,) = [c for c in client.all("order") if c.entity == "order"]
    assert after.data.meta == before.data.meta == {}


def test_a_hundred_at_a_time(shop, client):
    people = [shop.add_customer(f"p{i}@shop.test") for i in range(230)]
    outcomes = client.source.write_back([link(p) for p in people])
    assert all(isinstance(o, Delivered) for o in outcomes)
    assert shop.count("POST", "/wp-json/wc/v3/customers/batch") == 3
    assert meta(shop, people[-1])["synccore_crm_id"] == f"003{people[-1]}"


def test_outcomes_keep_the_order_of_the_items(shop, client):
    ada = shop.add_customer("ada@shop.test")
    order = shop.place_order(customer_id=ada)
    items = [link(99999), link(order, "order"), link("guest:abc"), link(ada), link(7, "membership")]
    outcomes = client.source.write_back(items)
    assert [type(o) for o in outcomes] == [Unchanged, Delivered, Unchanged, Delivered, Unchanged]


def test_two_ids_for_one_customer_in_one_call(shop, client):
    ada = shop.add_customer("ada@shop.test")
    outcomes = client.source.write_back([link(ada, crm="1"), link(ada, marketing="2")])
    assert all(isinstance(o, Delivered) for o in outcomes)
    assert {"synccore_crm_id": "1", "synccore_marketing_id": "2"}.items() <= meta(shop, ada).items()


def test_a_shop_manager_writes_one_by_one(shop, make):
    manager = Key(key="ck_manager", secret="cs_manager", role="shop_manager")
    shop.gate.keys[manager.key] = manager
    client = make(shop, key=manager)
    ada = shop.add_customer("ada@shop.test")
    boss = 1
    outcomes = client.source.write_back([link(ada), link(boss)])
    assert isinstance(outcomes[0], Delivered)
    assert isinstance(outcomes[1], Failed)
    assert "not allowed to edit" in outcomes[1].error.message


def test_a_row_that_the_shop_refuses_fails_alone(shop, client, monkeypatch):
    ada, ben = shop.add_customer("ada@shop.test"), shop.add_customer("ben@shop.test")
    write = shop.resources.write

    def refuse(kind, number, body):
        from synccore_woocommerce.testing.lists import RestError

        if number == ada:
            raise RestError(400, "some_plugin_said_no", "No.")
        write(kind, number, body)

    monkeypatch.setattr(shop.resources, "write", refuse)
    outcomes = client.source.write_back([link(ada), link(ben)])
    assert isinstance(outcomes[0], Failed)
    assert "some_plugin_said_no" in outcomes[0].error.message
    assert isinstance(outcomes[1], Delivered)


def test_a_lost_answer_is_repaired_by_asking_again(shop, client):
    ada = shop.add_customer("ada@shop.test")
    client.all("customer")
    shop.fail_next(Fault.commit_then_drop(when=lambda r: r.method == "POST"))
    with pytest.raises(Transient) as caught:
        client.source.write_back([link(ada)])
    assert caught.value.maybe_applied
    assert isinstance(client.source.write_back([link(ada)])[0], Unchanged)
