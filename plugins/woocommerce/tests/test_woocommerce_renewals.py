"""Renewal payments: each attempt told once, with its number, reason and dates, whatever the shop's retry setting."""

from datetime import datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synccore_woocommerce.changes.attempts import History, Sight


def facts(changes):
    """Event id -> what it says; the first word on a fact counts, as in core."""
    told = {}
    for change in changes:
        if change.entity == "payment":
            data = change.data
            told.setdefault(
                change.event_id.split(":", 1)[1], (data.succeeded, data.attempt, data.reason, data.retry_at)
            )
    return told


@pytest.fixture(params=["webhook", "poll"])
def learn(request, listening, ears, client):
    """What is learnt of payments since the last time, by webhook or by poll."""
    place = {"cursor": None}

    def ask():
        listening.run_queue()
        heard = ears.take()
        if request.param == "webhook":
            return [c for c in heard if c.entity == "payment"]
        changes, place["cursor"] = client.listed("payment", place["cursor"])
        return changes

    if request.param == "poll":
        listening.hooks.all.clear()
    return ask


def test_with_automatic_retry_nobody_ever_sees_failed(listening, learn, clock):
    """The retry rule moves the order on in the same request; its meta data and the subscription tell."""
    listening.shop.retry_hours = (12, 24)
    box = listening.subscribe(listening.add_customer("ada@shop.test"))
    told = learn()
    clock.advance(timedelta(days=30))
    start = clock.now()
    order = listening.renew(box, paid=False, reason="Payment failed: card declined")
    assert listening.shop.orders[order]["status"] == "pending", "the stand-in is kinder than Subscriptions"
    told += learn()
    clock.advance(timedelta(hours=12))
    listening.retry_renewal(order, paid=False, reason="Insufficient funds")
    told += learn()
    clock.advance(timedelta(hours=24))
    listening.retry_renewal(order, paid=False, reason="Card expired")
    assert listening.shop.orders[order]["status"] == "failed", "there is no rule left"
    told += learn()
    clock.advance(timedelta(days=2))
    listening.retry_renewal(order, paid=True)
    told += learn()
    assert facts(told) == {
        "failed:1": (False, 1, "Payment failed: card declined", start + timedelta(hours=12)),
        "failed:2": (False, 2, "Insufficient funds", start + timedelta(hours=36)),
        "failed:3": (False, 3, "Card expired", None),
        "paid": (True, 4, None, None),
    }


def test_without_automatic_retry(listening, learn, clock):
    box = listening.subscribe(listening.add_customer("ada@shop.test"))
    told = learn()
    order = listening.renew(box, paid=False, reason="card declined")
    told += learn()
    clock.advance(timedelta(hours=1))
    listening.edit_order(order, status="pending")
    told += learn()
    clock.advance(timedelta(hours=1))
    listening.retry_renewal(order, paid=False, reason="card expired")
    told += learn()
    clock.advance(timedelta(hours=1))
    listening.retry_renewal(order, paid=True)
    told += learn()
    assert facts(told) == {
        "failed:1": (False, 1, "card declined", None),
        "failed:2": (False, 2, "card expired", None),
        "paid": (True, 3, None, None),
    }


@pytest.mark.parametrize("hours", [None, (12,)], ids=["no retry", "a retry that is due still"])
def test_a_paid_renewal_that_is_put_on_hold_by_hand_failed_once(listening, learn, clock, hours):
    """The mark of the failure stays at the order for good, and who completes it by hand leaves the retry where it is;
    the date of the payment says that it is over."""
    listening.shop.retry_hours = hours
    box = listening.subscribe(listening.add_customer("ada@shop.test"))
    told = learn()
    order = listening.renew(box, paid=False)
    told += learn()
    for status in ("completed", "on-hold", "pending"):
        clock.advance(timedelta(hours=1))
        listening.edit_order(order, status=status)
        told += learn()
    assert facts(told).keys() == {"failed:1", "paid"}


@pytest.mark.parametrize("status", ["on-hold", "pending"])
def test_a_failed_renewal_that_is_cancelled_and_taken_up_again_by_hand_failed_once(listening, learn, clock, status):
    """The mark of the failure stays as well; only another failure, or another retry, is news."""
    box = listening.subscribe(listening.add_customer("ada@shop.test"))
    told = learn()
    order = listening.renew(box, paid=False)
    told += learn()
    for one in ("cancelled", status, "cancelled", status):
        clock.advance(timedelta(hours=1))
        listening.edit_order(order, status=one)
        told += learn()
    assert facts(told).keys() == {"failed:1"}
    listening.retry_renewal(order, paid=False)
    told += learn()
    assert facts(told).keys() == {"failed:1", "failed:2"}


@pytest.mark.parametrize("status", ["on-hold", "cancelled", "pending", "refunded"])
def test_a_renewal_that_was_paid_and_moved_on_before_anybody_looked_was_paid(listening, learn, status):
    """The date of the payment is the fact; the status is what became of the order."""
    box = listening.subscribe(listening.add_customer("ada@shop.test"))
    told = learn()
    order = listening.renew(box)
    listening.edit_order(order, status=status)
    told += learn()
    assert facts(told) == {"paid": (True, 1, None, None)}


def test_a_renewal_saved_again_while_it_waits_failed_once(listening, learn, clock):
    listening.shop.retry_hours = (12,)
    box = listening.subscribe(listening.add_customer("ada@shop.test"))
    order = listening.renew(box, paid=False)
    told = learn()
    for _ in range(3):
        clock.advance(timedelta(minutes=7))
        listening.edit_order(order, meta_data=[{"key": "seen", "value": str(clock.now())}])
        told += learn()
    assert list(facts(told)) == ["failed:1"]


def test_a_payment_says_which_renewal_it_is_and_when_the_next_is_due(listening, learn, clock):
    box = listening.subscribe(listening.add_customer("ada@shop.test"))
    told = []
    for _ in range(3):
        clock.advance(timedelta(days=30))
        listening.renew(box)
        told += learn()
    numbers = {c.key: c.data.renewal_number for c in told if c.entity == "payment"}
    assert list(numbers.values()) == [1, 2, 3]
    due = listening.shop.subscriptions[box]["next_payment_date_gmt"]
    assert {c.data.next_payment_at.replace(tzinfo=None) for c in told if c.entity == "payment"} == {
        datetime.fromisoformat(due)
    }


def test_an_old_failure_sent_again_is_no_new_one(listening, ears, clock, replay):
    box = listening.subscribe(listening.add_customer("ada@shop.test"))
    order = listening.renew(box, paid=False)
    listening.run_queue()
    told = ears.take()
    failed = [r for r in ears.received if b"order" in r.headers["x-wc-webhook-topic"].encode()][-1]
    clock.advance(timedelta(hours=1))
    listening.retry_renewal(order, paid=True)
    listening.run_queue()
    told += ears.take()
    for _ in range(3):
        told += replay(failed)
    assert list(facts(told)) == ["failed:1", "paid"]
    assert all(c.late_ok and c.version for c in told if c.entity == "payment")


def test_a_renewal_of_an_account_that_is_gone_is_told_of_nobody(listening, client, clock):
    """A target that makes a person of every payment would bring them back."""
    ada = listening.add_customer("ada@shop.test")
    box = listening.subscribe(ada)
    client.listed("customer")
    _, cursor = client.listed("payment")
    clock.advance(timedelta(hours=1))
    listening.renew(box, paid=False)
    listening.delete_customer(ada)
    assert client.source.fetch("customer", str(ada)) is None
    assert client.listed("payment", cursor)[0] == []


def test_a_failure_that_was_over_before_anybody_looked_is_told_all_the_same(listening, ears, client, clock):
    """The webhook's body is all there is of it."""
    box = listening.subscribe(listening.add_customer("ada@shop.test"))
    order = listening.renew(box, paid=False, reason="card declined")
    listening.run_queue()
    clock.advance(timedelta(seconds=1))
    listening.retry_renewal(order, paid=True)
    assert facts(ears.take()) == {
        "failed:1": (False, 1, "card declined", None),
        "paid": (True, 2, None, None),
    }


def test_a_subscription_says_when_it_is_tried_again(listening, client, clock):
    listening.shop.retry_hours = (12,)
    box = listening.subscribe(listening.add_customer("ada@shop.test"))
    assert client.all("subscription")[-1].data.retry_at is None
    listening.renew(box, paid=False)
    (change,) = [c for c in client.all("subscription") if c.entity == "subscription"]
    assert change.data.retry_at == clock.now() + timedelta(hours=12)


# -- the history behind it


KINDS = st.lists(st.sampled_from(["failed", "waiting", ""]), min_size=1, max_size=8)


def lived(kinds):
    """What a renewal went through: (version, kind, retry), as seen; a wait follows a failure of its own."""
    sights, retry = [], 0
    for version, kind in enumerate(kinds):
        retry += kind == "waiting"
        sights.append(Sight(version=version, kind=kind, retry=f"r{retry:03}" if kind == "waiting" else ""))
    return sights


def count(history):
    return len(history.failures)


@settings(deadline=None)
@given(KINDS, st.randoms())
def test_seen_again_in_any_order_nothing_is_counted_twice(kinds, random):
    sights = lived(kinds)
    history = History()
    for sight in sights:
        history = history.seen(sight)
    before = count(history)
    again = [random.choice(sights) for _ in range(12)]
    for sight in again:
        history = history.seen(sight)
    assert count(history) == before
    assert History.from_json(history.to_json()) == history


HELD = [("failed", 1), ("", 2), ("waiting", 3)]


@pytest.mark.parametrize("order", list(permutations(HELD)))
def test_a_hold_that_comes_late_or_early_invents_no_failure(order):
    history = History()
    for kind, version in order:
        history = history.seen(Sight(version=version, kind=kind))
    assert [f.number for f in history.failures if f.at] == [1]


CANCELLED = [
    Sight(version=1, kind="waiting", retry="r1"),
    Sight(version=2, kind=""),
    Sight(version=3, kind="waiting", retry="r1"),
]


@pytest.mark.parametrize("order", list(permutations(CANCELLED)))
def test_who_waits_for_the_same_retry_after_they_were_cancelled_failed_once(order):
    history = History()
    for sight in order:
        history = history.seen(sight)
    assert count(history) == 1


@pytest.mark.parametrize("order", list(permutations([*CANCELLED, Sight(version=4, kind="waiting", retry="r2")])))
def test_a_wait_for_another_retry_is_another_failure(order):
    history = History()
    for sight in order:
        history = history.seen(sight)
    assert count(history) == 2


def test_an_order_that_is_as_it_was_failed_no_second_time_where_another_one_waits():
    history = History()
    for retry in ("r1", "", "r2"):
        history = history.seen(Sight(version=1, kind="waiting", retry=retry))
    assert count(history) == 1


def test_a_failure_between_two_holds_is_not_lost_where_it_comes_late():
    history = History()
    for kind, version in [*HELD, ("failed", 4), ("", 5), ("waiting", 8), ("failed", 7)]:
        history = history.seen(Sight(version=version, kind=kind))
    assert count(history) == 3


@settings(deadline=None)
@given(st.lists(st.sampled_from(["failed", ""]), min_size=1, max_size=8), st.randoms())
def test_whatever_arrives_first_no_failure_is_invented_and_none_lost(kinds, random):
    sights = lived(kinds)
    shuffled = list(sights)
    random.shuffle(shuffled)
    history = History()
    for sight in shuffled:
        history = history.seen(sight)
    runs = sum(1 for n, kind in enumerate(kinds) if kind == "failed" and (n == 0 or kinds[n - 1] != "failed"))
    assert count(history) == runs
    assert sorted(f.number for f in history.failures) == list(range(1, count(history) + 1))
