"""Import jobs for large batches: cut to size, submitted once, their errors brought back to the records.

Before a job is posted its operations are written down, afterwards its id. So whoever comes back after a crash finds
either the job's id, or that a job may exist without one, and looks for it among Klaviyo's jobs before posting again.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import frozen

from synccore.entities import normalize_email
from synccore.errors import Conflict, RateLimited, Rejected, SynccoreError, Transient, redact
from synccore.types import Context, Delivered, Failed, Job, Operation, Outcome, Submitted

from .client import BULK_ERRORS, BULK_IMPORT, BULK_IMPORTS, BULK_STATUS, PROFILES_LIMIT, Client, dumps
from .errors import ApiError
from .match import SKEW, find, is_older
from .profile import Profile, build
from .read import Reader

__all__ = ["POLL", "Holding", "Jobs"]

#: 5 MB per job, counted the short way, less the envelope.
JOB_LIMIT = 4_990_000
#: Klaviyo keeps jobs for about a week; so do we keep what was in them.
REMEMBERED = timedelta(days=7)
ERRORS_PAGE = 100
#: States of a job that is not through.
RUNNING = ("queued", "processing")
#: How long a newer state waits before it looks again whether the job with the older one is through.
POLL = timedelta(seconds=5)
_INTENT = "import:"


@frozen
class Item:
    """An operation with its record as it goes into the job."""

    operation: Operation
    body: bytes


@frozen
class Holding:
    """A job that holds a record and is not through; its id is None where its post was never answered."""

    job: str | None
    since: datetime


def _mark(operation: Operation) -> str:
    """What this state of this record is remembered by: `<record>:<state>`."""
    return f"{_record_of(operation.route, operation.uid)}:{_digest(operation.idempotency_key)}"


def _record_of(route: str, uid: str) -> str:
    return _digest(f"{route} {uid}")


def _record(mark: str) -> str:
    return mark.partition(":")[0]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Jobs:
    """Submits and collects profile import jobs of one sink instance."""

    def __init__(self, client: Client, context: Context) -> None:
        self._client = client
        self._context = context
        self._state = context.state()

    # -- submit

    def submit(self, operations: Sequence[Operation], profiles: Mapping[int, Profile]) -> dict[int, Outcome]:
        """Hand the operations to as few jobs as fit."""
        outcomes: dict[int, Outcome] = {}
        for chunk in _chunks([Item(op, dumps(profiles[op.id].resource())) for op in operations]):
            outcomes |= self._post(chunk)
        return outcomes

    def _post(self, items: Sequence[Item]) -> dict[int, Outcome]:
        if not items:
            return {}
        intent = {
            "marks": [_mark(i.operation) for i in items],
            "at": self._context.clock.now().isoformat(),
            "job": None,
            "told": [],
        }
        name = _INTENT + hashlib.sha256("".join(intent["marks"]).encode()).hexdigest()[:32]  # type: ignore[arg-type]
        self._state.put({name: intent})
        try:
            answer = self._client.call(BULK_IMPORT, body=_body(items))
        except ApiError as error:
            self._state.put({name: None})
            return self._refused(items, error)
        except SynccoreError as error:
            if not (isinstance(error, Transient) and error.maybe_applied):
                self._state.put({name: None})
            return {i.operation.id: Failed(error) for i in items}
        job = str(answer["data"]["id"])
        self._state.put({name: {**intent, "job": job}})
        return {i.operation.id: Submitted(job) for i in items}

    def _refused(self, items: Sequence[Item], error: ApiError) -> dict[int, Outcome]:
        """One bad record refuses the whole job: leave out the ones Klaviyo points at, else cut in halves."""
        if len(items) == 1:
            return {items[0].operation.id: Failed(error)}
        pointed = {n: p for p in error.problems if (n := _index(p.pointer)) is not None and n < len(items)}
        if not pointed or error.status == 413:
            middle = len(items) // 2
            return self._post(items[:middle]) | self._post(items[middle:])
        outcomes: dict[int, Outcome] = {
            items[n].operation.id: Failed(Rejected(f"{p.code}: {p.detail}", [p.field_name] if p.field_name else []))
            for n, p in pointed.items()
        }
        return outcomes | self._post([i for n, i in enumerate(items) if n not in pointed])

    def held(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        """The operations whose records are in a job of ours that nobody has collected.

        The very state is in it: `Submitted`. An older state is in it, and the job still runs: the newer one waits,
        for jobs keep no order among each other.
        """
        held: dict[int, Outcome] = {}
        marks = {op.id: _mark(op) for op in operations}
        records = {_record(m) for m in marks.values()}
        oldest = self._context.clock.now() - REMEMBERED
        for name, intent in list(self._state.scan(_INTENT)):
            if datetime.fromisoformat(intent["at"]) < oldest:
                self._state.put({name: None})
                continue
            untold = _untold(intent)
            theirs = {_record(m) for m in untold}
            if not records & theirs:
                continue
            if job := intent["job"] or self._found(name, intent):
                held |= self._holds(job, untold, {n: m for n, m in marks.items() if _record(m) in theirs})
        return held

    def _holds(self, job: str, states: Collection[str], marks: Mapping[int, str]) -> dict[int, Outcome]:
        held: dict[int, Outcome] = {n: Submitted(job) for n, mark in marks.items() if mark in states}
        older = marks.keys() - held.keys()
        if older and self._status(job)[0] in RUNNING:
            wait = RateLimited("an import job still holds an older state of it", retry_after=POLL, scope="operation")
            held |= {n: Failed(wait) for n in older}
        elif not held:
            newer = {_record(m) for m in marks.values()}
            self._forget(job, {m for m in states if _record(m) in newer})
        return held

    def _found(self, name: str, intent: Mapping[str, Any]) -> str | None:
        """The job that was posted without our learning its id: same size, made just then, and nobody else's."""
        ours = {i["job"] for _, i in self._state.scan(_INTENT)}
        since = datetime.fromisoformat(intent["at"]) - SKEW
        candidates = []
        for page in self._client.pages(BULK_IMPORTS, params={"sort": "-created_at", "page[size]": 100}):
            recent = [j for j in page if datetime.fromisoformat(j["attributes"]["created_at"]) >= since]
            candidates += [
                str(j["id"])
                for j in recent
                if j["id"] not in ours and j["attributes"]["total_count"] == len(intent["marks"])
            ]
            if len(recent) < len(page):
                break
        # The oldest is nearest to the moment we asked. None: the request never arrived, so it is posted again.
        job = candidates[-1] if candidates else None
        self._state.put({name: {**intent, "job": job} if job else None})
        return job

    # -- collect

    def collect(self, job: Job) -> list[Outcome] | None:
        """One outcome per operation, or None while the job runs."""
        status, failed = self._status(job.id)
        if status in RUNNING:
            return None
        marks = {_mark(op) for op in job.operations}
        if status != "complete":
            self._forget(job.id, marks)
            # Of one that Klaviyo forgot nobody knows whether it was carried out; of one that was cancelled, how far.
            error = Transient(f"the import job is {status}", maybe_applied=True, outage=False)
            return [Failed(error)] * len(job.operations)
        errors = self._errors(job) if failed else {}
        outcomes = self._outcomes(job, errors)
        self._forget(job.id, marks)
        return outcomes

    def runs(self, job_id: str) -> bool:
        """Whether Klaviyo may still write what is in this job."""
        return self._status(job_id)[0] in RUNNING

    def holding(self, routes: Collection[str], uids: Collection[str]) -> Holding | None:
        """The newest job that may still write one of these records."""
        records = {_record_of(route, uid) for route in routes for uid in uids}
        intents = [i for _, i in self._state.scan(_INTENT) if records & {_record(m) for m in _untold(i)}]
        found = [
            Holding(intent["job"], datetime.fromisoformat(intent["at"]))
            for intent in intents
            if intent["job"] is None or self.runs(intent["job"])
        ]
        return max(found, key=lambda h: h.since, default=None)

    def _status(self, job_id: str) -> tuple[str, int]:
        """Its status, and how many records it refused; a job that Klaviyo forgot is "gone"."""
        try:
            attributes = self._client.call(BULK_STATUS, job_id)["data"]["attributes"]
        except ApiError as error:
            if error.status != 404:
                raise
            return "gone", 0
        return str(attributes["status"]), attributes.get("failed_count") or 0

    def _outcomes(self, job: Job, errors: Mapping[int, SynccoreError]) -> list[Outcome]:
        emails = {op.id: normalize_email(str(op.fields.get("email") or "")) for op in job.operations}
        unknown = {emails[op.id] for op in job.operations if op.id not in errors and not _linked(op)}
        # A job tells no ids, and a record it dropped silently is not among its errors: ask who is there now.
        found = find(self._client, "email", unknown)
        keep = Reader(self._client).kept([op for op in job.operations if op.id not in errors])
        outcomes: list[Outcome] = []
        for op in job.operations:
            twin = found.get(emails[op.id])
            if op.id in errors:
                outcomes.append(Failed(errors[op.id]))
            elif _linked(op) or twin is not None:
                outcomes.append(_delivered(op, build(op, keep.get(op.id)), twin, job.submitted_at))
            else:
                text = "the import job is complete, and the profile is not there"
                outcomes.append(Failed(Transient(text, outage=False)))
        return outcomes

    def _errors(self, job: Job) -> dict[int, SynccoreError]:
        """Operation id -> what Klaviyo says about its record."""
        by_mark = {_mark(op): op for op in job.operations}
        intent = next((i for _, i in self._state.scan(_INTENT) if i["job"] == job.id), None)
        order = [by_mark.get(m) for m in intent["marks"]] if intent else list(job.operations)
        by_email = {normalize_email(str(op.fields.get("email") or "")): op for op in job.operations}
        found: dict[int, SynccoreError] = {}
        for page in self._client.pages(BULK_ERRORS, job.id, params={"page[size]": ERRORS_PAGE}):
            for one in page:
                attributes = one["attributes"]
                op = by_email.get(_email(attributes.get("original_payload")))
                index = _index((attributes.get("source") or {}).get("pointer") or "")
                if op is None and index is not None and index < len(order):
                    op = order[index]
                if op is not None:
                    found[op.id] = _error(attributes)
        return found

    def _forget(self, job_id: str, marks: Collection[str]) -> None:
        """These states may be submitted again from here on; where they stood in the job stays known."""
        for name, intent in self._state.scan(_INTENT):
            if intent["job"] == job_id and _untold(intent):
                told = {*intent.get("told", ()), *marks}
                self._state.put({name: {**intent, "told": [m for m in intent["marks"] if m in told]}})


def _untold(intent: Mapping[str, Any]) -> set[str]:
    """What is in a job and was not asked for yet."""
    return set() if intent.get("done") else {*intent["marks"]} - {*intent.get("told", ())}


def _linked(operation: Operation) -> bool:
    return bool(operation.link and operation.link.remote_id)


def _delivered(
    operation: Operation, profile: Profile, twin: Mapping[str, Any] | None, submitted_at: datetime
) -> Delivered:
    remote_id, adopted = operation.link.remote_id if operation.link else "", None
    if twin is not None:
        remote_id = str(twin["id"])
        adopted = is_older(twin, submitted_at)
    return Delivered(remote_id=remote_id, fields=profile.held, left_out=profile.left_out, adopted=adopted)


def _chunks(items: Sequence[Item]) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    size = 0
    for item in items:
        if chunk and (len(chunk) >= PROFILES_LIMIT or size + len(item.body) + 1 > JOB_LIMIT):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += len(item.body) + 1
    if chunk:
        yield chunk


def _body(items: Sequence[Item]) -> bytes:
    head = b'{"data":{"type":"profile-bulk-import-job","attributes":{"profiles":{"data":['
    return head + b",".join(i.body for i in items) + b"]}}}}"


def _index(pointer: str) -> int | None:
    """The record a pointer names: `/data/attributes/profiles/data/12/attributes/email` -> 12."""
    numbers = [p for p in pointer.split("/") if p.isdecimal()]
    return int(numbers[0]) if numbers else None


def _email(payload: Any) -> str:
    """The address in `original_payload`, whether it is the attributes or the whole resource."""
    payload = payload or {}
    attributes = payload.get("attributes") if isinstance(payload.get("attributes"), Mapping) else payload
    return normalize_email(str(attributes.get("email") or "\0"))


def _error(attributes: Mapping[str, Any]) -> SynccoreError:
    code, detail = str(attributes["code"]), redact(str(attributes.get("detail") or attributes.get("title")), 300)
    if "duplicate" in code or "conflict" in code or code == "not_found":
        # Identifiers of different profiles: the single call resolves that, and one record alone takes it.
        return Conflict(f"{code}: {detail}")
    pointer = str((attributes.get("source") or {}).get("pointer") or "")
    name = pointer.rsplit("/", 1)[-1]
    return Rejected(f"{code}: {detail}", [name] if name and not name.isdecimal() and name != "attributes" else [])
