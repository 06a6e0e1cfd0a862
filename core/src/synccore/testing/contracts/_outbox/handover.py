"""An address goes from one record to another: who waits for whom."""

from typing import Any

import pytest
from attrs import evolve

from ....store import DirtyRule
from .desk import Desk

A, B, C = "a@shop.test", "b@shop.test", "c@shop.test"


def _behind(desk: Desk, *keys: str, routes: tuple[str, ...] = ("people",)) -> set[str]:
    found: set[str] = desk.store.behind_handovers(routes, "shop", "customer", keys)
    return found


def _moving(desk: Desk, *keys: str) -> set[str]:
    found: set[str] = desk.store.moving(["people"], "shop", "customer", keys)
    return found


def _turn(desk: Desk, **emails: str) -> None:
    """One after the other, so that no two have one address meanwhile: none of them is to be asked for."""
    _moves(desk, **{key: f"between{key}@shop.test" for key in emails})
    for key, email in emails.items():
        _moves(desk, **{key: email})


def _round(desk: Desk, *keys: str) -> set[str]:
    found: set[str] = desk.store.going_round("people", "shop", "customer", keys)
    return found


def _exchange(desk: Desk, key: str, token: str | None = "", **more: Any) -> Any:
    values = {"token": token, "owes": (), "now": desk.now} | more
    return desk.store.exchange("people", "shop", "customer", key, **values)


def _twins(desk: Desk, *keys: str) -> list[str]:
    return [desk.store.link("people", "shop", "customer", key).remote_id for key in keys]


def _claimed(desk: Desk) -> dict[str, Any]:
    """All that is due, batch by batch."""
    return {delivery.key: delivery for batch in iter(desk.claim, []) for delivery in batch}


def _moves(desk: Desk, **emails: str) -> None:
    desk.take(*(desk.customer(key.strip("_"), email=email) for key, email in emails.items()))


class HandoverRules:
    """Whoever has an address now comes after whoever is owed with another one."""

    def test_who_takes_an_address_is_behind_who_gave_it_up_until_that_is_delivered(self, desk: Desk) -> None:
        _moves(desk, _1=A, _2=B)
        desk.deliver_all()
        _moves(desk, _1=C, _7=A)
        assert (_behind(desk, "1", "2", "7"), _moving(desk, "1", "2", "7")) == ({"7"}, {"1"})
        assert _behind(desk, "7", routes=("orders",)) == set()
        running = {d.key: d for d in desk.claim()}
        assert _behind(desk, "7") == {"7"}
        desk.settle(running["1"], "submitted", job="j")
        assert (_behind(desk, "7"), _moving(desk, "1")) == ({"7"}, {"1"})
        desk.settle(desk.in_job()[0].delivery, link=desk.link("r-1"))
        assert (_behind(desk, "7"), _moving(desk, "1")) == (set(), set())

    def test_who_was_never_delivered_with_it_is_waited_for_by_nobody(self, desk: Desk) -> None:
        _moves(desk, _1=A)
        _moves(desk, _1=B, _7=A)
        assert (_behind(desk, "7"), _moving(desk, "1")) == (set(), {"1"})

    def test_who_is_being_made_with_it_is_waited_for(self, desk: Desk) -> None:
        _moves(desk, _1=A)
        (making,) = desk.claim()
        _moves(desk, _1=B, _7=A)
        assert _behind(desk, "7") == {"7"}, "it is in a call"
        desk.settle(making, "submitted", job="j")
        assert _behind(desk, "7") == {"7"}, "it is in a job"
        desk.settle(desk.in_job()[0].delivery, link=desk.link("r-1"))
        assert _behind(desk, "7") == {"7"}
        desk.settle(next(d for d in desk.claim() if d.key == "1"), link=desk.link("r-1"))
        assert _behind(desk, "7") == set()

    def test_a_state_that_goes_back_or_folds_keeps_the_address_that_is_at_the_target(self, desk: Desk) -> None:
        _moves(desk, _1=A)
        desk.deliver_all()
        _moves(desk, _1=B)
        (running,) = desk.claim()
        _moves(desk, _1=C)
        desk.settle(running, "ready", due_at=desk.now)
        _moves(desk, _7=A)
        assert _behind(desk, "7") == {"7"}
        _moves(desk, _1=A)
        assert _behind(desk, "7") == set(), "it has that address again: two share it"

    def test_a_parked_one_counts_only_with_a_newer_state_behind_it(self, desk: Desk) -> None:
        _moves(desk, _1=A)
        desk.deliver_all()
        _moves(desk, _1=B, _7=A)
        parked = next(d for d in desk.claim() if d.key == "1")
        desk.settle(parked, "parked", error_kind="rejected", error="no")
        assert (_behind(desk, "7"), _moving(desk, "1")) == (set(), set())
        desk.take(desk.customer("1", "Ida", email=B))
        assert _behind(desk, "7") == {"7"}

    def test_what_a_parked_one_was_to_have_it_never_had(self, desk: Desk) -> None:
        _moves(desk, _1=A)
        desk.deliver_all()
        _moves(desk, _1=B)
        desk.settle(desk.claim()[0], "parked", error_kind="rejected", error="no")
        _moves(desk, _1=C, _7=B, _8=A)
        assert _behind(desk, "7", "8") == {"8"}

    def test_what_is_sent_of_somebody_is_not_what_they_were_refused_with(self, desk: Desk) -> None:
        """Else the two would be of one circle, and nobody of them would wait for the other."""
        _moves(desk, _1=A, _2=B)
        desk.settle({d.key: d for d in desk.claim()}["2"], link=desk.link("r-2"))
        desk.settle(desk.store.deliveries(key="1")[0], "ready")
        _moves(desk, _1=C)
        desk.settle(_claimed(desk)["1"], "parked", error_kind="rejected")
        _moves(desk, _2=A)
        _moves(desk, _1=B)
        running = _claimed(desk)
        assert running.keys() == {"1", "2"}
        assert _behind(desk, "1", "2") == {"1"}

    def test_a_move_that_was_dismissed_is_still_to_be_made_by_what_comes_next(self, desk: Desk) -> None:
        _moves(desk, _1=A)
        desk.deliver_all()
        desk.tick(minutes=1)
        _moves(desk, _1=B, _7=A)
        desk.settle(next(d for d in desk.claim() if d.key == "1"), "parked", error_kind="rejected", error="no")
        desk.store.dismiss([d.id for d in desk.store.deliveries(key="1", state="parked")], desk.now)
        assert (_behind(desk, "7"), _moving(desk, "1")) == (set(), set()), "nobody is to wait for what is not owed"
        desk.take(desk.customer("1", "Ida", email=B))
        assert (_behind(desk, "7"), _moving(desk, "1")) == ({"7"}, {"1"})
        desk.tick(minutes=1)
        desk.settle(next(d for d in desk.claim() if d.key == "1"), link=desk.link("r-1"))
        desk.tick(minutes=1)
        desk.take(desk.customer("1", "Ada", email=B))
        assert (_behind(desk, "7"), _moving(desk, "1")) == (set(), set()), "it was made"

    def test_a_twin_that_who_has_the_former_address_was_given_is_that_ones(self, desk: Desk) -> None:
        _moves(desk, _1=A, _2=B)
        desk.deliver_all()
        _moves(desk, _1=C)
        desk.settle(desk.claim()[0], "parked", error_kind="rejected", error="no")
        assert not desk.store.given_away("people", "shop", "customer", "1")
        _moves(desk, _2=A)
        desk.settle(desk.claim()[0], link=desk.link("r-1"))
        assert desk.store.given_away("people", "shop", "customer", "1")
        assert not desk.store.given_away("people", "shop", "customer", "2")
        _moves(desk, _1=A)
        assert not desk.store.given_away("people", "shop", "customer", "1"), "they share it, as they share the address"

    def test_where_it_is_the_one_for_an_address_it_stays_with_who_moved_on_with_it(self, desk: Desk) -> None:
        _moves(desk, _1=A, _2=B)
        desk.deliver_all()
        desk.tick(minutes=1)
        _moves(desk, _1=C)
        desk.settle(desk.claim()[0], "parked", error_kind="rejected", error="no")
        desk.tick(minutes=1)
        _moves(desk, _2=A)
        _moves(desk, _2="d@shop.test")
        assert not desk.store.given_away("people", "shop", "customer", "1", by_address=True)
        desk.settle(desk.claim()[0], link=desk.link("r-1"))
        assert desk.store.given_away("people", "shop", "customer", "1", by_address=True)
        assert not desk.store.given_away("people", "shop", "customer", "1"), "its owner may have made one of both"
        desk.tick(minutes=1)
        _moves(desk, _2="e@shop.test")
        assert not desk.store.given_away("people", "shop", "customer", "2", by_address=True), "it is theirs"

    def test_it_is_so_as_well_where_a_newer_state_was_parked_too(self, desk: Desk) -> None:
        _moves(desk, _1=A, _2=B)
        desk.deliver_all()
        _moves(desk, _1=C)
        desk.settle(desk.claim()[0], "parked", error_kind="rejected", error="no")
        desk.take(desk.customer("1", "Ida", email=C))
        desk.settle(desk.claim()[0], "parked", error_kind="rejected", error="no")
        _moves(desk, _2=A)
        desk.settle(desk.claim()[0], link=desk.link("r-1"))
        assert desk.store.given_away("people", "shop", "customer", "1")

    def test_nobody_of_a_circle_waits_and_who_stands_outside_does(self, desk: Desk) -> None:
        _moves(desk, _1=A, _2=B, _3=C)
        desk.deliver_all()
        _moves(desk, _1=B, _2=C, _3=A, _7=A)
        assert _behind(desk, "1", "2", "3", "7") == {"7"}

    def test_a_circle_exchanges_its_links_and_nobody_moves_any_more(self, desk: Desk) -> None:
        _moves(desk, _1=A, _2=B, _3=C, _4="d@shop.test")
        desk.deliver_all()
        _moves(desk, _1=B, _2=C, _3=A, _7=A)
        assert _exchange(desk, "4") is _exchange(desk, "7") is None, "they stand outside"
        found = _exchange(desk, "1")
        assert found.exchanged
        assert found.keys == {"1", "2", "3"}
        assert _twins(desk, "1", "2", "3", "4") == ["r-2", "r-3", "r-1", "r-4"]
        assert (_moving(desk, "1", "2", "3"), _behind(desk, "7")) == (set(), set())
        assert _exchange(desk, "2") is None
        assert desk.rows(state="ready") == [f"people {key} upsert ready" for key in "1237"]

    def test_nothing_is_exchanged_while_another_one_sends_something_of_the_circle(self, desk: Desk) -> None:
        _moves(desk, _1=A, _2=B)
        desk.deliver_all()
        _moves(desk, _1=C, _2="d@shop.test")
        _moves(desk, _1=B, _2=A)
        one, two = sorted(desk.claim(), key=lambda d: d.key)
        assert not _exchange(desk, "1", "another").exchanged
        assert _twins(desk, "1", "2") == ["r-1", "r-2"]
        desk.settle(two, "submitted", job="j")
        assert not _exchange(desk, "1", one.lease_token).exchanged
        desk.settle(desk.in_job()[0].delivery, "ready", due_at=desk.now)
        assert _exchange(desk, "1", one.lease_token).exchanged
        assert _twins(desk, "1", "2") == ["r-2", "r-1"]

    def test_all_others_of_a_circle_wait_for_whoever_of_it_may_not_be_there(self, desk: Desk) -> None:
        _moves(desk, _1=A, _2=B)
        desk.deliver_all()
        _moves(desk, _3=C)
        sent = desk.claim()[0]
        _turn(desk, _2=C, _3=A, _1=B)
        assert _behind(desk, "1", "2", "3") == {"1", "2"}, "3 is in a call"
        desk.settle(sent, "ready", due_at=desk.now, maybe_applied=True, unheard={"email": C})
        assert (_behind(desk, "1", "2", "3"), _round(desk, "3")) == ({"1", "2"}, {"3"})
        assert _exchange(desk, "1") is None
        desk.settle(_claimed(desk)["3"], "ready", due_at=desk.now, not_applied=True)
        assert (_behind(desk, "1", "2", "3"), _round(desk, "3")) == ({"1", "3"}, set()), "nothing of it is there"

    def test_nobody_of_a_circle_waits_any_more_once_all_are_known_to_be_there(self, desk: Desk) -> None:
        _moves(desk, _1=A)
        desk.deliver_all()
        _moves(desk, _2=B)
        sent = desk.claim()[0]
        _turn(desk, _2=A, _1=B)
        desk.settle(sent, "ready", due_at=desk.now, maybe_applied=True, unheard={"email": B})
        running = _claimed(desk)
        desk.settle(running["2"], "ready", due_at=desk.now, maybe_applied=True, link=desk.link("r-2"))
        assert (_behind(desk, "1", "2"), _round(desk, "1", "2")) == (set(), {"1", "2"})
        assert _exchange(desk, "1", running["1"].lease_token).exchanged

    def test_a_circle_waits_for_who_stands_outside(self, desk: Desk) -> None:
        _moves(desk, _1=A, _2=B, _3=C)
        desk.deliver_all()
        _moves(desk, _1="d@shop.test", _2=A)
        running = {d.key: d for d in desk.claim()}
        desk.settle(running["2"], link=desk.link("r-2"))
        _moves(desk, _2=C, _3=A)
        assert _behind(desk, "1", "2", "3") == {"2", "3"}, "the target has 1 under that address still"
        desk.settle(running["1"], link=desk.link("r-1"))
        assert _behind(desk, "1", "2", "3") == set()

    def test_what_has_another_address_at_the_target_is_exchanged_with_nobody(self, desk: Desk) -> None:
        _moves(desk, _1=A, _2=B)
        for delivery in desk.claim():
            email = {"1": A, "2": "office@shop.test"}[delivery.key]
            desk.settle(delivery, link=desk.link(f"r-{delivery.key}", email=email))
        _moves(desk, _1=B, _2=A)
        assert _exchange(desk, "1") is None

    def test_two_with_one_twin_have_nothing_to_exchange(self, desk: Desk) -> None:
        _moves(desk, _1=A, _2=B)
        for delivery in desk.claim():
            desk.settle(delivery, link=desk.link("r"))
        _moves(desk, _1=B, _2=A)
        assert _exchange(desk, "1") is None

    def test_what_hangs_on_a_circle_is_owed_again_and_what_tells_the_shop(self, desk: Desk) -> None:
        _moves(desk, _1=A, _2=B)
        desk.take(desk.order("o", "1"), desk.order("other", "2"))
        desk.deliver_all()
        for order, twin in (("o", "r-1"), ("other", "r-1")):
            update = evolve(desk.link(f"r-{order}"), parent_id=twin, sink="crm")
            desk.store.put_link("orders", "shop", "order", order, update, desk.now)
        _moves(desk, _1=B, _2=A)
        assert _exchange(desk, "1", owes=(DirtyRule(route="back", sink="shop", entity="customer"),)).exchanged
        owed = {"people 1", "people 2", "orders o", "back 1", "back 2"}
        assert {*desk.rows(state="ready")} == {f"{one} upsert ready" for one in owed}

    def test_a_deletion_is_no_move_and_is_waited_for(self, desk: Desk) -> None:
        _moves(desk, _1=A)
        desk.deliver_all()
        _moves(desk, _1=B)
        desk.take(desk.gone("customer", "1"))
        _moves(desk, _7=A)
        assert (_behind(desk, "1", "7"), _moving(desk, "1")) == ({"7"}, set())

    def test_of_two_who_go_from_one_record_one_has_it_to_themselves(self, desk: Desk) -> None:
        _moves(desk, _1=A, _2=B)
        for delivery in desk.claim():
            desk.settle(delivery, link=desk.link("r"))
        desk.take(*(desk.gone("customer", key) for key in ("2", "1")))
        links = [work.link for work in desk.store.load(desk.claim())]
        assert sorted(link.shared for link in links) == [1, 2]

    @pytest.mark.parametrize("found", ["1", "2"])
    def test_that_is_one_for_whom_it_was_made_and_not_who_found_it_there(self, desk: Desk, found: str) -> None:
        _moves(desk, _1=A, _2=B)
        for delivery in desk.claim():
            desk.settle(delivery, link=evolve(desk.link("r"), adopted=delivery.key == found))
        desk.take(*(desk.gone("customer", key) for key in ("2", "1")))
        links = {work.delivery.key: work.link for work in desk.store.load(desk.claim())}
        assert {key: link.shared for key, link in links.items() if link} == {found: 2, "21".replace(found, ""): 1}
