"""What may happen between two tries: what somebody does themselves, others at the shop, an owner, the operator."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from itertools import product
from random import Random
from typing import Any

from synccore._verbs.deliveries import retry
from synccore._verbs.lanes import pause

from .calls import TOLD, Beginning, Change, Whom, buys, somebody
from .firms import Firms
from .hands import merge_two
from .moments import CONSENT
from .rounds import exchanges
from .targets import Google, Target
from .world import STEPS, World

__all__ = [
    "BILLED",
    "BILLS",
    "FATES",
    "FIRMS",
    "HERE",
    "HIRED",
    "JOINED",
    "LEAVING",
    "NUMBERED",
    "ONE",
    "OTHERS",
    "SET_BACK",
    "THEIRS",
    "changes_name",
]

#: Of steps that decide nothing.
LUCK = Random(0)

# -- somebody themselves


def _leaves(world: World, whom: Whom) -> None:
    if whom.number:
        world.delete(whom.number)
        whom.number = 0
    else:
        for order in _orders(world, whom.email):
            world.shop.delete_order(order)


def _orders(world: World, email: str) -> list[int]:
    """What they bought, and did not leave behind with an account."""
    orders = world.shop.orders.items()
    return [number for number, order in orders if order["billing"]["email"] == email and number not in world.left]


def _moves(world: World, whom: Whom, **more: Any) -> None:
    """To an address that nobody had."""
    email = world.new_address()
    if whom.number:
        world.give_up(whom.number, whom.email)
        world.shop.edit_customer(whom.number, email=email, **more)
    else:
        for order in _orders(world, whom.email):
            world.shop.edit_order(order, billing={"email": email})
    whom.email = email


def _edits(world: World, whom: Whom, **fields: Any) -> bool:
    if whom.number:
        world.shop.edit_customer(whom.number, **fields)
    return bool(whom.number)


def _meta(word: str) -> list[dict[str, str]]:
    return [{"key": CONSENT, "value": word}]


NOWHERE = dict.fromkeys(("phone", "address_1", "city", "postcode", "country"), "")
THEIRS: Mapping[str, Change] = {
    "leaves": _leaves,
    "moves and says no": partial(_moves, meta_data=_meta("no")),
    "moves on": partial(_moves, first_name="Moved"),
    "says no": partial(_edits, meta_data=_meta("no")),
    "says yes": partial(_edits, meta_data=_meta("yes")),
    "lives nowhere": partial(_edits, billing=NOWHERE),
}

# -- others at the shop


def _registers(world: World, whom: Whom) -> bool:
    if whom.number:
        return False
    whom.number = world.shop.add_customer(whom.email, first_name="Gast", last_name="Byron")
    return True


def _comes_back(world: World, whom: Whom) -> bool:
    """Deletes the account and makes another one, both unheard of."""
    if not whom.number:
        return False
    world.delete(whom.number)
    whom.number = world.shop.add_customer(whom.email, first_name="Anew", last_name="Byron")
    return True


def _gives_address(world: World, whom: Whom, *, to: str) -> bool:
    """Somebody else has it from then on, who is new or was there before, or buys with it as a guest."""
    former, heir = whom.email, min(world.accounts())
    if not whom.number or whom.number == heir:
        return False
    _moves(world, whom)
    if to == "somebody new":
        world.shop.add_customer(former, first_name="Heir", last_name="Byron")
    elif to == "a guest":
        buys(world, Whom(former), "Heir")
    else:
        world.give_up(heir, world.shop.customers[heir]["email"])
        world.shop.edit_customer(heir, email=former)
    return True


def _gets_guests_address(world: World, whom: Whom) -> bool:
    """Of one who is there: from then on they are one."""
    assert whom.other is not None
    if whom.number:
        world.give_up(whom.number, whom.email)
        whom.email = whom.other.email
        world.shop.edit_customer(whom.number, email=whom.email)
    return bool(whom.number)


def _gets_it_and_leaves(world: World, whom: Whom) -> bool:
    if done := _gets_guests_address(world, whom):
        _leaves(world, whom)
    return done


def _registers_as_other(world: World, whom: Whom) -> None:
    """The guest beside them registers."""
    assert whom.other is not None
    _registers(world, whom.other)


# -- what becomes of an order


def _is(world: World, whom: Whom, status: str) -> bool:
    """By hand, whatever it was before."""
    if world.shop.orders[whom.order]["status"] == status:
        return False
    world.edited.add(whom.order)
    world.shop.edit_order(whom.order, status=status)
    return True


def _order_goes(world: World, whom: Whom, *, to: str) -> bool:
    """To another account that is there, is new, or to nobody's; with its address."""
    if to == "a guest":
        heir, email = 0, world.new_address()
    elif to == "somebody new":
        email = world.new_address()
        heir = world.shop.add_customer(email, first_name="Heir", last_name="Byron")
    else:
        heir = min(world.accounts())
        email = world.shop.customers[heir]["email"]
    world.edited.add(whom.order)
    world.excuses.handed.add(whom.order)
    world.shop.edit_order(whom.order, customer_id=heir, billing={"email": email, "first_name": "Heir"})
    return True


def _refunds(world: World, whom: Whom) -> None:
    world.shop.refund(whom.order, "1.00")
    _is(world, whom, "refunded")


def _bins(world: World, whom: Whom) -> None:
    world.binned.add(whom.email)
    world.shop.trash_order(whom.order)
    world.shop.delete_order(whom.order)


def _bins_and_leaves(world: World, whom: Whom) -> None:
    _bins(world, whom)
    _leaves(world, whom)


def _pays(world: World, whom: Whom) -> bool:
    """What failed."""
    failed = whom.box and not world.shop.orders[whom.order]["date_paid_gmt"]
    if failed:
        world.shop.retry_renewal(whom.order, paid=True)
    return bool(failed)


def _once_more(world: World, whom: Whom) -> None:
    """Pays a renewal more, or buys once more."""
    if whom.box:
        world.shop.renew(whom.box, paid=True)
    else:
        buys(world, whom)


#: Of an order, of which a payment is told as well.
FATES: Mapping[str, Change] = {
    **{f"it is {status}": partial(_is, status=status) for status in ("cancelled", "on-hold", "completed", "failed")},
    **{f"it goes to {who}": partial(_order_goes, to=who) for who in ("somebody new", "a guest", "somebody known")},
    "it is refunded": _refunds,
    "it is deleted": _bins,
    "it is deleted, and they leave": _bins_and_leaves,
    "it is paid": _pays,
    "one more": _once_more,
    "leaves": _leaves,
    "moves on": partial(_moves, first_name="Moved"),
}


def _billed(change: Change) -> Beginning:
    """An order that is there, of somebody with an account, and what becomes of it now."""

    def begin(world: World, between: Callable[[], object] = lambda: None) -> Whom:
        whom = somebody(world, "")
        buys(world, whom, status="completed" if world.people % 2 else "processing")
        world.rest()
        between()
        change(world, whom)
        return whom

    return begin


#: An order that is new, or that is written once more for what became of it; and what becomes of it then.
BILLED: Mapping[str, Beginning] = {
    **{name: TOLD[name] for name in ("an order", "an order of a guest")},
    **{
        f"an order: {fate}": _billed(FATES[fate])
        for fate in FATES
        if fate.startswith(("it goes to", "it is completed"))
    },
}
BILLS: Mapping[str, Change] = {
    fate: FATES[fate] for fate in FATES if fate.startswith(("it goes to", "it is completed", "it is deleted"))
}


def _of_one_number(world: World, between: Callable[[], object] = lambda: None) -> Whom:
    """An order that goes to an account that was made a moment before, and has its number: they are counted apart."""
    whom = somebody(world, "")
    while world.shop.add_product("Tea") < whom.number:
        pass
    buys(world, whom, status="completed")
    last = whom.number
    while last < whom.order - 1:
        last = somebody(world, "").number
    world.rest()
    between()
    _order_goes(world, whom, to="somebody new")
    assert whom.order in world.shop.customers
    return whom


NUMBERED: Mapping[str, Beginning] = {"an order: it goes to who has its number": _of_one_number}

# -- whom somebody works for


def _works_for(world: World, number: int, firm: str) -> None:
    former = world.shop.customers[number]["billing"]["company"]
    for target in world.targets.values():
        if isinstance(target, Firms) and former and target.unlinked(world, former):
            target.unheard.add(former)
    world.shop.edit_customer(number, billing={"company": firm})


def _at_a_firm(*, alone: bool, known: bool) -> Beginning:
    """Somebody at a company, where another one is or nobody else; known there before, and another in something."""

    def begin(world: World, between: Callable[[], object] = lambda: None) -> Whom:
        other = somebody(world, "")
        _works_for(world, other.number, firm := f"Firm {other.number}")
        world.rest()
        whom = somebody(world, "")
        whom.other = other
        _works_for(world, whom.number, f"Firm {whom.number}" if alone else firm)
        if known:
            world.rest()
            between()
            world.shop.edit_customer(whom.number, first_name="Bea")
        return whom

    return begin


def _goes(world: World, who: Whom, *, to: str) -> None:
    """To a company of their own, to none, or to where another one is; and has another telephone there."""
    assert who.other is not None
    other = world.shop.customers[who.other.number]["billing"]["company"] if who.other.number else ""
    firm = {"another firm": f"Firm {who.number} and Co", "no firm": "", "the other's firm": other}[to]
    _works_for(world, who.number, firm)


def _other_goes(world: World, whom: Whom, *, to: str) -> None:
    """Who was there before."""
    assert whom.other is not None
    whom.other.other = whom
    _goes(world, whom.other, to=to)


def _other_leaves(world: World, whom: Whom) -> None:
    assert whom.other is not None
    _leaves(world, whom.other)


HIRED: Mapping[str, Beginning] = {
    f"{'known' if known else 'new'} at a firm, {'alone' if alone else 'with another'}": _at_a_firm(
        alone=alone, known=known
    )
    for known, alone in product((False, True), repeat=2)
}
FIRMS: Mapping[str, Change] = {
    **{f"goes to {firm}": partial(_goes, to=firm) for firm in ("another firm", "no firm", "the other's firm")},
    **{f"the other goes to {firm}": partial(_other_goes, to=firm) for firm in ("another firm", "no firm")},
    "leaves": _leaves,
    "the other leaves": _other_leaves,
    "moves on": partial(_moves, first_name="Moved"),
}

# -- a target's owner: who is changed there changes in the shop as well, so that what they are is owed


def _by_hand(world: World, whom: Whom, act: str) -> bool:
    done = [getattr(target, act)(whom.email) for target in world.targets.values()]
    if any(done):
        # What is typed in and not shown yet is made a second time: a known limit.
        world.clock.advance(max(target.lag for target in world.targets.values()))
        changes_name(world, whom)
    return any(done)


def changes_name(world: World, whom: Whom) -> None:
    """Somebody has another name, or buys once more with one."""
    if whom.number:
        world.shop.edit_customer(whom.number, first_name="Cleo")
    else:
        buys(world, whom, "Cleo")


def _joined(world: World, whom: Whom, *, into: bool, **how: str) -> bool:
    """Their record and that of somebody who was delivered long ago become one; each is changed afterwards."""
    other = whom.other
    assert other is not None
    both = (whom, other) if into else (other, whom)
    done = [_join(world, target, *(one.email for one in both), **how) for target in world.targets.values()]
    if any(done):
        changes_name(world, whom)
        changes_name(world, other)
    return any(done)


def _joined_and_leave(world: World, whom: Whom) -> bool:
    """Theirs and that of somebody else become one, and both leave before anybody hears of either."""
    assert whom.other is not None
    done = [_join(world, one, whom.email, whom.other.email, **KEPT) for one in world.targets.values()]
    if any(done):
        _both_leave(world, whom)
    return any(done)


def _both_leave(world: World, whom: Whom) -> None:
    """Whose records became one before."""
    assert whom.other is not None
    _leaves(world, whom)
    _leaves(world, whom.other)


def _joined_and_forgotten(world: World, whom: Whom, *, markers: str) -> bool:
    """Theirs goes into that of somebody else."""
    assert whom.other is not None
    how = {**KEPT, "markers": markers}
    done = [_join(world, one, whom.email, whom.other.email, **how) for one in world.targets.values()]
    if any(done):
        _forgets(world, whom)
    return any(done)


def _join(world: World, target: Target, email: str, other: str, **how: str) -> bool:
    if not isinstance(target, Google):
        # Whose name is left, and which marks, is asked in an address book alone.
        return how == KEPT and target.joins(email, other)
    gone, kept = target.named(email), target.named(other)
    if not gone or not kept or gone == kept:
        return False
    merge_two(world, target, kept[0], gone[0], **how)
    return True


#: Of a merge in a CRM there is no other kind.
KEPT = {"under": "kept", "markers": "both"}

# -- the operator


def _retries(world: World, whom: Whom) -> None:
    world.run(lambda: retry(world.app, [], None))


def _forgets(world: World, whom: Whom) -> None:
    """The shop deletes them before."""
    for order in [n for n, one in world.shop.orders.items() if one["billing"]["email"] == whom.email]:
        world.shop.delete_order(order)
    if whom.number:
        world.delete(whom.number)
        whom.number = 0
    world.run(lambda: world.forget_everywhere(whom.email))


def _pauses(world: World, whom: Whom) -> None:
    """And somebody changes meanwhile."""
    for name in world.targets:
        pause(world.app, name, "by hand")
    changes_name(world, whom)


def _restarts(world: World, whom: Whom) -> None:
    STEPS["restart"](world, LUCK)


OTHERS: Mapping[str, Change] = {
    "registers": _registers,
    "leaves and comes back": _comes_back,
    **{f"gives it to {who}": partial(_gives_address, to=who) for who in ("somebody new", "a guest", "somebody known")},
    "exchanges it": exchanges,
    **{f"the owner {act}": partial(_by_hand, act=act) for act in ("renames", "deletes", "types")},
    "retry": _retries,
    "forget": _forgets,
    "pause": _pauses,
    "restart": _restarts,
}


def _sets_clock_back(world: World, whom: Whom) -> None:
    """By longer than anybody may have to wait."""
    world.machine.set(timedelta(days=-1))
    world.excuses.sets_clock()


#: Nobody waits longer for that.
SET_BACK: Mapping[str, Change] = {"the clock goes back": _sets_clock_back}

#: An account and a guest become one.
ONE: Mapping[str, Change] = {
    "gets the guest's address": _gets_guests_address,
    "gets the guest's address, and leaves": _gets_it_and_leaves,
    "the guest registers": _registers_as_other,
}
#: What becomes of a merge of two is in part the owner's choice: afterwards less is known to be right.
JOINED: Mapping[str, Change] = {
    f"joined {'into' if into else 'from'} another, {under}, {markers}": partial(
        _joined, into=into, under=under, markers=markers
    )
    for into, under, markers in product((True, False), ("kept", "other", "new"), ("both", "kept", "none"))
} | {
    "joined, and both leave": _joined_and_leave,
    **{f"joined, {marks}, and forgotten": partial(_joined_and_forgotten, markers=marks) for marks in ("both", "none")},
}
#: Of two whose records are one since a while.
LEAVING: Mapping[str, Change] = {"both leave": _both_leave}
#: Nothing happens to anybody.
HERE: Mapping[str, Change] = {name: OTHERS[name] for name in ("retry", "restart")}
