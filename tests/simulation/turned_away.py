"""Somebody gets an address that a target does not take, and whoever has theirs by then is there first."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from .calls import Change, Whom
from .changes import OTHERS
from .world import World

__all__ = ["TURNED_AWAY"]


def _turned_away(world: World, whom: Whom, *, heir: str) -> bool:
    """For a while, in which the other one is delivered."""
    if not OTHERS[f"gives it to {heir}"](world, whom):
        return False
    for target in world.targets.values():
        target.refuse(whom.email)
    world.listen()
    for _ in range(2):
        world.shop.run_queue()
        world.turn()
        world.clock.advance(timedelta(minutes=2))
    return True


TURNED_AWAY: Mapping[str, Change] = {
    f"gives it to {heir}, and is not taken with another": partial(_turned_away, heir=heir)
    for heir in ("somebody new", "a guest", "somebody known")
}
