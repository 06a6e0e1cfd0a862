"""Changes that come one after the other go together; one that comes alone waits for nothing."""

from datetime import timedelta

import pytest

from synccore.testing import START, FakeClock, Harness, customer
from synccore.types import Limits

PEOPLE = {"people": {"entity": "customer", "match": ["email"], "fields": {"email": "customer.email"}}}
LINGER = timedelta(milliseconds=50)
#: A busy shop's 200 changes a second.
BETWEEN = timedelta(milliseconds=5)


class BusyClock(FakeClock):
    """Something comes each `between`, also while somebody sleeps."""

    def __init__(self):
        super().__init__()
        self.between = None
        self._next = START

    def sleep(self, duration):
        end = self.now() + duration
        while self.between is not None and self._next <= end:
            self.advance(self._next - self.now())
            self._next += self.between
            self.comes()
        super().sleep(end - self.now())


@pytest.fixture
def app(tmp_path):
    limits = Limits(max_batch=20, max_in_flight=4, linger=LINGER)
    with Harness(tmp_path, PEOPLE, limits=limits, clock=BusyClock()) as app:
        yield app


def emit(app, count=1):
    for _ in range(count):
        app.emitted = getattr(app, "emitted", 0) + 1
        app.emit(customer(f"{app.emitted:05}", email=f"p{app.emitted}@shop.test"))


def sizes(app):
    return [len(call) for call in app.sink.calls]


def step(app):
    return app.app.engine.lanes["crm"].step()


def test_a_change_that_comes_alone_waits_for_nothing(app):
    for _ in range(3):
        emit(app)
        began = app.clock.now()
        step(app)
        assert app.clock.now() == began
        app.clock.advance(LINGER)
    assert sizes(app) == [1, 1, 1]


def test_what_comes_soon_after_a_call_waits_until_linger_after_its_beginning(app):
    emit(app)
    step(app)
    app.clock.advance(LINGER / 2)
    emit(app, 2)
    step(app)
    assert app.clock.now() == START + LINGER
    assert sizes(app) == [1, 2]


def test_a_clock_that_is_set_back_makes_nothing_wait_longer(app):
    emit(app)
    step(app)
    app.clock.advance(timedelta(hours=-1))
    back = app.clock.now()
    emit(app)
    step(app)
    assert app.clock.now() == back + LINGER


def test_a_full_batch_waits_for_nothing_nor_does_what_comes_after_it(app):
    emit(app)
    step(app)
    emit(app, 23)
    step(app)
    step(app)
    assert app.clock.now() == START
    assert sizes(app) == [1, 20, 3]


def test_what_another_route_owes_does_not_wait_for_the_first_ones_turn(tmp_path):
    routes = PEOPLE | {"others": PEOPLE["people"] | {"when": "customer.first_name"}}
    with Harness(tmp_path, routes, limits=Limits(max_batch=20, linger=LINGER), clock=BusyClock()) as app:
        app.emit(customer("1", email="p1@shop.test", first_name="Ada"))
        step(app)
        step(app)
        assert app.clock.now() == START
        assert [call[0].route for call in app.sink.calls] == ["people", "others"]
        app.emit(customer("2", email="p2@shop.test", first_name="Eve"))
        step(app)
        assert app.clock.now() == START + LINGER


def test_two_hundred_changes_a_second_are_twenty_calls_a_second(app):
    clock, came, waited = app.clock, {}, []

    def comes():
        emit(app)
        came[f"p{app.emitted}@shop.test"] = clock.now()

    clock.between, clock.comes = BETWEEN, comes
    while len(waited) < 300:
        clock.sleep(timedelta(milliseconds=1))
        if app.app.store.due("crm", clock.now(), 1):
            step(app)
            waited += [clock.now() - came[operation.fields["email"]] for operation in app.sink.calls[-1]]
    assert len(app.sink.calls) <= 31
    assert max(waited) <= LINGER
    assert sum(waited, timedelta(0)) / len(waited) <= LINGER / 2


def test_what_comes_right_after_the_look_waits_as_well(app, monkeypatch):
    emit(app)
    step(app)
    due = app.app.store.due

    def look(*args, **named):
        found = due(*args, **named)
        emit(app)
        return found

    monkeypatch.setattr(app.app.store, "due", look)
    step(app)
    monkeypatch.undo()
    assert sizes(app) == [1]
    step(app)
    assert sizes(app) == [1, 1]
    assert app.clock.now() == START + LINGER


def test_who_is_woken_while_another_thread_gathers_leaves_it_to_that_one(app, monkeypatch):
    lane, seen = app.app.engine.lanes["crm"], []
    emit(app)
    step(app)
    lane.bell.wait(0)
    emit(app)
    monkeypatch.setattr(app.clock, "sleep", lambda _: seen.append(lane.claims.gathered_elsewhere()))
    step(app)
    assert seen == [True]
    assert not lane.claims.gathered_elsewhere()


def test_who_gathers_and_finds_nothing_wakes_whoever_was_sent_away(app, monkeypatch):
    """What that one came for may have been written after the look."""
    lane = app.app.engine.lanes["crm"]
    step(app)
    lane.bell.wait(0)
    assert not lane.bell._rung
    monkeypatch.setattr(app.app.store, "claim", lambda *_: [lane.claims.gathered_elsewhere()][:0])
    step(app)
    assert lane.bell._rung


def test_the_operators_linger_counts(tmp_path):
    with Harness(tmp_path, PEOPLE, limits=Limits(max_batch=20), clock=BusyClock()) as app:
        assert app.app.sinks["crm"].limits.linger == Limits().linger
        path = tmp_path / "synccore.toml"
        path.write_text(path.read_text().replace("[sinks.crm]", '[sinks.crm]\nlinger = "35ms"'))
        app.crash()
        assert app.app.engine.lanes["crm"].limits == Limits(max_batch=20, linger=timedelta(milliseconds=35))
