"""A record that was only named is fetched before anything of it is delivered."""

from datetime import timedelta
from typing import Any

import pytest

from ....types import EntityRef, Unreadable
from .desk import Desk


def known(desk: Desk) -> Any:
    """A customer with an order, both delivered, and another customer."""
    desk.take(desk.customer("1"), desk.order("o1", "1"), desk.customer("2"))
    desk.deliver_all()


def hints(desk: Desk) -> Any:
    return [(h.op, h.entity, h.key) for h in desk.store.hints("shop", desk.now, 10)]


def _broken(desk: Desk) -> Any:
    from ....types import Change

    return Change(entity="customer", key="1", op="upsert")


class HintsRules:
    """A record that was only named is fetched before anything of it is delivered."""

    def test_a_hint_owes_a_fetch_and_nothing_else(self, desk: Desk) -> None:
        known(desk)
        done = desk.take(desk.touch("customer", "1"))
        assert (done.hinted, done.accepted, done.dirtied) == (1, 0, 0)
        assert hints(desk) == [("touch", "customer", "1")]
        assert desk.rows(state="ready") == []
        assert desk.store.history()[-1].op == "touch"

    @pytest.mark.parametrize(
        ("hinted", "free"),
        [
            (("customer", "1"), ["people 2"]),
            # The owner waits for what it owns, since a route may include it.
            (("order", "o1"), ["people 2"]),
            (("customer", "2"), ["people 1", "orders o1"]),
        ],
    )
    def test_what_is_of_the_record_waits_for_the_fetch(self, desk: Desk, hinted: Any, free: Any) -> None:
        known(desk)
        changes = desk.customer("1", "B"), desk.order("o1", "1", "paid"), desk.customer("2", "B")
        desk.take(desk.touch(*hinted), *changes)
        assert desk.deliver_all() == free
        waiting = desk.store.hints("shop", desk.now, 10)
        done = desk.take(answers=waiting, read_at=desk.now)
        assert done.sinks == {"crm"}
        assert sorted([*desk.deliver_all(), *free]) == ["orders o1", "people 1", "people 2"]
        assert hints(desk) == []

    def test_a_record_nobody_knows_yet_holds_the_owner_the_source_named(self, desk: Desk) -> None:
        desk.take(desk.customer("1"), desk.touch("order", "o9", owner=EntityRef("customer", "1")))
        assert desk.claim() == []
        desk.take(desk.order("o9", "1"), answers=desk.store.hints("shop", desk.now, 1), read_at=desk.now)
        assert desk.deliver_all() == ["people 1", "orders o9"]

    def test_a_hint_that_came_while_its_record_was_fetched_stays(self, desk: Desk) -> None:
        known(desk)
        desk.take(desk.touch("customer", "1"))
        asked = desk.store.hints("shop", desk.now, 10)
        desk.take(desk.touch("customer", "1"))
        desk.take(desk.customer("1", "B"), answers=asked, read_at=desk.now)
        assert hints(desk) == [("touch", "customer", "1")]
        assert desk.claim() == []
        desk.take(desk.customer("1", "C"), answers=desk.store.hints("shop", desk.now, 10), read_at=desk.now)
        assert desk.store.load(desk.claim())[0].snapshot.data.first_name == "C"

    def test_the_answer_is_stored_with_the_end_of_the_hint_or_not_at_all(self, desk: Desk) -> None:
        known(desk)
        desk.take(desk.touch("customer", "1"))
        asked = desk.store.hints("shop", desk.now, 10)
        with pytest.raises(ValueError, match="needs data"):
            desk.take(desk.customer("1", "B"), desk.gone("customer", "1"), _broken(desk), answers=asked)
        assert hints(desk) == [("touch", "customer", "1")]
        assert desk.store.snapshot("shop", "customer", "1").data.first_name == "Ada"

    def test_a_fetch_that_failed_is_tried_later_and_holds_its_rows(self, desk: Desk) -> None:
        known(desk)
        desk.take(desk.touch("customer", "1"), desk.customer("1", "B"))
        hint = desk.store.hints("shop", desk.now, 10)[0]
        desk.store.snooze_hint(hint, desk.now + timedelta(minutes=1), "the shop is away")
        assert hints(desk) == []
        assert desk.claim() == []
        desk.tick(minutes=1)
        again = desk.store.hints("shop", desk.now, 10)[0]
        assert (again.attempts, again.error) == (1, "the shop is away")
        # Another hint makes it due at once.
        desk.store.snooze_hint(again, desk.now + timedelta(hours=1), "the shop is away")
        desk.take(desk.touch("customer", "1"))
        assert hints(desk) == [("touch", "customer", "1")]

    def test_live_hints_are_followed_before_those_of_the_past(self, desk: Desk) -> None:
        desk.take(desk.touch("order", "o1"), bulk=True)
        desk.tick(seconds=1)
        desk.take(desk.touch("order", "o2"))
        assert [h.key for h in desk.store.hints("shop", desk.now, 10)] == ["o2", "o1"]
        assert [h.key for h in desk.store.hints("shop", desk.now, 1)] == ["o2"]
        assert desk.store.hint_counts() == {"shop": 2}
        assert desk.store.hints("other", desk.now, 10) == []

    def test_an_event_waits_for_the_fetch_of_its_record(self, desk: Desk) -> None:
        desk.take(desk.payment("e1"), desk.touch("payment", "p"))
        assert desk.claim() == []
        desk.take(answers=desk.store.hints("shop", desk.now, 1))
        assert desk.deliver_all() == ["facts e1"]

    def test_a_wish_to_be_forgotten_is_kept_and_holds_nothing(self, desk: Desk) -> None:
        from ....types import Change

        known(desk)
        desk.take(desk.customer("1", "B"), Change(entity="customer", key="1", op="forget"))
        assert hints(desk) == [("forget", "customer", "1")]
        assert desk.deliver_all() == ["people 1"]
        desk.take(answers=desk.store.hints("shop", desk.now, 1))
        assert hints(desk) == []

    def test_what_cannot_be_read_is_counted_by_its_place_and_fetched(self, desk: Desk) -> None:
        records = [
            Unreadable(where="page 3, row 17", reason="no id", entity="customer"),
            Unreadable(where="page 3, row 18", reason="the e-mail is a number", entity="customer", key="7"),
        ]
        done = desk.take(desk.customer("1"), unreadable=records)
        assert (done.accepted, done.unreadable, done.hinted) == (1, 2, 1)
        assert hints(desk) == [("touch", "customer", "7")]
        assert desk.store.unreadable_counts() == {"shop": {"customer": 2}}
        desk.tick(hours=1)
        # Asked for by name it still cannot be read: asking again does not help.
        desk.take(unreadable=records[1:], answers=desk.store.hints("shop", desk.now, 1), read_at=desk.now)
        assert hints(desk) == []
        kept = desk.store.unreadable("shop")
        assert [(r.place, r.key, r.reason, r.times) for r in kept] == [
            ("page 3, row 18", "7", "the e-mail is a number", 2),
            ("page 3, row 17", None, "no id", 1),
        ]
        desk.take(desk.customer("7"))
        assert desk.store.unreadable_counts() == {"shop": {"customer": 1}}
        desk.store.prune(desk.now + timedelta(days=1))
        assert desk.store.unreadable() == []

    def test_a_person_who_is_forgotten_leaves_no_hint_and_holds_nobody(self, desk: Desk) -> None:
        from ....store import email_digest

        known(desk)
        shared = EntityRef("customer", "2")
        bad = Unreadable(where="page 1", reason="no name", entity="customer", key="1")
        desk.take(desk.touch("customer", "1", owner=shared), desk.customer("2", "B"), unreadable=[bad])
        assert desk.claim() == []
        desk.store.forget("c1@shop.test", email_digest("c1@shop.test"), desk.now)
        assert hints(desk) == []
        assert desk.store.unreadable() == []
        assert desk.deliver_all() == ["people 2"]
