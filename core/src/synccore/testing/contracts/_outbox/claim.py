"""Who is served next, and what a claim costs."""

from datetime import timedelta
from typing import Any

import pytest

from ....store import DirtyRule
from ....types import EntityRef
from .desk import Desk


class ClaimingRules:
    """Who is served next, and what a claim costs."""

    def test_a_claim_leases_a_batch_of_one_route(self, desk: Desk) -> None:
        desk.take(desk.customer("1"), desk.customer("2"), desk.order("o1", None))
        batch = desk.claim()
        assert [(d.route, d.key, d.state) for d in batch] == [("people", "1", "running"), ("people", "2", "running")]
        assert {d.lease_until for d in batch} == {desk.now + timedelta(minutes=2)}
        assert [d.key for d in desk.claim()] == ["o1"]
        assert desk.claim() == []

    def test_what_is_not_due_is_not_claimed(self, desk: Desk) -> None:
        desk.rules["customer"] = [DirtyRule(route="people", sink="crm", entity="customer", delay=timedelta(minutes=5))]
        desk.take(desk.customer("1"))
        assert desk.claim() == []
        assert desk.store.due("crm", desk.now, 10) == 0
        desk.tick(minutes=5)
        assert desk.store.due("crm", desk.now, 10) == 1
        assert len(desk.claim()) == 1
        assert desk.store.due("crm", desk.now, 10) == 0

    def test_due_counts_up_to_its_limit_over_all_routes(self, desk: Desk) -> None:
        desk.take(*[desk.customer(str(n)) for n in range(4)], *[desk.order(f"o{n}", None) for n in range(4)])
        assert [desk.store.due("crm", desk.now, limit) for limit in (1, 6, 100)] == [1, 6, 8]
        assert desk.store.due("mail", desk.now, 5) == 0
        assert desk.store.next_due("mail") is None

    def test_rows_of_a_route_that_is_gone_can_be_left_out(self, desk: Desk) -> None:
        desk.take(desk.customer("1"), desk.order("o1", None))
        desk.settle(desk.claim()[0], "ready", due_at=desk.now + timedelta(hours=1))
        assert desk.store.due("crm", desk.now, 10, routes=["people"]) == 0
        assert desk.store.due("crm", desk.now, 10) == 1
        assert desk.store.next_due("crm", routes=["people"]) == desk.now + timedelta(hours=1)
        assert desk.store.next_due("crm", routes=["facts"]) is None
        assert desk.store.next_due("crm") == desk.now

    def test_the_earliest_due_route_comes_first_and_rule_order_breaks_ties(self, desk: Desk) -> None:
        desk.take(desk.order("o1", None))
        desk.tick(seconds=1)
        desk.take(desk.customer("1"))
        assert desk.deliver_all() == ["orders o1", "people 1"]
        desk.take(desk.order("o2", None), desk.customer("2"))
        assert desk.deliver_all() == ["people 2", "orders o2"]

    def test_live_goes_before_bulk_across_routes(self, desk: Desk) -> None:
        desk.take(*[desk.customer(str(n)) for n in range(3)], bulk=True)
        desk.tick(seconds=5)
        desk.take(desk.order("o1", None))
        assert desk.deliver_all()[0] == "orders o1"

    def test_a_batch_is_all_live_or_all_bulk(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        desk.take(desk.customer("2"), bulk=True)
        assert [[d.bulk for d in desk.claim()] for _ in range(3)] == [[False], [True], []]

    @pytest.mark.parametrize(("waiting", "taken"), [(4, 2), (5, 5), (9, 7)])
    def test_a_bulk_batch_is_taken_when_enough_wait(self, desk: Desk, waiting: int, taken: int) -> None:
        desk.take(*[desk.customer(str(n)) for n in range(waiting)], bulk=True)
        rule = desk.claim_rule("people", max_batch=2, bulk_batch=7, bulk_threshold=5)
        assert len(desk.claim([rule])) == taken

    def test_the_bulk_threshold_does_not_count_live_rows(self, desk: Desk) -> None:
        desk.take(*[desk.customer(str(n)) for n in range(9)])
        rule = desk.claim_rule("people", max_batch=2, bulk_batch=7, bulk_threshold=5)
        assert len(desk.claim([rule])) == 2

    def test_one_key_runs_once_at_a_sink_even_over_two_routes(self, desk: Desk) -> None:
        desk.rules["customer"].append(DirtyRule(route="leads", sink="crm", entity="customer"))
        desk.rules["customer"].append(DirtyRule(route="news", sink="mail", entity="customer"))
        rules = [desk.claim_rule("people"), desk.claim_rule("leads")]
        desk.take(desk.customer("1"))
        first = desk.claim(rules)
        assert desk.claim(rules) == []
        assert len(desk.claim([desk.claim_rule("news")], sink="mail")) == 1
        desk.settle(first[0])
        assert [d.route for d in desk.claim(rules)] == ["leads"]

    def test_events_of_a_key_go_one_at_a_time_in_order(self, desk: Desk) -> None:
        desk.take(desk.payment("e1"), desk.payment("e2"), desk.payment("x1", key="q"))
        batch = desk.claim()
        assert [d.event_id for d in batch] == ["e1", "x1"]
        desk.settle(batch[0], "ready", due_at=desk.now + timedelta(hours=1), counted=True)
        assert desk.claim() == []
        desk.tick(hours=1)
        assert desk.deliver_all() == ["facts e1", "facts e2"]

    def test_a_parked_event_does_not_hold_up_later_ones(self, desk: Desk) -> None:
        desk.take(desk.payment("e1"), desk.payment("e2"))
        first = desk.claim()[0]
        desk.settle(first, "parked", error_kind="rejected", error="no")
        assert [d.event_id for d in desk.claim()] == ["e2"]

    def test_a_retried_event_goes_before_later_ones_that_wait(self, desk: Desk) -> None:
        desk.take(desk.payment("e1"), desk.payment("e2"))
        first = desk.claim()[0]
        desk.settle(first, "parked", error_kind="rejected", error="no")
        desk.store.retry([first.id], desk.now)
        assert desk.deliver_all() == ["facts e1", "facts e2"]

    def test_state_and_event_of_one_key_are_never_in_one_batch(self, desk: Desk) -> None:
        desk.rules["payment"] = [DirtyRule(route="facts", sink="crm", entity="payment")]
        event = desk.payment("e1")
        from attrs import evolve

        desk.take(event, evolve(event, op="upsert", event_id=None))
        assert len(desk.claim()) == 1
        assert desk.claim() == []

    def test_work_brings_owner_link_and_parent(self, desk: Desk) -> None:
        desk.take(desk.customer("1"), desk.order("o1", "1"))
        people = desk.claim([desk.claim_rule("people")])
        desk.settle(people[0], link=desk.link("R1", name="Ada"))
        work = desk.store.load(
            desk.claim([desk.claim_rule("orders")]), include=["order"], after="people", after_entity="customer"
        )[0]
        assert work.owner.data.first_name == "Ada"
        assert (work.parent_ref, work.parent.remote_id) == (EntityRef("customer", "1"), "R1")
        assert work.link is None
        own = desk.store.work_for("people", "shop", "customer", ["1"], after="people", after_entity="customer")[0]
        assert (own.parent.remote_id, own.link.fields, own.parent_ref) == (
            "R1",
            {"name": "Ada"},
            EntityRef("customer", "1"),
        )

    def test_work_for_keys_without_a_delivery(self, desk: Desk) -> None:
        desk.take(
            desk.customer("1"), desk.customer("2"), desk.gone("customer", "2"), desk.payment("e1"), desk.payment("e2")
        )
        work = desk.store.work_for("people", "shop", "customer", ["2", "1", "9"])
        assert [(w.delivery.id, w.delivery.op, w.snapshot and w.snapshot.key) for w in work] == [
            (0, "delete", "2"),
            (0, "upsert", "1"),
            (0, "upsert", None),
        ]
        fact = desk.store.work_for("facts", "shop", "payment", ["p"])[0]
        assert (fact.delivery.event_id, fact.snapshot.data.reason) == ("e2", "e2")

    def test_an_event_carries_its_own_data(self, desk: Desk) -> None:
        desk.take(desk.payment("e1"), desk.payment("e2"))
        work = desk.store.load(desk.claim())[0]
        assert (work.snapshot.data.reason, work.link) == ("e1", None)

    def test_included_records_come_oldest_first(self, desk: Desk) -> None:
        from attrs import evolve

        desk.take(desk.customer("1"))
        for key, days in (("b", 2), ("a", 3), ("c", 1)):
            order: Any = desk.order(key, "1")
            desk.take(evolve(order, data=evolve(order.data, created_at=desk.now - timedelta(days=days))))
        desk.take(desk.gone("order", "b"))
        work = desk.store.work_for("people", "shop", "customer", ["1"], include=["order"])[0]
        assert [s.key for s in work.included["order"]] == ["a", "c"]
