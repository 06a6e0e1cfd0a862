"""What people buy, with an account or without, and what becomes of their orders."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from .world import NAMES, World, one

__all__ = ["BUYING", "is_renewal"]


def order(world: World, luck: Random) -> None:
    """Somebody with an account buys something, or a guest."""
    number = world.customer(luck)
    if number is None or luck.random() < 0.3:
        email, number = world.new_address(), 0
    else:
        email = world.shop.customers[number]["email"]
    billing = {"email": email, "first_name": luck.choice(NAMES), "last_name": f"Nr{world.people}"}
    world.shop.place_order(customer_id=number, status="processing", billing=billing)


def _edit_order(world: World, luck: Random) -> None:
    if (number := one(luck, list(world.shop.orders))) is not None:
        world.edited.add(number)
        world.shop.edit_order(number, status=luck.choice(("completed", "cancelled", "on-hold")))


def _hand_over(world: World, luck: Random) -> None:
    """Somebody gives an order to another account, with its address."""
    accounts = world.accounts()
    theirs = [n for n, o in world.shop.orders.items() if o["customer_id"] in accounts and not is_renewal(o)]
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
