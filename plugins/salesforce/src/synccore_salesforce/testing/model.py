"""What the data of a make-believe org is made of."""

import base64
from collections.abc import Iterable, Mapping, Sequence
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
    #: (value, label, controlling value) of a dependent picklist, and the field that controls it.
    dependent: tuple[tuple[str, str, str], ...] = ()
    controller: str | None = None
    refers_to: tuple[str, ...] = ()
    relationship: str | None = None
    defaulted: bool = False
    #: Hidden from the connected user by field-level security.
    hidden: bool = False

    def describe(self, controlling: Sequence[str] | None = None) -> dict[str, Any]:
        """As describe words it; `controlling` are the values of the field that controls this one."""
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
            "picklistValues": self._values(controlling),
            "controllerName": self.controller if controlling is not None else None,
            "dependentPicklist": controlling is not None,
            "relationshipName": self.relationship,
            "referenceTo": list(self.refers_to),
        }

    def _values(self, controlling: Sequence[str] | None) -> list[dict[str, Any]]:
        if controlling is None or not self.dependent:
            return [{"value": v, "label": label, "active": True} for v, label in self.picklist.items()]
        return [
            {
                "value": value,
                "label": label,
                "active": True,
                "validFor": _bitmap(controlling.index(by), len(controlling)),
            }
            for value, label, by in self.dependent
        ]

    def depends(self, value: str, by: str | None) -> bool:
        """True where the value may stand beside the controlling one."""
        return (value, by) in {(v, c) for v, _, c in self.dependent}


def _bitmap(position: int, length: int) -> str:
    """One bit for each controlling value, the first in the highest bit of the first byte."""
    data = bytearray((length + 7) // 8)
    data[position // 8] |= 0x80 >> position % 8
    return base64.b64encode(bytes(data)).decode()


TEXT_TYPES = ("string", "textarea", "email", "phone", "url", "picklist", "multipicklist", "reference", "id")


@define(kw_only=True)
class ObjectDef:
    """An object with its fields and records."""

    name: str
    prefix: str
    fields: dict[str, FieldDef]
    #: The connected user may not see the object at all.
    hidden: bool = False
    #: Ids of records that are somebody else's and not shared with the connected user.
    unseen: set[str] = field(factory=set)
    records: dict[str, dict[str, Any]] = field(factory=dict)

    def find(self, name: str) -> FieldDef | None:
        """The visible field of that name, whatever the case."""
        found = next((f for n, f in self.fields.items() if n.lower() == name.lower()), None)
        return None if found is None or found.hidden else found

    def describe_fields(self, *, dependencies: bool = True) -> list[dict[str, Any]]:
        """What describe says of the fields the user may see."""
        found = []
        for each in self.fields.values():
            by = self.find(each.controller) if each.controller and dependencies else None
            if not each.hidden:
                found.append(each.describe(list(by.picklist) if by else None))
        return found

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
