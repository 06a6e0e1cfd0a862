"""How deliveries end, wait, come back and fold."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from ....store import Delivery, DirtyRule, HistoryEntry, LinkUpdate, Work
from ....types import Link
from .desk import Desk


class SettlingRules:
    """How deliveries end, wait, come back and fold."""

    def test_done_writes_link_and_history_with_the_state(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        delivery = desk.claim()[0]
        line = HistoryEntry(
            at=desk.now,
            route="people",
            sink="crm",
            source="shop",
            entity="customer",
            key="1",
            op="upsert",
            outcome="delivered",
            remote_id="R",
            fields=("name", "total"),
            duration_ms=12,
        )
        assert desk.settle(delivery, link=desk.link("R", name="Ada", total=Decimal("1.50")), history=line)
        assert desk.store.link("people", "shop", "customer", "1") == Link(
            object="thing",
            remote_id="R",
            fields={"name": "Ada", "total": Decimal("1.50")},
            delivered_at=desk.now,
            source="shop",
            entity="customer",
            key="1",
            route="people",
            sink="crm",
        )
        kept = desk.store.history()[-1]
        assert (kept.outcome, kept.fields, kept.delivery_id) == ("delivered", ("name", "total"), delivery.id)
        settled = desk.store.deliveries()[0]
        assert (settled.state, settled.settled_at, settled.lease_token) == ("done", desk.now, None)

    def test_a_link_keeps_its_fields_and_id_where_the_settle_names_none(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        desk.settle(desk.claim()[0], link=desk.link("R", a=1))
        desk.take(desk.customer("1", "B"))
        desk.settle(desk.claim()[0], link=LinkUpdate(object="thing", remote_id=None, etag="e2"))
        kept = desk.store.link("people", "shop", "customer", "1")
        assert (kept.remote_id, kept.etag, kept.fields) == ("R", "e2", {"a": 1})
        desk.take(desk.gone("customer", "1"))
        desk.settle(desk.claim()[0], link=LinkUpdate(object="thing", remote_id="R", remove=True))
        assert desk.store.links("people") == []

    @pytest.mark.parametrize("to", ["done", "skipped", "ready", "parked", "submitted"])
    def test_a_lost_lease_writes_nothing(self, desk: Desk, to: str) -> None:
        desk.take(desk.customer("1"))
        old = desk.claim()[0]
        desk.tick(minutes=3)
        desk.store.rescue(desk.now)
        new = desk.claim()[0]
        assert not desk.settle(old, to, link=desk.link("R"), job="j", error_kind="x", error="y")
        assert desk.store.links("people") == []
        assert desk.store.deliveries()[0] == new
        assert desk.settle(new)
        assert not desk.settle(new)

    def test_a_lease_that_is_over_is_given_back_as_maybe_applied(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        desk.claim(minutes=2)
        desk.tick(minutes=1)
        assert desk.store.rescue(desk.now) == 0
        desk.tick(minutes=1)
        assert desk.store.rescue(desk.now) == 1
        again = desk.claim()[0]
        assert (again.maybe_applied, again.attempts) == (True, 0)

    def test_the_only_daemon_rescues_everything_at_its_start(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        desk.claim()
        desk.tick(minutes=-60)
        assert desk.store.rescue(desk.now) == 0
        assert desk.store.rescue(desk.now, all_running=True) == 1

    @pytest.mark.parametrize("sent", [True, False])
    def test_a_release_gives_a_lease_back_without_an_attempt(self, desk: Desk, sent: bool) -> None:
        desk.take(desk.customer("1"), desk.customer("2"))
        batch = desk.claim()
        desk.settle(batch[0])
        assert desk.store.release(batch[0].lease_token, desk.now, sent=sent) == 1
        again = desk.claim()
        assert [(d.key, d.attempts, d.maybe_applied) for d in again] == [("2", 0, sent)]

    def test_what_an_unheard_try_may_have_written_is_what_the_next_state_is_compared_with(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        desk.deliver_all()
        held = desk.store.link("people", "shop", "customer", "1").fields
        desk.take(desk.customer("1", "B"))
        desk.settle(desk.claim()[0], "ready", maybe_applied=True, may_hold={**held, "phone": "1"})
        link = desk.store.link("people", "shop", "customer", "1")
        assert (link.fields, link.mapped) == (held, {**held, "phone": "1"})

    def test_what_unheard_tries_of_a_new_record_may_have_written_is_known_until_it_ends(self, desk: Desk) -> None:
        def known(row: Delivery) -> Mapping[str, Any]:
            work: Work = desk.store.load([row])[0]
            return work.unheard

        sent = {"phone": "1", "place": {"city": "B"}}
        desk.take(desk.customer("1"))
        desk.settle(desk.claim()[0], "ready", maybe_applied=True, unheard=sent)
        desk.settle(running := desk.claim()[0], "ready")
        assert known(running) == sent
        running = desk.claim()[0]
        desk.take(desk.customer("1", "B"))
        desk.settle(running, "parked")
        # The newer state, behind the parked one, and one that came later, in its place.
        desk.store.dismiss([running.id], desk.now)
        desk.settle(behind := desk.claim()[0], "parked")
        assert known(behind) == sent
        desk.take(desk.customer("1", "BB"))
        desk.settle(later := desk.claim()[0], "parked")
        assert known(later) == sent
        desk.store.retry([later.id], desk.now)
        running = desk.claim()[0]
        assert known(running) == sent
        desk.take(desk.customer("1", "C"))
        desk.settle(running, "ready", maybe_applied=True)
        folded = desk.claim()[0]
        assert (folded.id != running.id, known(folded)) == (True, sent)
        desk.settle(folded, "submitted", job="j", sent={"fields": {"name": "C"}, "unheard": sent})
        desk.settle(desk.store.deliveries()[0], "ready", token="j", maybe_applied=True)
        lost = desk.claim()[0]
        assert known(lost) == {"name": "C"} | sent
        desk.settle(lost)
        desk.take(desk.customer("1", "D"))
        assert known(desk.claim()[0]) == {}

    def test_maybe_applied_stays_until_the_row_is_settled_or_asked_for(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        desk.settle(desk.claim()[0], "ready", maybe_applied=True)
        desk.settle(desk.claim()[0], "ready", maybe_applied=False)
        again = desk.claim()[0]
        assert again.maybe_applied
        desk.settle(again, "ready", not_applied=True)
        assert not desk.claim()[0].maybe_applied

    def test_attempts_count_only_when_told_to(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        desk.settle(desk.claim()[0], "ready", counted=False)
        assert (desk.store.deliveries()[0].attempts, desk.store.deliveries()[0].first_failed_at) == (0, None)
        first = desk.now
        desk.settle(desk.claim()[0], "ready", counted=True)
        desk.tick(hours=1)
        desk.settle(desk.claim()[0], "ready", counted=True)
        row = desk.store.deliveries()[0]
        assert (row.attempts, row.first_failed_at) == (2, first)

    def test_a_row_that_goes_back_folds_into_the_newer_one(self, desk: Desk) -> None:
        first = desk.now
        desk.take(desk.customer("1", "A"))
        old = desk.claim()[0]
        desk.tick(minutes=1)
        desk.take(desk.customer("1", "B"), bulk=True)
        later = desk.now + timedelta(minutes=9)
        assert desk.settle(
            old, "ready", due_at=later, counted=True, maybe_applied=True, error_kind="transient", error="x"
        )
        row = desk.store.deliveries()
        assert len(row) == 1
        assert row[0].id > old.id
        assert (row[0].attempts, row[0].first_change_at, row[0].due_at) == (1, first, later)
        assert (row[0].maybe_applied, row[0].bulk, row[0].error_kind) == (True, False, "transient")

    def test_a_released_row_folds_too(self, desk: Desk) -> None:
        desk.take(desk.customer("1", "A"))
        token = desk.claim()[0].lease_token
        desk.take(desk.customer("1", "B"))
        assert desk.store.release(token, desk.now, sent=False) == 1
        assert desk.rows() == ["people 1 upsert ready"]
        assert len(desk.claim()) == 1

    def test_a_row_waits_for_its_parent_and_is_woken_by_the_link(self, desk: Desk) -> None:
        desk.take(desk.order("o1", "1"))
        child = desk.claim()[0]
        later = desk.now + timedelta(hours=6)
        desk.settle(child, "ready", due_at=later, wait=("people", "customer", "1"), error_kind="wait_for")
        began = desk.now
        assert desk.store.deliveries()[0].waiting_since == began
        assert desk.store.next_due("crm") == later
        desk.tick(minutes=1)
        desk.take(desk.customer("1"))
        desk.settle(desk.claim([desk.claim_rule("people")])[0], link=desk.link("R"))
        again = desk.claim([desk.claim_rule("orders")])[0]
        assert (again.key, again.waiting_since) == ("o1", began)
        # It waits again: the day it may wait counts from the first time.
        desk.settle(again, "ready", due_at=desk.now, wait=("people", "customer", "9"))
        again = desk.claim([desk.claim_rule("orders")])[0]
        assert again.waiting_since == began
        desk.settle(again)
        assert desk.store.deliveries(route="orders")[0].waiting_since is None

    def test_what_was_parked_for_want_of_its_parent_goes_on_once_that_is_there(self, desk: Desk) -> None:
        """Nobody has to remember it."""
        desk.take(desk.order("o1", "1"), desk.order("o2", "2"))
        for child in desk.claim():
            owner = desk.store.load([child])[0].snapshot.owner
            desk.settle(child, "parked", wait=("people", "customer", owner.key), error_kind="wait_for")
        assert desk.rows() == ["orders o1 upsert parked", "orders o2 upsert parked"]
        desk.take(desk.customer("1"))
        desk.settle(desk.claim([desk.claim_rule("people")])[0], link=desk.link("R"))
        (again,) = desk.claim([desk.claim_rule("orders")])
        assert (again.key, again.waiting_since) == ("o1", None)
        desk.settle(again)
        assert desk.store.dismiss([d.id for d in desk.store.deliveries(state="parked")], desk.now) == 1
        desk.store.put_link("people", "shop", "customer", "2", desk.link("S"), desk.now)
        assert desk.claim() == []

    def test_a_parent_delivered_in_between_is_not_waited_for(self, desk: Desk) -> None:
        desk.take(desk.order("o1", "1"))
        child = desk.claim()[0]
        desk.store.put_link("people", "shop", "customer", "1", desk.link("R"), desk.now)
        desk.settle(child, "ready", due_at=desk.now + timedelta(hours=6), wait=("people", "customer", "1"))
        assert [d.key for d in desk.claim()] == ["o1"]

    def test_a_parent_that_has_a_link_and_is_waited_for_again_is_gone_at_the_target(self, desk: Desk) -> None:
        """What waits for another one is not tried again and again meanwhile."""
        desk.store.put_link("people", "shop", "customer", "1", desk.link("R"), desk.now)
        desk.take(desk.order("o1", "1"))
        for tried in (1, 2):
            later = desk.now + timedelta(hours=6)
            desk.settle(desk.claim()[0], "ready", due_at=later, wait=("people", "customer", "1"))
            assert (desk.store.next_due("crm") == later) is (tried == 2)
        desk.store.put_link("people", "shop", "customer", "1", desk.link("S"), desk.now)
        assert [d.key for d in desk.claim()] == ["o1"]

    def test_an_adopted_link_wakes_what_waits(self, desk: Desk) -> None:
        desk.take(desk.order("o1", "1"))
        desk.settle(desk.claim()[0], "ready", due_at=desk.now + timedelta(hours=6), wait=("people", "customer", "1"))
        desk.store.put_link("other", "shop", "customer", "1", desk.link("R"), desk.now)
        assert desk.claim() == []
        desk.store.put_link("people", "shop", "customer", "1", desk.link("R"), desk.now)
        assert [d.key for d in desk.claim()] == ["o1"]

    def test_a_job_keeps_its_rows_as_sent_and_in_order(self, desk: Desk) -> None:
        keys = ["3", "1", "2"]
        desk.take(*[desk.customer(k) for k in keys])
        batch = {d.key: d for d in desk.claim()}
        for key in keys:
            sent = {"fields": {"n": Decimal(key), "at": desk.now}, "idempotency_key": key}
            assert desk.settle(batch[key], "submitted", job="J1", sent=sent)
        desk.take(desk.customer("1", "newer"))
        assert desk.claim() == []
        assert desk.store.rescue(desk.now + timedelta(days=9), all_running=True) == 0
        job = desk.store.jobs("crm")[0]
        assert (job.job, job.submitted_at, job.sink) == ("J1", desk.now, "crm")
        assert job.ids == tuple(batch[key].id for key in keys)
        held = desk.store.load_job(job, job.ids)
        assert [w.sent["idempotency_key"] for w in held] == keys
        assert held[0].sent["fields"] == {"n": Decimal(3), "at": desk.now}
        assert [w.delivery.key for w in desk.store.load_job(job, job.ids[2:])] == keys[2:]
        assert desk.store.jobs("crm", skip=["J1"]) == []
        assert not desk.settle(held[0].delivery, token=batch["3"].lease_token)
        # Part of a job: the others stay in it.
        assert desk.settle(held[0].delivery, token="J1", link=desk.link("R3"))
        assert [w.delivery.key for w in desk.store.load_job(job, job.ids)] == keys[1:]
        assert desk.store.jobs("crm")[0].ids == job.ids[1:]
        for work in held[1:]:
            assert desk.settle(work.delivery, token="J1", link=desk.link("R" + work.delivery.key))
        assert desk.store.jobs("crm") == []
        assert desk.deliver_all() == ["people 1"]

    def test_a_job_row_can_go_back_to_ready(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        desk.settle(desk.claim()[0], "submitted", job="J1", sent={})
        desk.settle(desk.in_job()[0].delivery, "ready", token="J1", counted=True)
        again = desk.claim()[0]
        assert (again.attempts, again.job) == (1, None)

    def test_a_settle_can_owe_another_route(self, desk: Desk) -> None:
        back = DirtyRule(route="back", sink="shop", entity="customer", delay=timedelta(minutes=1))
        for key, bulk, wait in (("1", True, timedelta(0)), ("2", False, timedelta(minutes=1))):
            desk.take(desk.customer(key), bulk=bulk)
            desk.settle(desk.claim()[0], link=desk.link("R"), owes=(back,))
            owed = desk.store.deliveries(sink="shop", key=key)[0]
            assert (owed.route, owed.bulk, owed.due_at) == ("back", bulk, desk.now + wait)

    def test_a_state_that_is_parked_twice_is_one_row(self, desk: Desk) -> None:
        desk.take(desk.customer("1", "A"))
        desk.settle(desk.claim()[0], "parked", error_kind="rejected", error="first")
        desk.take(desk.customer("1", "B"))
        desk.settle(desk.claim()[0], "parked", error_kind="rejected", error="second")
        assert [d.error for d in desk.store.deliveries()] == ["second"]

    def test_delivering_the_newest_state_settles_what_was_parked_before(self, desk: Desk) -> None:
        desk.take(desk.customer("1", "A"), desk.payment("e1"))
        desk.settle(desk.claim()[0], "parked", error_kind="rejected", error="no")
        desk.settle(desk.claim()[0], "parked", error_kind="rejected", error="no")
        desk.take(desk.customer("1", "B"))
        desk.settle(desk.claim()[0], link=desk.link("R"))
        assert desk.rows() == ["people 1 upsert skipped", "facts e1 event parked", "people 1 upsert done"]
        assert desk.store.history()[-1].note == "parked before; settled by delivery 3"

    def test_a_settle_of_many_is_all_or_nothing(self, desk: Desk) -> None:
        from ....store import Settlement

        desk.take(desk.customer("1"), desk.customer("2"))
        one, two = claimed = desk.claim()
        tokens = [str(delivery.lease_token) for delivery in claimed]
        good = Settlement(delivery_id=one.id, token=tokens[0], to="done")
        bad = Settlement(delivery_id=two.id, token=tokens[1], to="submitted")
        with pytest.raises(ValueError, match="job"):
            desk.store.settle([good, bad], desk.now)
        assert desk.rows() == ["people 1 upsert running", "people 2 upsert running"]

    @pytest.mark.parametrize("owed", [False, True], ids=["owed nothing", "owed already"])
    def test_who_stays_at_a_twin_that_another_was_let_go_of_is_owed_in_full_and_known_there(
        self, desk: Desk, *, owed: bool
    ) -> None:
        desk.take(desk.customer("1"), desk.customer("2"))
        for delivery in desk.claim():
            desk.settle(delivery, link=desk.link("shared", name=delivery.key))
        desk.take(desk.gone("customer", "1"))
        (going,) = desk.claim()
        if owed:
            desk.take(desk.customer("2", "Ida"))
        desk.settle(going, link=evolve(desk.link("shared"), remove=True, emptied=True))
        (staying,) = desk.claim()
        assert (staying.key, staying.maybe_applied) == ("2", True)
        assert desk.store.link("people", "shop", "customer", "2").fields == {"name": "2"}

    @pytest.mark.parametrize("how", ["settled", "adopted"])
    def test_what_hangs_elsewhere_is_owed_again_once_its_record_has_another_twin(self, desk: Desk, how: str) -> None:
        orders = ("o", "there", "further")
        desk.take(desk.customer("1"), *(desk.order(key, "1") for key in orders), desk.order("theirs", "2"))
        desk.deliver_all()
        _hangs(desk, "o", "r-1")
        _hangs(desk, "there", "anew")
        _hangs(desk, "further", "r-1", sink="other")
        _hangs(desk, "theirs", "r-1")
        anew = evolve(desk.link("anew"), moved=True, sink="crm")
        if how == "settled":
            desk.take(desk.customer("1", "Ida"))
            assert desk.settle(desk.claim()[0], link=anew)
        else:
            desk.store.put_link("people", "shop", "customer", "1", anew, desk.now)
        assert desk.rows(state="ready") == ["orders o upsert ready"]

    def test_what_a_further_route_tells_of_a_record_hangs_on_that(self, desk: Desk) -> None:
        desk.take(desk.customer("1"))
        desk.deliver_all()
        _hangs(desk, "1", "r-1", route="cards", entity="customer")
        for twin, owed in (("r-1", []), ("anew", ["cards 1 upsert ready"])):
            moved = evolve(desk.link(twin), moved=True, sink="crm")
            desk.store.put_link("people", "shop", "customer", "1", moved, desk.now)
            assert desk.rows(state="ready") == owed


def _hangs(desk: Desk, key: str, twin: str, *, route: str = "orders", entity: str = "order", sink: str = "crm") -> None:
    update = evolve(desk.link(f"child-{key}"), parent_id=twin, sink=sink)
    desk.store.put_link(route, "shop", entity, key, update, desk.now)
