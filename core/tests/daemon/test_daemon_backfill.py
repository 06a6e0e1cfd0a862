"""A backfill as an operator sees it: its progress, an interruption, a daemon that goes away."""

import threading
from datetime import timedelta

import pytest

from synccore._daemon.backfill import backfill
from synccore._ingest.listing import Stopped
from synccore.errors import AuthError, RateLimited
from synccore.testing import FakeClock, Harness, customer
from synccore.types import Limits

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
    assert told.endswith(" UTC (rate_limited)")


def test_what_waits_for_a_person_ends_the_backfill(people):
    people.sink.always(AuthError("the grant was revoked"))
    report, steps = run(people)
    assert report.owed == 30
    assert steps[-1].waiting == "crm waits for a person (needs_auth)"


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
        from synccore._daemon.sources import SourceWorker

        worker = SourceWorker(people.app, people.app.sources["shop"])
        while worker.work_job():
            pass

    report, _ = run(people, work_it_off)
    assert report.handed_over
    assert report.owed == 30
