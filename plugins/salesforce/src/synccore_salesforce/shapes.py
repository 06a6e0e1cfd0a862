"""What Salesforce answers: the parts of it that are looked at."""

import base64
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from synccore.http import ID, MOMENT, Kind, Shape

__all__ = [
    "DESCRIBED",
    "HOLDERS",
    "JOB",
    "LIMITS",
    "MADE",
    "PARTS",
    "PROBLEMS",
    "RESULTS",
    "SAVED",
    "TOKENS",
    "USER",
    "page_of",
]

_NEXT = Kind("the address of a page", str, lambda v: v.startswith("/services/") and v.isprintable() and " " not in v)
_BITS = Kind("a bitmap", str, lambda value: base64.b64decode(value) is not None)
_FLAGS = (
    "createable", "defaultedOnCreate", "externalId", "idLookup", "nillable", "restrictedPicklist", "unique",
    "updateable",
)  # fmt: skip

# -- describe

_CHOICE = {"value": str, "active?": bool, "label?": str, "validFor?": _BITS}
_FIELD = {
    "name": str,
    **{f"{name}?": bool for name in _FLAGS},
    **{f"{name}?": str for name in ("controllerName", "label", "relationshipName", "type")},
    "length?": int,
    "picklistValues?": [_CHOICE],
    "referenceTo?": [str],
}
DESCRIBED = Shape(
    {
        "name": str,
        "createable?": bool,
        "fields": [_FIELD],
        "keyPrefix?": str,
        "label?": str,
        "updateable?": bool,
    }
)

# -- refusals and results

_DUPLICATES = {"matchResults?": [{"matchRecords?": [{"record?": {"Id?": ID}}]}]}
_PROBLEM = {
    **{f"{name}?": str for name in ("error", "error_description", "errorCode", "message", "statusCode")},
    "duplicateResult?": _DUPLICATES,
    "duplicateResut?": _DUPLICATES,
    "fields?": [str],
}
PROBLEMS = Shape(([_PROBLEM], _PROBLEM))
RESULTS = Shape([{"success": bool, "created?": bool, "errors?": [_PROBLEM], "id?": ID}])
SAVED = Shape({"id": ID})
#: The addresses of records that hold one key.
HOLDERS = Shape([str])
#: Of a composite request.
PARTS = Shape({"compositeResponse": [{"referenceId": str, "httpStatusCode": int}]})

# -- the rest

TOKENS = Shape({"id?": str, "instance_url?": str})
LIMITS = Shape({"DailyApiRequests?": {"Max?": int, "Remaining?": int}})
USER = Shape({"preferred_username?": str})
MADE = Shape({"id": ID})
JOB = Shape({"state": str, "errorMessage?": str, "externalIdFieldName?": str})


@lru_cache(maxsize=256)
def page_of(columns: Sequence[str], key: str = "") -> Shape:
    """A page of records with these columns; `key` is one that a record was found by, so it is not empty.

    A column that is missing is not an empty one: what must not be overwritten may stand in it.
    """
    record: dict[str, Any] = {}
    for column in columns:
        *relations, name = column.split(".")
        _within(record, relations)[name] = _cell(name)
    for name, inner in record.items():
        if isinstance(inner, Mapping) and not key.startswith(f"{name}."):
            record[name] = (_optional(inner), None)
    return Shape({"records": [record], "nextRecordsUrl?": _NEXT})


def _within(record: dict[str, Any], relations: Sequence[str]) -> dict[str, Any]:
    for name in relations:
        record = record.setdefault(name, {})
    return record


def _optional(inner: Mapping[str, Any]) -> dict[str, Any]:
    """A parent may be missing, with all that is asked of it."""
    return {n: (_optional(each), None) if isinstance(each, Mapping) else each for n, each in inner.items()}


def _cell(name: str) -> Any:
    if name == "Id":
        return ID
    if name == "CreatedDate":
        return (MOMENT, None)
    return (ID, None) if name.endswith("Id") else (str, float, bool, None)
