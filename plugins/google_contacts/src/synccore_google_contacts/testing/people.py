"""The stand-in itself: contacts and labels of one account behind the People API's rules."""

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import unquote

from attrs import define, field

from synccore.testing import Fault, LoopbackServer, Reply, Request

from .feed import Feed, Row
from .quota import Quota
from .rules import (
    GROUP_FIELDS,
    MY_CONTACTS,
    READABLE,
    WRITABLE,
    Refused,
    begins,
    check_person,
    check_sources,
    computed,
    invalid,
    mask,
    masked,
    not_found,
    only,
    precondition,
)
from .signin import Grant, SignIn

CONTACTS = "https://www.googleapis.com/auth/contacts"
SYSTEM_GROUPS = {MY_CONTACTS: "myContacts", "contactGroups/starred": "starred"}
TRASH = timedelta(days=30)
DISABLED = (
    "People API has not been used in project 1234567890 before or it is disabled. Enable it by visiting "
    "https://console.developers.google.com/apis/api/people.googleapis.com/overview?project=1234567890 then retry."
)


@define
class Group:
    """A label."""

    name: str
    kind: str = "USER_CONTACT_GROUP"
    client_data: list[dict[str, str]] = field(factory=list)


class FakePeople(LoopbackServer):
    """Google on loopback: sign-in, People API, the parts of userinfo, tokeninfo and Drive the sink uses.

    One account, one project. Strict where Google is: masks, etags, singletons, one writer, quotas, sync tokens that
    expire and lag, a search that has to be warmed up, an account that fills up.

    Args:
        clock: gives the time; the machine's by default.
        quota: units per minute by name (critical_read, critical_write, write, group_read, full_sync); those left out
            keep Google's reported defaults.
        sync_lag: how long a write stays invisible to listings and searches.
        capacity: contacts the account holds, those in the bin included.

    Attributes:
        sign_in: people, grants and what they refuse; see `SignIn`.
        enabled: whether the People API is switched on for the project.
        refuse: called with each person to write; a text is Google's reason to refuse it.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        quota: Mapping[str, int] | None = None,
        sync_lag: timedelta = timedelta(0),
        capacity: int = 25_000,
    ) -> None:
        self.now = clock or (lambda: datetime.now(UTC))
        self.sign_in = SignIn(self.now)
        self.quota = Quota(self.now, quota or {})
        self.feed = Feed(self.now, sync_lag)
        self.capacity = capacity
        self.enabled = True
        self.refuse: Callable[[Mapping[str, Any]], str | None] = lambda person: None
        self.groups: dict[str, Group] = {n: Group(t, "SYSTEM_CONTACT_GROUP") for n, t in SYSTEM_GROUPS.items()}
        self._rows: dict[str, Row] = {}
        self._trash: list[datetime] = []
        self._cache: list[dict[str, Any]] | None = None
        self._count = 0
        self._writers = 0
        self._gate = threading.Lock()
        super().__init__()

    # -- the owner at the keyboard

    def contacts(self) -> list[dict[str, Any]]:
        """All contacts, as a read with every mask shows them."""
        with self._lock:
            return [self._view(row, READABLE) for row in self._rows.values()]

    def contact(self, name: str) -> dict[str, Any]:
        """One contact. Raises KeyError where there is none."""
        with self._lock:
            return self._view(self._rows[name], READABLE)

    def add(self, **fields: list[dict[str, Any]]) -> str:
        """The owner types a contact in; gives its resource name."""
        with self._lock:
            return self._insert(fields).name

    def edit(self, name: str, **fields: list[dict[str, Any]]) -> None:
        """The owner changes fields of a contact."""
        with self._lock:
            row = self._rows[name]
            self._write(row, fields, fields)

    def remove(self, name: str) -> None:
        """The owner deletes a contact."""
        with self._lock:
            self._erase(name)

    def rename(self, name: str) -> str:
        """Google gives a contact another name, as when an address links it to a profile."""
        with self._lock:
            row = self._rows.pop(name)
            row.previous.append(name)
            row.name = self._next_name()
            self._rows[row.name] = row
            self._touch(row)
            return row.name

    def members(self, label: str) -> set[str]:
        """Resource names of the contacts under the label of that name."""
        with self._lock:
            return {r.name for r in self._rows.values() for g in r.groups() if self.groups[g].name == label}

    # -- serving

    def answer(self, request: Request) -> tuple[Reply, Fault | None]:
        """Google wants one mutation at a time per user: count those that are under way."""
        writes = request.path.startswith("/v1/") and request.method != "GET"
        with self._gate:
            self._writers += writes
        try:
            return super().answer(request)
        finally:
            with self._gate:
                self._writers -= writes

    def handle(self, request: Request) -> Reply:
        """Answer one request."""
        path = unquote(request.path)
        sign_in = {
            ("GET", "/o/oauth2/v2/auth"): self.sign_in.authorize,
            ("POST", "/token"): self.sign_in.token,
            ("POST", "/revoke"): self.sign_in.revoke,
            ("POST", "/oauth2/v2/tokeninfo"): self.sign_in.tokeninfo,
        }.get((request.method, path))
        if sign_in is not None:
            return sign_in(request)
        if path.startswith("/drive/v3/files/"):
            return self.sign_in.drive_file(request, path.rsplit("/", 1)[1])
        try:
            grant = self._granted(request)
            if path == "/oauth2/v2/userinfo":
                return self.sign_in.userinfo(grant)
            return Reply(200, self._route(request, path))
        except Refused as refused:
            return refused.reply()

    def _granted(self, request: Request) -> Grant:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        grant = self.sign_in.grant_of(token)
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "googleapis.com"}
        if grant is None:
            text = "Request had invalid authentication credentials. Expected OAuth 2 access token."
            raise Refused(401, "UNAUTHENTICATED", text, ({**info, "reason": "ACCESS_TOKEN_EXPIRED"},))
        if request.path.startswith("/v1/"):
            if not self.enabled:
                link = {
                    "activationUrl": "https://console.developers.google.com/apis/api/people.googleapis.com/overview"
                }
                raise Refused(
                    403, "PERMISSION_DENIED", DISABLED, ({**info, "reason": "SERVICE_DISABLED", "metadata": link},)
                )
            if CONTACTS not in grant.scopes:
                text = "Request had insufficient authentication scopes."
                detail = {**info, "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}
                raise Refused(403, "PERMISSION_DENIED", text, (detail,))
        return grant

    def _route(self, request: Request, path: str) -> dict[str, Any]:
        method = request.method
        if method != "GET" and self._writers > 1:
            raise Refused(409, "ABORTED", "Concurrent mutations of one user.")
        routes: dict[tuple[str, str], Callable[[Request], dict[str, Any]]] = {
            ("GET", "/v1/people/me/connections"): self._list,
            ("GET", "/v1/people:batchGet"): self._batch_get,
            ("GET", "/v1/people:searchContacts"): self._search,
            ("POST", "/v1/people:createContact"): self._create,
            ("POST", "/v1/people:batchCreateContacts"): self._batch_create,
            ("POST", "/v1/people:batchUpdateContacts"): self._batch_update,
            ("POST", "/v1/people:batchDeleteContacts"): self._batch_delete,
            ("GET", "/v1/contactGroups"): self._groups,
            ("POST", "/v1/contactGroups"): self._create_group,
        }
        if handler := routes.get((method, path)):
            return handler(request)
        if path.startswith("/v1/people/") and ":" in path:
            name, _, verb = path.removeprefix("/v1/").rpartition(":")
            if method == "PATCH" and verb == "updateContact":
                return self._update(request, name)
            if method == "DELETE" and verb == "deleteContact":
                self.quota.spend(write=1)
                self._erase(name)
                return {}
        if method == "POST" and path.startswith("/v1/contactGroups/") and path.endswith("/members:modify"):
            return self._modify(request, path.removeprefix("/v1/").removesuffix("/members:modify"))
        raise Refused(404, "NOT_FOUND", f"Method not found: {method} {path}")

    # -- contacts

    def _next_name(self) -> str:
        self._count += 1
        return f"people/c{9_000_000_000_000_000_000 + self._count * 7919}"

    def _insert(self, person: Mapping[str, Any]) -> Row:
        row = Row(self._next_name())
        groups = person.get("memberships") or [{"contactGroupMembership": {"contactGroupResourceName": MY_CONTACTS}}]
        self._rows[row.name] = row
        self._write(row, {**person, "memberships": groups}, WRITABLE)
        return row

    def _write(self, row: Row, person: Mapping[str, Any], fields: Iterable[str]) -> None:
        for name in fields:
            entries = [computed(name, e) for e in person.get(name) or ()]
            if entries:
                row.fields[name] = entries
            else:
                row.fields.pop(name, None)
        self._touch(row)

    def _touch(self, row: Row) -> None:
        self._count += 1
        row.revision = self._count
        row.updated = self.now()
        self.feed.add(row.name, self._view(row, READABLE))

    def _erase(self, name: str) -> None:
        row = self._rows.pop(name, None)
        if row is None:
            raise not_found()
        self._trash.append(self.now())
        self.feed.add(name, {"resourceName": name, "metadata": {"deleted": True, "sources": [row.source()]}})

    @staticmethod
    def _view(row: Row, fields: Iterable[str]) -> dict[str, Any]:
        shown = {name: json.loads(json.dumps(row.fields[name])) for name in sorted(fields) if name in row.fields}
        person = {"resourceName": row.name, "etag": row.etag(), **shown}
        if "metadata" in fields:
            person["metadata"] = {"sources": [row.source()], "objectType": "PERSON"}
            if row.previous:
                person["metadata"]["previousResourceNames"] = list(row.previous)
        return person

    def _room(self, count: int) -> None:
        self._trash = [t for t in self._trash if self.now() - t < TRASH]
        if len(self._rows) + len(self._trash) + count > self.capacity:
            text = "Contact limit reached: MY_CONTACTS_OVERFLOW_COUNT"
            raise Refused(400, "FAILED_PRECONDITION", text)

    def _check(self, person: Any) -> None:
        check_person(person, self.groups.__contains__)
        if reason := self.refuse(person):
            raise invalid(reason)

    # -- reading

    def _list(self, request: Request) -> dict[str, Any]:
        params = dict(request.query)
        only(params, {"personFields", "pageSize", "pageToken", "requestSyncToken", "syncToken", "sources", "sortOrder"},
             "query")  # fmt: skip
        fields = mask(params.get("personFields"), READABLE, "personFields")
        check_sources(params.get("sources"))
        size = int(params.get("pageSize", 100))
        if not 1 <= size <= 1000:
            raise invalid("pageSize must be between 1 and 1000.", "pageSize")
        first = not params.get("syncToken") and not params.get("pageToken")
        self.quota.spend(critical_read=1, full_sync=int(first))
        return self.feed.page(params, size, lambda person: masked(person, fields))

    def _batch_get(self, request: Request) -> dict[str, Any]:
        names = [v for k, v in request.query if k == "resourceNames"]
        if not 1 <= len(names) <= 200:
            raise invalid("resourceNames: between 1 and 200.", "resourceNames")
        fields = mask(request.param("personFields"), READABLE, "personFields")
        check_sources(request.param("sources"))
        self.quota.spend(critical_read=1)
        responses = []
        for name in names:
            row = self._rows.get(name) or next((r for r in self._rows.values() if name in r.previous), None)
            if row is None:
                status = not_found().entry()
                responses.append({"requestedResourceName": name, "httpStatusCode": 404, "status": status})
            else:
                responses.append({"requestedResourceName": name, "person": self._view(row, fields)})
        return {"responses": responses}

    def _search(self, request: Request) -> dict[str, Any]:
        fields = mask(request.param("readMask"), READABLE, "readMask")
        if not 1 <= int(request.param("pageSize") or 10) <= 30:
            raise invalid("pageSize must be at most 30.", "pageSize")
        query = request.param("query")
        if query is None:
            raise invalid("query is required.", "query")
        self.quota.spend(critical_read=1)
        if not query:
            self._cache = self.feed.snapshot()
            return {}
        size = int(request.param("pageSize") or 10)
        found = [p for p in self._cache or () if begins(p, query.lower())][:size]
        return {"results": [{"person": masked(p, fields)} for p in found]} if found else {}

    # -- writing

    def _create(self, request: Request) -> dict[str, Any]:
        fields = mask(request.param("personFields"), READABLE, "personFields")
        self.quota.spend(critical_read=1, critical_write=1, daily=1)
        person = request.json()
        self._check(person)
        self._room(1)
        return self._view(self._insert(person), fields)

    def _batch_create(self, request: Request) -> dict[str, Any]:
        body = request.json()
        only(body, {"contacts", "readMask", "sources"}, "body")
        entries = body.get("contacts")
        if not isinstance(entries, list) or not 1 <= len(entries) <= 200:
            raise invalid("contacts: between 1 and 200.", "contacts")
        fields = mask(body.get("readMask"), READABLE, "readMask", required=False)
        self.quota.spend(critical_read=6, critical_write=6, daily=200)
        self._all(
            {str(i): partial(self._check, e.get("contactPerson")) for i, e in enumerate(entries)},
            "BatchCreateContactsErrorDetails",
        )
        self._room(len(entries))
        rows = [self._insert(e["contactPerson"]) for e in entries]
        if not fields:
            return {}
        # Google does not promise the order.
        return {"createdPeople": [{"person": self._view(r, fields)} for r in reversed(rows)]}

    def _update(self, request: Request, name: str) -> dict[str, Any]:
        update = mask(request.param("updatePersonFields"), WRITABLE, "updatePersonFields")
        fields = mask(request.param("personFields"), READABLE, "personFields", required=False)
        self.quota.spend(critical_read=1, critical_write=1, daily=1)
        person = request.json()
        row = self._updateable(name, person, update)
        self._write(row, person, update)
        return self._view(row, fields or WRITABLE)

    def _batch_update(self, request: Request) -> dict[str, Any]:
        body = request.json()
        only(body, {"contacts", "updateMask", "readMask", "sources"}, "body")
        people = body.get("contacts")
        if not isinstance(people, dict) or not 1 <= len(people) <= 200:
            raise invalid("contacts: between 1 and 200.", "contacts")
        update = mask(body.get("updateMask"), WRITABLE, "updateMask")
        fields = mask(body.get("readMask"), READABLE, "readMask")
        self.quota.spend(critical_read=6, critical_write=6, daily=200)
        self._all(
            {n: partial(self._updateable, n, p, update) for n, p in people.items()},
            "BatchUpdateContactsErrorDetails",
        )
        for name, person in people.items():
            self._write(self._rows[name], person, update)
        return {"updateResult": {n: {"person": self._view(self._rows[n], fields)} for n in people}}

    def _updateable(self, name: str, person: Any, update: Iterable[str]) -> Row:
        row = self._rows.get(name)
        if row is None:
            raise not_found()
        self._check(person)
        sources = [s for s in (person.get("metadata") or {}).get("sources", ()) if s.get("type") == "CONTACT"]
        if not sources or not sources[0].get("etag"):
            raise invalid(
                "Request must set person.etag or person.metadata.sources.etag for the source that is being updated."
            )
        if sources[0]["etag"] != row.source_etag() or person.get("etag", row.etag()) != row.etag():
            raise precondition(
                "Request person.etag is different than the current person.etag. Clear local cache and get the latest "
                "person."
            )
        if "memberships" in update and not person.get("memberships"):
            raise invalid("A contact must have at least one contact group membership.", "memberships")
        return row

    @staticmethod
    def _all(checks: Mapping[str, Callable[[], Any]], details: str) -> None:
        """A batch is written as a whole or not at all."""
        errors: dict[str, Any] = {}
        for key, check in checks.items():
            try:
                check()
            except Refused as refused:
                errors[key] = refused.entry()
        if errors:
            detail = {"@type": f"type.googleapis.com/google.people.v1.{details}", "contactErrors": errors}
            raise Refused(400, "INVALID_ARGUMENT", "Request contains an invalid argument.", (detail,))

    def _batch_delete(self, request: Request) -> dict[str, Any]:
        names = request.json().get("resourceNames")
        if not isinstance(names, list) or not 1 <= len(names) <= 500:
            raise invalid("resourceNames: between 1 and 500.", "resourceNames")
        self.quota.spend(write=10)
        if any(n not in self._rows for n in names):
            raise not_found()
        for name in names:
            self._erase(name)
        return {}

    # -- labels

    def _groups(self, request: Request) -> dict[str, Any]:
        mask(request.param("groupFields"), GROUP_FIELDS, "groupFields", required=False)
        if not 1 <= int(request.param("pageSize") or 30) <= 1000:
            raise invalid("pageSize must be between 1 and 1000.", "pageSize")
        self.quota.spend(group_read=1)
        return {"contactGroups": [self._group(n) for n in self.groups], "totalItems": len(self.groups)}

    def _group(self, name: str) -> dict[str, Any]:
        group = self.groups[name]
        count = sum(1 for row in self._rows.values() if name in row.groups())
        return {
            "resourceName": name, "name": group.name, "formattedName": group.name, "groupType": group.kind,
            "memberCount": count, **({"clientData": group.client_data} if group.client_data else {}),
        }  # fmt: skip

    def _create_group(self, request: Request) -> dict[str, Any]:
        body = request.json()
        only(body, {"contactGroup", "readGroupFields"}, "body")
        group = body.get("contactGroup") or {}
        self.quota.spend(write=1)
        if not group.get("name"):
            raise invalid("contactGroup.name is required.", "contact_group.name")
        if any(g.name.casefold() == group["name"].casefold() for g in self.groups.values()):
            raise Refused(409, "ALREADY_EXISTS", "Contact group name already exists.")
        self._count += 1
        name = f"contactGroups/{self._count:x}"
        self.groups[name] = Group(group["name"], client_data=list(group.get("clientData", ())))
        return self._group(name)

    def remove_group(self, name: str) -> None:
        """The owner deletes a label; its contacts stay."""
        with self._lock:
            key = next(k for k, g in self.groups.items() if g.name == name)
            del self.groups[key]
            for row in list(self._rows.values()):
                if key in row.groups():
                    row.leave(key)
                    self._touch(row)

    def _modify(self, request: Request, name: str) -> dict[str, Any]:
        body = request.json()
        add, remove = body.get("resourceNamesToAdd") or [], body.get("resourceNamesToRemove") or []
        self.quota.spend(write=1)
        if name not in self.groups:
            raise not_found()
        if not 1 <= len(add) + len(remove) <= 1000:
            raise invalid("At most 1000 resource names.", "resource_names_to_add")
        missing, last = [], []
        for contact in [*add, *remove]:
            row = self._rows.get(contact)
            if row is None:
                missing.append(contact)
            elif contact in remove and row.groups() == [name]:
                last.append(contact)
            elif (contact in add) != (name in row.groups()):
                row.join(name) if contact in add else row.leave(name)
                self._touch(row)
        answer = {"notFoundResourceNames": missing, "canNotRemoveLastContactGroupResourceNames": last}
        return {k: v for k, v in answer.items() if v}
