"""A record that a backfill asks for again is not owed where its link was made from the same by the same mapping."""

import pytest
from attrs import evolve

from synccore.store import made_from


@pytest.fixture
def mapped(desk):
    """A shop whose routes say what their mapping is."""
    desk.rules = {e: [evolve(rule, made_by="mapping 1") for rule in rules] for e, rules in desk.rules.items()}
    return desk


def deliver(desk, to="done", **values):
    """Settle what is due as a lane does: with what it was made from, where that was delivered or is there already."""
    for delivery in desk.claim():
        work = desk.store.load([delivery])[0]
        made = made_from("mapping 1", work.inputs)
        link = desk.link(f"r-{delivery.key}") if to == "done" else None
        desk.settle(delivery, to, link=link, **{"made_from": made, **values})


def asked_again(desk, *changes):
    """Which keys a backfill owes."""
    taken = desk.take(*changes, bulk=True, force=frozenset({"people", "orders"}))
    return taken.dirtied


def test_nothing_is_owed_twice(mapped):
    mapped.take(mapped.customer("1"), mapped.customer("2"), mapped.order("7", "1"))
    deliver(mapped)
    deliver(mapped)
    assert asked_again(mapped, mapped.customer("1"), mapped.customer("2"), mapped.order("7", "1")) == 0
    assert asked_again(mapped, mapped.customer("1", name="Eve"), mapped.customer("2")) == 1


def test_another_mapping_is_asked(mapped):
    mapped.take(mapped.customer("1"))
    deliver(mapped)
    mapped.rules = {"customer": [evolve(mapped.rules["customer"][0], made_by="mapping 2")]}
    assert asked_again(mapped, mapped.customer("1")) == 1


def test_without_a_word_on_the_mapping_all_are_owed(mapped):
    mapped.take(mapped.customer("1"))
    deliver(mapped)
    mapped.rules = {"customer": [evolve(mapped.rules["customer"][0], made_by=None)]}
    assert asked_again(mapped, mapped.customer("1")) == 1


def test_an_owner_who_changed_is_a_reason(mapped):
    mapped.take(mapped.customer("1"), mapped.order("7", "1"))
    deliver(mapped)
    deliver(mapped)
    mapped.take(mapped.customer("1", name="Eve"))
    deliver(mapped)
    assert asked_again(mapped, mapped.customer("1", name="Eve")) == 0
    assert asked_again(mapped, mapped.order("7", "1")) == 1


@pytest.mark.parametrize("to", ["parked", "skipped"])
def test_what_did_not_arrive_is_owed_again(mapped, to):
    mapped.take(mapped.customer("1"))
    deliver(mapped)
    mapped.take(mapped.customer("1", name="Eve"))
    deliver(mapped, to, made_from=None)
    assert asked_again(mapped, mapped.customer("1", name="Eve")) == 1


def test_what_was_found_to_be_there_already_is_not(mapped):
    mapped.take(mapped.customer("1"))
    deliver(mapped)
    mapped.take(mapped.customer("1", username="eve"))
    deliver(mapped, "skipped")
    assert asked_again(mapped, mapped.customer("1", username="eve")) == 0


def test_what_never_arrived_is_asked_again_without_a_former_state(mapped):
    mapped.take(mapped.customer("1"))
    mapped.settle(mapped.claim()[0], "skipped")
    assert asked_again(mapped, mapped.customer("1")) == 1
    (work,) = mapped.store.load(mapped.claim())
    assert work.before is None


def test_after_a_restore_everything_is_owed(mapped):
    mapped.take(mapped.customer("1"))
    deliver(mapped)
    mapped.store.doubt(["shop"], mapped.now)
    assert asked_again(mapped, mapped.customer("1")) == 1


def test_a_link_that_was_mended_is_looked_at(mapped):
    mapped.take(mapped.customer("1"))
    deliver(mapped)
    mapped.store.repair(mapped.rules["customer"][0], "shop", {"1": mapped.link("r-1")}, mapped.now)
    deliver(mapped, "skipped", made_from=None)
    assert asked_again(mapped, mapped.customer("1")) == 1
