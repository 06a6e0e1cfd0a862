"""Filters: pure, and flat enough to be segmented on."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synccore.entities import Address, Customer, Membership, Order, OrderLine, Payment, Subscription
from synccore_klaviyo.mapping import filters
from synccore_klaviyo.plans import by_slug

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STATUSES = ["active", "free_trial", "delayed", "complimentary", "pending", "paused", "expired", "cancelled"]


def membership(key="1", plan="gold", status="active", **values):
    return Membership(key=key, status=status, plan_key="9", plan_slug=plan, **values)


def subscription(key="1", status="active", **values):
    return Subscription(key=key, status=status, currency="EUR", total=Decimal("10.00"), **values)


MEMBERSHIPS = st.lists(
    st.builds(
        membership,
        key=st.integers(1, 99).map(str),
        plan=st.sampled_from(["gold", "silver", "Früh-Bird", "a b"]),
        status=st.sampled_from(STATUSES),
        started_at=st.none() | st.integers(0, 900).map(lambda d: NOW - timedelta(days=d)),
    ),
    max_size=8,
    unique_by=lambda m: m.key,
)


@given(MEMBERSHIPS, st.randoms())
def test_the_order_of_what_came_in_does_not_show(found, random):
    shuffled = list(found)
    random.shuffle(shuffled)
    one, other = (filters.profile(Customer(key="1"), "woo_", m, [], []) for m in (found, shuffled))
    assert json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(MEMBERSHIPS)
def test_plans_agree_with_one_another(found):
    state = filters.profile(Customer(key="1"), "", found)
    assert state["is_member"] == any(m.grants_access for m in found) == bool(state["active_plans"])
    assert state["active_plans"] == sorted(set(state["active_plans"]))
    tokens = [
        f"{name.removeprefix('plan_').removesuffix('_status')}:{value}"
        for name, value in state.items()
        if name.endswith("_status")
    ]
    assert sorted(tokens) == state["membership_states"]


@given(MEMBERSHIPS)
def test_only_the_list_for_templates_is_nested(found):
    state = filters.profile(Customer(key="1"), "", found, [subscription()], [])
    for name, value in state.items():
        flat = isinstance(value, str | bool | int | float) or all(isinstance(v, str) for v in value)
        assert flat or name == "subscriptions"


def test_one_plan_held_twice_counts_where_it_lets_in():
    state = filters.profile(
        Customer(key="1"), "", [membership("1", status="cancelled"), membership("2", status="paused"), membership("3")]
    )
    assert state["plan_gold_status"] == "active"
    assert state["membership_states"] == ["gold:active"]


def test_a_plan_without_slug_goes_by_its_id():
    assert by_slug(Membership(key="1", status="active", plan_key="42")) == "plan_42"


def test_what_is_not_included_says_nothing():
    assert filters.profile(Customer(key="1"), "woo_") == {"woo_customer_id": "1"}


def test_the_next_renewal_is_the_earliest_of_those_that_renew():
    later, sooner, ending, undated = (
        subscription("1", next_payment_at=NOW + timedelta(days=9), lines=(OrderLine(key="1", name="Tea"),)),
        subscription("2", next_payment_at=NOW + timedelta(days=2), lines=(OrderLine(key="1", name="Mug"),)),
        subscription("3", "pending-cancel", next_payment_at=NOW + timedelta(days=1)),
        subscription("4"),
    )
    state = filters.profile(Customer(key="1"), "", None, [later, sooner, ending, undated])
    assert state["next_renewal_at"] == "2026-01-03T00:00:00Z"
    assert state["next_renewal_product"] == "Mug"
    assert state["active_subscription_count"] == 4
    assert state["active_subscription_products"] == ["Mug", "Tea"]


def failed_order(at):
    return Order(
        key="1", number="1", status="failed", currency="EUR", total=Decimal(1), subscription_key="1", created_at=at
    )


@pytest.mark.parametrize(
    ("status", "paid", "failed", "failing"),
    [
        ("active", NOW, None, False),
        ("on-hold", NOW - timedelta(days=30), NOW, True),
        ("active", NOW, NOW - timedelta(days=1), False),
        ("cancelled", NOW - timedelta(days=30), NOW, False),
    ],
)
def test_a_failing_payment_shows_until_it_is_paid_or_over(status, paid, failed, failing):
    orders = [failed_order(failed)] if failed else []
    state = filters.profile(Customer(key="1"), "", None, [subscription(status=status, last_payment_at=paid)], orders)
    assert state["payment_failing"] is failing
    assert ("last_renewal_failed_at" in state) is (failed is not None)


def test_without_orders_and_payments_only_a_planned_retry_tells_that_one_failed():
    well, failing = subscription("1"), subscription("2", "on-hold", retry_at=NOW)
    assert "payment_failing" not in filters.profile(Customer(key="1"), "", None, [well])
    state = filters.profile(Customer(key="1"), "", None, [well, failing])
    assert (state["payment_failing"], state["payment_retry_at"]) == (True, "2026-01-01T00:00:00Z")
    # While another attempt is planned the order of the failed one waits: no order says "failed".
    assert filters.profile(Customer(key="1"), "", None, [well, failing], [])["payment_failing"]


def test_payments_count_where_they_are_included():
    payment = Payment(key="1", succeeded=False, amount=Decimal(1), currency="EUR", at=NOW)
    state = filters.profile(Customer(key="1"), "", None, [subscription("1", "on-hold")], [], [payment])
    assert state["payment_failing"]
    assert state["last_renewal_failed_at"] == "2026-01-01T00:00:00Z"


def test_the_list_for_templates_is_short_and_starts_with_what_is_active():
    many = [subscription(str(n), "cancelled") for n in range(30)] + [subscription("x")]
    state = filters.profile(Customer(key="1"), "", None, many)
    assert len(state["subscriptions"]) == 20
    assert state["subscriptions"][0]["id"] == "x"
    assert state["subscriptions"][0]["total"] == 10


def test_the_first_address_that_is_there_counts():
    owner = Customer(key="1", email=None, billing=Address(email=" A@Shop.test "))
    payment = Payment(key="1", succeeded=True, amount=Decimal(1), currency="EUR", at=NOW, email="b@shop.test")
    assert filters.email(owner, payment) == "a@shop.test"
    assert filters.email(None, payment) == "b@shop.test"
    assert filters.email(None, None) is None


def test_an_address_without_parts_is_none():
    assert filters.location(Address()) is None
    assert filters.location(None) is None
    assert filters.address(Address()) is None


def test_plans_of_a_subscription():
    held = [membership("1", "gold", subscription_key="7"), membership("2", "silver")]
    assert filters.plans_of(held, "7") == ["gold"]
    assert filters.plans_of(held, None) == []
