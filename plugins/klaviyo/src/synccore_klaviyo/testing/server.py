"""The stand-in's HTTP side: transport rules, scopes, quotas and endpoints."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from attrs import define, field

from synccore.testing import LoopbackServer, Reply, Request

from . import _strict
from ._store import Clash, Person, Store

__all__ = ["FakeKlaviyo"]

MEDIA_TYPE = "application/vnd.api+json"
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


@define(kw_only=True)
class Job:
    """A profile import job."""

    id: str
    profiles: list[dict[str, Any]]
    created_at: datetime
    status: str = "queued"
    completed: int = 0
    errors: list[dict[str, Any]] = field(factory=list)
    polls: int = 0


class FakeKlaviyo(LoopbackServer):
    """A Klaviyo account.

    Args:
        scopes: what the key may do; all by default.
        clock: gives the time; the real one by default. Hand over a fake clock's `now` to move it by hand.
        limits: whether quotas are enforced.
        polls_until_done: how often a job says it is not ready; None leaves it to `finish_jobs`.

    Attributes:
        store: profiles, events and metrics.
        jobs: import jobs by id.
        refuse: e-mail address -> (code, detail): the import refuses these records one by one.
        throttled: how many 429 it gave.
    """

    def __init__(
        self,
        *,
        key: str = "pk_0123456789abcdef0123456789abcdef01",
        scopes: Sequence[str] = SCOPES,
        clock: Callable[[], datetime] | None = None,
        limits: bool = True,
        polls_until_done: int | None = 1,
        port: int = 0,
    ) -> None:
        self.key = key
        self.scopes = set(scopes)
        self.limits = limits
        self.polls_until_done = polls_until_done
        self.store = Store()
        self.jobs: dict[str, Job] = {}
        self.refuse: dict[str, tuple[str, str]] = {}
        self.lists: dict[str, str] = {}
        self.erased: list[Mapping[str, Any]] = []
        self.organization = "Shop"
        self.account_id = "AbC123"
        self.throttled = 0
        self._now = clock or (lambda: datetime.now(UTC))
        self._windows: dict[str, tuple[_Window, _Window]] = {}
        super().__init__(port)

    # -- for tests

    def person(self, email: str) -> Person | None:
        """The profile with that address."""
        return self.store.owner("email", email)

    def add_person(self, **attributes: Any) -> Person:
        """Put a profile there, as an import by hand would."""
        return self.store.upsert({"type": "profile", "attributes": attributes})[0]

    def add_list(self, name: str) -> str:
        """Make a list; gives its id."""
        found = f"L{len(self.lists) + 1:05d}"
        self.lists[found] = name
        return found

    def events(self, metric: str | None = None) -> list[dict[str, Any]]:
        """The events kept, of one metric or all."""
        with self._lock:
            return [e for e in self.store.events if metric in (None, e["metric"])]

    def install_woocommerce(self) -> None:
        """Klaviyo's own WooCommerce integration has sent its first orders."""
        for name in ("Placed Order", "Started Checkout", "Ordered Product"):
            self.store.metric(name, "WooCommerce")

    def finish_jobs(self) -> None:
        """Let all import jobs run to their end."""
        with self._lock:
            for job in self.jobs.values():
                self._finish(job)

    # -- transport

    def handle(self, request: Request) -> Reply:
        """One request, as the transport rules allow."""
        refused = self._transport(request)
        if refused:
            return refused
        for method, pattern, tier, scopes, answer in _ROUTES:
            match = re.fullmatch(pattern, request.path)
            if method == request.method and match:
                return self._limited(
                    f"{method} {pattern}", tier, lambda: self._scoped(request, scopes, answer, match.groups())
                )
        return _error(404, "not_found", f"{request.method} {request.path} is not here")

    def _transport(self, request: Request) -> Reply | None:
        if request.headers.get("authorization") != f"Klaviyo-API-Key {self.key}":
            return _error(401, "authentication_failed", "Incorrect authentication credentials.")
        revision = request.headers.get("revision")
        if not revision:
            return _error(400, "invalid", "The revision header is required.")
        if revision not in REVISIONS:
            return _error(
                410 if revision < REVISIONS[0] else 400, "invalid", f"{revision} is no revision that is served."
            )
        if request.method in ("POST", "PATCH", "DELETE") and request.headers.get("content-type") != MEDIA_TYPE:
            return _error(415, "unsupported_media_type", f"Send {MEDIA_TYPE}.")
        if MEDIA_TYPE not in request.headers.get("accept", ""):
            return _error(406, "not_acceptable", f"Accept {MEDIA_TYPE}.")
        if len(request.body) > BODY_LIMIT:
            return _error(413, "payload_too_large", "A request takes at most 5 MB.")
        return None

    def _limited(self, name: str, tier: tuple[int, int], answer: Callable[[], Reply]) -> Reply:
        if not self.limits:
            return answer()
        now = self._now().timestamp()
        burst, steady = self._windows.setdefault(name, (_Window(1.0, tier[0]), _Window(60.0, tier[1])))
        for window in (burst, steady):
            window.roll(now)
            if window.used >= window.limit:
                self.throttled += 1
                wait = max(1, round(window.start + window.per - now + 0.5))
                return _error(
                    429,
                    "throttled",
                    f"Request was throttled. Expected available in {wait} second.",
                    headers={"Retry-After": str(wait)},
                )
        burst.used += 1
        steady.used += 1
        reply = answer()
        headers = {
            "RateLimit-Limit": str(steady.limit),
            "RateLimit-Remaining": str(steady.limit - steady.used),
            "RateLimit-Reset": str(int(steady.start + 60 - now)),
        }
        return Reply(reply.status, reply.body, {**headers, **reply.headers})

    def _scoped(self, request: Request, scopes: Sequence[str], answer: Any, ids: tuple[str, ...]) -> Reply:
        if missing := [s for s in scopes if s not in self.scopes]:
            return _error(403, "permission_denied", f"You do not have permission to perform this action: {missing[0]}.")
        if request.method == "GET":
            reply: Reply = answer(self, request, *ids)
            return reply
        try:
            body = request.json()
        except ValueError:
            return _error(400, "invalid", "The body is not JSON.", "/")
        if not isinstance(body, dict) or set(body) != {"data"}:
            return _error(400, "invalid", "The document has exactly one member, data.", "/data")
        reply = answer(self, body["data"], *ids)
        return reply

    # -- account, metrics, lists

    def _accounts(self, request: Request) -> Reply:
        attributes = {
            "test_account": False,
            "contact_information": {
                "default_sender_name": "",
                "default_sender_email": "",
                "organization_name": self.organization,
            },
            "timezone": "Europe/Berlin",
            "preferred_currency": "EUR",
            "public_api_key": self.account_id,
            "locale": "en-US",
        }
        return _document([{"type": "account", "id": self.account_id, "attributes": attributes}])

    def _metrics(self, request: Request) -> Reply:
        found = list(self.store.metrics.values())
        if wanted := request.param("filter"):
            match = re.fullmatch(r'equals\(integration\.name,"([^"]*)"\)', wanted)
            if not match:
                return _error(400, "invalid", "Unknown filter.", "filter")
            found = [m for m in found if m["integration"] == match[1]]
        if request.param("page[size]"):
            return _error(400, "invalid", "page[size] is not a parameter of metrics.", "page[size]")
        data = [
            {
                "type": "metric",
                "id": m["id"],
                "attributes": {"name": m["name"], "integration": {"name": m["integration"]}},
            }
            for m in found
        ]
        return self._page(request, data, 200, 200)

    def _lists(self, request: Request) -> Reply:
        data = [{"type": "list", "id": k, "attributes": {"name": v}} for k, v in self.lists.items()]
        return self._page(request, data, 10, 10)

    def _list(self, request: Request, found: str) -> Reply:
        if found not in self.lists:
            return _error(404, "not_found", "A list with that id does not exist.")
        return _document({"type": "list", "id": found, "attributes": {"name": self.lists[found]}})

    # -- profiles

    def _profiles(self, request: Request) -> Reply:
        people = list(self.store.people.values())
        if wanted := request.param("filter"):
            found = _identifier_filter(wanted)
            if found is None:
                return _error(400, "invalid", "Unknown filter.", "filter")
            name, values = found
            if name == "id":
                people = [p for v in values if (p := self.store.people.get(v))]
            else:
                people = [p for v in values if (p := self.store.owner(name, v))]
        extra = "subscriptions" in (request.param("additional-fields[profile]") or "")
        return self._page(request, [_shown(p, subscriptions=extra) for p in people], 20, 100)

    def _patch(self, data: Any, found: str) -> Reply:
        problems = _strict.profile(data, with_id=True)
        if problems:
            return _invalid(problems)
        if data["id"] != found:
            return _error(400, "invalid", "The id differs from the path's.", "/data/id")
        if found not in self.store.people:
            return _error(404, "not_found", f"A profile with id {found} does not exist.")
        for name in _strict.IDENTIFIERS:
            value = data["attributes"].get(name)
            if value and (other := self.store.owner(name, value)) and other.id != found:
                return _duplicate(other.id)
        self.store.write(self.store.people[found], data)
        return _document(_shown(self.store.people[found]))

    def _import(self, data: Any) -> Reply:
        if problems := _strict.profile(data):
            return _invalid(problems)
        try:
            person, created = self.store.upsert(data)
        except Clash as clash:
            if clash.status == 404:
                return _error(404, "not_found", f"A profile with id {clash.other} does not exist.")
            return _duplicate(clash.other)
        return Reply(201 if created else 200, {"data": _shown(person)}, {"Content-Type": MEDIA_TYPE})

    def _merge(self, data: Any) -> Reply:
        problems = _strict.keys(data, {"type", "id", "relationships"}, {"type", "id", "relationships"}, "/data")
        sources = [] if problems else data["relationships"]["profiles"]["data"]
        if problems or data["type"] != "profile-merge" or len(sources) != 1:
            return _invalid(problems or [("invalid", "exactly one source", "/data/relationships/profiles/data")])
        source, into = self.store.people.get(sources[0]["id"]), self.store.people.get(data["id"])
        if source is None or into is None or source is into:
            return _error(404, "not_found", "A profile does not exist.")
        self.store.merge(source, into)
        return Reply(201, {"data": {"type": "profile", "id": into.id}}, {"Content-Type": MEDIA_TYPE})

    # -- import jobs

    def _submit(self, data: Any) -> Reply:
        problems = _strict.resource(data, "profile-bulk-import-job", extra={"relationships"}) or _strict.keys(
            data["attributes"], {"profiles"}, {"profiles"}, "/data/attributes"
        )
        profiles = [] if problems else data["attributes"]["profiles"]["data"]
        at = "/data/attributes/profiles/data"
        if not problems and not 0 < len(profiles) <= 10_000:
            problems.append(("invalid", "a job takes 1 to 10,000 profiles", at))
        for index, profile in enumerate(profiles):
            problems += _strict.profile(profile, f"{at}/{index}")
        if problems:
            return _invalid(problems)
        job = Job(id=f"job-{len(self.jobs) + 1:06d}", profiles=profiles, created_at=self._now())
        self.jobs[job.id] = job
        return Reply(202, {"data": self._job(job)}, {"Content-Type": MEDIA_TYPE})

    def _jobs(self, request: Request) -> Reply:
        found = sorted(self.jobs.values(), key=lambda j: j.created_at, reverse=request.param("sort") == "-created_at")
        return self._page(request, [self._job(j) for j in found], 20, 100)

    def _status(self, request: Request, found: str) -> Reply:
        job = self.jobs.get(found)
        if job is None:
            return _error(404, "not_found", f"A job with id {found} does not exist.")
        job.polls += 1
        if self.polls_until_done is not None and job.polls > self.polls_until_done:
            self._finish(job)
        elif job.status == "queued":
            job.status = "processing"
        return _document(self._job(job))

    def _errors(self, request: Request, found: str) -> Reply:
        job = self.jobs.get(found)
        if job is None:
            return _error(404, "not_found", f"A job with id {found} does not exist.")
        return self._page(request, job.errors, 20, 100)

    def _finish(self, job: Job) -> None:
        if job.status == "complete":
            return
        seen: set[str] = set()
        for index, data in enumerate(job.profiles):
            email = str(data["attributes"].get("email") or index)
            if email in seen:
                continue
            seen.add(email)
            problem = self.refuse.get(email)
            if problem is None:
                try:
                    self.store.upsert(data, bulk=True)
                except Clash as clash:
                    problem = ("duplicate_profile", f"The identifiers belong to profile {clash.other}.")
            if problem is None:
                job.completed += 1
                continue
            job.errors.append(
                {
                    "type": "import-error",
                    "id": f"{job.id}-{index}",
                    "attributes": {
                        "code": problem[0],
                        "title": "Invalid input.",
                        "detail": problem[1],
                        "source": {"pointer": f"/data/attributes/profiles/data/{index}/attributes"},
                        "original_payload": data["attributes"],
                    },
                }
            )
        job.status = "complete"

    def _job(self, job: Job) -> dict[str, Any]:
        return {
            "type": "profile-bulk-import-job",
            "id": job.id,
            "attributes": {
                "status": job.status,
                "created_at": job.created_at.isoformat(),
                "total_count": len(job.profiles),
                "completed_count": job.completed,
                "failed_count": len(job.errors),
            },
        }

    # -- consent, erasure

    def _subscribe(self, data: Any) -> Reply:
        now = self._now()
        problems = _strict.consent(data, "profile-subscription-bulk-create-job", 1000, "SUBSCRIBED", now)
        wanted = self._wanted_list(data)
        if problems or wanted is None:
            return _invalid(problems or [("not_found", "The list does not exist.", "/data/relationships/list")])
        for person in self._people(data):
            person.consent, person.consented_at = "SUBSCRIBED", now
            person.suppressions = [
                s for s in person.suppressions if s[0] not in ("UNSUBSCRIBE", "SPAM_COMPLAINT", "USER_SUPPRESSED")
            ]
            if wanted:
                person.lists.add(wanted)
        return Reply(202)

    def _unsubscribe(self, data: Any) -> Reply:
        problems = _strict.consent(data, "profile-subscription-bulk-delete-job", 100, "UNSUBSCRIBED", self._now())
        wanted = self._wanted_list(data)
        if problems or wanted is None:
            return _invalid(problems or [("not_found", "The list does not exist.", "/data/relationships/list")])
        for person in self._people(data):
            if wanted and wanted in person.lists:
                person.lists.discard(wanted)
                continue
            person.consent = "UNSUBSCRIBED"
            person.suppressions.append(("UNSUBSCRIBE", self._now()))
            person.lists.clear()
        return Reply(202)

    def _suppress(self, data: Any) -> Reply:
        problems = _strict.consent(data, "profile-suppression-bulk-create-job", 100, "", self._now())
        if problems:
            return _invalid(problems)
        for person in self._people(data):
            person.suppressions.append(("USER_SUPPRESSED", self._now()))
        return Reply(
            202,
            {"data": {"type": "profile-suppression-bulk-create-job", "id": self.store.new_id("S")}},
            {"Content-Type": MEDIA_TYPE},
        )

    def _people(self, data: Mapping[str, Any]) -> list[Person]:
        found = []
        for one in data["attributes"]["profiles"]["data"]:
            identifiers = {k: v for k, v in one["attributes"].items() if k in _strict.IDENTIFIERS}
            email = identifiers.get("email")
            owner = self.store.owner("email", email) if email else None
            found.append(owner or self.store.upsert({"type": "profile", "attributes": identifiers})[0])
        return found

    def _wanted_list(self, data: Mapping[str, Any]) -> str | None:
        """The list's id, "" where none is named, None where it does not exist."""
        if "relationships" not in data:
            return ""
        found = str(data["relationships"]["list"]["data"]["id"])
        return found if found in self.lists else None

    def _erase(self, data: Any) -> Reply:
        if problems := _strict.deletion(data):
            return _invalid(problems)
        wanted = data["attributes"]["profile"]["data"]
        self.erased.append(wanted)
        person = self.store.people.get(wanted.get("id") or "")
        for name in ("email", "phone_number"):
            if value := wanted["attributes"].get(name):
                person = self.store.owner(name, value)
        if person is not None:
            self.store.delete(person)
        return Reply(202)

    # -- events

    def _event(self, data: Any) -> Reply:
        if problems := _strict.event(data, self._now()):
            return _invalid(problems)
        attributes = data["attributes"]
        self.store.record(
            attributes, attributes["profile"]["data"], self._now(), backfill=bool(attributes.get("backfill"))
        )
        return Reply(202)

    def _bulk_events(self, data: Any) -> Reply:
        if problems := _strict.bulk_events(data, self._now()):
            return _invalid(problems)
        for entry in data["attributes"]["events-bulk-create"]["data"]:
            given = entry["attributes"]
            for event in given["events"]["data"]:
                self.store.record(
                    event["attributes"], given["profile"]["data"], self._now(), backfill=bool(given.get("backfill"))
                )
        return Reply(202)

    def _listed_events(self, request: Request) -> Reply:
        data = [
            {
                "type": "event",
                "id": e["id"],
                "attributes": {"event_properties": e["properties"], "datetime": e["time"].isoformat()},
            }
            for e in self.store.events
        ]
        return self._page(request, data, 200, 1000)

    def _page(self, request: Request, data: Sequence[Any], default: int, most: int) -> Reply:
        size = int(request.param("page[size]") or default)
        if not 1 <= size <= most:
            return _error(400, "invalid", f"page[size] is 1 to {most}.", "page[size]")
        start = int(request.param("page[cursor]") or 0)
        following = None
        if start + size < len(data):
            query = {**dict(request.query), "page[cursor]": str(start + size)}
            following = f"https://a.klaviyo.com{request.path}?{urlencode(query)}"
        body = {"data": data[start : start + size], "links": {"self": None, "next": following, "prev": None}}
        return Reply(200, body, {"Content-Type": MEDIA_TYPE})


def _identifier_filter(text: str) -> tuple[str, list[str]] | None:
    single = re.fullmatch(r'equals\((email|phone_number|external_id|id),"([^"\\]*)"\)', text)
    if single:
        return single[1], [single[2]]
    several = re.fullmatch(r'any\((email|phone_number|external_id|id),\[("[^"\\]*"(?:,"[^"\\]*")*)\]\)', text)
    if several:
        values = re.findall(r'"([^"]*)"', several[2])
        return (several[1], values) if len(values) <= 100 else None
    return None


def _shown(person: Person, *, subscriptions: bool = False) -> dict[str, Any]:
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
    attributes["location"] = {k: person.location.get(k) for k in sorted(_strict.LOCATION_KEYS)}
    attributes["properties"] = dict(person.properties)
    if subscriptions:
        suppressions = [{"reason": r, "timestamp": t.isoformat()} for r, t in person.suppressions]
        attributes["subscriptions"] = {
            "email": {
                "marketing": {
                    "can_receive_email_marketing": not suppressions,
                    "consent": person.consent,
                    "consent_timestamp": person.consented_at.isoformat() if person.consented_at else None,
                    "suppression": suppressions,
                    "list_suppressions": [],
                }
            }
        }
    return {"type": "profile", "id": person.id, "attributes": attributes}


def _document(data: Any) -> Reply:
    return Reply(200, {"data": data, "links": {"self": None}}, {"Content-Type": MEDIA_TYPE})


def _error(
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


def _duplicate(other: str) -> Reply:
    return _error(
        409,
        "duplicate_profile",
        "A profile already exists with one of these identifiers.",
        meta={"duplicate_profile_id": other},
    )


def _invalid(problems: Sequence[_strict.Problem]) -> Reply:
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


_Handler = Callable[..., Reply]
_ID = r"([\w-]+)"
_ROUTES: tuple[tuple[str, str, tuple[int, int], tuple[str, ...], _Handler], ...] = (
    ("GET", "/api/accounts", XS, ("accounts:read",), FakeKlaviyo._accounts),
    ("GET", "/api/metrics", M, ("metrics:read",), FakeKlaviyo._metrics),
    ("GET", "/api/lists", L, ("lists:read",), FakeKlaviyo._lists),
    ("GET", f"/api/lists/{_ID}", L, ("lists:read",), FakeKlaviyo._list),
    ("GET", "/api/profiles", L, ("profiles:read",), FakeKlaviyo._profiles),
    ("PATCH", f"/api/profiles/{_ID}", L, ("profiles:write",), FakeKlaviyo._patch),
    ("POST", "/api/profile-import", L, ("profiles:write",), FakeKlaviyo._import),
    ("POST", "/api/profile-merge", M, ("profiles:write",), FakeKlaviyo._merge),
    ("POST", "/api/profile-bulk-import-jobs", M, ("lists:write", "profiles:write"), FakeKlaviyo._submit),
    ("GET", "/api/profile-bulk-import-jobs", M, ("lists:read", "profiles:read"), FakeKlaviyo._jobs),
    ("GET", f"/api/profile-bulk-import-jobs/{_ID}", M, ("lists:read", "profiles:read"), FakeKlaviyo._status),
    ("GET", f"/api/profile-bulk-import-jobs/{_ID}/import-errors", M, ("profiles:read",), FakeKlaviyo._errors),
    ("POST", "/api/profile-subscription-bulk-create-jobs", L, _CONSENT, FakeKlaviyo._subscribe),
    ("POST", "/api/profile-subscription-bulk-delete-jobs", L, _CONSENT, FakeKlaviyo._unsubscribe),
    ("POST", "/api/profile-suppression-bulk-create-jobs", L, ("profiles:write", "subscriptions:write"), FakeKlaviyo._suppress),
    ("POST", "/api/data-privacy-deletion-jobs", S, ("data-privacy:write",), FakeKlaviyo._erase),
    ("POST", "/api/events", XL, ("events:write",), FakeKlaviyo._event),
    ("GET", "/api/events", XL, ("events:read",), FakeKlaviyo._listed_events),
    ("POST", "/api/event-bulk-create-jobs", M, ("events:write",), FakeKlaviyo._bulk_events),
)  # fmt: skip
