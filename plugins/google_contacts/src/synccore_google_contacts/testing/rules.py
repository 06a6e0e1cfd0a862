"""What the stand-in refuses in a request, and the fields it computes, as the People API's discovery document has it."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import phonenumbers
from attrs import frozen

from synccore.testing import Reply

WRITABLE = {
    "addresses": "type streetAddress extendedAddress poBox city region postalCode country countryCode formattedValue",
    "biographies": "value contentType",
    "birthdays": "date text",
    "calendarUrls": "url type",
    "clientData": "key value",
    "emailAddresses": "value type displayName",
    "events": "date type",
    "externalIds": "value type",
    "genders": "value addressMeAs",
    "imClients": "username protocol type",
    "interests": "value",
    "locales": "value",
    "locations": "value type current buildingId floor floorSection deskCode",
    "memberships": "contactGroupMembership",
    "miscKeywords": "value type",
    "names": "givenName familyName middleName honorificPrefix honorificSuffix phoneticGivenName phoneticFamilyName "
    "phoneticMiddleName phoneticFullName phoneticHonorificPrefix phoneticHonorificSuffix unstructuredName",
    "nicknames": "value type",
    "occupations": "value",
    "organizations": "name title department domain type current costCenter jobDescription location symbol startDate "
    "endDate phoneticName fullTimeEquivalentMillipercent",
    "phoneNumbers": "value type",
    "relations": "person type",
    "sipAddresses": "value type",
    "urls": "value type",
    "userDefined": "key value",
}
READABLE = {*WRITABLE, "metadata", "ageRanges", "coverPhotos", "photos", "skills"}
#: Output only: tolerated in what is sent, and ignored.
OUTPUT = {"metadata", "formattedType", "canonicalForm", "displayName", "displayNameLastFirst"}
SINGLE = ("biographies", "birthdays", "genders", "names")
TOP_LEVEL = {*WRITABLE, "resourceName", "etag", "metadata"}
SOURCES = {
    "READ_SOURCE_TYPE_PROFILE", "READ_SOURCE_TYPE_CONTACT", "READ_SOURCE_TYPE_DOMAIN_CONTACT",
    "READ_SOURCE_TYPE_OTHER_CONTACT",
}  # fmt: skip
GROUP_FIELDS = {"clientData", "groupType", "memberCount", "metadata", "name"}
MY_CONTACTS = "contactGroups/myContacts"
CODES = {"INVALID_ARGUMENT": 3, "NOT_FOUND": 5, "FAILED_PRECONDITION": 9}


@frozen
class Refused(Exception):
    """An error answer in Google's shape."""

    http: int
    status: str
    message: str
    details: tuple[Mapping[str, Any], ...] = ()

    def reply(self) -> Reply:
        """As it goes over the wire."""
        error = {"code": self.http, "message": self.message, "status": self.status, "details": list(self.details)}
        return Reply(self.http, {"error": error})

    def entry(self) -> dict[str, Any]:
        """As the google.rpc.Status of one entry of a batch."""
        return {"code": CODES.get(self.status, 2), "message": self.message}


def invalid(message: str, *fields: str) -> Refused:
    """400 INVALID_ARGUMENT."""
    violations = [{"field": f, "description": message} for f in fields]
    detail = ({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations},) if fields else ()
    return Refused(400, "INVALID_ARGUMENT", message, detail)


def not_found() -> Refused:
    """404 NOT_FOUND."""
    return Refused(404, "NOT_FOUND", "Requested entity was not found.")


def precondition(message: str, reason: str = "") -> Refused:
    """400 FAILED_PRECONDITION."""
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "people.googleapis.com"}
    return Refused(400, "FAILED_PRECONDITION", message, (info,) if reason else ())


def mask(text: Any, allowed: Iterable[str], name: str, *, required: bool = True) -> list[str]:
    """A comma-separated field mask."""
    if not isinstance(text, str) or not text:
        if required:
            raise invalid(f"{name} mask is required. Please specify one or more valid paths.", name)
        return []
    fields = text.split(",")
    unknown = sorted(set(fields) - set(allowed))
    if unknown:
        raise invalid(f'Invalid {name} mask path: "{unknown[0]}".', name)
    return fields


def only(given: Mapping[str, Any], allowed: Iterable[str], what: str) -> None:
    """Refuse what the method does not know."""
    unknown = sorted(set(given) - set(allowed))
    if unknown:
        raise invalid(f"Invalid JSON payload received. Unknown name \"{unknown[0]}\" at '{what}': Cannot find field.")


def check_person(person: Any, groups: Callable[[str], bool]) -> None:
    """A person to create or update."""
    if not isinstance(person, dict):
        raise invalid("Request contains an invalid argument.", "person")
    only(person, TOP_LEVEL, "person")
    count = 0
    for name, entries in person.items():
        if name not in WRITABLE:
            continue
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise invalid(f"{name} must be a list.", name)
        if name in SINGLE and len(entries) > 1:
            raise invalid(f"Cannot have more than one person.{name} per source.", name)
        for entry in entries:
            _check_entry(name, entry)
            count += 1
    if count > 500:
        raise invalid("A contact can have at most 500 fields.")
    if len(json.dumps(person)) > 128 * 1024:
        raise invalid("A contact can have at most 128 KB.")
    for membership in person.get("memberships", ()):
        group = (membership.get("contactGroupMembership") or {}).get("contactGroupResourceName", "")
        if not groups(group):
            raise not_found()


def _check_entry(name: str, entry: Mapping[str, Any]) -> None:
    only(entry, {*WRITABLE[name].split(), *OUTPUT}, f"person.{name}[0]")
    values = {k: v for k, v in entry.items() if k not in OUTPUT or (name == "emailAddresses" and k == "displayName")}
    if not any(v not in (None, "") for k, v in values.items() if k != "type"):
        raise invalid(f"person.{name} has an empty entry.", name)
    for key, value in values.items():
        if isinstance(value, str) and len(value) > 1024 and name != "biographies":
            raise invalid(f"person.{name}.{key} is longer than 1024 characters.", f"{name}.{key}")
        if key in ("streetAddress", "value", "givenName", "familyName", "city") and not isinstance(value, str):
            raise invalid(f"Invalid value at 'person.{name}[0].{key}' (TYPE_STRING).", f"{name}.{key}")
    if "date" in entry:
        day = entry["date"]
        if not (1 <= int(day.get("month", 0)) <= 12 and 1 <= int(day.get("day", 0)) <= 31):
            raise invalid(f"person.{name}.date is not a date.", f"{name}.date")


def computed(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry with what Google adds."""
    kept = {k: v for k, v in entry.items() if k not in OUTPUT or (name == "emailAddresses" and k == "displayName")}
    primary = bool((entry.get("metadata") or {}).get("sourcePrimary"))
    if name == "phoneNumbers" and (canonical := _canonical(str(entry.get("value", "")))):
        kept["canonicalForm"] = canonical
    if name == "names":
        parts = (entry.get("honorificPrefix"), entry.get("givenName"), entry.get("middleName"), entry.get("familyName"))
        shown = " ".join(p for p in parts if p) or str(entry.get("unstructuredName", ""))
        kept |= {"displayName": shown, "unstructuredName": shown}
    if kept.get("type"):
        kept["formattedType"] = str(kept["type"]).capitalize()
    kept["metadata"] = {"source": {"type": "CONTACT"}, **({"sourcePrimary": True} if primary else {})}
    return kept


def _canonical(value: str) -> str | None:
    try:
        number = phonenumbers.parse(value, "US")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def check_sources(value: str | None) -> None:
    """The `sources` of a read."""
    if value is not None and value not in SOURCES:
        raise invalid(f"Invalid value at 'sources' (type.googleapis.com/ReadSourceType), \"{value}\"", "sources")


def masked(person: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    """A person as a mask shows it."""
    keep = {"resourceName", "etag", *fields}
    # Deletions are told whatever was asked for.
    if (person.get("metadata") or {}).get("deleted"):
        keep.add("metadata")
    return {k: v for k, v in person.items() if k in keep}


def begins(person: Mapping[str, Any], query: str) -> bool:
    """Whether a search for `query` finds the person."""
    texts = [str(e.get("displayName", "")) for e in person.get("names", ())]
    texts += [
        str(e.get("value", "")) for n in ("emailAddresses", "phoneNumbers", "nicknames") for e in person.get(n, ())
    ]
    texts += [str(e.get("name", "")) for e in person.get("organizations", ())]
    return any(t.lower().startswith(query) for t in texts)
