"""What a Person is made of: the fields that can be written, and what says which contact in which state it is.

From the discovery document of people v1, revision 20251117.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

__all__ = ["READ_FIELDS", "RESERVED", "SINGLE", "WRITABLE", "Person", "contact_source", "updated", "updated_at"]

Person = dict[str, Any]

#: Person fields that can be replaced.
WRITABLE = (
    "addresses", "biographies", "birthdays", "calendarUrls", "clientData", "emailAddresses", "events", "externalIds",
    "genders", "imClients", "interests", "locales", "locations", "memberships", "miscKeywords", "names", "nicknames",
    "occupations", "organizations", "phoneNumbers", "relations", "sipAddresses", "urls", "userDefined",
)  # fmt: skip
#: Written by the sink itself: the marker and the label.
RESERVED = ("clientData", "memberships")
#: Google takes at most one entry of these.
SINGLE = ("biographies", "birthdays", "genders", "names")
#: What every read asks for; part of what a sync token is bound to.
READ_FIELDS = ",".join(("metadata", *WRITABLE))


def contact_source(person: Mapping[str, Any]) -> dict[str, Any]:
    """The CONTACT source of a person: its etag must be sent back with an update."""
    sources = (person.get("metadata") or {}).get("sources", ())
    return next((dict(s) for s in sources if s.get("type") == "CONTACT"), {})


def updated(person: Mapping[str, Any]) -> str:
    """When Google last changed it, as text that sorts."""
    text = str(contact_source(person).get("updateTime", ""))
    # Google drops trailing zeros of the fraction: "…:05Z" is before "…:05.5Z".
    return text.removesuffix("Z") if "." in text else text.removesuffix("Z") + ".0"


def updated_at(person: Mapping[str, Any]) -> datetime:
    """The same as a time; long ago where Google does not say it."""
    try:
        return datetime.fromisoformat(str(contact_source(person)["updateTime"]))
    except (KeyError, ValueError):
        return datetime.fromisoformat("1970-01-01T00:00:00+00:00")
