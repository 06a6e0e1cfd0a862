"""A lane's gate: what calls that run side by side mean for it."""

from datetime import timedelta

import pytest
from attrs import evolve

from synccore._delivery.gate import RESUMED, Gate, open_by_hand
from synccore._delivery.policy import PauseLane
from synccore._store.sqlite import open_sqlite
from synccore.testing import START

MINUTE = timedelta(minutes=1)


@pytest.fixture
def store(tmp_path):
    store = open_sqlite(tmp_path / "gate.db")
    yield store
    store.close()


@pytest.fixture
def gate(store):
    return Gate(store, "crm")


def down(until):
    return PauseLane(until, "ok", "no answer")


def test_calls_that_fail_side_by_side_are_one_outage(gate):
    for _ in range(8):
        gate.close(down(START + MINUTE), START, outage=True)
    assert gate.record.failures == 1
    assert gate.record.until == START + MINUTE


def test_a_probe_that_fails_after_the_wait_is_the_next_outage(gate):
    gate.close(down(START + MINUTE), START, outage=True)
    gate.close(down(START + 3 * MINUTE), START + MINUTE, outage=True)
    assert gate.record.failures == 2


def test_lost_credentials_count_although_the_lane_waits_for_an_outage(gate):
    gate.close(down(START + MINUTE), START, outage=True)
    gate.close(PauseLane(None, "needs_auth", "revoked"), START, outage=False)
    assert gate.record.state == "needs_auth"


def test_a_mistake_in_the_configuration_is_looked_at_anew_by_a_new_process(gate):
    gate.close(PauseLane(START + MINUTE, "error", "no such label"), START, outage=False)
    gate.forget_mistake(START)
    assert gate.open_at(START) == START


def test_a_new_process_leaves_a_pause_alone(gate):
    gate.close(PauseLane(None, "needs_auth", "revoked"), START, outage=False)
    gate.forget_mistake(START)
    assert gate.open_at(START) is None


def test_a_resume_while_no_daemon_ran_reaches_the_next_one_once(store):
    store.state(RESUMED).put({"crm": START.isoformat()})
    gate = Gate(store, "crm")
    assert [gate.refresh(), gate.refresh()] == [True, False]
    assert not Gate(store, "crm").refresh()
    assert not Gate(store, "other").refresh()


def test_only_a_person_opens_a_lane_for_all_who_work_on_it(store, gate):
    """That another process got through voids nothing of what all have used of a quota."""
    other = Gate(store, "crm")
    gate.close(PauseLane(START + MINUTE, "rate_limited", "slow down"), START, outage=False)
    other.refresh()
    assert gate.succeeded(START + MINUTE)
    assert not other.refresh()
    for minutes in (2, 3):
        now = START + minutes * MINUTE
        open_by_hand(store, evolve(store.lane("crm"), changed_at=now), now)
        assert [(one.refresh(), one.refresh()) for one in (gate, other)] == [(True, False)] * 2
