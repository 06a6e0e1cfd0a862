"""The People API over HTTP: masks, pages, batches, quota, errors. Knows nothing of operations.

Costs in quota units (People API usage limits page): a single create or update takes one critical read and one
critical write, a batch of up to 200 takes six and six; a delete one write, a batch of deletes ten.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from synccore.errors import AuthError, RateLimited, Transient
from synccore.http import Budget, Response, Shape
from synccore.http import Client as Http
from synccore.types import Allowance, Context

from . import shapes
from .errors import entry_error, error_of
from .schema import READ_FIELDS, Person

__all__ = ["BATCH", "BATCH_COST", "CONTACT_SOURCE", "DELETE_BATCH", "DELETE_BATCH_COST", "LONGEST_LAG", "Client"]

#: Contacts per batch create, update or get; names per batch delete; members per change of a label.
BATCH, DELETE_BATCH, MEMBERS = 200, 500, 1000
#: Critical reads and writes of one batch; writes of one batch delete.
BATCH_COST, DELETE_BATCH_COST = 6, 10
PAGE = 1000
#: Writes may need several minutes to show up in a listing (connections.list reference).
LONGEST_LAG = timedelta(minutes=10)
#: Contacts per read by name: Google takes 200, whose address would be longer than proxies let through (8 KB).
READ_BATCH = 100
#: Google may take long over a full batch, and an answer given up on has to be reconciled.
TIMEOUT = timedelta(seconds=60)
#: Without it the profile of a linked Google user is mixed into the contact.
CONTACT_SOURCE = "READ_SOURCE_TYPE_CONTACT"
GROUP_FIELDS = "clientData,groupType,memberCount,metadata,name"

#: Per minute and user; Google shows the real figures in the console only.
CRITICAL_READS, CRITICAL_WRITES, WRITES, GROUP_READS = 60, 30, 30, 90
QUOTA = {"critical_read": CRITICAL_READS, "critical_write": CRITICAL_WRITES, "write": WRITES, "group_read": GROUP_READS}
#: Google does not say when its minutes begin, and a call arrives a while after it was counted here.
MINUTE = timedelta(seconds=62)
#: A call waits this long for its turn; longer than that the lane waits instead.
PATIENCE = timedelta(seconds=5)
#: What may be read of a minute's reads before searches are left out, so that no write comes to wait for them.
SEARCH_READS = CRITICAL_READS // 2


class Client:
    """One account's contacts.

    Args:
        token: gives an access token; called again with the one Google refused.
        account: gives the account's id, "" where nobody connected: Google's quota is the account's, whoever calls.
    """

    def __init__(
        self, context: Context, api_url: str, token: Callable[[str | None], str], account: Callable[[], str]
    ) -> None:
        self._context = context
        self._http = Http(context, api_url, timeout=TIMEOUT)
        self._token = token
        self._account = account

    # -- quota

    def _budget(self, name: str) -> Budget:
        """What all processes and instances together may use of the account's units."""
        state = self._context.state(self._account())
        return Budget(self._context.clock, [(QUOTA[name], MINUTE)], sliding=True, state=state, name=f"quota:{name}")

    def may_search(self, reads: int) -> bool:
        """Whether so many reads leave enough for the writes that come."""
        return self.search_after(reads) <= self._context.clock.now()

    def search_after(self, reads: int) -> datetime:
        """When so many reads leave enough for the writes that come."""
        kept = CRITICAL_READS - SEARCH_READS
        return self._budget("critical_read").free_at(self._context.clock.now(), kept + reads)

    # -- reading

    def connections(self, sync_token: str | None = None, page_token: str | None = None) -> dict[str, Any]:
        """One page of all contacts, or of what changed since `sync_token`. Raises SyncTokenExpired."""
        params = {**self.listing(), "requestSyncToken": "true"}
        if sync_token:
            params["syncToken"] = sync_token
        if page_token:
            params["pageToken"] = page_token
        return self._call("GET", "/v1/people/me/connections", shapes.LISTED, params=params, critical_read=1)

    @staticmethod
    def listing() -> dict[str, str]:
        """The parameters a sync token is bound to."""
        return {"personFields": READ_FIELDS, "pageSize": str(PAGE), "sources": CONTACT_SOURCE}

    def batch_get(self, names: Sequence[str]) -> dict[str, Person]:
        """Contacts by resource name asked for; those that are gone are left out."""
        found: dict[str, Person] = {}
        for start in range(0, len(names), READ_BATCH):
            params = [("resourceNames", n) for n in names[start : start + READ_BATCH]]
            params += [("personFields", READ_FIELDS), ("sources", CONTACT_SOURCE)]
            answer = self._call("GET", "/v1/people:batchGet", shapes.GIVEN, params=params, critical_read=1)
            if len(answer["responses"]) < len(set(names[start : start + READ_BATCH])):
                raise Transient("Google's answer leaves out contacts that were asked for by name")
            for entry in answer["responses"]:
                if entry.get("status", {}).get("code"):
                    continue
                person = _entry(entry)
                found[entry.get("requestedResourceName") or person["resourceName"]] = person
        return found

    def search(self, query: str) -> list[Person]:
        """Up to 30 contacts with a name, address or number that begins so. An empty query warms Google's cache."""
        params = {"query": query, "readMask": READ_FIELDS, "pageSize": "30", "sources": CONTACT_SOURCE}
        answer = self._call("GET", "/v1/people:searchContacts", shapes.SOUGHT, params=params, critical_read=1)
        return [r["person"] for r in answer.get("results", ()) if r.get("person")]

    # -- writing

    def create(self, person: Person) -> Person:
        """Make one contact."""
        params = {"personFields": READ_FIELDS, "sources": CONTACT_SOURCE}
        return self._call(
            "POST", "/v1/people:createContact", shapes.CONTACT, params=params, json=person, writes=True,
            critical_read=1, critical_write=1,
        )  # fmt: skip

    def batch_create(self, people: Sequence[Person]) -> list[Person | Exception]:
        """Make up to 200 contacts. Gives what came back, in Google's order: tell them apart by their markers.

        Raises EntriesRejected (nothing made) with the indexes at fault.
        """
        body = {
            "contacts": [{"contactPerson": p} for p in people],
            "readMask": READ_FIELDS,
            "sources": [CONTACT_SOURCE],
        }
        answer = self._call(
            "POST", "/v1/people:batchCreateContacts", shapes.MADE, json=body, writes=True, critical_read=BATCH_COST,
            critical_write=BATCH_COST,
        )  # fmt: skip
        return [_ended(e) for e in answer.get("createdPeople", ())]

    def update(self, name: str, person: Person, mask: Iterable[str]) -> Person:
        """Replace the masked fields of one contact. Raises StaleEtag, NotFound."""
        params = {
            "updatePersonFields": ",".join(sorted(mask)),
            "personFields": READ_FIELDS,
            "sources": CONTACT_SOURCE,
        }
        return self._call(
            "PATCH", f"/v1/{name}:updateContact", shapes.CONTACT, params=params, json=person, writes=True,
            critical_read=1, critical_write=1,
        )  # fmt: skip

    def batch_update(self, people: Mapping[str, Person], mask: Iterable[str]) -> dict[str, Person | Exception]:
        """Replace the masked fields of up to 200 contacts; a masked field a person lacks is cleared.

        Raises EntriesRejected (nothing written) with the resource names at fault, StaleEtag, NotFound.
        """
        body = {
            "contacts": dict(people),
            "updateMask": ",".join(sorted(mask)),
            "readMask": READ_FIELDS,
            "sources": [CONTACT_SOURCE],
        }
        answer = self._call(
            "POST", "/v1/people:batchUpdateContacts", shapes.WRITTEN, json=body, writes=True, critical_read=BATCH_COST,
            critical_write=BATCH_COST,
        )  # fmt: skip
        return {name: _ended(e) for name, e in answer.get("updateResult", {}).items()}

    def delete(self, name: str) -> None:
        """Move one contact to the bin. Raises NotFound."""
        self._delete("DELETE", f"/v1/{name}:deleteContact", write=1)

    def batch_delete(self, names: Sequence[str]) -> None:
        """Move up to 500 contacts to the bin. Raises NotFound, EntriesRejected."""
        self._delete(
            "POST", "/v1/people:batchDeleteContacts", json={"resourceNames": list(names)}, write=DELETE_BATCH_COST
        )

    def _delete(self, method: str, path: str, **options: Any) -> None:
        """Google answers a deletion with an empty object: whatever else comes with a 200 is not Google's word."""
        if self._call(method, path, shapes.NOTHING, **options):
            raise Transient("the answer to a deletion is not Google's", maybe_applied=True)

    # -- labels

    def groups(self) -> list[dict[str, Any]]:
        """All labels, the system's included."""
        found: list[dict[str, Any]] = []
        page: str | None = None
        while True:
            params = {"pageSize": "1000", "groupFields": GROUP_FIELDS, **({"pageToken": page} if page else {})}
            answer = self._call("GET", "/v1/contactGroups", shapes.GROUPS, params=params, group_read=1)
            found += answer.get("contactGroups", ())
            page = answer.get("nextPageToken")
            if not page:
                return found

    def create_group(self, name: str, client_data: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        """Make a label. Raises NameTaken."""
        body = {"contactGroup": {"name": name, "clientData": list(client_data)}, "readGroupFields": GROUP_FIELDS}
        return self._call("POST", "/v1/contactGroups", shapes.GROUP, json=body, write=1)

    def modify_members(
        self, group: str, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> tuple[frozenset[str], frozenset[str]]:
        """Put contacts under a label, take others off it.

        Gives the names Google does not know, and those that stay because it is their last label.
        """
        missing: set[str] = set()
        last: set[str] = set()
        changes = [("resourceNamesToAdd", n) for n in add] + [("resourceNamesToRemove", n) for n in remove]
        for start in range(0, len(changes), MEMBERS):
            body: dict[str, list[str]] = {"resourceNamesToAdd": [], "resourceNamesToRemove": []}
            for key, name in changes[start : start + MEMBERS]:
                body[key].append(name)
            answer = self._call("POST", f"/v1/{group}/members:modify", shapes.MEMBERS, json=body, write=1)
            missing.update(answer.get("notFoundResourceNames", ()))
            last.update(answer.get("canNotRemoveLastContactGroupResourceNames", ()))
        return frozenset(missing), frozenset(last)

    # -- one call

    def _call(
        self,
        method: str,
        path: str,
        shape: Shape,
        *,
        params: Any = None,
        json: Any = None,
        writes: bool = False,
        **cost: int,
    ) -> dict[str, Any]:
        """Send one request, with a new token once where the old one is refused. `cost` is in quota units.

        Gives the answer, which is of that shape.
        """
        token = self._token(None)
        self._acquire(cost)
        answer = self._send(method, path, params, json, token)
        if answer.status == 401:
            fresh = self._token(token)
            answer = self._send(method, path, params, json, fresh)
        if not answer.ok:
            error = error_of(answer, self._context.clock.now(), writes=writes)
            if isinstance(error, AuthError):
                raise AuthError(f"{error.message}. Run synccore connect {self._context.name}")
            raise error
        data: dict[str, Any] = answer.json_as(shape, wrote=writes)
        return data

    def _acquire(self, cost: Mapping[str, int]) -> None:
        """All units or none: what one quota gave while another has none left would be lost for the minute."""
        now = self._context.clock.now()
        budgets = {name: self._budget(name) for name in cost}
        ready = max(budgets[name].free_at(now, units) for name, units in cost.items())
        if ready - now > PATIENCE:
            raise RateLimited("the quota is used up", retry_after=ready - now)
        for name, units in cost.items():
            budgets[name].acquire(units, PATIENCE)

    def _send(self, method: str, path: str, params: Any, json: Any, token: str) -> Response:
        headers = {"Authorization": f"Bearer {token}"}
        return self._http.request(method, path, params=params, json=json, headers=headers)

    def resume(self) -> None:
        """What was counted of Google's quotas is void."""
        for name in QUOTA:
            self._budget(name).clear()

    def budgets(self) -> list[Allowance]:
        """What is used of Google's quotas a minute."""
        return [one for name in QUOTA for one in self._budget(name).allowances(name.replace("_", " ") + " units")]

    def close(self) -> None:
        """Close the connection pool."""
        self._http.close()


def _ended(entry: Mapping[str, Any]) -> Person | Exception:
    """What became of one of several that were written."""
    status = entry.get("status", {})
    if status.get("code"):
        return entry_error(status)
    try:
        return _entry(entry)
    except Transient as error:
        return Transient(error.message, maybe_applied=True)


def _entry(entry: Mapping[str, Any]) -> Person:
    person: Person = entry.get("person", {})
    if not person.get("resourceName"):
        raise Transient("Google's answer to one of several contacts holds neither it nor an error")
    return person
