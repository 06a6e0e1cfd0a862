"""Flat field names of the object `contact`, and how they become a Person.

given_name, company ...        parts of one entry (`names`, `organizations`)
email, phone                   one value or several
billing_address, url ...       entries that carry a type of their own
custom.LABEL                   a custom field, shown by Google under that label
relations, occupations ...     any writable Person field in Google's own shape: a mapping or a list of mappings
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from attrs import frozen

from synccore.entities import Address, normalize_email
from synccore.types import Defaults, FieldInfo, ObjectType
from synccore.values import day, read_phone, state

from .schema import RESERVED, WRITABLE

__all__ = ["CONTACT", "FILTERS", "Entries", "Part", "describe", "field_named", "phone_key"]

#: Output only: neither compared nor sent.
READ_ONLY = ("formattedType", "canonicalForm", "displayNameLastFirst")
#: Characters per value (Google's help page on contact limits); notes may be longer.
MAX_LENGTH = 1024

Entry = dict[str, Any]


def plain(entry: Mapping[str, Any]) -> Entry:
    """An entry as it can be sent back: without what Google alone writes, the owner's choice of main entry kept."""
    # An e-mail entry's displayName can be written, a name's is made by Google.
    hidden = {*READ_ONLY, "metadata"} | (set() if "value" in entry else {"displayName"})
    kept = {k: v for k, v in entry.items() if k not in hidden}
    if (entry.get("metadata") or {}).get("sourcePrimary"):
        kept["metadata"] = {"sourcePrimary": True}
    return kept


def phone_key(value: str, canonical: str | None = None) -> str | None:
    """The number in E.164 where it is known for certain: Google's own, or one typed with + and country code."""
    return canonical or (_e164(value) if value.strip().startswith("+") else None)


def _e164(value: str, country: str | None = None) -> str | None:
    """The number in E.164; None where it is not valid, or has an extension, which E.164 would drop."""
    number = read_phone(value, country)
    return number.e164 if number is not None and not number.extension else None


# -- fields ----------------------------------------------------------------------------------------------------------


@frozen
class Part:
    """One part of a single entry: `given_name` is `givenName` of `names`."""

    name: str
    person_field: str
    key: str
    label: str

    def text(self, value: Any) -> str:
        """The value as Google takes it."""
        return _cut(str(value).strip())


@frozen
class Entries:
    """One entry or several of a repeated field.

    Attributes:
        build: the value as entries.
        identity: what makes two entries the same.
        type: entries of this type alone are the field's own; None: the whole Person field is.
    """

    name: str
    person_field: str
    label: str
    build: Callable[[Any], list[Entry]]
    identity: Callable[[Mapping[str, Any]], Any]
    type: str | None = None
    kind: str = "string"

    def owns(self, entry: Mapping[str, Any]) -> bool:
        """Whether an entry is this field's."""
        if self.type is None:
            return True
        return bool(entry.get("key" if self.person_field == "userDefined" else "type") == self.type)


Field = Part | Entries


def _values(value: Any) -> list[Any]:
    found = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    return [v for v in found if v not in (None, "")]


def _cut(text: str) -> str:
    return text[:MAX_LENGTH]


def _texts(value: Any) -> list[Entry]:
    return [{"value": _cut(str(v).strip())} for v in _values(value)]


def _typed(kind: str) -> Callable[[Any], list[Entry]]:
    return lambda value: [{**entry, "type": kind} for entry in _texts(value)]


def _emails(value: Any) -> list[Entry]:
    return [{"value": str(v).strip()} for v in _values(value)]


def _notes(value: Any) -> list[Entry]:
    return [{"value": str(v), "contentType": "TEXT_PLAIN"} for v in _values(value)[:1]]


def _dates(kind: str | None) -> Callable[[Any], list[Entry]]:
    def build(value: Any) -> list[Entry]:
        at = day(value)
        if at is None:
            return []
        entry: Entry = {"date": {"year": at.year, "month": at.month, "day": at.day}}
        return [{**entry, "type": kind} if kind else entry]

    return build


def _address(kind: str) -> Callable[[Any], list[Entry]]:
    def build(value: Any) -> list[Entry]:
        if isinstance(value, Address):
            value = google_address(value)
        if isinstance(value, str):
            return [{"streetAddress": _cut(value), "type": kind}]
        if not isinstance(value, Mapping):
            return []
        entry = {key: _cut(str(value[name])) for name, key in _ADDRESS.items() if value.get(name)}
        return [{**entry, "type": kind}] if entry else []

    return build


_ADDRESS = {
    "street": "streetAddress", "extra": "extendedAddress", "city": "city", "postcode": "postalCode",
    "region": "region", "country": "countryCode",
}  # fmt: skip


def address_value(entry: Mapping[str, Any]) -> dict[str, str]:
    """An address entry as the mapping it is delivered as."""
    return {name: str(entry[key]) for name, key in _ADDRESS.items() if entry.get(key)}


def _raw(value: Any) -> list[Entry]:
    entries = [value] if isinstance(value, Mapping) else _values(value)
    return [dict(e) for e in entries if isinstance(e, Mapping)]


def freeze(value: Any) -> Any:
    """A JSON value as something hashable."""
    if isinstance(value, Mapping):
        return tuple(sorted((k, freeze(v)) for k, v in value.items() if v not in (None, "", False)))
    return tuple(freeze(v) for v in value) if isinstance(value, list | tuple) else value


def whole(entry: Mapping[str, Any]) -> Any:
    """The entry in a form that compares, whatever order and empty keys it came with."""
    return freeze({k: v for k, v in plain(entry).items() if k != "metadata"})


def _email_identity(entry: Mapping[str, Any]) -> Any:
    return normalize_email(str(entry.get("value", "")))


def _phone_identity(entry: Mapping[str, Any]) -> Any:
    value = str(entry.get("value", ""))
    return phone_key(value, entry.get("canonicalForm")) or "".join(c for c in value if c.isalnum())


def _value_identity(entry: Mapping[str, Any]) -> Any:
    return str(entry.get("value", "")).strip()


def _date_identity(entry: Mapping[str, Any]) -> Any:
    day = entry.get("date") or {}
    return (entry.get("type"), day.get("year"), day.get("month"), day.get("day"))


def _address_identity(entry: Mapping[str, Any]) -> Any:
    return tuple(str(entry.get(key) or "") for key in (*_ADDRESS.values(), "type"))


_ORGANIZATION, _NAME = "organizations", "names"
_FIELDS: dict[str, Field] = {
    f.name: f
    for f in (
        Part("given_name", _NAME, "givenName", "First name"),
        Part("family_name", _NAME, "familyName", "Last name"),
        Part("middle_name", _NAME, "middleName", "Middle name"),
        Part("name_prefix", _NAME, "honorificPrefix", "Name prefix"),
        Part("name_suffix", _NAME, "honorificSuffix", "Name suffix"),
        Part("phonetic_given_name", _NAME, "phoneticGivenName", "Phonetic first name"),
        Part("phonetic_family_name", _NAME, "phoneticFamilyName", "Phonetic last name"),
        Part("company", _ORGANIZATION, "name", "Company"),
        Part("job_title", _ORGANIZATION, "title", "Job title"),
        Part("department", _ORGANIZATION, "department", "Department"),
        Entries("email", "emailAddresses", "E-mail", _emails, _email_identity, kind="email"),
        Entries("phone", "phoneNumbers", "Phone", _texts, _phone_identity, kind="phone"),
        Entries("billing_address", "addresses", "Billing address", _address("billing"), _address_identity, "billing",
                "address"),
        Entries("shipping_address", "addresses", "Shipping address", _address("shipping"), _address_identity,
                "shipping", "address"),
        Entries("url", "urls", "Link to the shop", _typed("shop"), _value_identity, "shop", "url"),
        Entries("customer_since", "events", "Customer since", _dates("customer since"), _date_identity,
                "customer since", "date"),
        Entries("birthday", "birthdays", "Birthday", _dates(None), _date_identity, kind="date"),
        Entries("nickname", "nicknames", "Nickname", _texts, _value_identity),
        Entries("notes", "biographies", "Notes", _notes, _value_identity, kind="text"),
    )
}  # fmt: skip


FLAT = tuple(_FIELDS)


@cache
def field_named(name: str) -> Field | None:
    """The field behind a name, or None where there is none."""
    if name in _FIELDS:
        return _FIELDS[name]
    if name.startswith("custom.") and len(name) > 7:
        label = name[7:]
        return Entries(
            name,
            "userDefined",
            label,
            lambda value: [{"key": label, "value": _cut(str(v))} for v in _values(value)],
            lambda entry: (entry.get("key"), entry.get("value")),
            label,
        )
    if name in WRITABLE and name not in RESERVED:
        return Entries(name, name, name, _raw, whole, kind="list")
    return None


def describe(used: Iterable[str] = ()) -> tuple[FieldInfo, ...]:
    """All fields, and the custom ones that `used` names."""
    names = [*_FIELDS, *(n for n in WRITABLE if n not in RESERVED), *used]
    found: dict[str, FieldInfo] = {}
    for name in names:
        if name in found or (spec := field_named(name)) is None:
            continue
        kind = spec.kind if isinstance(spec, Entries) else "string"
        found[name] = FieldInfo(
            name=name,
            label=spec.label,
            type=kind,
            length=None if kind in ("text", "list", "address", "date") else MAX_LENGTH,
            unique=name in ("email", "phone"),
        )
    return tuple(found.values())


# -- filters for expressions -----------------------------------------------------------------------------------------


def google_phones(values: Any, country: str | None = None) -> Any:
    """Numbers in E.164 (national ones read as of `country`), as typed where they are not valid, each once."""
    numbers = [_e164(str(v), country) or str(v).strip() for v in _values(values)]
    return google_values(numbers)


def google_values(values: Any) -> Any:
    """Texts without empty ones and repeats: None, one text, or a list."""
    found: dict[str, str] = {}
    for value in _values(values):
        text = str(value).strip()
        if text:
            found.setdefault(normalize_email(text), text)
    texts = list(found.values())
    return None if not texts else texts[0] if len(texts) == 1 else texts


def google_address(address: Any, other: Any = None) -> dict[str, str] | None:
    """A postal address as a mapping; None where it is empty or the same as `other`."""
    if not isinstance(address, Address) or address.is_empty():
        return None
    part = state(address.state, address.country)
    # A number says nothing to whoever reads the address: the prefecture's name instead of 13.
    region = part.name if part is not None and not part.code.isalpha() else address.state
    parts = {
        "street": address.line1, "extra": address.line2, "city": address.city, "postcode": address.postcode,
        "region": region, "country": address.country,
    }  # fmt: skip
    found = {k: v for k, v in parts.items() if v}
    return None if other is not None and google_address(other) == found else found


def google_date(value: Any) -> str | None:
    """A time or date as YYYY-MM-DD (UTC), None where there is none."""
    at = day(value)
    return at.isoformat() if at else None


FILTERS: Mapping[str, Callable[..., Any]] = {
    "google_address": google_address,
    "google_date": google_date,
    "google_phones": google_phones,
    "google_values": google_values,
}

CUSTOMER = Defaults(
    fields={
        "given_name": "customer.person.first",
        "family_name": "customer.person.last",
        "email": "[customer.email, customer.billing.email] | google_values",
        "phone": "[customer.phone, customer.billing.phone] | google_phones(customer.billing.country)",
        "company": "customer.company or customer.billing.company",
        "billing_address": "customer.billing | google_address",
        "shipping_address": "customer.shipping | google_address(customer.billing)",
        "notes": "Customer of {{ source }}{% if customer.username %} (user name {{ customer.username }}){% endif %}",
        "customer_since": "customer.created_at | google_date",
        "url": "customer.admin_url",
    },
    match=("email", "phone"),
)

CONTACT = ObjectType(
    name="contact",
    summary="a contact in Google Contacts",
    defaults={"customer": CUSTOMER},
    leaves=("keep", "unlabel", "clear", "delete"),
    options={
        "on_delete": (str, None, "keep, unlabel or delete the contact of a deleted customer"),
        "ambiguous": (str, None, "two contacts could be the customer: skip, create or first"),
        "label": (str, None, "the label contacts of this route get, instead of the sink's"),
    },
)


def wanted_emails(fields: Mapping[str, Any]) -> list[str]:
    """The addresses of a mapped record, in the form they are compared in."""
    return [normalize_email(str(v)) for v in _values(fields.get("email"))]


def wanted_phones(fields: Mapping[str, Any]) -> list[str]:
    """The numbers of a mapped record that are known in E.164."""
    return [k for v in _values(fields.get("phone")) if (k := phone_key(str(v)))]


def cut_fields(fields: Mapping[str, Any]) -> list[str]:
    """Names of the fields of which Google does not get all."""
    return sorted(name for name, value in fields.items() if _is_cut(field_named(name), value))


def _is_cut(spec: Field | None, value: Any) -> bool:
    if spec is None or (isinstance(spec, Entries) and spec.kind in ("email", "text", "list", "date")):
        return False
    texts = [t for v in _values(value) for t in (v.values() if isinstance(v, Mapping) else (v,))]
    return any(len(str(text).strip()) > MAX_LENGTH for text in texts)
