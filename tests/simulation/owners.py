"""What a target's owner does to one of our records behind our back, and what `verify` says of it then: that alone."""

from collections.abc import Iterator, Mapping
from functools import singledispatch
from random import Random
from typing import Any

from attrs import evolve

from synccore._verbs.deliveries import retry
from synccore._verbs.verify import Proof

from .ledger import Entry, Ledger
from .step import one
from .targets import Google, Klaviyo, Salesforce, Target
from .truth import FREED, faults, verified
from .world import World

__all__ = ["proofs", "spoilt"]

#: What is done -> the list in which `verify` has it, and its words.
ACTS = {
    "deletes": ("gone", "is gone at the target"),
    "empties": ("drift", "was changed at the target"),
    "changes": ("drift", "was changed at the target"),
    "doubles": ("twins", "further records carry the marker of one of these"),
    "hangs under nothing": ("moved", "hangs under nothing at the target"),
    "hangs under somebody else": ("moved", "was hung under another record at the target"),
}
LISTS = ("gone", "drift", "moved", "twins")


def proofs(world: World) -> dict[str, Proof]:
    """What `verify --repair` says of each route."""
    return {route: verified(world, route, repair=True) for route in world.app.routes}


def spoilt(world: World, before: Mapping[str, Proof]) -> Iterator[str]:
    """What is wrong after one of these acts, and once it was repaired. `before`: nothing was owed then."""
    luck = Random(f"owners {world.seed}")
    name = luck.choice(sorted(world.targets))
    target, route = world.targets[name], next(n for n, r in world.app.routes.items() if r.sink == name)
    above = next((n for n, r in world.app.routes.items() if r.sink == name and r.after), None)
    number = one(luck, _whole(world, target))
    act = luck.choice(sorted(a for a in ACTS if above is not None or not a.startswith("hangs")))
    if above is not None and act.startswith("hangs"):
        yield from _hung_elsewhere(world, before, target, above, act, luck)
        return
    if number is None or (record := _does(target, act, world.accounts()[number]["email"])) is None:
        return
    world.clock.advance(target.lag)
    who = f"customer {number} whom the owner of {name} {act}"
    after = proofs(world)
    yield from (
        f"{who}: {fault}" for fault in _named(before, after, route, act, record if act == "doubles" else str(number))
    )
    world.clock.advance(target.lag)
    world.settle()
    world.clock.advance(target.lag)
    yield from (f"{who}, once that was tried: {advice}" for advice in _advice(world))
    _undo(target, act, record)
    retry(world.app, [], None)
    world.clock.advance(target.lag)
    world.settle()
    world.clock.advance(target.lag)
    yield from (f"{who}, repaired: {fault}" for fault in faults(world))


def _advice(world: World) -> Iterator[str]:
    """What `verify` advises to send again: of what was sent again just now, and refused, that helps nobody."""
    said = (finding for route in world.app.routes for finding in verified(world, route).findings)
    yield from (finding.message for finding in said if "--repair to send" in finding.message)


def _hung_elsewhere(
    world: World, before: Mapping[str, Proof], target: Target, route: str, act: str, luck: Random
) -> Iterator[str]:
    """An order of somebody's hangs under nothing, or under another one's record, until that is repaired."""
    records = {n: _record(target, world.accounts()[n]["email"]) for n in _whole(world, target)}
    orders = {n: records.get(o["customer_id"]) for n, o in world.shop.orders.items()}
    order = one(luck, [n for n, record in orders.items() if record is not None and _above(target, n) == record])
    other = one(luck, [record for record in records.values() if order is None or record != orders[order]])
    if order is None or other is None:
        return
    _hang(target, order, other if act.endswith("else") else None)
    who = f"order {order} that {act} by the owner of {target.name}"
    yield from (f"{who}: {fault}" for fault in _named(before, proofs(world), route, act, str(order)))
    world.settle()
    if _above(target, order) != orders[order]:
        yield f"{who}: a repair does not hang it back"
    yield from (f"{who}, repaired: {fault}" for fault in faults(world))


def _whole(world: World, target: Target) -> list[int]:
    """Those who have a record of their own there, of which all is ours, their name as well."""
    if isinstance(target, Google | Salesforce) and target.merged:
        return []
    there = [person.email for person in target.people()]
    apart = world.gone | world.excuses.lost | world.excuses.between
    # What the shop does not say of somebody is their owner's to say.
    named = {n: c["email"] for n, c in world.accounts().items() if c["first_name"] or c["billing"].get("first_name")}
    return [n for n, email in named.items() if email not in apart and there.count(email) == 1]


def _does(target: Target, act: str, email: str) -> str | None:
    """The record that it was done to, or that came of it; None where the target's owner cannot do that."""
    if act == "doubles":
        return _double(target, email)
    if act != "deletes":
        return _rewrite(target, email, "Spoilt" if act == "changes" else "")
    record = target.named(email)[0] if isinstance(target, Salesforce) else email
    target.deletes(email)
    return record


def _named(before: Mapping[str, Proof], after: Mapping[str, Proof], route: str, act: str, what: str) -> Iterator[str]:
    """Whether that is all that is new in the proofs."""
    listed, words = ACTS[act]
    for name, proof in after.items():
        new = _lists(proof) - _lists(before[name])
        if new != ({(listed, what)} if name == route else set()):
            yield f"verify {name} lists {sorted(new)}"
        said = _said(proof) - _said(before[name])
        if [words in message and what in message for message in said] != [True] * (name == route):
            yield f"verify {name} says {sorted(said)}"


def _lists(proof: Proof) -> set[tuple[str, str]]:
    """What is named, but for a number that nobody has any more since its owner is gone."""
    freed = {key for key, names in proof.drift.items() if names == ["phone_number"]}
    named = {(name, what) for name in LISTS for what in getattr(proof, name)}
    return named - {("drift", key) for key in freed}


def _said(proof: Proof) -> set[str]:
    told = (finding.message for finding in proof.findings if finding.level != "info")
    return {message for message in told if not message.endswith(FREED)}


@singledispatch
def _rewrite(target: Target, email: str, first: str) -> str:
    """Somebody's first name is typed anew, or taken away."""
    raise NotImplementedError(target)


@_rewrite.register
def _(target: Klaviyo, email: str, first: str) -> str:
    person = target.server.person(email)
    target.server.store.write(person, {"attributes": {"first_name": first or None}}, how="hand")
    return person.id


@_rewrite.register
def _(target: Google, email: str, first: str) -> str:
    (name,) = target.named(email)
    names = target.server.contact(name)["names"][0]
    target.server.edit(name, names=[{"givenName": first, "familyName": names.get("familyName", "")}])
    return name


@_rewrite.register
def _(target: Salesforce, email: str, first: str) -> str:
    (record,) = target.named(email)
    target.server.org.objects["Contact"].records[record]["FirstName"] = first or None
    return record


@_rewrite.register
def _(target: Ledger, email: str, first: str) -> str:
    name = _entry(target, email)
    target.entries[name].fields["first"] = first
    return name


@singledispatch
def _double(target: Target, email: str) -> str | None:
    """A second record with all of theirs, our mark as well; None where a target has no two with one key."""
    return None


@_double.register
def _(target: Google, email: str) -> str | None:
    contact = target.server.contact(target.named(email)[0])
    return target.server.add(
        **{name: value for name, value in contact.items() if name not in ("resourceName", "etag", "metadata")}
    )


@_double.register
def _(target: Ledger, email: str) -> str | None:
    entry = target.entries[_entry(target, email)]
    target.entries["double"] = evolve(entry, fields=dict(entry.fields), made_at=target.clock.now())
    return "double"


def _undo(target: Target, act: str, record: str) -> None:
    """The owner merges the two; what is deleted in a CRM comes back out of its bin alone."""
    if act == "doubles" and isinstance(target, Google):
        target.server.remove(record)
    elif act == "doubles" and isinstance(target, Ledger):
        del target.entries[record]
    elif act == "deletes" and isinstance(target, Salesforce):
        target.server.org.objects["Contact"].records[record]["IsDeleted"] = False


def _entry(target: Ledger, email: str) -> str:
    return next(name for name, entry in target.entries.items() if entry.object == "person" and entry.email == email)


@singledispatch
def _record(target: Target, email: str) -> str | None:
    """The name of somebody's record, where orders hang on it."""
    return None


@_record.register
def _(target: Salesforce, email: str) -> str | None:
    return target.named(email)[0]


@_record.register
def _(target: Ledger, email: str) -> str | None:
    return _entry(target, email)


@singledispatch
def _above(target: Target, order: int) -> str | None:
    """The name of the record that an order hangs under."""
    return None


@_above.register
def _(target: Salesforce, order: int) -> str | None:
    return next((deal["Buyer__c"] for deal in _deals(target, order)), None)


@_above.register
def _(target: Ledger, order: int) -> str | None:
    return next((bill.parent for bill in _bills(target, order)), None)


@singledispatch
def _hang(target: Target, order: int, record: str | None) -> None:
    """Let an order hang under that record, or under none."""
    raise NotImplementedError(target)


@_hang.register
def _(target: Salesforce, order: int, record: str | None) -> None:
    for deal in _deals(target, order):
        deal["Buyer__c"] = record


@_hang.register
def _(target: Ledger, order: int, record: str | None) -> None:
    for bill in _bills(target, order):
        bill.parent = record


def _deals(target: Salesforce, order: int) -> list[dict[str, Any]]:
    return [r for r in target.server.records("Opportunity") if r.get("WooId__c") == f"shop:order:{order}"]


def _bills(target: Ledger, order: int) -> list[Entry]:
    return [entry for entry in target.entries.values() if entry.tag == f"shop:order:{order}"]
