"""A target that has one record for an address makes people of whatever it is told of somebody: also of states."""

from decimal import Decimal

import pytest
from attrs import evolve

from synccore.entities import Order
from synccore.errors import Transient
from synccore.testing import Harness, ScriptedSink, customer
from synccore.testing.scripted import scripted_type
from synccore.types import Change, EntityRef

ROUTES = {
    "people": {"entity": "customer", "fields": {"email": "customer.email"}},
    "members": {
        "entity": "customer",
        "object": "note",
        "fields": {"email": "customer.email", "name": "customer.first_name"},
    },
    "orders": {"entity": "order", "object": "note", "fields": {"email": "customer.email", "status": "order.status"}},
}


@pytest.fixture
def app(tmp_path):
    sink = ScriptedSink()
    kind = scripted_type(sink)
    kind = evolve(kind, objects=tuple(evolve(o, by_address=True) for o in kind.objects))
    with Harness(tmp_path, ROUTES, sink_types={"crm": (kind, {})}) as app:
        app.sink = sink
        app.emit(customer("1", email="anna@shop.test"), order("completed"))
        app.drain()
        sink.calls.clear()
        yield app


def order(status):
    data = Order(key="9", number="9", status=status, currency="EUR", total=Decimal(1))
    return Change(entity="order", key="9", op="upsert", data=data, owner=EntityRef("customer", "1"))


def told(app):
    return [(o.op, o.entity, o.object) for call in app.sink.calls for o in call]


def fails_once(app, op):
    """The person's own record cannot be written for a while."""
    tries = []

    def outcome(operation):
        if operation.object != "thing" or operation.op != op or tries:
            return None
        tries.append(operation)
        return Transient("busy", outage=False)

    app.sink.always(outcome)


def test_what_is_told_of_who_has_a_new_address_waits_for_it(app):
    fails_once(app, "upsert")
    app.emit(customer("1", email="new@shop.test"))
    app.emit(order("refunded"))
    app.drain()
    assert [what for what in told(app) if what[2] == "note"] == []
    app.settle_down()
    assert told(app)[1][2] == "thing"
    assert {what[1] for what in told(app)[2:]} == {"customer", "order"}


def test_who_goes_waits_until_what_they_own_is_told(app):
    app.sink.always(
        lambda o: Transient("busy", outage=False) if o.object == "note" and not app.sink.calls[1:] else None
    )
    app.emit(order("refunded"))
    app.drain()
    app.emit(Change(entity="customer", key="1", op="delete"))
    app.settle_down()
    gone = told(app).index(("delete", "customer", "thing"))
    assert ("upsert", "order", "note") in told(app)[:gone]
    assert ("upsert", "order", "note") not in told(app)[gone:]


def test_what_is_told_of_who_registers_anew_waits_until_who_had_the_address_is_gone(app):
    """The deletion would take it along."""
    fails_once(app, "delete")
    app.emit(Change(entity="customer", key="1", op="delete"))
    app.emit(customer("2", email="anna@shop.test"))
    app.emit(
        evolve(
            order("completed"),
            key="10",
            data=evolve(order("completed").data, key="10"),
            owner=EntityRef("customer", "2"),
        )
    )
    app.drain()
    assert [what for what in told(app) if what[0] == "upsert"] == []
    app.settle_down()
    gone = told(app).index(("delete", "customer", "thing"))
    assert ("upsert", "order", "note") in told(app)[gone:]


def test_two_who_are_gone_with_one_address_do_not_wait_for_each_other(app):
    app.emit(customer("2", email="anna@shop.test"))
    app.drain()
    app.sink.always(lambda o: Transient("busy", outage=False) if len(app.sink.calls) < 3 else None)
    second = evolve(order("completed"), key="10", data=evolve(order("completed").data, key="10"))
    app.emit(order("refunded"), evolve(second, owner=EntityRef("customer", "2")))
    app.emit(*(Change(entity="customer", key=key, op="delete") for key in ("1", "2")))
    app.settle_down()
    assert set(app.states()) <= {"done", "skipped"}
