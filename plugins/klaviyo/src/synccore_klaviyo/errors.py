"""What Klaviyo's refusals say."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import field, frozen

from synccore.errors import AuthError, ConfigError, RateLimited, Rejected, SynccoreError, Transient, redact
from synccore.http import Response, parse_retry_after, target_fault

from .shapes import ERRORS

__all__ = ["ADVICE", "ApiError", "MissingScope", "Problem", "error_of"]

#: A 429 always carries Retry-After; should a proxy swallow it, wait this long.
DEFAULT_RETRY = timedelta(seconds=10)


@frozen
class Problem:
    """One entry of an answer's `errors`; `pointer` is where in the body, `detail` is redacted."""

    code: str
    detail: str
    pointer: str = ""
    meta: Mapping[str, Any] = field(factory=dict, repr=False)

    @property
    def field_name(self) -> str | None:
        """The attribute or property the pointer names: `/data/attributes/properties/colour` -> `colour`."""
        parts = [p for p in self.pointer.split("/") if p]
        if "attributes" not in parts:
            return None
        rest = parts[len(parts) - parts[::-1].index("attributes") :]
        if rest[:1] == ["properties"] and len(rest) > 1:
            return rest[1]
        return rest[0] if rest else None


class ApiError(Rejected):
    """Klaviyo refuses the request.

    Attributes:
        status: 400, 404, 405, 409, 413, 415 or 422.
        problems: what it says, in order.
    """

    def __init__(self, status: int, problems: Sequence[Problem], message: str) -> None:
        super().__init__(message, [p.field_name for p in problems if p.field_name])
        self.status = status
        self.problems = tuple(problems)


class MissingScope(AuthError):
    """The key is valid and lacks a scope."""

    def __init__(self, scopes: Sequence[str]) -> None:
        super().__init__(
            f"the key is valid but lacks a scope this call needs: {', '.join(scopes)}."
            " Make a new private key with it in Klaviyo under Settings > API keys"
        )
        self.scopes = tuple(scopes)


#: What helps a person against Klaviyo's words, and the plugin's own about a profile.
ADVICE = (
    (
        "test domain",
        "Addresses of test domains are dropped by Klaviyo: leave them out with when in {route}, or dismiss.",
    ),
    ("needs one to know whose", "Nobody has an address here: leave such records out of {route} with when."),
    ("nobody knows whose event", "Nobody has an address here: leave such records out of {route} with when."),
    ("phone", "Klaviyo does not take that number: correct it in the shop, or map another one in {route}."),
    ("e-mail address", "Klaviyo does not take that address: correct it in the shop."),
    ("email", "Klaviyo does not take that address: correct it in the shop."),
    ("duplicate", "Another profile has that address or number: merge the two at Klaviyo, then retry."),
    ("names that begin with $", "Map the value under a name of your own in {route}."),
    ("the route maps no metric", "Give {route} a field metric: the name of the event."),
    ("Klaviyo accepts", "Map fewer or shorter properties in {route}."),
)


@frozen
class Call:
    """What was asked: method and path for people, the scopes it needs, what a 429 to it holds, the API's revision."""

    name: str
    scopes: Sequence[str]
    holds: str
    revision: str


def error_of(answer: Response, now: datetime, call: Call, *, jitter: timedelta, writes: bool) -> SynccoreError:
    """The error that core acts on.

    Args:
        jitter: for a 429: asking before the time is over gives another one, so it only ever adds.
    """
    status, problems = answer.status, _problems(answer)
    said = f"{call.name}: HTTP {status}"
    if problems:
        said += ": " + "; ".join(f"{p.code}: {p.detail}" for p in problems[:5])
    if status == 429:
        wait = parse_retry_after(answer.headers.get("retry-after"), now) or DEFAULT_RETRY
        return RateLimited(said, retry_after=wait + jitter, scope=call.holds)
    if status == 401:
        return AuthError(f"Klaviyo does not accept the private key ({said})")
    if status == 403:
        if problems:
            return MissingScope(_missing(call.scopes, problems))
        return Transient(f"{said}: a web page instead of an answer, blocked in front of Klaviyo")
    if status == 410:
        return ConfigError(f"{said}: revision {call.revision} is no longer served, set a newer `revision`")
    # Without a word of Klaviyo's own, or of its endpoint instead of its record, it is no record's fault.
    fault = target_fault(answer, now, writes=writes)
    # 413 is for the caller, who sends less.
    if fault and status < 500 and status != 413 and (not problems or status in (405, 408, 421, 425)):
        return fault
    if 400 <= status < 500:
        return ApiError(status, problems, said if problems else f"{said}: {answer.excerpt()}")
    # 503 is refused before any work; behind other 5xx the request may have been carried out.
    return Transient(said, maybe_applied=writes and status != 503)


def _problems(answer: Response) -> list[Problem]:
    """The entries of an answer's `errors`."""
    found = answer.json_or_none(ERRORS)
    return [
        Problem(
            code=str(e.get("code") or "error"),
            detail=redact(str(e.get("detail") or e.get("title") or ""), 300),
            pointer=e.get("source", {}).get("pointer", ""),
            meta=e.get("meta", {}),
        )
        for e in (found["errors"] if found is not None else ())
    ]


def _missing(needed: Sequence[str], problems: Sequence[Problem]) -> tuple[str, ...]:
    """Those of the needed scopes that a 403 names; all of them where it names none."""
    named = {word for p in problems for word in re.findall(r"(?<![a-z-])[a-z-]++:(?:read|write)", p.detail)}
    return tuple(s for s in needed if s in named) or tuple(needed)
