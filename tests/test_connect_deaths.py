"""A process that dies while somebody connects an account, leaves it, or changes to another one: at each statement, and
at each call, before it goes out, once it was carried out, and when its answer was read."""

import os
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import count
from random import Random

import pytest
from simulation.targets import Adopting, Google, Klaviyo, Salesforce
from simulation.truth import faults
from simulation.world import World

from synccore._plugins import load_plugins
from synccore._verbs.connect import connect
from synccore._verbs.disconnect import disconnect
from synccore._verbs.lanes import resume

#: Every so many moments; every one at night.
STEP = 1 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 5 if "SUITE_LIVES" in os.environ else 19


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(environ={})


def signs_in(world: World, name: str, **how: bool) -> None:
    target = world.targets.get(name)
    connect(world.app, name, getattr(target, "browser", None) or _nobody, **how)


def _nobody(*_: object) -> object:
    raise AssertionError("nobody has to sign in there")


def dies_at_each_moment(world: World, fuse: str, work: Callable[[int], object], then: Callable[[int], object]) -> None:
    """Do it again and again, each time with a death a moment later, until it passes; after each, what follows."""
    world.shop.quirks.cap = 100  # one page: how the shop is listed is tried elsewhere
    for moment in count(0, STEP):
        deaths = world.deaths
        setattr(world.store, fuse, moment)
        world.run(partial(work, moment))
        setattr(world.store, fuse, None)
        # Somebody new every now and then: all of them are looked at each time.
        if moment % (5 * STEP) == 0:
            world.register(Random(moment))
        world.shop.edit_customer(min(world.accounts()), first_name=f"Ada{moment}")
        world.listen()
        world.shop.run_queue()
        world.turn()
        world.clock.advance(timedelta(minutes=1))  # so long it takes a person
        then(moment)
        world.rest()
        assert faults(world) == [], f"it died at moment {moment}"
        if world.deaths == deaths:
            break
    assert moment, "nothing was enumerated"


@pytest.mark.parametrize("fuse", ["fuse", "calls"])
@pytest.mark.parametrize("target", [Google, Klaviyo, Salesforce, Adopting], ids=lambda target: target.__name__)
def test_who_connects_once_more_goes_on_as_before(plugins, tmp_path, target, fuse):
    with World(tmp_path, 1, plugins, targets=[target]) as world:
        dies_at_each_moment(world, fuse, lambda _: signs_in(world, target.name), lambda _: signs_in(world, target.name))


@pytest.mark.parametrize("fuse", ["fuse", "calls"])
@pytest.mark.parametrize("leave", [False, True], ids=["as it is", "which was left"])
def test_a_shop_that_is_connected_once_more_has_each_webhook_once(plugins, tmp_path, fuse, leave):
    def begin(moment):
        if leave:
            disconnect(world.app, "shop")
        signs_in(world, "shop")

    def then(moment):
        signs_in(world, "shop")
        topics = Counter(hook["topic"] for hook in world.shop.hooks.all.values() if hook["status"] == "active")
        assert set(topics.values()) == {1}, f"it died at moment {moment}"
        assert topics.keys() == before

    with World(tmp_path, 1, plugins, targets=[Klaviyo]) as world:
        before = {hook["topic"] for hook in world.shop.hooks.all.values()}
        dies_at_each_moment(world, fuse, begin, then)


@pytest.mark.parametrize("fuse", ["fuse", "calls"])
def test_who_changes_to_another_address_book_has_all_there_and_nothing_more_is_written_to_the_former_one(
    plugins, tmp_path, fuse
):
    with World(tmp_path, 1, plugins, targets=[Google]) as world:
        server = world.targets[Google.name].server
        former: dict[str, object] = {}

        def begin(moment):
            server.sign_in.person = {"id": str(3000 + moment), "email": f"o{moment}@shop.test", "name": "Other"}
            signs_in(world, Google.name, switch_account=True)

        def then(moment):
            signs_in(world, Google.name, switch_account=True)
            there = str(3000 + moment)
            assert server.sign_in.person["id"] == there
            former.update({user: server.book(user).contacts() for user in accounts(moment)})
            for name, route in world.app.routes.items():
                world.store.queue_backfill("backfill", "shop", route.entity, {}, name, world.clock.now())
            resume(world.app, Google.name)

        def accounts(moment):
            return ["1001", *(str(3000 + m) for m in range(0, moment, STEP))]

        dies_at_each_moment(world, fuse, begin, then)
        assert {user: server.book(user).contacts() for user in former} == former
