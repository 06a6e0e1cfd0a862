"""One account's address book: its contacts and labels, what its owner does to them, and the People API's rules."""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

from attrs import define, field

from synccore.testing import Request

from .feed import Feed, Row
from .quota import Quota
from .rules import (
    GROUP_FIELDS,
    MY_CONTACTS,
    READABLE,
    SINGLE,
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

SYSTEM_GROUPS = {MY_CONTACTS: "myContacts", "contactGroups/starred": "starred"}
TRASH = timedelta(days=30)
#: An empty search fills the cache that searches are answered from, "wait several seconds" after it.
CACHE_FILLS = timedelta(seconds=2)


@define
class Group:
    """A label."""

    name: str
    kind: str = "USER_CONTACT_GROUP"
    client_data: list[dict[str, str]] = field(factory=list)


class Book:
    """The contacts of one account. Its methods are called under the server's lock.

    Attributes:
        forwards: whether a read by the former name of a contact finds it. Writes never do.
        told: whether a contact that was renamed or merged says under which names it was known before.
        ends_early: how long before the new name the listing shows the end of the old one, where it is not told.
    """

    def __init__(self, user: str, now: Callable[[], datetime], quota: Quota, lag: timedelta) -> None:
        self.user = user
        self.now = now
        self.quota = quota
        self.feed = Feed(now, lag)
        self.capacity = 25_000
        self.refuse: Callable[[Mapping[str, Any]], str | None] = lambda person: None
        self.groups: dict[str, Group] = {n: Group(t, "SYSTEM_CONTACT_GROUP") for n, t in SYSTEM_GROUPS.items()}
        self.forwards = True
        self.told = True
        self.ends_early = timedelta(0)
        self._rows: dict[str, Row] = {}
        self._trash: list[datetime] = []
        #: How long a write stays invisible to searches; None: as long as to listings.
        self.search_lag: timedelta | None = None
        self._caches: list[tuple[datetime, list[dict[str, Any]]]] = []
        self._count = int(user) * 1_000_000 if user.isdigit() else 0

    def route(self, request: Request, path: str) -> dict[str, Any]:
        """Answer one call of the People API. Raises Refused."""
        method = request.method
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

    # -- the owner at the keyboard

    def contacts(self) -> list[dict[str, Any]]:
        """All contacts, as a read with every mask shows them."""
        return [self._view(row, READABLE) for row in self._rows.values()]

    def contact(self, name: str) -> dict[str, Any]:
        """One contact. Raises KeyError where there is none."""
        return self._view(self._rows[name], READABLE)

    def add(self, **fields: list[dict[str, Any]]) -> str:
        """The owner types a contact in; gives its resource name."""
        return self._insert(fields).name

    def edit(self, name: str, **fields: list[dict[str, Any]]) -> None:
        """The owner changes fields of a contact."""
        row = self._rows[name]
        self._write(row, fields, fields)

    def remove(self, name: str) -> None:
        """The owner deletes a contact."""
        self._erase(name)

    def rename(self, name: str) -> str:
        """Google gives a contact another name, as when an address links it to a profile."""
        row = self._rows.pop(name)
        self._moved(row, [name])
        row.name = self._next_name()
        self._rows[row.name] = row
        self._touch(row)
        return row.name

    def merge(
        self,
        kept: str,
        other: str,
        *,
        under: Literal["kept", "other", "new"] = "kept",
        markers: Literal["both", "kept", "none"] = "both",
    ) -> str:
        """The owner merges two contacts ("Merge and fix"); gives the name of what is left.

        Its name, notes, birthday and photo are those of `kept`, where that has any; of everything else there is all of
        both. Under which resource name, and with whose program data, the reference does not tell: both can be chosen.
        """
        row, gone = self._rows.pop(kept), self._rows.pop(other)
        for field_name, entries in gone.fields.items():
            mine = row.fields.setdefault(field_name, [])
            if field_name in SINGLE and mine:
                continue
            there = [_bare(e) for e in mine]
            mine += [e for e in entries if _bare(e) not in there]
        if markers != "both":
            for field_name in ("clientData", "externalIds"):
                row.fields.pop(field_name, None)
        if markers == "kept":
            row.fields |= {n: v for n in ("clientData", "externalIds") if (v := self._before(kept, n))}
        row.photo = row.photo or gone.photo
        row.name = {"kept": kept, "other": other, "new": ""}[under] or self._next_name()
        self._trash.append(self.now())
        row.previous += gone.previous
        self._moved(row, [n for n in (kept, other) if n != row.name])
        self._rows[row.name] = row
        self._touch(row)
        return row.name

    def _before(self, name: str, field_name: str) -> list[dict[str, Any]]:
        return list(self.feed.last(name).get(field_name, ()))

    def _moved(self, row: Row, names: list[str]) -> None:
        """Its former names are known from then on, or look like contacts that were deleted."""
        if self.told:
            row.previous += names
            return
        for name in names:
            ended = {"resourceName": name, "metadata": {"deleted": True, "sources": [row.source()]}}
            self.feed.add(name, ended, self.ends_early)

    def set_photo(self, name: str, url: str) -> None:
        """The owner chooses a picture."""
        row = self._rows[name]
        row.photo = url
        self._touch(row)

    def members(self, label: str) -> set[str]:
        """Resource names of the contacts under the label of that name."""
        return {r.name for r in self._rows.values() for g in r.groups() if self.groups[g].name == label}

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
        if "photos" in fields and row.photo:
            person["photos"] = [{"url": row.photo, "metadata": {"source": {"type": "CONTACT"}, "primary": True}}]
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
            former = (r for r in self._rows.values() if self.forwards and name in r.previous)
            row = self._rows.get(name) or next(former, None)
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
            self._caches.append((self.now() + CACHE_FILLS, self.feed.snapshot(self.search_lag)))
            return {}
        size = int(request.param("pageSize") or 10)
        filled = [cache for at, cache in self._caches if at <= self.now()]
        found = [p for p in (filled[-1] if filled else ()) if begins(p, query.lower())][:size]
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


def _bare(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry without what Google adds: two alike are one after a merge."""
    return {k: v for k, v in entry.items() if k not in ("metadata", "formattedType")}
