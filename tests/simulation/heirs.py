"""A guest and an account become one, which is heard, and are not any more before anything of it is delivered."""

from collections.abc import Mapping
from functools import partial

from .calls import Change, Whom
from .changes import ONE, OTHERS, THEIRS
from .world import World

__all__ = ["INHERITED", "REGISTERED"]

#: What becomes of the address that both had.
THEN: Mapping[str, Change] = {
    **{name: THEIRS[name] for name in ("moves on", "leaves")},
    **{
        name: OTHERS[name] for name in ("gives it to a guest", "gives it to somebody new", "gives it to somebody known")
    },
}


def _in_a_row(world: World, whom: Whom, *, first: Change, then: Change) -> object:
    if first(world, whom) is False:
        return False
    world.listen()
    world.shop.run_queue()
    return then(world, whom)


#: A guest does.
REGISTERED: Mapping[str, Change] = {
    f"registers, and {name}": partial(_in_a_row, first=OTHERS["registers"], then=then) for name, then in THEN.items()
}
#: An account does, beside a guest.
INHERITED: Mapping[str, Change] = {
    f"gets the guest's address, and {name}": partial(_in_a_row, first=ONE["gets the guest's address"], then=then)
    for name, then in THEN.items()
}
