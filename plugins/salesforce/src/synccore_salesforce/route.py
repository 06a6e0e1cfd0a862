"""Everything one route needs of the org: write, find, read back, take away."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from synccore.errors import Rejected
from synccore.types import (
    Clock,
    Context,
    Erased,
    Failed,
    Link,
    LookupResult,
    Operation,
    Outcome,
    Retry,
    RouteSpec,
    State,
)

from .client import Client
from .companies import Accounts
from .config import Config
from .erased import Erasures
from .errors import RouteHeld
from .jobs import POLL, Jobs
from .made import MadeAccounts
from .mapping.record import Shaper
from .mapping.row import Row
from .match import Finder, fold
from .orders import Orders
from .products import Products
from .read import Reader
from .remove import Remover
from .rows.follow import Follower
from .rows.save import Saver
from .schema import Catalog, Schema

__all__ = ["Route"]


class Route:
    """One route at one org, for the length of one call of core."""

    def __init__(
        self,
        route: RouteSpec,
        schema: Schema,
        client: Client,
        catalog: Catalog,
        clock: Clock,
        state: State,
        duplicate_rule: str,
        after: str | None,
    ) -> None:
        self.spec = route
        self.schema = schema
        self._client = client
        self.shaper = Shaper(route, schema, catalog)
        self.finder = Finder(client, self.shaper)
        erasures = Erasures(state, clock)
        follower = Follower(client, self.shaper, self.finder, erasures)
        self.saver = Saver(client, catalog, clock, follower, duplicate_rule)
        made = MadeAccounts(client, catalog, state)
        self._accounts = Accounts(client, catalog, self.shaper, made)
        self._orders = Orders(client, self.saver, self.finder, Products(client, catalog))
        self._reader = Reader(client, catalog, self.shaper, follower, after)
        self._remover = Remover(client, catalog, self.shaper, self.saver, made, erasures)

    @property
    def searches(self) -> bool:
        """True where a record may be found by something two writers could both miss."""
        return bool(self.shaper.matching.search)

    @property
    def has_items(self) -> bool:
        """True for orders: their items keep them out of bulk jobs."""
        return self.schema.name == "Order"

    # -- writing

    def rows(self, operations: Sequence[Operation], outcomes: dict[int, Outcome], *, bulk: bool = False) -> list[Row]:
        """The operations as rows whose records, where there are any, are found; the others' outcomes are set."""
        rows: list[Row] = []
        for op in operations:
            try:
                rows.append(self.shaper.row(op))
            except Rejected as error:
                outcomes[op.id] = Failed(error)
        self._remover.leave_behind(rows, outcomes)
        self._accounts.fill(rows, outcomes)
        rows = [r for r in rows if r.op.id not in outcomes]
        for op_id, reason in self.finder.resolve(rows, outright=not (bulk or self.has_items)).items():
            outcomes[op_id] = Failed(reason)
        return [r for r in rows if r.op.id not in outcomes]

    def twins(self, operations: Iterable[Operation]) -> set[int]:
        """Operations that share a value searched for with others: one makes the record, the others find it."""
        if not self.searches:
            return set()
        by_value: dict[str, list[int]] = defaultdict(list)
        for op in operations:
            for target in self.shaper.matching.search:
                value = next((v for n, v in op.fields.items() if n.lower() == target.name.lower()), None)
                if value not in (None, "") and not op.previous:
                    by_value[f"{target.name}:{fold(value)}"].append(op.id)
        return {i for ids in by_value.values() if len(ids) > 1 for i in ids}

    def write(self, rows: Sequence[Row]) -> dict[int, Outcome]:
        """Write rows by collections."""
        return self._orders.write(rows) if self.has_items else self.saver.write(rows)

    # -- looking

    def lookup(self, operations: Sequence[Operation]) -> list[LookupResult]:
        """Per operation: the link to what exists, what could be it, or None. Writes nothing."""
        return self.finder.lookup(operations)

    def read(self, links: Sequence[Link]) -> list[Mapping[str, Any] | None]:
        """Per link: the record's values under the mapped names, or None where it is gone."""
        return self._reader.read(links)

    # -- taking away

    def remove(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        """Deletes and leaves, as the route says."""
        return self._remover.remove(operations)

    def erase(self, link: Link) -> Erased:
        """Erase the person behind a link, with the records made for them."""
        return self._remover.erase(link)


class Routes:
    """The routes of one sink, each opened for the length of a call."""

    def __init__(self, config: Config, context: Context, client: Client, catalog: Catalog) -> None:
        self._config = config
        self._context = context
        self._client = client
        self._catalog = catalog
        self._specs = {r.name: r for r in context.routes}

    def lookup(self, operations: Sequence[Operation], jobs: Jobs) -> list[LookupResult]:
        """Per operation of one route: what exists. A job that still runs may make what is not there yet: whoever may
        be in it waits."""
        if not operations:
            return []
        # Before the records: a job that ends in between has made what is then found.
        held = jobs.held([op for op in operations if op.maybe_applied and op.link is None])
        waits = {n: Retry(after=POLL, reason=str(o.error)) for n, o in held.items() if isinstance(o, Failed)}
        found = self.of(operations[0]).lookup(operations)
        return [waits.get(op.id, result) for op, result in zip(operations, found, strict=True)]

    def read(self, links: Sequence[Link]) -> list[Mapping[str, Any] | None]:
        """Per link, of whatever routes: the record's values, or None where it is gone."""
        found: dict[int, Mapping[str, Any] | None] = {}
        for name in dict.fromkeys((link.route, link.object) for link in links):
            mine = [i for i, link in enumerate(links) if (link.route, link.object) == name]
            route = self.of_link(links[mine[0]])
            found.update(zip(mine, route.read([links[i] for i in mine]), strict=True))
        return [found[i] for i in range(len(links))]

    def of_link(self, link: Link) -> Route:
        """That delivered a link, or another one to the same object."""
        spec = self._specs.get(link.route) or next(
            (s for s in self._specs.values() if s.object == link.object),
            RouteSpec(name=link.route, source=link.source, entity=link.entity, sink=self._context.name,
                      object=link.object, fields=link.fields),
        )  # fmt: skip
        return self._open(spec)

    def of(self, op: Operation) -> Route:
        """That an operation belongs to."""
        return self._open(
            self._specs.get(op.route)
            or RouteSpec(name=op.route, source=op.source, entity=op.entity, sink=self._context.name, object=op.object,
                         fields=op.fields, match=op.match, options=op.options, settings=op.settings)
        )  # fmt: skip

    def _open(self, spec: RouteSpec) -> Route:
        schema = self._catalog.find(spec.object)
        if schema is None:
            raise RouteHeld(f"the connected user sees no object {spec.object} in this org: see synccore check")
        context = self._context
        state, rule = context.state(), self._config.duplicate_rule
        above = self._specs.get(spec.after or "")
        after = above.object if above else None
        return Route(spec, schema, self._client, self._catalog, context.clock, state, rule, after)
