"""Somebody is forgotten by an address that is another one's by then, which is not heard yet; and one call of that
fails, so that it is asked for once more when that is known."""

from collections.abc import Mapping
from functools import partial
from itertools import product

from .calls import Change, Nth, Whom
from .changes import OTHERS, THEIRS
from .world import World

__all__ = ["INSTEAD"]


def _instead(world: World, whom: Whom, *, trouble: str, moment: int) -> bool:
    """The account that has it by now is meant, and gone from the shop."""
    if not whom.number:
        return False
    former = whom.email
    THEIRS["moves on"](world, whom)
    heir = world.shop.add_customer(former, first_name="Heir", last_name="Byron")
    (target,) = world.targets.values()
    target.trouble_at(Nth(moment), trouble)
    OTHERS["forget"](world, Whom(former, heir))
    target.come_back()
    return True


#: At any call: a contact is read, written, and looked for by key and by address.
INSTEAD: Mapping[str, Change] = {
    f"forgotten instead of another one, {trouble} at call {moment}": partial(_instead, trouble=trouble, moment=moment)
    for trouble, moment in product(("lost", "refused"), range(4))
}
