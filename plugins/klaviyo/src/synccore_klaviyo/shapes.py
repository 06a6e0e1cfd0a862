"""What Klaviyo answers: the parts of it that are looked at."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from synccore.http import ID, MOMENT, Kind, Shape

__all__ = ["ACCOUNT", "ERRORS", "IMPORT", "IMPORTS", "IMPORT_ERRORS", "MADE", "METRICS", "PEOPLE", "PERSON", "TAKEN"]

_ADDRESS = Kind("an address", str, lambda value: bool(urlsplit(value)))
_MARKETING = {
    "consent?": str, "consent_timestamp?": str, "custom_method_detail?": str, "suppression?": [{"timestamp?": str}]
}  # fmt: skip
_ATTRIBUTES = {
    **{f"{name}?": str for name in ("email", "external_id", "phone_number")},
    "created?": MOMENT,
    "location?": dict,
    "properties?": dict,
    "subscriptions?": {"email?": {"marketing?": _MARKETING}},
}
#: Where in the request's body something is wrong.
_SOURCE = {"source?": {"pointer?": str}}


def _page(of: Mapping[str, Any]) -> Shape:
    return Shape({"data": [of], "links?": {"next?": _ADDRESS}})


ACCOUNT = Shape(
    {
        "data": [
            {
                "id": ID,
                "attributes": {
                    "contact_information?": {"organization_name?": str},
                    "preferred_currency?": str,
                    "timezone?": str,
                },
            }
        ]
    }
)
METRICS = _page({"attributes": {"name?": str, "integration?": {"name?": str}}})
PEOPLE = _page({"id": ID, "attributes": _ATTRIBUTES})
PERSON = Shape({"data": {"id": ID, "attributes?": _ATTRIBUTES}})
IMPORT = Shape({"data": {"attributes": {"status": str, "failed_count?": int}}})
IMPORTS = _page({"id": ID, "attributes": {"created_at": MOMENT, "total_count": int}})
IMPORT_ERRORS = _page({"attributes": {"code": str, "original_payload?": {"attributes?": object}, **_SOURCE}})
#: Something was made that has an id from now on.
MADE = Shape({"data": {"id": ID}})
#: It was taken: whatever is told beside that is not looked at.
TAKEN = Shape({"data": object})
ERRORS = Shape({"errors": [{"meta?": dict, **_SOURCE}]})
