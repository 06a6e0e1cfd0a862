"""What a body must look like: the strict layer that the published schema lacks.

Each check gives a list of (code, detail, pointer). The published schema allows unknown keys, no identifier at all and
any size; Klaviyo's documentation does not.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

Problem = tuple[str, str, str]

PROFILE_KEYS = {
    "email", "phone_number", "external_id", "_kx", "first_name", "last_name", "organization", "locale", "title",
    "image", "location", "properties",
}  # fmt: skip
EVENT_PROFILE_KEYS = PROFILE_KEYS | {"anonymous_id"}
LOCATION_KEYS = {
    "address1", "address2", "city", "country", "latitude", "longitude", "region", "zip", "timezone", "ip",
}  # fmt: skip
IDENTIFIERS = ("email", "phone_number", "external_id")
EMAIL = re.compile(r"[^\s@]+@[^\s@.]+(\.[^\s@.]+)+")
PHONE = re.compile(r"\+[1-9]\d{7,14}")
#: Accepted with 202 and dropped.
VANISHING = re.compile(r"[^@]*+@(?:[^@.]++\.)*?(?:example|test)\.(?:com|org|net)", re.IGNORECASE)


def size(value: Any) -> int:
    """Bytes of the value as compact JSON."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def keys(value: Any, allowed: Iterable[str], required: Iterable[str], at: str) -> list[Problem]:
    """The value is an object with these keys and no others."""
    if not isinstance(value, Mapping):
        return [("invalid", f"{at} is not an object", at)]
    found = [("invalid", f"{key!r} is not a key of {at}", f"{at}/{key}") for key in value if key not in allowed]
    return found + [("invalid", f"{key!r} is required in {at}", f"{at}/{key}") for key in required if key not in value]


def resource(
    body: Any, kind: str, at: str = "/data", extra: Iterable[str] = (), need: Iterable[str] = ()
) -> list[Problem]:
    """A JSON:API resource object of that type."""
    found = keys(body, {"type", "attributes", *extra, *need}, {"type", "attributes", *need}, at)
    if isinstance(body, Mapping) and body.get("type") != kind:
        found.append(("invalid", f"type is {kind!r} here", f"{at}/type"))
    return found


def profile(data: Any, at: str = "/data", *, with_id: bool = False) -> list[Problem]:
    """A profile of profile-import, PATCH or bulk import."""
    found = resource(data, "profile", at, {"id", "meta"}, {"id"} if with_id else ())
    if found:
        return found
    attributes = data["attributes"]
    found += keys(attributes, PROFILE_KEYS, (), f"{at}/attributes")
    if found:
        return found
    if not data.get("id") and not any(attributes.get(k) for k in IDENTIFIERS):
        found.append(("invalid", "one of email, phone_number, external_id or id is required", f"{at}/attributes"))
    found += identifiers(attributes, f"{at}/attributes")
    for name in ("external_id", "first_name", "last_name", "organization", "locale", "title", "image"):
        if attributes.get(name) is not None and not isinstance(attributes[name], str):
            found.append(("invalid", f"{name} is a string", f"{at}/attributes/{name}"))
    if attributes.get("location") is not None:
        found += keys(attributes["location"], LOCATION_KEYS, (), f"{at}/attributes/location")
    if "properties" in attributes:
        found += properties(attributes["properties"], f"{at}/attributes/properties")
    if "meta" in data:
        found += meta(data["meta"], f"{at}/meta")
    if size(data) > 100 * 1024:
        found.append(("payload_too_large", "a profile takes at most 100 KB", at))
    return found


def identifiers(attributes: Mapping[str, Any], at: str) -> list[Problem]:
    """E-mail and phone are well formed; nothing is emptied that identifies."""
    found: list[Problem] = []
    email, phone = attributes.get("email"), attributes.get("phone_number")
    if email is not None and (not isinstance(email, str) or not EMAIL.fullmatch(email) or len(email) > 100):
        found.append(("invalid", "Invalid email address", f"{at}/email"))
    if phone is not None and (not isinstance(phone, str) or not PHONE.fullmatch(phone)):
        found.append(
            ("invalid", "Invalid phone number format (Example of a valid format: +12345678901)", f"{at}/phone_number")
        )
    return found


def properties(value: Any, at: str) -> list[Problem]:
    """Custom properties of a profile."""
    if not isinstance(value, Mapping):
        return [("invalid", "properties is an object", at)]
    return [("invalid", "names that begin with $ are reserved", f"{at}/{k}") for k in value if k.startswith("$")]


def meta(value: Any, at: str) -> list[Problem]:
    """`meta` of a profile."""
    found = keys(value, {"patch_properties", "patch_identifiers"}, (), at)
    patch = value.get("patch_properties") if isinstance(value, Mapping) else None
    if patch is not None:
        found += keys(patch, {"append", "unappend", "unset"}, (), f"{at}/patch_properties")
        unset = patch.get("unset")
        names = [unset] if isinstance(unset, str) else unset or []
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            found.append(("invalid", "unset is a name or a list of names", f"{at}/patch_properties/unset"))
    return found


def event(data: Any, now: datetime, at: str = "/data") -> list[Problem]:
    """A single event."""
    found = resource(data, "event", at)
    if found:
        return found
    attributes = data["attributes"]
    allowed = {"properties", "time", "value", "value_currency", "unique_id", "metric", "profile", "backfill"}
    found = keys(attributes, allowed, {"properties", "metric", "profile"}, f"{at}/attributes")
    if found:
        return found
    return event_body(attributes, now, f"{at}/attributes") + event_profile(
        attributes["profile"], f"{at}/attributes/profile"
    )


def event_profile(value: Any, at: str) -> list[Problem]:
    """The profile inside an event."""
    found = keys(value, {"data"}, {"data"}, at) or resource(value["data"], "profile", f"{at}/data", {"id", "meta"})
    if found:
        return found
    data = value["data"]
    attributes = data["attributes"]
    found = keys(attributes, EVENT_PROFILE_KEYS, (), f"{at}/data/attributes")
    if not data.get("id") and not any(attributes.get(k) for k in (*IDENTIFIERS, "_kx", "anonymous_id")):
        found.append(("invalid", "an event needs an identifier of its profile", f"{at}/data/attributes"))
    if size(data) > 95 * 1024:
        found.append(("invalid", "a profile inside an event takes at most 95 KB", f"{at}/data"))
    return found + identifiers(attributes, f"{at}/data/attributes")


def event_body(attributes: Mapping[str, Any], now: datetime, at: str) -> list[Problem]:
    """Metric, time, value, unique_id and properties of an event."""
    found = keys(attributes["metric"], {"data"}, {"data"}, f"{at}/metric") or resource(
        attributes["metric"]["data"], "metric", f"{at}/metric/data"
    )
    if found:
        return found
    named = attributes["metric"]["data"]["attributes"]
    found = keys(named, {"name"}, {"name"}, f"{at}/metric/data/attributes")
    if not isinstance(named.get("name"), str) or not 0 < len(named["name"]) < 128:
        found.append(("invalid", "a metric's name has 1 to 127 characters", f"{at}/metric/data/attributes/name"))
    unique = attributes.get("unique_id")
    if unique is not None and (not isinstance(unique, str) or not 0 < len(unique) <= 255):
        found.append(("invalid", "unique_id has 1 to 255 characters", f"{at}/unique_id"))
    value = attributes.get("value")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        found.append(("invalid", "value is a number", f"{at}/value"))
    currency = attributes.get("value_currency")
    if currency is not None and not re.fullmatch(r"[A-Z]{3}", str(currency)):
        found.append(("invalid", "value_currency is an ISO 4217 code", f"{at}/value_currency"))
    if "backfill" in attributes and not isinstance(attributes["backfill"], bool):
        found.append(("invalid", "backfill is true or false", f"{at}/backfill"))
    return (
        found
        + _time(attributes.get("time"), now, f"{at}/time")
        + _event_properties(attributes["properties"], f"{at}/properties")
    )


def _event_properties(value: Any, at: str) -> list[Problem]:
    if not isinstance(value, Mapping):
        return [("invalid", "properties is an object", at)]
    found: list[Problem] = []
    if len(value) > 400:
        found.append(("invalid", "an event has at most 400 properties", at))
    for name, item in value.items():
        if name in ("$value", "value"):
            found.append(("invalid", "the value stands beside properties, not inside", f"{at}/{name}"))
        elif name.startswith("$") and name != "$extra":
            found.append(("invalid", "names that begin with $ are reserved", f"{at}/{name}"))
        if isinstance(item, str) and len(item.encode()) > 100 * 1024:
            found.append(("invalid", "a string takes at most 100 KB", f"{at}/{name}"))
        if isinstance(item, list) and len(item) > 4000:
            found.append(("invalid", "an array has at most 4000 items", f"{at}/{name}"))
    return found


def _time(value: Any, now: datetime, at: str) -> list[Problem]:
    if value is None:
        return []
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return [("invalid", "time is an ISO 8601 string", at)]
    if moment.tzinfo is None:
        return [("invalid", "time carries an offset (without one Klaviyo reads it as UTC)", at)]
    if not datetime(2000, 1, 1, tzinfo=UTC) <= moment <= now + timedelta(days=366):
        return [("invalid", "time is between 2000 and one year ahead", at)]
    return []


def bulk_events(data: Any, now: datetime) -> list[Problem]:
    """A bulk event job."""
    found = resource(data, "event-bulk-create-job") or keys(
        data["attributes"], {"events-bulk-create"}, {"events-bulk-create"}, "/data/attributes"
    )
    if found:
        return found
    entries = data["attributes"]["events-bulk-create"].get("data")
    if not isinstance(entries, list):
        return [("invalid", "data is a list", "/data/attributes/events-bulk-create/data")]
    seen: set[str] = set()
    count = 0
    for index, entry in enumerate(entries):
        at = f"/data/attributes/events-bulk-create/data/{index}"
        found += resource(entry, "event-bulk-create", at) or keys(
            entry["attributes"], {"backfill", "profile", "events"}, {"profile", "events"}, f"{at}/attributes"
        )
        if found:
            return found
        found += event_profile(entry["attributes"]["profile"], f"{at}/attributes/profile")
        for number, one in enumerate(entry["attributes"]["events"]["data"]):
            here = f"{at}/attributes/events/data/{number}"
            allowed = {"properties", "time", "value", "value_currency", "unique_id", "metric"}
            found += resource(one, "event", here) or keys(
                one["attributes"], allowed, {"properties", "metric"}, f"{here}/attributes"
            )
            if found:
                return found
            found += event_body(one["attributes"], now, f"{here}/attributes")
            count += 1
            if (unique := one["attributes"].get("unique_id")) in seen and unique:
                found.append(("invalid", "unique_id is twice in this request", f"{here}/attributes/unique_id"))
            seen.add(unique)
    if not 0 < count <= 1000:
        found.append(("invalid", "a request takes 1 to 1000 events", "/data/attributes/events-bulk-create/data"))
    return found


def consent(data: Any, kind: str, limit: int, word: str, now: datetime) -> list[Problem]:
    """A subscribe, unsubscribe or suppress job (`word` empty)."""
    found = resource(data, kind, extra={"relationships"})
    if found:
        return found
    allowed = {"profiles"} | ({"custom_source", "historical_import"} if word == "SUBSCRIBED" else set())
    found = keys(data["attributes"], allowed, {"profiles"}, "/data/attributes")
    if found:
        return found
    if "relationships" in data:
        found += keys(data["relationships"], {"list"}, {"list"}, "/data/relationships")
    people = data["attributes"]["profiles"].get("data")
    if not isinstance(people, list) or not 0 < len(people) <= limit:
        return [("invalid", f"a job takes 1 to {limit} profiles", "/data/attributes/profiles/data")]
    historical = bool(data["attributes"].get("historical_import"))
    for index, person in enumerate(people):
        found += _person(person, word, historical, now, f"/data/attributes/profiles/data/{index}")
    return found


def _person(person: Any, word: str, historical: bool, now: datetime, at: str) -> list[Problem]:
    found = resource(person, "profile", at, {"id"} if word == "SUBSCRIBED" else ())
    if found:
        return found
    attributes = person["attributes"]
    if not word:
        return keys(attributes, {"email"}, {"email"}, f"{at}/attributes") + identifiers(attributes, f"{at}/attributes")
    allowed = {"email", "phone_number", "subscriptions", "age_gated_date_of_birth"}
    found = keys(attributes, allowed, {"subscriptions"}, f"{at}/attributes") + identifiers(
        attributes, f"{at}/attributes"
    )
    if found:
        return found
    if not any(attributes.get(k) for k in ("email", "phone_number")):
        found.append(("invalid", "consent needs an email or a phone_number", f"{at}/attributes"))
    channels = attributes["subscriptions"]
    found += keys(channels, {"email", "sms", "whatsapp", "push"}, (), f"{at}/attributes/subscriptions")
    if not channels:
        found.append(("invalid", "subscriptions names a channel", f"{at}/attributes/subscriptions"))
    for name, channel in channels.items():
        here = f"{at}/attributes/subscriptions/{name}"
        found += keys(channel, {"marketing", "transactional"}, (), here)
        for purpose, given in channel.items():
            found += _given(given, word, historical, now, f"{here}/{purpose}")
    return found


def _given(given: Any, word: str, historical: bool, now: datetime, at: str) -> list[Problem]:
    found = keys(given, {"consent"} | ({"consented_at"} if word == "SUBSCRIBED" else set()), {"consent"}, at)
    if given.get("consent") != word:
        found.append(("invalid", f"consent is {word!r} here", f"{at}/consent"))
    when = given.get("consented_at")
    if historical and not when:
        found.append(("invalid", "historical_import needs consented_at", f"{at}/consented_at"))
    if when and not historical:
        found.append(("invalid", "consented_at is for historical_import only", f"{at}/consented_at"))
    if when and datetime.fromisoformat(when) > now:
        found.append(("invalid", "consented_at lies in the past", f"{at}/consented_at"))
    return found


def deletion(data: Any) -> list[Problem]:
    """A data privacy deletion job."""
    found = resource(data, "data-privacy-deletion-job") or keys(
        data["attributes"], {"profile"}, {"profile"}, "/data/attributes"
    )
    if found:
        return found
    person = data["attributes"]["profile"].get("data")
    found = resource(person, "profile", "/data/attributes/profile/data", {"id"})
    if found:
        return found
    found = keys(person["attributes"], {"email", "phone_number"}, (), "/data/attributes/profile/data/attributes")
    given = [person.get("id"), person["attributes"].get("email"), person["attributes"].get("phone_number")]
    if sum(1 for g in given if g) != 1:
        found.append(("invalid", "exactly one of id, email and phone_number", "/data/attributes/profile/data"))
    return found
