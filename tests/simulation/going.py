"""Who gets an address with which somebody signed up at the target by themselves, and who gets theirs."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from .calls import Change, Whom
from .moments import CONSENT
from .targets import Klaviyo
from .world import World

__all__ = ["GOING"]

NO = [{"key": CONSENT, "value": "no"}]


def _goes(world: World, whom: Whom, *, wanted: bool, heir: str) -> bool:
    """`wanted`: whoever signed up wants mail."""
    if not whom.number:
        return False
    former, whom.email = whom.email, world.new_address()
    for target in world.targets.values():
        if isinstance(target, Klaviyo):
            target.signs_up(whom.email, wants_mail=wanted)
    _gets(world, whom.number, whom.email)
    if heir == "somebody new":
        world.shop.add_customer(former, first_name="Heir", last_name="Byron", meta_data=NO)
    elif heir != "nobody":
        _gets(world, min(world.accounts()), former, **({"meta_data": NO} if heir.endswith("no") else {}))
    return True


def _gets(world: World, number: int, email: str, **more: Any) -> None:
    world.give_up(number, world.shop.customers[number]["email"])
    world.shop.edit_customer(number, email=email, **more)


GOING: Mapping[str, Change] = {
    f"gets one of who signed up{' for mail' if wanted else ''}, and theirs goes to {heir}": partial(
        _goes, wanted=wanted, heir=heir
    )
    for wanted in (False, True)
    for heir in ("nobody", "somebody new", "somebody known", "somebody known with a no")
}
