"""`plan`, `adopt` and `preview` say what a run does, and that takes nobody in who was forgotten."""

from datetime import timedelta
from decimal import Decimal

import pytest

from synccore._verbs.adopt import adopt
from synccore._verbs.forget import forget
from synccore._verbs.plan import plan
from synccore._verbs.preview import preview
from synccore.entities import Customer, Order
from synccore.errors import SynccoreError
from synccore.testing import Harness, customer, upsert

PEOPLE = {
    "people": {"entity": "customer", "fields": {"email": "customer.email"}},
    "orders": {"entity": "order", "after": "people", "fields": {"number": "order.number"}},
}


@pytest.fixture
def app(tmp_path):
    with Harness(tmp_path, PEOPLE) as app:
        app.emit(customer("1", email="a@shop.test"), customer("2", email="b@shop.test"))
        app.drain()
        forget(app.app, "a@shop.test")
        yield app


def test_a_plan_has_nobody_who_was_forgotten(app):
    made = plan(app.app, "people").document()
    assert (made["unchanged"], made["create"]) == (1, 0)


def test_a_plan_has_whose_address_was_another_one_by_then(app):
    """Not heard yet when the address was forgotten; a backfill takes them in as well."""
    app.source.put(upsert(Customer(key="1", email="c@shop.test"), at=app.clock.now() - timedelta(hours=1)))
    assert plan(app.app, "people").document()["create"] == 1


def test_nobody_who_was_forgotten_is_adopted(app):
    app.sink.uids["shop:customer:1"] = "theirs"
    app.sink.records["theirs"] = {"email": "a@shop.test"}
    found = adopt(app.app, "people")
    assert (found.already, found.sure, found.none) == (1, 0, 0)
    assert app.app.store.link("people", "shop", "customer", "1") is None


def _found(app, meanwhile):
    """What adopt makes of a record of both sides when something else happens before its link is written."""
    app.source.put(upsert(Customer(key="3", email="c@shop.test"), at=app.clock.now()))
    app.sink.uids["shop:customer:3"] = "theirs"
    app.sink.records["theirs"] = {"email": "c@shop.test"}
    found = adopt(app.app, "people", heard=lambda what, *_: what == "compared" and meanwhile())
    return found.sure, found.already


def test_what_a_daemon_delivers_meanwhile_stays_as_it_was_delivered(app):
    def deliver():
        app.emit(customer("3", email="c@shop.test"))
        app.drain()

    assert _found(app, deliver) == (0, 2)
    link = app.app.store.link("people", "shop", "customer", "3")
    assert link.mapped == {"email": "c@shop.test"}
    assert [h.outcome for h in app.history(key="3")] == ["received", "delivered"]


def test_whoever_is_forgotten_meanwhile_is_not_linked(app):
    assert _found(app, lambda: forget(app.app, "c@shop.test")) == (0, 2)
    assert app.app.store.link("people", "shop", "customer", "3") is None


def test_without_either_it_is_linked(app):
    assert _found(app, lambda: None) == (1, 1)
    assert app.app.store.link("people", "shop", "customer", "3").remote_id == "theirs"


def test_nothing_would_be_sent_for_who_was_forgotten(app):
    with pytest.raises(SynccoreError, match="forgotten at 2026"):
        preview(app.app, "people", "1")


def test_nor_for_what_is_theirs_and_has_no_address(app):
    order = Order(key="o", number="17", status="new", currency="EUR", total=Decimal(5))
    app.emit(upsert(order, owner="1"))
    with pytest.raises(SynccoreError, match="forgotten at 2026"):
        preview(app.app, "orders", "o")
