"""The whole way, from a change in the shop to Klaviyo's events, through core and the default mappings."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from synccore._daemon.beginning import Beginning
from synccore._verbs.preview import preview
from synccore._verbs.verify import verify
from synccore.entities import Refund
from synccore.testing import Fault


def said_to(klaviyo):
    """What the target was asked beside whose account it is, which each process asks first."""
    return [r for r in klaviyo.requests if r.path != "/api/accounts"]


DAY = timedelta(days=1)


def told(klaviyo, metric=None):
    return [(e["metric"], e["properties"].get("Transition")) for e in klaviyo.events(metric)]


# -- membership events


def test_first_seen_in_a_backfill_is_only_remembered(start, shop, klaviyo):
    app = start("changes", "members")
    app.emit(shop.customer(), shop.membership(), bulk=True)
    app.settle_down()
    assert said_to(klaviyo) == []
    app.emit(shop.membership(status="paused"))
    app.settle_down()
    assert told(klaviyo) == [("Changed Membership Status", "active>paused"), ("Lost Membership", None)]


def test_first_seen_live_is_told(start, shop, klaviyo, clock):
    app = start("changes", "members")
    app.emit(shop.customer(), shop.membership(started_at=datetime(2026, 1, 1, tzinfo=UTC)))
    app.settle_down()
    assert sorted(told(klaviyo), key=str) == [("Became Member", None), ("Changed Membership Status", "new>active")]
    (event,) = klaviyo.events("Changed Membership Status")
    assert event["email"] == "c12@shop.test"
    assert event["properties"] == {
        "PlanKey": "gold",
        "PlanName": "Gold",
        "PlanId": "14",
        "ProductName": "Gold year",
        "MembershipId": "5",
        "StartsAt": "2026-01-01T00:00:00Z",
        "ActivePlans": ["gold"],
        "NewStatus": "active",
        "Transition": "new>active",
        "Store": "shop",
    }


def test_renewal_flapping_sends_the_payment_and_no_status(start, shop, klaviyo, clock):
    app = start("changes", "members", "subscriptions", "payments")
    app.emit(shop.customer(), shop.membership(), shop.subscription(), bulk=True)
    app.settle_down()
    app.emit(shop.membership(status="paused"), shop.subscription(status="on-hold"))
    app.advance(timedelta(seconds=20))
    app.emit(shop.payment())
    app.drain()
    assert told(klaviyo) == [("Renewed Subscription", None)]
    app.emit(shop.membership(status="active"), shop.subscription(status="active"))
    app.settle_down()
    assert told(klaviyo) == [("Renewed Subscription", None)]


def test_beyond_the_delay_both_changes_are_told_in_order(start, shop, klaviyo, clock):
    app = start("changes")
    app.emit(shop.customer(), shop.membership(), bulk=True)
    app.settle_down()
    app.emit(shop.membership(status="paused"))
    happened = clock.now()
    app.advance(timedelta(minutes=6))
    app.emit(shop.membership(status="active"))
    app.advance(timedelta(minutes=6))
    assert told(klaviyo) == [
        ("Changed Membership Status", "active>paused"),
        ("Changed Membership Status", "paused>active"),
    ]
    assert klaviyo.events()[0]["time"] == happened


def test_the_same_change_again_and_again_is_told_each_time(start, shop, klaviyo):
    app = start("changes")
    app.emit(shop.customer(), shop.membership(), bulk=True)
    app.settle_down()
    for status in ("paused", "active") * 3:
        app.emit(shop.membership(status=status))
        app.advance(timedelta(minutes=6))
    assert len(klaviyo.events()) == 6


def test_a_lost_answer_doubles_nothing_though_the_record_moves_on(start, shop, klaviyo, clock):
    app = start("changes")
    app.emit(shop.customer(), shop.membership(), bulk=True)
    app.settle_down()
    klaviyo.fail_next(Fault.commit_then_drop())
    app.emit(shop.membership(status="paused"))
    app.advance(timedelta(minutes=6))
    clock.advance(timedelta(minutes=1))
    app.emit(shop.membership(status="paused", ends_at=clock.now() + DAY))
    app.settle_down()
    assert told(klaviyo) == [("Changed Membership Status", "active>paused")]


def test_leaving_one_of_two_plans_is_no_lost_membership(start, shop, klaviyo):
    app = start("members")
    app.emit(shop.customer(), shop.membership("5", "gold"), shop.membership("6", "silver"), bulk=True)
    app.settle_down()
    app.emit(shop.membership("5", "gold", "cancelled"))
    app.settle_down()
    assert told(klaviyo) == []
    app.emit(shop.membership("6", "silver", "expired"))
    app.settle_down()
    assert told(klaviyo) == [("Lost Membership", None)]
    app.emit(shop.membership("6", "silver", "active"))
    app.settle_down()
    assert told(klaviyo) == [("Lost Membership", None), ("Became Member", None)]


def test_who_never_was_a_member_lost_nothing(start, shop, klaviyo):
    app = start("members")
    app.emit(shop.customer())
    app.settle_down()
    assert said_to(klaviyo) == []


def test_the_time_is_that_of_the_membership(start, shop, klaviyo, clock):
    app = start("members")
    app.emit(shop.customer(), bulk=True)
    app.settle_down()
    clock.advance(DAY)
    happened = clock.now()
    app.emit(shop.membership())
    app.settle_down()
    assert klaviyo.events()[0]["time"] == happened


def test_a_loss_that_no_date_tells_of_is_not_dated_to_the_beginning(start, shop, klaviyo, clock):
    app = start("members")
    app.emit(shop.customer(), shop.membership(updated_at=None), bulk=True)
    clock.advance(timedelta(minutes=1))  # it began before it was read
    app.settle_down()
    clock.advance(30 * DAY)
    happened = clock.now()
    app.emit(shop.membership(status="expired", updated_at=None))
    app.settle_down()
    assert timedelta(0) <= klaviyo.events()[0]["time"] - happened <= timedelta(minutes=5)


def test_a_loss_that_a_date_tells_of_has_it(start, shop, klaviyo, clock):
    app = start("members")
    app.emit(shop.customer(), shop.membership(updated_at=None), bulk=True)
    app.settle_down()
    clock.advance(30 * DAY)
    happened = clock.now() - timedelta(hours=2)
    app.emit(shop.membership(status="cancelled", updated_at=None, cancelled_at=happened))
    app.settle_down()
    assert klaviyo.events()[0]["time"] == happened


def test_a_backfill_tells_the_past_where_the_route_says_so(start, shop, klaviyo):
    app = start("changes", changes={"backfill": True})
    changes = [c for n in range(120) for c in (shop.customer(str(n)), shop.membership(str(n), owner=str(n)))]
    app.emit(*changes, bulk=True)
    app.settle_down()
    events = klaviyo.events()
    assert len(events) == 120
    assert all(e["backfill"] for e in events)
    assert klaviyo.count("POST", "/api/events") == 0


def test_a_single_event_of_the_past_is_marked_too(start, shop, klaviyo):
    app = start("changes", changes={"backfill": True})
    app.emit(shop.customer(), shop.membership(), bulk=True)
    app.settle_down()
    assert klaviyo.count("POST", "/api/events") == 1
    assert klaviyo.events()[0]["backfill"]


# -- subscriptions and payments


def test_the_life_of_a_subscription(start, shop, klaviyo, clock):
    app = start("subscriptions")
    app.emit(shop.customer())
    for status in ("pending", "active", "on-hold", "active", "pending-cancel", "cancelled"):
        app.emit(shop.subscription(status=status))
        app.advance(timedelta(minutes=6))
    assert [m for m, _ in told(klaviyo)] == [
        "Started Subscription",
        "Paused Subscription",
        "Reactivated Subscription",
        "Scheduled Subscription Cancellation",
        "Cancelled Subscription",
    ]
    properties = klaviyo.events()[2]["properties"]
    assert (properties["OldStatus"], properties["NewStatus"]) == ("on-hold", "active")
    assert properties["SKUs"] == ["GOLD"]


def test_expiry_is_told(start, shop, klaviyo):
    app = start("subscriptions")
    app.emit(shop.customer(), shop.subscription(), bulk=True)
    app.settle_down()
    app.emit(shop.subscription(status="expired"))
    app.settle_down()
    assert told(klaviyo) == [("Expired Subscription", "active>expired")]


def test_every_attempt_at_a_renewal_is_told_once_and_at_once(start, shop, klaviyo, clock):
    app = start("payments")
    app.emit(shop.customer())
    failed = shop.payment("900:failed:1", succeeded=False, reason="card expired", retry_at=clock.now() + DAY)
    app.emit(failed)
    app.drain()
    clock.advance(DAY)
    paid = shop.payment("900:ok:2", attempt=2, renewal_number=3)
    app.emit(paid, failed)
    app.emit(paid)
    app.drain()
    first, second = klaviyo.events()
    assert (first["metric"], first["value"]) == ("Failed Subscription Renewal", None)
    assert first["properties"]["FailureReason"] == "card expired"
    assert (second["metric"], second["value"], second["value_currency"]) == ("Renewed Subscription", 120, "EUR")
    assert second["properties"]["RenewalNumber"] == 3
    assert second["time"] == clock.now()


def test_a_payment_whose_customer_is_not_known_yet_waits(start, shop, klaviyo):
    app = start("payments")
    app.emit(shop.payment())
    app.drain()
    assert said_to(klaviyo) == []
    assert app.states() == {"ready": 1}
    app.emit(shop.customer())
    app.settle_down()
    assert told(klaviyo) == [("Renewed Subscription", None)]


# -- orders


def test_an_order_is_placed_once_with_its_products_then_fulfilled_and_refunded(start, shop, klaviyo, clock):
    app = start("orders")
    app.emit(shop.customer(), shop.order(status="pending"))
    app.drain()
    assert said_to(klaviyo) == []
    app.emit(shop.order())
    app.drain()
    (placed,) = klaviyo.events("Placed Order")
    assert (placed["value"], placed["value_currency"]) == (14.5, "EUR")
    assert placed["time"] == datetime(2025, 12, 31, 8, tzinfo=UTC)
    assert placed["properties"]["ItemNames"] == ["Mug", "Tea"]
    assert placed["properties"]["DiscountCode"] == "TEA"
    assert placed["unique_id"] == "shop:order:900"
    products = klaviyo.events("Ordered Product")
    assert [(p["properties"]["ProductName"], p["value"], p["unique_id"]) for p in products] == [
        ("Mug", 10, "shop:order:900:1"),
        ("Tea", 4.5, "shop:order:900:2"),
    ]
    sent = klaviyo.count("POST")
    app.emit(shop.order(status="completed", completed_at=clock.now()))
    app.drain()
    assert klaviyo.count("POST") == sent + 1
    app.emit(
        shop.order(
            status="completed",
            completed_at=clock.now(),
            refunds=(Refund(key="1", amount=Decimal("4.50"), reason="cold"),),
        )
    )
    app.drain()
    (refund,) = klaviyo.events("Refunded Order")
    assert (refund["value"], refund["properties"]["Reason"]) == (4.5, "cold")
    app.emit(
        shop.order(
            status="refunded", refunds=(Refund(key="1", amount=Decimal("4.50")), Refund(key="2", amount=Decimal(10)))
        )
    )
    app.drain()
    assert [e["metric"] for e in klaviyo.events()] == [
        "Placed Order",
        "Ordered Product",
        "Ordered Product",
        "Fulfilled Order",
        "Refunded Order",
        "Refunded Order",
    ]
    assert "Reason" not in klaviyo.events()[-1]["properties"]


def test_a_cancelled_order_is_told_if_it_was_placed(start, shop, klaviyo):
    app = start("orders")
    app.emit(shop.customer(), shop.order("1"), shop.order("2", status="pending"))
    app.drain()
    app.emit(shop.order("1", status="cancelled"), shop.order("2", status="cancelled"))
    app.drain()
    (event,) = klaviyo.events("Cancelled Order")
    assert event["properties"]["OrderId"] == "1"


@pytest.mark.parametrize(
    ("status", "then"), [("completed", ["Fulfilled Order"]), ("cancelled", ["Cancelled Order"]), ("on-hold", [])]
)
def test_an_order_that_changed_before_anything_was_told_was_placed_all_the_same(
    start, shop, klaviyo, clock, status, then
):
    """Since the route is at work; one of before begins where it was."""
    app = start("orders")
    Beginning(app.app, "shop")
    app.emit(shop.customer())
    app.drain()
    clock.advance(timedelta(seconds=1))
    placed_at = {"900": clock.now(), "800": datetime(2025, 12, 31, 8, tzinfo=UTC)}
    klaviyo.fail_always(Fault.status(503))
    app.emit(*(shop.order(key=key, created_at=at) for key, at in placed_at.items()))
    app.drain()
    assert app.states()["ready"] == 2
    klaviyo.clear_faults()
    app.emit(*(shop.order(key=key, status=status, created_at=at) for key, at in placed_at.items()))
    app.settle_down()
    told = {key: [e["metric"] for e in klaviyo.events() if e["properties"]["OrderId"] == key] for key in placed_at}
    assert told == {"900": ["Placed Order", "Ordered Product", "Ordered Product", *then], "800": then}


def test_an_order_that_was_half_told_and_goes_to_somebody_else_is_placed_once(start, shop, klaviyo, clock):
    """What was told is never taken back: with the other one as well, its revenue would count twice."""
    app = start("orders")
    Beginning(app.app, "shop")
    app.emit(shop.customer(), shop.customer("13"))
    app.drain()
    clock.advance(timedelta(seconds=1))
    placed_at = clock.now()
    klaviyo.fail_next(Fault.status(503, when=lambda request: b"Tea" in request.body and b"Ordered" in request.body))
    app.emit(shop.order(created_at=placed_at))
    app.drain()
    app.emit(shop.order(owner="13", created_at=placed_at))
    app.settle_down()
    told = [(e["metric"], e["properties"].get("ProductName"), e["email"]) for e in klaviyo.events()]
    assert told == [
        ("Placed Order", None, "c12@shop.test"),
        ("Ordered Product", "Mug", "c12@shop.test"),
        ("Ordered Product", "Tea", "c13@shop.test"),
    ]
    app.emit(shop.order(owner="13", status="completed", created_at=placed_at))
    app.settle_down()
    assert [e["email"] for e in klaviyo.events("Fulfilled Order")] == ["c13@shop.test"]
    assert len(klaviyo.events()) == 4


def test_renewals_carry_no_value_beside_commerce_events(start, shop, klaviyo):
    app = start("orders", "payments")
    app.emit(shop.customer(), shop.payment())
    app.drain()
    assert klaviyo.events("Renewed Subscription")[0]["value"] is None


def test_a_preview_says_what_is_only_remembered(start, shop, klaviyo):
    app = start("changes")
    app.emit(shop.customer(), shop.membership())
    found = preview(app.app, "changes", "5")
    assert found.expected == (
        "would send Changed Membership Status gold new>active; in a backfill: remembered only, as the state to compare"
        " with: the past sends no event"
    )
    assert said_to(klaviyo) == []


def test_events_are_never_called_read_back(start, shop, klaviyo):
    app = start("changes")
    app.emit(shop.customer(), shop.membership())
    app.settle_down()
    assert len(klaviyo.events()) == 1
    klaviyo.store.events.clear()
    proof = verify(app.app, "changes")
    assert (proof.ok, proof.proved, proof.sampled) == (True, False, 0)


def test_the_trail_says_what_changed(start, shop, klaviyo):
    app = start("changes", "members")
    app.emit(shop.customer(), shop.membership(), bulk=True)
    app.settle_down()
    app.emit(shop.membership(status="paused"))
    app.settle_down()
    notes = {e.note for e in app.history() if e.outcome == "delivered"}
    assert {"Changed Membership Status gold active>paused", "Lost Membership"} <= notes
