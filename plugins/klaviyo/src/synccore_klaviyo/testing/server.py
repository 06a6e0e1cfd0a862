"""A Klaviyo account on loopback: its endpoints."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from attrs import define, field

from synccore.testing import Reply, Request

from . import strict
from .answers import MEDIA_TYPE, document, duplicate, error, identifier_filter, invalid, shown
from .store import Clash, Person, Store, Write
from .transport import SCOPES, Transport

__all__ = ["FakeKlaviyo"]

RUNNING = ("queued", "processing")


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


class FakeKlaviyo(Transport):
    """A Klaviyo account.

    Args:
        scopes: what the key may do; all by default.
        clock: gives the time; the real one by default. Hand over a fake clock's `now` to move it by hand.
        limits: whether quotas are enforced.
        polls_until_done: how often a job says it is not ready; None leaves it to `finish_jobs`.
        job_time: how long an import job runs by the clock, however often it is asked; overrides `polls_until_done`.
        deletion_time: how long a deletion takes once it was asked for.
        opt_out_time: how long an opt-out takes; it finds the person by the address they have then.
        merge_time: how long a merge takes; until then both profiles are there.

    Attributes:
        store: profiles, events and metrics.
        jobs: import jobs by id.
        refuse: e-mail address -> (code, detail): these records are refused, each by itself, in a job and in a call.
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
        job_time: timedelta | None = None,
        deletion_time: timedelta = timedelta(0),
        opt_out_time: timedelta = timedelta(0),
        merge_time: timedelta = timedelta(seconds=1),
        port: int = 0,
    ) -> None:
        self.polls_until_done = polls_until_done
        self.job_time = job_time
        self.deletion_time = deletion_time
        self.opt_out_time = opt_out_time
        self.merge_time = merge_time
        #: What was taken and is not carried out yet, with its time.
        self._agenda: list[tuple[datetime, Callable[[], None]]] = []
        self.jobs: dict[str, Job] = {}
        self.refuse: dict[str, tuple[str, str]] = {}
        self.lists: dict[str, str] = {}
        self.erased: list[Mapping[str, Any]] = []
        self.organization = "Shop"
        self.account_id = "AbC123"
        super().__init__(key=key, scopes=scopes, clock=clock, limits=limits, port=port)
        self.store = Store(self.now)

    # -- for tests

    def person(self, email: str) -> Person | None:
        """The profile with that address, as it is now."""
        with self._lock:
            self.advance()
            return self.store.owner("email", email)

    def add_person(self, **attributes: Any) -> Person:
        """Put a profile there, as an import by hand would."""
        return self.store.upsert({"type": "profile", "attributes": attributes}, how="hand")[0]

    def writes(self, email: str) -> list[Write]:
        """Every state the profile with that address was ever in, by whatever write, except an import by hand."""
        with self._lock:
            self.advance()
            return [w for w in self.store.writes if w.email == email and w.how != "hand"]

    def become(self, account_id: str, organization: str) -> None:
        """Another account behind the same key and address: empty, with jobs of its own."""
        with self._lock:
            self.account_id, self.organization = account_id, organization
            self.store = Store(self.now)
            self.jobs, self.lists, self.erased, self._agenda = {}, {}, [], []

    def add_list(self, name: str) -> str:
        """Make a list; gives its id."""
        found = f"L{len(self.lists) + 1:05d}"
        self.lists[found] = name
        return found

    def events(self, metric: str | None = None) -> list[dict[str, Any]]:
        """The events kept, of one metric or all."""
        with self._lock:
            self.advance()
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

    def advance(self) -> None:
        """Jobs, deletions, merges and opt-outs whose time has come, in the order in which they end."""
        now = self.now()
        due = list(self._agenda)
        if self.job_time is not None:
            running = [job for job in self.jobs.values() if job.status in RUNNING]
            due += [(job.created_at + self.job_time, partial(self._finish, job)) for job in running]
        self._agenda = [d for d in self._agenda if d[0] > now]
        for at, carry_out in sorted(due, key=lambda d: d[0]):
            if at <= now:
                carry_out()

    def _after(self, wait: timedelta, carry_out: Callable[[], None]) -> None:
        self._agenda.append((self.now() + wait, carry_out))
        self.advance()

    # -- account, metrics, lists

    def answer_accounts(self, request: Request) -> Reply:
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
        return document([{"type": "account", "id": self.account_id, "attributes": attributes}])

    def answer_metrics(self, request: Request) -> Reply:
        found = list(self.store.metrics.values())
        if wanted := request.param("filter"):
            match = re.fullmatch(r'equals\(integration\.name,"([^"]*)"\)', wanted)
            if not match:
                return error(400, "invalid", "Unknown filter.", "filter")
            found = [m for m in found if m["integration"] == match[1]]
        if request.param("page[size]"):
            return error(400, "invalid", "page[size] is not a parameter of metrics.", "page[size]")
        data = [
            {
                "type": "metric",
                "id": m["id"],
                "attributes": {"name": m["name"], "integration": {"name": m["integration"]}},
            }
            for m in found
        ]
        return self._page(request, data, 200, 200)

    def answer_lists(self, request: Request) -> Reply:
        data = [{"type": "list", "id": k, "attributes": {"name": v}} for k, v in self.lists.items()]
        return self._page(request, data, 10, 10)

    def answer_list(self, request: Request, found: str) -> Reply:
        if found not in self.lists:
            return error(404, "not_found", "A list with that id does not exist.")
        return document({"type": "list", "id": found, "attributes": {"name": self.lists[found]}})

    # -- profiles

    def answer_profiles(self, request: Request) -> Reply:
        people = list(self.store.people.values())
        if wanted := request.param("filter"):
            found = identifier_filter(wanted)
            if found is None:
                return error(400, "invalid", "Unknown filter.", "filter")
            name, values = found
            if name == "id":
                people = [p for v in values if (p := self.store.people.get(v))]
            else:
                people = [p for v in values if (p := self.store.owner(name, v))]
        extra = "subscriptions" in (request.param("additional-fields[profile]") or "")
        return self._page(request, [shown(p, subscriptions=extra) for p in people], 20, 100)

    def answer_patch(self, data: Any, found: str) -> Reply:
        problems = strict.profile(data, with_id=True)
        if problems:
            return invalid(problems)
        if data["id"] != found:
            return error(400, "invalid", "The id differs from the path's.", "/data/id")
        if found not in self.store.people:
            return error(404, "not_found", f"A profile with id {found} does not exist.")
        for name in strict.IDENTIFIERS:
            value = data["attributes"].get(name)
            if value and (other := self.store.owner(name, value)) and other.id != found:
                return duplicate(other.id)
        self.store.write(self.store.people[found], data, how="patch")
        return document(shown(self.store.people[found]))

    def answer_import(self, data: Any) -> Reply:
        if problems := strict.profile(data):
            return invalid(problems)
        if refused := self.refuse.get(str(data["attributes"].get("email"))):
            return invalid([(*refused, "/data/attributes/email")])
        try:
            person, created = self.store.upsert(data)
        except Clash as clash:
            if clash.status == 404:
                return error(404, "not_found", f"A profile with id {clash.other} does not exist.")
            return duplicate(clash.other)
        return Reply(201 if created else 200, {"data": shown(person)}, {"Content-Type": MEDIA_TYPE})

    def answer_merge(self, data: Any) -> Reply:
        problems = strict.keys(data, {"type", "id", "relationships"}, {"type", "id", "relationships"}, "/data")
        sources = [] if problems else data["relationships"]["profiles"]["data"]
        if problems or data["type"] != "profile-merge" or len(sources) != 1:
            return invalid(problems or [("invalid", "exactly one source", "/data/relationships/profiles/data")])
        source, into = self.store.people.get(sources[0]["id"]), self.store.people.get(data["id"])
        if source is None or into is None or source is into:
            return error(404, "not_found", "A profile does not exist.")
        self._after(self.merge_time, partial(self._merge, source.id, into.id))
        return Reply(201, {"data": {"type": "profile", "id": into.id}}, {"Content-Type": MEDIA_TYPE})

    def _merge(self, source: str, into: str) -> None:
        if source in self.store.people and into in self.store.people:
            self.store.merge(self.store.people[source], self.store.people[into])

    # -- import jobs

    def answer_submit(self, data: Any) -> Reply:
        problems = strict.resource(data, "profile-bulk-import-job", extra={"relationships"}) or strict.keys(
            data["attributes"], {"profiles"}, {"profiles"}, "/data/attributes"
        )
        profiles = [] if problems else data["attributes"]["profiles"]["data"]
        at = "/data/attributes/profiles/data"
        if not problems and not 0 < len(profiles) <= 10_000:
            problems.append(("invalid", "a job takes 1 to 10,000 profiles", at))
        for index, profile in enumerate(profiles):
            problems += strict.profile(profile, f"{at}/{index}")
        if problems:
            return invalid(problems)
        job = Job(id=f"job-{len(self.jobs) + 1:06d}", profiles=profiles, created_at=self.now())
        self.jobs[job.id] = job
        return Reply(202, {"data": self._job(job)}, {"Content-Type": MEDIA_TYPE})

    def answer_jobs(self, request: Request) -> Reply:
        found = sorted(self.jobs.values(), key=lambda j: j.created_at, reverse=request.param("sort") == "-created_at")
        return self._page(request, [self._job(j) for j in found], 20, 100)

    def answer_status(self, request: Request, found: str) -> Reply:
        job = self.jobs.get(found)
        if job is None:
            return error(404, "not_found", f"A job with id {found} does not exist.")
        job.polls += 1
        by_polls = self.job_time is None and self.polls_until_done is not None
        if by_polls and job.polls > self.polls_until_done:  # type: ignore[operator]
            self._finish(job)
        elif job.status == "queued":
            job.status = "processing"
        return document(self._job(job))

    def answer_errors(self, request: Request, found: str) -> Reply:
        job = self.jobs.get(found)
        if job is None:
            return error(404, "not_found", f"A job with id {found} does not exist.")
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
                    self.store.upsert(data, how="job")
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

    def answer_subscribe(self, data: Any) -> Reply:
        now = self.now()
        problems = strict.consent(data, "profile-subscription-bulk-create-job", 1000, "SUBSCRIBED", now)
        wanted = self._wanted_list(data)
        if problems or wanted is None:
            return invalid(problems or [("not_found", "The list does not exist.", "/data/relationships/list")])
        for person in self._people(data):
            self.store.subscribe(person, wanted, data["attributes"].get("custom_source"))
        return Reply(202)

    def answer_unsubscribe(self, data: Any) -> Reply:
        problems = strict.consent(data, "profile-subscription-bulk-delete-job", 100, "UNSUBSCRIBED", self.now())
        wanted = self._wanted_list(data)
        if problems or wanted is None:
            return invalid(problems or [("not_found", "The list does not exist.", "/data/relationships/list")])

        def carry_out() -> None:
            for person in self._people(data):
                self.store.unsubscribe(person, wanted)

        self._after(self.opt_out_time, carry_out)
        return Reply(202)

    def answer_suppress(self, data: Any) -> Reply:
        problems = strict.consent(data, "profile-suppression-bulk-create-job", 100, "", self.now())
        if problems:
            return invalid(problems)

        def carry_out() -> None:
            for person in self._people(data):
                self.store.suppress(person)

        self._after(self.opt_out_time, carry_out)
        return Reply(
            202,
            {"data": {"type": "profile-suppression-bulk-create-job", "id": self.store.new_id("S")}},
            {"Content-Type": MEDIA_TYPE},
        )

    def _people(self, data: Mapping[str, Any]) -> list[Person]:
        return [self.store.addressed(one["attributes"]) for one in data["attributes"]["profiles"]["data"]]

    def _wanted_list(self, data: Mapping[str, Any]) -> str | None:
        """The list's id, "" where none is named, None where it does not exist."""
        if "relationships" not in data:
            return ""
        found = str(data["relationships"]["list"]["data"]["id"])
        return found if found in self.lists else None

    def answer_erase(self, data: Any) -> Reply:
        if problems := strict.deletion(data):
            return invalid(problems)
        wanted = data["attributes"]["profile"]["data"]
        self.erased.append(wanted)
        self._after(self.deletion_time, partial(self._delete, wanted))
        return Reply(202)

    def _delete(self, wanted: Mapping[str, Any]) -> None:
        person = self.store.people.get(wanted.get("id") or "")
        for name in ("email", "phone_number"):
            if value := wanted["attributes"].get(name):
                person = self.store.owner(name, value)
        if person is not None:
            self.store.delete(person)

    # -- events

    def answer_event(self, data: Any) -> Reply:
        if problems := strict.event(data, self.now()):
            return invalid(problems)
        attributes = data["attributes"]
        self.store.record(
            attributes, attributes["profile"]["data"], self.now(), backfill=bool(attributes.get("backfill"))
        )
        return Reply(202)

    def answer_bulk_events(self, data: Any) -> Reply:
        if problems := strict.bulk_events(data, self.now()):
            return invalid(problems)
        for entry in data["attributes"]["events-bulk-create"]["data"]:
            given = entry["attributes"]
            for event in given["events"]["data"]:
                self.store.record(
                    event["attributes"], given["profile"]["data"], self.now(), backfill=bool(given.get("backfill"))
                )
        return Reply(202)

    def answer_listed_events(self, request: Request) -> Reply:
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
            return error(400, "invalid", f"page[size] is 1 to {most}.", "page[size]")
        start = int(request.param("page[cursor]") or 0)
        following = None
        if start + size < len(data):
            query = {**dict(request.query), "page[cursor]": str(start + size)}
            following = f"https://a.klaviyo.com{request.path}?{urlencode(query)}"
        body = {"data": data[start : start + size], "links": {"self": None, "next": following, "prev": None}}
        return Reply(200, body, {"Content-Type": MEDIA_TYPE})
