"""The same moments through core: a shop's change, the outbox, the sink, and what Klaviyo holds."""

from datetime import timedelta

import pytest

from synccore._verbs.forget import forget
from synccore.testing import Fault
from synccore_klaviyo.testing import FakeKlaviyo

HOUR = timedelta(hours=1)
EMAIL = "c12@shop.test"


@pytest.fixture
def klaviyo(clock):
    """Jobs run for an hour."""
    with FakeKlaviyo(clock=clock.now, job_time=HOUR) as server:
        yield server


@pytest.fixture
def in_a_job(start, shop):
    """An app whose sixty customers are in an import job."""

    def make(*routes, **accepts):
        app = start(*(routes or ("profiles",)), settings={"bulk_threshold": 20})
        people = [shop.customer(str(n), **(accepts if n == 12 else {})) for n in range(60)]
        app.emit(*people, bulk=True)
        app.drain()
        assert app.states() == {"submitted": 60}
        return app

    return make


def test_forget_of_a_person_nobody_linked(start, klaviyo):
    klaviyo.add_person(email=EMAIL)
    found = forget(start("profiles").app, EMAIL)
    assert (found.complete, [e.outcome for e in found.erased]) == (True, ["deleted"])
    assert klaviyo.person(EMAIL) is None


def test_forget_of_a_linked_person(start, shop, klaviyo):
    app = start("profiles", "members")
    app.emit(shop.customer(), shop.membership())
    app.settle_down()
    assert klaviyo.person(EMAIL) is not None
    assert forget(app.app, EMAIL).complete
    assert klaviyo.person(EMAIL) is None


def test_forget_while_klaviyo_is_away_is_not_done(start, shop, klaviyo):
    app = start("profiles")
    app.emit(shop.customer())
    app.drain()
    klaviyo.fail_always(Fault.status(503))
    assert forget(app.app, EMAIL).failed
    klaviyo.clear_faults()
    assert forget(app.app, EMAIL).complete
    assert klaviyo.person(EMAIL) is None


def test_forget_while_the_person_is_in_a_job(in_a_job, klaviyo):
    app = in_a_job()
    found = forget(app.app, EMAIL)
    assert (found.complete, found.failed) == (False, [])
    assert "import job job-000001, submitted 12:00" in found.pending[0].note
    assert forget(app.app, EMAIL).pending
    app.advance(HOUR + timedelta(minutes=3))
    app.settle_down()
    assert len(klaviyo.store.people) == 59
    assert klaviyo.person(EMAIL) is None
    assert forget(app.app, EMAIL).pending == []


# -- opt-outs


def test_an_opt_out_overtakes_the_job_that_holds_the_person(in_a_job, shop, klaviyo, clock):
    app = in_a_job(accepts_marketing=True)
    clock.advance(timedelta(minutes=5))
    app.emit(shop.customer(accepts_marketing=False, first_name="Ann"))
    app.drain()
    assert klaviyo.person(EMAIL).opted_out
    assert "first_name" not in klaviyo.person(EMAIL).attributes
    (entry,) = [e for e in app.history() if e.outcome == "overtook"]
    assert entry.note == "unsubscribed, ahead of the import job"
    # Each state is handed over once, and nothing is asked again.
    before = len(klaviyo.requests)
    app.drain()
    assert klaviyo.count("POST", "/api/profile-subscription-bulk-delete-jobs") == 1
    assert len(klaviyo.requests) - before <= 1  # how the job does
    app.advance(HOUR)
    app.settle_down()
    person = klaviyo.person(EMAIL)
    assert (person.opted_out, person.attributes["first_name"]) == (True, "Ann")
    assert klaviyo.count("POST", "/api/profile-subscription-bulk-delete-jobs") == 1


def test_an_opt_out_that_could_not_overtake_is_tried_again_at_once(in_a_job, shop, klaviyo, clock):
    app = in_a_job(accepts_marketing=True)
    clock.advance(timedelta(minutes=5))
    klaviyo.fail_next(Fault.status(503, when=lambda r: "delete-jobs" in r.path))
    app.emit(shop.customer(accepts_marketing=False))
    app.drain()
    assert not klaviyo.person(EMAIL)
    for _ in range(8):
        app.advance(timedelta(seconds=1))
    assert klaviyo.person(EMAIL).opted_out


def test_behind_the_quota_of_its_own_writes(start, shop, klaviyo, clock):
    app = start("profiles")
    app.emit(shop.customer(accepts_marketing=True))
    app.drain()
    klaviyo.throttle("POST", "/api/profile-import", HOUR)
    app.emit(shop.customer(accepts_marketing=True, first_name="Ann"))
    app.drain()
    clock.advance(timedelta(minutes=1))
    app.emit(shop.customer(accepts_marketing=False, first_name="Ann"))
    app.drain()
    assert klaviyo.person(EMAIL).opted_out
    app.advance(HOUR)
    app.settle_down()
    assert klaviyo.person(EMAIL).attributes["first_name"] == "Ann"


def test_behind_an_events_quota(start, shop, klaviyo):
    app = start("profiles", "payments")
    app.emit(shop.customer(accepts_marketing=True))
    app.drain()
    klaviyo.throttle("POST", "/api/events", HOUR)
    app.emit(shop.payment())
    app.drain()
    app.emit(shop.customer(accepts_marketing=False))
    app.drain()
    assert klaviyo.person(EMAIL).opted_out
