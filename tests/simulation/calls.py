"""Trouble at the n-th call to a target, and something that happens before the next try."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from itertools import count, product
from random import Random
from typing import Any, Protocol

from attrs import define

from .afterwards import repaired
from .ledger import Ledger
from .moments import CONSENT
from .truth import claims, faults, given_up
from .world import STEPS, World

__all__ = [
    "BEGINNINGS",
    "TOLD",
    "Beginning",
    "Change",
    "Nth",
    "Whom",
    "again",
    "buys",
    "changed",
    "each_call",
    "saved_before",
    "saved_between",
    "somebody",
    "tried",
    "with_a_guest",
    "with_another",
]


@define
class Whom:
    """Who is about to be delivered: with an account, or a guest (`number` 0); and what they bought last."""

    email: str
    number: int = 0
    order: int = 0
    #: Their subscription.
    box: int = 0
    #: Somebody who was delivered long before.
    other: "Whom | None" = None


class Beginning(Protocol):
    """Makes somebody, or something of theirs, that is owed and was not heard of yet; `between`: once they are known."""

    def __call__(self, world: World, between: Callable[[], object] = ..., /) -> Whom: ...


#: What happens before the next try; False: there was nothing to be done.
Change = Callable[[World, Whom], object]


def _nothing() -> None:
    """Between."""


def somebody(world: World, word: str) -> Whom:
    """An account that is about to be delivered."""
    where = {"address_1": "Weg 3", "city": "Berlin", "postcode": "10115", "country": "DE"}
    email = world.new_address()
    phone = f"+4930901821{world.people:03}"
    meta = [{"key": CONSENT, "value": word}] if word else []
    names = {"first_name": "Ada", "last_name": f"Nr{world.people}"}
    number = world.shop.add_customer(email, **names, billing={**where, "phone": phone}, meta_data=meta)
    return Whom(email, number)


def _account(word: str, *, known: bool = False) -> Beginning:
    def begin(world: World, between: Callable[[], object] = _nothing) -> Whom:
        whom = somebody(world, word)
        if known:
            world.rest()
            between()
            other = {"key": CONSENT, "value": "no" if word == "yes" else "yes"}
            world.shop.edit_customer(whom.number, first_name="Bea", meta_data=[other])
        return whom

    return begin


def buys(world: World, whom: Whom, first: str = "Ada", status: str = "processing") -> None:
    """With or without an account."""
    billing = {"email": whom.email, "first_name": first, "last_name": "Byron"}
    whom.order = world.shop.place_order(customer_id=whom.number, status=status, billing=billing)


def _guest(*, known: bool = False) -> Beginning:
    def begin(world: World, between: Callable[[], object] = _nothing) -> Whom:
        whom = Whom(world.new_address())
        buys(world, whom)
        if known:
            world.rest()
            between()
            buys(world, whom, "Bea")
        return whom

    return begin


BEGINNINGS: Mapping[str, Beginning] = {
    "new, with a yes": _account("yes"),
    "new, with a no": _account("no"),
    "known, from yes to no": _account("yes", known=True),
    "known, from no to yes": _account("no", known=True),
    "a new guest": _guest(),
    "a known guest": _guest(known=True),
}


def _member(world: World, between: Callable[[], object]) -> Whom:
    """Who was delivered, and has a subscription."""
    whom = somebody(world, "")
    whom.box = world.shop.subscribe(whom.number)
    world.rest()
    between()
    return whom


def _renewal(*, paid: bool) -> Beginning:
    def begin(world: World, between: Callable[[], object] = _nothing) -> Whom:
        whom = _member(world, between)
        whom.order = world.shop.renew(whom.box, paid=paid)
        return whom

    return begin


def _order(*, new: bool = False, known: bool = False) -> Beginning:
    """Of an account; new with it, or known and paid just now."""

    def begin(world: World, between: Callable[[], object] = _nothing) -> Whom:
        whom = somebody(world, "")
        if not new:
            world.rest()
        if known:
            buys(world, whom, status="pending")
            world.rest()
            between()
            world.edited.add(whom.order)
            world.shop.edit_order(whom.order, status="processing")
        else:
            between()
            buys(world, whom)
        return whom

    return begin


#: What is told of somebody: an order, a payment.
TOLD: Mapping[str, Beginning] = {
    "a renewal that was paid": _renewal(paid=True),
    "a renewal that failed": _renewal(paid=False),
    "an order": _order(),
    "an order that is paid": _order(known=True),
    "an order of who is new": _order(new=True),
    "an order of a guest": _guest(),
}


def _long_known(world: World) -> Whom:
    return somebody(world, "")


def _long_known_guest(world: World) -> Whom:
    guest = Whom(world.new_address())
    buys(world, guest)
    return guest


def _beside(who: Callable[[World], Whom], beginnings: Mapping[str, Beginning]) -> Mapping[str, Beginning]:
    def beside(begin: Beginning) -> Beginning:
        def both(world: World, between: Callable[[], object] = _nothing) -> Whom:
            other = who(world)
            world.rest()
            whom = begin(world, between)
            whom.other = other
            return whom

        return both

    return {name: beside(begin) for name, begin in beginnings.items()}


#: Beside somebody who was delivered before; beside a guest who was.
with_another, with_a_guest = partial(_beside, _long_known), partial(_beside, _long_known_guest)


def saved_before(beginnings: Mapping[str, Beginning]) -> Mapping[str, Beginning]:
    """A backup is made before all of it."""

    def late(begin: Beginning) -> Beginning:
        def saved(world: World, between: Callable[[], object] = _nothing) -> Whom:
            STEPS["save"](world, Random(0))
            return begin(world, between)

        return saved

    return {name: late(begin) for name, begin in beginnings.items()}


def saved_between(beginnings: Mapping[str, Beginning]) -> Mapping[str, Beginning]:
    """A backup is made where they are known, and before what is to be delivered."""

    def early(begin: Beginning) -> Beginning:
        return lambda world, _=_nothing: begin(world, lambda: STEPS["save"](world, Random(0)))

    return {name: early(begin) for name, begin in beginnings.items()}


def changed(beginnings: Mapping[str, Beginning], changes: Mapping[str, Change]) -> Mapping[str, Beginning]:
    """They are known, and what is to be delivered is that change."""

    def after(begin: Beginning, change: Change) -> Beginning:
        def then(world: World, between: Callable[[], object] = _nothing) -> Whom:
            whom = begin(world)
            world.rest()
            between()
            world.clock.advance(timedelta(seconds=1))
            change(world, whom)
            return whom

        return then

    cases = product(beginnings, changes)
    return {f"{begin}, {change}": after(beginnings[begin], changes[change]) for begin, change in cases}


class Nth:
    """Whether a call is the n-th from now on, and whether there was one."""

    def __init__(self, n: int) -> None:
        self.left, self.met = n, False

    def __call__(self, request: Any = None) -> bool:
        self.left -= 1
        self.met = self.met or self.left < 0
        return self.left == -1


def again(beginnings: Mapping[str, Beginning], changes: Mapping[str, Change]) -> Mapping[str, Beginning]:
    """There was trouble with one of the first calls before, and a change since: the trouble to come is the second."""

    def after(begin: Beginning, trouble: str, moment: int, change: Change) -> Beginning:
        def troubled(world: World, between: Callable[[], object] = _nothing) -> Whom:
            whom = begin(world, between)
            world.listen()
            (target,) = world.targets.values()
            target.trouble_at(Nth(moment), trouble)
            world.shop.run_queue()
            world.turn()
            target.come_back()
            change(world, whom)
            # What was refused for a while is due.
            world.clock.advance(timedelta(minutes=2))
            return whom

        return troubled

    cases = product(beginnings, ("busy", "lost"), range(2), changes)
    return {
        f"{begin}, {trouble} at call {moment}, then: {change}": after(
            beginnings[begin], trouble, moment, changes[change]
        )
        for begin, trouble, moment, change in cases
    }


def tried(world: World, whom: Whom, trouble: str, moment: int, change: Change) -> bool:
    """Deliver what is owed, with a trouble at one call, and go on after the change; whether there was such a call."""
    world.listen()
    nth = Nth(moment)
    (target,) = world.targets.values()
    target.trouble_at(nth, trouble)
    world.shop.run_queue()
    world.turn()
    if nth.met and world.ledger is not None:
        world.ledger.seen += claims(world, world.ledger)
    world.clock.advance(timedelta(seconds=1))
    if nth.met and change(world, whom) is not False:
        world.listen()
    world.shop.run_queue()
    world.quiet()
    world.words.seen += given_up(world)
    world.settled()
    # A quota that was spent is there again, for the questions below.
    world.clock.advance(timedelta(minutes=2))
    return nth.met


def bugs(world: World) -> list[str]:
    """Whatever a vendor answers, or does not: no plugin is at a loss. What the ledger's sink raises is a trouble of its
    own."""
    tried = world.store.history(outcomes=("retry", "parked"), limit=20)
    found = [one for one in tried if one.sink != Ledger.name and (one.error or "").startswith("bug in the plugin")]
    return [f"{one.sink}: {one.entity} {one.key}: {one.error}" for one in found]


def each_call(world: World, beginnings: Mapping[str, Beginning], changes: Mapping[str, Change], step: int) -> int:
    """Every so many meetings of a beginning, a trouble, a call and a change; in how many there was such a call."""
    (target,) = world.targets.values()
    cases, meetings, calls = list(product(beginnings, target.can_go_wrong, changes)), 0, True
    assert cases, "nothing can happen"
    for moment in count():
        chosen = [case for place, case in enumerate(cases) if (moment * len(cases) + place) % step == 0]
        met = 0
        for begin, trouble, change in chosen:
            met += tried(world, beginnings[begin](world), trouble, moment, changes[change])
            found = world.heard.faults or faults(world) or bugs(world)
            found = found or (list(repaired(world)) if world.excuses.between else [])
            assert found == [], f"{begin}: {trouble} at call {moment}, then: {change}: {found}"
        if chosen and not met and (step == 1 or not calls):
            return meetings
        calls, meetings = bool(met), meetings + met
    raise AssertionError
