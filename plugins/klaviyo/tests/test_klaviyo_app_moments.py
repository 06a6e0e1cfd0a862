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
