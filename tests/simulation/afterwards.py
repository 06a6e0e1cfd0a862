"""What more has to be so once all is quiet: a change of which nobody tells is known after the next poll, and where
`verify` names what differs, its repair makes that good."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from random import Random

from synccore._verbs.verify import Proof

from .operators import forgotten, remapped, restored
from .owners import proofs, spoilt
from .statements import left_over, remains, told
from .truth import faults
from .world import World

__all__ = ["afterwards", "repaired"]

#: `poll` of the configuration, and how far apart two looks at one clock may be.
POLL = timedelta(minutes=5, seconds=11)
#: What a target shows late is seen by then, and what it carries out later is done.
LATER = timedelta(minutes=2)


def afterwards(world: World) -> Iterator[str]:
    """Everything that is not as it should be."""
    yield from _untold(world)
    yield from (*world.heard.faults, *told(world), *left_over(world), *remains(world))
    before = proofs(world)
    if _owed(before):
        yield from _repaired(world)
        return
    luck = Random(f"afterwards {world.seed}")
    what = luck.choice(("owner", "owner", "route", "forget", "restore"))
    if luck.random() < 0.3:
        return  # each costs a tenth of a life or more
    match what:
        case "owner":
            yield from spoilt(world, before)
        case "route":
            yield from remapped(world)
        case "forget":
            yield from forgotten(world)
        case "restore":
            yield from restored(world)


def repaired(world: World) -> Iterator[str]:
    """What is not as it should be where a repair had something to make good."""
    if _owed(proofs(world)):
        yield from _repaired(world)


def _owed(before: Mapping[str, Proof]) -> bool:
    return any(proof.repaired for proof in before.values())


def _repaired(world: World) -> Iterator[str]:
    world.rest()
    world.clock.advance(LATER)
    # Who was made one with somebody has a record of their own again.
    world.excuses.between.clear()
    yield from (f"after a repair: {fault}" for fault in faults(world))


def _untold(world: World) -> Iterator[str]:
    """The webhook of a change is lost."""
    number = min(world.accounts(), default=None)
    if number is None:
        return
    world.network.withheld = []
    world.shop.edit_customer(number, first_name="Untold")
    world.shop.run_queue()
    world.network.withheld = None
    world.clock.advance(POLL)
    world.turn()
    known = world.store.snapshot("shop", "customer", str(number))
    if known is None or known.data.first_name != "Untold":
        yield f"account {number} changed, and it is not known after the next poll"
    world.rest()
