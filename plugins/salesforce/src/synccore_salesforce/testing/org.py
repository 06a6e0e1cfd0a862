"""The data of a make-believe org: objects, fields, records and the rules they are saved under."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from .model import TEXT_TYPES, FieldDef, ObjectDef, RowRefused, full_id
from .orders import check_order
from .standard import standard_objects

__all__ = ["Org"]

#: What the platform deletes with a record: (object, its lookup).
_CASCADES = {
    "Account": (("Contact", "AccountId"), ("Opportunity", "AccountId"), ("Case", "AccountId")),
    "Order": (("OrderItem", "OrderId"),),
}
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z0-9-]{2,}")


class Org:
    """Objects, records and rules. Not thread-safe: the server serves one request at a time."""

    def __init__(
        self,
        *,
        person_accounts: bool = False,
        picklists: bool = False,
        orders: bool = True,
        sandbox: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        #: The clock of the org.
        self.now = now
        self.objects = {
            name: ObjectDef(name=name, prefix=prefix, fields={f["name"]: FieldDef(**f) for f in fields})
            for name, (prefix, fields) in standard_objects(person_accounts, picklists, orders).items()
        }
        self.id = full_id("00D", 7)
        #: Whom the API acts as; a person who puts records there (`insert`) is another.
        self.user = full_id("005", 1)
        self.person_accounts = person_accounts
        #: (object, test, message): the record is refused with the message where the test says so.
        self.validation_rules: list[tuple[str, Callable[[Mapping[str, Any]], bool], str]] = []
        #: (object, field, action) with action "alert" or "block".
        self.duplicate_rules: list[tuple[str, str, str]] = []
        #: Values of any field whose record is held by another transaction, with how often yet.
        self.locks: dict[str, int] = {}
        #: No room for a single new record (the Recycle Bin counts).
        self.storage_full = False
        #: How the answer spells the element that names duplicates.
        self.duplicate_element = "duplicateResut"
        self._counter = 0
        self.insert("Organization", {"Name": "Shop Test Org", "IsSandbox": sandbox}, raw=True)
        self.insert("Pricebook2", {"Name": "Standard Price Book", "IsStandard": True, "IsActive": True}, raw=True)
        if person_accounts:
            self.insert(
                "RecordType",
                {"SobjectType": "Account", "IsPersonType": True, "DeveloperName": "PersonAccount"},
                raw=True,
            )

    # -- set-up

    def add_object(self, name: str, prefix: str, fields: Iterable[FieldDef] = ()) -> None:
        """Make a custom object with an id and a name."""
        base = [FieldDef(name="Id", type="id", createable=False, updateable=False), FieldDef(name="Name", length=80)]
        base.append(FieldDef(name="IsDeleted", type="boolean", createable=False, updateable=False))
        self.objects[name] = ObjectDef(name=name, prefix=prefix, fields={f.name: f for f in (*base, *fields)})

    def add_field(self, name: str, field_name: str, **options: Any) -> None:
        """Make a custom field; in an org with person accounts, contacts' custom fields are seen on Account too."""
        self.objects[name].fields[field_name] = FieldDef(name=field_name, **options)
        if self.person_accounts and name == "Contact" and field_name.endswith("__c"):
            mirrored = field_name.removesuffix("__c") + "__pc"
            self.objects["Account"].fields[mirrored] = FieldDef(name=mirrored, **options)

    def insert(self, name: str, fields: Mapping[str, Any], *, raw: bool = False) -> str:
        """Put a record there as a person would; `raw` skips all rules. Gives its id."""
        if not raw:
            record_id = str(self.save(name, fields)["id"])
            self.objects[name].records[record_id]["CreatedById"] = full_id("005", 2)
            return record_id
        record_id = self._new_id(name)
        made = {"CreatedById": full_id("005", 2), "CreatedDate": self._stamp()}
        self.objects[name].records[record_id] = {"IsDeleted": False, **made, **fields, "Id": record_id}
        return record_id

    def _stamp(self) -> str:
        return f"{self.now():%Y-%m-%dT%H:%M:%S}.000+0000"

    def records(self, name: str) -> list[dict[str, Any]]:
        """The live records of an object."""
        return self.objects[name].live() if name in self.objects else []

    def merge(self, name: str, loser: str, survivor: str) -> None:
        """Merge two records as a person would: what pointed at the one that goes points at the other."""
        self.objects[name].records[loser].update(IsDeleted=True, MasterRecordId=survivor)
        for kind in self.objects.values():
            lookups = [f.name for f in kind.fields.values() if name in f.refers_to]
            for record in kind.records.values() if lookups else ():
                record.update(dict.fromkeys((n for n in lookups if record.get(n) == loser), survivor))

    def convert(self, lead: str) -> str:
        """Convert a lead to a contact of a new account; the contact's id."""
        record = self.objects["Lead"].records[lead]
        account = self.insert("Account", {"Name": record.get("Company")}, raw=True)
        person = {n: record.get(n) for n in ("FirstName", "LastName", "Email", "Phone")}
        person |= {f"Mailing{n}": record.get(n) for n in ("Street", "City", "PostalCode", "State", "Country")}
        contact = self.insert("Contact", {**person, "AccountId": account}, raw=True)
        record.update(IsConverted=True, ConvertedContactId=contact, ConvertedAccountId=account)
        return contact

    # -- finding

    def object(self, name: str) -> ObjectDef:
        """The object, whatever the case of its name. Raises RowRefused with NOT_FOUND."""
        found = next((o for n, o in self.objects.items() if n.lower() == name.lower()), None)
        if found is None or found.hidden:
            raise RowRefused("NOT_FOUND", "The requested resource does not exist")
        return found

    def holders(self, kind: ObjectDef, field_name: str, value: Any) -> list[dict[str, Any]]:
        """Live records with that value, texts compared without case."""
        wanted = str(value).casefold()
        index = self._index(kind, field_name)
        return [
            r
            for i in dict.fromkeys(index.get(wanted, ()))
            if (r := kind.records.get(i)) and not r.get("IsDeleted") and str(r.get(field_name)).casefold() == wanted
        ]

    def _index(self, kind: ObjectDef, field_name: str) -> dict[str, list[str]]:
        # Grows only; stale entries are weeded out by the caller. Keeps 10,000 rows quick.
        cache: dict[str, Any] = self.__dict__.setdefault("_indexes", {})
        key = f"{kind.name}.{field_name}"
        index, seen = cache.setdefault(key, ({}, {}))
        changes = self.__dict__.setdefault("_changes", {}).setdefault(kind.name, [])
        start = seen.get("at")
        ids = list(kind.records) if start is None else changes[start:]
        seen["at"] = len(changes)
        for record_id in ids:
            value = kind.records[record_id].get(field_name)
            if value is not None:
                index.setdefault(str(value).casefold(), []).append(record_id)
        return index  # type: ignore[no-any-return]

    def touch(self, name: str, record_id: str) -> None:
        """Note that a record changed, for the indexes."""
        self.__dict__.setdefault("_changes", {}).setdefault(name, []).append(record_id)

    def _new_id(self, name: str) -> str:
        self._counter += 1
        record_id = full_id(self.objects[name].prefix, self._counter)
        self.touch(name, record_id)
        return record_id

    # -- saving

    def save(
        self,
        name: str,
        fields: Mapping[str, Any],
        *,
        record_id: str | None = None,
        key: tuple[str, Any] | None = None,
        allow_duplicates: bool = False,
    ) -> dict[str, Any]:
        """Create, update by id, or upsert by key. Gives id and created. Raises RowRefused."""
        kind = self.object(name)
        old = self._existing(kind, record_id, key)
        values = dict(fields)
        if key is not None:
            values[self._key_field(kind, key[0]).name] = key[1]
        clean = self._resolve(kind, values, old)
        self._lock(clean)
        merged = {**(old or {}), **clean}
        self._rules(kind, clean, merged, old)
        self._unique(kind, clean, old)
        if not allow_duplicates or any(r[2] == "block" for r in self.duplicate_rules):
            self._duplicates(kind, merged, old, allow_duplicates)
        if old is None:
            if self.storage_full:
                raise RowRefused("STORAGE_LIMIT_EXCEEDED", "storage limit exceeded")
            new_id = self._new_id(kind.name)
            made = {"CreatedById": self.user, "CreatedDate": self._stamp()}
            kind.records[new_id] = {"IsDeleted": False, **self._created(kind, clean), **made, "Id": new_id}
            return {"id": new_id, "created": True}
        old.update(clean)
        self.touch(kind.name, old["Id"])
        return {"id": old["Id"], "created": False}

    def _key_field(self, kind: ObjectDef, name: str) -> FieldDef:
        found = kind.find(name)
        if found is None or not (found.external_id or found.id_lookup):
            raise RowRefused("NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {name}")
        return found

    def _existing(self, kind: ObjectDef, record_id: str | None, key: tuple[str, Any] | None) -> dict[str, Any] | None:
        if record_id is not None:
            if len(record_id) not in (15, 18) or not record_id.startswith(kind.prefix):
                raise RowRefused("MALFORMED_ID", f"id value of incorrect type: {record_id}", ["Id"])
            found = next((r for i, r in kind.records.items() if i[:15] == record_id[:15]), None)
            if len(record_id) == 18:
                found = kind.records.get(record_id)
            if found is None:
                raise RowRefused("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
            if found.get("IsDeleted"):
                raise RowRefused("ENTITY_IS_DELETED", "entity is deleted")
            if found["Id"] in kind.unseen:
                raise RowRefused("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "insufficient access rights")
            return found
        if key is None:
            return None
        target = self._key_field(kind, key[0])
        if key[1] in (None, ""):
            raise RowRefused("MISSING_ARGUMENT", f"{target.name} not specified", [target.name])
        holders = self.holders(kind, target.name, key[1])
        if len(holders) > 1:
            ids = [r["Id"] for r in holders]
            raise RowRefused(
                "DUPLICATE_EXTERNAL_ID",
                f"{target.name}: more than one record found for external id field: [{', '.join(ids)}]",
                [target.name],
                {"several": ids},
            )
        return holders[0] if holders else None

    def _resolve(self, kind: ObjectDef, values: Mapping[str, Any], old: Mapping[str, Any] | None) -> dict[str, Any]:
        clean: dict[str, Any] = {}
        for name, value in values.items():
            if isinstance(value, Mapping):
                self._reference(kind, name, value, clean)
                continue
            target = kind.find(name)
            if target is None:
                raise RowRefused(
                    "INVALID_FIELD", f"No such column '{name}' on sobject of type {kind.name}", extra={"request": True}
                )
            if not (target.updateable if old is not None else target.createable):
                raise RowRefused(
                    "INVALID_FIELD_FOR_INSERT_UPDATE",
                    f"Unable to create/update fields: {target.name}. Please check the security settings of this field "
                    "and verify that it is read/write for your profile or permission set.",
                    [target.name],
                )
            clean[target.name] = self._value(kind, target, value)
        if old is None:
            missing = [
                f.name
                for f in kind.fields.values()
                if f.required and not f.defaulted and clean.get(f.name) in (None, "")
            ]
            if missing:
                raise RowRefused(
                    "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", missing
                )
        return clean

    def _reference(self, kind: ObjectDef, name: str, value: Mapping[str, Any], clean: dict[str, Any]) -> None:
        lookup = next((f for f in kind.fields.values() if (f.relationship or "").lower() == name.lower()), None)
        if lookup is None or len(value) != 1:
            raise RowRefused(
                "INVALID_FIELD", f"No such column '{name}' on sobject of type {kind.name}", extra={"request": True}
            )
        ((key, wanted),) = value.items()
        if wanted is None:
            raise RowRefused("INVALID_FIELD", f"{key} is null: specify the field {lookup.name} instead", [lookup.name])
        for target_name in lookup.refers_to:
            target = self.objects[target_name]
            found = self.holders(target, self._key_field(target, key).name, wanted)
            if found:
                clean[lookup.name] = found[0]["Id"]
                return
        raise RowRefused(
            "INVALID_FIELD",
            f"Foreign key external ID: {str(wanted).lower()} not found for field {key} in entity {lookup.refers_to[0]}",
        )

    def _value(self, kind: ObjectDef, target: FieldDef, value: Any) -> Any:
        if value is None or value == "":
            if target.required:
                raise RowRefused(
                    "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{target.name}]", [target.name]
                )
            if target.type == "boolean":
                raise RowRefused(
                    "INVALID_TYPE_ON_FIELD_IN_RECORD", f"{target.name}: value not of required type", [target.name]
                )
            return None
        checks: dict[str, Callable[[Any], bool]] = {
            "boolean": lambda v: isinstance(v, bool),
            "double": _is_number,
            "currency": _is_number,
            "percent": _is_number,
            "int": _is_number,
            "date": lambda v: isinstance(v, str) and _parses(date.fromisoformat, v),
            "datetime": lambda v: isinstance(v, str) and "T" in v and _parses(datetime.fromisoformat, v),
        }
        if not checks.get(target.type, _is_text)(value):
            raise RowRefused(
                "JSON_PARSER_ERROR",
                f"Cannot deserialize instance of {target.type} from the value at {target.name}",
                extra={"request": True},
            )
        if target.type in TEXT_TYPES and len(value) > target.length:
            raise RowRefused(
                "STRING_TOO_LONG", f"{target.name}: data value too large: (max length={target.length})", [target.name]
            )
        if target.type == "email" and not _EMAIL.fullmatch(value):
            raise RowRefused("INVALID_EMAIL_ADDRESS", f"{target.name}: invalid email address: {value}", [target.name])
        if target.type == "reference":
            self._points_at(target, value)
        if target.restricted and target.picklist:
            self._picked(target, value)
        return value

    @staticmethod
    def _picked(target: FieldDef, value: str) -> None:
        for part in value.split(";") if target.type == "multipicklist" else [value]:
            if part in target.picklist:
                continue
            if target.name.endswith(("StateCode", "CountryCode")):
                kind = "state" if "State" in target.name else "country"
                raise RowRefused(
                    "FIELD_INTEGRITY_EXCEPTION",
                    f"There's a problem with this {kind}: {part} is not valid",
                    [target.name],
                )
            raise RowRefused(
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                f"{target.name}: bad value for restricted picklist field: {part}",
                [target.name],
            )

    def _points_at(self, target: FieldDef, value: str) -> None:
        for name in target.refers_to:
            kind = self.objects.get(name)
            if kind and value.startswith(kind.prefix):
                found = kind.records.get(value) or next((r for i, r in kind.records.items() if i[:15] == value), None)
                if found is None or found.get("IsDeleted"):
                    raise RowRefused("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [target.name])
                return
        raise RowRefused("MALFORMED_ID", f"{target.name}: id value of incorrect type: {value}", [target.name])

    def _lock(self, clean: Mapping[str, Any]) -> None:
        for value in clean.values():
            if self.locks.get(str(value), 0) > 0:
                self.locks[str(value)] -= 1
                raise RowRefused("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")

    def _unique(self, kind: ObjectDef, clean: Mapping[str, Any], old: Mapping[str, Any] | None) -> None:
        for name, value in clean.items():
            if value is None or not kind.fields[name].unique:
                continue
            for record in self.holders(kind, name, value):
                if old is None or record["Id"] != old["Id"]:
                    raise RowRefused(
                        "DUPLICATE_VALUE",
                        f"duplicate value found: {name} duplicates value on record with id: "
                        + ("<unknown>" if record["Id"] in kind.unseen else record["Id"]),
                    )

    def _duplicates(
        self, kind: ObjectDef, merged: Mapping[str, Any], old: Mapping[str, Any] | None, allowed: bool
    ) -> None:
        for name, field_name, action in self.duplicate_rules:
            if name != kind.name or not merged.get(field_name) or (action == "alert" and allowed):
                continue
            found = [
                r["Id"] for r in self.holders(kind, field_name, merged[field_name]) if not old or r["Id"] != old["Id"]
            ]
            if found and old is None:
                # A rule that sees past sharing objects to records whose ids it may not tell.
                matches = [
                    {"record": {"attributes": {"type": name}, "Id": i}, "matchConfidence": 100.0}
                    for i in found
                    if i not in kind.unseen
                ]
                raise RowRefused(
                    "DUPLICATES_DETECTED",
                    "Use one of these records?",
                    extra={
                        "duplicates": {
                            self.duplicate_element: {"matchResults": [{"rule": "Rule", "matchRecords": matches}]}
                        }
                    },
                )

    def _rules(
        self, kind: ObjectDef, clean: Mapping[str, Any], merged: Mapping[str, Any], old: Mapping[str, Any] | None
    ) -> None:
        for name, test, message in self.validation_rules:
            if name == kind.name and test(merged):
                raise RowRefused("FIELD_CUSTOM_VALIDATION_EXCEPTION", message)
        if kind.name == "Lead" and old is not None and old.get("IsConverted"):
            raise RowRefused("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
        self._regions(kind, clean, merged)
        if self.person_accounts and kind.name == "Account":
            self._person(clean, old)
        if kind.name in ("Order", "OrderItem"):
            check_order(self.objects, kind.name, clean, merged, old)

    def _regions(self, kind: ObjectDef, clean: Mapping[str, Any], merged: Mapping[str, Any]) -> None:
        for name, value in clean.items():
            if value is None or not name.endswith("StateCode") or not kind.fields[name].picklist:
                continue
            country = merged.get(name.replace("StateCode", "CountryCode"))
            if not kind.fields[name].depends(value, country):
                raise RowRefused(
                    "FIELD_INTEGRITY_EXCEPTION",
                    f"There's a problem with this state, even though it may appear correct: {value}",
                    [name],
                )

    def _person(self, clean: Mapping[str, Any], old: Mapping[str, Any] | None) -> None:
        wanted = clean.get("RecordTypeId")
        person = bool(wanted and self.objects["RecordType"].records.get(str(wanted), {}).get("IsPersonType"))
        was_person = bool(old and old.get("IsPersonAccount"))
        if old is not None and person and not was_person:
            raise RowRefused(
                "INVALID_FIELD_FOR_INSERT_UPDATE", "a business account changes to a person account on its own only"
            )
        if person or was_person:
            if clean.get("Name"):
                raise RowRefused("INVALID_FIELD_FOR_INSERT_UPDATE", "Account: Name may not be set", ["Name"])
            if old is None and not clean.get("LastName"):
                raise RowRefused("REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", ["LastName"])
        elif old is None and not clean.get("Name"):
            raise RowRefused("REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]", ["Name"])
        elif clean.get("LastName") or clean.get("PersonEmail"):
            raise RowRefused("INVALID_FIELD_FOR_INSERT_UPDATE", "person fields on a business account", ["LastName"])

    def _created(self, kind: ObjectDef, clean: dict[str, Any]) -> dict[str, Any]:
        record = {f.name: False for f in kind.fields.values() if f.type == "boolean"} | clean
        if kind.name == "Account" and self.person_accounts:
            person = self.objects["RecordType"].records.get(str(clean.get("RecordTypeId")), {}).get("IsPersonType")
            record["IsPersonAccount"] = bool(person)
            if person:
                names = {n: clean.get(n) for n in ("FirstName", "LastName")}
                record["PersonContactId"] = self.insert(
                    "Contact", {**names, "Email": clean.get("PersonEmail")}, raw=True
                )
                record["Name"] = " ".join(str(v) for v in names.values() if v)
        return record

    def remove(self, name: str, record_id: str) -> None:
        """Move a record to the Recycle Bin, with all that goes with it. Raises RowRefused."""
        kind = self.object(name)
        record = self._existing(kind, record_id, None)
        if record is None:
            return
        if kind.name == "Order" and record.get("Status") == "Activated":
            raise RowRefused("ENTITY_IS_LOCKED", "an activated order cannot be deleted")
        if kind.name == "Contact" and self._is_inside(record["Id"]):
            raise RowRefused("INVALID_CROSS_REFERENCE_KEY", "the contact of a person account goes with its account")
        below = [
            (child, r)
            for child, field_name in _CASCADES.get(kind.name, ())
            if child in self.objects
            for r in self.records(child)
            if r.get(field_name) == record["Id"]
        ]
        held = {record["Id"], *(r["Id"] for _, r in below)}
        if kind.name in ("Account", "Contact") and any(
            held & {o.get("AccountId"), o.get("BillToContactId")} for o in self.records("Order")
        ):
            raise RowRefused("DELETE_FAILED", "the record is associated with orders")
        record["IsDeleted"] = True
        for _, child_record in below:
            child_record["IsDeleted"] = True
        if inside := record.get("PersonContactId"):
            self.objects["Contact"].records[inside]["IsDeleted"] = True

    def _is_inside(self, contact: str) -> bool:
        return any(a.get("PersonContactId") == contact for a in self.records("Account"))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _parses(parse: Callable[[str], Any], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
