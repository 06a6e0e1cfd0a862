"""What an operator does once all is quiet: changes a route, forgets somebody, restores a backup."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from random import Random
from typing import Any

from synccore._verbs.parts.changed import changed_routes

from .ledger import Ledger
from .statements import remains
from .step import one
from .truth import faults, verified
from .world import World

__all__ = ["forgotten", "remapped", "restored"]

ROUTE = "club"
FIELDS = {"email": "customer.email", "name": "customer.first_name"}


#: A change of the route -> its fields then, and what the key and the first name of somebody make of these.
EDITS: Mapping[str, tuple[Mapping[str, Any], Callable[[str, str], Mapping[str, str]]]] = {
    "a field more": ({**FIELDS, "key": "customer.key"}, lambda key, first: {"name": first, "key": key}),
    "an expression": (
        {**FIELDS, "name": "customer.first_name | upper"},
        lambda _, first: {"name": first.upper()},
    ),
    "an option": (
        {**FIELDS, "name": {"value": "customer.first_name", "clear": False}},
        lambda _, first: {"name": first},
    ),
}
#: Whom a narrower route wants.
WHEN, WANTED = "customer.first_name in ('Ada', 'Ben', 'Untold')", ("Ada", "Ben", "Untold")
_Makes = Callable[[str, str], Mapping[str, str] | None]


def remapped(world: World) -> Iterator[str]:
    """The ledger gets one more record of everybody; and then each is as the changed route makes it."""
    if not isinstance(ledger := world.targets.get(Ledger.name), Ledger) or not ledger.people():
        return
    base = {"source": "shop", "sink": ledger.name, "entity": "customer", "object": "member", "on_leave": "delete"}
    world.write_config({ROUTE: {**base, "fields": FIELDS}})
    world.restart()
    yield from _backfilled(world, ledger, lambda _, first: {"name": first})
    luck = Random(f"operators {world.seed}")
    name, narrow = luck.choice(sorted(EDITS)), luck.random() < 0.5
    fields, makes = EDITS[name]
    world.write_config({ROUTE: {**base, "fields": fields, **({"when": WHEN} if narrow else {})}})
    parts = ("mapping", "filter") if narrow else ("mapping",)
    yield from (f"{name}, in the file: {fault}" for fault in _told(world, parts))
    world.clock.advance(timedelta(seconds=1))
    world.restart()
    yield from (f"{name}: {fault}" for fault in _told(world, parts))

    def wanted(key: str, first: str) -> Mapping[str, str] | None:
        return makes(key, first) if first in WANTED or not narrow else None

    yield from (f"{name}: {fault}" for fault in _backfilled(world, ledger, wanted))


def _told(world: World, parts: tuple[str, ...]) -> Iterator[str]:
    """Whether it is said that this changed, and nothing else."""
    said = [(change.route, change.parts) for change in changed_routes(world.app)]
    if said != [(ROUTE, parts)]:
        yield f"said to have changed: {said}"


def _backfilled(world: World, ledger: Ledger, makes: _Makes) -> Iterator[str]:
    """Whether everybody is there as the route makes them by now, and that is what is said."""
    world.store.queue_backfill("backfill", "shop", "customer", {}, ROUTE, world.machine.now())
    world.settle()
    accounts = {account["email"]: str(number) for number, account in world.accounts().items()}
    wanted, members = {}, {e.email: e.fields for e in ledger.entries.values() if e.object == "member"}
    for person in [entry for entry in ledger.entries.values() if entry.object == "person"]:
        # Who registered and was not written since bears the tag of the guest still.
        key = accounts.get(person.email, person.tag.split(":", 2)[2])
        if (made := makes(key, person.fields.get("first", ""))) is not None:
            # A guest's order may name nobody: what is empty is not there.
            wanted[person.email] = {name: value for name, value in {"email": person.email, **made}.items() if value}
    for email in sorted(wanted.keys() | members.keys()):
        if members.get(email) != wanted.get(email):
            yield f"{ROUTE}: {email} is {members.get(email)} and not {wanted.get(email)}"
    if changed := changed_routes(world.app):
        yield f"said to have changed, after all was sent again: {changed}"
    if not (said := verified(world, ROUTE)).ok:
        yield f"verify {ROUTE}: {said}"


def forgotten(world: World) -> Iterator[str]:
    """Somebody of whom facts were told, where there is one."""
    accounts = world.accounts()
    told = [box["customer_id"] for box in world.shop.subscriptions.values() if box["customer_id"] in accounts]
    if (number := one(Random(f"operators {world.seed}"), told or list(accounts))) is None:
        return
    email = accounts[number]["email"]
    for order in [n for n, o in world.shop.orders.items() if o["billing"]["email"] == email]:
        world.shop.delete_order(order)
    world.delete(number)
    world.forget_everywhere(email)
    world.rest()
    yield from (f"after a forget: {fault}" for fault in (*faults(world), *remains(world)))


def restored(world: World) -> Iterator[str]:
    """Somebody left since the backup, which nothing but a comparison tells: each is made once it is in place."""
    accounts = world.accounts()
    theirs = {box["customer_id"] for box in world.shop.subscriptions.values()}
    if len(accounts) < 4 or world.gone or (number := max(accounts.keys() - theirs, default=None)) is None:
        return
    world.save()
    world.delete(number)
    world.shop.run_queue()
    world.restore()
    world.settle()
    yield from (f"after a restored backup: {fault}" for fault in faults(world))
