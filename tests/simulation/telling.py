"""An account that is told what becomes of orders and subscriptions: states of what somebody has, each of which says by
an address whose it is."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from .ledger import FAILED, RENEWED
from .targets import Adopting, Klaviyo

if TYPE_CHECKING:
    from .world import World

__all__ = ["Telling", "in_events"]

#: Statuses of orders that were placed.
PLACED = ("processing", "on-hold", "completed", "refunded")


class Telling(Klaviyo):
    """What changes is told at once; and nobody goes on with another profile where none has their new address."""

    name = "telling"
    can_go_wrong = ("busy", "refused")
    routes: ClassVar = {
        **Adopting.routes,
        "purchases": {"entity": "order", "object": "event"},
        "boxes": {"entity": "subscription", "object": "event", "delay": "0s"},
    }

    def config(self) -> Mapping[str, Any]:
        return {**super().config(), "commerce_events": True}

    def events(self) -> list[Mapping[str, Any]]:
        """All that was told, in that order."""
        return list(self.server.store.events)

    def payments(self) -> list[str]:
        return [f"{e['properties'].get('OrderId')}/{e['metric']}" for e in self.events() if _is_payment(e)]

    def told(self) -> list[tuple[str, datetime]]:
        return [(event["profile"], event["time"]) for event in self.events() if _is_payment(event)]


def _is_payment(event: Mapping[str, Any]) -> bool:
    return event["metric"] in (RENEWED, FAILED)


def in_events(world: "World", target: Telling) -> Iterator[str]:
    """Of what is whose account's: that an order was placed is told once, and of a subscription last what it is now."""
    accounts, apart = world.accounts(), world.kept
    yield from _elsewhere(world, target)
    placed = Counter(e["properties"].get("OrderId") for e in target.events() if e["metric"] == "Placed Order")
    for number, order in world.shop.orders.items():
        if order["customer_id"] in accounts.keys() - apart and order["billing"]["email"] not in world.gone:
            wanted = 1 if order["status"] in PLACED else None
            if wanted is not None and placed[str(number)] != wanted:
                yield f"{target.name}: {number} ({order['status']}) was told to be placed {placed[str(number)]} times"
    states = {e["properties"].get("SubscriptionId"): s for e in target.events() if (s := _state(e))}
    for number, box in world.shop.subscriptions.items():
        if box["customer_id"] in accounts.keys() - apart and states.get(str(number)) not in (None, box["status"]):
            yield f"{target.name}: {number} is {box['status']}, and was told last to be {states[str(number)]}"


def _elsewhere(world: "World", target: Telling) -> Iterator[str]:
    """What is told of somebody is on their profile, but for what was told of an order before it went to them."""
    profiles = {p.id: p.attributes.get("email") for p in target.server.store.people.values()}
    for event in target.events():
        order = world.shop.orders.get(int(event["properties"].get("OrderId") or 0), {"customer_id": 0})
        account = world.accounts().get(order["customer_id"])
        if account is None or order["customer_id"] in world.excuses.exchanged | world.kept:
            continue
        if order["id"] in world.excuses.handed:
            continue
        if (on := profiles.get(event["profile"])) != account["email"]:
            yield f"{target.name}: {event['metric']} of {account['email']} is on {on}"


def _state(event: Mapping[str, Any]) -> str | None:
    return event["properties"].get("NewStatus") if "SubscriptionId" in event["properties"] else None
