"""Telephone numbers that go from one to another, at an account that has one profile for a number."""

from collections.abc import Callable, Mapping
from typing import ClassVar

from .calls import Beginning, Change, Whom, somebody
from .rounds import exchanges
from .targets import CUT, Klaviyo
from .world import World

__all__ = ["CALLED", "NUMBERS", "Calling"]


class Calling(Klaviyo):
    """Whoever gives up a number is followed by whoever is to have it, in whichever call. Calls may end without an
    answer, and nothing was done."""

    name = "calling"
    frees_numbers: ClassVar[bool] = False
    can_go_wrong = ("lost", *CUT)


def _gets(number: str, *, known: bool = True, before: bool = True) -> Beginning:
    """Somebody has another number, or has none any more, or gets their first; `before`: they had one."""

    def begin(world: World, between: Callable[[], object] = lambda: None) -> Whom:
        whom = somebody(world, "")
        if not before:
            world.shop.edit_customer(whom.number, billing={"phone": ""})
        if known:
            world.rest()
            between()
            world.shop.edit_customer(whom.number, billing={"phone": number and f"{number}{world.people:03}"})
        return whom

    return begin


#: Whose number is about to be written.
CALLED: Mapping[str, Beginning] = {
    "new, with a number": _gets("", known=False),
    "gets a number": _gets("+4930901822", before=False),
    "gets another number": _gets("+4930901822"),
    "has no number any more": _gets(""),
}


def _number(world: World, account: int) -> str:
    return str(world.shop.customers[account]["billing"]["phone"])


def _exchange_numbers(world: World, whom: Whom) -> bool:
    other = min(world.accounts())
    if not whom.number or whom.number == other:
        return False
    mine, theirs = _number(world, whom.number), _number(world, other)
    world.shop.edit_customer(whom.number, billing={"phone": theirs})
    world.shop.edit_customer(other, billing={"phone": mine})
    return True


def _exchange_both(world: World, whom: Whom) -> bool:
    return exchanges(world, whom) and _exchange_numbers(world, whom)


def _gives(world: World, whom: Whom) -> bool:
    """To somebody who is there."""
    other, mine = min(world.accounts()), _number(world, whom.number)
    if whom.number == other:
        return False
    world.shop.edit_customer(whom.number, billing={"phone": ""})
    world.shop.edit_customer(other, billing={"phone": mine})
    return True


def _gives_to_new(world: World, whom: Whom) -> None:
    """To somebody new, for one that nobody had."""
    mine = _number(world, whom.number)
    world.shop.edit_customer(whom.number, billing={"phone": f"+4930901823{world.people:03}"})
    world.shop.edit_customer(somebody(world, "").number, billing={"phone": mine})


#: What becomes of it.
NUMBERS: Mapping[str, Change] = {
    "exchanges addresses": exchanges,
    "exchanges numbers": _exchange_numbers,
    "exchanges both": _exchange_both,
    "gives it to somebody known": _gives,
    "gives it to somebody new": _gives_to_new,
}
