"""What a step that fails in the middle leaves behind comes back by itself, and soon."""

from datetime import timedelta

import pytest

from synccore.store import StoreError
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
    assert lane(app).in_flight == {}
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
    stuck, _ = lane(app)._claim(clock.now())
    token = stuck[0].lease_token
    app.emit(customer("9", email="p9@shop.test"))
    (dead,) = store.claim(lane(app).name, [lane(app)._rule("people")], clock.now(), timedelta(minutes=1), "gone")
    clock.advance(timedelta(hours=1))
    assert lane(app).stuck_for
    assert store.rescue(clock.now(), keep={token}) == 1
    assert {d.key for d in store.deliveries(state="running")} == {d.key for d in stuck}
    assert [d.key for d in store.deliveries(state="ready")] == [dead.key]


def test_the_engine_spares_the_calls_it_runs(app, monkeypatch):
    engine = app.app.engine
    deliveries, token = lane(app)._claim(app.clock.now())
    told = []
    monkeypatch.setattr(app.app.store, "rescue", lambda now, **named: told.append(named) or 0)
    rounds = iter([False, True])
    monkeypatch.setattr(engine._stopping, "wait", lambda _: next(rounds))
    engine._rescue()
    assert told == [{"keep": {token}}]
    assert deliveries
