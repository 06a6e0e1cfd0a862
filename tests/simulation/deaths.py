"""A process that dies at one moment of a call after the other, and what happens before the next one goes on."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import count

from .calls import BEGINNINGS, TOLD, Beginning, Change, Whom, changed
from .changes import OTHERS, THEIRS
from .truth import faults
from .world import World

__all__ = ["DEATHS", "MET", "Death", "each_death"]

#: What the process is about when it dies.
Work = Callable[[World, Whom], object]
#: Who or what is owed, what the process is about, and what happens before the next one goes on.
Death = tuple[Beginning, Work, Change]


def _delivered(world: World, _: Whom) -> None:
    world.shop.run_queue()
    world.turn()


def _after_hours(world: World, whom: Whom) -> None:
    """Tokens are to be had anew, and the shop is polled."""
    world.clock.advance(timedelta(hours=3))
    _delivered(world, whom)


def _compared(world: World, _: Whom) -> None:
    """Whatever a webhook would have told is found."""
    world.worker.queue_reconcile(world.machine.now())
    world.turn()


def _forgotten(world: World, whom: Whom) -> None:
    """With whatever is owed."""
    OTHERS["forget"](world, whom)


def _nothing(world: World, whom: Whom) -> bool:
    return False


#: What changed of somebody, and is delivered. What its owner deleted some targets make twice: a known limit.
OTHER = ("the owner deletes", "forget", "retry", "restart", "pause")
CHANGED = {name: act for name, act in (THEIRS | OTHERS).items() if name not in OTHER}
NEW = {name: begin for name, begin in BEGINNINGS.items() if "new" in name}

DEATHS: Mapping[str, Death] = {
    **{f"{name}, delivered": (begin, _delivered, _nothing) for name, begin in (BEGINNINGS | TOLD).items()},
    **{f"{name}, delivered": (begin, _delivered, _nothing) for name, begin in changed(NEW, CHANGED).items()},
    **{f"{name}, delivered after hours": (begin, _after_hours, _nothing) for name, begin in BEGINNINGS.items()},
    **{f"{name}, found by a comparison": (begin, _compared, _nothing) for name, begin in BEGINNINGS.items()},
    **{f"{name}, forgotten": (begin, _forgotten, _nothing) for name, begin in (BEGINNINGS | TOLD).items()},
}

#: What becomes of them before the next process goes on.
MET: Mapping[str, Death] = {
    f"{name}, delivered; then {change}": (begin, _delivered, act)
    for name, begin in (BEGINNINGS | TOLD).items()
    for change, act in (CHANGED | {"forget": _forgotten}).items()
}


def died_at(world: World, death: Death, moment: int) -> bool:
    """Let the process die at that moment of its calls, and the next one go on; whether there was such a moment."""
    begin, work, change = death
    whom = begin(world)
    world.listen()
    deaths, world.store.calls = world.deaths, moment
    work(world, whom)
    world.store.calls = None
    died = world.deaths > deaths
    world.clock.advance(timedelta(seconds=1))
    if died and change(world, whom) is not False:
        world.listen()
    world.shop.run_queue()
    world.rest()
    return died


def each_death(world: World, cases: Mapping[str, Death], step: int) -> int:
    """One of so many of all meetings of a case and a moment of its calls; how often it died."""
    deaths, through = 0, set[str]()
    for moment in count():
        places = {place for place in range(len(cases)) if (moment * len(cases) + place) % step == 0}
        chosen = [name for place, name in enumerate(cases) if place in places and name not in through]
        died = 0
        for name in chosen:
            if not died_at(world, cases[name], moment):
                through.add(name)
                continue
            died += 1
            assert faults(world) == [], f"{name}: it died at moment {moment} of its calls"
        deaths += died
        if len(through) == len(cases) or (step > 1 and chosen and not died):
            return deaths
    raise AssertionError
