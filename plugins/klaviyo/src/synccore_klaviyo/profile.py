"""What a profile looks like on the wire, and what of it Klaviyo would refuse. Pure."""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from typing import Any

import phonenumbers
from attrs import field, frozen

from synccore.entities import normalize_email
from synccore.errors import Rejected
from synccore.types import Operation

from .client import dumps

__all__ = [
    "ATTRIBUTES",
    "CONSENT_FIELDS",
    "LOCATION",
    "Profile",
    "build",
    "check_email",
    "iso",
    "plain",
    "refusal",
    "valid_phone",
]

#: Attributes of Klaviyo's own; any other field of a route becomes a custom property.
ATTRIBUTES = (
    "email",
    "phone_number",
    "external_id",
    "first_name",
    "last_name",
    "organization",
    "locale",
    "title",
    "image",
)
LOCATION = ("address1", "address2", "city", "region", "zip", "country", "timezone", "latitude", "longitude", "ip")
#: Fields that steer consent and are never written as properties.
CONSENT_FIELDS = ("accepts_marketing", "consent_at")
#: Identifiers that may belong to somebody else and are left out when they do.
EXTRA_IDENTIFIERS = ("phone_number", "external_id")

EMAIL_LIMIT = 100
#: 100 KB per profile, with a little room for the envelope.
PROFILE_LIMIT = 100_000

_EMAIL = re.compile(r"[^\s@<>\"(),:;\[\]\\]+@(?:[\w](?:[\w-]*[\w])?\.)+[\w-]{2,}")
# Klaviyo answers 202 for these and drops the record afterwards.
_TEST_DOMAINS = re.compile(r"(?:.*\.)?(?:(?:example|test)\.(?:com|org|net)|example|invalid|localhost)")


@frozen(kw_only=True)
class Profile:
    """A profile ready to be sent.

    Attributes:
        unset: custom properties to take away.
        notes: facts for the audit trail, free of values.
    """

    attributes: Mapping[str, Any]
    unset: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def email(self) -> str | None:
        """The address it is keyed by."""
        return self.attributes.get("email")

    @property
    def clears(self) -> bool:
        """True where something is emptied: bulk jobs ignore nulls, so it takes the single call."""
        location = self.attributes.get("location") or {}
        return bool(self.unset) or any(v is None for v in (*self.attributes.values(), *location.values()))

    def resource(self, remote_id: str | None = None, without: Collection[str] = ()) -> dict[str, Any]:
        """The `data` of profile-import, PATCH and the bulk import."""
        attributes = {k: v for k, v in self.attributes.items() if k not in without}
        data: dict[str, Any] = {"type": "profile", "attributes": attributes}
        if remote_id:
            data["id"] = remote_id
        if self.unset:
            data["meta"] = {"patch_properties": {"unset": list(self.unset)}}
        return data


def build(operation: Operation, keep: Mapping[str, Any] | None = None) -> Profile:
    """The profile an operation asks for.

    Args:
        keep: what the target holds now; fields with `keep_existing` that are held there are left out.

    Raises Rejected for what Klaviyo would refuse or silently drop: no identifier, a test address, too big.
    """
    fields = {
        n: plain(v) for n, v in operation.fields.items() if n not in CONSENT_FIELDS and not _kept(operation, n, keep)
    }
    attributes: dict[str, Any] = {n: fields.pop(n) for n in ATTRIBUTES if n in fields}
    notes = _clean_identifiers(attributes)
    if not any(attributes.get(n) for n in ("email", *EXTRA_IDENTIFIERS)):
        raise Rejected("no e-mail address: Klaviyo needs one to know whose profile this is", ["email"])
    location = fields.pop("location", None)
    if location is not None:
        attributes["location"] = _location(location, plain(operation.previous.get("location")))
        if not attributes["location"]:
            del attributes["location"]
    properties, unset = _properties(operation, fields)
    if properties:
        attributes["properties"] = properties
    profile = Profile(attributes=attributes, unset=unset, notes=tuple(notes))
    size = len(dumps(profile.resource("0" * 26)))
    if size > PROFILE_LIMIT:
        raise Rejected(f"the profile takes {size} bytes, Klaviyo accepts {PROFILE_LIMIT}")
    return profile


def refusal(operation: Operation) -> Rejected | None:
    """Why no profile can be made of it, if so."""
    try:
        build(operation)
    except Rejected as error:
        return error
    return None


def plain(value: Any) -> Any:
    """The value as JSON knows it: times as ISO texts, sequences as lists. Decimals stay until they are sent."""
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(plain(v) for v in value)
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def iso(moment: datetime) -> str:
    """The moment as Klaviyo's dates want it: UTC, to the second, and short: ten thousand profiles share 5 MB."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_email(email: str) -> str:
    """The address in the form it is keyed by. Raises Rejected for one that cannot receive mail."""
    email = normalize_email(email)
    if len(email) > EMAIL_LIMIT:
        raise Rejected(f"the e-mail address is longer than {EMAIL_LIMIT} characters", ["email"])
    if not _EMAIL.fullmatch(email) or ".." in email or email.startswith(".") or ".@" in email:
        raise Rejected("the e-mail address is not valid", ["email"])
    if _TEST_DOMAINS.fullmatch(email.rpartition("@")[2]):
        raise Rejected("the e-mail address is at a test domain: Klaviyo accepts and then drops it", ["email"])
    return email


def valid_phone(number: str) -> bool:
    """True for an E.164 number that can exist."""
    if not re.fullmatch(r"\+[1-9]\d{6,14}", number):
        return False
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False


def _clean_identifiers(attributes: dict[str, Any]) -> list[str]:
    notes = []
    if attributes.get("email"):
        attributes["email"] = check_email(str(attributes["email"]))
    else:
        # An identifier is never emptied: the profile would be nobody's.
        attributes.pop("email", None)
    phone = attributes.get("phone_number")
    if phone and not valid_phone(str(phone)):
        del attributes["phone_number"]
        notes.append("phone_number left out: not a valid number in E.164 form")
    if attributes.get("external_id"):
        attributes["external_id"] = str(attributes["external_id"])
    return notes


def _kept(operation: Operation, name: str, keep: Mapping[str, Any] | None) -> bool:
    options = operation.options.get(name)
    return bool(options and options.keep_existing and keep and keep.get(name) not in (None, "", [], {}))


def _location(wanted: Any, before: Any) -> dict[str, Any]:
    if not isinstance(wanted, Mapping):
        raise Rejected("location is a mapping of address1, city, country ...", ["location"])
    if unknown := [k for k in wanted if k not in LOCATION]:
        raise Rejected(f"location has no {', '.join(sorted(unknown))}; it has {', '.join(LOCATION)}", ["location"])
    before = before if isinstance(before, Mapping) else {}
    # A part is emptied only where we filled it before: null for all others would say nothing.
    emptied = {k: None for k, v in before.items() if v and k in LOCATION and not wanted.get(k)}
    return {k: v for k, v in wanted.items() if v not in (None, "")} | emptied


def _properties(operation: Operation, fields: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    given = fields.pop("properties", None) or {}
    if not isinstance(given, Mapping):
        raise Rejected("properties is a mapping of names to values", ["properties"])
    before = operation.previous.get("properties")
    before = before if isinstance(before, Mapping) else {}
    properties = {k: v for k, v in given.items() if v is not None} | {k: v for k, v in fields.items() if v is not None}
    vanished = {k for k, v in before.items() if v is not None} | {k for k, v in fields.items() if v is None}
    if foreign := sorted(k for k in properties if k.startswith("$")):
        raise Rejected(f"names that begin with $ are Klaviyo's own: {', '.join(foreign)}", foreign)
    return properties, tuple(sorted(vanished - set(properties)))
