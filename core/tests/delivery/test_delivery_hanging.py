"""What hangs on a record at the target (`after`) follows it to the twin that it has now."""

from decimal import Decimal

import pytest

from synccore._verbs.adopt import adopt
from synccore.entities import Order
from synccore.testing import Harness, customer, upsert
from synccore.types import Delivered

PEOPLE = {
    "entity": "customer",
    "fields": {"email": "customer.email", "name": "customer.first_name"},
    "when": "customer.company != 'out'",
    "on_leave": "delete",
}
ORDERS = {"entity": "order", "after": "people", "fields": {"number": "order.number"}}


@pytest.fixture
def app(tmp_path):
    with Harness(tmp_path, {"people": PEOPLE, "orders": ORDERS}) as app:
        order = Order(key="o", number="17", status="new", currency="EUR", total=Decimal(5))
        app.emit(anna(), upsert(order, owner="1"))
        app.drain()
        yield app


def anna(**values):
    return customer("1", **{"email": "anna@shop.test", "first_name": "Anna", **values})


def leaves(app):
    app.emit(anna(company="out"))
    app.drain()
    assert app.app.store.link("people", "shop", "customer", "1") is None


def hangs_under(app):
    """The parent that the order was last sent with, and how often it was sent."""
    sent = [operation.parent.remote_id for call in app.sink.calls for operation in call if operation.route == "orders"]
    return sent[-1], len(sent)


def test_it_follows_a_record_that_the_target_made_anew_or_merged(app):
    app.sink.then(Delivered(remote_id="anew"))
    app.emit(anna(first_name="Ann"))
    app.drain()
    assert hangs_under(app) == ("anew", 2)
    app.emit(anna(first_name="Anne"))
    app.drain()
    assert hangs_under(app) == ("anew", 2), "nothing else is owed again"


def test_it_follows_a_record_that_left_and_came_back(app):
    leaves(app)
    app.emit(anna())
    app.drain()
    assert hangs_under(app) == (app.sink.uids["shop:customer:1"], 2)


def test_it_follows_a_record_that_is_adopted(app):
    leaves(app)
    app.sink.uids["shop:customer:1"] = "theirs"
    app.sink.records["theirs"] = {"email": "anna@shop.test"}
    app.emit(anna())
    assert adopt(app.app, "people").sure == 1
    app.drain()
    assert hangs_under(app) == ("theirs", 2)
