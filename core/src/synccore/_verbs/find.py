"""Whom or what a text means: an address, a name, a key, an order's number, a remote id."""

import re
from collections.abc import Iterator

from attrs import frozen

from .._app.app import App
from .._plain import Plain
from ..entities import ENTITIES, FACTS, Customer, Order
from ..types import EntityRef, Snapshot

__all__ = ["AMONG", "Hit", "Sources", "find", "name_of", "older_than_searched", "sources_to_ask"]

#: Hits shown, and records whose stored text fits that are looked at more closely.
MOST, LOOKED_AT = 20, 500
#: No index leads to a name or an order's number: so many of the newest records are read for one, in under a second.
#: Older ones where somebody asks for them.
AMONG = 200_000
_ASCII = re.compile(r"[a-z0-9]+")


@frozen(kw_only=True)
class Hit(Plain):
    """A record that may be meant. `found_by` says what of it fits, where that is not the record itself."""

    source: str
    entity: str
    key: str
    name: str | None = None
    email: str | None = None
    found_by: str = ""


@frozen(kw_only=True)
class Sources(Plain):
    """Where somebody can be asked for who is not known: `searchable` by the text itself, all by entity and key."""

    sources: tuple[str, ...]
    searchable: tuple[str, ...]
    entities: tuple[str, ...]


def sources_to_ask(app: App, text: str) -> Sources:
    """The sources that are open. An address is looked for where a source can search by one."""
    there = {name: unit.instance for name, unit in app.sources.items() if unit.instance is not None}
    return Sources(
        sources=tuple(there),
        searchable=tuple(n for n, one in there.items() if "@" in text and callable(getattr(one, "search", None))),
        # A fact is told with its order: nobody asks for one.
        entities=tuple(e for e in ENTITIES if e not in FACTS),
    )


def find(app: App, text: str, among: int | None = AMONG) -> list[Hit]:
    """The records a text may mean, the surest first, people before what belongs to them. Asks nobody outside.

    `among`: how many of the newest records are read for a name or an order's number, where nothing surer fits; None
    reads all, however long that takes.
    """
    asked = text.strip()
    hits: dict[tuple[str, str, str], Hit] = {}
    for found in (_by_address, _by_key, _by_remote_id):
        _collect(app, hits, found(app, asked))
    if not hits:
        _collect(app, hits, _by_number(app, asked, among))
    if not hits:
        _collect(app, hits, _by_name(app, asked, among))
    return list(hits.values())[:MOST]


def older_than_searched(app: App, text: str) -> int:
    """How many records may be older than those that `find` reads for this text; 0 where it needs to read none."""
    return 0 if "@" in text else max(app.store.newest_record() - AMONG, 0)


def _collect(app: App, hits: dict[tuple[str, str, str], Hit], found: "_Found") -> None:
    for snapshot, why in found:
        hit = _hit(app, snapshot, why)
        hits.setdefault((hit.source, hit.entity, hit.key), hit)


def name_of(snapshot: Snapshot | None) -> str | None:
    """A person's name, or how people call an order; None where there is none."""
    data = snapshot.data if snapshot is not None else None
    match data:
        case Customer():
            return data.name or data.company or data.email
        case Order():
            return f"order {data.number}"
    return None


_Found = Iterator[tuple[Snapshot, str]]


def _by_address(app: App, text: str) -> _Found:
    if "@" not in text:
        return
    for source, key in app.store.keys_by_email(text):
        if (snapshot := app.store.snapshot(source, Customer.entity, key)) is not None:
            yield snapshot, ""


def _by_key(app: App, text: str) -> _Found:
    for entity in ENTITIES:
        for source in app.sources:
            if (snapshot := app.store.snapshot(source, entity, text)) is not None:
                yield snapshot, ""


def _by_remote_id(app: App, text: str) -> _Found:
    for link in app.store.links_to(text, MOST):
        if (snapshot := app.store.snapshot(link.source, link.entity, link.key)) is not None:
            yield snapshot, f"{link.remote_id} at {link.sink or link.route}"


def _by_number(app: App, text: str, among: int | None) -> _Found:
    if not text.isascii() or not 0 < len(text) <= 40 or '"' in text or "\\" in text:
        return
    number = text.removeprefix("#")
    for snapshot in app.store.containing(Order.entity, [f'"number":"{number}"'], LOOKED_AT, among):
        if isinstance(snapshot.data, Order) and snapshot.data.number.lower() == number.lower():
            yield snapshot, ""


def _by_name(app: App, text: str, among: int | None) -> _Found:
    words = text.casefold().split()
    if len("".join(words)) < 2:
        return
    # What is stored is ASCII: other letters are escapes there, so their words are looked for by what is left of them.
    runs = [max(_ASCII.findall(word), key=len, default="") for word in words]
    for snapshot in app.store.containing(Customer.entity, [run for run in runs if run] or [""], LOOKED_AT, among):
        data = snapshot.data
        if isinstance(data, Customer):
            said = (data.name, data.company, data.username, data.billing.company, data.person.full)
            names = " ".join(filter(None, said)).casefold()
            if all(word in names for word in words):
                yield snapshot, ""


def _hit(app: App, snapshot: Snapshot, why: str) -> Hit:
    """The owner where it has one that is known: a person is looked for."""
    owner: EntityRef | None = snapshot.owner
    person = app.store.snapshot(snapshot.source, owner.entity, owner.key) if owner else None
    if person is not None:
        why = why or name_of(snapshot) or f"{snapshot.entity} {snapshot.key}"
        snapshot = person
    return Hit(
        source=snapshot.source,
        entity=snapshot.entity,
        key=snapshot.key,
        name=name_of(snapshot),
        email=getattr(snapshot.data, "email", None),
        found_by=why,
    )
