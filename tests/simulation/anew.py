"""Who leaves, has an account with that address again at once, and is told of."""

from collections.abc import Mapping
from functools import partial

from .calls import Change, Whom
from .changes import OTHERS
from .world import World

__all__ = ["ANEW"]


def _comes_back(world: World, whom: Whom, *, paid: bool, late: bool) -> bool:
    if not whom.number or not OTHERS["leaves and comes back"](world, whom):
        return False
    if late:
        world.shop.run_queue()
        world.turn()
    whom.box = world.shop.subscribe(whom.number)
    whom.order = world.shop.renew(whom.box, paid=paid)
    return True


ANEW: Mapping[str, Change] = {
    f"leaves, comes back{', is heard of' if late else ''} and {'pays' if paid else 'fails to pay'}": partial(
        _comes_back, paid=paid, late=late
    )
    for late in (False, True)
    for paid in (False, True)
}
