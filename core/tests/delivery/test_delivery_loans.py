"""What a listing of the same process hands to a lane without its looking for it."""

import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest

from synccore._daemon.backfill import backfill
from synccore._delivery import loans
from synccore._delivery.claims import NEVER
from synccore.errors import Transient
from synccore.store import DirtyRule, Ingest, LaneRecord
from synccore.testing.harness import Harness, customer
from synccore.types import Limits

PEOPLE = {"people": {"entity": "customer", "fields": {"email": "customer.email"}}}


@pytest.fixture
def app(tmp_path):
    with Harness(tmp_path, PEOPLE, limits=Limits(max_batch=2)) as opened:
        yield opened


def people(count, first=0):
    return [customer(f"{n:03}", email=f"p{n}@shop.test") for n in range(first, first + count)]


@contextmanager
def at_work(lane):
    """As if another thread of the lane was in the middle of a step."""
    lane.step()
    lane.claims.in_flight["another"] = None
    yield
    lane.claims.in_flight.pop("another", None)


def lend(app, changes, known=True):
    """Take these in as a listing that fills the route, with what the lanes want of it."""
    engine = app.app.engine
    rules = {"customer": [DirtyRule(route="people", sink="crm", entity="customer")]}
    with engine.filling({"people"}):
        asked = engine.lend({"people"}, len(changes))
        taken = app.app.intake.submit(Ingest(source="shop", changes=changes, rules=rules, bulk=True, loans=asked))
        engine.lent(asked, taken.lent if known else None)
    return taken


def states(app):
    return sorted((d.key, d.state) for d in app.app.store.deliveries(limit=None))


def test_a_batch_goes_out_without_a_claim(app):
    lane = app.app.engine.lanes["crm"]
    with at_work(lane):
        lend(app, people(2))
        claim, asked = app.app.store.claim, []
        app.app.store.claim = lambda sink, rules, *_: asked.append([rule.bulk_at_least for rule in rules]) or []
        assert lane.step().settled == 2
        app.app.store.claim = claim
    assert asked == [[NEVER]]  # for news alone
    assert [len(call) for call in app.sink.calls] == [2]
    assert lane.claims.in_flight == {}


def test_news_goes_before_what_is_lent(app):
    lane = app.app.engine.lanes["crm"]
    with at_work(lane):
        lend(app, people(2))
        app.emit(customer("news", email="news@shop.test"))
        lane.step()
        lane.step()
    assert [[o.key for o in call] for call in app.sink.calls] == [["news"], ["000", "001"]]


def test_a_lane_without_threads_is_lent_nothing(app):
    app.drain()
    assert app.app.engine.wanted({"people"}) == 0
    assert lend(app, people(2)).lent == {}


def test_what_waits_and_makes_no_batch_is_filled_first_and_then_batches_are_lent(app):
    lane, engine = app.app.engine.lanes["crm"], app.app.engine
    with at_work(lane), engine.filling({"people"}):
        app.app.engine.lanes["crm"].claims.decline()  # no thread is there yet
        lend(app, people(1))
        lane.step()
        assert engine.wanted({"people"}) == 2
        assert lend(app, people(2, first=1)).lent == {}  # the one that waits goes first
        assert lane.step().settled == 2
        assert engine.wanted({"people"}) == 1
        lend(app, people(1, first=3))
        assert engine.wanted({"people"}) == 2  # that batch is full
        assert lane.step().settled == 2
        assert len(lend(app, people(2, first=4)).lent) == 1


@pytest.mark.parametrize(
    "limits",
    [Limits(max_batch=1), Limits(max_batch=2, bulk_batch=100, bulk_threshold=3)],
    ids=["one by one", "by jobs"],
)
def test_only_batches_that_a_claim_would_take_are_lent(tmp_path, limits):
    with Harness(tmp_path, PEOPLE, limits=limits) as app, at_work(app.app.engine.lanes["crm"]):
        assert lend(app, people(4)).lent == {}


def test_nothing_is_lent_outside_of_a_listing_nor_while_the_route_is_held(app):
    engine = app.app.engine
    with at_work(engine.lanes["crm"]):
        assert engine.lend({"people"}, 2) == []
        with engine.filling({"people"}), engine.holding({"people"}):
            assert engine.lend({"people"}, 2) == []


def test_what_a_lane_that_was_closed_meanwhile_was_lent_goes_back_unharmed(app):
    lane = app.app.engine.lanes["crm"]
    with at_work(lane):
        lend(app, people(2))
        app.app.store.put_lane(LaneRecord(sink="crm", state="paused", reason="by a person"))
        lane.step()
        lane.step()
        assert states(app) == [("000", "ready"), ("001", "ready")]
        assert not any(d.maybe_applied for d in app.app.store.deliveries(limit=None))
        assert app.app.engine.lend({"people"}, 2) == []


def test_a_batch_that_no_thread_takes_in_time_goes_back(app):
    lane = app.app.engine.lanes["crm"]
    with at_work(lane):
        lend(app, people(2))
        app.clock.advance(loans.LATEST)
        lane.step()
        assert app.sink.calls == []
        lane.step()
    assert [len(call) for call in app.sink.calls] == [2]
    assert not any(operation.maybe_applied for operation in app.sink.calls[0])


def test_what_nobody_knows_of_is_given_back(app):
    lane = app.app.engine.lanes["crm"]
    with at_work(lane):
        lend(app, people(2), known=False)
        lane.step()
    assert [len(call) for call in app.sink.calls] == [2]


def test_no_more_than_a_few_batches_wait_for_threads(app, monkeypatch):
    monkeypatch.setattr(loans, "PATIENCE", timedelta(0))
    lane = app.app.engine.lanes["crm"]
    with at_work(lane):
        assert len(lend(app, people(9)).lent) == loans.MOST
        assert lend(app, people(9, first=20)).lent == {}
        while lane.step().settled:
            pass
    assert sorted(len(call) for call in app.sink.calls) == [2] * 9


def test_a_listing_waits_a_moment_for_a_thread_that_takes_one(app, monkeypatch):
    monkeypatch.setattr(loans, "PATIENCE", timedelta(seconds=30))
    lane = app.app.engine.lanes["crm"]
    with at_work(lane):
        lend(app, people(4))
        lists = threading.Thread(target=lend, args=(app, people(2, first=20)))
        lists.start()
        while not lane.claims._loans._changed._waiters:
            threading.Event().wait(0.001)
        lane.step()
        lists.join(10)
        assert [d.key for d in app.app.store.deliveries(limit=None, state="running")] == ["021", "020", "003", "002"]


def test_a_backfill_that_fails_leaves_nothing_leased(app):
    app.source.put(*people(7))
    poll = app.source.poll

    def failing(*asked):
        yield from poll(*asked)
        raise Transient("the shop went away")

    app.source.poll = failing
    with pytest.raises(Transient):
        backfill(app.app, "shop", None, {}, None)
    assert app.app.store.counts_by_route()["people"].running == 0
    assert not any(d.maybe_applied for d in app.app.store.deliveries(limit=None))
    app.source.poll = poll
    backfill(app.app, "shop", None, {}, None)
    assert len(app.sink.by_uid()) == 7
