"""The Composite resource: several requests in one call, each with its own answer."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from synccore.testing import Reply, Request

from .model import RowRefused

__all__ = ["run_composite"]

_MOST, _MOST_COLLECTIONS = 25, 5
_NOT_FORWARDED = {"accept", "authorization", "content-type"}


def run_composite(request: Request, serve: Callable[[Request], Reply]) -> Reply:
    """Answer one composite request. Raises RowRefused for what spoils all of it."""
    spec = request.json()
    parts = spec.get("compositeRequest") or []
    if not parts or len(parts) > _MOST:
        raise RowRefused("INVALID_INPUT", f"between 1 and {_MOST} subrequests")
    if sum("/composite/sobjects" in p["url"] or "/query" in p["url"] for p in parts) > _MOST_COLLECTIONS:
        raise RowRefused("LIMIT_EXCEEDED", f"more than {_MOST_COLLECTIONS} queries and collections")
    names = [p.get("referenceId", "") for p in parts]
    if len(set(names)) < len(names) or not all(re.fullmatch(r"[A-Za-z]\w*", n) for n in names):
        raise RowRefused("INVALID_INPUT", "referenceId: letters, digits and _, each once")
    if spec.get("allOrNone"):
        raise RowRefused("INVALID_INPUT", "this stand-in rolls nothing back")
    return Reply(200, {"compositeResponse": [_part(p, serve) for p in parts]})


def _part(part: Mapping[str, Any], serve: Callable[[Request], Reply]) -> dict[str, Any]:
    headers = {k.lower(): v for k, v in (part.get("httpHeaders") or {}).items()}
    if _NOT_FORWARDED & set(headers):
        raise RowRefused("INVALID_INPUT", "a header that subrequests may not carry")
    split = urlsplit(part["url"])
    inner = Request(
        method=part["method"],
        path=split.path,
        query=tuple(parse_qsl(split.query, keep_blank_values=True)),
        headers=headers,
        body=json.dumps(part["body"]).encode() if "body" in part else b"",
        target=part["url"],
    )
    try:
        reply = serve(inner)
    except RowRefused as error:
        status = 404 if error.code == "NOT_FOUND" else 400
        reply = Reply(status, [{"errorCode": error.code, "message": error.message, "fields": error.fields}])
    return {
        "body": reply.body, "httpHeaders": {}, "httpStatusCode": reply.status, "referenceId": part["referenceId"]
    }  # fmt: skip
