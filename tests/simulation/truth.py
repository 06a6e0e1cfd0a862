"""What must be so once everything is quiet, asked of the shop and of the targets alone."""

from collections import Counter
from collections.abc import Iterator

from attrs import evolve

from synccore._verbs.verify import verify

from .targets import Held, Klaviyo, Target
from .world import World

__all__ = ["faults"]

DRAFT = "checkout-draft"


def faults(world: World) -> list[str]:
    """Everything that is not as it should be; empty where all is well."""
    found = list(_outbox(world))
    for target in world.targets.values():
        found += _people(world, target)
        if isinstance(target, Klaviyo):
            found += _payments(world, target)
            found += _consent(world, target)
    return found + list(_statements(world, silent=bool(found)))


def registered(world: World) -> dict[str, Held]:
    """Who has an account in the shop and is no staff, by address."""
    return {
        c["email"]: Held(email=c["email"], first=c["first_name"], last=c["last_name"])
        for c in world.shop.customers.values()
        if c["role"] in ("customer", "subscriber")
    }


def guests(world: World) -> set[str]:
    """Who bought something without an account that still exists; staff buy as guests too."""
    accounts = {n for n, c in world.shop.customers.items() if c["role"] in ("customer", "subscriber")}
    orders = [o for o in world.shop.orders.values() if o["status"] != DRAFT and o["customer_id"] not in accounts]
    return {o["billing"]["email"] for o in orders if o["id"] not in world.left} - registered(world).keys()


def _outbox(world: World) -> Iterator[str]:
    for sink, counts in world.store.counts_by_sink().items():
        for state in ("ready", "running", "submitted", "parked"):
            if number := getattr(counts, state):
                rows = world.store.deliveries(sink=sink, state=state, limit=3)
                why = "; ".join(f"{r.entity} {r.key}: {r.error}" for r in rows)
                yield f"{sink}: {number} {state} after all is quiet ({why})"


def _people(world: World, target: Target) -> Iterator[str]:
    wanted, bought = registered(world), guests(world)
    held = target.people()
    counts = Counter(h.email for h in held)
    for email in wanted.keys() | bought:
        if email in world.forgotten:
            continue
        if counts[email] != 1 and not (counts[email] == 0 and email in world.doubted - wanted.keys()):
            yield f"{target.name}: {email} is there {counts[email]} times"
    for person in held:
        if person.email in world.forgotten:
            yield f"{target.name}: {person.email} was forgotten and is there"
        elif person.email not in wanted.keys() | bought | world.doubted | world.lost:
            yield f"{target.name}: {person.email} is there and nobody in the shop has that address"
        elif person.email in wanted and not _is(person, wanted[person.email]):
            yield f"{target.name}: {person} is not {wanted[person.email]}"


def _is(person: Held, wanted: Held) -> bool:
    """A target that has to have a family name gets one where the shop has none."""
    return person == (wanted if wanted.last else evolve(wanted, last=person.last))


def _payments(world: World, target: Klaviyo) -> Iterator[str]:
    for fact, times in Counter(target.payments()).items():
        if times > 1:
            yield f"{target.name}: {fact} was told {times} times"


def _consent(world: World, target: Klaviyo) -> Iterator[str]:
    for email in target.mailed() - world.unheard:
        if (word := world.said.get(email)) != "yes":
            yield f"{target.name}: {email} gets mail and the shop's last word is {word}"


def _statements(world: World, *, silent: bool) -> Iterator[str]:
    """`verify` says that all is well where it is, and never where it is not."""
    for route in world.app.routes:
        report = verify(world.app, route)
        if report.ok and silent:
            continue  # another route's fault
        if not report.ok and not silent:
            yield f"verify {route}: not ok, and nothing is wrong: {report}"
