"""Who is one with another at a target, leaves, and is forgotten: of what was written for them alone nothing stays."""

from collections.abc import Mapping

from .calls import Change, Whom
from .changes import JOINED, OTHERS, THEIRS
from .targets import Google
from .world import World

__all__ = ["FORGOTTEN_LATER", "LEFT", "MADE_ONE"]


def _street(whom: Whom) -> str:
    """Where nobody else lives."""
    assert whom.other is not None
    return f"Allee {whom.other.number}"


def _made_one(world: World, whom: Whom) -> object:
    world.shop.edit_customer(whom.number, billing={"address_1": _street(whom), "city": "Ulm", "postcode": "89073"})
    world.rest()
    return JOINED["joined into another, kept, both"](world, whom)


def _moves_and_leaves(world: World, whom: Whom) -> None:
    """The address that is known of them last is never delivered."""
    THEIRS["moves on"](world, whom)
    world.shop.run_queue()
    THEIRS["leaves"](world, whom)


def _is_forgotten(world: World, whom: Whom) -> None:
    for target in world.targets.values():
        if isinstance(target, Google):
            target.traces.add(_street(whom))
    OTHERS["forget"](world, whom)


MADE_ONE: Mapping[str, Change] = {"joined into another": _made_one}
LEFT: Mapping[str, Change] = {"moves on and leaves": _moves_and_leaves}
FORGOTTEN_LATER: Mapping[str, Change] = {"is forgotten": _is_forgotten}
