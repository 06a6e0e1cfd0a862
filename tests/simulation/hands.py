"""What people do besides: telephones, other places, an owner who merges, vendors who refuse, an operator who pauses or
sets a clock, the shop's or the machine's, a change between a page's being read and its being taken in."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Any

from synccore._verbs.deliveries import dismiss
from synccore._verbs.lanes import pause

from .buying import BUYING
from .step import Step
from .targets import Google, Salesforce
from .world import STEPS, World

__all__ = ["ALL_STEPS", "live", "merge_two"]

LINKED = """
SELECT 1 FROM snapshot s JOIN link l ON l.source = s.source AND l.entity = s.entity AND l.key = s.key
WHERE s.source = 'shop' AND s.entity = 'customer' AND s.email = :email AND l.route = 'book'
"""


def live(world: World, step: Step) -> None:
    """Let one thing happen, of the world's own steps or of those here."""
    world.live(step, ALL_STEPS[step.name])


def _telephone(world: World, luck: Random) -> None:
    """Somebody gets a number, another one, none, or that of somebody else; and now and then others get it as well."""
    if (number := world.customer(luck)) is None:
        return
    known = [p for c in world.shop.customers.values() if (p := c["billing"]["phone"])]
    fate = luck.random()
    phone = f"+4930901820{luck.randrange(100):02}"
    if fate < 0.25:
        phone = ""
    elif fate < 0.4 and known:
        phone = luck.choice(known)
    world.shop.edit_customer(number, billing={"phone": phone})
    if luck.random() < 0.3 and (others := [n for n, c in world.accounts().items() if c["billing"]["phone"]]):
        world.shop.edit_customer(luck.choice(others), billing={"phone": phone})


PLACES = (("Weg 3", "Berlin", "10115"), ("Weg 3", "Bonn", "53111"), ("Gasse 7", "Bonn", "53111"), ("", "Bonn", ""))
NOWHERE = ("", "", "")


def _place(world: World, luck: Random) -> None:
    """Somebody moves, corrects a part of where they live, or takes it back; and may have another employer."""
    if (number := world.customer(luck)) is not None:
        street, city, code = luck.choice(PLACES) if luck.random() < 0.75 else NOWHERE
        land = "DE" if city else ""
        where = {"address_1": street, "city": city, "postcode": code, "country": land}
        if luck.random() < 0.5:
            where["company"] = luck.choice(("", "Tea and Co", "Coffee and Co"))
        world.shop.edit_customer(number, billing=where)


def _exchange(world: World, luck: Random) -> None:
    """Two or three get each other's address, before anybody hears of it."""
    numbers = sorted(world.accounts())
    if len(numbers) < 3:
        return
    ring = luck.sample(numbers, luck.choice((2, 3)))
    emails = [world.shop.customers[number]["email"] for number in ring]
    for number in ring:
        world.shop.edit_customer(number, email=f"between{number}@shop.test")
    for number, former, email in zip(ring, emails, emails[1:] + emails[:1], strict=True):
        world.give_up(number, former)
        world.excuses.exchanged.add(number)
        world.shop.edit_customer(number, email=email)


def _overlap(world: World, luck: Random) -> None:
    """Somebody changes after a page was read and before it is taken in; the webhook comes first."""
    number = world.customer(luck)

    def change() -> None:
        if number in world.shop.customers:
            world.shop.edit_customer(number, first_name=luck.choice(("Gil", "Hao", "Ida")))
            world.shop.run_queue()

    if number is not None:
        world.overlap(change)


def _merge(world: World, luck: Random) -> None:
    """An owner takes two contacts for one."""
    books = [target for target in world.targets.values() if isinstance(target, Google | Salesforce)]
    if books:
        target = luck.choice(books)
        if isinstance(target, Google):
            _merge_book(world, target, luck)
        else:
            target.merge(luck)


def _merge_book(world: World, target: Google, luck: Random) -> None:
    """Whatever becomes of our marks."""
    names = sorted(contact["resourceName"] for contact in target.server.contacts())
    if len(names) > 1:
        kept, other = luck.sample(names, 2)
        under, markers = luck.choice(("kept", "other", "new")), luck.choice(("both", "kept", "none"))
        merge_two(world, target, kept, other, under=under, markers=markers)


def merge_two(world: World, target: Google, kept: str, other: str, *, under: str, markers: str) -> None:
    """The owner makes one of two contacts, under the name of one of them or a new one, and our marks stay or not."""
    name = target.server.merge(kept, other, under=under, markers=markers)
    target.merged = True
    if firms := [target.works_at.pop(former) for former in (kept, other) if former in target.works_at]:
        target.works_at[name] = max(firms)  # all that both had is there; empty ones say less
    world.unharmed(lambda: target.unmarked.update(_unknown(world, target.addresses_of(name), markers)))


def _unknown(world: World, addresses: Sequence[str], markers: str) -> set[str]:
    """Those of whom nobody knows a contact, for a create of theirs was not answered yet: without our marks they stay.
    With them the contact counts as the owner's all the same, and stays without anything on it."""
    with world.store.asked_by_a_stranger(), world.store.reading() as view:
        unknown = {email for email in addresses if view.execute(LINKED, {"email": email}).fetchone() is None}
    return {"", *(unknown if markers != "both" else ())} if unknown else set()


def _refuse(world: World, luck: Random) -> None:
    """A target takes nothing of somebody any more."""
    if (number := world.customer(luck)) is not None:
        for target in world.some(luck):
            target.refuse(world.shop.customers[number]["email"])


def _full(world: World, luck: Random) -> None:
    """A target has no room for anybody new."""
    for target in world.some(luck):
        target.fill()


def _hold(world: World, name: str) -> None:
    pause(world.app, name, "by hand")
    world.heard.held.add(name)


def _pause(world: World, luck: Random) -> None:
    """The operator holds the shop or a vendor, now or in the middle of a call, which fails; `relief`, or the end, lets
    them go on."""
    name = luck.choice([*(vendor.name for vendor in world.vendors), "shop"])
    if name == "shop" or luck.random() < 0.5:
        world.run(lambda: _hold(world, name))
        return

    def meanwhile(_: object) -> bool:
        world.unharmed(lambda: _hold(world, name))
        return True

    world.targets[name].trouble_at(meanwhile, "refused")


def _call(world: World, luck: Random) -> None:
    """The process dies at one of its next calls: before it goes out, once it was carried out, or when its answer was
    read."""
    world.store.calls = luck.choice((0, 3, 6, 12, 30)) + luck.randrange(3)


def _dismiss(world: World, luck: Random) -> None:
    """The operator wants no more of what was refused, and then all of it after all."""

    def work() -> None:
        app = world.app
        parked = [row for row in app.store.deliveries(state="parked", limit=None) if row.op == "upsert"]
        if parked:
            dismiss(app, [row.id for row in parked], None)
        for name, entity in sorted({(row.route, row.entity) for row in parked}):
            app.store.queue_backfill("backfill", "shop", entity, {}, name, world.machine.now())

    world.run(work)


def _clock(world: World, luck: Random) -> None:
    """The machine's clock is set: back by an hour, or by some minutes back or forth. One that leaps far ahead ends all
    waits for what a target shows late: a known limit."""
    world.machine.set(timedelta(minutes=luck.choice((-60, -3, 3))))
    world.excuses.sets_clock()


def _shop_clock(world: World, luck: Random) -> None:
    """The shop's clock is wrong by some minutes or an hour, ahead or behind, or is set right."""
    world.shops.set(timedelta(minutes=luck.choice((-10, 3, 10, 60))) if not world.shops.ahead else -world.shops.ahead)
    world.excuses.sets_clock()


#: The world's own steps, what people buy, and the steps here.
ALL_STEPS: Mapping[str, Callable[[World, Random], Any]] = {
    **STEPS,
    **BUYING,
    "place": _place,
    "call": _call,
    "clock": _clock,
    "shop clock": _shop_clock,
    "telephone": _telephone,
    "exchange": _exchange,
    "overlap": _overlap,
    "merge": _merge,
    "refuse": _refuse,
    "full": _full,
    "pause": _pause,
    "dismiss": _dismiss,
}
