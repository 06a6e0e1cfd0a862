"""The whole way, from a change in the shop to what Klaviyo holds, through core and the default mappings."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from synccore.entities import (
    Address,
    Coupon,
    Customer,
    Membership,
    Order,
    OrderLine,
    Payment,
    Refund,
    Subscription,
)
from synccore.testing import Fault, Harness, upsert
from synccore.types import Change, EntityRef
from synccore_klaviyo.filters import FILTERS
from synccore_klaviyo.sink import SINK

ROUTES = {
    "profiles": {"entity": "customer", "object": "profile"},
    "changes": {"entity": "membership", "object": "event"},
    "members": {"entity": "customer", "object": "event"},
    "subscriptions": {"entity": "subscription", "object": "event"},
    "payments": {"entity": "payment", "object": "event"},
    "orders": {"entity": "order", "object": "event"},
}
ENTITIES = ["customer", "order", "membership", "subscription", "payment"]
DAY = timedelta(days=1)


@pytest.fixture
def start(tmp_path, klaviyo, clock):
    """Starts an app with some of the routes."""
    apps = []

    def make(*names, settings=None, limits=None, **options):
        routes = {n: {"sink": "marketing", **ROUTES[n], **options.get(n, {})} for n in names}
        table = {"api_key": klaviyo.key, "api_url": klaviyo.url, **(settings or {})}
        if "orders" in names:
            table.setdefault("commerce_events", True)
        apps.append(
            Harness(
                tmp_path,
                routes,
                sink_types={"marketing": (SINK, table)},
                source_table={"entities": ENTITIES},
                clock=clock,
                filters=FILTERS,
            )
        )
        return apps[-1]

    yield make
    for app in apps:
        app.close()


@pytest.fixture
def crash():
    """Kills an app and starts it again; the dead one's connections are closed when the test is over."""
    dead = []

    def make(app):
        dead.append(app.app)
        app.crash()

    yield make
    for app in dead:
        app.close()


class Shop:
    """Says what changed, with the clock's time and a version that grows."""

    def __init__(self, clock):
        self.clock = clock
        self.version = 0

    def _change(self, record, owner, **values):
        self.version += 1
        return upsert(record, version=self.version, owner=owner, at=self.clock.now(), **values)

    def customer(self, key="12", **values):
        values = {"email": f"c{key}@shop.test", "first_name": "Anna", "updated_at": self.clock.now(), **values}
        return self._change(Customer(key=key, **values), None)

    def membership(self, key="5", plan="gold", status="active", owner="12", **values):
        return self._change(
            Membership(
                key=key,
                status=status,
                plan_key=f"1{len(plan)}",
                plan_slug=plan,
                plan_name=plan.title(),
                product_name=f"{plan.title()} year",
                customer_key=owner,
                started_at=datetime(2025, 5, 1, tzinfo=UTC),
                **{"updated_at": self.clock.now(), **values},
            ),
            owner,
        )

    def subscription(self, key="7", status="active", owner="12", **values):
        line = OrderLine(key="1", name="Gold year", sku="GOLD", total=Decimal("120.00"))
        defaults = {"lines": (line,), "billing_period": "year", "billing_interval": 1}
        return self._change(
            Subscription(
                key=key,
                status=status,
                currency="EUR",
                total=Decimal("120.00"),
                customer_key=owner,
                **(defaults | values),
            ),
            owner,
        )

    def payment(self, key="900:ok:1", succeeded=True, owner="12", **values):
        payment = Payment(
            key=key,
            succeeded=succeeded,
            amount=Decimal("120.00"),
            currency="EUR",
            at=self.clock.now(),
            customer_key=owner,
            subscription_key="7",
            order_key="900",
            **values,
        )
        return Change(
            entity="payment",
            key=key,
            op="event",
            data=payment,
            event_id=key,
            at=self.clock.now(),
            owner=EntityRef("customer", owner),
        )

    def order(self, key="900", status="processing", owner="12", **values):
        lines = (
            OrderLine(key="1", name="Mug", sku="MUG", quantity=Decimal(2), price=Decimal(5), total=Decimal("10.00")),
            OrderLine(key="2", name="Tea", product_key="77", total=Decimal("4.50"), categories=("Drinks",)),
        )
        defaults = {
            "number": key,
            "lines": lines,
            "total": Decimal("14.50"),
            "currency": "EUR",
            "created_at": datetime(2025, 12, 31, 8, tzinfo=UTC),
            "coupons": (Coupon(code="TEA"),),
            "billing": Address(first_name="Anna", city="Köln", country="DE"),
        }
        return self._change(Order(key=key, status=status, customer_key=owner, **(defaults | values)), owner)


@pytest.fixture
def shop(clock):
    return Shop(clock)


def told(klaviyo, metric=None):
    return [(e["metric"], e["properties"].get("Transition")) for e in klaviyo.events(metric)]


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
    app.drain()
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
    assert any("phone_number left out" in (entry.note or "") for entry in app.history())


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


# -- membership events


def test_first_seen_in_a_backfill_is_only_remembered(start, shop, klaviyo):
    app = start("changes", "members")
    app.emit(shop.customer(), shop.membership(), bulk=True)
    app.settle_down()
    assert klaviyo.requests == []
    app.emit(shop.membership(status="paused"))
    app.settle_down()
    assert told(klaviyo) == [("Changed Membership Status", "active>paused"), ("Lost Membership", None)]


def test_first_seen_live_is_told(start, shop, klaviyo, clock):
    app = start("changes", "members")
    app.emit(shop.customer(), shop.membership())
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
        "StartsAt": "2025-05-01T00:00:00Z",
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
    assert klaviyo.requests == []


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
    app.settle_down()
    clock.advance(30 * DAY)
    happened = clock.now()
    app.emit(shop.membership(status="expired", updated_at=None))
    app.settle_down()
    assert klaviyo.events()[0]["time"] - happened <= timedelta(minutes=5)


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
    assert klaviyo.requests == []
    assert app.states() == {"ready": 1}
    app.emit(shop.customer())
    app.settle_down()
    assert told(klaviyo) == [("Renewed Subscription", None)]


# -- orders


def test_an_order_is_placed_once_with_its_products_then_fulfilled_and_refunded(start, shop, klaviyo, clock):
    app = start("orders")
    app.emit(shop.customer(), shop.order(status="pending"))
    app.drain()
    assert klaviyo.requests == []
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
    app.emit(shop.order(status="completed", completed_at=clock.now()))
    app.drain()
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


def test_a_cancelled_order_is_told_if_it_was_placed(start, shop, klaviyo):
    app = start("orders")
    app.emit(shop.customer(), shop.order("1"), shop.order("2", status="pending"))
    app.drain()
    app.emit(shop.order("1", status="cancelled"), shop.order("2", status="cancelled"))
    app.drain()
    (event,) = klaviyo.events("Cancelled Order")
    assert event["properties"]["OrderId"] == "1"


def test_renewals_carry_no_value_beside_commerce_events(start, shop, klaviyo):
    app = start("orders", "payments")
    app.emit(shop.customer(), shop.payment())
    app.drain()
    assert klaviyo.events("Renewed Subscription")[0]["value"] is None


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
