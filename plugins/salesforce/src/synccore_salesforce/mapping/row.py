"""One record on its way to the org, and what became of each mapped field."""

from collections.abc import Mapping
from typing import Any

from attrs import define, field

from synccore.types import Link, Operation

from ..schema import Field, Schema
from .defaults import HELPERS, ITEMS
from .values import canonical, canonical_items, same

__all__ = [
    "AGREED",
    "CONTACT_PREFIX",
    "KEPT",
    "NOT_WRITABLE",
    "NO_FIELD",
    "SHARED",
    "STILL",
    "Row",
    "is_converted",
    "lacking",
]

#: Key prefixes of standard objects are the same in every org.
CONTACT_PREFIX = "003"
#: Reasons that a link remembers, and that say whose a value is.
KEPT = "kept: the org's own value"
AGREED = "already there"
SHARED = "kept: this record is not this customer's alone"
#: Written by this sync while the record was this customer's alone, and not changed since.
STILL = "not changed: this record is not this customer's alone any more"
#: The org's condition when the record was delivered: it may pass.
NO_FIELD = "the org has no such field, or hides it"
NOT_WRITABLE = "Salesforce does not let it be written"
#: Reasons under which a value at the target is still what this sync put (or found right) there.
_HELD = (None, AGREED, STILL)


def is_converted(schema: Schema, link: Link) -> bool:
    """True for a lead whose link leads to the contact it became."""
    return schema.name == "Lead" and link.remote_id.startswith(CONTACT_PREFIX)


def lacking(schema: Schema, link: Link) -> frozenset[str]:
    """Mapped names that were left out for a field that was not there, or not to be written, and can be written now."""
    if is_converted(schema, link):
        return frozenset()
    passing = [n for n, reason in link.left_out.items() if reason in (NO_FIELD, NOT_WRITABLE)]
    return frozenset(n for n in passing if (target := schema.get(n)) is not None and target.updateable)


@define(kw_only=True)
class Row:
    """One record on its way: what to write where."""

    op: Operation
    #: The object it is written to.
    schema: Schema
    #: Mapped name -> field, where they differ (a converted lead's contact).
    renamed: Mapping[str, str] = field(factory=dict)
    #: JSON-ready values; a parent by key is "Relationship.KeyField".
    fields: dict[str, Any] = field(repr=False)
    #: Write to this record ...
    id: str | None = None
    #: ... else upsert by this external id (field, value), else create.
    key: tuple[str, str] | None = field(default=None, repr=False)
    #: Not to be written over a value the record already holds.
    keep: set[str] = field(factory=set)
    #: Fields of the sink's own (parent, record type): only set where the record is made or has none.
    soft: set[str] = field(factory=set)
    #: Made, not upserted: a record that has the key already refuses it, and is looked at only then.
    outright: bool = False
    #: Not this customer's alone, or not made by this sync: only what is ours there is written.
    guarded: bool = False
    #: A record per company, not per customer.
    company: bool = False
    #: The values of a record that was found, before it is written.
    record: Mapping[str, Any] | None = field(default=None, repr=False)
    #: Whether this sync took the record over; None where it is as the link says.
    adopted: bool | None = None
    #: True where the record carries this row's own key.
    own: bool = False
    #: What is known to be at the target of what was delivered before, and why the rest is not.
    before: Mapping[str, Any] = field(factory=dict, repr=False)
    #: Mapped field -> why it is not sent.
    left: dict[str, str] = field(factory=dict)
    notes: list[str] = field(factory=list)
    #: Names of remedies already tried.
    tried: set[str] = field(factory=set)
    created: bool = False
    #: Further records made for this one.
    made: dict[str, str] = field(factory=dict)

    @property
    def object(self) -> str:
        """API name of the object."""
        return self.schema.name

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

    def drop(self, name: str, reason: str | None = None) -> None:
        """Leave a field out after all; the reason is remembered where the mapping asked for the field."""
        self.fields.pop(name, None)
        if reason is not None and (mapped := self.mapped_name(name)):
            self.left[mapped] = reason

    def refuse(self, name: str, reason: str) -> None:
        """The org does not take the value: what we wrote there before is not the new one's, and goes."""
        mapped = self.mapped_name(name)
        self.drop(name, reason)
        if self.id is not None and mapped and self.before.get(mapped):
            self.fields[name] = None

    def mapped_name(self, name: str) -> str | None:
        """How the mapping spells a field of the object."""
        wanted = name.lower()
        return next((n for n in self.op.fields if self.renamed.get(n, n).lower() == wanted), None)

    def target(self, mapped: str) -> Field | None:
        """The field a mapped name leads to."""
        return self.schema.get(self.renamed.get(mapped, mapped))

    # -- what became of it

    def held(self) -> dict[str, Any]:
        """What the target holds of what was mapped, once the row is written; nothing of what was left out."""
        found: dict[str, Any] = {}
        for name, asked in self.op.fields.items():
            if name in HELPERS or self.left.get(name) not in _HELD:
                continue
            target = self.target(name)
            if target is None:
                # A parent by key is there as asked, and so are an order's items.
                found[name] = canonical_items(asked) if name == ITEMS else asked
            elif target.name in self.fields:
                found[name] = canonical(target, self.fields[target.name])
            elif self.key is not None and target.name == self.key[0]:
                found[name] = self.key[1]
            elif self.record is not None and target.name in self.record:
                found[name] = canonical(target, self.record[target.name])
            elif name in self.before:
                found[name] = self.before[name]
        return found

    def reasons(self) -> dict[str, str]:
        """Why mapped fields are not sent: this time, or the last where they did not change."""
        return {n: r for n, r in self.left.items() if n in self.op.fields and n not in HELPERS}

    @property
    def takes_over(self) -> bool | None:
        """`adopted` of the outcome: True for a record found, False for one made, None where the link knows."""
        if self.adopted is not None:
            return self.adopted
        link = self.op.link
        return None if link is not None and link.remote_id[:15] == (self.id or "")[:15] else False

    def is_ours(self, target: Field, theirs: Any) -> bool:
        """True where the value at the target is nothing, or what this sync put (or found already right) there."""
        if theirs in (None, "", False):
            return True
        name = self.mapped_name(target.name) or target.name
        link = self.op.link
        reason = link.left_out.get(name) if link else None
        return name in self.before and reason in _HELD and same(target, self.before[name], theirs)
