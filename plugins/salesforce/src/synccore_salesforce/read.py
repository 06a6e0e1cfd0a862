"""Reads records back, in the words they were delivered in."""

from collections.abc import Mapping, Sequence
from typing import Any

from synccore.types import Link, RouteSpec

from .client import Client
from .mapping.defaults import ITEMS, LAST_NAME_FALLBACK, default_fields
from .mapping.record import CONTACT_PREFIX, OPT_OUTS, is_converted
from .mapping.values import same
from .schema import Catalog, Schema

__all__ = ["Reader"]


class Reader:
    """Reads what one route delivered."""

    def __init__(self, client: Client, catalog: Catalog, route: RouteSpec, schema: Schema) -> None:
        self._client = client
        self._catalog = catalog
        self._route = route
        self._schema = schema

    def read(self, links: Sequence[Link]) -> list[Mapping[str, Any] | None]:
        """Per link: the record's values under the mapped names, or None where it is gone."""
        names = {n for link in links for n in link.fields}
        found: dict[str, Mapping[str, Any]] = {}
        for schema, mine in self._by_object(links):
            columns = ["Id", *(path for n in sorted(names) if (path := self._path(schema, n)))]
            for record in self._client.select(columns, schema.name, "Id", [link.remote_id for link in mine]):
                found[str(record["Id"])[:15]] = record
        return [self._seen(link, found.get(link.remote_id[:15])) for link in links]

    def _by_object(self, links: Sequence[Link]) -> list[tuple[Schema, list[Link]]]:
        contacts = self._catalog.find("Contact") if self._schema.name == "Lead" else None
        converted = [i for i in links if contacts and i.remote_id.startswith(CONTACT_PREFIX)]
        plain = [i for i in links if i not in converted]
        groups = [(self._schema, plain)]
        if contacts is not None:
            groups.append((contacts, converted))
        return [(schema, mine) for schema, mine in groups if mine]

    def _path(self, schema: Schema, name: str) -> str | None:
        relation, dot, key = name.partition(".")
        if dot:
            lookup = schema.relation(relation)
            return f"{lookup.relationship}.{key}" if lookup else None
        target = schema.get(name)
        return target.name if target else None

    def _seen(self, link: Link, record: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        if record is None:
            return None
        seen: dict[str, Any] = {}
        for name, ours in link.fields.items():
            relation, dot, key = name.partition(".")
            if dot:
                seen[name] = (record.get(relation) or {}).get(key)
                continue
            target = self._schema.get(name)
            theirs = record.get(target.name) if target else None
            # What this org has no field for is never sent, and so does not differ; and values that say the same are
            # given in the words they were delivered in.
            unsent = target is None and (
                name == ITEMS or name in default_fields(self._route) or is_converted(self._schema, link)
            )
            unsent = unsent or name == LAST_NAME_FALLBACK or self._withheld(name, ours)
            seen[name] = ours if unsent or self._holds(name, ours, theirs) else theirs
        return seen

    def _withheld(self, name: str, ours: Any) -> bool:
        """What is mapped and not written all the same: an order's status without `activate`, an opt-in."""
        if self._schema.name == "Order" and name == "Status":
            return not self._route.settings.get("activate", False)
        return name.lower() in OPT_OUTS and not ours and not self._route.settings.get("clear_opt_out", False)

    def _holds(self, name: str, ours: Any, theirs: Any) -> bool:
        target = self._schema.get(name)
        if target is None or same(target, ours, theirs):
            return same(target, ours, theirs)
        option = self._route.options.get(name)
        if option is not None and option.truncate and theirs:
            return str(ours)[: target.length] == str(theirs)
        if target.picklist.get(str(theirs), "").casefold() == str(ours).casefold():
            return True
        # With state and country picklists on, names are set by Salesforce, from the codes.
        return name.endswith(("State", "Country")) and self._schema.get(f"{name}Code") is not None
