"""Everything one route needs of the org: write, find, read back, take away."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from synccore.errors import Rejected
from synccore.types import Ambiguous, Clock, Erased, Failed, Link, LookupResult, Operation, Outcome, RouteSpec, State

from .client import Client
from .companies import Accounts
from .erase.remove import Remover
from .erased import Erasures
from .made import MadeAccounts
from .mapping.record import Shaper
from .mapping.row import Row
from .match import Finder, SeveralFound, fold
from .orders import Orders
from .products import Products
from .read import Reader
from .schema import Catalog, Schema
from .write.follow import Follower
from .write.writer import Writer

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
    ) -> None:
        self.spec = route
        self.schema = schema
        self._client = client
        self.shaper = Shaper(route, schema, catalog)
        self.finder = Finder(client, self.shaper)
        erasures = Erasures(state, clock)
        follower = Follower(client, self.shaper, self.finder, erasures)
        self.writer = Writer(client, catalog, clock, follower, duplicate_rule)
        made = MadeAccounts(client, catalog, state)
        self._accounts = Accounts(client, catalog, self.shaper, made)
        self._orders = Orders(client, self.writer, self.finder, Products(client, catalog))
        self._reader = Reader(client, catalog, route, schema, follower)
        self._remover = Remover(client, catalog, self.shaper, self.writer, made, erasures)

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
                results[row.op.id] = Link(
                    object=self.spec.object,
                    remote_id=row.id,
                    adopted=not row.own,
                    marked=row.own,
                    common=row.company,
                )
        return [results.get(op.id) for op in operations]

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
