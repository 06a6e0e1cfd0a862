"""What a profile looks like on the wire, and what of it Klaviyo would refuse. Pure."""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from typing import Any

from attrs import evolve, field, frozen

from synccore.entities import normalize_email
from synccore.errors import Rejected
from synccore.types import Link, Operation
from synccore.values import phone

from .client import dumps

__all__ = [
    "ATTRIBUTES",
    "CONSENT_FIELDS",
    "EXTRA_IDENTIFIERS",
    "FOREIGN",
    "INVALID_PHONE",
    "LOCATION",
    "Profile",
    "build",
    "check_email",
    "empty",
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


INVALID_PHONE = "not a valid number in E.164 form"
FOREIGN = "it belongs to another profile"
KEPT = "kept: the profile has an entry of its own"
CONSENT = "told as consent where it changes: no field of the profile"
NO_ADDRESS = "an e-mail address is never emptied: the profile would be nobody's"


@frozen(kw_only=True)
class Profile:
    """A profile ready to be sent.

    Attributes:
        unset: custom properties to take away.
        held: what Klaviyo holds of the mapping once it is sent, under the names of the mapping.
        left_out: field -> why it is not sent, free of values.
        written: names of what we wrote there before for this record alone. Where the new value cannot be sent, the old
            one is nobody's any more and goes.
    """

    attributes: Mapping[str, Any]
    unset: tuple[str, ...] = ()
    held: Mapping[str, Any] = field(factory=dict, repr=False)
    left_out: Mapping[str, str] = field(factory=dict)
    written: frozenset[str] = frozenset()

    @property
    def email(self) -> str | None:
        """The address it is keyed by."""
        return self.attributes.get("email")

    @property
    def clears(self) -> bool:
        """True where something is emptied: bulk jobs ignore nulls, so it takes the single call."""
        location = self.attributes.get("location") or {}
        return bool(self.unset) or any(v is None for v in (*self.attributes.values(), *location.values()))

    def resource(self, remote_id: str | None = None) -> dict[str, Any]:
        """The `data` of profile-import, PATCH and the bulk import."""
        data: dict[str, Any] = {"type": "profile", "attributes": dict(self.attributes)}
        if remote_id:
            data["id"] = remote_id
        if self.unset:
            data["meta"] = {"patch_properties": {"unset": list(self.unset)}}
        return data

    def without(self, names: Collection[str], reason: str) -> "Profile":
        """The same without these, for that reason."""
        gone = [n for n in names if n in self.attributes]
        kept = {k: v for k, v in self.attributes.items() if k not in gone}
        return evolve(
            self,
            attributes=kept | dict.fromkeys(n for n in gone if n in self.written),
            held={k: v for k, v in self.held.items() if k not in gone},
            left_out={**self.left_out, **dict.fromkeys(gone, reason)},
        )


def build(operation: Operation, keep: Mapping[str, Any] | None = None) -> Profile:
    """The profile an operation asks for.

    Args:
        keep: what the target holds now; fields with `keep_existing` that are held there are left out.

    Raises Rejected for what Klaviyo would refuse or silently drop: no identifier, a test address, too big.
    """
    held, left_out = _held_back(operation, keep)
    fields = {n: plain(v) for n, v in operation.fields.items() if n not in left_out}
    attributes: dict[str, Any] = {n: fields.pop(n) for n in ATTRIBUTES if n in fields}
    linked = operation.link is not None and operation.link.remote_id
    if not linked and not any(attributes.get(n) for n in ("email", *EXTRA_IDENTIFIERS)):
        raise Rejected("no e-mail address: Klaviyo needs one to know whose profile this is", ["email"])
    if attributes.get("email"):
        held["email"] = attributes["email"] = check_email(str(attributes["email"]))
    if attributes.get("external_id"):
        held["external_id"] = attributes["external_id"] = str(attributes["external_id"])
    if "location" in fields:
        attributes["location"] = _location(operation, fields.pop("location"))
        held["location"] = {k: v for k, v in attributes["location"].items() if v is not None} or None
        if not attributes["location"]:
            del attributes["location"]
    properties, unset = _properties(operation, fields)
    if properties:
        attributes["properties"] = properties
    if isinstance(block := operation.fields.get("properties"), Mapping):
        held["properties"] = {k: v for k, v in block.items() if v is not None}
    written = _written(operation.link)
    attributes |= dict.fromkeys(n for n in left_out.keys() & written if left_out[n] in (INVALID_PHONE, FOREIGN))
    profile = Profile(attributes=attributes, unset=unset, held=held, left_out=left_out, written=written)
    size = len(dumps(profile.resource("0" * 26)))
    if size > PROFILE_LIMIT:
        raise Rejected(f"the profile takes {size} bytes, Klaviyo accepts {PROFILE_LIMIT}")
    return profile


def _written(link: Link | None) -> frozenset[str]:
    """The telephone number, if one of ours stands there, or may, for this record alone."""
    mine = link is not None and link.shared <= 1 and may_be_there(link, "phone_number")
    return frozenset({"phone_number"} if mine else ())


def may_be_there(link: Link, name: str) -> Any:
    """What we wrote, also by an update whose answer was lost: then only what was asked for tells of it."""
    held, asked = link.fields.get(name), None if name in link.left_out else link.mapped.get(name)
    if isinstance(held, Mapping) and isinstance(asked, Mapping):
        return {**asked, **held}
    return asked if held is None else held


def empty(link: Link) -> Profile:
    """The profile of a link with all that we wrote taken away; who it is stays, and what others of ours want there."""
    names = {*link.fields, *link.mapped}
    ours = {n: v for n in names if (v := may_be_there(link, n)) is not None and not link.wanted(n, v)}
    attributes: dict[str, Any] = dict.fromkeys(n for n in ATTRIBUTES if n in ours and n != "email")
    if isinstance(place := ours.get("location"), Mapping):
        attributes["location"] = dict.fromkeys(place.keys() - _theirs(link, "location", place))
    unset = {n for n in ours if n not in (*ATTRIBUTES, "location", "properties")}
    if isinstance(block := ours.get("properties"), Mapping):
        unset |= block.keys() - _theirs(link, "properties", block)
    return Profile(attributes=attributes, unset=tuple(sorted(unset)))


def _theirs(link: Link, name: str, block: Mapping[str, Any]) -> set[str]:
    """What of a group of values others hold there as well."""
    groups = [g for fields in link.others if isinstance(g := fields.get(name), Mapping)]
    return {n for n, v in block.items() if any(g.get(n) == v for g in groups)}


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
    return phone(number) == number


def _held_back(operation: Operation, keep: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, str]]:
    """(what Klaviyo holds of the mapping, what of it is not sent and why)."""
    held = dict(operation.fields)
    left_out: dict[str, str] = {}
    for name, value in operation.fields.items():
        if _kept(operation, name, keep) and (keep or {})[name] != plain(value):
            held[name], left_out[name] = (keep or {})[name], KEPT
        elif reason := _reason(operation, name, value):
            left_out[name] = reason
            del held[name]
    return held, left_out


def _reason(operation: Operation, name: str, value: Any) -> str | None:
    """Why it is not sent: it can be no phone number, Klaviyo did not take this very value before, it is not ours."""
    link = operation.link
    if name in CONSENT_FIELDS:
        return CONSENT
    if value is None:
        if name == "email":
            return NO_ADDRESS
        # What was left out was never ours to empty.
        return link.left_out.get(name) if link and name not in link.fields else None
    if name == "phone_number" and not valid_phone(str(value)):
        return INVALID_PHONE
    if name in EXTRA_IDENTIFIERS and link and name in link.left_out and link.mapped.get(name) == value:
        # It is asked about once, and again where what is there may be something else by now.
        return None if operation.maybe_applied and link.left_out[name] == FOREIGN else link.left_out[name]
    return None


def _kept(operation: Operation, name: str, keep: Mapping[str, Any] | None) -> bool:
    options = operation.options.get(name)
    return bool(options and options.keep_existing and keep and keep.get(name) not in (None, "", [], {}))


def _location(operation: Operation, wanted: Any) -> dict[str, Any]:
    wanted = {} if wanted is None else wanted
    if not isinstance(wanted, Mapping):
        raise Rejected("location is a mapping of address1, city, country ...", ["location"])
    if unknown := [k for k in wanted if k not in LOCATION]:
        raise Rejected(f"location has no {', '.join(sorted(unknown))}; it has {', '.join(LOCATION)}", ["location"])
    before = may_be_there(operation.link, "location") if operation.link else None
    before = before if isinstance(before, Mapping) else {}
    # A part is emptied only where we filled it before: null for all others would take away what Klaviyo found out.
    emptied = {k: None for k, v in before.items() if v and k in LOCATION and not wanted.get(k)}
    return {k: v for k, v in wanted.items() if v not in (None, "")} | emptied


def _properties(operation: Operation, fields: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    given = fields.pop("properties", None) or {}
    if not isinstance(given, Mapping):
        raise Rejected("properties is a mapping of names to values", ["properties"])
    before = may_be_there(operation.link, "properties") if operation.link else None
    before = before if isinstance(before, Mapping) else {}
    properties = {k: v for k, v in given.items() if v is not None} | {k: v for k, v in fields.items() if v is not None}
    vanished = {k for k, v in before.items() if v is not None} | {k for k, v in fields.items() if v is None}
    if foreign := sorted(k for k in properties if k.startswith("$")):
        raise Rejected(f"names that begin with $ are Klaviyo's own: {', '.join(foreign)}", foreign)
    return properties, tuple(sorted(vanished - set(properties)))
