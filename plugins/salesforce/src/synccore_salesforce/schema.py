"""What the org says about its objects, remembered for a while.

Describe leaves out what field-level security hides from the connected user: a hidden field is, for this sync, no field.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import field, frozen

from synccore.types import Clock, FieldInfo, ObjectInfo

from .client import Client
from .errors import Refused

__all__ = ["Catalog", "Field", "Schema", "api_name"]

#: A person account is an Account with a record type of its own; routes name it as if it were an object.
PERSON_ACCOUNT = "PersonAccount"
_LIFETIME = timedelta(hours=1)
#: A field that is missing may just have been made: describe is asked again, but no more often than this.
_SECOND_LOOK = timedelta(minutes=1)


def api_name(name: str) -> str:
    """The object Salesforce knows: PersonAccount is Account."""
    return "Account" if name == PERSON_ACCOUNT else name


@frozen(kw_only=True)
class Field:
    """One field as describe has it."""

    name: str
    label: str
    type: str
    length: int
    createable: bool
    updateable: bool
    nillable: bool
    defaulted: bool
    external_id: bool
    unique: bool
    id_lookup: bool
    restricted: bool
    #: value -> label, active ones.
    picklist: Mapping[str, str]
    relationship: str | None
    refers_to: tuple[str, ...]

    @property
    def required(self) -> bool:
        """True where a new record cannot do without (validation rules and layouts may ask for more)."""
        return self.createable and not self.nillable and not self.defaulted and self.type != "boolean"

    def info(self) -> FieldInfo:
        """For people and for core's check."""
        notes = []
        if self.external_id:
            notes.append("external id")
        if self.refers_to:
            notes.append("refers to " + ", ".join(self.refers_to))
        return FieldInfo(
            name=self.name,
            label=self.label,
            type=self.type,
            length=self.length or None,
            required=self.required,
            createable=self.createable,
            updateable=self.updateable,
            unique=self.external_id or self.id_lookup,
            picklist=tuple(self.picklist) if self.restricted else (),
            help="; ".join(notes),
        )

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> "Field":
        """From one item of describe's `fields`."""
        return cls(
            name=str(data["name"]),
            label=str(data.get("label") or data["name"]),
            type=str(data.get("type") or "string"),
            length=int(data.get("length") or 0),
            createable=bool(data.get("createable", True)),
            updateable=bool(data.get("updateable", True)),
            nillable=bool(data.get("nillable", True)),
            defaulted=bool(data.get("defaultedOnCreate", False)),
            external_id=bool(data.get("externalId", False)),
            unique=bool(data.get("unique", False)),
            id_lookup=bool(data.get("idLookup", False)),
            restricted=bool(data.get("restrictedPicklist", False)),
            picklist={
                str(v["value"]): str(v.get("label") or v["value"])
                for v in data.get("picklistValues") or ()
                if v.get("active", True)
            },
            relationship=data.get("relationshipName"),
            refers_to=tuple(data.get("referenceTo") or ()),
        )


@frozen(kw_only=True)
class Schema:
    """One object as the connected user may see it."""

    name: str
    label: str
    createable: bool
    updateable: bool
    #: Lower-case name -> field: Salesforce does not mind the case.
    fields: Mapping[str, Field] = field(repr=False)
    prefix: str

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> "Schema":
        """From describe's answer."""
        found = [Field.parse(f) for f in data.get("fields") or ()]
        return cls(
            name=str(data["name"]),
            label=str(data.get("label") or data["name"]),
            createable=bool(data.get("createable", True)),
            updateable=bool(data.get("updateable", True)),
            fields={f.name.lower(): f for f in found},
            prefix=str(data.get("keyPrefix") or ""),
        )

    def get(self, name: str) -> Field | None:
        """The field of that name, whatever the case."""
        return self.fields.get(name.lower())

    def relation(self, name: str) -> Field | None:
        """The lookup field behind a relationship name (`Account` -> AccountId, `Shop__r` -> Shop__c)."""
        return next(
            (f for f in self.fields.values() if f.relationship and f.relationship.lower() == name.lower()), None
        )

    def references(self, target: str) -> list[Field]:
        """Writable lookup fields that may point at an object."""
        return [f for f in self.fields.values() if target in f.refers_to and (f.createable or f.updateable)]

    @property
    def has_person_accounts(self) -> bool:
        """For Account: whether the org has person accounts switched on."""
        return self.get("IsPersonAccount") is not None

    def describe_as(self, name: str, extra: Iterable[FieldInfo] = ()) -> ObjectInfo:
        """For people and for core's check; `extra` are names the sink takes beyond the object's own fields."""
        return ObjectInfo(
            name=name,
            label=self.label,
            fields=(*(f.info() for f in self.fields.values()), *extra),
            createable=self.createable,
            updateable=self.updateable,
        )


class Catalog:
    """The org's objects and record types, asked once and then for an hour from memory."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.RLock()
        self._schemas: dict[str, tuple[datetime, Schema | None]] = {}
        self._facts: dict[str, tuple[datetime, Any]] = {}

    def find(self, name: str, *, age: timedelta = _LIFETIME) -> Schema | None:
        """The object, or None where the user sees none of that name."""
        name = api_name(name)
        with self._lock:
            known = self._schemas.get(name.lower())
            now = self._clock.now()
            if known is None or now - known[0] > age:
                known = (now, self._ask(name))
                self._schemas[name.lower()] = known
            return known[1]

    def second_look(self, name: str) -> Schema | None:
        """The object, asked anew unless that was just done: for a field that is missing from memory."""
        return self.find(name, age=_SECOND_LOOK)

    def _ask(self, name: str) -> Schema | None:
        try:
            return Schema.parse(self._client.describe(name))
        except Refused as error:
            if error.status == 404 or error.problem.code in ("NOT_FOUND", "INVALID_TYPE"):
                return None
            raise

    def fact(self, key: str, ask: Callable[[], Any]) -> Any:
        """A small fact (a record type's id) remembered like a schema; None is asked again each time."""
        with self._lock:
            known = self._facts.get(key)
            now = self._clock.now()
            if known is None or now - known[0] > _LIFETIME or known[1] is None:
                known = (now, ask())
                self._facts[key] = known
            return known[1]

    def person_record_type(self, wanted: str = "") -> str | None:
        """Id of the record type for person accounts; `wanted` picks one of several by id or developer name."""

        def ask() -> str | None:
            soql = "SELECT Id,DeveloperName FROM RecordType WHERE SobjectType='Account' AND IsPersonType=True"
            found = list(self._client.query(soql))
            if wanted:
                found = [r for r in found if wanted in (r["Id"], r["Id"][:15], r["DeveloperName"])]
            return str(found[0]["Id"]) if found else None

        found: str | None = self.fact(f"person:{wanted}", ask)
        return found

    def forget(self) -> None:
        """Ask everything anew."""
        with self._lock:
            self._schemas.clear()
            self._facts.clear()
