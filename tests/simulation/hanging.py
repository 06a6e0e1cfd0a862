"""Somebody is gone at a target, and what hangs on them there is to be written before they are made anew, or after."""

from collections.abc import Mapping
from datetime import timedelta

from .calls import Change, Whom, buys
from .changes import changes_name
from .world import World

__all__ = ["HANGING"]


def _deletes(world: World, whom: Whom) -> bool:
    """The owner, of which nobody hears."""
    done = [target.deletes(whom.email) for target in world.targets.values()]
    return any(done)


def _and_they_buy(world: World, whom: Whom) -> bool:
    """More, or pay what they owe: and change a while later."""
    if not _deletes(world, whom):
        return False
    if whom.order and not whom.box:
        world.edited.add(whom.order)
        world.shop.edit_order(whom.order, status="completed")
    buys(world, whom)
    world.shop.run_queue()
    world.turn()
    world.clock.advance(timedelta(minutes=1))
    changes_name(world, whom)
    return True


def _and_they_change(world: World, whom: Whom) -> bool:
    if done := _deletes(world, whom):
        changes_name(world, whom)
    return done


HANGING: Mapping[str, Change] = {
    "the owner deletes, and they buy before they change": _and_they_buy,
    "the owner deletes, and they change": _and_they_change,
}
