"""What a step that fails in the middle leaves behind comes back by itself, and soon."""

import threading
from datetime import timedelta

import pytest

from synccore._delivery import engine as engine_module
from synccore._delivery.claims import LEASE_MARGIN
from synccore._delivery.watch import MOST_LOST
from synccore._verbs.status import status
from synccore._verbs.troubles import troubles
from synccore.errors import ConfigError
from synccore.http import time_limit
from synccore.store import StoreError
from synccore.store.copying import UNDER_WAY
from synccore.testing import Harness, customer

PEOPLE = {"people": {"entity": "customer", "fields": {"email": "customer.email"}}}


@pytest.fixture
def app(tmp_path):
    with Harness(tmp_path, PEOPLE) as harness:
        for number in range(3):
            harness.emit(customer(str(number), email=f"p{number}@shop.test"))
        yield harness


def lane(app):
    return next(iter(app.app.engine.lanes.values()))


class Disk:
    """Statements of the store that fail as on a full disk, for as long as the test wants."""

    def __init__(self, app, monkeypatch):
        self.full = set()
        store = app.app.store
        for name in ("claim", "settle", "release"):
            monkeypatch.setattr(store, name, self._failing(name, getattr(store, name)))

    def _failing(self, name, real):
        def call(*args, **named):
            if name in self.full:
                raise StoreError("the disk is full")
            return real(*args, **named)

        return call


def test_a_claim_that_fails_leaves_no_trace(app, monkeypatch):
    disk = Disk(app, monkeypatch)
    disk.full = {"claim"}
    with pytest.raises(StoreError):
        lane(app).step()
    assert lane(app).claims.in_flight == {}
    disk.full = set()
    app.drain()
    assert len(app.sink.by_uid()) == 3


def test_what_could_not_be_given_back_is_given_back_at_the_next_step(app, monkeypatch):
    disk = Disk(app, monkeypatch)
    disk.full = {"settle", "release"}
    with pytest.raises(StoreError):
        lane(app).step()
    assert app.app.store.counts_by_sink()[lane(app).name].running == 3
    with pytest.raises(StoreError):
        lane(app).step()
    disk.full = set()
    # Seconds later, not after the lease.
    app.advance(timedelta(seconds=5))
    assert app.app.store.counts_by_sink()[lane(app).name].running == 0
    assert len(app.sink.by_uid()) == 3


def test_a_stuck_call_keeps_its_own_rows_and_no_others(app):
    store, clock = app.app.store, app.clock
    stuck, _ = lane(app).claims.take()
    token = stuck[0].lease_token
    app.emit(customer("9", email="p9@shop.test"))
    (dead,) = store.claim(lane(app).name, [lane(app).claims._rule("people")], clock.now(), timedelta(minutes=1), "gone")
    clock.advance(timedelta(hours=1))
    assert store.rescue(clock.now(), keep={token}) == 1
    assert {d.key for d in store.deliveries(state="running")} == {d.key for d in stuck}
    assert [d.key for d in store.deliveries(state="ready")] == [dead.key]


def test_the_engine_spares_the_calls_it_runs(app, monkeypatch):
    engine = app.app.engine
    deliveries, token = lane(app).claims.take()
    told = []
    monkeypatch.setattr(app.app.store, "rescue", lambda now, **named: told.append(named) or 0)
    rounds = iter([False, True])
    monkeypatch.setattr(engine._stopping, "wait", lambda _: next(rounds))
    engine._rescue()
    assert told == [{"keep": {token}}]
    assert deliveries


# -- calls that do not come back


class Stuck:
    """A call that waits, for one record, until it is let go; the thread is the test's own."""

    def __init__(self, app, key="1", *, whose=None, method="deliver"):
        self.app, self.key, self.free, self.arrived = app, key, threading.Event(), threading.Event()
        self.threads, self._whose, self._method = [], whose or app.sink, method
        self._call = getattr(self._whose, method)
        setattr(self._whose, method, self.call)

    def call(self, about, *others):
        keys = (
            [o.key for o in getattr(about, "operations", about)]
            if self._whose is self.app.sink
            else [about.delivery.key]
        )
        if not self.free.is_set() and self.key in keys:
            self.arrived.set()
            assert self.free.wait(30)
        return self._call(about, *others)

    def begin(self):
        """Step in a thread of its own, until it is inside the call."""
        self.arrived.clear()
        thread = threading.Thread(target=self._step)
        self.threads.append(thread)
        thread.start()
        assert self.arrived.wait(30)

    def _step(self):
        here = lane(self.app)
        while not (self.arrived.is_set() or here.given_up):
            if here.step().idle_until is not None:
                self.app.clock.advance(timedelta(seconds=1))
        self.replaced = here.given_up

    def end(self):
        self.free.set()
        for thread in self.threads:
            thread.join(30)


@pytest.fixture
def stuck(app):
    stuck = Stuck(app)
    yield stuck
    stuck.end()


def past_its_lease(app):
    app.clock.advance(lane(app).limits.deadline + LEASE_MARGIN + timedelta(seconds=1))


def test_a_late_call_is_said_and_alerted_by_every_process(app, stuck):
    stuck.begin()
    engine = app.app.engine
    assert engine.troubles() == {}
    app.clock.advance(lane(app).limits.deadline + timedelta(seconds=1))
    engine._tell_troubles()
    with app.app.store.daemon_lock():
        del app.app.__dict__["engine"]  # another process has none
        told = status(app.app)["sinks"]["crm"]
        assert told["state"] == "error"
        assert "had to come back by" in told["reason"]
        assert not [t for t in troubles(app.app) if t.kind == "error"], "a moment late is nothing to wake people for"
        app.clock.advance(timedelta(minutes=1))
        (trouble,) = [t for t in troubles(app.app) if t.kind == "error"]
        assert (trouble.name, trouble.cause) == ("crm", "held up")
        stuck.end()
        engine._tell_troubles()
        assert status(app.app)["sinks"]["crm"]["state"] == "ok"
    assert app.app.running.troubles() == {}, "nobody runs"


def test_its_mates_go_on_without_it_each_alone_and_what_comes_back_late_settles_nothing(app, stuck):
    stuck.begin()
    assert lane(app).give_up() == 0
    past_its_lease(app)
    assert lane(app).give_up() == 1
    assert lane(app).give_up() == 0
    (late, *mates) = sorted(app.deliveries(), key=lambda d: d.key != "1")
    assert {(d.state, d.attempts, d.maybe_applied) for d in (late, *mates)} == {("ready", 1, True)}
    stuck.key = None
    calls = len(app.sink.calls)
    app.settle_down()
    assert [len(c) for c in app.sink.calls[calls:]] == [1, 1, 1]
    assert app.states() == {"done": 3}
    app.emit(*(customer(str(n), email=f"q{n}@shop.test") for n in range(3)))
    app.settle_down()
    assert len(app.sink.calls[-1]) == 3, "all together again"
    stuck.end()
    assert stuck.replaced
    assert app.states() == {"done": 6}


def test_the_record_that_holds_calls_up_is_parked_after_three_and_its_mates_are_there(app, stuck):
    for _ in range(3):
        stuck.begin()
        past_its_lease(app)
        assert lane(app).give_up() == 1
    (parked,) = app.deliveries(state="parked")
    assert (parked.key, parked.attempts) == ("1", 3)
    assert "did not come back" in parked.error
    app.settle_down()
    assert {r["email"] for r in app.sink.records.values()} == {"p0@shop.test", "p2@shop.test"}


def test_a_job_whose_outcomes_do_not_come_back_holds_up_one_row(app):
    app.sink.job_from = 1
    app.drain()
    app.sink.finish_jobs()
    stuck = Stuck(app, method="collect")
    for _ in range(4):  # all of the job, and the one row with its three tries
        stuck.begin()
        past_its_lease(app)
        assert lane(app).give_up() == 1
    assert app.states() == {"done": 2, "parked": 1}
    stuck.end()
    assert app.states() == {"done": 2, "parked": 1}


def test_a_mapping_that_does_not_come_back_is_a_call_as_others(app):
    stuck = Stuck(app, whose=lane(app)._preparers["people"], method="prepare")
    for _ in range(3):
        stuck.begin()
        past_its_lease(app)
        assert app.app.engine.troubles()
        assert lane(app).give_up() == 1
    app.settle_down()
    assert app.states() == {"done": 2, "parked": 1}
    calls = len(app.sink.calls)
    stuck.end()
    assert len(app.sink.calls) == calls, "a thread that was replaced sends nothing"


def test_a_lost_thread_takes_nothing_more_however_its_step_ends(app, stuck, monkeypatch):
    engine, store = app.app.engine, app.app.store
    thread = threading.Thread(target=engine._repeat, args=(lane(app),))
    stuck.threads.append(thread)
    thread.start()
    assert stuck.arrived.wait(30)
    past_its_lease(app)
    assert lane(app).give_up() == 1

    def full(*_, **__):
        raise StoreError("the disk is full")

    monkeypatch.setattr(engine_module, "TROUBLE_WAIT", timedelta(0))
    monkeypatch.setattr(store, "settle", full)
    taken = []
    monkeypatch.setattr(lane(app).claims, "take", lambda: taken.append(1) or engine.halt() or ([], ""))
    stuck.end()
    assert not thread.is_alive()
    assert taken == []


def test_another_thread_takes_the_place_of_the_lost_one(app, stuck, monkeypatch):
    stuck.begin()
    past_its_lease(app)
    spawned = []
    monkeypatch.setattr(app.app.engine, "_spawn", lambda name, *_: spawned.append(name))
    app.app.engine._replace_lost()
    assert spawned == ["lane-crm-again"]


def test_threads_that_are_lost_are_bounded(app, stuck):
    for number in range(MOST_LOST + 1):
        app.emit(customer("1", email=f"r{number}@shop.test"))
        app.clock.advance(timedelta(minutes=20))
        stuck.begin()
        past_its_lease(app)
        assert lane(app).give_up() == (number < MOST_LOST)
    assert app.app.engine.troubles(), "then a person has to look"


def test_no_call_begins_after_the_time_of_its_work(app):
    app.sink.deliver = lambda operations: pytest.fail("called")
    with time_limit(timedelta(0)):
        lane(app).step()
    assert {(d.state, d.attempts) for d in app.deliveries()} == {("ready", 0)}


def test_nothing_is_delivered_from_a_part_of_an_outbox(tmp_path):
    """`db copy` was killed after the records and before their links."""
    with Harness(tmp_path, PEOPLE) as harness:
        mark = harness.app.store.state(UNDER_WAY)
        mark.put({"from": "a.db"})
        with pytest.raises(ConfigError, match=r"a copy of a\.db .* say synccore db copy again"):
            _ = harness.app.engine
        mark.clear()
        assert harness.app.engine
