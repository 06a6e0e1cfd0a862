"""What arrives late or twice changes nothing."""

from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ....entities import guest_key
from ....store import DirtyRule, LinkUpdate
from .desk import Desk, NewOutbox

#: Engines share these rules, so a test runs in several classes; each example begins with an outbox of its own.
_SHARED = (HealthCheck.function_scoped_fixture, HealthCheck.differing_executors)

GUEST = guest_key("guest@shop.test")


def name(desk: Desk, key: Any = "1") -> Any:
    return desk.store.snapshot("shop", "customer", key).data.first_name


def asked(desk: Desk) -> Any:
    """What the shop is to be asked for by now."""
    return desk.store.hints("shop", desk.now, 10)


def _state_of_payment(desk: Desk, version: int | None) -> Any:
    from attrs import evolve

    desk.rules["payment"] = [DirtyRule(route="facts", sink="crm", entity="payment")]
    state = evolve(desk.payment("x"), op="upsert", event_id=None, version=version)
    desk.take(state)
    desk.deliver_all()
    return evolve(state, version=version)


class _Newest:
    """What a shop did, as webhooks: states with versions, facts made from them."""

    def __init__(self, desk: Desk) -> None:
        self.webhooks = [
            (
                desk.customer("1", f"v{n}", version=n),
                desk.payment(f"e{n}", key=f"o{n}", owner="1", version=n, late_ok=True),
            )
            for n in range(1, 6)
        ]


class LateRules:
    """What arrives late or twice changes nothing."""

    @pytest.mark.parametrize("version", [None, 5])
    def test_a_page_that_was_read_before_a_webhook_loses_against_it(self, desk: Desk, version: int | None) -> None:
        desk.take(desk.customer("1", "Old", version=version))
        asked = desk.now
        desk.tick(seconds=5)
        desk.take(desk.customer("1", "New", version=version))
        desk.tick(seconds=5)
        done = desk.take(desk.customer("1", "Old", version=version), read_at=asked, bulk=True)
        assert (done.stale, name(desk)) == (1, "New")

    def test_a_page_that_was_read_after_it_wins(self, desk: Desk) -> None:
        desk.take(desk.customer("1", "Old"))
        desk.tick(seconds=5)
        assert desk.take(desk.customer("1", "New"), read_at=desk.now).accepted == 1
        assert name(desk) == "New"

    def test_a_newer_version_wins_whenever_it_was_read(self, desk: Desk) -> None:
        asked = desk.now
        desk.tick(seconds=5)
        desk.take(desk.customer("1", "A", version=1))
        assert desk.take(desk.customer("1", "B", version=2), read_at=asked).accepted == 1

    @pytest.mark.parametrize("how", ["webhook", "listing", "deletion"])
    def test_what_is_older_by_its_version_alone_is_asked_for(self, desk: Desk, how: str) -> None:
        """The shop's clock may have been set back since. What is known is delivered meanwhile."""
        desk.take(desk.customer("1", "Ahead", version=600))
        desk.tick(minutes=1)
        change = desk.gone("customer", "1", version=60) if how == "deletion" else desk.customer("1", "Now", version=60)
        done = desk.take(change, read_at=desk.now if how == "listing" else None, bulk=how == "listing")
        assert (done.stale, done.hinted, name(desk)) == (1, 1, "Ahead")
        assert [(h.entity, h.key, h.bulk) for h in asked(desk)] == [("customer", "1", False)]
        assert desk.deliver_all() == ["people 1"]
        assert len(desk.store.history(outcomes=["received"])) == 1

    def test_the_answer_to_that_is_believed_and_what_is_known_from_before_comes_back_by_no_webhook(
        self, desk: Desk
    ) -> None:
        ahead, now = desk.customer("1", "Ahead", version=600), desk.customer("1", "Now", version=60)
        desk.take(ahead)
        desk.tick(minutes=1)
        desk.take(now)
        assert desk.take(now, answers=asked(desk), read_at=desk.now).accepted == 1
        assert (name(desk), asked(desk)) == ("Now", [])
        assert desk.deliver_all() == ["people 1"]
        desk.tick(days=1)
        assert (desk.take(ahead).hinted, name(desk)) == (1, "Now")
        assert desk.take(now, answers=asked(desk), read_at=desk.now).unchanged == 1
        # So until its clock has caught up, and then as ever.
        assert desk.take(desk.customer("1", "Next", version=61)).hinted == 1
        assert desk.take(desk.customer("1", "Later", version=700)).accepted == 1

    def test_who_is_gone_since_a_clock_was_set_back_stays_so_whatever_is_sent_again(self, desk: Desk) -> None:
        ahead, now = desk.customer("1", "Ahead", version=600), desk.customer("1", "Now", version=60)
        desk.take(ahead)
        desk.tick(minutes=1)
        desk.take(now)
        desk.take(now, answers=asked(desk), read_at=desk.now)
        desk.take(desk.gone("customer", "1"))
        desk.tick(days=1)
        for late in (now, ahead):
            assert desk.take(late).stale == 1
        assert desk.store.snapshot("shop", "customer", "1").deleted

    def test_a_webhook_that_is_sent_again_costs_a_question_and_changes_nothing(self, desk: Desk) -> None:
        desk.take(desk.customer("1", "Old", version=1), desk.customer("1", "New", version=2))
        desk.deliver_all()
        desk.tick(days=1)
        for _ in range(3):
            desk.take(desk.customer("1", "Old", version=1))
        (question,) = asked(desk)
        answer = desk.customer("1", "New", version=2)
        assert desk.take(answer, answers=[question], read_at=desk.now).unchanged == 1
        assert (name(desk), asked(desk), desk.claim()) == ("New", [], [])

    def test_nobody_asks_where_nothing_differs_or_it_is_known_to_be_older(self, desk: Desk) -> None:
        read_at = desk.now
        desk.tick(seconds=1)
        values: dict[str, Any] = {"email": "guest@shop.test", "guest": True}
        desk.take(desk.customer("1", "A", version=5), desk.customer(GUEST, "Newer", version=20, **values))
        desk.tick(minutes=1)
        assert desk.take(desk.customer("1", "A", version=4)).hinted == 0
        assert desk.take(desk.customer("1", "Old", version=4), read_at=read_at, bulk=True).hinted == 0
        # What an older order says of a guest is no state of theirs.
        assert desk.take(desk.customer(GUEST, "Older", version=10, **values)).hinted == 0

    def test_an_answer_of_a_shop_that_lags_behind_its_own_webhook_is_not_believed(self, desk: Desk) -> None:
        """It is asked once more, when what it told is seen by itself."""
        desk.take(desk.customer("1", "Old", version=1))
        desk.tick(minutes=1)
        desk.take(desk.touch("customer", "1"), desk.customer("1", "New", version=2))
        desk.tick(seconds=2)
        lagging = desk.customer("1", "Old", version=1)
        assert desk.take(lagging, answers=asked(desk), read_at=desk.now).stale == 1
        assert (name(desk), asked(desk)) == ("New", [])
        assert desk.deliver_all() == ["people 1"]
        desk.tick(seconds=8)
        assert desk.take(lagging, answers=asked(desk), read_at=desk.now).accepted == 1

    def test_what_a_page_told_late_is_newer_than_an_answer_that_was_asked_for_meanwhile(self, desk: Desk) -> None:
        desk.take(desk.customer("1", "Old", version=1), desk.touch("customer", "1"))
        desk.tick(minutes=1)
        page_asked, hints = desk.now, asked(desk)
        desk.tick(seconds=11)
        answer_asked = desk.now
        desk.tick(seconds=20)
        desk.take(desk.customer("1", "New", version=2), read_at=page_asked)
        assert desk.take(desk.customer("1", "Old", version=1), answers=hints, read_at=answer_asked).stale == 1
        assert name(desk) == "New"

    def test_a_webhook_that_says_nothing_new_says_since_when_it_is_so(self, desk: Desk) -> None:
        desk.take(desk.customer("1", "New"))
        desk.tick(seconds=5)
        asked = desk.now
        desk.tick(seconds=5)
        assert desk.take(desk.customer("1", "New")).unchanged == 1
        assert desk.take(desk.customer("1", "Old"), read_at=asked, bulk=True).stale == 1

    def test_a_deletion_that_was_concluded_before_a_webhook_is_none(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        asked = desk.now
        desk.tick(seconds=1)
        desk.take(desk.customer("1", "Back"))
        assert desk.take(desk.gone("customer", "1"), read_at=asked).stale == 1
        assert not desk.store.snapshot("shop", "customer", "1").deleted

    def test_a_deletion_is_heard_though_the_clock_was_set_back_since(self, desk: Desk) -> None:
        """What is known was told at a time that is yet to come."""
        desk.take(desk.customer("1"))
        desk.tick(hours=-1)
        assert desk.take(desk.gone("customer", "1"), read_at=desk.now, bulk=True).accepted == 1
        assert desk.store.snapshot("shop", "customer", "1").deleted

    def test_the_last_update_sent_again_after_a_deletion_does_not_bring_the_person_back(self, desk: Desk) -> None:
        last = desk.customer("1", version=5)
        desk.take(last)
        desk.deliver_all()
        desk.take(desk.gone("customer", "1"))
        desk.tick(days=1)
        assert desk.take(last).stale == 1
        assert desk.store.snapshot("shop", "customer", "1").deleted
        # A listing that shows the record after the deletion is no replay.
        assert desk.take(last, read_at=desk.now, bulk=True).accepted == 1

    def test_an_older_order_of_a_guest_does_not_win(self, desk: Desk) -> None:
        values: dict[str, Any] = {"email": "guest@shop.test", "guest": True}
        desk.take(desk.customer(GUEST, "Newer", version=20, **values))
        assert desk.take(desk.customer(GUEST, "Older", version=10, **values)).stale == 1
        assert name(desk, GUEST) == "Newer"

    @pytest.mark.parametrize(("late_ok", "rows"), [(False, []), (True, ["facts e1 event ready"])])
    def test_a_fact_made_from_a_state_that_is_over_is_news_only_where_the_source_says_so(
        self, desk: Desk, late_ok: bool, rows: list[str]
    ) -> None:
        state = _state_of_payment(desk, version=9)
        desk.take(state)
        late = desk.payment("e1", version=3, late_ok=late_ok)
        done = desk.take(late)
        assert (done.accepted, done.stale) == (int(late_ok), int(not late_ok))
        assert desk.rows(route="facts", state="ready")[-1:] == rows or not rows
        # It is known for good: neither a replay nor a backfill makes news of it.
        again = desk.take(late, bulk=True, force=frozenset({"facts"}))
        assert (again.unchanged, again.dirtied) == (1, 0)

    def test_a_fact_of_the_state_that_is_known_is_news(self, desk: Desk) -> None:
        _state_of_payment(desk, version=9)
        assert desk.take(desk.payment("e1", version=9)).accepted == 1

    def test_events_of_one_owner_go_in_order_on_a_route_whatever_they_are_of(self, desk: Desk) -> None:
        desk.take(desk.payment("e1", key="o7", owner="1"), desk.payment("e2", key="o9", owner="1"))
        desk.take(desk.payment("x1", key="o8", owner="2"))
        batch = desk.claim()
        assert [d.event_id for d in batch] == ["e1", "x1"]
        desk.settle(batch[0], "ready", due_at=desk.now + timedelta(minutes=5), counted=True)
        assert desk.claim() == []
        desk.tick(minutes=5)
        assert desk.deliver_all() == ["facts e1", "facts e2"]

    def test_another_route_does_not_wait_for_it(self, desk: Desk) -> None:
        desk.rules["payment"].append(DirtyRule(route="more", sink="crm", entity="payment"))
        desk.take(desk.payment("e1", key="o7", owner="1"), desk.payment("e2", key="o9", owner="1"))
        assert [d.event_id for d in desk.claim()] == ["e1"]
        # The same key waits at the sink; the other order's first event does not, on its own route.
        assert desk.claim([desk.claim_rule("more")]) == []

    def test_a_parked_event_lets_its_owners_later_ones_pass_and_goes_first_when_retried(self, desk: Desk) -> None:
        desk.take(*[desk.payment(f"e{n}", key=f"o{n}", owner="1") for n in (1, 2, 3)])
        first = desk.claim()[0]
        desk.settle(first, "parked", error_kind="rejected", error="no")
        second = desk.claim()[0]
        assert second.event_id == "e2"
        desk.store.retry([first.id], desk.now)
        desk.settle(second, "ready", due_at=desk.now)
        assert desk.deliver_all() == ["facts e1", "facts e2", "facts e3"]

    def test_whose_facts_are_untold_is_known(self, desk: Desk) -> None:
        desk.take(*[desk.payment(f"e{n}", key=f"o{n}", owner=str(n)) for n in (1, 2, 3)])
        told, refused, _ = desk.claim()
        assert desk.store.untold("crm", "shop", "customer", ["1", "2", "3", "4"]) == {"1", "2", "3"}
        desk.settle(told)
        desk.settle(refused, "parked", error_kind="rejected", error="no")
        assert desk.store.untold("crm", "shop", "customer", ["1", "2", "3", "4"]) == {"3"}
        assert desk.store.untold("mail", "shop", "customer", ["3"]) == set()

    def test_who_waits_for_what_is_not_owed_waits_in_vain(self, desk: Desk) -> None:
        desk.take(desk.customer("1"), desk.order("o1", "1"), desk.order("o9", "9"))
        orders = desk.claim([desk.claim_rule("orders")])
        for order in orders:
            owner = "1" if order.key == "o1" else "9"
            desk.settle(order, "ready", due_at=desk.now, wait=("people", "customer", owner), error_kind="wait_for")
        assert desk.store.waiting_in_vain("crm", "orders") == 1
        (parent,) = desk.claim([desk.claim_rule("people")])
        desk.settle(parent, "parked", error_kind="rejected", error="no")
        assert desk.store.waiting_in_vain("crm", "orders") == 2
        assert desk.store.waiting_in_vain("mail", "orders") == 0

    def test_whose_states_are_untold_is_known(self, desk: Desk) -> None:
        desk.take(desk.customer("1"), desk.order("o1", "1"))
        (order,), route = desk.claim([desk.claim_rule("orders")]), "orders"
        assert desk.store.untold("crm", "shop", "customer", ["1", "2"], [route]) == {"1"}
        assert desk.store.untold("crm", "shop", "customer", ["1", "2"], ["another"]) == set()
        assert desk.store.untold("crm", "shop", "customer", ["1", "2"]) == set()
        desk.settle(order)
        assert desk.store.untold("crm", "shop", "customer", ["1"], [route]) == set()

    def test_a_guests_events_and_the_accounts_stand_in_one_row(self, desk: Desk) -> None:
        mail = "guest@shop.test"
        desk.take(desk.customer(GUEST, email=mail, guest=True), desk.payment("e1", key="o1", owner=GUEST))
        desk.take(desk.customer("12", email=mail, replaces=(GUEST,)), desk.payment("e2", key="o2", owner="12"))
        assert [d.event_id for d in desk.claim([desk.claim_rule("facts")])] == ["e1"]

    def test_the_oldest_state_since_a_row_is_owed_is_kept_until_the_first_delivery(self, desk: Desk) -> None:
        desk.take(desk.customer("1", "A"))
        assert desk.store.load(desk.claim())[0].before is None
        desk.store.rescue(desk.now, all_running=True)
        desk.take(desk.customer("1", "B"))
        desk.take(desk.customer("1", "C"))
        work = desk.store.load(desk.claim())[0]
        assert (work.before.data.first_name, work.snapshot.data.first_name) == ("A", "C")
        # A change while it runs, a lost lease, a parked row: the oldest state stays.
        desk.take(desk.customer("1", "D"))
        desk.store.rescue(desk.now, all_running=True)
        running = desk.claim()[0]
        assert desk.store.load([running])[0].before.data.first_name == "A"
        desk.settle(running, "parked", error_kind="rejected", error="no")
        desk.take(desk.customer("1", "E"))
        last = desk.claim()[0]
        assert desk.store.load([last])[0].before.data.first_name == "A"
        desk.settle(last, link=desk.link("R", name="E"))
        desk.take(desk.customer("1", "F"))
        assert desk.store.load(desk.claim())[0].before is None

    def test_a_route_that_came_later_compares_with_what_was_known(self, desk: Desk) -> None:
        desk.take(desk.customer("1", "A"))
        desk.rules["customer"].append(DirtyRule(route="news", sink="mail", entity="customer"))
        desk.take(desk.customer("1", "B"))
        work = desk.store.load(desk.claim([desk.claim_rule("news")], sink="mail"))[0]
        assert work.before.data.first_name == "A"

    def test_what_was_seen_when_a_twin_was_found_is_what_a_first_delivery_compares_with(self, desk: Desk) -> None:
        self._finds_a_twin(desk, "A")
        desk.take(desk.customer("1", "B"))
        desk.take(desk.customer("1", "C"))
        work = desk.store.load(desk.claim())[0]
        assert (work.before.data.first_name, work.snapshot.data.first_name) == ("A", "C")
        desk.settle(work.delivery, link=desk.link("R", name="C"))
        desk.take(desk.customer("1", "E"))
        assert desk.store.load(desk.claim())[0].before is None

    @pytest.mark.parametrize("names", ["A", "AB"])
    def test_what_was_known_is_older_than_what_is_seen_when_a_twin_is_found(self, desk: Desk, names: str) -> None:
        for name in names:
            desk.take(desk.customer("1", name))
        self._finds_a_twin(desk, "C")
        desk.take(desk.customer("1", "C"))
        assert desk.store.load(desk.claim())[0].before.data.first_name == "A"

    @staticmethod
    def _finds_a_twin(desk: Desk, name: str) -> None:
        update = LinkUpdate(object="thing", remote_id="R", fields={}, seen=desk.customer("1", name).data)
        desk.store.put_link("people", "shop", "customer", "1", update, desk.now)

    def test_a_change_that_was_parked_with_a_newer_one_waiting_keeps_its_oldest_state(self, desk: Desk) -> None:
        desk.take(desk.customer("1", "A"))
        desk.take(desk.customer("1", "B"))
        running = desk.claim()[0]
        desk.take(desk.customer("1", "C"))
        desk.settle(running, "parked", error_kind="rejected", error="no")
        assert desk.store.load(desk.claim())[0].before.data.first_name == "A"

    def test_an_order_that_changes_hands_is_a_change_for_its_routes_and_both_owners(self, desk: Desk) -> None:
        desk.take(desk.customer("1"), desk.customer("2"), desk.order("o1", "1", version=5))
        desk.deliver_all()
        # The shop does not date the change: the same version, the same fields, another owner.
        assert desk.take(desk.order("o1", "2", version=5)).accepted == 1
        assert sorted(desk.rows(state="ready")) == [
            "orders o1 upsert ready",
            "people 1 upsert ready",
            "people 2 upsert ready",
        ]

    @settings(max_examples=10, deadline=None, suppress_health_check=_SHARED)
    @given(order=st.permutations(range(5)), again=st.lists(st.integers(0, 4), max_size=6))
    def test_webhooks_in_any_order_and_again_end_in_the_newest_state_and_each_fact_once(
        self, new_outbox: NewOutbox, order: list[int], again: list[int]
    ) -> None:
        with closing(new_outbox()) as store:
            desk = Desk(store)
            webhooks = _Newest(desk).webhooks
            for number in [*order, *again]:
                desk.take(*webhooks[number])
                desk.tick(seconds=1)
            assert name(desk) == "v5"
            facts = [d.event_id for d in desk.store.deliveries(route="facts", limit=None)]
            assert sorted(facts) == ["e1", "e2", "e3", "e4", "e5"]
