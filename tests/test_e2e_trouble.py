"""Targets that are away, refuse, or hold what we are about to write."""

from datetime import timedelta

from synccore._daemon.backfill import backfill
from synccore.testing import Fault


def poll(app):
    app.lister("shop").poll("customer")


def test_an_hour_of_503_parks_nothing_and_uses_no_attempt(still_world, settle_down):
    world = still_world
    world.customers(30)
    with world.open() as app:
        poll(app)
        world.google.fail_next(*[Fault.status(503, "busy")] * 500)
        end = world.clock.now() + timedelta(hours=1)
        while world.clock.now() < end:
            settle_down(app, world.clock, min(end - world.clock.now(), timedelta(minutes=10)))
            world.clock.advance(timedelta(minutes=1))
        states = {(d.state, d.attempts) for d in app.store.deliveries(limit=None)}
        assert states == {("ready", 0)}
        assert app.store.lane("contacts").state == "circuit_open"
        world.google.clear_faults()
        settle_down(app, world.clock)
        assert len(world.emails()) == len(set(world.emails())) == 30
        assert {d.state for d in app.store.deliveries(limit=None)} == {"done"}
        assert app.store.lane("contacts").state == "ok"


def test_an_unreachable_target_comes_back_by_itself(still_world, settle_down):
    world = still_world
    world.customers(5)
    with world.open() as app:
        poll(app)
        world.google.fail_next(*[Fault.reset()] * 40)
        settle_down(app, world.clock, timedelta(minutes=5))
        assert not app.store.deliveries(state="parked", limit=None)
        world.google.clear_faults()
        settle_down(app, world.clock)
        assert len(world.emails()) == 5


def test_one_poison_record_is_parked_alone(still_world, settle_down):
    world = still_world
    world.customers(200)
    words = "Invalid birthday on this person."
    world.google.refuse = lambda person: words if "First66" in str(person) else None
    with world.open() as app:
        poll(app)
        settle_down(app, world.clock)
        [parked] = app.store.deliveries(state="parked", limit=None)
        assert words in parked.error
        assert len(world.emails()) == 199
        # The vendor was wrong, or the record was mended: a retry brings it home.
        world.google.refuse = lambda person: None
        app.store.retry([parked.id], world.clock.now())
        settle_down(app, world.clock)
        assert len(world.emails()) == 200


def test_answers_lost_after_the_commit_leave_no_double(still_world, settle_down):
    world = still_world
    world.customers(120)
    with world.open() as app:
        poll(app)

        def creates(request):
            return "batchCreate" in request.path or request.path.endswith("createContact")

        world.google.fail_next(*[Fault.commit_then_drop(when=creates)] * 2)
        settle_down(app, world.clock)
        assert len(world.emails()) == len(set(world.emails())) == 120
        assert not app.store.deliveries(state="parked", limit=None)


def test_a_revoked_grant_waits_for_a_person_and_loses_nothing(still_world, settle_down):
    from synccore._verbs.connect import connect
    from synccore_google_contacts.testing import AutoBrowser

    world = still_world
    people = world.customers(10)
    with world.open() as app:
        poll(app)
        settle_down(app, world.clock)
        world.google.sign_in.revoke_all()
        world.shop.edit_customer(people[0], first_name="Renamed")
        backfill(app, "shop", "customer", {}, None, enqueue_only=True)
        poll_again(app)
        settle_down(app, world.clock, timedelta(days=7))
        assert app.store.lane("contacts").state == "needs_auth"
        assert not app.store.deliveries(state="parked", limit=None)
        connect(app, "contacts", AutoBrowser())
        settle_down(app, world.clock)
        assert any(c["names"][0].get("givenName") == "Renamed" for c in world.google.contacts())


def poll_again(app):
    """The listing that the running daemon would do."""
    from synccore._daemon.sources import SourceWorker

    worker = SourceWorker(app, app.sources["shop"])
    while worker.work_job():
        pass


def test_what_the_owner_typed_in_is_adopted_not_doubled(still_world, settle_down):
    from synccore._verbs.adopt import adopt

    world = still_world
    world.customers(20)
    for n in range(8):
        world.google.add(
            names=[{"givenName": f"Typed{n}"}],
            emailAddresses=[{"value": f"Buyer{n}@Shop.test"}],
            biographies=[{"value": f"my own note {n}", "contentType": "TEXT_PLAIN"}],
        )
    with world.open() as app:
        poll(app)
        adopt(app, "people")
        settle_down(app, world.clock)
        assert len(world.google.contacts()) == 20
        notes = {b["value"] for c in world.google.contacts() for b in c.get("biographies", ())}
        assert {f"my own note {n}" for n in range(8)} <= notes
