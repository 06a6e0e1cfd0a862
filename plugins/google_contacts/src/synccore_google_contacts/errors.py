"""What Google's error answers mean.

The shape is `{"error": {"code", "message", "status", "details": [{"@type", ...}]}}`; proxies answer HTML. The
status word and the reason in `details` decide, not the number: Google documents an outdated etag as
FAILED_PRECONDITION and sends it with 400 (the updateContact reference; googleapis/google-api-python-client#2417).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from synccore.errors import (
    AuthError,
    BatchRejected,
    ConfigError,
    Conflict,
    RateLimited,
    Rejected,
    SynccoreError,
    Transient,
)
from synccore.http import Response, parse_retry_after, target_fault

MINUTE = timedelta(seconds=60)


class StaleEtag(Conflict):
    """The contact changed at Google since it was read."""


class SyncTokenExpired(Transient):
    """The sync token is older than 7 days: a full listing is due."""


class NotFound(Rejected):
    """Google has no such contact or label."""


class NameTaken(Rejected):
    """The account has a label of that name already."""


class AccountFull(Rejected):
    """The Google account is full: it holds at most 25,000 contacts, those in the bin included."""


class MinuteQuota(RateLimited):
    """The requests of this minute are used up."""


class DailyQuota(RateLimited):
    """The requests of this day are used up; Google counts anew at midnight Pacific time."""


class HiddenQuota(RateLimited):
    """Google's own write quota of this account is exhausted; it is not published and clears slowly."""


#: What helps a person against Google's words, and the plugin's own about a contact.
ADVICE = (
    ("birthday", "Google does not take that date: correct it in the shop, or leave the field out of {route}."),
    ("too large", "Shorten that field in the mapping of {route}."),
    ("no field of a contact", "Rename the field in the mapping of {route}."),
    ("email", "Google does not take that address: correct it in the shop."),
    ("phone", "Google does not take that number: correct it in the shop."),
)


class EntriesRejected(BatchRejected):
    """Google refuses the batch and says which entries are at fault: index or resource name -> its error."""

    def __init__(self, errors: Mapping[str, SynccoreError]) -> None:
        super().__init__(f"Google refuses {len(errors)} of the batch")
        self.errors = errors


def error_of(answer: Response, now: datetime, *, writes: bool = False) -> SynccoreError:
    """The answer as an error. `writes`: the request makes or changes contacts, and a 5xx leaves open whether it did."""
    data = answer.json_or_none()
    body = data.get("error") if isinstance(data, dict) else None
    error: dict[str, Any] = body if isinstance(body, dict) else {}
    if answer.status >= 500:
        # Asked to wait or not: a write may have been carried out.
        return Transient(_text(answer, error), maybe_applied=writes)
    fault = target_fault(answer, now)
    if isinstance(fault, RateLimited):
        return (
            _known(answer, error, now) if error else MinuteQuota(fault.message, retry_after=fault.retry_after or MINUTE)
        )
    if fault is not None:
        return fault
    # Google says with a word that a contact is not there; a gateway says with the number that it knows no such address.
    googles = error and (answer.status not in (404, 410) or error.get("status"))
    return _known(answer, error, now) if googles else _not_googles(answer, writes)


def _not_googles(answer: Response, writes: bool) -> SynccoreError:
    """The words of something in between: they say nothing of a contact, not even a 404 does."""
    text = _text(answer, {})
    return AuthError(text) if answer.status == 401 else Transient(text, maybe_applied=writes and answer.ok)


def _text(answer: Response, error: Mapping[str, Any]) -> str:
    return f"Google answered HTTP {answer.status}: {error.get('message') or answer.excerpt()}"


def _known(answer: Response, error: Mapping[str, Any], now: datetime) -> SynccoreError:
    status, message = str(error.get("status", "")), str(error.get("message") or "no reason given")
    info = _detail(error, "ErrorInfo")
    reason = str(info.get("reason", "") or _legacy_reason(error))
    text = f"Google: {message} ({status or answer.status}{', ' + reason if reason else ''})"
    if "MY_CONTACTS_OVERFLOW_COUNT" in answer.text:
        return AccountFull()
    if status == "UNAUTHENTICATED" or answer.status == 401:
        return AuthError(text)
    if reason == "SERVICE_DISABLED":
        link = str(_metadata(info).get("activationUrl") or "https://console.cloud.google.com/apis/library")
        return ConfigError(f"the People API is not enabled for this project: enable it at {link} and wait some minutes")
    if reason == "ACCESS_TOKEN_SCOPE_INSUFFICIENT":
        return AuthError("the permission to manage contacts was not given: connect again and tick the box for contacts")
    if _is_quota(answer.status, status, reason):
        return _quota(answer, error, info, reason, text, now)
    if _of_sync_token(answer.status, reason, message):
        return SyncTokenExpired(text)
    if status == "FAILED_PRECONDITION":
        return StaleEtag(text) if "etag" in message.lower() else Rejected(text)
    if answer.status == 403:
        return AuthError(text)
    if status == "NOT_FOUND":
        return NotFound(text)
    if answer.status == 409:
        return Transient(text) if status == "ABORTED" else NameTaken(text)
    if entries := _entries(error):
        return EntriesRejected(entries)
    return Rejected(text, _violations(error))


def _of_sync_token(http: int, reason: str, message: str) -> bool:
    """Whatever is wrong with a sync token, a full listing gives another one."""
    return reason == "EXPIRED_SYNC_TOKEN" or (http in (400, 410) and "sync token" in message.lower())


def _is_quota(http: int, status: str, reason: str) -> bool:
    limited = ("rateLimitExceeded", "userRateLimitExceeded", "dailyLimitExceeded", "quotaExceeded")
    return http == 429 or status == "RESOURCE_EXHAUSTED" or reason in limited


def _quota(
    answer: Response, error: Mapping[str, Any], info: Mapping[str, Any], reason: str, text: str, now: datetime
) -> RateLimited:
    asked = parse_retry_after(answer.headers.get("retry-after"), now)
    limit = str(_metadata(info).get("quota_limit", ""))
    if reason in ("dailyLimitExceeded", "quotaExceeded") or "PerDay" in limit:
        return DailyQuota(text, retry_after=asked or until_pacific_midnight(now))
    if reason or not (_detail(error, "QuotaFailure") or "check quota" in text):
        return MinuteQuota(text, retry_after=asked or MINUTE)
    return HiddenQuota(text, retry_after=asked)


def until_pacific_midnight(now: datetime) -> timedelta:
    """How long until Google's daily quotas start anew (08:00 UTC, an hour late in summer)."""
    reset = now.replace(hour=8, minute=0, second=0, microsecond=0)
    return reset - now if reset > now else reset + timedelta(days=1) - now


def entry_error(status: Mapping[str, Any]) -> SynccoreError:
    """The error of one entry of a batch (google.rpc.Status with its numeric code)."""
    message = str(status.get("message") or "no reason given")
    code = status.get("code")
    if "MY_CONTACTS_OVERFLOW_COUNT" in message:
        return AccountFull()
    if code == 5:
        return NotFound(f"Google: {message}")
    if code == 9 and "etag" in message.lower():
        return StaleEtag(f"Google: {message}")
    if code in (4, 10, 13, 14):
        return Transient(f"Google: {message}", outage=False)
    if code == 8:
        return MinuteQuota(f"Google: {message}", retry_after=MINUTE)
    return Rejected(f"Google: {message}")


def _entries(error: Mapping[str, Any]) -> dict[str, SynccoreError]:
    found: dict[str, SynccoreError] = {}
    for detail in _details(error):
        entries = detail.get("contactErrors")
        if isinstance(entries, dict):
            found |= {str(k): entry_error(v) for k, v in entries.items() if isinstance(v, dict)}
    return found


def _details(error: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    details = error.get("details")
    return [d for d in details if isinstance(d, dict)] if isinstance(details, list) else []


def _detail(error: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next((d for d in _details(error) if str(d.get("@type", "")).endswith(name)), {})


def _metadata(info: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = info.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _legacy_reason(error: Mapping[str, Any]) -> str:
    errors = error.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return str(errors[0].get("reason", ""))
    return ""


def _violations(error: Mapping[str, Any]) -> list[str]:
    violations = _detail(error, "BadRequest").get("fieldViolations")
    if not isinstance(violations, list):
        return []
    return [str(v["field"]) for v in violations if isinstance(v, dict) and v.get("field")]
