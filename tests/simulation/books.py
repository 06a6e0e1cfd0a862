"""An address book whose owner works in it by hand, which its listing shows late."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from itertools import product
from random import Random
from typing import Any

from attrs import evolve

from synccore.testing import FakeClock

from .calls import Beginning, Change, Whom, somebody
from .changes import OTHERS, THEIRS, changes_name
from .targets import CUT, Google, Held
from .world import World

__all__ = ["OWNED", "TYPED", "Cut", "Ended", "Personal", "Searched", "typed_before"]


PHONE = "+49 30 111"


class Searched(Google):
    """Its search shows at once what its listing shows late, and nobody is found by a former name."""

    name = "searched"

    def __init__(self, clock: FakeClock, luck: Random) -> None:
        super().__init__(clock, luck)
        book = self.server.book()
        book.forwards, book.search_lag = False, timedelta(0)


class Ended(Searched):
    """It shows the end of a name at once, and late the contact that has another one, which says nothing of it."""

    name = "ended"

    def __init__(self, clock: FakeClock, luck: Random) -> None:
        super().__init__(clock, luck)
        self.server.book().told, self.server.book().ends_early = False, self.lag


class Cut(Google):
    """Calls may end without an answer, and nothing was done: nobody knows for as long as it may be shown late."""

    can_go_wrong = (*Google.can_go_wrong, *CUT)


class Personal(Google):
    """Its owner types in whole people, by names of their own."""

    name = "personal"

    def types(self, email: str) -> bool:
        if typed := super().types(email):
            (name,) = self.named(email)
            self.names[name] = called = "Onkel", f"Hans {len(self.names)}"
            self.server.edit(
                name,
                names=[dict(zip(("givenName", "familyName"), called, strict=True))],
                phoneNumbers=[{"value": PHONE}],
            )
        return typed

    def as_typed(self, person: Held, wanted: Held) -> Held:
        if (person.first, person.last) not in self.names.values():
            return wanted
        return evolve(wanted, first=person.first, last=person.last, phone=Held.digits(PHONE))

    def _ours(self, contact: Mapping[str, Any]) -> list[str]:
        """Nothing of whom they typed in, where nobody of ours is on it."""
        ours = contact["resourceName"] not in self.names or contact.get("externalIds")
        return super()._ours(contact) if ours else []


#: What is done one after another, with a while between in which the listing shows nothing of it.
HANDS: Mapping[str, tuple[str, ...]] = {
    "renames": ("renames",),
    "renames twice": ("renames", "renames"),
    "deletes": ("deletes",),
    "deletes, and types anew": ("deletes", "types"),
}


def _passes(world: World, part: float) -> None:
    world.clock.advance(max(target.lag for target in world.targets.values()) * part)


def _others_register(world: World, whom: Whom) -> None:
    """So that the listing is read while it shows a part."""
    changes_name(world, whom)
    for _ in range(4):
        somebody(world, "")
        world.shop.run_queue()
        world.turn()
        _passes(world, 0.25)


THEN: Mapping[str, Change] = {
    "they change": changes_name,
    "they leave": THEIRS["leaves"],
    "forget": OTHERS["forget"],
    "others register": _others_register,
}


def _by_hand(world: World, whom: Whom, *, acts: tuple[str, ...], late: float, then: Change) -> bool:
    _passes(world, late)
    for place, act in enumerate(acts):
        if place:
            _passes(world, 0.75)
        if not any(getattr(target, act)(whom.email) for target in world.targets.values()):
            return False
    _passes(world, late)
    then(world, whom)
    return True


OWNED: Mapping[str, Change] = {
    f"the owner {what}{', late' if late else ''}, {next_}": partial(_by_hand, acts=acts, late=late, then=then)
    for (what, acts), late, (next_, then) in product(HANDS.items(), (0, 0.5), THEN.items())
}


def typed_before(beginnings: Mapping[str, Beginning], seen: float = 0.5) -> Mapping[str, Beginning]:
    """The owner typed them in a moment before, of which so much of the time has passed that it needs to be shown."""

    def late(begin: Beginning) -> Beginning:
        def typed(world: World, _: Callable[[], object] = lambda: None) -> Whom:
            whom = begin(world)
            for target in world.targets.values():
                target.types(whom.email)
            _passes(world, seen)
            return whom

        return typed

    return {name: late(begin) for name, begin in beginnings.items()}


#: Where the owner typed an address, it is not told from theirs who has it next.
TYPED: Mapping[str, Change] = {
    name: act
    for name, act in (THEIRS | OTHERS).items()
    if not name.startswith(("the owner", "gives it", "exchanges it"))
}
