"""What somebody has, and what becomes of it; also in one moment with something else that they do."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import product

from .calls import Beginning, Change, Whom, buys, somebody
from .world import World

__all__ = ["BOXES", "OWNING", "at_once"]


def _with_a_box(world: World, between: Callable[[], object] = lambda: None) -> Whom:
    whom = somebody(world, "")
    whom.box = world.shop.subscribe(whom.number)
    return whom


def _with_an_order(world: World, between: Callable[[], object] = lambda: None) -> Whom:
    whom = somebody(world, "")
    buys(world, whom)
    return whom


#: Who has something that may become something else.
OWNING: Mapping[str, Beginning] = {"with a box": _with_a_box, "with an order": _with_an_order}


def _becomes(world: World, whom: Whom, *, status: str) -> bool:
    """By hand."""
    if not whom.box or world.shop.subscriptions[whom.box]["status"] == status:
        return False
    world.shop.edit_subscription(whom.box, status=status)
    return True


#: What becomes of a subscription.
BOXES: Mapping[str, Change] = {
    f"the box is {status}": partial(_becomes, status=status) for status in ("on-hold", "active", "pending-cancel")
}


def at_once(beginnings: Mapping[str, Beginning], changes: Mapping[str, Change]) -> Mapping[str, Beginning]:
    """What is to be delivered is both, before anything of either was heard."""

    def both(begin: Beginning, change: Change) -> Beginning:
        def then(world: World, between: Callable[[], object] = lambda: None) -> Whom:
            whom = begin(world, between)
            change(world, whom)
            return whom

        return then

    cases = product(beginnings, changes)
    return {f"{begin}, and {change}": both(beginnings[begin], changes[change]) for begin, change in cases}
