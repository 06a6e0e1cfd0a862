"""Operations and a connected sink for the tests of this plugin."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from itertools import count
from typing import Any
from urllib.parse import parse_qsl

import httpx
from attrs import evolve

from synccore.errors import RateLimited, Transient
from synccore.secrets import Secret
from synccore.testing import FakeClock, FakeContext, LoopbackServer, Request
from synccore.types import Delivered, Failed, FieldOptions, Link, Operation, Outcome, Retry, Unchanged
from synccore_google_contacts.config import Config
from synccore_google_contacts.sink import GoogleContacts
from synccore_google_contacts.testing import AutoBrowser, FakePeople, settings

_ids = count(1)


class Rig:
    """A stand-in, a context and a sink that share one clock; keeps links as core does."""

    def __init__(self, *, quota: Mapping[str, int] | None = None, lag: timedelta = timedelta(0),
                 capacity: int = 25_000, connect: bool = True, **config: Any) -> None:  # fmt: skip
        self.clock = FakeClock()
        plenty = {"critical_read": 10**6, "critical_write": 10**6, "write": 10**6, "group_read": 10**6}
        self.google = FakePeople(clock=self.clock.now, quota={**plenty, **(quota or {})}, sync_lag=lag,
                                 capacity=capacity)  # fmt: skip
        self.context = FakeContext("contacts", "google_contacts", clock=self.clock)
        self.settings = {**settings(self.google), **config}
        self.links: dict[str, Link] = {}
        self._opened: list[GoogleContacts] = []
        self.sink = self.open()
        if connect:
            self.sink.connect(AutoBrowser())

    def afresh(self, lag: timedelta) -> None:
        """Another account with an empty address book, on the same server: what a property test can afford."""
        self.clock.advance(timedelta(minutes=2))  # the quotas are the project's
        self.google.sign_in.person = {"id": str(next(_ids)), "email": "owner@shop.test", "name": "Olive Owner"}
        self.google._lag = lag
        self.context = FakeContext("contacts", "google_contacts", clock=self.clock)
        self.links.clear()
        self._opened.pop().close()
        self.sink = self.open()
        self.sink.connect(AutoBrowser())

    def open(self, context: FakeContext | None = None) -> GoogleContacts:
        """Another instance on the same state: a restart, or a second process."""
        table = {k: v for k, v in self.settings.items() if k != "type"}
        for name in ("client_secret", "service_account", "drive_api_key"):
            if isinstance(table.get(name), str):
                table[name] = Secret(table[name])
        self._opened.append(GoogleContacts(Config(**table), context or self.context))
        return self._opened[-1]

    def op(
        self,
        key: str | int,
        *,
        op: str = "upsert",
        link: Link | None = None,
        settings: Mapping[str, Any] | None = None,
        options: Mapping[str, FieldOptions] | None = None,
        maybe: bool = False,
        source: str = "shop",
        on_leave: str = "keep",
        gone: bool = False,
        bulk: bool = False,
        age: timedelta = timedelta(hours=1),
        **fields: Any,
    ) -> Operation:
        """An operation as core would make it from the mapped fields and the stored link, owed for `age`."""
        link = link or self._link(f"{source}:{key}")
        before = link.mapped if link else {}
        changed = {n for n in {*fields, *before} if fields.get(n, ...) != before.get(n, ...)}
        return Operation(
            id=next(_ids), route="contacts_customers", object="contact", op=op, source=source, entity="customer",
            key=str(key), fields=fields, changed=frozenset(changed), options=options or {}, match=("email", "phone"),
            link=link, idempotency_key=f"{key}", at=self.clock.now(), since=self.clock.now() - age, maybe_applied=maybe,
            settings=settings or {},
            on_leave=on_leave, gone=gone, bulk=bulk,
        )  # fmt: skip

    def _link(self, name: str) -> Link | None:
        link = self.links.get(name)
        if link is None:
            return None
        return evolve(link, shared=sum(other.remote_id == link.remote_id for other in self.links.values()))

    def leave(self, key: str | int, how: str) -> Outcome:
        """The route wants a record no longer."""
        return self.deliver(self.op(key, op="leave", on_leave=how))[0]

    def deliver(self, *operations: Operation) -> list[Outcome]:
        """Deliver and keep the links."""
        outcomes = list(self.sink.deliver(operations))
        assert len(outcomes) == len(operations)
        for op, outcome in zip(operations, outcomes, strict=True):
            name = f"{op.source}:{op.key}"
            if not isinstance(outcome, Delivered | Unchanged):
                continue
            if op.op == "delete" or op.gone or op.on_leave == "delete":
                self.links.pop(name, None)
                continue
            assert outcome.remote_id
            fields = op.fields if outcome.fields is None else outcome.fields
            known = op.link is not None and not op.link.fields
            self.links[name] = Link(
                object="contact", remote_id=outcome.remote_id, etag=outcome.etag, fields=fields, asked=op.fields,
                left_out=outcome.left_out, source=op.source, entity=op.entity, key=op.key, left=op.op == "leave",
                adopted=known if outcome.adopted is None else outcome.adopted,
            )  # fmt: skip
        return outcomes

    def put(self, key: str | int, **fields: Any) -> Outcome:
        """Deliver one record."""
        return self.deliver(self.op(key, **fields))[0]

    def writes(self) -> int:
        """Mutations sent so far, labels left out."""
        paths = ("/v1/people",)
        return sum(1 for r in self.google.requests if r.method != "GET" and r.path.startswith(paths))

    def calls(self, method: str | None = None) -> int:
        """Calls of the People API so far."""
        return self.google.count(method, "/v1/")

    def close(self) -> None:
        """Stop everything."""
        for sink in self._opened:
            sink.close()
        self.google.close()


def near(server: LoopbackServer, request: httpx.Request) -> httpx.Response:
    """The stand-in's answer without a socket between: for what needs thousands of calls and no fault of the wire."""
    target = request.url.raw_path.decode()
    reply, fault = server.answer(
        Request(
            method=request.method, path=target.partition("?")[0], body=request.read(), target=target,
            query=tuple(parse_qsl(request.url.query.decode(), keep_blank_values=True)),
            headers={name.lower(): value for name, value in request.headers.items()},
        )
    )  # fmt: skip
    assert fault is None
    body, kind = reply.encoded()
    headers = {**({"Content-Type": kind} if kind else {}), **reply.headers}
    return httpx.Response(reply.status, headers=headers, stream=httpx.ByteStream(body))


def settle(rig, operations, limit=40):
    """What core does: ask `lookup` where a create may have been carried out, wait as told, deliver again."""
    pending = list(operations)
    unsure = {op.key for op in operations if op.maybe_applied}
    for _ in range(limit):
        asked = [op for op in pending if op.key in unsure]
        waits = []
        for op, found in zip(asked, rig.sink.lookup(asked) if asked else (), strict=True):
            if isinstance(found, Retry):
                waits.append((op, found.after))
            elif isinstance(found, Link):
                rig.links[f"{op.source}:{op.key}"] = found
        waiting = {op.key for op, _ in waits}
        ready = [op for op in pending if op.key not in waiting]
        ready = [rig.op(op.key, op=op.op, maybe=op.key in unsure, **op.fields) for op in ready]
        outcomes = rig.deliver(*ready) if ready else []
        pause = max((after for _, after in waits), default=timedelta(0))
        pending = [op for op in pending if op.key in waiting]
        for op, outcome in zip(ready, outcomes, strict=True):
            if not isinstance(outcome, Failed):
                continue
            pending.append(op)
            error = outcome.error
            assert isinstance(error, Transient | RateLimited), error
            if isinstance(error, Transient) and error.maybe_applied:
                unsure.add(op.key)
            if isinstance(error, RateLimited):
                pause = max(pause, error.retry_after)
        if not pending:
            return
        rig.clock.advance(pause or timedelta(seconds=2))
    raise AssertionError(f"{len(pending)} never settled")


def person_fields(n: int, **more: Any) -> dict[str, Any]:
    """A made-up customer, mapped."""
    return {"given_name": f"Ann{n}", "family_name": "Test", "email": f"ann{n}@shop.test",
            "phone": f"+1415555{n:04d}", **more}  # fmt: skip


def values(person: Mapping[str, Any], field: str, key: str = "value") -> list[Any]:
    """The values of a repeated field."""
    return [e.get(key) for e in person.get(field, ())]


def by_email(people: Iterable[Mapping[str, Any]], email: str) -> list[Mapping[str, Any]]:
    """The contacts that have an address."""
    return [p for p in people if email in values(p, "emailAddresses")]


def marks_on(person: Mapping[str, Any]) -> list[str]:
    """The markers on a contact, by Google's own record."""
    return [d["value"] for d in person.get("clientData", ()) if d["key"] == "synccore.source"]


def companies(rig: Rig) -> set[str]:
    """Of the one contact that there is."""
    (person,) = rig.google.contacts()
    return set(values(person, "organizations", "name"))
