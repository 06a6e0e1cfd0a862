"""What people buy, with an account or without, and what becomes of their orders."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from random import Random
from typing import Any

from .moments import CONSENT
from .step import one
from .world import NAMES, World

__all__ = ["BUYING", "LONG_AGO", "is_renewal"]

LONG_AGO = timedelta(days=40)


def order(world: World, luck: Random) -> None:
    """Somebody with an account buys something, or a guest, also one who did before. Now and then they say at the
    checkout what they think of marketing, or said so long ago in another shop whose orders came here."""
    number = world.customer(luck)
    if number is None or luck.random() < 0.3:
        email, number = world.new_address(), 0
    else:
        email = world.shop.customers[number]["email"]
    billing = {"email": email, "first_name": luck.choice(NAMES), "last_name": f"Nr{world.people}"}
    fate, more = luck.random(), dict[str, Any]()
    if not number and fate < 0.1:
        more = {"at": world.clock.now() - LONG_AGO, "meta_data": [{"key": CONSENT, "value": "yes"}]}
    elif fate < 0.4 and not (number and says_itself(world, number)):
        more = {"meta_data": [{"key": CONSENT, "value": luck.choice(("yes", "no"))}]}
    if not number and "at" not in more and luck.random() < 0.3:
        billing["email"] = _guest(world, luck) or email
    order = world.shop.place_order(customer_id=number, status="processing", billing=billing, **more)
    if "at" in more:
        world.words.past[order] = email


def says_itself(world: World, number: int) -> bool:
    """Whether the shop knows of an account what it thinks: then nothing is asked at the checkout."""
    return any(row["key"] == CONSENT for row in world.shop.customers[number]["meta_data"])


def _guest(world: World, luck: Random) -> str | None:
    """The address of somebody who bought without an account, and has none yet."""
    taken = {c["email"] for c in world.shop.customers.values()} | world.given_up.keys() | world.gone
    taken |= {world.shop.orders[number]["billing"]["email"] for number in world.left & world.shop.orders.keys()}
    guests = {o["billing"]["email"] for o in world.shop.orders.values() if not o["customer_id"]}
    return one(luck, sorted(guests - taken))


def _edit_order(world: World, luck: Random) -> None:
    if (number := one(luck, list(world.shop.orders))) is not None:
        world.edited.add(number)
        world.shop.edit_order(number, status=luck.choice(("completed", "cancelled", "on-hold")))


def _hand_over(world: World, luck: Random) -> None:
    """Somebody gives an order to another account, with its address."""
    accounts = world.accounts()
    theirs = [n for n, o in world.shop.orders.items() if o["customer_id"] in accounts and _is_plain(o)]
    if (number := one(luck, theirs)) is not None and (heir := world.customer(luck)) is not None:
        world.edited.add(number)
        billing = {"email": accounts[heir]["email"], "first_name": luck.choice(NAMES)}
        world.shop.edit_order(number, customer_id=heir, billing=billing)


def _guest_registers(world: World, luck: Random) -> None:
    known = {c["email"] for c in world.shop.customers.values()}
    guests = [o["billing"] for o in world.shop.orders.values() if o["billing"]["email"] not in known]
    if billing := one(luck, guests):
        world.shop.add_customer(billing["email"], first_name=billing["first_name"], last_name=billing["last_name"])


def subscribe(world: World, luck: Random) -> None:
    """Somebody subscribes to a box."""
    if (number := world.customer(luck)) is not None:
        world.shop.subscribe(number)


def renew(world: World, luck: Random) -> None:
    """A subscription comes due; the payment may fail."""
    active = [n for n, s in world.shop.subscriptions.items() if s["status"] in ("active", "on-hold")]
    if (number := one(luck, active)) is not None:
        world.shop.renew(number, paid=luck.random() < 0.7)


def _is_plain(order: Mapping[str, Any]) -> bool:
    """Neither made by a subscription nor with a word of whoever placed it."""
    return not is_renewal(order) and all(row["key"] != CONSENT for row in order["meta_data"])


def is_renewal(order: Mapping[str, Any]) -> bool:
    """Whether a subscription made the order."""
    return any(row["key"] == "_subscription_renewal" for row in order["meta_data"])


#: What happens.
BUYING: Mapping[str, Callable[[World, Random], Any]] = {
    "order": order,
    "edit_order": _edit_order,
    "hand_over": _hand_over,
    "guest_registers": _guest_registers,
    "subscribe": subscribe,
    "renew": renew,
}
