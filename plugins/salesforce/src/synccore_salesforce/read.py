"""Reads records back: what the org holds, under the mapped names, never what was sent."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from synccore.types import Hanging, Link, Roomier, RouteSpec, Successor

from .client import Client
from .mapping.defaults import HELPERS, ITEMS
from .mapping.record import LEAD_TO_CONTACT, Shaper
from .mapping.row import CONTACT_PREFIX, lacking
from .mapping.values import canonical, canonical_items
from .rows.follow import Follower
from .schema import Catalog, Field, Schema, api_name

__all__ = ["Reader"]


class Reader:
    """Reads what one route delivered. `after`: the object of the route on whose records its own hang."""

    def __init__(
        self, client: Client, catalog: Catalog, shaper: Shaper, follower: Follower, after: str | None = None
    ) -> None:
        self._client = client
        self._catalog = catalog
        self._shaper = shaper
        self._route = shaper.route
        self._schema = shaper.schema
        self._follower = follower
        self._after = after

    def read(self, links: Sequence[Link]) -> list[Mapping[str, Any] | None]:
        """Per link: the record's values under the mapped names, or None where it is gone.

        A record that was merged is read where it went, a converted lead at its contact.
        """
        ids = {link.remote_id[:15]: link.remote_id for link in links}
        names = {n for link in links for n in (*link.fields, *link.mapped)} - HELPERS
        lookup = self._lookup(links, names)
        names |= {lookup.name} if lookup else set()
        moved: dict[str, str] = {}
        if self._schema.name == "Lead":
            moved = self._moved([r for r in ids.values() if not self._is_contact(r)])
            ids |= moved
        found = self._records(ids, names)
        if lost := self._moved([r for i, r in ids.items() if i not in found and not self._is_contact(r)]):
            ids |= lost
            moved |= lost
            found |= self._records(lost, names)
        if ITEMS in names:
            self._items(found, ids)
        above = {i: str(record.pop(lookup.name, None) or "") for i, record in found.items()} if lookup else {}
        answers = []
        for link in links:
            i = link.remote_id[:15]
            hangs = _hangs(self._route, link, lookup, above.get(i, "")) if lookup else None
            answers.append(self._answer(link, found.get(i), moved.get(i), hangs))
        return answers

    def _answer(
        self, link: Link, record: Mapping[str, Any] | None, moved_to: str | None, hangs: tuple[str, str] | None
    ) -> Mapping[str, Any] | None:
        if record is None:
            return None
        if moved_to:
            return Successor(record, remote_id=moved_to)
        missing = lacking(self._schema, link)
        if hangs:
            name, there = hangs
            if missing:
                return Roomier(record, lacking=missing, parent_id=there, reference=name)
            return Hanging(record, parent_id=there, reference=name)
        return Roomier(record, lacking=missing) if missing else record

    def _lookup(self, links: Sequence[Link], names: set[str]) -> Field | None:
        """The field that this sync points at the records of the route in `after`, unless the mapping says where to."""
        mine = any(link.parent_id is not None and link.route == self._route.name for link in links)
        if self._after is None or not mine:
            return None
        lookup = self._shaper.parent_field(api_name(self._after), self._route.settings)
        own = (lookup.name.lower(), f"{lookup.relationship}.".lower())
        mapped = any(n.lower() == own[0] or n.lower().startswith(own[1]) for n in {*names, *self._route.fields})
        return None if mapped else lookup

    def _records(self, ids: Mapping[str, str], names: set[str]) -> dict[str, dict[str, Any]]:
        """Old id -> values of the record that is now to be read for it."""
        found: dict[str, dict[str, Any]] = {}
        converted = {i: r for i, r in ids.items() if self._is_contact(r)}
        plain = {i: r for i, r in ids.items() if i not in converted}
        contacts = self._catalog.find("Contact") if converted else None
        for schema, mine, renamed in ((self._schema, plain, {}), (contacts, converted, LEAD_TO_CONTACT)):
            if schema is not None and mine:
                seen = self._read(schema, sorted(set(mine.values())), names, renamed)
                found.update({i: seen[r[:15]] for i, r in mine.items() if r[:15] in seen})
        return found

    def _is_contact(self, record_id: str) -> bool:
        return self._schema.name == "Lead" and record_id.startswith(CONTACT_PREFIX)

    def _moved(self, ids: Sequence[str]) -> dict[str, str]:
        """Where records went that are not where they were."""
        moved = {}
        for key, state in (self._follower.states(self._schema.name, ids) if ids else {}).items():
            if goal := state.get("ConvertedContactId") or (state.get("IsDeleted") and state.get("MasterRecordId")):
                moved[key] = str(goal)
        return moved

    def _read(
        self, schema: Schema, ids: Sequence[str], names: set[str], renamed: Mapping[str, str]
    ) -> dict[str, dict[str, Any]]:
        paths = {n: path for n in sorted(names) if (path := _path(schema, renamed.get(n, n)))}
        found = {}
        for record in self._client.select(["Id", *paths.values()], schema.name, "Id", ids):
            found[str(record["Id"])[:15]] = {n: _value(schema, record, path) for n, path in paths.items()}
        return found

    def _items(self, found: Mapping[str, dict[str, Any]], ids: Mapping[str, str]) -> None:
        """An order's items, in the shape they are delivered in."""
        items: dict[str, list[dict[str, Any]]] = defaultdict(list)
        columns = ["Id", "OrderId", "Quantity", "UnitPrice", "PricebookEntry.Product2.ProductCode",
                   "PricebookEntry.Product2.Name"]  # fmt: skip
        for item in self._client.select(columns, "OrderItem", "OrderId", sorted({ids[i] for i in found})):
            product = ((item.get("PricebookEntry") or {}).get("Product2")) or {}
            line = {"sku": product.get("ProductCode"), "name": product.get("Name")}
            line |= {"quantity": item.get("Quantity"), "price": item.get("UnitPrice")}
            items[str(item["OrderId"])[:15]].append(line)
        for key, record in found.items():
            record[ITEMS] = canonical_items(items[ids[key][:15]])


def _hangs(route: RouteSpec, link: Link, lookup: Field, there: str) -> tuple[str, str] | None:
    """The lookup's name, and the id of the record that it points at; None where nobody of us may write it."""
    if link.parent_id and there[:15] == link.parent_id[:15]:
        return lookup.name, link.parent_id
    if not lookup.updateable or link.route != route.name:
        return None
    # On a record that others made or use, what somebody chose is theirs.
    theirs = not link.ours and route.settings.get("existing") != "overwrite"
    return None if there and theirs else (lookup.name, there)


def _path(schema: Schema, name: str) -> str | None:
    relation, dot, key = name.partition(".")
    if dot:
        lookup = schema.relation(relation)
        return f"{lookup.relationship}.{key}" if lookup else None
    target = schema.get(name)
    return target.name if target else None


def _value(schema: Schema, record: Mapping[str, Any], path: str) -> Any:
    relation, dot, key = path.partition(".")
    if dot:
        return (record.get(relation) or {}).get(key)
    target = schema.get(path)
    return canonical(target, record.get(path)) if target else record.get(path)
