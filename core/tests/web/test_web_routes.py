"""The pages of routes, and an expression tried out on a person."""

from decimal import Decimal

import pytest

from synccore.entities import Order
from synccore.testing import customer, upsert
from synccore.types import FieldInfo, ObjectInfo


@pytest.fixture
def site(open_site, full):
    site = open_site(routes=full)
    site.house.reached()
    total = Decimal("9.90")
    site.house.emit(
        customer("1", email="ada@shop.test", first_name="Ada"),
        customer("2", first_name="Nobody"),
        upsert(Order(key="7", number="W-7", status="done", currency="EUR", total=total), owner="1"),
    )
    site.house.drain()
    return site


def test_routes_are_listed_with_their_counts(site, words):
    site.house.park(1)
    text = words(site.visitor().get("/routes"))
    assert "people shop customer crm thing 0 1 1 1" in text
    assert "orders shop order crm thing 0 0 1 0" in text


def test_a_route_shows_filter_mapping_and_why_records_were_skipped(site, words):
    text = words(site.visitor().get("/routes/people"))
    assert "when customer.email" in text
    assert "includes order" in text
    assert "name customer.name" in text
    assert "1 x" in text.split("Why records were skipped")[1]
    assert site.visitor().get("/routes/nothing").status == 404


def test_it_is_checked_against_the_target_on_demand(site, words):
    fields = tuple(FieldInfo(name=name) for name in ("email", "orders"))
    site.house.crm.describe = lambda: [ObjectInfo(name="thing", fields=fields)]
    assert "thing has no field name" not in words(site.visitor().get("/routes/people"))
    assert "thing has no field name" in words(site.visitor().get("/routes/people?check=1"))


def attempt(site, words, route="people", **form):
    answer = site.visitor().act(f"/routes/{route}", **form)
    return words(answer).split("Try another expression")[1]


def test_an_expression_is_tried_and_nothing_is_stored(site, words):
    store = site.house.app.store
    before = store.deliveries(limit=None), store.history(limit=None), dict(site.house.crm.records)
    tried = attempt(site, words, field="name", expression="customer.first_name | upper", who="ada@shop.test")
    assert "name of Ada today Ada with this expression ADA" in tried
    tried = attempt(site, words, "orders", field="total", expression="order.total * 2", who="ada")
    assert "total of order W-7 today 9.90 with this expression 19.80" in tried
    assert (store.deliveries(limit=None), store.history(limit=None), dict(site.house.crm.records)) == before
    assert site.house.app.routes["people"].fields["name"] == "customer.name"


def test_a_filter_is_tried(site, words):
    assert "with this expression skipped:" in attempt(
        site, words, field="when", expression="customer.first_name == 'Eve'", who="1"
    )
    assert "with this expression is sent" in attempt(site, words, field="when", expression="true", who="2")


def test_a_mistake_is_told_and_costs_nothing(site, words):
    mistakes = {
        "customer.nmae": "nmae",
        "customer.(": "expected name or number",
        "1 / 0": "it divides by zero",
        "'x' * 100000000": "characters",
        "{% for a in range(99999999) %}x{% endfor %}": "a range would have more than",
        "customer.__class__": "customer has no '__class__'",
    }
    for expression, said in mistakes.items():
        tried = attempt(site, words, field="name", expression=expression, who="1")
        after = tried.split("with this expression")[1].split("Last activity")[0]
        assert said in after, expression
        assert "synccore.entities" not in after


def test_what_is_typed_is_no_markup(site):
    form = {"field": "name", "expression": "'<b>x</b>'", "who": "1"}
    answer = site.visitor().act("/routes/people", **form)
    assert "<b>x" not in answer.text
    assert "&lt;b&gt;x" in answer.text
    nobody = site.visitor().act("/routes/people", **{**form, "who": "<i>nobody"})
    assert ("&lt;i&gt;nobody" in nobody.text, "<i>nobody" in nobody.text) == (True, False)


def test_a_person_who_is_not_found_costs_no_typed_expression(site, words):
    tried = attempt(site, words, field="name", expression="customer.first_name | upper", who="eve@shop.test")
    assert "no customer of shop is found by '[email]'" in tried
    assert "customer.first_name | upper" in tried
