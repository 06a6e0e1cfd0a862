"""The Klaviyo API over HTTP: endpoints, media type, quotas and errors. Knows nothing of operations.

client = Client(config, context)
client.call(PROFILE_IMPORT, body={"data": {...}})
for page in client.pages(PROFILES, {"filter": ...}): ...
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attrs import frozen

from synccore.errors import RateLimited
from synccore.http import Budget, Response, Shape
from synccore.http import Client as Http
from synccore.types import Allowance, Context
from synccore.values import json_number

from . import shapes
from .config import Config
from .errors import DEFAULT_RETRY, Call, error_of

__all__ = ["MAX_BATCH", "MEDIA_TYPE", "PROFILES_LIMIT", "Answer", "Client", "Endpoint", "dumps"]

#: Requests and answers since revision 2024-10-15; `application/json` gives 415.
MEDIA_TYPE = "application/vnd.api+json"
#: Records that one `deliver` takes by single calls.
MAX_BATCH = 50
#: Profiles in one import job.
PROFILES_LIMIT = 10_000
#: Longest wait inside one call for a quota; longer waits go back to core. Short: whatever else waits for a thread of
#: this sink, an opt-out above all, waits as long.
MAX_WAIT = timedelta(seconds=2)
#: Where it is counted what of an endpoint's quota is used.
_QUOTA = "quota:"


@frozen
class Tier:
    """A rate limit of Klaviyo's: requests per second and per minute."""

    burst: int
    steady: int

    def windows(self) -> list[tuple[int, timedelta]]:
        """Windows for a Budget that never exceed the tier, wherever the server's own windows begin.

        Klaviyo counts in fixed windows and tells only where the steady one ends. Quarter-second slices keep two of
        ours from falling into one of its seconds; the rare calls of the small tiers are spaced wider instead.
        """
        burst = (self.burst // 4, timedelta(milliseconds=250)) if self.burst >= 8 else (1, timedelta(seconds=2))
        return [burst, (self.steady, timedelta(minutes=1))]


XS, S, M, L, XL = Tier(1, 15), Tier(3, 60), Tier(10, 150), Tier(75, 750), Tier(350, 3500)


@frozen
class Endpoint:
    """One operation of the API; quotas are counted per endpoint and account.

    Attributes:
        holds: what a 429 holds: only the record, where the route has other things to do (a profile's write may wait
            for an hour, an opt-out of the same route may not); the `route` where all of it needs this endpoint.
        answers: what it answers; None where it may answer nothing.
    """

    method: str
    path: str
    tier: Tier
    scopes: tuple[str, ...]
    holds: str = "operation"
    answers: Shape | None = None

    @property
    def name(self) -> str:
        """How it is called, for people and for its quota."""
        return f"{self.method} {self.path}"


@frozen
class Answer:
    """What came back: the status and the JSON, None where the answer has no body (202, 204)."""

    status: int
    body: Any


ACCOUNTS = Endpoint("GET", "/api/accounts", XS, ("accounts:read",), answers=shapes.ACCOUNT)
METRICS = Endpoint("GET", "/api/metrics", M, ("metrics:read",), answers=shapes.METRICS)
LISTS = Endpoint("GET", "/api/lists", L, ("lists:read",), answers=shapes.TAKEN)
LIST = Endpoint("GET", "/api/lists/{}", L, ("lists:read",), answers=shapes.TAKEN)
PROFILES = Endpoint("GET", "/api/profiles", L, ("profiles:read",), answers=shapes.PEOPLE)
PROFILE_IMPORT = Endpoint("POST", "/api/profile-import", L, ("profiles:write",), answers=shapes.PERSON)
PROFILE_MERGE = Endpoint("POST", "/api/profile-merge", M, ("profiles:write",))
BULK_IMPORT = Endpoint(
    "POST", "/api/profile-bulk-import-jobs", M, ("lists:write", "profiles:write"), answers=shapes.MADE
)
BULK_IMPORTS = Endpoint(
    "GET", "/api/profile-bulk-import-jobs", M, ("lists:read", "profiles:read"), answers=shapes.IMPORTS
)
BULK_STATUS = Endpoint(
    "GET", "/api/profile-bulk-import-jobs/{}", M, ("lists:read", "profiles:read"), answers=shapes.IMPORT
)
BULK_ERRORS = Endpoint(
    "GET", "/api/profile-bulk-import-jobs/{}/import-errors", M, ("profiles:read",), answers=shapes.IMPORT_ERRORS
)
_CONSENT = ("lists:write", "profiles:write", "subscriptions:write")
SUBSCRIBE = Endpoint("POST", "/api/profile-subscription-bulk-create-jobs", L, _CONSENT)
UNSUBSCRIBE = Endpoint("POST", "/api/profile-subscription-bulk-delete-jobs", L, _CONSENT)
SUPPRESS = Endpoint("POST", "/api/profile-suppression-bulk-create-jobs", L, ("profiles:write", "subscriptions:write"))
ERASE = Endpoint("POST", "/api/data-privacy-deletion-jobs", S, ("data-privacy:write",))
EVENTS = Endpoint("GET", "/api/events", XL, ("events:read",), answers=shapes.TAKEN)
EVENT = Endpoint("POST", "/api/events", XL, ("events:write",), "route")
BULK_EVENTS = Endpoint("POST", "/api/event-bulk-create-jobs", M, ("events:write",), "route")
_ENDPOINTS = [one for one in list(globals().values()) if isinstance(one, Endpoint)]


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return json_number(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def dumps(body: Any) -> bytes:
    """The body as it goes over the wire: compact, so that sizes can be counted before sending."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=_plain).encode()


class Client:
    """Calls to one account. Safe to share between threads."""

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._context = context
        self._http = Http(
            context,
            config.api_url.rstrip("/"),
            headers={"revision": config.revision, "Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE},
        )
        self._budgets: dict[Endpoint, Budget] = {}
        self._state = context.state(config.key_digest)

    def call(
        self,
        endpoint: Endpoint,
        *ids: str,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        max_wait: timedelta = MAX_WAIT,
    ) -> Any:
        """One request; gives the answer's JSON. Raises as `send` does."""
        return self.send(endpoint, *ids, params=params, body=body, max_wait=max_wait).body

    def send(
        self,
        endpoint: Endpoint,
        *ids: str,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        max_wait: timedelta = MAX_WAIT,
    ) -> Answer:
        """One request.

        Raises:
            ApiError: refused; the caller knows what a 404, 409 or 413 means here.
            AuthError, ConfigError, RateLimited, Transient: as core handles them.
        """
        budget = self._budget(endpoint)
        self._wait_for(endpoint, budget, max_wait)
        answer = self._http.request(
            endpoint.method,
            endpoint.path.format(*ids),
            params=params,
            headers={"Authorization": f"Klaviyo-API-Key {self._config.api_key.reveal().strip()}"},
            content=None if body is None else (body if isinstance(body, bytes) else dumps(body)),
        )
        self._observe(budget, answer)
        if not answer.ok:
            error = error_of(
                answer,
                self._context.clock.now(),
                Call(f"{endpoint.method} {endpoint.path}", endpoint.scopes, endpoint.holds, self._config.revision),
                jitter=timedelta(seconds=self._context.random.uniform(0.1, 1.0)),
                writes=endpoint.method != "GET",
            )
            if answer.status == 429 and isinstance(error, RateLimited):
                budget.block(error.retry_after or DEFAULT_RETRY)
            raise error
        wrote = endpoint.method != "GET"
        if endpoint.answers is None and not answer.body:
            return Answer(answer.status, None)
        return Answer(answer.status, answer.json_as(endpoint.answers or shapes.TAKEN, wrote=wrote))

    def pages(self, endpoint: Endpoint, *ids: str, params: Mapping[str, Any]) -> Iterator[Sequence[Mapping[str, Any]]]:
        """The `data` of each page, following `links.next`."""
        asked = dict(params)
        while True:
            answer = self.call(endpoint, *ids, params=asked)
            yield answer["data"]
            following = (answer.get("links") or {}).get("next")
            cursor = parse_qs(urlsplit(following).query).get("page[cursor]") if following else None
            if not cursor:
                return
            # Only the cursor is taken over: the link names Klaviyo's host, not a proxy in front of it.
            asked = {**params, "page[cursor]": cursor[0]}

    def resume(self) -> None:
        """A person resumed the lane: what was counted of Klaviyo's windows, and its Retry-After, are void."""
        self._state.clear(_QUOTA)

    def budgets(self) -> list[Allowance]:
        """What is used of the quotas of every endpoint that was called, by whatever process."""
        called = {name.removeprefix(_QUOTA) for name, _ in self._state.scan(_QUOTA)}
        found = sorted((e for e in _ENDPOINTS if e.name in called), key=lambda e: (e.path, e.method))
        return [one for endpoint in found for one in self._budget(endpoint).allowances(endpoint.name)]

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _wait_for(self, endpoint: Endpoint, budget: Budget, max_wait: timedelta) -> None:
        """Take one call from the budget; a process that stops does not wait for it."""
        waited = timedelta(0)
        while True:
            try:
                return budget.acquire(max_wait=timedelta(0))
            except RateLimited as error:
                wait = error.retry_after or DEFAULT_RETRY
                if waited + wait > max_wait or self._context.stopping():
                    text = f"{endpoint.method} {endpoint.path}: its quota is spent"
                    raise RateLimited(text, retry_after=wait, scope=endpoint.holds) from error
            self._context.clock.sleep(wait)
            waited += wait

    def _budget(self, endpoint: Endpoint) -> Budget:
        """What all who use this key may ask of the endpoint together; a Retry-After outlives the process."""
        # setdefault is atomic: two threads that race here end with the same budget.
        return self._budgets.get(endpoint) or self._budgets.setdefault(
            endpoint,
            Budget(
                self._context.clock,
                endpoint.tier.windows(),
                self._config.headroom,
                state=self._state,
                name=_QUOTA + endpoint.name,
            ),
        )

    def _observe(self, budget: Budget, answer: Response) -> None:
        limit, remaining, reset = (
            _whole(answer.headers.get(f"ratelimit-{name}")) for name in ("limit", "remaining", "reset")
        )
        budget.observe(
            limit=limit, remaining=remaining, reset=None if reset is None else timedelta(seconds=max(reset, 1))
        )


def _whole(text: str | None) -> int | None:
    # "750, 75;w=1, 750;w=60" is how the standard's draft writes it; the first number is the one that counts.
    head = (text or "").split(",")[0].strip()
    return int(head) if head.isdecimal() else None
