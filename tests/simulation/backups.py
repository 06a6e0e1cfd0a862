"""A backup comes back, and what somebody did since."""

from collections.abc import Mapping

from .calls import Change, Whom
from .changes import LUCK, OTHERS
from .moments import CONSENT
from .world import STEPS, World

__all__ = ["MADE_ANEW", "RESTORED"]


def _restores(world: World, whom: Whom) -> None:
    STEPS["restore"](world, LUCK)


def _registers_and_restores(world: World, whom: Whom) -> bool:
    if done := OTHERS["registers"](world, whom) is not False:
        _restores(world, whom)
    return done


def _takes_back_and_restores(world: World, whom: Whom) -> bool:
    """What somebody has changed since the backup is as it was before it comes back: it knows of nothing."""
    if not whom.number:
        return False
    said = [row["value"] for row in world.shop.customers[whom.number]["meta_data"] if row["key"] == CONSENT]
    meta = [{"key": CONSENT, "value": "no" if "yes" in said else "yes"}] if said else []
    world.shop.edit_customer(whom.number, first_name="Ada", meta_data=meta)
    _restores(world, whom)
    return True


#: Of a backup that was made before: then much is unknown, and less is known to be right.
RESTORED: Mapping[str, Change] = {
    "restore": _restores,
    "registers, and restore": _registers_and_restores,
    "takes it back, and restore": _takes_back_and_restores,
}


def _is_made_anew(world: World, whom: Whom) -> bool:
    """A target's owner deletes them, and has them again, before what is to be delivered."""
    if done := OTHERS["the owner deletes"](world, whom) is not False:
        world.rest()
        world.shop.edit_customer(whom.number, first_name="Dora")
    return done


#: What a backup of before knows by a record that is gone.
MADE_ANEW: Mapping[str, Change] = {"deleted by the owner, and made anew": _is_made_anew}
