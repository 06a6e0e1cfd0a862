"""What the data of a make-believe org is made of."""

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, field

__all__ = ["TEXT_TYPES", "FieldDef", "ObjectDef", "RowRefused", "full_id"]

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


@define(kw_only=True)
class FieldDef:
    """A field and its rules."""

    name: str
    type: str = "string"
    length: int = 255
    required: bool = False
    createable: bool = True
    updateable: bool = True
    external_id: bool = False
    unique: bool = False
    id_lookup: bool = False
    #: value -> label; `restricted` refuses others.
    picklist: dict[str, str] = field(factory=dict)
    restricted: bool = False
    refers_to: tuple[str, ...] = ()
    relationship: str | None = None
    defaulted: bool = False
    #: Hidden from the connected user by field-level security.
    hidden: bool = False

    def describe(self) -> dict[str, Any]:
        """As describe words it."""
        return {
            "name": self.name,
            "label": self.name.removesuffix("__c").replace("_", " "),
            "type": self.type,
            "length": self.length if self.type in TEXT_TYPES else 0,
            "createable": self.createable,
            "updateable": self.updateable,
            "nillable": not self.required,
            "defaultedOnCreate": self.defaulted,
            "externalId": self.external_id,
            "unique": self.unique,
            "idLookup": self.id_lookup or self.external_id,
            "restrictedPicklist": self.restricted,
            "picklistValues": [{"value": v, "label": label, "active": True} for v, label in self.picklist.items()],
            "relationshipName": self.relationship,
            "referenceTo": list(self.refers_to),
        }


TEXT_TYPES = ("string", "textarea", "email", "phone", "url", "picklist", "multipicklist", "reference", "id")


@define(kw_only=True)
class ObjectDef:
    """An object with its fields and records."""

    name: str
    prefix: str
    fields: dict[str, FieldDef]
    records: dict[str, dict[str, Any]] = field(factory=dict)

    def find(self, name: str) -> FieldDef | None:
        """The visible field of that name, whatever the case."""
        found = next((f for n, f in self.fields.items() if n.lower() == name.lower()), None)
        return None if found is None or found.hidden else found

    def live(self) -> list[dict[str, Any]]:
        """The records that nobody deleted."""
        return [r for r in self.records.values() if not r.get("IsDeleted")]


class RowRefused(Exception):
    """Why a record was not saved."""

    def __init__(
        self, code: str, message: str, fields: Iterable[str] = (), extra: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = list(fields)
        self.extra = dict(extra or {})


def full_id(prefix: str, number: int) -> str:
    """An 18-character id: prefix, number, and the suffix that encodes the case of the first fifteen."""
    short = f"{prefix}5e{number:010d}"
    suffix = ""
    for start in (0, 5, 10):
        bits = sum(1 << i for i, c in enumerate(short[start : start + 5]) if c.isupper())
        suffix += _ALPHABET[bits]
    return short + suffix
