"""The stand-in's front door: key, revision, media type, scopes and quotas; then the endpoint."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from attrs import define

from synccore.testing import LoopbackServer, Reply, Request

from .answers import MEDIA_TYPE, error

__all__ = ["SCOPES", "Transport"]

REVISIONS = (
    "2025-01-15",
    "2025-04-15",
    "2025-07-15",
    "2025-10-15",
    "2026-01-15",
    "2026-04-15",
    "2026-07-15",
    "2026-10-15",
)
SCOPES = (
    "accounts:read", "data-privacy:write", "events:read", "events:write", "lists:read", "lists:write", "metrics:read",
    "profiles:read", "profiles:write", "subscriptions:read", "subscriptions:write",
)  # fmt: skip
BODY_LIMIT = 5 * 1024 * 1024
#: (burst per second, steady per minute) by tier.
XS, S, M, L, XL = (1, 15), (3, 60), (10, 150), (75, 750), (350, 3500)
_CONSENT = ("lists:write", "profiles:write", "subscriptions:write")


_ID = r"([\w-]+)"
_ROUTES: tuple[tuple[str, str, tuple[int, int], tuple[str, ...], str], ...] = (
    ("GET", "/api/accounts", XS, ("accounts:read",), "accounts"),
    ("GET", "/api/metrics", M, ("metrics:read",), "metrics"),
    ("GET", "/api/lists", L, ("lists:read",), "lists"),
    ("GET", f"/api/lists/{_ID}", L, ("lists:read",), "list"),
    ("GET", "/api/profiles", L, ("profiles:read",), "profiles"),
    ("PATCH", f"/api/profiles/{_ID}", L, ("profiles:write",), "patch"),
    ("POST", "/api/profile-import", L, ("profiles:write",), "import"),
    ("POST", "/api/profile-merge", M, ("profiles:write",), "merge"),
    ("POST", "/api/profile-bulk-import-jobs", M, ("lists:write", "profiles:write"), "submit"),
    ("GET", "/api/profile-bulk-import-jobs", M, ("lists:read", "profiles:read"), "jobs"),
    ("GET", f"/api/profile-bulk-import-jobs/{_ID}", M, ("lists:read", "profiles:read"), "status"),
    ("GET", f"/api/profile-bulk-import-jobs/{_ID}/import-errors", M, ("profiles:read",), "errors"),
    ("POST", "/api/profile-subscription-bulk-create-jobs", L, _CONSENT, "subscribe"),
    ("POST", "/api/profile-subscription-bulk-delete-jobs", L, _CONSENT, "unsubscribe"),
    ("POST", "/api/profile-suppression-bulk-create-jobs", L, ("profiles:write", "subscriptions:write"), "suppress"),
    ("POST", "/api/data-privacy-deletion-jobs", S, ("data-privacy:write",), "erase"),
    ("POST", "/api/events", XL, ("events:write",), "event"),
    ("GET", "/api/events", XL, ("events:read",), "listed_events"),
    ("POST", "/api/event-bulk-create-jobs", M, ("events:write",), "bulk_events"),
)  # fmt: skip


@define
class _Window:
    per: float
    limit: int
    start: float = 0.0
    used: int = 0

    def roll(self, now: float) -> None:
        # The server's windows stand on its own clock, not on a client's first request.
        start = now - now % self.per
        if start > self.start:
            self.start, self.used = start, 0


class Transport(LoopbackServer):
    """Refuses what Klaviyo refuses before it looks at the body; subclasses have a method per endpoint."""

    def __init__(
        self, *, key: str, scopes: Sequence[str], clock: Callable[[], datetime] | None, limits: bool, port: int
    ) -> None:
        self.key = key
        self.scopes = set(scopes)
        self.limits = limits
        #: Whether a 403 says which scope is missing; the documentation does not promise it.
        self.names_scopes = True
        self.throttled = 0
        self.now = clock or (lambda: datetime.now(UTC))
        self._windows: dict[str, tuple[_Window, _Window]] = {}
        self._blocked: dict[tuple[str, str], datetime] = {}
        super().__init__(port)

    def throttle(self, method: str, path: str, duration: timedelta) -> None:
        """Answer this endpoint with 429 until then, as when other users of the account have spent its quota."""
        with self._lock:
            self._blocked[(method, path)] = self.now() + duration

    def advance(self) -> None:
        """Carry out what Klaviyo has taken and is due by now: jobs, deletions."""

    def handle(self, request: Request) -> Reply:
        """One request, as the transport rules allow."""
        self.advance()
        refused = self._transport(request)
        if refused:
            return refused
        for method, pattern, tier, scopes, name in _ROUTES:
            match = re.fullmatch(pattern, request.path)
            if method == request.method and match:
                answer = partial(self._scoped, request, scopes, getattr(self, f"answer_{name}"), match.groups())
                return self._limited(request, f"{method} {pattern}", tier, answer)
        return error(404, "not_found", f"{request.method} {request.path} is not here")

    def _transport(self, request: Request) -> Reply | None:
        if request.headers.get("authorization") != f"Klaviyo-API-Key {self.key}":
            return error(401, "authentication_failed", "Incorrect authentication credentials.")
        revision = request.headers.get("revision")
        if not revision:
            return error(400, "invalid", "The revision header is required.")
        if revision not in REVISIONS:
            return error(
                410 if revision < REVISIONS[0] else 400, "invalid", f"{revision} is no revision that is served."
            )
        if request.method in ("POST", "PATCH", "DELETE") and request.headers.get("content-type") != MEDIA_TYPE:
            return error(415, "unsupported_media_type", f"Send {MEDIA_TYPE}.")
        if MEDIA_TYPE not in request.headers.get("accept", ""):
            return error(406, "not_acceptable", f"Accept {MEDIA_TYPE}.")
        if len(request.body) > BODY_LIMIT:
            return error(413, "payload_too_large", "A request takes at most 5 MB.")
        return None

    def _throttled(self, seconds: float) -> Reply:
        self.throttled += 1
        wait = max(1, round(seconds + 0.5))
        said = f"Request was throttled. Expected available in {wait} second."
        return error(429, "throttled", said, headers={"Retry-After": str(wait)})

    def _limited(self, request: Request, name: str, tier: tuple[int, int], answer: Callable[[], Reply]) -> Reply:
        now = self.now().timestamp()
        blocked = self._blocked.get((request.method, request.path))
        if blocked is not None and blocked > self.now():
            return self._throttled(blocked.timestamp() - now)
        if not self.limits:
            return answer()
        burst, steady = self._windows.setdefault(name, (_Window(1.0, tier[0]), _Window(60.0, tier[1])))
        for window in (burst, steady):
            window.roll(now)
            if window.used >= window.limit:
                return self._throttled(window.start + window.per - now)
        burst.used += 1
        steady.used += 1
        reply = answer()
        headers = {
            "RateLimit-Limit": str(steady.limit),
            "RateLimit-Remaining": str(steady.limit - steady.used),
            "RateLimit-Reset": str(int(steady.start + 60 - now)),
        }
        return Reply(reply.status, reply.body, {**headers, **reply.headers})

    def _scoped(
        self, request: Request, scopes: Sequence[str], answer: Callable[..., Reply], ids: tuple[str, ...]
    ) -> Reply:
        if missing := [s for s in scopes if s not in self.scopes]:
            said = "You do not have permission to perform this action."
            if self.names_scopes:
                said += f" Missing scopes: {', '.join(missing)}."
            return error(403, "permission_denied", said)
        if request.method == "GET":
            return answer(request, *ids)
        try:
            body = request.json()
        except ValueError:
            return error(400, "invalid", "The body is not JSON.", "/")
        if not isinstance(body, dict) or set(body) != {"data"}:
            return error(400, "invalid", "The document has exactly one member, data.", "/data")
        return answer(body["data"], *ids)
