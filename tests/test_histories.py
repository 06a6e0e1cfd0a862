"""Short histories, all of them: what somebody, and who works at the shop, do in a row."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import product

import pytest
from attrs import define, field
from simulation.ledger import FAILED, RENEWED, Ledger
from simulation.moments import CONSENT
from simulation.truth import faults
from simulation.world import World

from synccore._plugins import load_plugins
from synccore.types import WebhookRequest

#: So many acts after the first; one more at night.
LENGTH = 3 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 2
#: One history in so many with each change, others however it is heard; all of them at night and for the sabotages.
STEP = 1 if LENGTH == 3 or "SUITE_LIVES" in os.environ else 7


@define
class Somebody:
    """A person, with or without an account, and what became of what they owe."""

    email: str
    number: int = 0
    box: int = 0
    order: int = 0
    gone: bool = False
    #: What they bought themselves, and each time another name and another word on marketing with it.
    bought: list[int] = field(factory=list)
    renewals: list[int] = field(factory=list)
    happened: list[str] = field(factory=list)


SAID = (("Ada", "yes"), ("Bea", "no"), ("Cleo", ""))
#: Does it, or says that there is nothing to be done.
Act = Callable[[World, Somebody], bool]


def buys(world: World, who: Somebody) -> bool:
    """A deletion has no date: what who is gone buys as a guest before it is heard of passes for what they left."""
    if who.gone:
        return False
    name, word = SAID[len(who.bought) % len(SAID)]
    billing = {"email": who.email, "first_name": name, "last_name": "Byron"}
    meta = [{"key": CONSENT, "value": word}] if word else []
    fields = {"status": "processing", "billing": billing, "meta_data": meta}
    who.order = world.shop.place_order(customer_id=who.number, **fields)
    who.bought.append(who.order)
    return True


def registers(world: World, who: Somebody) -> bool:
    if who.number or who.email in world.gone:
        return False
    who.gone = False
    who.number = world.shop.add_customer(who.email, first_name="Ada", last_name="Byron")
    return True


def moves(world: World, who: Somebody) -> bool:
    """Who was forgotten with one address is somebody else with another."""
    if who.number in world.kept:
        return False
    if who.number:
        world.given_up[who.email], who.email = who.number, world.new_address()
        world.shop.edit_customer(who.number, email=who.email)
    return bool(who.number)


def leaves(world: World, who: Somebody) -> bool:
    if not who.number:
        return False
    world.delete(who.number)
    who.number, who.box, who.gone = 0, 0, True
    return True


def is_forgotten(world: World, who: Somebody) -> bool:
    """Once they are known, everywhere; the shop deletes them before, and what they bought."""
    if not world.store.keys_by_email(who.email):
        return False
    for order in [n for n, one in world.shop.orders.items() if one["billing"]["email"] == who.email]:
        world.shop.delete_order(order)
    if who.number:
        world.delete(who.number)
    who.number, who.box, who.order, who.gone = 0, 0, 0, True
    world.forget_everywhere(who.email)
    return True


def is_forgotten_here(world: World, who: Somebody) -> bool:
    """Everywhere but in the shop, where all of theirs stays. What is dated later than that, by a clock that was ahead,
    comes back where it is sent again: a known limit."""
    ahead = who.order and world.shop.orders[who.order]["date_created_gmt"] > f"{world.machine.now():%Y-%m-%dT%H:%M:%S}"
    if ahead or not who.number or not world.store.keys_by_email(who.email):
        return False
    world.kept.add(who.number)
    world.forget_everywhere(who.email)
    return True


def _renews(world: World, who: Somebody, *, paid: bool) -> bool:
    if who.number:
        who.box = who.box or world.shop.subscribe(who.number)
        who.order = world.shop.renew(who.box, paid=paid)
        who.renewals.append(who.order)
        who.happened.append(f"{who.order}/{RENEWED if paid else FAILED}")
    return bool(who.number)


def pays(world: World, who: Somebody) -> bool:
    """What failed, or the next time."""
    last = who.renewals[-1] if who.box else 0
    if last in world.shop.orders and not world.shop.orders[last]["date_paid_gmt"]:
        world.shop.retry_renewal(last, paid=True)
        who.happened.append(f"{last}/{RENEWED}")
        return True
    return _renews(world, who, paid=True)


def fails(world: World, who: Somebody) -> bool:
    """The next time."""
    return _renews(world, who, paid=False)


def _is(status: str, *, first: bool = False) -> Act:
    def act(world: World, who: Somebody) -> bool:
        """By hand, whoever's it was; the first that they bought, or the last that is theirs."""
        order = next((n for n in who.bought if first and n in world.shop.orders), who.order)
        if not order or world.shop.orders[order]["status"] == status:
            return False
        world.edited.add(order)
        world.shop.edit_order(order, status=status)
        return True

    return act


def is_completed(world: World, who: Somebody) -> bool:
    """By hand as well, which pays what was not."""
    owed = who.order in who.renewals and not world.shop.orders[who.order]["date_paid_gmt"]
    done = _is("completed")(world, who)
    if done and owed:
        who.happened.append(f"{who.order}/{RENEWED}")
    return done


def is_tried_again(world: World, who: Somebody) -> bool:
    """From now on the shop tries again what failed to be paid: nobody ever sees it failed."""
    world.shop.shop.retry_hours = (12,)
    return True


def is_deleted(world: World, who: Somebody) -> bool:
    """For good, as all that is in the bin some time: of that the shop says nothing."""
    if not who.order:
        return False
    world.binned.add(who.email)
    world.shop.trash_order(who.order)
    world.shop.delete_order(who.order)
    who.order = 0
    return True


def _clock_goes(by: timedelta) -> Act:
    def act(world: World, who: Somebody) -> bool:
        """That of the shop."""
        world.shops.set(by)
        return True

    return act


ACTS: Mapping[str, Act] = {
    "buys": buys,
    "registers": registers,
    "moves": moves,
    "leaves": leaves,
    "is forgotten": is_forgotten,
    "is forgotten here": is_forgotten_here,
    "pays": pays,
    "fails": fails,
    "is put on hold": _is("on-hold"),
    "is cancelled": _is("cancelled", first=True),
    "is completed": is_completed,
    "is deleted": is_deleted,
}
#: What nobody but the shop itself decides.
SHOP: Mapping[str, Act] = {
    "is tried again": is_tried_again,
    "the clock goes wrong": _clock_goes(timedelta(minutes=10)),
    "the clock is set right": _clock_goes(timedelta(minutes=-10)),
}
#: When it is heard of, beside the comparison at the end; never: there is nothing but that, and the polls after it.
HEARD = ("at once", "in the end", "a day later", "a day later, backwards", "never")
#: How they begin.
FIRST = (["buys"], ["registers", "buys"], ["registers", "pays"], ["registers", "fails"])
UNHEARD = ("never", "by polls alone")
#: Where the shop tries again, and no webhook says what happened in between.
AGAIN = (["is tried again", "registers", "fails"], "by polls alone")
#: What is known bears a date that is yet to come, and what they do next an earlier one.
AHEAD = ["the clock goes wrong", "registers", "buys", "the clock is set right"]


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(environ={})


CASES = [
    AGAIN,
    *product(FIRST, HEARD),
    (AHEAD, "at once"),
    (AHEAD, "by polls alone"),
    (AHEAD, "a day later, backwards"),
]


@pytest.mark.parametrize(
    ("first", "heard"),
    CASES,
    ids=lambda value: value if isinstance(value, str) else " and ".join(value),
)
def test_after_any_short_history_the_target_is_as_the_shop_is_and_knows_what_happened(plugins, tmp_path, first, heard):
    with World(tmp_path, 3, plugins, targets=[Ledger]) as world:
        world.shop.quirks.cap = 100  # one page: how it is listed is tried elsewhere
        people: dict[tuple[str, ...], Somebody] = {}
        held: list[WebhookRequest] = []
        for acts in list(product(ACTS, repeat=LENGTH))[CASES.index((first, heard)) % STEP :: STEP]:
            who = Somebody(world.new_address())
            _live(world, who, first)
            _hear(world, polling=heard != "never")
            if {*acts} <= {"pays", "fails"}:
                _gain_a_digit(world)
            world.network.withheld = held if "later" in heard else [] if heard in UNHEARD else None
            if _live(world, who, acts, {"at once": _hear, "by polls alone": _polled}.get(heard)):
                people[acts] = who
            if world.network.withheld is not None:
                world.shop.run_queue()
            world.network.withheld = None
        world.network.heard_all = heard not in UNHEARD
        told = _of_the_gone(world, people.values())
        if heard == "never":
            _compared(world)
        if heard == "by polls alone":
            assert _not_polled(world, people) == {}
        world.rest()
        assert _wrong(world, people) == ({}, []), people
        if heard == "never":
            assert _of_the_gone(world, people.values()) == told, "something was told of who was known to be gone"
        # All of it comes a day later, or once more.
        world.network.heard_all = False
        world.clock.advance(timedelta(days=1))
        for request in reversed(held) if "backwards" in heard else held or world.network.known:
            world.receive(request)
            world.app.engine.drain()  # nobody waits for the next one
        world.rest()
        assert _wrong(world, people) == ({}, []), "what came a day later changed something"


def _gain_a_digit(world: World) -> None:
    """The second order from now on has a digit more than the next one: it goes before that where numbers are texts."""
    made = max(world.shop.orders)
    while made < 1000 and made + 2 not in (100, 1000):
        made = world.shop.add_product("Tea")


def _compared(world: World) -> None:
    """What was lost is found by a comparison, before anything is polled."""
    world._compare()
    while world.worker.work_job():
        pass


def _not_polled(world: World, people: Mapping[tuple[str, ...], Somebody]) -> dict[tuple[str, ...], list[str]]:
    """Whose orders are not known as they are, though nothing but polls has brought what was changed."""
    found: dict[tuple[str, ...], list[str]] = {}
    for acts, who in people.items():
        apart = who.gone or who.number in world.kept
        for number in {*who.bought, *who.renewals} & world.shop.orders.keys() if not apart else ():
            status = world.shop.orders[number]["status"]
            known = world.store.snapshot("shop", "order", str(number))
            if known is None or known.data.status != status:
                found.setdefault(acts, []).append(f"{number} is {status}")
    return found


def _of_the_gone(world: World, people: Iterable[Somebody]) -> Counter[str]:
    """What was told of those whose account is gone."""
    left = {str(order) for who in people if who.gone for order in who.renewals}
    return Counter(fact for fact in world.ledger.payments() if fact.partition("/")[0] in left)


def _wrong(world: World, people: Mapping[tuple[str, ...], Somebody]) -> tuple[dict[tuple[str, ...], str], list[str]]:
    """Whom something was told of that was not so, and what."""
    told = Counter(world.ledger.payments())
    return {acts: fact for acts, who in people.items() for fact in _never(who, told)}, faults(world)


def _live(world: World, who: Somebody, acts: Sequence[str], hear: Callable[[World], None] | None = None) -> bool:
    """Live so, as far as there is anything to be done; whether all of it was done."""
    for act in acts:
        world.clock.advance(timedelta(seconds=1))
        if not (ACTS | SHOP)[act](world, who):
            return False
        world.listen()
        if hear is not None:
            hear(world)
    return True


def _hear(world: World, *, polling: bool = True) -> None:
    world.shop.run_queue()
    if polling:
        world.turn()
    else:
        while world.worker.follow_hints():
            pass
        world.app.engine.drain()


def _polled(world: World) -> None:
    world.shop.run_queue()
    world.clock.advance(timedelta(minutes=5))
    world.turn()


def _never(who: Somebody, told: Counter[str]) -> list[str]:
    """What was told and did not happen, or oftener than it did."""
    mine = {str(order) for order in who.renewals}
    return [fact for fact in told - Counter(who.happened) if fact.partition("/")[0] in mine]
