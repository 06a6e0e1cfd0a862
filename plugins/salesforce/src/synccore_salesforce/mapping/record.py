"""From an operation to the record Salesforce is sent."""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from synccore.errors import Rejected
from synccore.types import Link, Operation, RouteSpec
from synccore.values import encodable

from ..errors import RouteHeld
from ..schema import PERSON_ACCOUNT, Catalog, Field, Schema, api_name
from .defaults import HELPERS, ITEMS, KEY_FIELD, LAST_NAME_FALLBACK, NAME_FALLBACK, default_fields, is_default_match
from .owners import mark_of, named_after
from .regions import fit_regions
from .row import AGREED, CONTACT_PREFIX, NO_FIELD, NOT_WRITABLE, SHARED, STILL, Row, lacking
from .values import can_cut, convert, same, too_long

__all__ = ["OPT_OUTS", "Matching", "Shaper"]

#: Lead fields whose namesake on Contact has another name, and those that are the lead's alone.
LEAD_TO_CONTACT = {
    n: f"Mailing{n}" for n in ("Street", "City", "PostalCode", "State", "StateCode", "Country", "CountryCode")
}
_LEAD_ONLY = ("Company", "Status", "Rating", "AnnualRevenue", "NumberOfEmployees")
OPT_OUTS = ("hasoptedoutofemail", "personhasoptedoutofemail")
#: Required fields, and what stands in where the shop has nothing.
_STAND_INS = (("LastName", LAST_NAME_FALLBACK), ("Name", NAME_FALLBACK))
#: What two people may share without being one company.
_PERSONAL = ("email", "phone")
_OPTED_OUT = "only an opt-out is written: clear_opt_out = true takes one back"


@frozen(kw_only=True)
class Matching:
    """How a route finds existing records: by external id, then by searching for other fields."""

    key: Field | None
    search: tuple[Field, ...]
    #: One record for each value searched for (accounts by company name), not one for each customer.
    company: bool

    @classmethod
    def of(cls, route: RouteSpec, schema: Schema) -> "Matching":
        """Raises RouteHeld for a match field the org does not have, unless it comes from the defaults."""
        found = []
        for name in route.match:
            target = schema.get(name)
            if target is not None:
                found.append(target)
            elif not (is_default_match(route) and name == KEY_FIELD):
                raise RouteHeld(f"{schema.name} has no field {name} to match by (or it is hidden)")
        key = next((f for f in found if f.external_id), None)
        search = tuple(f for f in found if f is not key)
        business = schema.name == "Account" and route.object != PERSON_ACCOUNT
        return cls(key=key, search=search, company=business and any(f.type not in _PERSONAL for f in search))


class Shaper:
    """Turns the operations of one route into rows, by what the org says about the object."""

    def __init__(self, route: RouteSpec, schema: Schema, catalog: Catalog) -> None:
        self.route = route
        self.schema = schema
        self.matching = Matching.of(route, schema)
        self._catalog = catalog
        self._defaults = default_fields(route)
        self._person = route.object == PERSON_ACCOUNT

    @property
    def is_person(self) -> bool:
        """True for person accounts."""
        return self._person

    def may_keep(self, op: Operation) -> bool:
        """Whether something of it may not be written over what a record already holds, whoever made that."""
        if any(option.keep_existing for option in op.options.values()):
            return True
        return any(op.fields.get(fallback) and not op.fields.get(name) for name, fallback in _STAND_INS)

    # -- one row

    def row(self, op: Operation) -> Row:
        """The row of one operation. Raises Rejected for values Salesforce cannot take."""
        moves = self._moves(op)
        link = None if moves else op.link
        known = link is not None and bool(link.previous) and not link.left
        row = Row(
            op=op,
            schema=self.schema,
            fields={},
            id=link.remote_id if link else None,
            company=self._by_value(op),
            guarded=link is not None and not self._may_write(link, op, known=known),
        )
        if link is not None and known:
            row.before = link.fields
            row.left = {n: r for n, r in link.left_out.items() if n not in op.changed}
        if moves and op.link is not None:
            self._left_account(row, op.link)
        changed = self._with_twins(op) | (lacking(self.schema, link) if link is not None else frozenset())
        for name, value in op.fields.items():
            if not known or name in changed:
                self._put(row, name, value)
        self._required_names(row)
        fit_regions(row, self.schema, self._catalog)
        row.key = self.key_of(op)
        self._person_type(row, known=known)
        self._parent(row, link if known else None)
        if row.key is not None and (row.id is None or not known):
            row.drop(row.key[0])
        if row.company and not self._maps_key():
            for name in (n for n, v in self.route.fields.items() if v == "uid"):
                row.drop(name, "a record that many share carries no customer's key")
        if row.company and row.guarded:
            self.keep_all(row)
        elif row.company and link is not None and not link.ours:
            for target in self.matching.search:
                row.drop(target.name, AGREED)
        if self.schema.name == "Lead" and (row.id or "").startswith(CONTACT_PREFIX):
            self.as_contact(row)
        return row

    @staticmethod
    def _left_account(row: Row, link: Link) -> None:
        """What bears the person's name stays theirs, wherever they moved: it goes when they do."""
        name = link.mapped.get("Name")
        if link.ours and not name:
            row.made["Account"] = link.remote_id
        elif not link.adopted and named_after(name, link.mapped):
            row.made[mark_of(name)] = link.remote_id

    def _may_write(self, link: Link, op: Operation, *, known: bool) -> bool:
        # What a lookup found, and nothing was ever written to, is not known to be ours; a company's account is, where
        # it has all that a try without an answer wrote (others are looked at once more before they are written).
        made = link.marked and link.common
        mine = link.ours and (known or link.left or made or link.delivered_at is not None)
        return mine or op.settings.get("existing") == "overwrite"

    def _by_value(self, op: Operation) -> bool:
        return self.matching.company and any(self.search_value(op, f) is not None for f in self.matching.search)

    def _moves(self, op: Operation) -> bool:
        """True where a match value changed under a record that is not this customer's alone: it belongs to another.

        The old record is never renamed: the right one is found or made, and what hangs on this one follows.
        """
        link = op.link
        if link is None or not link.previous or link.left or op.op == "leave":
            return False
        if link.ours and not self.matching.company:
            return False
        fields = [f for f in self.matching.search if link.shared > 1 or self.matching.company]
        if self.matching.key is not None and link.shared > 1 and self._maps_key():
            fields.append(self.matching.key)
        return any(self._differs(op, link, f) for f in fields)

    def _differs(self, op: Operation, link: Link, target: Field) -> bool:
        old = next((v for n, v in link.mapped.items() if n.lower() == target.name.lower()), None)
        new = next((v for n, v in op.fields.items() if n.lower() == target.name.lower()), None)
        old, new = (None if v in (None, "") else v for v in (old, new))
        if old is None or new is None:
            return old is not new
        return not same(target, str(old).strip().casefold(), str(new).strip().casefold())

    def _maps_key(self) -> bool:
        """True where the mapping itself says what the key holds (the customer's uid is what it holds otherwise)."""
        name = self.matching.key.name.lower() if self.matching.key else ""
        return any(n.lower() == name and v != "uid" for n, v in self.route.fields.items())

    def _with_twins(self, op: Operation) -> frozenset[str]:
        """A state without its country is refused, and a country without its state keeps the old one."""
        twins = {n.replace("State", "Country") for n in op.changed if n.endswith(("StateCode", "State"))}
        twins |= {n.replace("Country", "State") for n in op.changed if n.endswith(("CountryCode", "Country"))}
        return op.changed | (twins & op.fields.keys())

    def key_of(self, op: Operation) -> tuple[str, str] | None:
        """External id field and this record's value, or None where it has none.

        A key field that the route maps takes the mapped value; otherwise it holds the record's uid. What many share
        carries no customer's key.
        """
        key = self.matching.key
        if self.matching.company and not self._maps_key():
            own = self.schema.get(KEY_FIELD)
            key = None if self._by_value(op) else key or (own if own is not None and own.external_id else None)
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
        value = encodable(value)
        if too_long(key, value):
            raise Rejected(f"{key.name} takes {key.length} characters, the key has {len(value)}", fields=[key.name])
        return (key.name, value) if value else None

    def search_value(self, op: Operation, target: Field) -> Any:
        """What to search a field for; None where the record has no value there."""
        value = next((v for n, v in op.fields.items() if n.lower() == target.name.lower()), None)
        return None if value in (None, "") else convert(target, value)

    # -- fields

    def _put(self, row: Row, name: str, value: Any) -> None:
        row.left.pop(name, None)
        if name == ITEMS or name in HELPERS:
            return
        if "." in name:
            self._put_reference(row, name, value)
            return
        target = self._target(row, name)
        if target is None:
            row.left[name] = NO_FIELD
            return
        if self._withheld(row, target, value):
            row.left[name] = _OPTED_OUT
            return
        if not (target.updateable if row.id else target.createable):
            row.left[name] = NOT_WRITABLE
            row.notes.append(f"{target.name} left out: {NOT_WRITABLE}")
            return
        option = row.op.options.get(name)
        value = convert(target, value)
        if value in (None, "") and target.required:
            if row.id is not None:
                row.left[name] = "required: Salesforce does not let it be empty"
            return
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

    def _target(self, row: Row, name: str) -> Field | None:
        target = self.schema.get(name)
        if target is None and (name not in self._defaults or name in row.before):
            return self._second_look(name)
        # Fields that can be set only when a record is made stay so; this one could be changed.
        if target is not None and name in row.before and not (target.updateable or target.createable):
            return self._second_look(name, lost=True)
        return target

    def _second_look(self, name: str, *, lost: bool = False) -> Field:
        """The field, asked anew. What was written before and is not to be seen (`lost`: written) any more is the org's
        condition: its route waits until the permission is given back."""
        schema = self._catalog.second_look(self.schema.name)
        found = schema.get(name) if schema else None
        if schema is None or found is None:
            raise RouteHeld(
                f"{self.schema.name} has no field {name}, or it is hidden from the connected user by field-level "
                "security: make or show it, or take it out of the mapping"
            )
        if lost and not found.updateable:
            raise RouteHeld(
                f"the connected user may not write {self.schema.name}.{found.name} any more: give the permission back "
                "(field-level security), or take the field out of the mapping"
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
            raise RouteHeld(f"{self.schema.name} has no relationship {relation} (field {name} of the route)")
        if value is None:
            # A parent is taken off through the lookup field; a null inside the relationship is refused.
            row.fields[lookup.name] = None
        else:
            row.fields[f"{lookup.relationship}.{key}"] = encodable(str(value))

    def _required_names(self, row: Row) -> None:
        """LastName and an account's Name are required: a stand-in, where the shop has none, replaces no real one."""
        for name, fallback in _STAND_INS:
            target, value = self.schema.get(name), row.op.fields.get(fallback)
            if target is None or not value or row.op.fields.get(name) or (name == "Name" and self._person):
                continue
            mine = row.id is not None and not row.guarded
            if mine and (name == "LastName" or fallback not in row.op.changed):
                continue
            row.fields[target.name] = encodable(str(value))[: target.length or None]
            if not mine:
                # A real name that is there already is worth more than this.
                row.keep.add(target.name)
            row.notes.append(f"no {name}: a stand-in was used")

    def _person_type(self, row: Row, *, known: bool) -> None:
        if known or not self._person or row.id is not None or "RecordTypeId" in row.fields:
            return
        wanted = str(row.op.settings.get("record_type") or "")
        record_type = self._catalog.person_record_type(wanted)
        if record_type is None:
            raise RouteHeld("which record type do person accounts have? See synccore check (record_type on the route)")
        row.fields["RecordTypeId"] = record_type
        row.soft.add("RecordTypeId")

    def as_contact(self, row: Row) -> None:
        """Turn a converted lead's row into one for its contact: what Contact has not is left out."""
        schema = self._catalog.find("Contact")
        if schema is None:
            raise RouteHeld("the lead was converted, and the connected user sees no object Contact")
        row.schema, row.renamed, row.key, row.guarded = schema, LEAD_TO_CONTACT, None, False
        row.fields = {
            t.name: v
            for n, v in row.fields.items()
            if n not in _LEAD_ONLY and (t := schema.get(LEAD_TO_CONTACT.get(n, n))) and t.updateable
        }
        key = self.matching.key.name if self.matching.key else ""
        for name in row.op.fields:
            if name in _LEAD_ONLY or name == key or row.target(name) is None:
                # The contact's own key is not the lead's.
                row.left[name] = "the lead was converted: its contact holds none"
                row.drop(name)

    def keep_all(self, row: Row) -> None:
        """A company's record that others use or made: nothing of one customer is written on it."""
        row.fields.clear()
        for name in row.op.fields:
            target = self.schema.get(name)
            if name in HELPERS or target is None or (name not in row.op.changed and name in row.left):
                continue
            if target in self.matching.search:
                row.left[name] = AGREED
            elif name in row.before:
                row.left[name] = STILL
            else:
                row.left[name] = SHARED

    # -- parents

    def _parent(self, row: Row, link: Link | None) -> None:
        parent = row.op.parent
        if parent is None or (link is not None and link.parent_id is None):
            return
        if link is not None and link.parent_id == parent.remote_id and not row.op.maybe_applied:
            return  # after a lost answer, or a restored backup, it may hang under whoever had it in between
        lookup = self.parent_field(api_name(parent.object), row.op.settings)
        if self.has_parent(row, lookup):
            return
        if row.id is not None and not lookup.updateable:
            row.notes.append(f"{lookup.name} stays as it was: Salesforce fixes it when the record is made")
            return
        row.fields[lookup.name] = parent.remote_id
        row.soft.add(lookup.name)

    def parent_field(self, target: str, settings: Mapping[str, Any]) -> Field:
        """The lookup field for a parent of object `target`. Raises RouteHeld where that is not plain."""
        if wanted := str(settings.get("parent_field") or ""):
            found = self.schema.get(wanted)
            if found is None:
                raise RouteHeld(f"{self.schema.name} has no field {wanted} (parent_field)")
            return found
        preferred = {("Order", "Contact"): "BillToContactId"}.get((self.schema.name, target), f"{target}Id")
        choices = self.schema.references(target)
        found = next((f for f in choices if f.name == preferred), choices[0] if len(choices) == 1 else None)
        if found is None:
            names = ", ".join(f.name for f in choices) or "none"
            raise RouteHeld(
                f"which lookup of {self.schema.name} points at {target}? Set parent_field on the route ({names})"
            )
        return found

    def has_parent(self, row: Row, lookup: Field) -> bool:
        """True where the mapping itself says which record this one belongs to, by id or by key."""
        return lookup.name in row.fields or any(
            lookup.relationship and n.startswith(f"{lookup.relationship}.") for n in row.fields
        )
