"""A target and a source in memory, for tests of core and of mappings: real small implementations, no mocks."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve, field, frozen

from ..config import SourceSettings
from ..entities import ENTITIES
from ..errors import Transient
from ..hookspecs import SinkType, SourceType
from ..types import (
    Account,
    Change,
    Check,
    Context,
    Delivered,
    Erased,
    Failed,
    FieldInfo,
    Hanging,
    Identity,
    Job,
    Limits,
    Link,
    LookupResult,
    ObjectInfo,
    ObjectType,
    Operation,
    Outcome,
    Page,
    Submitted,
    Uid,
    WebhookRequest,
    WriteBack,
)

__all__ = [
    "EmitterConfig",
    "EmitterSource",
    "ScriptedConfig",
    "ScriptedSink",
    "emitter_type",
    "emitters_type",
    "scripted_type",
]

#: What a script may answer for a call: an exception is raised, an outcome is given for every operation, a callable
#: is asked per operation (None: behave).
Script = Exception | Outcome | Callable[[Operation], Outcome | Exception | None]


@frozen(kw_only=True)
class ScriptedConfig:
    """`[sinks.x] type = "scripted"` has no settings."""


class ScriptedSink:
    """A target that keeps what it is sent, and misbehaves as the test says.

    Attributes:
        records: remote id -> fields, as the target holds them.
        parents: remote id -> that of the record it hangs on; written where the link says that it hangs elsewhere.
        events: idempotency keys with fields, in the order they arrived.
        calls: the operations of every `deliver`, in order.
    """

    def __init__(self, context: Context | None = None, limits: Limits | None = None) -> None:
        self.context = context
        if limits is not None:
            self.limits = limits
        self.records: dict[str, dict[str, Any]] = {}
        self.parents: dict[str, str] = {}
        self.uids: dict[str, str] = {}
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.calls: list[tuple[Operation, ...]] = []
        #: Job -> idempotency key -> outcome, and what of it was never asked for.
        self.jobs: dict[str, dict[str, Outcome]] = {}
        self._untold: dict[str, str] = {}
        self.finished_jobs: set[str] = set()
        self.jobs_submitted = 0
        self.erased: list[Link] = []
        #: (on_leave, uid) of what was let go of, in order.
        self.left: list[tuple[str, str]] = []
        #: (uid, fields) of what overtook a job; a test says with `urgent` which fields do not wait.
        self.overtaken: list[tuple[str, dict[str, Any]]] = []
        self.urgent: frozenset[str] = frozenset()
        #: Whom `account` says it is connected to; None: it cannot tell.
        self.connected: Account | None = None
        #: Answer `Submitted` to batches of at least this many operations.
        self.job_from: int | None = None
        self._script: deque[Script] = deque()
        self._always: Script | None = None
        self._lock = threading.RLock()
        self._ids = 0

    # -- the test's side

    def then(self, *script: Script) -> None:
        """What the next calls meet, one each."""
        with self._lock:
            self._script.extend(script)

    def always(self, script: Script | None) -> None:
        """What every call meets after the queued ones; None: behave."""
        with self._lock:
            self._always = script

    def finish_jobs(self) -> None:
        """Let all submitted jobs end."""
        with self._lock:
            self.finished_jobs |= set(self.jobs)

    def by_uid(self) -> Mapping[str, dict[str, Any]]:
        """`source:entity:key` -> fields; records of other objects than `thing` as `object/source:entity:key`."""
        with self._lock:
            return {uid: self.records[r] for uid, r in self.uids.items() if r in self.records}

    # -- the contract

    def check(self) -> Check:
        """Always well."""
        return Check(detail="in memory", account=self.connected)

    def describe(self) -> Sequence[ObjectInfo]:
        """One object that takes anything."""
        return [ObjectInfo(name="thing", fields=(FieldInfo(name="email"), FieldInfo(name="name")))]

    def deliver(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """Carry out, or what the script says."""
        with self._lock:
            self.calls.append(tuple(operations))
            script = self._script.popleft() if self._script else self._always
            if isinstance(script, Transient) and script.maybe_applied:
                for operation in operations:
                    self._apply(operation)
            if isinstance(script, Exception):
                raise script
            in_job = any(o.idempotency_key in self._untold for o in operations)
            if self.job_from is not None and (len(operations) >= self.job_from or in_job) and script is None:
                return self._submit(operations)
            return [self._one(operation, script) for operation in operations]

    def _one(self, operation: Operation, script: Script | None) -> Outcome:
        answer = script(operation) if callable(script) else script
        if isinstance(answer, Exception):
            return Failed(answer)
        return answer if answer is not None else self._apply(operation)

    def _submit(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """What a job holds already stays in that one."""
        fresh = [o for o in operations if o.idempotency_key not in self._untold]
        if fresh:
            self.jobs_submitted += 1
            job = f"job-{self.jobs_submitted}"
            self.jobs[job] = {o.idempotency_key: self._apply(o) for o in fresh}
            self._untold |= dict.fromkeys(self.jobs[job], job)
        return [Submitted(self._untold[o.idempotency_key]) for o in operations]

    def _apply(self, operation: Operation) -> Outcome:
        if operation.op == "event":
            if operation.idempotency_key not in [key for key, _ in self.events]:
                self.events.append((operation.idempotency_key, dict(operation.fields)))
            return Delivered()
        remote_id = operation.link.remote_id if operation.link else self._new_id(operation)
        if operation.op == "leave":
            self._leave(operation, remote_id)
        elif operation.op == "delete":
            self.records.pop(remote_id, None)
        else:
            self.records.setdefault(remote_id, {}).update(operation.fields)
            for name in operation.changed - operation.fields.keys():
                self.records[remote_id].pop(name, None)
            self._hang(operation, remote_id)
        return Delivered(remote_id=remote_id, etag=f"e{len(self.calls)}")

    def _hang(self, operation: Operation, remote_id: str) -> None:
        known = operation.link.parent_id if operation.link else None
        if operation.parent is not None and known != operation.parent.remote_id:
            self.parents[remote_id] = operation.parent.remote_id

    def _leave(self, operation: Operation, remote_id: str) -> None:
        self.left.append((operation.on_leave, operation.uid))
        if operation.on_leave == "delete":
            self.records.pop(remote_id, None)
        elif operation.on_leave == "clear" and operation.link:
            self.records[remote_id].update(dict.fromkeys(operation.link.fields))

    def overtake(self, operations: Sequence[Operation]) -> Sequence[Delivered | Failed | None]:
        """Do at once what a test called urgent."""
        with self._lock:
            answers: list[Delivered | Failed | None] = []
            for operation in operations:
                urgent = {n: v for n, v in operation.fields.items() if n in self.urgent & operation.changed}
                if urgent:
                    self.overtaken.append((operation.uid, urgent))
                answers.append(Delivered(note="at once: " + ", ".join(sorted(urgent))) if urgent else None)
            return answers

    def _new_id(self, operation: Operation) -> str:
        """Unlike a kind vendor it makes a second record when asked twice to create."""
        self._ids += 1
        self.uids[_name(operation)] = f"r{self._ids}"
        return f"r{self._ids}"

    def lookup(self, operations: Sequence[Operation]) -> Sequence[LookupResult]:
        """By uid."""
        with self._lock:
            return [
                Link(object=o.object, remote_id=self.uids[_name(o)], marked=True)
                if self.uids.get(_name(o)) in self.records
                else None
                for o in operations
            ]

    def read(self, links: Sequence[Link]) -> Sequence[Mapping[str, Any] | None]:
        """What it holds."""
        with self._lock:
            return [self._read(link.remote_id) for link in links]

    def _read(self, remote_id: str) -> Mapping[str, Any] | None:
        there, parent = self.records.get(remote_id), self.parents.get(remote_id)
        return there if there is None or parent is None else Hanging(there, parent_id=parent)

    def find(self, identity: Identity) -> Sequence[Link]:
        """By uid, and by the field `email`."""
        with self._lock:
            uids = {remote: name.rpartition("/") for name, remote in self.uids.items()}
            return [
                _named(r, *uids.get(r, ("", "", "")))
                for r, fields in self.records.items()
                if fields.get("email") in identity.emails or (r in uids and uids[r][2] in identity.uids)
            ]

    def collect(self, job: Job) -> Iterator[Outcome] | None:
        """The outcomes once the test let the job end."""
        with self._lock:
            if job.id not in self.finished_jobs:
                return None
            for operation in job.operations:
                self._untold.pop(operation.idempotency_key, None)
        return (self.jobs[job.id][operation.idempotency_key] for operation in job.operations)

    def erase(self, link: Link) -> Erased | None:
        """Forget the record; what is not ours keeps whatever we did not write."""
        with self._lock:
            self.erased.append(link)
            if not link.ours:
                for name in link.fields.keys() & self.records.get(link.remote_id, {}).keys():
                    self.records[link.remote_id][name] = None
                return Erased("released", "it is shared or was there before us")
            self.records.pop(link.remote_id, None)
            for other in link.made.values():
                self.records.pop(other, None)
            return None

    def close(self) -> None:
        """Nothing to release."""


def _name(operation: Operation) -> str:
    return operation.uid if operation.object == "thing" else f"{operation.object}/{operation.uid}"


def scripted_type(sink: ScriptedSink, name: str = "scripted", limits: Limits | None = None) -> SinkType:
    """A sink type whose instances are this one object, so that it survives a restart of the app as a vendor would."""
    return SinkType(
        name=name,
        summary="A target in memory.",
        config=ScriptedConfig,
        open=lambda _config, _context: sink,
        objects=(ObjectType(name="thing", summary="Anything."),),
        limits=limits or Limits(max_batch=10),
        any_object=True,
        leaves=("keep", "unlabel", "clear", "delete"),
    )


@frozen(kw_only=True)
class EmitterConfig(SourceSettings):
    """`[sources.x] type = "emitter"` has core's settings only."""


@frozen
class _Listing:
    page_size: int = field(default=100)


class EmitterSource:
    """A source in memory: tests put records into it, polls list them, webhooks are JSON `[entity, key]`.

    Attributes:
        records: (entity, key) -> newest change.
    """

    def __init__(self, page_size: int = 100) -> None:
        self.records: dict[tuple[str, str], Change] = {}
        self.written_back: list[WriteBack] = []
        self.fail_polls: deque[Exception] = deque()
        self.polls = 0
        self._page = _Listing(page_size)

    def put(self, *changes: Change) -> None:
        """Make these the newest state (deletes remove)."""
        for change in changes:
            if change.op == "delete":
                self.records.pop((change.entity, change.key), None)
            else:
                self.records[change.entity, change.key] = change

    def check(self) -> Check:
        """Always well."""
        return Check(detail="in memory")

    def poll(self, entity: str, cursor: str | None, filters: Mapping[str, str]) -> Iterator[Page]:
        """Everything, by key (9 before 10), in pages; a cursor is the last key given. Filters compare attributes as
        text."""
        self.polls += 1
        found = sorted((c for (e, _), c in self.records.items() if e == entity), key=lambda c: _place(c.key))
        found = [c for c in found if all(str(getattr(c.data, k, None)) == v for k, v in filters.items())]
        rest = [c for c in found if cursor is None or _place(c.key) > _place(cursor)]
        size = self._page.page_size
        for start in range(0, max(len(rest), 1), size):
            if self.fail_polls:
                raise self.fail_polls.popleft()
            page = rest[start : start + size]
            last = start + size >= len(rest)
            yield Page(changes=page, cursor=None if last else page[-1].key, total=len(found))

    def receive(self, request: WebhookRequest) -> Sequence[Change]:
        """A webhook names a record."""
        import json

        entity, key = json.loads(request.body)
        found = self.records.get((entity, key))
        return [found] if found else [Change(entity=entity, key=key, op="delete")]

    def subscribe(self, hook_url: str) -> str:
        """There is nothing to subscribe to."""
        return f"would send to {hook_url}"

    def unsubscribe(self) -> str:
        """Nothing either."""
        return "nothing to remove"

    def write_back(self, links: Sequence[WriteBack]) -> Sequence[Outcome]:
        """Keep them."""
        self.written_back.extend(links)
        return [Delivered(remote_id=link.key) for link in links]

    def fetch(self, entity: str, key: str) -> Change | None:
        """The newest state."""
        return self.records.get((entity, key))

    def close(self) -> None:
        """Nothing to release."""


def emitter_type(source: EmitterSource, name: str = "emitter") -> SourceType:
    """A source type whose instances are this one object."""
    return evolve(emitters_type({}), name=name, open=lambda _config, _context: source)


def emitters_type(sources: Mapping[str, EmitterSource]) -> SourceType:
    """A source type whose instances are these objects, by name."""
    return SourceType(
        name="emitter",
        summary="A source in memory.",
        config=EmitterConfig,
        open=lambda _config, context: sources[context.name],
        entities=tuple(ENTITIES),
    )


def _named(remote_id: str, kind: str, _: str, uid: str) -> Link:
    """What is found, by whose id it bears."""
    who = Uid.parse(uid)
    return Link(
        object=kind or "thing",
        remote_id=remote_id,
        adopted=not uid,
        source=who.source,
        entity=who.entity,
        key=who.key,
    )


def _place(key: str) -> tuple[int, str]:
    return len(key), key
