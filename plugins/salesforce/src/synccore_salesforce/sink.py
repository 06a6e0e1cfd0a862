"""The Salesforce sink: translates between synccore's operations and the org's records."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from attrs import frozen

from synccore.errors import ConfigError, Rejected, SynccoreError, Transient
from synccore.hookspecs import SinkType
from synccore.oauth import Browser
from synccore.types import (
    Account,
    Ambiguous,
    Check,
    Context,
    Delivered,
    Failed,
    Limits,
    Link,
    LookupResult,
    ObjectInfo,
    Operation,
    Outcome,
    RouteSpec,
    Unchanged,
)

from ._follow import CONTACT_PREFIX, Follower
from ._governor import Governor
from ._match import Finder, SeveralFound
from ._record import Row, Shaper
from ._schema import Catalog
from ._session import Session
from ._writer import Writer
from .client import COLLECTION, Client, chunked
from .config import Config
from .mapping import OBJECTS

__all__ = ["SINK", "SalesforceSink"]

_BULK_ROWS = 10_000


def _limits(config: Config | None = None) -> Limits:
    return Limits(
        max_batch=COLLECTION,
        # One writer: parallel writes lock each other out, and search-then-create would race.
        max_in_flight=1,
        bulk_batch=_BULK_ROWS,
        bulk_threshold=config.bulk_threshold if config else 2000,
        linger=timedelta(seconds=1),
        deadline=timedelta(minutes=10),
    )


class SalesforceSink:
    """One org."""

    def __init__(self, config: Config, context: Context) -> None:
        config.require_complete()
        self.limits = _limits(config)
        self._config = config
        self._context = context
        self._session = Session(config, context)
        self._client = Client(context, self._session, Governor(context.clock, config.api_share), config.api_version)
        self._catalog = Catalog(self._client, context.clock)
        self._routes = {r.name: r for r in context.routes}
        self._written = False

    # -- connection

    def connect(self, browser: Browser) -> Account:
        """Sign in by the configured flow and say which org and user it is."""
        from ._check import Checker

        self._session.sign_in(browser)
        return Checker(self._config, self._client, self._session, self._catalog).account()

    def disconnect(self, keep_grant: bool = False) -> str:
        """Revoke the grant and wipe the tokens."""
        self._catalog.forget()
        return self._session.sign_out(keep_grant=keep_grant)

    def check(self) -> Check:
        """Version, session, user, kind of org, then each route's object."""
        from ._check import Checker

        return Checker(self._config, self._client, self._session, self._catalog).check(self._context.routes)

    def describe(self) -> Sequence[ObjectInfo]:
        """The objects of the routes, with what the sink takes beyond their own fields."""
        from ._check import described

        return described(self._catalog, self._context.routes)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # -- delivering

    def deliver(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """Write the operations of one route, 200 to a request, or hand them to Bulk API 2.0."""
        self._admit(operations)
        outcomes: dict[int, Outcome] = {}
        rest: list[Operation] = list(operations)
        for chunk in chunked(rest, COLLECTION):
            outcomes.update(self._guarded(chunk))
        return self._answer(operations, outcomes)

    def _admit(self, operations: Sequence[Operation]) -> None:
        governor = self._client.governor
        if governor.is_stale:
            self._client.limits()
        governor.admit(bulk=operations[0].bulk, full=len(operations) >= COLLECTION)

    def _guarded(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        """A chunk's outcomes; an error that stops it is the outcome of each."""
        try:
            return self._live(operations)
        except SynccoreError as error:
            return {op.id: Failed(error) for op in operations}

    def _answer(self, operations: Sequence[Operation], outcomes: dict[int, Outcome]) -> list[Outcome]:
        found = [outcomes.get(op.id) or Failed(Transient("nothing came of it", outage=False)) for op in operations]
        errors = {id(o.error): o.error for o in found if isinstance(o, Failed)}
        if len(errors) == 1 and all(isinstance(o, Failed) for o in found):
            (error,) = errors.values()
            if not isinstance(error, Rejected):
                raise error
        if not self._written and any(isinstance(o, Delivered) for o in found):
            self._session.mark_written()
            self._written = True
        return found

    def _live(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        tools = self._tools(operations[0])
        rows: list[Row] = []
        for op in operations:
            try:
                rows.append(tools.shaper.row(op))
            except Rejected as error:
                outcomes[op.id] = Failed(error)
        for op_id, error in tools.finder.resolve(rows).items():
            outcomes[op_id] = Failed(error)
        outcomes.update(tools.writer.write([r for r in rows if r.op.id not in outcomes]))
        return outcomes

    def _tools(self, op: Operation) -> "_Tools":
        route = self._routes.get(op.route) or RouteSpec(
            name=op.route,
            source=op.source,
            entity=op.entity,
            sink=self._context.name,
            object=op.object,
            fields=op.fields,
            match=op.match,
        )
        schema = self._catalog.find(route.object)
        if schema is None:
            raise Rejected(f"the connected user sees no object {route.object} in this org: see synccore check")
        shaper = Shaper(route, schema, self._catalog)
        finder = Finder(self._client, shaper)
        follower = Follower(self._client, self._catalog, shaper, finder)
        return _Tools(
            shaper=shaper,
            finder=finder,
            follower=follower,
            writer=Writer(self._client, self._context.clock, follower, self._config.duplicate_rule),
        )


@frozen(kw_only=True)
class _Tools:
    """What works on the operations of one route."""

    shaper: Shaper
    finder: Finder
    follower: Follower
    writer: Writer


def _open(config: Any, context: Context) -> SalesforceSink:
    return SalesforceSink(config, context)


SINK = SinkType(
    name="salesforce",
    summary="Salesforce: contacts, accounts, person accounts, leads, orders and any other object",
    config=Config,
    open=_open,
    objects=OBJECTS,
    limits=_limits(),
    any_object=True,
)
