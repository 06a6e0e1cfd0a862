"""Pausing and resuming: what the target's own log of calls and the shop's own count of polls say of it."""

from datetime import timedelta

import pytest
from attrs import evolve

from synccore._daemon.sources import SourceWorker
from synccore._verbs.lanes import lanes, pause, resume
from synccore._verbs.status import overview, status
from synccore._verbs.troubles import troubles
from synccore.errors import RateLimited, Transient
from synccore.http import Budget
from synccore.testing import Harness, ScriptedSink, customer
from synccore.testing.scripted import scripted_type
from synccore.types import Limits

PEOPLE = {"people": {"entity": "customer", "fields": {"email": "customer.email"}}}
DAY = timedelta(days=1)


class Metered(ScriptedSink):
    """A target whose client keeps a budget of its own: two calls a day."""

    budget = None

    def deliver(self, operations):
        self.budget.acquire(max_wait=timedelta(seconds=1))
        return super().deliver(operations)

    def resume(self):
        self.budget.clear()


@pytest.fixture
def sink():
    return Metered()


@pytest.fixture
def house(tmp_path, sink):
    kinds = {"crm": (scripted_type(sink, limits=Limits(max_batch=1)), {})}
    with Harness(tmp_path, PEOPLE, sink_types=kinds, source_table={"entities": ["customer"]}) as house:
        sink.budget = Budget(house.clock, [(2, DAY)])
        yield house


def test_a_lane_that_used_its_day_goes_on_at_once_with_its_own_budget_cleared(house, sink):
    house.emit(*(customer(str(n), email=f"{n}@shop.test") for n in range(4)))
    house.drain()
    assert len(sink.records) == 2
    reason = status(house.app)["sinks"]["crm"]["reason"]
    assert reason == "the quota is used up, until 2026-01-02 12:00:00 UTC"
    [work] = overview(house.app).work
    assert work == "2 owed to crm: waits until 2026-01-02 12:00:00 UTC (the quota is used up)"
    found = resume(house.app, "crm")
    assert (found.was, found.ready, found.later) == ("rate_limited", 2, 0)
    house.drain()
    assert len(sink.records) == 4, "its own budget still holds it"


def test_rows_that_wait_after_a_failure_go_on_too_and_those_of_a_delay_are_named(tmp_path):
    routes = {**PEOPLE, "later": {**PEOPLE["people"], "delay": "1h"}}
    with Harness(tmp_path, routes, limits=Limits(max_batch=10)) as house:
        house.sink.then(RateLimited("one of them is busy", retry_after=DAY, scope="operation"))
        house.emit(customer("1", email="a@shop.test"))
        house.drain()
        assert house.sink.records == {}
        found = resume(house.app, "crm")
        assert (found.ready, found.later) == (2, 1)
        assert found.until == house.clock.now() + timedelta(hours=1)
        house.drain()
        assert len(house.sink.records) == 1


def test_a_paused_source_is_not_asked_and_takes_webhooks_all_the_same(house):
    worker = SourceWorker(house.app, house.app.sources["shop"])
    pause(house.app, "shop", "they move house")
    worker.poll_due()
    assert worker.poll_all()
    house.app.store.queue_backfill("backfill", "shop", "customer", {}, None, house.clock.now())
    assert not worker.work_job()
    assert house.source.polls == 0
    assert status(house.app)["sources"]["shop"]["state"] == "paused"
    [line] = [line for line in lanes(house.app) if line.name == "shop"]
    assert (line.kind, line.state, line.reason) == ("source", "paused", "they move house")
    house.emit(customer("1", email="a@shop.test"))
    house.drain()
    assert status(house.app)["sources"]["shop"]["state"] == "paused"
    resume(house.app, "shop")
    assert worker.work_job()
    assert house.source.polls == 1


def test_resuming_makes_nobody_well_who_was_never_reached(house):
    pause(house.app, "crm", "for a moment")
    resume(house.app, "crm")
    line = next(line for line in lanes(house.app) if line.name == "crm")
    assert (line.state, line.reason) == ("needs_auth", "never reached so far: run synccore connect crm")
    assert status(house.app)["sinks"]["crm"]["state"] == line.state
    house.emit(customer("1", email="a@shop.test"))
    house.drain()
    assert status(house.app)["sinks"]["crm"]["state"] == "ok"


def test_a_source_that_waits_says_until_and_a_person_need_not_wait(house):
    worker = SourceWorker(house.app, house.app.sources["shop"])
    house.source.fail_polls.append(Transient("HTTP 502"))
    worker.poll_due()
    shop = status(house.app)["sources"]["shop"]
    assert "HTTP 502, until 12:00:" in shop["reason"]
    asked = house.source.polls
    worker.poll_due()
    assert house.source.polls == asked
    resume(house.app, "shop")
    worker.poll_due()
    assert house.source.polls == asked + 1
    assert status(house.app)["sources"]["shop"]["state"] == "ok"


def test_what_a_lane_waited_for_is_not_shown_once_it_is_over(house):
    now = house.clock.now()
    lane = house.app.store.lane("crm")
    house.app.store.put_lane(evolve(lane, state="ok", reason="its quota is spent", until=now + DAY, changed_at=now))
    assert "its quota is spent, until" in status(house.app)["sinks"]["crm"]["reason"]
    house.clock.advance(DAY)
    assert status(house.app)["sinks"]["crm"]["reason"] is None


@pytest.mark.parametrize("state", ["circuit_open", "rate_limited"])
def test_a_wait_that_is_over_is_told_as_long_as_something_waits(house, state):
    now = house.clock.now()
    lane = evolve(house.app.store.lane("crm"), state=state, reason="HTTP 503", until=now + DAY, changed_at=now)
    house.app.store.put_lane(lane)
    assert "HTTP 503, until" in status(house.app)["sinks"]["crm"]["reason"]
    assert state in {trouble.kind for trouble in troubles(house.app)}
    house.clock.advance(2 * DAY)
    # Nothing is called for: what was owed came to its end without a call.
    assert status(house.app)["sinks"]["crm"]["state"] == "ok"
    assert state not in {trouble.kind for trouble in troubles(house.app)}
    house.emit(customer("1", email="a@shop.test"))
    assert status(house.app)["sinks"]["crm"]["reason"] == "HTTP 503; the wait is over, it is tried next"
