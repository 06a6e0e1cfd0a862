"""Webhooks that come side by side share a commit, and none is answered before it."""

import threading

import pytest

from synccore._ingest.intake import Intake, _Ticket
from synccore.entities import Customer
from synccore.store import Ingest, Ingested, StoreError
from synccore.testing import FakeClock, upsert


class SlowStore:
    """Commits when the test lets it; refuses one key."""

    def __init__(self):
        self.groups = []
        self.gate = threading.Event()
        self.entered = threading.Event()

    def ingest(self, batch, now):
        if any(c.key == "poison" for unit in batch for c in unit.changes):
            raise RuntimeError("poison")
        self.groups.append(len(batch))
        self.entered.set()
        assert self.gate.wait(10)
        return [Ingested(accepted=len(unit.changes)) for unit in batch]


def unit(key):
    return Ingest(source="shop", changes=(upsert(Customer(key=key)),), rules={})


def test_webhooks_that_come_together_share_a_commit_and_none_is_answered_before_it():
    store = SlowStore()
    intake = Intake(store, FakeClock(), lambda _: None)
    results, errors = [], []

    def submit(key):
        try:
            results.append(intake.submit(unit(key)))
        except RuntimeError as error:
            errors.append(error)

    first = threading.Thread(target=submit, args=("0",))
    first.start()
    assert store.entered.wait(10)
    others = [threading.Thread(target=submit, args=(str(n),)) for n in range(1, 20)]
    others.append(threading.Thread(target=submit, args=("poison",)))
    for thread in others:
        thread.start()
    while len(intake._waiting) < 20:
        threading.Event().wait(0.001)
    assert results == []
    store.gate.set()
    for thread in (first, *others):
        thread.join(10)
    assert len(results) == 20
    assert len(errors) == 1
    assert store.groups[0] == 1


def test_webhooks_that_wait_for_a_store_that_is_away_are_refused_together():
    """Each would wait ten seconds for it, one after the other: minutes, for those that came last."""
    asked = []
    refused = []

    class Away:
        def ingest(self, batch, now):
            asked.append(len(batch))
            while len(asked) == 1 and len(intake._waiting) < 4:
                threading.Event().wait(0.001)
            raise StoreError("away")

    def submit(key):
        with pytest.raises(StoreError, match="away"):
            intake.submit(unit(key))
        refused.append(key)

    intake = Intake(Away(), FakeClock(), lambda _: None)
    threads = [threading.Thread(target=submit, args=(str(n),)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert asked == [1, 4]
    assert len(refused) == 5


def test_who_is_interrupted_while_waiting_leaves_the_turn_to_those_behind():
    intake = Intake(SlowStore(), FakeClock(), lambda _: None)
    first, second = (_Ticket(unit(key)) for key in "12")
    intake._waiting += [first, second]
    intake._pass_on()
    assert first.leads
    intake._leave(first)
    assert intake._waiting == [second]
    assert second.leads
    assert second.turn.acquire(blocking=False)


def test_whoever_commits_lets_come_again_who_came_side_by_side():
    store = SlowStore()
    store.gate.set()
    intake = Intake(store, FakeClock(), lambda _: None)
    intake._expected, intake._patience = 3, 10.0
    threads = [threading.Thread(target=intake.submit, args=(unit(key),)) for key in "123"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert store.groups == [3]
    intake.submit(unit("4"))  # alone, and waited for no longer than a part of that commit's time
    assert store.groups == [3, 1]
    assert intake._expected == 1


def test_where_one_of_several_pages_is_not_taken_neither_are_those_after_it():
    taken = []

    class Refusing:
        def ingest(self, batch, now):
            if any(c.key == "1" for u in batch for c in u.changes):
                raise StoreError("full")
            taken.extend(c.key for u in batch for c in u.changes)
            return [Ingested() for _ in batch]

    class Failing(Refusing):
        def ingest(self, batch, now):
            if any(c.key == "1" for u in batch for c in u.changes):
                raise RuntimeError("no more")
            return super().ingest(batch, now)

    for store, error in ((Refusing(), StoreError), (Failing(), RuntimeError)):
        with pytest.raises(error):
            Intake(store, FakeClock(), lambda _: None).submit(unit("0"), unit("1"), unit("2"))
    assert taken == ["0"]
