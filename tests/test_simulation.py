"""Lives of the whole product (see `simulation`); `benchmarks/simulate.py` lives many more."""

import os
from datetime import timedelta

import pytest
from simulation import hands
from simulation.lives import SEEN, draw, live
from simulation.mails import Importing
from simulation.step import Step
from simulation.targets import Adopting, Klaviyo
from simulation.truth import faults
from simulation.world import ALL_TARGETS, World

from synccore._plugins import load_plugins
from synccore._verbs.verify import verify


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(environ={})


#: CI lives two hundred by itself (`benchmarks/simulate.py`); the sabotages have to be seen by more than a handful.
LIVES = int(os.environ.get("SUITE_LIVES", "3"))


@pytest.mark.parametrize("seed", range(LIVES))
def test_whatever_happens_each_target_ends_as_the_shop_is(plugins, seed):
    assert live(seed, draw(seed), plugins) == []


#: CI lives all of them by itself, too.
@pytest.mark.parametrize("seed", SEEN if "SUITE_LIVES" in os.environ else SEEN[::6])
def test_a_life_in_which_a_fault_was_seen_ends_as_the_shop_is(plugins, seed):
    assert live(seed, draw(seed), plugins) == []


@pytest.mark.parametrize("seed", range(LIVES))
@pytest.mark.parametrize("target", [*ALL_TARGETS, Adopting, Importing], ids=lambda target: target.name)
def test_whatever_happens_a_target_alone_ends_as_the_shop_is(plugins, target, seed):
    """All trouble is its own."""
    assert live(seed, draw(seed), plugins, [target]) == []


def test_a_guest_whose_address_changes_is_one_person_at_each_target(plugins, tmp_path):
    with World(tmp_path, 1, plugins) as world:
        billing = {"first_name": "Gus", "last_name": "Gast"}
        order = world.shop.place_order(customer_id=0, status="processing", billing={**billing, "email": "g@shop.test"})
        world.rest()
        world.shop.edit_order(order, billing={**billing, "email": "moved@shop.test"})
        world.rest()
        for target in world.targets.values():
            emails = {person.email for person in target.people()}
            assert "moved@shop.test" in emails, target.name
            assert "g@shop.test" not in emails, target.name
        assert faults(world) == []


def test_a_payment_whose_webhook_was_lost_is_told_though_a_comparison_finds_it_first(plugins, tmp_path):
    with World(tmp_path, 1, plugins) as world:
        box = world.shop.subscribe(next(iter(world.shop.customers)) + 3)
        world.rest()
        world.network.withheld = []
        world.clock.advance(timedelta(minutes=1))
        world.shop.renew(box)
        world.shop.run_queue()
        world.worker.queue_reconcile(world.clock.now())
        while world.worker.work_job():
            pass
        world.network.withheld = None
        world.rest()
        assert faults(world) == []
        assert len(world.targets["marketing"].payments()) == 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("target", [*ALL_TARGETS, Adopting], ids=lambda target: target.name)
def test_whom_a_restored_backup_never_knew_is_forgotten(plugins, tmp_path, target, seed):
    """Made a moment before it came back, and not shown by every target yet."""
    with World(tmp_path, seed, plugins, [target]) as world:
        world.rest()
        hands.live(world, Step("save", 1))
        hands.live(world, Step("register", 1))
        number = max(world.shop.customers)
        email = world.shop.customers[number]["email"]
        world.shop.place_order(customer_id=number, status="processing", billing={"email": email})
        world.shop.run_queue()
        world.turn()
        hands.live(world, Step("restore", 1))
        for order in [n for n, o in world.shop.orders.items() if o["billing"]["email"] == email]:
            world.shop.delete_order(order)
        world.delete(number)
        world.forget_everywhere(email)
        world.rest()
        assert faults(world) == []
        assert world.forgotten == {email}


@pytest.mark.parametrize("what", [{"phone": "+493090182001"}, {"address_1": "Weg 3", "city": "Bonn"}], ids=repr)
def test_what_was_filled_since_a_backup_and_emptied_again_may_stay_and_nothing_like_it(plugins, tmp_path, what):
    """Nobody knows that it was ours, of whom it happened to. Anybody else is as the shop is."""
    with World(tmp_path, 1, plugins) as world:
        world.rest()
        hands.live(world, Step("save", 1))
        filled, other = sorted(world.accounts())[:2]
        world.shop.edit_customer(filled, billing=what)
        world.shop.run_queue()
        world.turn()
        world.shop.edit_customer(filled, billing=dict.fromkeys(what, ""))
        hands.live(world, Step("restore", 1))
        world.rest()
        entries = {entry.tag: entry.fields for entry in world.ledger.entries.values()}
        kept, nothing = (entries[f"shop:customer:{number}"] for number in (filled, other))
        assert kept.get("phone") or kept.get("street")
        assert faults(world) == []
        nothing.update({name: kept.get(name) for name in ("phone", "street")})
        assert any(world.shop.customers[other]["email"] in fault for fault in faults(world))


def test_who_had_an_address_in_between_leaves_the_profile_to_whoever_found_it_by_that(plugins, tmp_path):
    """The answer to the first change was lost: they may stand there under it, and are made one with the next one."""
    with World(tmp_path, 1, plugins, [Klaviyo]) as world:
        world.rest()
        (target,), between = world.targets.values(), world.new_address()
        mover, heir, third = sorted(world.accounts())[:3]
        own = {number: world.shop.customers[number]["email"] for number in (mover, heir, third)}
        world.give_up(mover, own[mover])
        world.shop.edit_customer(mover, email=between)
        target.trouble_at(lambda request: request.path.endswith("profile-import"), "lost")
        world.shop.run_queue()
        world.turn()
        world.give_up(mover, between)
        for number, email in ((heir, "meanwhile@shop.test"), (mover, own[heir]), (heir, between)):
            world.shop.edit_customer(number, email=email)
        world.rest()
        assert {own[third], own[heir], between} <= {person.email for person in target.people()}
        assert faults(world) == []
        assert verify(world.app, "profiles").ok


def test_a_life_is_the_same_each_time():
    assert draw(3) == draw(3) != draw(4)
