"""Addresses that go round among people."""

from collections.abc import Mapping

from .calls import Change, Whom
from .ledger import Ledger
from .targets import CUT
from .world import World

__all__ = ["ROUNDS", "Falling", "exchanges"]


class Falling(Ledger):
    """Calls may end without an answer, and nothing was done."""

    can_go_wrong = (*Ledger.can_go_wrong, *CUT)


def _exchange(world: World, one: int, other: int) -> None:
    """Two get each other's address."""
    mine, theirs = (world.shop.customers[number]["email"] for number in (one, other))
    world.excuses.exchanged |= {one, other}
    world.give_up(one, mine)
    world.give_up(other, theirs)
    world.shop.edit_customer(one, email=f"between{other}@shop.test")
    world.shop.edit_customer(other, email=mine)
    world.shop.edit_customer(one, email=theirs)


def exchanges(world: World, whom: Whom) -> bool:
    """With somebody who is there."""
    other = min(world.accounts())
    if not whom.number or whom.number == other:
        return False
    _exchange(world, whom.number, other)
    whom.email = world.shop.customers[whom.number]["email"]
    return True


def _other_exchanges(world: World, whom: Whom) -> bool:
    """Whoever was there first, with a third one."""
    first, third = sorted(world.accounts())[:2]
    if whom.number in (first, third):
        return False
    _exchange(world, first, third)
    return True


#: After another exchange the second one draws a third one into it.
ROUNDS: Mapping[str, Change] = {
    "exchanges it": exchanges,
    "the first one exchanges it with a third": _other_exchanges,
}
