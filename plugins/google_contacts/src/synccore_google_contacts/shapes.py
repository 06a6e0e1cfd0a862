"""What Google answers: the parts of it that are looked at."""

from synccore.http import ID, MOMENT, SECONDS, Shape

from .schema import WRITABLE

__all__ = [
    "CONTACT",
    "FILE",
    "GIVEN",
    "GROUP",
    "GROUPS",
    "LISTED",
    "MADE",
    "MEMBERS",
    "NOTHING",
    "OWNER",
    "SOUGHT",
    "TOKENS",
    "WRITTEN",
]

_TEXTS = ("canonicalForm", "formattedType", "key", "type", "value")
#: One entry of a field; the parts of names, organizations and addresses are read as the texts they are.
_ENTRY = {
    **{f"{name}?": str for name in _TEXTS},
    "contactGroupMembership?": {"contactGroupResourceName?": str},
    "date?": {"year?": int, "month?": int, "day?": int},
    "metadata?": {"sourcePrimary?": bool},
}
_METADATA = {
    "deleted?": bool,
    "previousResourceNames?": [ID],
    "sources?": [{"type?": str, "etag?": str, "updateTime?": MOMENT}],
}
_CONTACT = {"resourceName": ID, "metadata?": _METADATA, **{f"{name}?": [_ENTRY] for name in WRITABLE}}
#: What became of one of several: an error, or the contact.
_ENDED = {
    "requestedResourceName?": ID,
    "status?": {"code?": int, "message?": str},
    "person?": {**{name: inner for name, inner in _CONTACT.items() if name != "resourceName"}, "resourceName?": ID},
}
_GROUP = {
    "resourceName": ID,
    "clientData?": [dict],
    "groupType?": str,
    "metadata?": {"deleted?": bool},
    "name?": str,
}

CONTACT = Shape(_CONTACT)
LISTED = Shape({"connections?": [_CONTACT], "nextPageToken?": str, "nextSyncToken?": str})
GIVEN = Shape({"responses": [_ENDED]})
SOUGHT = Shape({"results?": [{"person?": _CONTACT}]})
MADE = Shape({"createdPeople?": [_ENDED]})
WRITTEN = Shape({"updateResult?": {"*": _ENDED}})
GROUP = Shape(_GROUP)
GROUPS = Shape({"contactGroups?": [_GROUP], "nextPageToken?": str})
MEMBERS = Shape({"notFoundResourceNames?": [ID], "canNotRemoveLastContactGroupResourceNames?": [ID]})
NOTHING = Shape({})
TOKENS = Shape({"refresh_token_expires_in?": SECONDS})
OWNER = Shape({"id": ID, "email?": str, "name?": str})
FILE = Shape({"mimeType?": str, "trashed?": bool})
