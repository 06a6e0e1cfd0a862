"""From an operation to the record Salesforce is sent."""

from collections.abc import Mapping
from typing import Any

from attrs import define, field, frozen

from synccore.errors import Rejected
from synccore.types import Link, Operation, RouteSpec

from ..schema import PERSON_ACCOUNT, Catalog, Field, Schema, api_name
from .defaults import ITEMS, KEY_FIELD, LAST_NAME_FALLBACK, default_fields, is_default_match
from .values import can_cut, convert, too_long

__all__ = ["CONTACT_PREFIX", "OPT_OUTS", "Matching", "Row", "Shaper", "is_converted"]

#: Key prefixes of standard objects are the same in every org.
CONTACT_PREFIX = "003"
#: Lead fields whose namesake on Contact has another name, and those that are the lead's alone.
_LEAD_TO_CONTACT = {
    n: f"Mailing{n}" for n in ("Street", "City", "PostalCode", "State", "StateCode", "Country", "CountryCode")
}
_LEAD_ONLY = ("Company", "Status", "Rating", "AnnualRevenue", "NumberOfEmployees")
OPT_OUTS = ("hasoptedoutofemail", "personhasoptedoutofemail")


def is_converted(schema: Schema, link: Link) -> bool:
    """True for a lead whose link leads to the contact it became."""
    return schema.name == "Lead" and link.remote_id.startswith(CONTACT_PREFIX)


@define(kw_only=True)
class Row:
    """One record on its way: what to write where."""

    op: Operation
    #: API name of the object.
    object: str
    #: JSON-ready values; a parent by key is "Relationship.KeyField".
    fields: dict[str, Any] = field(repr=False)
    #: Write to this record ...
    id: str | None = None
    #: ... else upsert by this external id (field, value), else create.
    key: tuple[str, str] | None = field(default=None, repr=False)
    #: Not to be written over a value the record already holds.
    keep: set[str] = field(factory=set)
    #: The same, but only where the record was not made by this sync.
    soft: set[str] = field(factory=set)
    #: True for a record found, not yet written: it is stamped with the key.
    adopted: bool = False
    notes: list[str] = field(factory=list)
    #: Names of remedies already tried.
    tried: set[str] = field(factory=set)
    created: bool = False

    @property
    def parent(self) -> str:
        """What rows are sorted by, so that those of one parent travel together and do not lock each other out."""
        return next((str(v) for n, v in sorted(self.fields.items()) if n.endswith("Id") or "." in n), "")

    def body(self) -> dict[str, Any]:
        """The record as JSON, parents by key nested under their relationship, without id or key."""
        body: dict[str, Any] = {}
        for name, value in self.fields.items():
            relation, dot, key = name.partition(".")
            body[relation if dot else name] = {key: value} if dot else value
        return body

    def drop(self, name: str) -> None:
        """Leave a field out after all."""
        self.fields.pop(name, None)


@frozen(kw_only=True)
class Matching:
    """How a route finds existing records: by external id, then by searching for other fields."""

    key: Field | None
    search: tuple[Field, ...]

    @classmethod
    def of(cls, route: RouteSpec, schema: Schema) -> "Matching":
        """Raises Rejected for a match field the org does not have, unless it comes from the defaults."""
        found = []
        for name in route.match:
            target = schema.get(name)
            if target is not None:
                found.append(target)
            elif not (is_default_match(route) and name == KEY_FIELD):
                raise Rejected(f"{schema.name} has no field {name} to match by (or it is hidden)", fields=[name])
        key = next((f for f in found if f.external_id), None)
        return cls(key=key, search=tuple(f for f in found if f is not key))


class Shaper:
    """Turns the operations of one route into rows, by what the org says about the object."""

    def __init__(self, route: RouteSpec, schema: Schema, catalog: Catalog) -> None:
        self.route = route
        self.schema = schema
        self.matching = Matching.of(route, schema)
        self._catalog = catalog
        self._defaults = default_fields(route)
        self._person = route.object == PERSON_ACCOUNT

    # -- one row

    def row(self, op: Operation) -> Row:
        """The row of one operation. Raises Rejected for values Salesforce cannot take."""
        known = op.link is not None and bool(op.link.fields)
        row = Row(op=op, object=self.schema.name, fields={}, id=op.link.remote_id if op.link else None)
        row.adopted = op.link is not None and not known
        for name, value in op.fields.items():
            if not known or name in op.changed:
                self._put(row, name, value)
        self._last_name(row)
        self._regions(row)
        row.key = self.key_of(op)
        if not known:
            self._person_type(row)
            self._parent(row)
        if row.key is not None and (row.id is None or row.adopted):
            row.drop(row.key[0])
        if self.schema.name == "Lead" and (row.id or "").startswith(CONTACT_PREFIX):
            self.as_contact(row)
        return row

    def key_of(self, op: Operation) -> tuple[str, str] | None:
        """External id field and this record's value, or None where it has none.

        A key field that the route maps takes the mapped value; otherwise it holds the record's uid.
        """
        key = self.matching.key
        if key is None:
            return None
        mapped = next((v for n, v in op.fields.items() if n.lower() == key.name.lower()), None)
        if op.event_id:
            # One record per fact, not per record the facts are about.
            value = f"{op.source}:{op.entity}:{op.event_id}"
        elif any(n.lower() == key.name.lower() for n in self.route.fields):
            value = str(convert(key, mapped)) if mapped not in (None, "") else ""
        else:
            value = op.uid
        if too_long(key, value):
            raise Rejected(f"{key.name} takes {key.length} characters, the key has {len(value)}", fields=[key.name])
        return (key.name, value) if value else None

    def search_value(self, op: Operation, target: Field) -> Any:
        """What to search a field for; None where the record has no value there."""
        value = next((v for n, v in op.fields.items() if n.lower() == target.name.lower()), None)
        return None if value in (None, "") else convert(target, value)

    # -- fields

    def _put(self, row: Row, name: str, value: Any) -> None:
        if name in (ITEMS, LAST_NAME_FALLBACK):
            return
        if "." in name:
            self._put_reference(row, name, value)
            return
        target = self.schema.get(name)
        if target is None and name not in self._defaults:
            target = self._second_look(name)
        if target is None or self._withheld(row, target, value):
            return
        if not (target.updateable if row.id else target.createable):
            row.notes.append(f"{target.name} left out: Salesforce does not let it be written")
            return
        option = row.op.options.get(name)
        value = convert(target, value)
        if too_long(target, value):
            if option is None or not option.truncate or not can_cut(target):
                raise Rejected(
                    f"{target.name} takes {target.length} characters, the value has {len(value)} "
                    "(truncate = true on the field cuts it)",
                    fields=[name],
                )
            value = value[: target.length]
            row.notes.append(f"{target.name} cut to {target.length} characters")
        row.fields[target.name] = value
        if option is not None and option.keep_existing:
            row.keep.add(target.name)

    def _second_look(self, name: str) -> Field:
        schema = self._catalog.second_look(self.schema.name)
        found = schema.get(name) if schema else None
        if schema is None or found is None:
            raise Rejected(
                f"{self.schema.name} has no field {name}, or it is hidden from the connected user by field-level "
                "security: make or show it, or take it out of the mapping",
                fields=[name],
            )
        self.schema = schema
        return found

    def _withheld(self, row: Row, target: Field, value: Any) -> bool:
        """An opt-out made in Salesforce is not ours to clear, unless the route allows it."""
        if target.name.lower() not in OPT_OUTS or convert(target, value):
            return False
        return not row.op.settings.get("clear_opt_out", False)

    def _put_reference(self, row: Row, name: str, value: Any) -> None:
        relation, _, key = name.partition(".")
        lookup = self.schema.relation(relation)
        if lookup is None:
            raise Rejected(f"{self.schema.name} has no relationship {relation}", fields=[name])
        if value is None:
            # A parent is taken off through the lookup field; a null inside the relationship is refused.
            row.fields[lookup.name] = None
        else:
            row.fields[f"{lookup.relationship}.{key}"] = str(value)

    def _last_name(self, row: Row) -> None:
        target = self.schema.get("LastName")
        if target is None or row.op.fields.get("LastName") or (row.id and not row.adopted):
            return
        if fallback := row.op.fields.get(LAST_NAME_FALLBACK):
            row.fields[target.name] = str(fallback)[: target.length or None]
            # A real name that is there already is worth more than this.
            row.keep.add(target.name)
            row.notes.append("no last name: a stand-in was used")

    def _person_type(self, row: Row) -> None:
        if not self._person or row.id is not None or "RecordTypeId" in row.fields:
            return
        record_type = self._catalog.person_record_type(str(row.op.settings.get("record_type") or ""))
        if record_type is None:
            raise Rejected("this org has no record type for person accounts: see synccore check")
        row.fields["RecordTypeId"] = record_type
        row.soft.add("RecordTypeId")

    def as_contact(self, row: Row) -> None:
        """Turn a converted lead's row into one for its contact: what Contact has not is left out."""
        schema = self._catalog.find("Contact")
        row.object = "Contact"
        renamed = {_LEAD_TO_CONTACT.get(n, n): v for n, v in row.fields.items() if n not in _LEAD_ONLY}
        row.fields = {n: v for n, v in renamed.items() if schema and (f := schema.get(n)) and f.updateable}
        row.adopted = False

    # -- states and countries

    def _regions(self, row: Row) -> None:
        for target in self.schema.fields.values():
            if target.name.endswith("CountryCode"):
                self._region(row, target.name.removesuffix("CountryCode"))

    def _region(self, row: Row, prefix: str) -> None:
        """With state and country picklists on, codes are sent instead of names, and only codes the org knows."""
        country, state = f"{prefix}CountryCode", f"{prefix}StateCode"
        mapped = {n.lower() for n in row.op.fields}
        for code, name in ((country, f"{prefix}Country"), (state, f"{prefix}State")):
            if code.lower() in mapped:
                row.drop(name)
        target = self.schema.get(country)
        if target and target.picklist and row.fields.get(country) not in (None, *target.picklist):
            row.drop(country)
            row.drop(state)
            row.notes.append(f"{country} left out: the org does not know this country")
        self._state(row, state)
        if row.fields.get(state) and country not in row.fields and row.op.fields.get(country):
            row.fields[country] = str(row.op.fields[country])

    def _state(self, row: Row, name: str) -> None:
        target, value = self.schema.get(name), row.fields.get(name)
        if target is None or value is None or not target.picklist or value in target.picklist:
            return
        by_label = {label.casefold(): code for code, label in target.picklist.items()}
        if code := by_label.get(str(value).casefold()):
            row.fields[name] = code
        else:
            row.drop(name)
            row.notes.append(f"{name} left out: the org does not know this state")

    # -- parents

    def _parent(self, row: Row) -> None:
        parent = row.op.parent
        if parent is None:
            return
        lookup = self.parent_field(api_name(parent.object), row.op.settings)
        if self.has_parent(row, lookup):
            return
        row.fields[lookup.name] = parent.remote_id
        row.soft.add(lookup.name)

    def parent_field(self, target: str, settings: Mapping[str, Any]) -> Field:
        """The lookup field for a parent of object `target`. Raises Rejected where that is not plain."""
        if wanted := str(settings.get("parent_field") or ""):
            found = self.schema.get(wanted)
            if found is None:
                raise Rejected(f"{self.schema.name} has no field {wanted} (parent_field)", fields=[wanted])
            return found
        preferred = {("Order", "Contact"): "BillToContactId"}.get((self.schema.name, target), f"{target}Id")
        choices = self.schema.references(target)
        found = next((f for f in choices if f.name == preferred), choices[0] if len(choices) == 1 else None)
        if found is None:
            names = ", ".join(f.name for f in choices) or "none"
            raise Rejected(
                f"which lookup of {self.schema.name} points at {target}? Set parent_field on the route ({names})"
            )
        return found

    def has_parent(self, row: Row, lookup: Field) -> bool:
        """True where the mapping itself says which record this one belongs to, by id or by key."""
        return lookup.name in row.fields or any(
            lookup.relationship and n.startswith(f"{lookup.relationship}.") for n in row.fields
        )
