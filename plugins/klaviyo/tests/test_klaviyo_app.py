"""The whole way, from a change in the shop to Klaviyo's profiles, through core and the default mappings."""

from datetime import UTC, datetime, timedelta

import pytest

from synccore.entities import Address
from synccore.testing import Fault
from synccore.types import Change

# -- profiles


def test_a_customer_with_three_plans_can_be_segmented_on_each(start, shop, klaviyo):
    app = start("profiles")
    app.emit(
        shop.customer(phone="0151 23456789", billing=Address(country="DE", city="Köln", line1="Ring 1")),
        shop.membership("5", "gold"),
        shop.membership("6", "silver", "paused"),
        shop.membership("7", "Früh-Bird", "expired"),
        shop.subscription("7", next_payment_at=datetime(2026, 2, 1, tzinfo=UTC)),
        shop.subscription("8", "on-hold"),
        shop.order(subscription_key=None),
    )
    app.drain()
    person = klaviyo.person("c12@shop.test")
    assert person.attributes["phone_number"] == "+4915123456789"
    assert person.location == {"address1": "Ring 1", "city": "Köln", "country": "DE"}
    assert person.properties == {
        "woo_customer_id": "12",
        "woo_order_count": 1,
        "woo_total_spent": 14.5,
        "woo_last_order_at": "2025-12-31T08:00:00Z",
        "woo_is_member": True,
        "woo_active_plans": ["gold"],
        "woo_membership_states": ["fr_h_bird:expired", "gold:active", "silver:paused"],
        "woo_plan_gold_status": "active",
        "woo_plan_gold_since": "2025-05-01T00:00:00Z",
        "woo_plan_gold_product": "Gold year",
        "woo_plan_silver_status": "paused",
        "woo_plan_silver_since": "2025-05-01T00:00:00Z",
        "woo_plan_silver_product": "Silver year",
        "woo_plan_fr_h_bird_status": "expired",
        "woo_plan_fr_h_bird_since": "2025-05-01T00:00:00Z",
        "woo_plan_fr_h_bird_product": "Früh-Bird year",
        "woo_subscription_states": ["active", "on-hold"],
        "woo_active_subscription_count": 1,
        "woo_active_subscription_products": ["Gold year"],
        "woo_payment_failing": False,
        "woo_next_renewal_at": "2026-02-01T00:00:00Z",
        "woo_next_renewal_product": "Gold year",
        "woo_subscriptions": person.properties["woo_subscriptions"],
    }
    assert [s["status"] for s in person.properties["woo_subscriptions"]] == ["active", "on-hold"]
    assert person.properties["woo_subscriptions"][0]["total"] == 120


def test_a_plan_that_vanishes_takes_its_properties_along(start, shop, klaviyo):
    app = start("profiles", settings={"prefix": "club_"})
    app.emit(shop.customer(), shop.membership("5", "gold"), shop.membership("6", "silver"))
    app.drain()
    person = klaviyo.person("c12@shop.test")
    assert "club_plan_silver_status" in person.properties
    app.emit(Change(entity="membership", key="6", op="delete", version=99))
    app.settle_down()
    assert not [name for name in person.properties if "silver" in name]
    assert person.properties["club_active_plans"] == ["gold"]


def test_nothing_is_sent_when_nothing_changed(start, shop, klaviyo):
    app = start("profiles")
    app.emit(shop.customer(), shop.membership(), shop.subscription(), shop.order())
    app.drain()
    before = len(klaviyo.requests)
    app.emit(shop.customer(), shop.membership(), shop.subscription(), shop.order(), bulk=True)
    app.settle_down()
    assert len(klaviyo.requests) == before


def test_a_bad_phone_is_not_sent_again_and_again(start, shop, klaviyo):
    app = start("profiles")
    app.emit(shop.customer(phone="12"))
    app.drain()
    before = len(klaviyo.requests)
    app.emit(shop.customer(phone="12"), bulk=True)
    app.settle_down()
    assert len(klaviyo.requests) == before
    (link,) = app.app.store.links("profiles")
    assert link.left_out == {"phone_number": "not a valid number in E.164 form"}


def test_an_address_change_follows_the_person(start, shop, klaviyo):
    app = start("profiles")
    app.emit(shop.customer(email="old@shop.test"))
    app.drain()
    app.emit(shop.customer(email="new@shop.test"))
    app.drain()
    assert [p.attributes["email"] for p in klaviyo.store.people.values()] == ["new@shop.test"]


def test_a_test_address_is_parked_with_its_reason(start, shop, klaviyo):
    app = start("profiles")
    app.emit(shop.customer(email="x@example.com"))
    app.drain()
    (parked,) = app.deliveries(state="parked")
    assert "test domain" in parked.error


def test_an_opt_out_travels_at_once_and_a_resync_does_not(start, shop, klaviyo):
    app = start("profiles")
    app.emit(shop.customer(accepts_marketing=True), bulk=True)
    app.settle_down()
    person = klaviyo.person("c12@shop.test")
    assert person.consent == "NEVER_SUBSCRIBED"
    app.emit(shop.customer(accepts_marketing=False))
    app.drain()
    assert person.consent == "UNSUBSCRIBED"


# -- bulk, killed


def test_all_members_go_in_one_job_and_a_kill_before_collection_submits_nothing_twice(start, shop, klaviyo, crash):
    app = start("profiles")
    klaviyo.refuse = {"c7@shop.test": ("invalid", "no")}
    klaviyo.polls_until_done = None
    changes = [c for n in range(400) for c in (shop.customer(str(n)), shop.membership(str(n), owner=str(n)))]
    app.emit(*changes, bulk=True)
    app.drain()
    assert app.states() == {"submitted": 400}
    crash(app)
    # No process starts within the second of another's death; each asks whose account it is, once a second at most.
    app.clock.advance(timedelta(seconds=2))
    app.drain()
    klaviyo.finish_jobs()
    app.settle_down(timedelta(minutes=10))
    assert len(klaviyo.jobs) == 1
    assert app.states() == {"done": 399, "parked": 1}
    (parked,) = app.deliveries(state="parked")
    assert parked.key == "7"
    assert klaviyo.throttled == 0


def test_a_kill_before_core_learns_of_the_job_submits_nothing_twice(start, shop, klaviyo, crash, monkeypatch):
    app = start("profiles")

    class Killed(BaseException):
        pass

    def die(*_, **__):
        raise Killed

    app.emit(*[shop.customer(str(n)) for n in range(300)], bulk=True)
    with monkeypatch.context() as patch:
        patch.setattr(type(app.app.store), "settle", die)
        patch.setattr(type(app.app.store), "release", lambda *_, **__: 0)
        with pytest.raises(Killed):
            app.drain()
    crash(app)
    app.settle_down(timedelta(minutes=30))
    assert len(klaviyo.jobs) == 1
    assert app.states() == {"done": 300}


def test_an_opt_out_is_told_within_seconds_of_klaviyo_being_back(start, shop, klaviyo, clock):
    app = start("profiles")
    app.emit(shop.customer(accepts_marketing=True))
    app.drain()
    klaviyo.fail_always(Fault.status(503))
    app.emit(shop.customer("13"))
    for _ in range(60):
        app.advance(timedelta(minutes=1))
    app.emit(shop.customer(accepts_marketing=False))
    app.drain()
    klaviyo.clear_faults()
    for _ in range(10):
        app.advance(timedelta(seconds=1))
    assert klaviyo.person("c12@shop.test").consent == "UNSUBSCRIBED"
