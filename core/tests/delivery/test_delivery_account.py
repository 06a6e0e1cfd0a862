"""The account behind a sink is part of it: nothing is written to another one before a person says so."""

import threading
from datetime import timedelta

import pytest
from attrs import evolve

from synccore._app.accounts import known_account, remember_account
from synccore._daemon.backfill import backfill
from synccore._daemon.sources import SourceWorker
from synccore._delivery.gate import open_by_hand
from synccore._verbs.adopt import adopt
from synccore._verbs.forget import forget
from synccore._verbs.plan import plan
from synccore._verbs.verify import verify
from synccore.errors import AnotherAccount, AuthError, RateLimited, Transient
from synccore.testing import Harness, customer
from synccore.types import Account

PEOPLE = {"people": {"entity": "customer", "fields": {"email": "customer.email"}}}
OURS, THEIRS = Account(id="1", label="Ours <a@ours.test>"), Account(id="2", label="Theirs <b@theirs.test>")


def test_another_account_stops_the_lane_until_a_person_acts(tmp_path):
    with Harness(tmp_path, PEOPLE) as app:
        app.sink.account = lambda: app.sink.connected
        app.sink.connected = OURS
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
        assert len(app.sink.records) == 1
        app.sink.connected = THEIRS
        app.crash()
        app.emit(customer("1", email="b@shop.test"), customer("2", email="c@shop.test"))
        app.drain()
        assert len(app.sink.calls) == 1, "something was written to the other account"
        lane = app.app.store.lane("crm")
        assert (lane.state, lane.until) == ("error", None)
        assert OURS.label in lane.reason
        assert THEIRS.label in lane.reason
        assert "--switch-account" in lane.reason
        assert {(d.state, d.attempts) for d in app.deliveries() if d.state != "done"} == {("ready", 0)}
        app.sink.connected = OURS
        app.app.store.put_lane(evolve(lane, state="ok", reason=None, until=None))
        app.drain()
        assert len(app.sink.records) == 2


def test_a_pause_is_a_reason_to_look_again(tmp_path):
    with Harness(tmp_path, PEOPLE) as app:
        app.sink.account = lambda: app.sink.connected
        app.sink.connected = OURS
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
        lane = app.app.store.lane("crm")
        app.app.store.put_lane(evolve(lane, state="needs_auth", reason="signed out", until=None))
        app.drain()
        app.sink.connected = THEIRS
        app.app.store.put_lane(evolve(lane, state="ok", reason=None, until=None))
        app.emit(customer("2", email="c@shop.test"))
        app.drain()
        assert len(app.sink.records) == 1


def test_an_account_exchanged_while_the_process_runs_is_seen_within_a_quarter_of_an_hour(tmp_path):
    asked = []
    with Harness(tmp_path, PEOPLE) as app:
        app.sink.account = lambda: asked.append(1) or app.sink.connected
        app.sink.connected = OURS
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
        app.emit(customer("2", email="b@shop.test"))
        app.drain()
        assert (len(asked), len(app.sink.records)) == (1, 2)
        app.sink.connected = THEIRS
        app.clock.advance(timedelta(minutes=15))
        app.emit(customer("3", email="c@shop.test"))
        app.drain()
        assert (len(asked), len(app.sink.records)) == (2, 2)
        assert app.app.store.lane("crm").state == "error"


def test_a_switch_by_somebody_else_is_seen_before_the_next_write(tmp_path):
    """A command with new keys switched; this process still has the old ones."""
    with Harness(tmp_path, PEOPLE) as app:
        app.sink.account = lambda: app.sink.connected
        app.sink.connected = OURS
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
        remember_account(app.app.store, "crm", THEIRS)
        app.clock.advance(timedelta(seconds=1))
        lane = app.app.store.lane("crm")
        open_by_hand(app.app.store, evolve(lane, changed_at=app.clock.now()), app.clock.now())
        app.emit(customer("2", email="b@shop.test"))
        app.drain()
        assert (len(app.sink.calls), app.app.store.lane("crm").state) == (1, "error")


def test_who_is_known_by_a_check_only_is_remembered_too(tmp_path):
    with Harness(tmp_path, PEOPLE) as app:
        assert not callable(getattr(app.sink, "account", None))
        app.sink.connected = OURS
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
        app.sink.connected = THEIRS
        app.crash()
        app.emit(customer("2", email="b@shop.test"))
        app.drain()
        assert (len(app.sink.calls), app.app.store.lane("crm").state) == (1, "error")


def test_the_threads_of_a_lane_ask_once(tmp_path):
    asked, together = [], threading.Barrier(4)
    with Harness(tmp_path, PEOPLE) as app:
        app.sink.account = lambda: asked.append(1) or OURS
        app.emit(customer("1", email="a@shop.test"))
        lane = app.app.engine.lanes["crm"]

        def work():
            together.wait()
            lane._recognise(app.clock.now())

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(asked) == 1


def test_a_sink_that_knows_no_account_just_works(tmp_path):
    with Harness(tmp_path, PEOPLE) as app:
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
        assert len(app.sink.records) == 1


def failing(error):
    def account():
        raise error

    return account


def test_who_may_not_ask_is_told_by_the_delivery_itself(tmp_path):
    """A key without the right to say whose it is delivers all the same."""
    with Harness(tmp_path, PEOPLE) as app:
        app.sink.account = failing(AuthError("the key lacks accounts:read"))
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
        assert app.app.store.lane("crm").state == "ok"
        assert len(app.sink.records) == 1


@pytest.mark.parametrize(
    ("error", "state"), [(KeyError("id"), "error"), (Transient("down"), "ok"), (RateLimited("slow"), "rate_limited")]
)
def test_nothing_is_written_before_it_is_known_to_whom(tmp_path, error, state):
    with Harness(tmp_path, PEOPLE) as app:
        app.sink.account = failing(error)
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
        assert app.sink.calls == []
        lane = app.app.store.lane("crm")
        assert lane.state == state
        assert lane.until is not None, "it looks again by itself"
        assert {(d.state, d.attempts) for d in app.deliveries()} == {("ready", 0)}
        app.sink.account = lambda: OURS
        app.settle_down()
        assert len(app.sink.records) == 1


def test_a_source_that_reaches_another_shop_reads_nothing(tmp_path):
    with Harness(tmp_path, PEOPLE) as app:
        app.source.account = lambda: OURS
        app.source.put(customer("1", email="a@shop.test"))
        assert worker_of(app).poll_all()
        polls = app.source.polls
        app.source.account = lambda: THEIRS
        worker = worker_of(app)
        assert not worker.poll_all()
        lane = app.app.store.lane("source:shop")
        assert (app.source.polls, lane.state) == (polls, "error")
        assert OURS.label in lane.reason
        assert THEIRS.label in lane.reason
        assert "under another name" in lane.reason
        app.source.account = lambda: OURS
        assert worker.poll_all()
        assert app.app.store.lane("source:shop").state == "ok"


def worker_of(app):
    return SourceWorker(app.app, app.app.sources["shop"])


@pytest.fixture
def moved(tmp_path):
    """One person is delivered to our account; the credentials lead to another one now."""
    with Harness(tmp_path, PEOPLE) as app:
        app.sink.account = lambda: app.sink.connected
        app.sink.connected = OURS
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
        app.sink.connected = THEIRS
        app.sink.records.clear()
        yield app


@pytest.mark.parametrize("verb", [plan, adopt, verify])
def test_nothing_is_compared_with_the_links_of_another_account(moved, verb):
    """Else all is "unchanged" or "linked before", or gone, and `--repair` sends it to strangers."""
    with pytest.raises(AnotherAccount, match=r"another account.*--switch-account"):
        verb(moved.app, "people")


def test_a_backfill_into_another_account_is_not_called_done(moved):
    """What equals the links owes nothing, and so nothing would be said."""
    (error,) = backfill(moved.app, "shop", None, {}, None).errors
    assert "another account" in error
    assert moved.sink.records == {}


def test_nobody_is_forgotten_in_another_account(moved):
    """They are not there, and where they are nobody was asked: that is no erasure."""
    result = forget(moved.app, "a@shop.test")
    assert not result.complete
    assert {e.error is not None and "another account" in e.error for e in result.erased} == {True}
    assert moved.app.store.keys_by_email("a@shop.test"), "what is needed to try again is gone"
    assert moved.sink.erased == []


def test_whom_adopt_reached_is_whom_the_lane_must_reach(tmp_path):
    with Harness(tmp_path, PEOPLE) as app:
        app.sink.account = lambda: app.sink.connected
        app.sink.connected = OURS
        adopt(app.app, "people")
        assert known_account(app.app.store, "crm") == OURS
