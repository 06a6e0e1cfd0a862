"""The same moments through core: a shop's change, the outbox, the sink, and what Klaviyo holds."""

from datetime import timedelta

import pytest

from synccore._daemon.beginning import Beginning
from synccore._daemon.sources import SourceWorker
from synccore._verbs.adopt import adopt
from synccore._verbs.forget import forget
from synccore.testing import Fault
from synccore.types import Change
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


def test_before_the_first_delivery_while_klaviyo_is_away(start, shop, klaviyo, clock):
    app = start("profiles")
    klaviyo.fail_always(Fault.status(503))
    app.emit(shop.customer(accepts_marketing=True), bulk=True)
    app.drain()
    clock.advance(timedelta(minutes=5))
    app.emit(shop.customer(accepts_marketing=False))
    app.drain()
    klaviyo.clear_faults()
    for _ in range(10):
        app.advance(timedelta(seconds=1))
    assert klaviyo.person(EMAIL).opted_out


@pytest.mark.parametrize("killed", [False, True])
def test_the_quota_of_asking_whose_account_it_is_holds_no_opt_out(start, shop, klaviyo, crash, killed):
    app = start("profiles")
    app.emit(shop.customer(accepts_marketing=True))
    app.drain()
    klaviyo.throttle("GET", "/api/accounts", HOUR)
    klaviyo.fail_always(Fault.status(503))
    app.emit(shop.customer(accepts_marketing=False))
    app.drain()
    if killed:
        crash(app)
    klaviyo.clear_faults()
    for _ in range(10):
        app.advance(timedelta(seconds=1))
    assert klaviyo.person(EMAIL).opted_out


def test_adopted_and_never_written(start, shop, klaviyo, clock):
    klaviyo.add_person(email=EMAIL)
    app = start("profiles")
    with app.app.engine.holding({"profiles"}):
        app.emit(shop.customer(accepts_marketing=True), bulk=True)
        clock.advance(timedelta(minutes=1))
        app.emit(shop.customer(accepts_marketing=False))
        app.drain()
    assert klaviyo.person(EMAIL).opted_out


# -- event routes begin silently


def test_event_routes_added_later_tell_nothing_of_what_did_not_change(start, shop, klaviyo, clock):
    app = start("profiles")
    app.emit(shop.customer(), shop.membership(), shop.subscription(), bulk=True)
    app.settle_down()
    app.close()
    app = start("profiles", "changes", "members", "subscriptions")
    clock.advance(timedelta(days=1))
    app.emit(
        shop.customer(first_name="Ann"), shop.membership(ends_at=clock.now()), shop.subscription(billing_interval=2)
    )
    app.settle_down()
    assert klaviyo.events() == []
    app.emit(shop.membership(status="paused"), shop.subscription(status="on-hold"))
    app.settle_down()
    told = {e["metric"]: e["properties"].get("Transition") for e in klaviyo.events()}
    assert told == {
        "Changed Membership Status": "active>paused",
        "Lost Membership": None,
        "Paused Subscription": "active>on-hold",
    }


def test_a_route_added_later_knows_the_plans_there_were(start, shop, klaviyo, clock):
    """Also of members of today, and of a customer's record that a change of another one brings along."""
    today = {"started_at": clock.now()}
    gold, silver = shop.membership("5", **today), shop.membership("6", plan="silver", **today)
    app = start("profiles")
    app.emit(shop.customer(), gold, silver, shop.subscription(), bulk=True)
    app.settle_down()
    app.close()
    app = start("profiles", "changes", "members", "subscriptions")
    worker = SourceWorker(app.app, app.app.sources["shop"])
    worker.poll_all()
    app.emit(shop.customer(first_name="Ann"), shop.membership("6", plan="silver", status="paused", **today))
    app.settle_down()
    assert [e["properties"]["Transition"] for e in klaviyo.events()] == ["active>paused"]
    app.emit(shop.membership("5", status="cancelled", **today))
    app.settle_down()
    assert [e["metric"] for e in klaviyo.events()[1:]] == ["Changed Membership Status", "Lost Membership"]


def test_records_edited_during_the_first_listing_are_no_news(start, shop, klaviyo, clock):
    app = start("profiles", "changes", "members")
    with app.app.engine.holding({"profiles", "changes", "members"}):
        app.emit(shop.customer(), shop.membership(), bulk=True)
        clock.advance(timedelta(minutes=1))
        app.emit(shop.membership(ends_at=clock.now()))
    app.settle_down()
    assert klaviyo.events() == []
    assert klaviyo.person(EMAIL).properties["woo_is_member"] is True


EVENT_ROUTES = ("changes", "members", "subscriptions")


@pytest.mark.parametrize("listed_first", [True, False])
def test_who_is_a_member_since_today_and_is_edited_during_the_first_listing_is_no_news(
    start, shop, klaviyo, clock, listed_first
):
    app = start("profiles", *EVENT_ROUTES)
    Beginning(app.app, "shop")
    made = {"created_at": clock.now() - timedelta(hours=2)}
    dated = made | {"started_at": made["created_at"]}
    with app.app.engine.holding({"profiles", *EVENT_ROUTES}):
        clock.advance(timedelta(minutes=1))
        if listed_first:
            app.emit(shop.customer(**made), shop.membership(**dated), shop.subscription(**made), bulk=True)
        app.emit(
            shop.customer(**made, first_name="Ann"),
            shop.membership(**dated, ends_at=clock.now() + 9 * HOUR),
            shop.subscription(**made, billing_interval=2),
        )
        clock.advance(timedelta(minutes=1))
    app.settle_down()
    assert klaviyo.events() == []
    app.emit(shop.membership(**dated, status="cancelled"), shop.subscription(**made, status="cancelled"))
    app.settle_down()
    assert len(klaviyo.events()) == 3  # each knows from what


def test_who_becomes_a_member_during_the_first_listing_is_news(start, shop, klaviyo, clock):
    app = start("profiles", *EVENT_ROUTES)
    Beginning(app.app, "shop")
    with app.app.engine.holding({"profiles", *EVENT_ROUTES}):
        app.emit(shop.customer(created_at=clock.now() - HOUR), bulk=True)
        clock.advance(timedelta(minutes=1))
        now = {"created_at": clock.now(), "started_at": clock.now()}
        app.emit(shop.membership(**now), shop.subscription(created_at=clock.now()))
        clock.advance(timedelta(minutes=1))
    app.settle_down()
    told = {e["metric"] for e in klaviyo.events()}
    assert told == {"Became Member", "Changed Membership Status", "Started Subscription"}


# -- the first start


def members_of(app, shop, count):
    for n in range(count):
        key = str(n)
        app.source.put(shop.customer(key), shop.membership(f"m{n}", owner=key))


@pytest.mark.parametrize("count", [150])
def test_a_first_start_writes_each_member_once_and_never_as_none(start, shop, klaviyo, count):
    klaviyo.job_time = timedelta(seconds=20)
    app = start("profiles", settings={"bulk_threshold": 20})
    members_of(app, shop, count)
    submit = app.app.intake.submit
    # The lanes' threads use every moment between two pages.
    app.app.intake.submit = lambda unit: (submit(unit), app.drain())[0]
    assert SourceWorker(app.app, app.app.sources["shop"]).poll_all()
    app.settle_down()
    assert len(klaviyo.store.people) == len(klaviyo.store.writes) == count
    assert {w.properties["woo_is_member"] for w in klaviyo.store.writes} == {True}
    assert len(klaviyo.jobs) == -(-count // 10_000)


# -- renewals


def test_ten_renewals_never_show_a_pause(start, shop, klaviyo, clock):
    app = start("profiles", "changes", "members", "subscriptions")
    app.emit(shop.customer(), shop.membership(), shop.subscription(), bulk=True)
    app.settle_down()
    for number in range(10):
        clock.advance(timedelta(days=30))
        app.emit(shop.membership(status="paused"), shop.subscription(status="on-hold"))
        app.drain()
        app.advance(timedelta(seconds=3))
        # Somebody edits the name meanwhile: that goes at once, and takes no pause along.
        app.emit(shop.customer(first_name=f"Anna {number}"))
        app.drain()
        assert klaviyo.person(EMAIL).attributes["first_name"] == f"Anna {number}"
        app.advance(timedelta(seconds=3))
        app.emit(shop.membership(), shop.subscription(next_payment_at=clock.now() + timedelta(days=30)))
        app.settle_down()
        assert klaviyo.person(EMAIL).properties["woo_next_renewal_at"] > clock.now().isoformat()
    assert {w.properties["woo_plan_gold_status"] for w in klaviyo.writes(EMAIL)} == {"active"}
    assert {w.properties["woo_payment_failing"] for w in klaviyo.writes(EMAIL)} == {False}
    assert klaviyo.events() == []


def test_a_pause_that_stays_is_shown_after_the_delay(start, shop, klaviyo, clock):
    app = start("profiles")
    app.emit(shop.customer(), shop.membership(), bulk=True)
    app.settle_down()
    app.emit(shop.membership(status="paused"))
    app.advance(timedelta(minutes=4, seconds=59))
    assert klaviyo.person(EMAIL).properties["woo_plan_gold_status"] == "active"
    app.advance(timedelta(seconds=2))
    assert klaviyo.person(EMAIL).properties["woo_plan_gold_status"] == "paused"


# -- between `adopt` and the first start


@pytest.fixture
def adopted(start, shop, klaviyo, clock):
    """An app that linked who is in Klaviyo and subscribed there, and has not run yet."""
    klaviyo.add_person(email=EMAIL).consent = "SUBSCRIBED"

    def make(**seen):
        app = start("profiles")
        app.source.put(shop.customer(**seen))
        assert adopt(app.app, "profiles").sure == 1
        clock.advance(HOUR)
        return app

    return make


def listed(app, *changes):
    app.source.put(*changes)
    assert SourceWorker(app.app, app.app.sources["shop"]).poll_all()
    app.settle_down()


@pytest.mark.parametrize("live", [False, True])
def test_an_opt_out_between_adopt_and_the_first_start(adopted, shop, klaviyo, live):
    app = adopted(accepts_marketing=True)
    if live:
        app.emit(shop.customer(accepts_marketing=False))
        app.drain()
    else:
        listed(app, shop.customer(accepts_marketing=False))
    assert klaviyo.person(EMAIL).opted_out


def test_what_a_listing_finds_does_not_wait_for_the_listing_to_end(adopted, shop, klaviyo):
    """Of thousands of customers it takes minutes; all else of the profile waits for it."""
    app = adopted(accepts_marketing=True)
    with app.app.engine.holding(["profiles"]):
        app.emit(shop.customer(accepts_marketing=False, first_name="Moved"), bulk=True)
        app.drain()
        assert klaviyo.person(EMAIL).opted_out
        assert klaviyo.writes(EMAIL) == []
        told = len(klaviyo.requests)
        app.drain()
        assert len(klaviyo.requests) == told, "told again while it waits"
    app.drain()
    assert klaviyo.person(EMAIL).opted_out
    assert klaviyo.person(EMAIL).attributes["first_name"] == "Moved"


def test_a_no_that_was_there_at_adopt_takes_no_consent_given_elsewhere(adopted, shop, klaviyo):
    app = adopted(accepts_marketing=False)
    listed(app, shop.customer(accepts_marketing=False, first_name="Ann"))
    app.emit(shop.customer(accepts_marketing=False, first_name="Anne"))
    app.settle_down()
    person = klaviyo.person(EMAIL)
    assert (person.opted_out, person.attributes["first_name"]) == (False, "Anne")


def test_a_yes_that_was_there_at_adopt_is_no_news(adopted, shop, klaviyo):
    app = adopted(accepts_marketing=True)
    app.emit(shop.customer(accepts_marketing=True, first_name="Ann"))
    app.settle_down()
    assert klaviyo.person(EMAIL).attributes["first_name"] == "Ann"
    assert klaviyo.count("POST", "/api/profile-subscription-bulk-create-jobs") == 0


def test_the_no_of_before_the_first_start_is_told_once(adopted, shop, klaviyo):
    app = adopted(accepts_marketing=True)
    listed(app, shop.customer(accepts_marketing=False))
    app.emit(shop.customer(accepts_marketing=False, first_name="Ann"))
    app.settle_down()
    assert klaviyo.count("POST", "/api/profile-subscription-bulk-delete-jobs") == 1


# -- a create whose answer was lost


def is_write(request):
    return request.path == "/api/profile-import"


def lose_the_answer(start, shop, klaviyo, fault):
    app = start("profiles", profiles={"on_delete": "erase"})
    klaviyo.fail_next(fault)
    app.emit(shop.customer())
    app.drain()
    assert app.states() == {"ready": 1}
    return app


def test_who_is_deleted_before_the_answer_was_known_is_erased(start, shop, klaviyo):
    app = lose_the_answer(start, shop, klaviyo, Fault.commit_then_drop(when=is_write))
    app.emit(Change(entity="customer", key="12", op="delete", version=99))
    app.settle_down()
    assert klaviyo.person(EMAIL) is None


def test_who_is_deleted_after_a_second_try_is_erased(start, shop, klaviyo):
    app = lose_the_answer(start, shop, klaviyo, Fault.commit_then_drop(when=is_write))
    app.settle_down()
    app.emit(Change(entity="customer", key="12", op="delete", version=99))
    app.settle_down()
    assert klaviyo.person(EMAIL) is None


@pytest.mark.parametrize("tries", [1, 2])
def test_who_was_there_before_is_not_erased(start, shop, klaviyo, clock, tries):
    klaviyo.add_person(email=EMAIL, first_name="Hand")
    clock.advance(HOUR)
    app = lose_the_answer(start, shop, klaviyo, Fault.commit_then_drop(when=is_write))
    if tries > 1:
        app.settle_down()
    app.emit(Change(entity="customer", key="12", op="delete", version=99))
    app.settle_down()
    assert klaviyo.person(EMAIL) is not None


def test_who_came_by_themselves_meanwhile_is_not_erased(start, shop, klaviyo):
    app = lose_the_answer(start, shop, klaviyo, Fault.reset(when=is_write))
    klaviyo.add_person(email=EMAIL, first_name="Hand")
    app.emit(Change(entity="customer", key="12", op="delete", version=99))
    app.settle_down()
    assert klaviyo.person(EMAIL) is not None
