"""A telephone number that goes from one profile to another in one moment."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import ClassVar

from synccore._verbs.lanes import pause

from .calls import Change, Whom
from .targets import Klaviyo
from .world import World

__all__ = ["HANDED_ON", "RENUMBERED", "Numbering"]

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
