"""The daemon's log: lanes that change, the first of each cause, counts of the rest, nobody's name."""

from datetime import timedelta
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from synccore._daemon.sources import SourceWorker
from synccore._daemon.telling import FORGET, Teller
from synccore._verbs.troubles import FAILED, troubles
from synccore.entities import Order
from synccore.errors import AuthError, Rejected, Transient
from synccore.store import LaneRecord
from synccore.testing import START, Harness, customer, upsert
from synccore.types import Settled

ROUTES = {"people": {"entity": "customer", "fields": {"email": "customer.email"}}}


@pytest.fixture
def harness(tmp_path):
    with Harness(tmp_path, routes=ROUTES) as harness:
        yield harness


@pytest.fixture
def teller(harness):
    teller = Teller(harness.app)
    harness.app.observers.append(teller.settled)
    return teller


def owe(harness, *keys):
    harness.emit(*(customer(k, email=f"{k}@shop.test", first_name="Ada") for k in keys))


def test_the_first_of_a_cause_is_a_line_and_the_rest_are_counted(harness, teller):
    harness.sink.always(lambda o: Rejected("too long") if o.key != "9" else None)
    with capture_logs() as logs:
        owe(harness, *"123456789")
        harness.drain()
        teller.count()
        teller.count()
    assert [x["event"] for x in logs].count("new cause") == 1
    [counts] = [x for x in logs if x["event"] == "settled"]
    assert (counts["sink"], counts["parked"], counts["delivered"]) == ("crm", 8, 1)
    assert "shop.test" not in str(logs)
    assert "Ada" not in str(logs)


def test_those_that_wait_for_their_parents_are_one_cause_and_trouble_once_they_are_parked(tmp_path):
    orders = {"entity": "order", "after": "people", "fields": {"number": "order.number"}}
    with Harness(tmp_path, routes={**ROUTES, "orders": orders}) as harness:
        harness.app.observers.append(Teller(harness.app).settled)
        with capture_logs() as logs:
            for key in "123":
                order = Order(key=key, number=key, status="new", currency="EUR", total=Decimal(5))
                harness.emit(upsert(order, owner=key))
            harness.drain()
            harness.settle_down(timedelta(days=2))
    told = [(x["log_level"], x["outcome"], x["kind"]) for x in logs if x["event"] == "new cause"]
    assert told == [("info", "snoozed", "wait_for"), ("warning", "parked", "wait_for")]


def test_a_cause_is_new_again_after_a_while(harness, teller):
    harness.sink.always(lambda _: Rejected("too long"))
    with capture_logs() as logs:
        for key in "12":
            owe(harness, key)
            harness.drain()
        harness.clock.advance(FORGET + timedelta(minutes=1))
        owe(harness, "3")
        harness.drain()
    assert len([x for x in logs if x["event"] == "new cause"]) == 2


def test_every_change_of_a_lane_is_a_line_and_no_other(harness, teller):
    harness.sink.then(AuthError("the grant was revoked"))
    with capture_logs() as logs:
        owe(harness, "1")
        harness.drain()
        teller.look()
        harness.app.store.put_lane(LaneRecord(sink="crm", state="paused", reason="an audit"))  # another process
        teller.look()
        teller.look()
    told = [(x["before"], x["state"], x["reason"]) for x in logs if x["event"] == "lane changed"]
    assert told == [("ok", "needs_auth", "the grant was revoked"), ("needs_auth", "paused", "an audit")]


def test_a_state_that_goes_on_tells_each_of_its_reasons_once(harness, teller):
    with capture_logs() as logs:
        for reason in ("all calls are used", "come back later") * 3:
            teller.settled(
                Settled(at=START, sink="crm", outcome="lane", lane_state="rate_limited", reason=reason),
            )
        for reason in ("a webhook was missing", None):
            teller.settled(Settled(at=START, sink="crm", outcome="lane", lane_state="ok", reason=reason))
    told = [(x["state"], x["reason"]) for x in logs if x["event"] == "lane changed"]
    assert told == [
        ("rate_limited", "all calls are used"),
        ("rate_limited", "come back later"),
        ("ok", "a webhook was missing"),
    ]


def test_a_shop_that_fails_is_told_once_and_its_listing_is_counted(harness, teller):
    worker = SourceWorker(harness.app, harness.app.sources["shop"])
    harness.source.fail_polls.extend([Transient("the shop is away")] * 3)
    with capture_logs() as logs:
        for _ in range(3):
            worker.poll_all()
        [listing] = [t for t in troubles(harness.app) if t.kind == "listing"]
        worker.poll_all()
    assert (listing.name, listing.cause, listing.measure) == ("shop", "customer", 3)
    assert "the shop is away" in listing.sentence
    assert not [t for t in troubles(harness.app) if t.kind == "listing"]
    assert harness.app.store.get_cursor("shop", FAILED + "customer") is None
    told = [(x["state"], x["reason"]) for x in logs if x["event"] == "lane changed"]
    assert told[-1] == ("ok", None)
    assert told[:-1] == [("circuit_open", "the shop is away")], "no mistake of the configuration, and told once"
