"""A route that is called otherwise goes on where it was; one that left is named."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from synccore._verbs.check import check
from synccore._verbs.status import overview
from synccore.entities import Payment
from synccore.store import Hold
from synccore.testing import Harness, customer, upsert
from synccore.testing.clock import FakeClock

TABLE = {"entity": "customer", "fields": {"email": "customer.email"}}


@pytest.fixture
def world(tmp_path):
    """Opens the app in one folder again and again, under whatever routes; one target behind all of them."""
    clock = FakeClock()
    sinks = []

    def start(routes):
        app = Harness(tmp_path, routes, clock=clock)
        if sinks:
            for name in ("records", "uids", "_ids"):
                setattr(app.sink, name, getattr(sinks[-1], name))
        sinks.append(app.sink)
        return app

    return start


def counted(app):
    """What the triggers count, and what there is."""
    with app.app.store.reading() as view:
        kept = {tuple(r) for r in view.execute("SELECT sink, route, state, rows FROM delivery_count WHERE rows > 0")}
        real = {tuple(r) for r in view.execute("SELECT sink, route, state, count(*) FROM delivery GROUP BY 1, 2, 3")}
    return kept, real


def test_a_renamed_route_keeps_its_links_and_owes_what_it_owed(world):
    with world({"people": TABLE}) as app:
        app.emit(customer("1", email="a@shop.test"), customer("2", email="b@shop.test"))
        app.drain()
        ids = {k: app.app.store.link("people", "shop", "customer", k).remote_id for k in "12"}
        app.emit(customer("1", email="new@shop.test"), customer("3", email="c@shop.test"))
        now = app.clock.now()
        app.app.store.put_hold(
            Hold(route="people", sink="crm", kind="refused", reason="full", until=now, since=now, failures=1)
        )
    with world({"persons": {**TABLE, "formerly": ["people"]}}) as app:
        store = app.app.store
        assert {k: store.link("persons", "shop", "customer", k).remote_id for k in "12"} == ids
        assert store.link("people", "shop", "customer", "1") is None
        assert [h.route for h in store.holds()] == ["persons"]
        assert "people" not in {d.route for d in app.deliveries()} | {h.route for h in app.history()}
        kept, real = counted(app)
        assert kept == real
        app.settle_down()
        assert sorted(r["email"] for r in app.sink.by_uid().values()) == [
            "b@shop.test",
            "c@shop.test",
            "new@shop.test",
        ]
        assert store.link("persons", "shop", "customer", "1").remote_id == ids["1"]
        before = counted(app)
        app.crash()
        assert counted(app) == before
        assert app.app.lost_routes() == {}


def test_what_both_names_owe_is_owed_once(world):
    with world({"people": TABLE}) as app:
        app.emit(customer("1", email="a@shop.test"), customer("2", email="b@shop.test"))
        app.drain()
        app.emit(customer("1", email="x@shop.test"))
    with world({"persons": TABLE}) as app:
        app.emit(customer("1", email="y@shop.test"), customer("2", email="z@shop.test"))
    with world({"persons": {**TABLE, "formerly": ["people"]}}) as app:
        assert sorted(d.key for d in app.deliveries(state="ready")) == ["1", "2"]
        kept, real = counted(app)
        assert kept == real
        app.settle_down()
        assert sorted(r["email"] for r in app.sink.by_uid().values()) == ["y@shop.test", "z@shop.test"]
        assert len(app.sink.records) == 2


def test_what_went_elsewhere_is_not_taken_over(world):
    """The former route wrote to another sink's records: its links mean nothing here."""
    with world({"people": TABLE}) as app:
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
    with world({"orders": {"entity": "order", "fields": {"n": "order.number"}, "formerly": ["people"]}}) as app:
        assert app.app.store.link("orders", "shop", "customer", "1") is None
        assert app.app.lost_routes() == {"people": 1}


def test_a_route_that_left_is_named_with_its_records(world):
    with world({"people": TABLE}) as app:
        app.emit(customer("1", email="a@shop.test"), customer("2", email="b@shop.test"))
        app.drain()
    with world({"others": {"entity": "order", "fields": {"n": "order.number"}}}) as app:
        (finding,) = [f for f in check(app.app, offline=True).findings if f.path == "routes.people"]
        assert finding.level == "warning"
        assert "2 records are linked" in finding.message
        assert 'formerly = ["people"]' in finding.message
        assert [note for note in overview(app.app).notes if "route people" in note]


def test_open_facts_go_on_in_their_order_and_are_told_once(world):
    facts = {"entity": "payment", "fields": {"reason": "payment.reason"}}
    with world({"failures": facts}) as app:
        app.emit(failed(1), failed(2))
        app.drain()
        app.emit(failed(3), failed(4))
    with world({"payments": {**facts, "formerly": ["failures"]}}) as app:
        app.emit(failed(2), failed(3), failed(5))
        app.settle_down()
        assert [event["reason"] for _, event in app.sink.events] == ["no 3", "no 4", "no 5"]
        kept, real = counted(app)
        assert kept == real
        assert app.app.store.event_balance("payments", "shop", "payment")["delivered"] == 5


def failed(number):
    at = datetime(2026, 1, 1, 12, number, tzinfo=UTC)
    fact = Payment(
        key="9", succeeded=False, amount=Decimal(5), currency="EUR", at=at, reason=f"no {number}", customer_key="1"
    )
    return upsert(fact, op="event", owner="1", event_id=str(number), at=at)
