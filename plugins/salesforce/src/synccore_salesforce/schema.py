"""What the org says about its objects, remembered for a while.

Describe leaves out what field-level security hides from the connected user: a hidden field is, for this sync, no field.
"""

import base64
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import field, frozen

from synccore.types import Clock, FieldInfo, ObjectInfo

from .client import Client
from .errors import Refused

__all__ = ["Catalog", "Choice", "Field", "Schema", "api_name"]

#: A person account is an Account with a record type of its own; routes name it as if it were an object.
PERSON_ACCOUNT = "PersonAccount"
_LIFETIME = timedelta(hours=1)
#: A field that is missing may just have been made: describe is asked again, but no more often than this.
_SECOND_LOOK = timedelta(minutes=1)


def api_name(name: str) -> str:
    """The object Salesforce knows: PersonAccount is Account."""
    return "Account" if name == PERSON_ACCOUNT else name


@frozen
class Choice:
    """One value of a picklist; `beside` are the controlling values it may stand beside, None where any will do."""

    value: str
    label: str
    beside: frozenset[str] | None = None


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
    #: Active values.
    choices: tuple[Choice, ...]
    relationship: str | None
    refers_to: tuple[str, ...]

    @property
    def required(self) -> bool:
        """True where a new record cannot do without (validation rules and layouts may ask for more)."""
        return self.createable and not self.nillable and not self.defaulted and self.type != "boolean"

    @property
    def picklist(self) -> dict[str, str]:
        """value -> label."""
        return {c.value: c.label for c in self.choices}

    def choose(self, text: str, beside: str | None = None) -> str | None:
        """The value a text (value or label) means beside a controlling value; None where the org has none."""
        fit = [c for c in self.choices if c.beside is None or beside in c.beside]
        wanted = text.casefold()
        return next((c.value for c in fit if c.value.casefold() == wanted), None) or next(
            (c.value for c in fit if c.label.casefold() == wanted), None
        )

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
    def parse(cls, data: Mapping[str, Any], controlling: Sequence[str] | None = None) -> "Field":
        """From one item of describe's `fields`; `controlling` are all values of the field that controls it."""
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
            choices=tuple(_choice(v, controlling) for v in data.get("picklistValues") or () if v.get("active", True)),
            relationship=data.get("relationshipName"),
            refers_to=tuple(data.get("referenceTo") or ()),
        )


def _choice(data: Mapping[str, Any], controlling: Sequence[str] | None) -> Choice:
    value = str(data["value"])
    bitmap = data.get("validFor")
    beside = None
    if bitmap and controlling is not None:
        # One bit for each controlling value, the first in the highest bit of the first byte (Salesforce SOAP API
        # Developer Guide, "DescribeSObjectResult", validFor).
        bits = base64.b64decode(bitmap)
        beside = frozenset(c for n, c in enumerate(controlling) if n // 8 < len(bits) and bits[n // 8] & 0x80 >> n % 8)
    return Choice(value, str(data.get("label") or value), beside)


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
        raw = {str(f["name"]): f for f in data.get("fields") or ()}
        values = {n: [str(v["value"]) for v in f.get("picklistValues") or ()] for n, f in raw.items()}
        found = [Field.parse(f, values.get(str(f.get("controllerName")))) for f in raw.values()]
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
        self._refused: set[tuple[str, str]] = set()

    def find(self, name: str, *, age: timedelta = _LIFETIME) -> Schema | None:
        """The object, or None where the user sees none of that name."""
        name = api_name(name)
        with self._lock:
            known = self._schemas.get(name.lower())
            now = self._clock.now()
            # What is missing may be made, or shown to the user, while its route waits for that.
            if known is None or now - known[0] > (age if known[1] is not None else _SECOND_LOOK):
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

    def exists(self, names: Iterable[str], record_id: str) -> bool:
        """True where one of the objects has a record of that id, or where that cannot be asked."""
        known = [n for n in names if (s := self.find(n)) is not None and record_id.startswith(s.prefix or record_id)]
        if not known:
            return not any(True for n in names if self.find(n) is not None)
        return any(True for _ in self._client.select(["Id"], known[0], "Id", [record_id]))

    def person_record_types(self) -> list[tuple[str, str]]:
        """Id and developer name of each record type for person accounts."""

        def ask() -> list[tuple[str, str]] | None:
            found = self._client.query(
                ["Id", "DeveloperName"], "RecordType WHERE SobjectType='Account' AND IsPersonType=True"
            )
            return [(str(r["Id"]), str(r["DeveloperName"])) for r in found] or None

        found: list[tuple[str, str]] | None = self.fact("person", ask)
        return found or []

    def person_record_type(self, wanted: str = "") -> str | None:
        """Id of the record type for person accounts: the one named (by id or developer name), else the only one."""
        found = [i for i, name in self.person_record_types() if not wanted or wanted in (i, i[:15], name)]
        return found[0] if len(found) == 1 else None

    def remember_refused(self, state: str, country: str) -> None:
        """The org has no such state, or none for that country, though describe did not say so."""
        self._refused.add((state, country))

    def is_refused(self, state: str, country: str) -> bool:
        """True for a state that the org refused before."""
        return (state, country) in self._refused

    def forget(self) -> None:
        """Ask everything anew."""
        with self._lock:
            self._refused.clear()
            self._schemas.clear()
            self._facts.clear()
