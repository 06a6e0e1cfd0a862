"""Through the whole app: outbox, mapper, lanes and this sink against the stand-in."""

from datetime import timedelta

import pytest

from synccore.entities import Address
from synccore.testing import FakeClock, Fault, Harness, customer
from synccore_google_contacts.sink import SINK
from synccore_google_contacts.testing import AutoBrowser, FakePeople, settings

ROUTE = {"contacts_customers": {"entity": "customer", "sink": "contacts", "object": "contact"}}


@pytest.fixture
def stage(tmp_path):
    clock = FakeClock()
    with FakePeople(clock=clock.now) as google:
        table = {k: v for k, v in settings(google).items() if k != "type"}
        with Harness(tmp_path, ROUTE, sink_types={"contacts": (SINK, table)}, clock=clock, installed=True) as app:
            app.app.sinks["contacts"].instance.connect(AutoBrowser())
            yield app, google


def shopper(n, **more):
    values = {"email": f"ann{n}@shop.test", "first_name": f"Ann{n}", "last_name": "Test", "phone": f"415 555 {n:04d}",
              "billing": Address(line1="1 Main", city="Town", country="US")}  # fmt: skip
    return customer(str(n), **{**values, **more})


def mutations(google):
    return [r for r in google.requests if r.method != "GET" and r.path.startswith("/v1/")]


def test_a_backfill_takes_a_batch_per_two_hundred_and_a_second_one_nothing(stage):
    app, google = stage
    everyone = [shopper(n) for n in range(400)]
    app.emit(*everyone, bulk=True)
    app.settle_down()
    assert len(google.contacts()) == 400
    assert [r.path for r in mutations(google)] == ["/v1/contactGroups", *["/v1/people:batchCreateContacts"] * 2]
    calls = len(google.requests)
    app.emit(*everyone, bulk=True)
    app.settle_down()
    assert len(google.requests) == calls
    app.emit(shopper(7, phone="415 555 9999"))
    app.settle_down()
    (update,) = mutations(google)[3:]
    assert update.path.endswith(":updateContact")
    assert update.param("updatePersonFields") == "clientData,phoneNumbers"


def test_a_lost_answer_and_a_crash_after_it_make_none_twice(stage):
    app, google = stage
    app.emit(*[shopper(n) for n in range(60)], bulk=True)
    google.fail_next(Fault.commit_then_drop(when=lambda r: "batchCreate" in r.path))
    app.drain()
    app.crash()
    app.settle_down()
    assert len(google.contacts()) == 60
    assert app.states() == {"done": 60}


def test_a_refused_record_is_parked_alone_with_googles_words(stage):
    app, google = stage
    google.refuse = lambda p: "Bad name." if p.get("names", [{}])[0].get("givenName") == "Ann7" else None
    app.emit(*[shopper(n) for n in range(200)], bulk=True)
    app.drain()
    (parked,) = app.deliveries(state="parked")
    assert parked.key == "7"
    assert "Bad name." in (parked.error or "")
    for _ in range(3):
        app.advance(timedelta(seconds=31))
    assert len(google.contacts()) == 199


def test_an_hour_of_outage_parks_nothing_and_heals_by_itself(stage):
    app, google = stage
    app.emit(*[shopper(n) for n in range(30)])
    end = app.clock.now() + timedelta(hours=1)
    handle = google.handle
    google.handle = lambda request: Fault.html(503).reply
    while app.clock.now() < end:
        app.drain()
        app.clock.advance(timedelta(minutes=2))
    assert app.states() == {"ready": 30}
    google.handle = handle
    app.settle_down()
    assert app.states() == {"done": 30}
    assert len(google.contacts()) == 30


def test_access_taken_away_pauses_the_lane_until_somebody_connects(stage):
    app, google = stage
    app.emit(*[shopper(n) for n in range(3)])
    app.drain()
    google.sign_in.revoke_all()
    app.emit(*[shopper(n) for n in range(3, 6)])
    app.drain()
    lane = app.app.store.lane("contacts")
    assert lane.state == "needs_auth"
    assert "synccore connect contacts" in lane.reason
    from synccore._verbs.connect import connect

    connect(app.app, "contacts", AutoBrowser())
    app.settle_down()
    assert app.states() == {"done": 6}
    assert len(google.contacts()) == 6
