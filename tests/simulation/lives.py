"""Draw a life from a seed, live it, and take from a failing one whatever is not needed for its fault."""

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random

from scratch import in_memory

from synccore._plugins import Plugins, load_plugins

from . import hands
from .afterwards import afterwards
from .days import jobs_take_a_day
from .orgs import Busy
from .statements import standing
from .step import Step
from .targets import Adopting, Klaviyo, Salesforce, Target
from .truth import early, faults
from .world import ALL_TARGETS, World

__all__ = ["SEEN", "draw", "live", "shrink"]

#: How often a step happens where it is not once.
OFTEN = {
    "cron": 8,
    "pass": 4,
    "edit": 3,
    **dict.fromkeys(("register", "order", "renew", "light", "trouble", "replay", "telephone"), 2),
}
RARE = {
    **dict.fromkeys(("restore", "forget"), 0.3),
    **dict.fromkeys(("sweep", "outage", "exchange", "overlap", "merge", "pause", "clock"), 0.5),
}

#: What was thought of later is drawn beside all else, in some lives: the others stay what they were, for those in which
#: faults were seen are known by their seeds.
LATER: Mapping[str, Callable[[int], bool]] = {
    "shop clock": lambda seed: seed % 5 == 2,
    "call": lambda seed: seed % 11 == 8,
    "dismiss": lambda seed: seed % 7 == 2,
}
#: Of eight lives those in which every webhook comes: what they leave has to be so before anything is compared.
HEARD = (4, 7)

#: Of eleven lives the one in which jobs take a day.
DAYS = 10

#: Steps of a life, and of one in fifty: much comes about only where there was time for it.
SHORT, LONG = 40, 200

#: Of the first ten thousand those in which faults showed that few others see. Where what is drawn changes they are
#: other lives: then the sabotages that name them are missed, and want others.
SEEN = (
    236,
    710,
    918,
    1106,
    1572,
    2148,
    2864,
    3498,
    3987,
    4131,
    4599,
    4632,
    5248,
    6114,
    6441,
    6758,
    6780,
    6958,
    8298,
    8485,
    8840,
)

#: By how much a life has more or less of a step than others.
WAYS = (0.2, 0.5, 1, 1, 2, 4)
#: What a vendor carries out a moment later is done by then.
MOMENT = timedelta(seconds=1)
#: After every so many steps `status` is compared with what there is.
LOOK = 2


def draw(seed: int, length: int | None = None) -> tuple[Step, ...]:
    """The life of a seed. Each has ways of its own: what is rare in most lives is often in some, where it meets itself
    and what else is often there."""
    length = length or (LONG if seed % 50 == 49 else SHORT)
    luck = Random(seed)
    first = [name for name in hands.ALL_STEPS if name not in LATER]
    weights = [OFTEN.get(name, RARE.get(name, 1)) * luck.choice(WAYS) for name in first]
    names = luck.choices(first, weights, k=length)
    steps = [Step(name, luck.randrange(10**6)) for name in names]
    for name in (name for name, happens in LATER.items() if happens(seed)):
        for _ in range(luck.choice((2, 4, 8))):
            steps.insert(luck.randrange(len(steps) + 1), Step(name, luck.randrange(10**6)))
    return tuple(steps)


def live(
    seed: int,
    steps: Sequence[Step],
    plugins: Plugins | None = None,
    targets: Sequence[type[Target]] | None = None,
) -> list[str]:
    """Live it, let everything come to rest, and give what is wrong then."""
    targets = _targets(seed) if targets is None else targets
    with (
        tempfile.TemporaryDirectory(prefix="life-", dir=in_memory()) as folder,
        World(Path(folder), seed, plugins or load_plugins(environ={}), targets) as world,
    ):
        world.network.sure = seed % 8 in HEARD
        if seed % 11 == DAYS:
            jobs_take_a_day(world)
        false: list[str] = []
        for number, step in enumerate(steps):
            hands.live(world, step)
            if (number + seed) % LOOK == 0:
                false += standing(world)
        world.quiet()
        world.clock.advance(MOMENT)
        if wrong := false or early(world):
            return wrong
        world.settled()
        return faults(world) or list(afterwards(world))


def _targets(seed: int) -> Sequence[type[Target]]:
    """All of them; in every third life the one that has two ways goes the other one, and an org takes jobs where these
    take a day."""
    others: dict[type[Target], type[Target]] = {Klaviyo: Adopting} if seed % 3 == 1 else {}
    if seed % 11 == DAYS:
        others[Salesforce] = Busy
    return [others.get(kind, kind) for kind in ALL_TARGETS]


def shrink(seed: int, steps: Sequence[Step], plugins: Plugins | None = None) -> tuple[Step, ...]:
    """A part of a failing life that fails in one of the same ways, and of which no single step can be left out."""
    ways = {_way(fault) for fault in live(seed, steps, plugins)}
    kept, size = list(steps), max(len(steps) // 2, 1)
    while size:
        at = 0
        while at < len(kept):
            fewer = kept[:at] + kept[at + size :]
            if ways & {_way(fault) for fault in live(seed, fewer, plugins)}:
                kept = fewer
            else:
                at += size
        size = size // 2
    return tuple(kept)


def _way(fault: str) -> str:
    """What is wrong, whomever it is wrong with."""
    return re.sub(r"p?\d+(@shop\.test)?|'[^']*'|\(.*\)", "", fault)
