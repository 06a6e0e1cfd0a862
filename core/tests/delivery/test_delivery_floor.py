"""Those who work on batches go one after the other, and news beside them."""

import os
import threading
import time
from contextlib import nullcontext
from datetime import timedelta

import pytest

from synccore import _floor
from synccore._floor import Floor
from synccore._store.sqlite import SqliteStore
from synccore.testing.harness import Harness, customer
from synccore.types import Page

WAIT = 20
PEOPLE = {"people": {"entity": "customer", "fields": {"email": "customer.email"}}}


@pytest.fixture
def app(tmp_path):
    with Harness(tmp_path, PEOPLE) as opened:
        yield opened


@pytest.fixture
def floor(app):
    return app.app.engine.floor


@pytest.fixture
def taken(floor, monkeypatch):
    """Somebody has the floor, and does not give it back before the test is over."""
    monkeypatch.setattr(_floor, "PATIENCE", 10 * WAIT)
    has, over = threading.Event(), threading.Event()

    def work():
        with floor.held():
            has.set()
            over.wait(WAIT)

    thread = threading.Thread(target=work)
    thread.start()
    assert has.wait(WAIT)
    yield over
    over.set()
    thread.join(WAIT)


def beside(work):
    """What it gives, in a thread of its own; it must not wait."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    thread.join(WAIT / 4)
    assert found, "it waits"
    return found[0]


def test_the_floor_is_given_in_the_order_it_was_asked_for(monkeypatch):
    monkeypatch.setattr(_floor, "PATIENCE", WAIT)  # on a busy machine the first one would have taken it by now
    floor, order = Floor(), []

    def work(number):
        with floor.held():
            order.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(9)]
    with floor.held():
        for number, thread in enumerate(threads):
            thread.start()
            while len(floor._queue) <= number:
                os.sched_yield()
    for thread in threads:
        thread.join(WAIT)
    assert order == list(range(9))


def test_who_waits_for_the_network_lets_others_work():
    floor = Floor()
    with floor.held(), floor.given_away(), floor.given_away():
        beside(lambda: floor.take() or floor.give() or True)


def test_who_has_the_floor_does_not_wait_for_it():
    floor = Floor()
    floor.take()
    floor.take()
    floor.give()
    beside(lambda: floor.take() or True)


def test_who_does_not_come_back_loses_the_floor(monkeypatch):
    monkeypatch.setattr(_floor, "PATIENCE", 0.01)
    floor = Floor()
    floor.take()
    beside(lambda: floor.take() or True)
    floor.give()  # it belongs to somebody else
    assert floor._holder is not None
    assert floor._holder is not threading.current_thread()


def test_a_floor_that_is_taken_from_everybody_stops_nobody(monkeypatch):
    """Also where it comes to a thread, and is taken from it, in the moment in which that one stops waiting."""
    monkeypatch.setattr(_floor, "PATIENCE", 0.0005)
    floor, ended = Floor(), []

    def work():
        for turn in range(100):
            with floor.held(), floor.given_away() if turn % 3 else nullcontext():
                time.sleep(0.0005)
        ended.append(True)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert len(ended) == len(threads)
    beside(lambda: floor.take() or True)


def test_the_floor_that_comes_too_late_is_left_to_who_took_it(monkeypatch):
    """It is given to a thread that waits no longer, and taken from it, before that one looks."""
    floor = Floor()
    floor._holder = other = object()

    class Late:
        def acquire(self, timeout=None):
            if timeout is None:
                return True
            floor._queue.clear()  # it was given to this thread, and then taken by that one
            return False

    monkeypatch.setattr(_floor.threading, "Lock", Late)
    floor.take()
    assert floor._holder is other


def test_news_is_taken_in_and_delivered_beside_who_has_the_floor(app, taken):
    beside(lambda: app.emit(customer("7", email="a@shop.test")) or True)
    assert beside(app.app.engine.lanes["crm"].step).settled == 1
    assert [[o.key for o in call] for call in app.sink.calls] == [["7"]]


def test_a_batch_of_a_listing_waits_for_the_floor(app, floor, taken):
    app.emit(customer("7", email="a@shop.test"), bulk=True)
    thread = threading.Thread(target=app.app.engine.drain, daemon=True)
    thread.start()
    while not floor._queue:
        os.sched_yield()
    assert app.sink.calls == []
    taken.set()
    thread.join(WAIT)
    assert [[o.key for o in call] for call in app.sink.calls] == [["7"]]
    assert floor._holder is None


def test_a_batch_that_is_at_the_target_has_no_floor(app, floor):
    held = []
    app.emit(customer("7", email="a@shop.test"), bulk=True)
    deliver = app.sink.deliver
    app.sink.deliver = lambda operations: held.append(floor._holder) or deliver(operations)
    app.app.engine.drain()
    assert held == [None]


def test_a_source_that_waits_for_its_shop_has_no_floor(app, floor):
    """What came quickly was made here: the next page is asked for with the floor."""
    held = []

    def pages(*_):
        for number, seconds in enumerate((0, 0, 1, 0)):
            held.append(floor._holder is threading.current_thread())
            app.clock.advance(timedelta(seconds=seconds))
            yield Page(changes=[customer(f"{number}")], cursor=f"{number}")

    app.source.poll = pages
    app.app.lister("shop").poll("customer")
    assert held == [False, True, True, False]
    assert floor._holder is None


def test_who_waits_for_a_server_needs_no_floor(tmp_path, monkeypatch):
    """Batches that each wait for the same database over a network do so side by side."""
    monkeypatch.setattr(SqliteStore, "in_process", False)
    monkeypatch.setattr(_floor, "PATIENCE", 10 * WAIT)
    with Harness(tmp_path, PEOPLE) as app:
        app.app.engine.floor.take()
        app.source.put(customer("8", email="b@shop.test"))
        beside(lambda: app.app.lister("shop").poll("customer"))
        beside(lambda: app.app.engine.drain() or True)
        assert [[o.key for o in call] for call in app.sink.calls] == [["8"]]
