"""Answers of the shop that are JSON and nothing that was asked for: tried again, in words that hold nothing of anybody.

What a record holds is read by `mapping`, whatever it is; here it is what stands around the records.
"""

from datetime import UTC, datetime

import pytest

from synccore.errors import SynccoreError, Transient
from synccore.testing import Fault, replaced
from synccore.types import Delivered, Failed, WriteBack
from synccore_woocommerce.mapping.dates import zone_name, zone_of

AT = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
#: As often as it asks before it gives up.
TRIES = 3


def link(number):
    return WriteBack(entity="customer", key=str(number), links={"crm": f"003{number}"}, at=AT)


@pytest.mark.parametrize(
    ("path", "value"),
    [((), 7), ((0,), None), ((0,), "ada@shop.test"), ((0, "id"), None), ((0, "id"), []), ((0, "id"), {"value": 1})],
)
def test_what_is_written_back_is_looked_for_again(shop, client, path, value):
    ada = shop.add_customer("ada@shop.test")
    shop.fail_next(*[Fault.altered(replaced(path, value), when=lambda r: r.method == "GET")] * TRIES)
    with pytest.raises(Transient) as caught:
        client.source.write_back([link(ada)])
    assert "ada" not in str(caught.value)
    shop.clear_faults()
    assert isinstance(client.source.write_back([link(ada)])[0], Delivered)


@pytest.mark.parametrize(
    ("path", "value"),
    [((), 7), ((), []), (("update",), None), (("update",), {}), (("update",), []), (("update", 0), None),
     (("update", 0), "done"), (("update", 0, "id"), None), (("update", 0, "id"), [])],
)  # fmt: skip
def test_a_batch_whose_results_cannot_be_read_may_be_carried_out(shop, client, path, value):
    ada, ben = shop.add_customer("ada@shop.test"), shop.add_customer("ben@shop.test")
    shop.fail_next(Fault.altered(replaced(path, value), when=lambda r: r.path.endswith("/batch")))
    try:
        outcomes = client.source.write_back([link(ada), link(ben)])
    except Transient as error:
        outcomes = [Failed(error)] * 2
    failed = [one.error for one in outcomes if isinstance(one, Failed)]
    assert failed
    assert all(isinstance(error, Transient) and error.maybe_applied for error in failed)


def test_a_batch_answered_with_a_page_may_be_carried_out(shop, client):
    ada = shop.add_customer("ada@shop.test")
    shop.fail_next(Fault.commit_then_status(200, "<html></html>", when=lambda r: r.path.endswith("/batch")))
    with pytest.raises(Transient) as caught:
        client.source.write_back([link(ada)])
    assert caught.value.maybe_applied


@pytest.mark.parametrize("made", [7, [], {}, {"id": None}, {"id": []}, {"id": "no"}])
def test_a_webhook_whose_number_is_not_said_is_made_once(shop, client, ears, made):
    shop.fail_next(Fault.altered(lambda _: made, when=lambda r: r.method == "POST"))
    with pytest.raises(Transient, match="which webhook it made"):
        client.source.subscribe(ears.hook_url)
    client.source.subscribe(ears.hook_url)
    assert len(shop.hooks.all) == 15


def test_a_webhook_without_a_topic_is_made_anew(shop, client, ears):
    client.source.subscribe(ears.hook_url)
    shop.fail_next(Fault.altered(lambda rows: [{n: v for n, v in row.items() if n != "topic"} for row in rows]))
    client.source.subscribe(ears.hook_url)
    assert len(shop.hooks.all) == 15


@pytest.mark.parametrize("found", [7, None, {}, [7], [None], ["ada@shop.test"], [{"id": []}]])
def test_who_is_looked_for_and_not_told_is_a_guest_at_most(shop, client, found):
    shop.add_customer("ada@shop.test")
    shop.fail_next(Fault.altered(lambda _: found, when=lambda r: r.path.endswith("/customers")))
    assert client.source.search("ada@shop.test") == []


@pytest.mark.parametrize("found", [[7], [None], [{"id": []}], [{}]])
def test_a_filter_by_an_address_that_names_no_account_is_refused_in_words(shop, client, found):
    shop.add_customer("ada@shop.test")
    shop.fail_next(Fault.altered(lambda _: found, when=lambda r: r.path.endswith("/customers")))
    with pytest.raises(SynccoreError, match="no account of the shop"):
        client.all("order", email="ada@shop.test")


@pytest.mark.parametrize("offset", [1e308, -1e308, 10**30, float("inf"), [], {}, "soon", None, True])
def test_a_zone_that_is_nowhere_is_none(offset):
    name = zone_name({"timezone_string": "", "gmt_offset": offset})
    assert zone_of(name) is None or datetime.now(zone_of(name)).utcoffset() is not None


def test_dates_at_both_ends_of_time_are_read(shop, client):
    """A list is asked for from a minute before the newest of them on."""
    order = shop.place_order(customer_id=0, billing={"email": "ada@shop.test"})
    for at in ("0001-01-01T00:00:00", "9999-12-31T23:59:59"):
        shop.shop.orders[order]["date_modified_gmt"] = at
        _, cursor = client.listed("order")
        client.listed("order", cursor)


def test_a_record_that_a_page_shows_twice_is_one(shop, client):
    """A plugin's join (roles, languages) may show a user twice."""
    ada = shop.add_customer(email="ada@shop.test")
    shop.fail_next(Fault.altered(lambda rows: rows + rows, when=lambda r: r.method == "GET" and "customers" in r.path))
    link = WriteBack(entity="customer", key=str(ada), links={"crm": f"003{ada}"}, at=datetime(2026, 1, 1, tzinfo=UTC))
    (outcome,) = client.source.write_back([link])
    assert isinstance(outcome, Delivered)
