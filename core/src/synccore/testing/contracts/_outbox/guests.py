"""A guest who registers stays one person."""

from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from ....entities import guest_key
from ....store import Heir
from ....types import EntityRef
from .desk import Desk

MAIL = "guest@shop.test"


GUEST = guest_key(MAIL)


def guest(desk: Desk, name: Any = "Ada") -> Any:
    return desk.customer(GUEST, name, email=MAIL, guest=True)


def account(desk: Desk, name: Any = "Ada", email: Any = MAIL, **own: Any) -> Any:
    return desk.customer("12", name, email=email, replaces=(GUEST,), **own)


class GuestsRules:
    """A guest who registers stays one person."""

    def test_links_move_to_the_account_and_nothing_is_deleted(self, desk: Desk) -> None:
        desk.take(guest(desk))
        desk.settle(desk.claim()[0], link=desk.link("R", name="Ada"))
        assert desk.take(account(desk)).accepted == 1
        kept = desk.store.link("people", "shop", "customer", "12")
        assert (kept.remote_id, kept.fields) == ("R", {"name": "Ada"})
        assert desk.store.link("people", "shop", "customer", GUEST) is None
        assert desk.store.snapshot("shop", "customer", GUEST).deleted
        assert desk.rows(state="ready") == ["people 12 upsert ready"]

    def test_a_link_of_the_accounts_own_stays(self, desk: Desk) -> None:
        desk.take(guest(desk), desk.customer("12", email=MAIL))
        for delivery in desk.claim():
            desk.settle(delivery, link=desk.link("R-" + delivery.key))
        desk.take(account(desk, "Ada L"))
        assert desk.store.link("people", "shop", "customer", "12").remote_id == "R-12"

    def test_a_record_of_the_guests_own_beside_it_goes(self, desk: Desk) -> None:
        """Else one person stands there twice. It goes after the account, which keeps its own."""
        self._both(desk)
        assert desk.rows(state="ready") == [f"people {GUEST} delete ready", "people 12 upsert ready"]
        assert desk.store.heirs("people", "shop", "customer", [GUEST, "12"]) == {GUEST: Heir("R-12", owed=True)}
        assert desk.store.heirs("mail", "shop", "customer", [GUEST]) == {GUEST: Heir(None, owed=False)}
        for delivery in desk.claim():
            if delivery.key == "12":
                desk.settle(delivery, link=desk.link("R-12"))
        assert desk.store.heirs("people", "shop", "customer", [GUEST]) == {GUEST: Heir("R-12", owed=False)}

    def test_nobody_waits_for_an_account_that_is_parked(self, desk: Desk) -> None:
        self._both(desk)
        for delivery in desk.claim():
            if delivery.key == "12":
                desk.settle(delivery, "parked", error_kind="rejected", error="no")
        assert desk.store.heirs("people", "shop", "customer", [GUEST]) == {GUEST: Heir("R-12", owed=False)}

    def test_what_hangs_on_it_moves_before_it_goes(self, desk: Desk) -> None:
        desk.take(desk.order("o1", GUEST))
        hanging = evolve(desk.link("O"), sink="crm", parent_id=f"R-{GUEST}")
        desk.store.put_link("orders", "shop", "order", "o1", hanging, desk.now)
        for delivery in desk.claim([desk.claim_rule("orders")]):
            desk.settle(delivery)
        self._both(desk)
        assert "orders o1 upsert ready" in desk.rows(state="ready")
        for delivery in desk.claim([desk.claim_rule("people")]):
            if delivery.key == "12":
                desk.settle(delivery, link=desk.link("R-12"))
        assert desk.store.heirs("people", "shop", "customer", [GUEST])[GUEST].owed
        desk.settle(desk.claim([desk.claim_rule("orders")])[0], link=evolve(hanging, parent_id="R-12"))
        assert not desk.store.heirs("people", "shop", "customer", [GUEST])[GUEST].owed

    def test_what_nobody_heard_of_goes_too(self, desk: Desk) -> None:
        """The answer to the guest's create was lost: what it may have made is looked for, and deleted."""
        desk.take(guest(desk), desk.customer("12", email="12@shop.test"))
        for delivery in desk.claim():
            if delivery.key == "12":
                desk.settle(delivery, link=desk.link("R-12"))
            else:
                desk.settle(delivery, "ready", due_at=desk.now, maybe_applied=True)
        desk.take(account(desk))
        (row,) = desk.store.deliveries(key=GUEST, state="ready")
        assert (row.op, row.maybe_applied) == ("delete", True)

    def test_a_create_under_way_takes_no_other_records_place(self, desk: Desk) -> None:
        desk.take(desk.customer("12", email="12@shop.test"))
        desk.settle(desk.claim()[0], link=desk.link("R-12"))
        desk.take(guest(desk))
        running = desk.claim()[0]
        desk.take(account(desk))
        assert desk.settle(running, link=desk.link("R"))
        assert desk.store.link("people", "shop", "customer", "12").remote_id == "R-12"
        assert f"people {GUEST} delete ready" in desk.rows(state="ready")

    @pytest.mark.parametrize("lost", [True, False], ids=["lost", "running"])
    def test_the_guests_record_takes_the_place_of_none_that_the_account_may_have(self, desk: Desk, lost: bool) -> None:
        """Its own create may have made one: that would be forgotten, and stay."""
        desk.take(guest(desk))
        desk.settle(desk.claim()[0], link=desk.link("R"))
        desk.take(desk.customer("12", email="12@shop.test"))
        running = desk.claim()[0]
        if lost:
            desk.settle(running, "ready", due_at=desk.now, maybe_applied=True)
        desk.take(account(desk))
        assert desk.store.link("people", "shop", "customer", "12") is None
        assert desk.store.link("people", "shop", "customer", GUEST).remote_id == "R"
        assert f"people {GUEST} delete ready" in desk.rows(state="ready")

    def test_nor_does_what_is_under_way_for_the_guest(self, desk: Desk) -> None:
        desk.take(desk.customer("12", email="12@shop.test"))
        desk.settle(desk.claim()[0], "ready", due_at=desk.now + timedelta(hours=1), maybe_applied=True)
        desk.take(guest(desk))
        running = desk.claim()[0]
        assert running.key == GUEST
        desk.take(account(desk))
        assert desk.settle(running, link=desk.link("R"))
        assert desk.store.link("people", "shop", "customer", "12") is None
        assert f"people {GUEST} delete ready" in desk.rows(state="ready")

    def _both(self, desk: Desk) -> None:
        """Guest and account are at the target, and then it is one person."""
        desk.take(guest(desk), desk.customer("12", email="12@shop.test"))
        for delivery in desk.claim([desk.claim_rule("people")]):
            desk.settle(delivery, link=desk.link(f"R-{delivery.key}"))
        desk.take(account(desk))

    def test_what_the_guest_owned_belongs_to_the_account(self, desk: Desk) -> None:
        desk.take(guest(desk), desk.order("o1", GUEST), desk.payment("e1", owner=GUEST))
        desk.take(account(desk))
        assert desk.store.snapshot("shop", "order", "o1").owner == EntityRef("customer", "12")
        work = desk.store.work_for("people", "shop", "customer", ["12"], include=["order", "payment"])[0]
        assert [s.key for s in (*work.included["order"], *work.included["payment"])] == ["o1", "p"]

    def test_what_the_guest_was_owed_is_dropped_with_a_line(self, desk: Desk) -> None:
        desk.take(guest(desk))
        desk.take(account(desk))
        assert desk.rows() == [f"people {GUEST} upsert skipped", "people 12 upsert ready"]
        assert [h.note for h in desk.store.history() if h.outcome == "skipped"] == ["taken over by customer 12"]

    def test_a_parked_guest_is_dropped_too(self, desk: Desk) -> None:
        desk.take(guest(desk))
        desk.settle(desk.claim()[0], "parked", error_kind="rejected", error="no")
        desk.take(account(desk))
        assert desk.store.deliveries(state="parked") == []

    def test_a_create_under_way_becomes_the_accounts(self, desk: Desk) -> None:
        """Otherwise the account would be created beside the guest."""
        desk.take(guest(desk))
        running = desk.claim()[0]
        desk.take(account(desk))
        assert desk.claim() == []
        assert desk.settle(running, link=desk.link("R"))
        work = desk.store.load(desk.claim())[0]
        assert (work.delivery.key, work.link.remote_id) == ("12", "R")

    def test_a_submitted_create_becomes_the_accounts(self, desk: Desk) -> None:
        desk.take(guest(desk))
        desk.settle(desk.claim()[0], "submitted", job="J", sent={})
        desk.take(account(desk))
        assert desk.claim() == []
        desk.settle(desk.in_job()[0].delivery, token="J", link=desk.link("R"))
        assert desk.store.load(desk.claim())[0].link.remote_id == "R"

    def test_what_waits_for_the_guest_waits_for_the_account(self, desk: Desk) -> None:
        desk.take(desk.order("o1", GUEST), guest(desk))
        orders = [desk.claim_rule("orders")]
        later = desk.now + timedelta(hours=5)
        desk.settle(desk.claim(orders)[0], "ready", due_at=later, wait=("people", "customer", GUEST))
        desk.take(account(desk))
        delivery = desk.claim(orders)[0]
        desk.settle(delivery, "ready", due_at=later, wait=("people", "customer", "12"))
        desk.settle(desk.claim([desk.claim_rule("people")])[0], link=desk.link("R"))
        assert [d.key for d in desk.claim(orders)] == ["o1"]

    def test_an_unknown_guest_costs_nothing(self, desk: Desk) -> None:
        done = desk.take(account(desk))
        assert (done.accepted, done.dirtied) == (1, 1)
        assert desk.take(account(desk)).unchanged == 1

    def test_the_guest_does_not_come_back_beside_the_account(self, desk: Desk) -> None:
        desk.take(guest(desk))
        desk.take(account(desk))
        done = desk.take(guest(desk, "Someone"), desk.order("o2", GUEST))
        assert (done.stale, done.accepted) == (1, 1)
        assert desk.store.snapshot("shop", "order", "o2").owner == EntityRef("customer", "12")
        assert desk.store.snapshot_counts("shop") == {"customer": 1, "order": 1}

    def test_a_guest_first_seen_after_its_account_is_the_account(self, desk: Desk) -> None:
        desk.take(account(desk))
        done = desk.take(guest(desk), desk.order("o1", GUEST, email=MAIL))
        assert done.stale == 1
        assert desk.store.snapshot("shop", "order", "o1").owner == EntityRef("customer", "12")

    def test_another_sources_account_takes_nothing_over(self, desk: Desk) -> None:
        from ....store import Ingest

        desk.store.ingest([Ingest(source="other", changes=[account(desk)], rules=desk.rules)], desk.now)
        assert desk.take(guest(desk)).accepted == 1

    def test_a_guest_is_a_person_again_when_the_account_is_gone(self, desk: Desk) -> None:
        desk.take(guest(desk))
        desk.take(account(desk), desk.gone("customer", "12"))
        assert desk.take(guest(desk)).accepted == 1
        assert not desk.store.snapshot("shop", "customer", GUEST).deleted

    def test_a_guest_is_a_person_again_when_the_account_has_another_address(self, desk: Desk) -> None:
        desk.take(guest(desk))
        desk.take(account(desk))
        desk.take(desk.customer("12", email="new@shop.test", replaces=(guest_key("new@shop.test"),)))
        assert desk.take(guest(desk)).accepted == 1

    def test_a_stale_account_takes_nothing_over(self, desk: Desk) -> None:
        desk.take(desk.customer("12", email=MAIL, version=5))
        desk.take(desk.customer("13", email="x@shop.test"))
        desk.take(desk.customer("13", email="x@shop.test", version=9))
        desk.store.put_link("people", "shop", "customer", "13", desk.link("R"), desk.now)
        done = desk.take(desk.customer("12", "Old", email=MAIL, version=4, replaces=("13",)))
        assert done.stale == 1
        assert not desk.store.snapshot("shop", "customer", "13").deleted

    def test_odd_characters_of_an_account_hold_up_nobody_with_its_address(self, desk: Desk) -> None:
        for number, name in enumerate(("a\0b", "a\ud800b", "a\\u0000b")):
            desk.take(desk.customer(str(number), name, email=MAIL))
        desk.take(guest(desk, "G"))
        assert desk.store.snapshot("shop", "customer", GUEST) is None  # the account speaks for both
        assert [desk.store.snapshot("shop", "customer", key).data.first_name for key in "02"] == ["a\0b", "a\\u0000b"]
        desk.take(desk.customer("a\0b\0"), desk.customer("a\\u0000"))
        assert len(desk.store.work_for("people", "shop", "customer", ["a\0b\0", "a\\u0000"])) == 2
