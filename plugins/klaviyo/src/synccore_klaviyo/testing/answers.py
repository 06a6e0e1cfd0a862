"""Answers in JSON:API form, as Klaviyo words them."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from synccore.testing import Reply

from . import strict
from .store import Person

__all__ = ["MEDIA_TYPE", "document", "duplicate", "error", "identifier_filter", "invalid", "shown"]

MEDIA_TYPE = "application/vnd.api+json"


def identifier_filter(text: str) -> tuple[str, list[str]] | None:
    single = re.fullmatch(r'equals\((email|phone_number|external_id|id),"([^"\\]*)"\)', text)
    if single:
        return single[1], [single[2]]
    several = re.fullmatch(r'any\((email|phone_number|external_id|id),\[("[^"\\]*"(?:,"[^"\\]*")*)\]\)', text)
    if several:
        values = json.loads(f"[{several[2]}]", strict=False)
        return (several[1], values) if len(values) <= 100 else None
    return None


def shown(person: Person, *, subscriptions: bool = False) -> dict[str, Any]:
    names = (
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
    attributes: dict[str, Any] = {n: person.attributes.get(n) for n in names}
    attributes["location"] = {k: person.location.get(k) for k in sorted(strict.LOCATION_KEYS)}
    attributes["properties"] = dict(person.properties)
    attributes["created"] = person.created_at.isoformat()
    if subscriptions:
        suppressions = [{"reason": r, "timestamp": t.isoformat()} for r, t in person.suppressions]
        attributes["subscriptions"] = {
            "email": {
                "marketing": {
                    "can_receive_email_marketing": not suppressions,
                    "consent": person.consent,
                    "consent_timestamp": person.consented_at.isoformat() if person.consented_at else None,
                    "custom_method_detail": person.source,
                    "suppression": suppressions,
                    "list_suppressions": [],
                }
            }
        }
    return {"type": "profile", "id": person.id, "attributes": attributes}


def document(data: Any) -> Reply:
    return Reply(200, {"data": data, "links": {"self": None}}, {"Content-Type": MEDIA_TYPE})


def error(
    status: int,
    code: str,
    detail: str,
    pointer: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    meta: Any = None,
) -> Reply:
    problem: dict[str, Any] = {"id": "e", "status": status, "code": code, "title": "Refused.", "detail": detail}
    problem["source"] = {"pointer": pointer} if pointer.startswith("/") else {"parameter": pointer} if pointer else {}
    if meta:
        problem["meta"] = meta
    return Reply(status, {"errors": [problem]}, {"Content-Type": MEDIA_TYPE, **(headers or {})})


def duplicate(other: str) -> Reply:
    return error(
        409,
        "duplicate_profile",
        "A profile already exists with one of these identifiers.",
        meta={"duplicate_profile_id": other},
    )


def invalid(problems: Sequence[strict.Problem]) -> Reply:
    errors = [
        {
            "id": "e",
            "status": 400,
            "code": code,
            "title": "Invalid input.",
            "detail": detail,
            "source": {"pointer": pointer},
        }
        for code, detail, pointer in problems[:20]
    ]
    return Reply(400, {"errors": errors}, {"Content-Type": MEDIA_TYPE})
