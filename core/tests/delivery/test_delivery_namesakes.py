"""Who is deleted and registers again comes under a new number, often before the word of the deletion.

And what is told of somebody after they are deleted makes them anew at a target that makes people of facts.
"""

from datetime import timedelta

import pytest

from synccore.entities import Payment
from synccore.errors import RateLimited, Rejected, Transient
from synccore.testing import Harness, customer
from synccore.types import Change, EntityRef

PEOPLE = {"people": {"entity": "customer", "fields": {"email": "customer.email", "name": "customer.first_name"}}}


@pytest.fixture
def app(tmp_path):
    with Harness(tmp_path, PEOPLE) as app:
        app.emit(customer("1", email="anna@shop.test", first_name="Ann"), customer("2", email="bob@shop.test"))
        app.drain()
        yield app


def told(app):
    return [(operation.op, operation.key) for call in app.sink.calls for operation in call]


def again(app):
    """Anna was deleted, and is there again under another number."""
    del app.source.records["customer", "1"]
    app.emit(customer("7", email="Anna@shop.test", first_name="Anna"))


@pytest.mark.parametrize("hinted", ["before", "after", "never"])
def test_the_new_account_waits_until_the_old_one_is_gone_at_the_target(app, hinted):
    if hinted == "before":
        app.emit(Change(entity="customer", key="1", op="touch"))
    again(app)
    if hinted == "after":
        app.emit(Change(entity="customer", key="1", op="touch"))
    app.advance(timedelta(minutes=5))
    assert told(app) == [("upsert", "1"), ("upsert", "2")]
    assert app.follow() == ["1"]
    app.settle_down()
    assert told(app)[2:] == [("delete", "1"), ("upsert", "7")]
    assert set(app.sink.by_uid()) == {"shop:customer:2", "shop:customer:7"}


def test_a_deletion_that_has_trouble_is_waited_for(app):
    app.sink.always(lambda o: RateLimited("slow", retry_after=timedelta(minutes=3)) if o.op == "delete" else None)
    again(app)
    app.follow()
    app.advance(timedelta(seconds=30))
    assert ("upsert", "7") not in told(app)
    (row,) = app.deliveries(key="7")
    assert "had this address before" in (row.error or "had this address before")
    app.sink.always(None)
    app.settle_down()
    assert told(app)[-2:] == [("delete", "1"), ("upsert", "7")]


def test_a_parked_deletion_holds_up_nobody(app):
    app.sink.always(lambda o: Rejected("no") if o.op == "delete" else None)
    again(app)
    app.follow()
    app.settle_down()
    assert told(app)[-1] == ("upsert", "7")


def test_two_who_really_share_an_address_wait_for_one_question(app):
    app.emit(customer("7", email="anna@shop.test"))
    app.drain()
    assert len(told(app)) == 2
    assert app.follow() == ["1"]
    app.settle_down()
    assert told(app)[2:] == [("upsert", "7")]
    app.emit(customer("7", email="anna@shop.test", first_name="Zoe"))
    app.settle_down()
    assert told(app)[3:] == [("upsert", "7")]
    assert app.follow() == []


def test_a_first_listing_asks_for_nobody(app):
    app.emit(customer("8", email="bob@shop.test"), bulk=True)
    app.settle_down()
    assert told(app)[-1] == ("upsert", "8")
    assert app.follow() == []


FACTS = PEOPLE | {"facts": {"entity": "payment", "fields": {"email": "payment.email"}}}


def failed_payment(clock):
    data = Payment(key="9", succeeded=False, amount=5, currency="USD", at=clock.now(), email="anna@shop.test")
    return Change(entity="payment", key="9", op="event", data=data, event_id="9:1", owner=EntityRef("customer", "1"))


@pytest.mark.parametrize("changed", [True, False], ids=["which folds into an older row", "which is a row of its own"])
def test_a_deletion_waits_until_the_facts_before_it_are_told(tmp_path, changed):
    with Harness(tmp_path, FACTS) as app:
        app.emit(customer("1", email="anna@shop.test"))
        app.drain()
        if changed:
            app.emit(customer("1", email="anna@shop.test", first_name="Anna"))
        app.emit(failed_payment(app.clock))
        app.emit(Change(entity="customer", key="1", op="delete"))
        app.sink.always(lambda o: Transient("later") if o.op == "event" else None)
        app.advance(timedelta(minutes=10))
        assert "delete" not in {op for op, _ in told(app)}
        app.sink.always(None)
        app.settle_down()
        assert told(app)[-2:] == [("event", "9"), ("delete", "1")]


def test_a_fact_that_is_refused_holds_up_no_deletion(tmp_path):
    with Harness(tmp_path, FACTS) as app:
        app.emit(customer("1", email="anna@shop.test"))
        app.drain()
        app.sink.always(lambda o: Rejected("no") if o.op == "event" else None)
        app.emit(failed_payment(app.clock))
        app.emit(Change(entity="customer", key="1", op="delete"))
        app.settle_down()
        assert told(app)[-1] == ("delete", "1")
