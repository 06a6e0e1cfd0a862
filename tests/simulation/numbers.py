"""Telephone numbers that go from one to another, at an account that has one profile for a number."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import ClassVar

from synccore._verbs.lanes import pause

from .calls import Beginning, Change, Whom, somebody
from .rounds import exchanges
from .targets import CUT, Klaviyo
from .world import World

__all__ = ["CALLED", "HANDED_ON", "NUMBERS", "RENUMBERED", "Calling", "Numbering"]

#: What was refused for a while, or had no answer, is due by then.
DUE = timedelta(minutes=10)


class Numbering(Klaviyo):
    """Who gives a number up and who gets it are written in one call: nobody goes without."""

    name = "numbering"
    frees_numbers: ClassVar[bool] = False


def _calls(world: World, number: int, phone: str) -> None:
    world.shop.edit_customer(number, billing={"phone": phone})


def _has_another(world: World, whom: Whom) -> None:
    _calls(world, whom.number, f"+4930901822{whom.number:03}")


def _hands_on(world: World, whom: Whom, *, instead: str, first: bool) -> None:
    """To somebody who is there, which is heard first, or last; what both are is due at once, for nothing was delivered
    meanwhile."""
    for name in world.targets:
        pause(world.app, name, "by hand")
    heir = min(world.accounts())
    theirs, mine = (world.shop.customers[number]["billing"]["phone"] for number in (heir, whom.number))
    phone = {"none": "", "theirs": theirs, "another": f"+4930901823{whom.number:03}"}[instead]
    for number, has in sorted({heir: mine, whom.number: phone}.items(), reverse=not first):
        _calls(world, number, has)
        world.shop.run_queue()
        world.turn()
        world.clock.advance(DUE / 2)


#: Who is known has another number.
RENUMBERED: Mapping[str, Change] = {"has another number": _has_another}
#: And gives it to somebody else.
HANDED_ON: Mapping[str, Change] = {
    f"gives it on{', which is heard first' if first else ''}, and has {instead}": partial(
        _hands_on, instead=instead, first=first
    )
    for instead in ("none", "theirs", "another")
    for first in (False, True)
}


class Calling(Numbering):
    """Whoever gives up a number is followed by whoever is to have it, in whichever call. Calls may end without an
    answer, and nothing was done."""

    name = "calling"
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
