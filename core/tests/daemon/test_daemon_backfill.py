"""A backfill as an operator sees it: its progress, an interruption, a daemon that goes away."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest

from synccore._daemon.backfill import backfill, reconcile
from synccore._daemon.sources import SourceWorker
from synccore._ingest.listing import Stopped
from synccore._verbs.status import overview
from synccore.entities import Order
from synccore.errors import AuthError, ConfigError, RateLimited
from synccore.testing import FakeClock, Harness, customer
from synccore.types import Change, EntityRef, Limits

PEOPLE = {"people": {"entity": "customer", "fields": {"email": "customer.email"}}}
SHOP = {"entities": ["customer", "order"]}


class PatientClock(FakeClock):
    """Sleeps only once the test has seen what it waits for."""

    def __init__(self):
        super().__init__()
        self.may_sleep = threading.Event()
        self.may_sleep.set()

    def sleep(self, duration):
        self.may_sleep.wait(10)
        super().sleep(duration)


@pytest.fixture
def people(tmp_path):
    with Harness(tmp_path, PEOPLE, limits=Limits(max_batch=10), source_table=SHOP, clock=PatientClock()) as app:
        app.source.put(*(customer(str(n), email=f"p{n}@shop.test") for n in range(30)))
        yield app


def run(people, watch=lambda _: None):
    steps = []

    def progress(step):
        steps.append(step)
        watch(step)

    return backfill(people.app, "shop", None, {}, None, progress=progress), steps


def test_each_step_counts_what_it_names(people):
    report, steps = run(people)
    assert (report.seen, report.settled, report.owed) == (30, 30, 0)
    assert {s.seen for s in steps if s.entity == "order"} <= {0}
    assert max(s.seen for s in steps if s.entity == "customer") == 30
    last = steps[-1]
    assert (last.entity, last.seen, last.total) == (None, 30, 30)


def test_a_rate_limit_is_shown_while_it_is_waited_out(people):
    people.sink.then(RateLimited("too many calls", retry_after=timedelta(minutes=1)))
    people.clock.may_sleep.clear()

    def watch(step):
        if step.waiting:
            people.clock.may_sleep.set()

    report, steps = run(people, watch)
    assert report.owed == 0
    told = next(s.waiting for s in steps if s.waiting)
    assert told.startswith("crm waits until ")
    assert told.endswith(" UTC (too many calls)")


def test_what_waits_for_a_person_ends_the_backfill(people):
    people.sink.always(AuthError("the grant was revoked"))
    report, steps = run(people)
    assert report.owed == 30
    assert steps[-1].waiting == "crm waits for a person (the grant was revoked): synccore connect crm"
    assert report.errors == ("30 owed to crm: waits for a person (the grant was revoked): synccore connect crm",)


def test_a_mistake_in_the_configuration_of_a_target_ends_the_backfill_with_its_reason(people):
    people.sink.always(ConfigError("the list is gone"))
    report, _ = run(people)
    assert (report.owed, len(people.sink.records)) == (30, 0)
    assert "the list is gone" in report.errors[0]


def test_a_wait_that_is_longer_than_a_command_is_patient_ends_it_and_says_until_when(people):
    people.sink.always(RateLimited("the day's quota is used up", retry_after=timedelta(hours=9)))
    began = people.clock.now()
    report, _ = run(people)
    assert people.clock.now() - began < timedelta(minutes=5)
    assert report.owed == 30
    until = (began + timedelta(hours=9)).strftime("%H:%M")
    assert f"until {until}" in report.errors[0]


@pytest.mark.parametrize("every", [timedelta(seconds=50), timedelta(minutes=20)])
def test_a_route_that_its_target_holds_for_longer_than_a_command_is_patient_ends_it_with_the_reason(people, every):
    people.sink.always(RateLimited("the org has no room", retry_after=every, scope="route"))
    began = people.clock.now()
    report, _ = run(people)
    assert people.clock.now() - began < timedelta(minutes=7)
    assert (report.owed, report.parked) == (30, 0)
    assert "route people waits until" in report.errors[0]
    assert "the org has no room" in report.errors[0]


def test_routes_after_a_held_one_do_not_keep_it_going(tmp_path):
    routes = {"firms": PEOPLE["people"], "people": {**PEOPLE["people"], "after": "firms"}}
    with Harness(tmp_path, routes, source_table=SHOP) as app:
        app.source.put(*(customer(str(n), email=f"p{n}@shop.test") for n in range(30)))
        app.sink.always(RateLimited("the org has no room", retry_after=timedelta(minutes=5), scope="route"))
        began = app.clock.now()
        report, _ = run(app, lambda _: app.app.stop() if app.clock.now() - began > timedelta(minutes=20) else None)
        assert app.clock.now() - began < timedelta(minutes=12)
        assert (report.owed, report.parked) == (60, 0)
        assert "route firms waits until" in report.errors[0]
        assert report.errors[1] == "30 owed to crm: route people waits for route firms"


def test_what_waits_for_a_parent_that_never_came_does_not_keep_it_going(tmp_path):
    orders = {"entity": "order", "after": "people", "fields": {"status": "order.status"}}
    with Harness(tmp_path, {**PEOPLE, "orders": orders}, source_table=SHOP) as app:
        owner = EntityRef("customer", "1")
        lost = Order(key="9", number="9", status="completed", currency="EUR", total=Decimal(1))
        app.source.put(Change(entity="order", key="9", op="upsert", data=lost, owner=owner))
        began = app.clock.now()
        report, _ = run(app, lambda _: app.app.stop() if app.clock.now() - began > timedelta(minutes=20) else None)
        assert app.clock.now() - began < timedelta(minutes=7)
        assert (report.owed, report.parked) == (1, 0)
        assert report.errors[0].startswith("1 owed to crm: route orders waits for records that route people does not")


def test_interrupted_while_it_delivers_it_claims_nothing_more_and_says_so(people):
    def stopping(_):
        people.app.stop()

    people.sink.always(stopping)
    with pytest.raises(Stopped):
        run(people)
    assert len(people.sink.calls) == 1
    assert set(people.states()) == {"done", "ready"}


def test_a_failing_disk_ends_it_with_its_own_error(people, monkeypatch):
    def full(*_args, **_more):
        raise OSError("no space left")

    monkeypatch.setattr(people.app.engine, "drain_in_parallel", full)
    with pytest.raises(OSError, match="no space left"):
        run(people)


class Gone:
    """A daemon that is there when it is first asked for, and later not."""

    def __init__(self, answers):
        self.answers = answers

    def __call__(self):
        return self.answers.pop(0) if self.answers else False


def test_the_work_of_a_daemon_that_goes_away_is_done_here(people, monkeypatch):
    monkeypatch.setattr(people.app.store, "daemon_running", Gone([True, True]))
    report, _ = run(people)
    assert not report.handed_over
    assert (report.owed, len(people.sink.records)) == (0, 30)


def test_watching_a_daemon_ends_where_a_person_is_needed(people, monkeypatch):
    people.sink.always(AuthError("the grant was revoked"))
    run(people)
    monkeypatch.setattr(people.app.store, "daemon_running", lambda: True)

    def work_it_off(step):
        worker = SourceWorker(people.app, people.app.sources["shop"])
        while worker.work_job():
            pass

    report, _ = run(people, work_it_off)
    assert report.handed_over
    assert report.owed == 30


def test_a_filter_the_source_does_not_know_leaves_no_job_behind(people, monkeypatch):
    def picky(entity, cursor, filters):
        raise ConfigError("cannot be filtered by colour")

    monkeypatch.setattr(people.source, "poll", picky)
    with pytest.raises(ConfigError):
        backfill(people.app, "shop", "customer", {"colour": "red"}, None)
    assert people.app.store.next_backfill("shop") is None


def test_deletions_are_confirmed_to_a_running_daemon_too(people, monkeypatch):
    run(people)
    for n in range(10):
        del people.source.records["customer", str(n)]
    monkeypatch.setattr(people.app.store, "daemon_running", lambda: True)

    def work_it_off(_):
        worker = SourceWorker(people.app, people.app.sources["shop"])
        while worker.work_job():
            people.drain()

    told = reconcile(people.app, "shop", progress=work_it_off)
    assert told.handed_over
    assert "10 of 30" in told.errors[0]
    assert len(people.sink.records) == 30
    told = reconcile(people.app, "shop", progress=work_it_off, confirmed=True)
    assert (told.handed_over, told.errors) == (True, ())
    assert len(people.sink.records) == 20


def test_status_says_how_far_a_listing_is_and_what_it_waits_for(people, monkeypatch):
    """As a person sees it whose daemon works: the shop refuses, then the target does."""
    app = people.app
    worker = SourceWorker(app, app.sources["shop"])
    app.store.queue_backfill("backfill", "shop", "customer", {}, None, people.clock.now())
    people.source.fail_polls.append(RateLimited("slow down", retry_after=timedelta(minutes=4)))
    assert worker.work_job()
    monkeypatch.setattr(app.store, "daemon_running", lambda: True)
    until = (people.clock.now() + timedelta(minutes=4)).strftime("%H:%M:%S")
    [told] = overview(app).work
    assert told == f"backfill of shop customer: 0 listed; waits for shop, until {until} UTC (slow down)"
    people.clock.advance(timedelta(minutes=4))
    people.sink.always(RateLimited("the day is over", retry_after=timedelta(hours=3)))
    assert worker.work_job()
    people.drain()
    until = (people.clock.now() + timedelta(hours=3)).strftime("%H:%M:%S")
    assert overview(app).work == (f"30 owed to crm: waits until {until} UTC (the day is over)",)
    assert people.sink.records == {}
