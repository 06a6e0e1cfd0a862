"""Who has enough of the mails that they get, and says so where they come from; and an account that takes what is
written as jobs, to which it comes later."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

from synccore.testing import FakeClock

from .backups import RESTORED
from .buying import LONG_AGO
from .calls import Beginning, Change, Whom, buys, somebody
from .changes import THEIRS
from .moments import CONSENT
from .targets import Held, Klaviyo
from .world import World

__all__ = ["IN_A_JOB", "JOBBED", "MAILED", "UNSUBSCRIBED", "Dropping", "Importing"]

#: Klaviyo takes one opt-in of a person in half an hour: what is told sooner makes no difference.
LATER = timedelta(minutes=40)


class Importing(Klaviyo):
    """An account whose changes go as jobs, which it comes to after a while."""

    name = "importing"

    def __init__(self, clock: FakeClock, luck: Random) -> None:
        super().__init__(clock, luck)
        self.server.job_time = timedelta(minutes=10)

    def config(self) -> Mapping[str, Any]:
        return {**super().config(), "bulk_threshold": 2}

    def people(self) -> list[Held]:
        """But for addresses alone: who says no, and gets another one a moment later, leaves theirs behind with it."""
        return [person for person in super().people() if person.first or person.last]


class Dropping(Klaviyo):
    """An account that deletes a while after it was asked to."""

    name = "dropping"

    def __init__(self, clock: FakeClock, luck: Random) -> None:
        super().__init__(clock, luck)
        self.server.deletion_time = timedelta(seconds=90)


def _at_checkout(*, known: bool) -> Beginning:
    """Somebody with an account says yes with an order; known before, or with a no."""

    def begin(world: World, between: Callable[[], object] = lambda: None) -> Whom:
        whom = somebody(world, "")
        if known:
            _buys(world, whom, "no")
            world.rest()
            between()
        _buys(world, whom, "yes")
        return whom

    return begin


def _buys(world: World, whom: Whom, word: str) -> None:
    world.clock.advance(timedelta(seconds=1))
    buys(world, whom)
    world.shop.edit_order(whom.order, meta_data=[{"key": CONSENT, "value": word}])


def _a_guest(world: World, between: Callable[[], object] = lambda: None) -> Whom:
    whom = Whom(world.new_address())
    _buys(world, whom, "yes")
    return whom


def _long_ago(world: World, between: Callable[[], object] = lambda: None) -> Whom:
    """In another shop, whose orders came here: that is the past."""
    whom, said = Whom(world.new_address()), [{"key": CONSENT, "value": "yes"}]
    billing = {"email": whom.email, "first_name": "Ada", "last_name": "Byron"}
    at = world.clock.now() - LONG_AGO
    whom.order = world.shop.place_order(customer_id=0, status="processing", billing=billing, meta_data=said, at=at)
    world.words.past[whom.order] = whom.email
    return whom


#: Who says yes where they buy.
MAILED: Mapping[str, Beginning] = {
    "a yes at the checkout": _at_checkout(known=False),
    "a no at the checkout, and a yes": _at_checkout(known=True),
    "a guest who says yes": _a_guest,
    "a guest who said yes long ago": _long_ago,
}


def _has_a_job(world: World, between: Callable[[], object] = lambda: None, word: str = "") -> Whom:
    """Somebody whom a job has, and some others."""
    whom = somebody(world, word)
    others = [somebody(world, "").number for _ in range(3)]
    world.rest()
    between()
    for number in (whom.number, *others):
        world.shop.edit_customer(number, first_name="Bea")
    world.shop.run_queue()
    world.turn()
    world.clock.advance(timedelta(seconds=1))
    return whom


def _in_a_job(world: World, between: Callable[[], object] = lambda: None) -> Whom:
    """Who gets mails says no, or moves on and says no, while a job has them."""
    whom = _has_a_job(world, between, "yes")
    THEIRS["says no" if world.people % 2 else "moves and says no"](world, whom)
    world.listen()
    return whom


#: Whose no a job must not hold up.
IN_A_JOB: Mapping[str, Beginning] = {"a no while a job has them": _in_a_job}
#: Who may do something else meanwhile.
JOBBED: Mapping[str, Beginning] = {"whom a job has": _has_a_job}


def _unsubscribes(world: World, whom: Whom, *, then: Change | None = None) -> bool:
    """By the link in a mail, once they got one."""
    world.clock.advance(LATER)
    done = [target.unsubscribes(whom.email) for target in world.targets.values() if isinstance(target, Klaviyo)]
    if any(done) and then is not None:
        world.clock.advance(timedelta(seconds=1))
        then(world, whom)
    return any(done)


#: And what they do then, or what happens here.
UNSUBSCRIBED: Mapping[str, Change] = {
    "unsubscribes there": _unsubscribes,
    **{
        f"unsubscribes there, {name}": partial(_unsubscribes, then=act)
        for name, act in (THEIRS | RESTORED).items()
        if name in ("moves on", "says no", "lives nowhere", "restore")
    },
}
