"""Everything one route needs of the org: write, find, read back, take away."""

from collections.abc import Mapping, Sequence
from typing import Any

from synccore.errors import AuthError, ConfigError, RateLimited, Rejected, SynccoreError, Transient
from synccore.types import (
    Ambiguous,
    Clock,
    Delivered,
    Failed,
    Link,
    LookupResult,
    Operation,
    Outcome,
    RouteSpec,
    Unchanged,
)

from ._accounts import Accounts
from ._errors import GONE_CODES, Problem, Refused, classify, problems_of
from ._follow import Follower
from ._match import Finder, SeveralFound
from ._orders import Orders
from ._products import Products
from ._record import CONTACT_PREFIX, OPT_OUTS, Row, Shaper
from ._schema import Catalog, Schema
from ._values import same
from ._writer import Writer
from .client import COLLECTION, Client, chunked
from .mapping import ITEMS, LAST_NAME_FALLBACK, default_fields

__all__ = ["Route", "failed_alike", "unsent"]


class Route:
    """One route at one org, for the length of one call of core."""

    def __init__(
        self, route: RouteSpec, schema: Schema, client: Client, catalog: Catalog, clock: Clock, duplicate_rule: str
    ) -> None:
        self.spec = route
        self.schema = schema
        self._client = client
        self._catalog = catalog
        self.shaper = Shaper(route, schema, catalog)
        self.finder = Finder(client, self.shaper)
        self.writer = Writer(client, clock, Follower(client, self.shaper, self.finder), duplicate_rule)
        self._accounts = Accounts(client, catalog, self.shaper)
        self._orders = Orders(client, self.writer, self.finder, Products(client, catalog))

    @property
    def searches(self) -> bool:
        """True where a record may be found by something two writers could both miss."""
        return bool(self.shaper.matching.search)

    @property
    def has_items(self) -> bool:
        """True for orders: their items keep them out of bulk jobs."""
        return self.schema.name == "Order"

    # -- writing

    def rows(self, operations: Sequence[Operation], outcomes: dict[int, Outcome]) -> list[Row]:
        """The operations as rows whose records, where there are any, are found; the others' outcomes are set."""
        rows: list[Row] = []
        for op in operations:
            try:
                rows.append(self.shaper.row(op))
            except Rejected as error:
                outcomes[op.id] = Failed(error)
        self._accounts.fill(rows, outcomes)
        rows = [r for r in rows if r.op.id not in outcomes]
        for op_id, reason in self.finder.resolve(rows).items():
            outcomes[op_id] = Failed(reason)
        return [r for r in rows if r.op.id not in outcomes]

    def write(self, rows: Sequence[Row]) -> dict[int, Outcome]:
        """Write rows by collections."""
        return self._orders.write(rows) if self.has_items else self.writer.write(rows)

    # -- looking

    def lookup(self, operations: Sequence[Operation]) -> list[LookupResult]:
        """Per operation: the link to what exists, what could be it, or None. Writes nothing."""
        results: dict[int, LookupResult] = {}
        rows: list[Row] = []
        for op in operations:
            try:
                rows.append(self.shaper.row(op))
            except Rejected:
                # Cannot be written as it is; whether it exists is then no question.
                results[op.id] = None
        errors = self.finder.resolve(rows, by_key=True)
        for row in rows:
            error = errors.get(row.op.id)
            if isinstance(error, SeveralFound):
                results[row.op.id] = Ambiguous(error.candidates)
            elif row.id is not None:
                results[row.op.id] = Link(object=self.spec.object, remote_id=row.id)
        return [results.get(op.id) for op in operations]

    def read(self, links: Sequence[Link]) -> list[Mapping[str, Any] | None]:
        """Per link: the record's values under the mapped names, or None where it is gone."""
        names = {n for link in links for n in link.fields}
        found: dict[str, Mapping[str, Any]] = {}
        for schema, mine in self._by_object(links):
            columns = ["Id", *(path for n in sorted(names) if (path := self._path(schema, n)))]
            for record in self._client.select(columns, schema.name, "Id", [link.remote_id for link in mine]):
                found[str(record["Id"])[:15]] = record
        return [self._seen(link, found.get(link.remote_id[:15])) for link in links]

    def _by_object(self, links: Sequence[Link]) -> list[tuple[Schema, list[Link]]]:
        contacts = self._catalog.find("Contact") if self.schema.name == "Lead" else None
        converted = [i for i in links if contacts and i.remote_id.startswith(CONTACT_PREFIX)]
        plain = [i for i in links if i not in converted]
        groups = [(self.schema, plain)]
        if contacts is not None:
            groups.append((contacts, converted))
        return [(schema, mine) for schema, mine in groups if mine]

    def _path(self, schema: Schema, name: str) -> str | None:
        relation, dot, key = name.partition(".")
        if dot:
            lookup = schema.relation(relation)
            return f"{lookup.relationship}.{key}" if lookup else None
        target = schema.get(name)
        return target.name if target else None

    def _seen(self, link: Link, record: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        if record is None:
            return None
        seen: dict[str, Any] = {}
        for name, ours in link.fields.items():
            relation, dot, key = name.partition(".")
            if dot:
                seen[name] = (record.get(relation) or {}).get(key)
                continue
            target = self.schema.get(name)
            theirs = record.get(target.name) if target else None
            # What this org has no field for is never sent, and so does not differ; and values that say the same are
            # given in the words they were delivered in.
            unsent = target is None and (name == ITEMS or name in default_fields(self.spec) or self._renamed(link))
            unsent = unsent or name == LAST_NAME_FALLBACK or self._withheld(name, ours)
            seen[name] = ours if unsent or self._holds(name, ours, theirs) else theirs
        return seen

    def _withheld(self, name: str, ours: Any) -> bool:
        """What is mapped and not written all the same: an order's status without `activate`, an opt-in."""
        if self.has_items and name == "Status":
            return not self.spec.settings.get("activate", False)
        return name.lower() in OPT_OUTS and not ours and not self.spec.settings.get("clear_opt_out", False)

    def _renamed(self, link: Link) -> bool:
        return self.schema.name == "Lead" and link.remote_id.startswith(CONTACT_PREFIX)

    def _holds(self, name: str, ours: Any, theirs: Any) -> bool:
        target = self.schema.get(name)
        if target is None or same(target, ours, theirs):
            return same(target, ours, theirs)
        option = self.spec.options.get(name)
        if option is not None and option.truncate and theirs:
            return str(ours)[: target.length] == str(theirs)
        if target.picklist.get(str(theirs), "").casefold() == str(ours).casefold():
            return True
        # With state and country picklists on, names are set by Salesforce, from the codes.
        return name.endswith(("State", "Country")) and self.schema.get(f"{name}Code") is not None

    # -- taking away

    def remove(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        """Deletes, as the route's `on_delete` says."""
        policy = str(operations[0].settings.get("on_delete") or "keep")
        if policy == "flag":
            return self._flag(operations)
        if policy != "delete":
            return {
                op.id: Unchanged(remote_id=op.link.remote_id if op.link else None, note="kept: on_delete = keep")
                for op in operations
            }
        return self._delete(operations)

    def _flag(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        flag = self.schema.get(str(operations[0].settings.get("deleted_field") or ""))
        if flag is None:
            error = Rejected('on_delete = "flag" needs deleted_field, a checkbox of the object')
            return {op.id: Failed(error) for op in operations}
        rows = [
            Row(op=op, object=self.schema.name, fields={flag.name: True}, id=op.link.remote_id)
            for op in operations
            if op.link
        ]
        return self.writer.write(rows)

    def _delete(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        linked = [op for op in operations if op.link]
        if self.has_items:
            self._orders.reopen(linked)
        outcomes: dict[int, Outcome] = {}
        for part in chunked(linked, COLLECTION):
            ids = [op.link.remote_id for op in part if op.link]
            for op, result in zip(part, self._client.delete(ids), strict=True):
                outcomes[op.id] = self._deleted(op, result)
        return outcomes

    @staticmethod
    def _deleted(op: Operation, result: Mapping[str, Any]) -> Outcome:
        remote_id = op.link.remote_id if op.link else None
        if result.get("success"):
            return Delivered(remote_id=remote_id)
        problem = (*problems_of(result.get("errors")), Problem("UNKNOWN_EXCEPTION"))[0]
        if problem.code in GONE_CODES:
            return Unchanged(remote_id=remote_id, note="already deleted in Salesforce")
        return Failed(classify(problem))

    def erase(self, link: Link) -> None:
        """Delete one record. Raises Rejected where Salesforce keeps it (open orders, permissions)."""
        try:
            self._client.call("DELETE", f"sobjects/{self._object_of(link)}/{link.remote_id}")
        except Refused as error:
            if error.problem.code in GONE_CODES or error.status == 404:
                return
            if not self.has_items:
                raise
            self._client.call("PATCH", f"sobjects/Order/{link.remote_id}", json={"Status": "Draft"})
            self._client.call("DELETE", f"sobjects/Order/{link.remote_id}")

    def _object_of(self, link: Link) -> str:
        return "Contact" if self._renamed(link) else self.schema.name


def is_outage(error: Exception) -> bool:
    """True for what concerns the connection and will meet the next request as well."""
    if isinstance(error, RateLimited):
        return error.scope == "lane"
    return isinstance(error, AuthError | ConfigError) or (isinstance(error, Transient) and error.outage)


def unsent(outcomes: Sequence[Outcome]) -> SynccoreError | None:
    """The error that would meet the next request too, in the words of a request that was never sent."""
    for outcome in outcomes:
        error = outcome.error if isinstance(outcome, Failed) else None
        if isinstance(error, SynccoreError) and is_outage(error):
            return Transient(error.message) if isinstance(error, Transient) else error
    return None


def failed_alike(outcomes: Sequence[Outcome]) -> Exception | None:
    """The one error all outcomes share, where it concerns the connection and not the records."""
    errors = {id(o.error): o.error for o in outcomes if isinstance(o, Failed)}
    if len(errors) != 1 or not all(isinstance(o, Failed) for o in outcomes):
        return None
    (error,) = errors.values()
    return error if is_outage(error) else None
