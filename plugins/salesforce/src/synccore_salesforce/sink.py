"""The Salesforce sink: translates between synccore's operations and the org's records."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any

from synccore.errors import ConfigError, SynccoreError, Transient
from synccore.hookspecs import Sink, SinkType
from synccore.oauth import Browser
from synccore.types import (
    Account,
    Allowance,
    Check,
    Context,
    Erased,
    Failed,
    Identity,
    Job,
    Limits,
    Link,
    LookupResult,
    ObjectInfo,
    Operation,
    Outcome,
    Retry,
    RouteSpec,
)

from .account import Session, account_of
from .check import Checker, described, described_object
from .client import COLLECTION, Client, chunked
from .config import Config
from .erase.find import find
from .errors import ADVICE, GONE_CODES, Problem, Refused, RouteHeld, failed_alike, held, unsent
from .jobs import POLL, Bulk, Ended
from .limits import Governor
from .mapping.defaults import OBJECTS
from .mapping.row import Row
from .match import AfterAnother
from .route import Route
from .schema import Catalog
from .write.writer import delivered, unchanged, writable

__all__ = ["SINK", "SalesforceSink"]

#: Salesforce counts one batch of its daily allowance for each 10,000 rows of a job.
_BULK_ROWS = 10_000
_REMOVALS = ("delete", "leave")
#: Operations looked up at once: five queries of 200 in one request, whatever a request may write.
_SLICE = 1000
#: Operations of a job whose keys and addresses are asked for at once: five queries of 1,000.
_WAVE = 5000
#: Refusals of a bulk row that the same row may survive when it is written on its own.
_WORTH_A_TRY = (
    *GONE_CODES,
    "DUPLICATE_VALUE",
    "DUPLICATES_DETECTED",
    "FIELD_INTEGRITY_EXCEPTION",
    "INVALID_EMAIL_ADDRESS",
)


def _limits(config: Config | None = None) -> Limits:
    return Limits(
        max_batch=_SLICE,
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
        self._bulk = Bulk(self._client, context)
        self._checker = Checker(config, self._client, self._session, self._catalog)
        self._specs = {r.name: r for r in context.routes}

    # -- connection

    def connect(self, browser: Browser) -> Account:
        """Sign in by the configured flow and say which org and user it is."""
        self._session.sign_in(browser)
        return self._checker.account()

    def disconnect(self, keep_grant: bool = False) -> str:
        """Revoke the grant and wipe the tokens."""
        self._catalog.forget()
        return self._session.sign_out(keep_grant=keep_grant)

    def account(self) -> Account:
        """The org the session is for. No call beyond the session itself."""
        return account_of(self._session.valid(), {}, {})

    def check(self) -> Check:
        """Version, session, user, kind of org, then each route's object."""
        return self._checker.check(self._context.routes)

    def describe(self) -> Sequence[ObjectInfo]:
        """The objects of the routes, with what the sink takes beyond their own fields."""
        return described(self._catalog, self._context.routes)

    def describe_object(self, name: str) -> ObjectInfo:
        """Any object of the org. Raises ConfigError where the connected user sees none of that name."""
        return described_object(self._catalog, self._context.routes, name)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # -- delivering

    def deliver(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """Write the operations of one route, 200 to a request, or hand them to Bulk API 2.0."""
        if not operations:
            return []
        self._admit(operations)
        outcomes: dict[int, Outcome] = self._bulk.held(operations)
        # More than a lane hands over otherwise, or than the operator says, are worth a job.
        if len(operations) - len(outcomes) > min(_SLICE, max(COLLECTION, self._config.bulk_threshold)):
            rest = [op for op in operations if op.id not in outcomes] if outcomes else operations
            outcomes.update(self._in_bulk(rest))
        outcomes.update(self._in_collections([op for op in operations if op.id not in outcomes]))
        return self._answer(operations, outcomes)

    def _in_collections(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        """As many at a time as one look takes; what stops one request stops the rest."""
        outcomes: dict[int, Outcome] = {}
        stop: SynccoreError | None = None
        for chunk in chunked(operations, _SLICE):
            found = {op.id: Failed(stop) for op in chunk} if stop else self._guarded(chunk)
            stop = stop or unsent(list(found.values()))
            outcomes.update(found)
        return outcomes

    def _admit(self, operations: Sequence[Operation]) -> None:
        governor = self._client.governor
        if governor.is_stale:
            self._client.limits()
        governor.admit(bulk=operations[0].bulk, full=len(operations) >= COLLECTION)

    def _answer(self, operations: Sequence[Operation], outcomes: dict[int, Outcome]) -> list[Outcome]:
        nothing = Failed(Transient("nothing came of it", outage=False))
        found = [outcomes.get(op.id) or nothing for op in operations]
        if error := failed_alike(found):
            raise error
        return found

    def _guarded(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        """A look's worth of operations; an error that stops it is the outcome of each."""
        try:
            outcomes = self._live(operations)
            if later := [op for op in operations if _leader(outcomes[op.id]) is not None]:
                outcomes.update(self._live(later))
        except Refused as error:
            # A request as a whole: what it asks for is not there, or hidden.
            return {op.id: Failed(held(error.problem, error.status) or error) for op in operations}
        except SynccoreError as error:
            return {op.id: Failed(error) for op in operations}
        return outcomes

    def _live(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        route = self._route(operations[0].route, operations[0])
        outcomes: dict[int, Outcome] = {}
        if removals := [op for op in operations if op.op in _REMOVALS]:
            outcomes.update(route.remove(removals))
        with self._alone(route):
            rows = route.rows([op for op in operations if op.op not in _REMOVALS], outcomes)
            outcomes.update(route.write(rows))
        return outcomes

    def _alone(self, route: Route) -> AbstractContextManager[None]:
        """Search and create are two steps: no other process may come in between."""
        return self._context.lock(f"salesforce:{route.schema.name}") if route.searches else nullcontext()

    def _in_bulk(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        """What a job can take of a backlog; the rest, and all where jobs cannot be used, is left out."""
        if self._config.duplicate_rule == "save":
            # The header that saves duplicates has no effect on jobs.
            return {}
        try:
            route = self._route(operations[0].route, operations[0])
            if route.has_items:
                return {}
            outcomes: dict[int, Outcome] = {}
            outcomes.update(self._bulk.submit(self._bulk_rows(route, operations, outcomes)))
        except SynccoreError as error:
            return {op.id: Failed(error) for op in operations}
        # Records that share a value are written one after the other, which a job cannot promise.
        return {i: o for i, o in outcomes.items() if _leader(o) is None}

    def _bulk_rows(self, route: Route, operations: Sequence[Operation], outcomes: dict[int, Outcome]) -> Iterator[Row]:
        """The rows of a job, a slice at a time. Those that others with the same value wait for are left out."""
        twins = route.twins(op for op in operations if op.op not in _REMOVALS)
        for wave in chunked((op for op in operations if op.op not in _REMOVALS and op.id not in twins), _WAVE):
            route.finder.ahead(wave)
            for part in chunked(wave, _SLICE):
                for row in route.rows(part, outcomes, bulk=True):
                    if writable(row):
                        yield row
                    else:
                        outcomes[row.op.id] = unchanged(row)

    def collect(self, job: Job) -> Iterable[Outcome] | None:
        """What came of a bulk job, or None while it runs. Rows that may pass on their own are written on their own."""
        ended = self._bulk.collect(job)
        return None if ended is None else self._told(job.operations, ended)

    def _told(self, operations: Sequence[Operation], ended: Ended) -> Iterator[Outcome]:
        route = self._route(operations[0].route, operations[0]) if ended.done else None
        again = self._in_collections([op for op in operations if _worth_a_try(ended.of(op))])
        for op in operations:
            found = ended.of(op)
            if isinstance(found, str) and route is not None:
                row = route.shaper.row(op)
                ended.settle(row, found)
                yield delivered(row)
            elif isinstance(found, Problem):
                yield again.get(op.id) or Failed(self._verdict(op, found))
            elif isinstance(found, SynccoreError):
                yield Failed(found)

    def _verdict(self, op: Operation, problem: Problem) -> SynccoreError:
        route = self._route(op.route, op)
        return route.writer.verdict(route.shaper.row(op), problem)

    def budgets(self) -> Sequence[Allowance]:
        """The org's calls in any 24 hours, all its apps together, as its last answer said."""
        governor = self._client.governor
        return (
            [Allowance(label="calls in 24 hours", used=governor.used, limit=governor.limit)] if governor.limit else []
        )

    def page_of(self, link: Link) -> str | None:
        """The record's page in the org."""
        tokens = self._session.tokens()
        return f"{str(tokens.extra['instance_url']).rstrip('/')}/{link.remote_id}" if tokens else None

    def resume(self) -> None:
        """A person says go on (`synccore lanes resume`): forget how long to wait for calls of the day."""
        self._client.governor.forget()
        self._catalog.forget()

    # -- looking and erasing

    def lookup(self, operations: Sequence[Operation]) -> Sequence[LookupResult]:
        """What exists already: by external id, then by the other match fields.

        A job that still runs may make what is not there yet: a deletion waits for it.
        """
        if not operations:
            return []
        # Before the records: a job that ends in between has made what is then found.
        held = self._bulk.held([op for op in operations if op.maybe_applied and op.link is None])
        waits = {n: Retry(after=POLL, reason=str(o.error)) for n, o in held.items() if isinstance(o, Failed)}
        found = self._route(operations[0].route, operations[0]).lookup(operations)
        return [waits.get(op.id, result) for op, result in zip(operations, found, strict=True)]

    def read(self, links: Sequence[Link]) -> Sequence[Any]:
        """The records as they are now."""
        found: dict[int, Any] = {}
        for name in dict.fromkeys((link.route, link.object) for link in links):
            mine = [i for i, link in enumerate(links) if (link.route, link.object) == name]
            route = self._route_of(links[mine[0]])
            found.update(zip(mine, route.read([links[i] for i in mine]), strict=True))
        return [found[i] for i in range(len(links))]

    def erase(self, link: Link) -> Erased:
        """Delete the record (it goes to the org's Recycle Bin, which Salesforce empties after 15 days).

        What others use or made is let go of; what Salesforce keeps for its orders is made nameless.
        """
        return self._route_of(link).erase(link)

    def find(self, identity: Identity) -> Sequence[Link]:
        """The person's records on the routes' objects, by key and by address.

        Raises Transient while a job may still make one: nobody who is inside a job is gone.
        """
        if job := self._bulk.holding([r.name for r in self._context.routes], identity.uids):
            raise Transient(f"import job {job} may still write them: run forget again once it has ended", outage=False)
        return find(self._client, self._catalog, self._context.routes, identity)

    # -- routes

    def _route_of(self, link: Link) -> Route:
        spec = self._specs.get(link.route) or next(
            (s for s in self._specs.values() if s.object == link.object),
            RouteSpec(name=link.route, source=link.source, entity=link.entity, sink=self._context.name,
                      object=link.object, fields=link.fields),
        )  # fmt: skip
        return self._open_route(spec)

    def _route(self, name: str, op: Operation) -> Route:
        return self._open_route(
            self._specs.get(name)
            or RouteSpec(name=name, source=op.source, entity=op.entity, sink=self._context.name, object=op.object,
                         fields=op.fields, match=op.match, options=op.options, settings=op.settings)
        )  # fmt: skip

    def _open_route(self, spec: RouteSpec) -> Route:
        schema = self._catalog.find(spec.object)
        if schema is None:
            raise RouteHeld(f"the connected user sees no object {spec.object} in this org: see synccore check")
        context = self._context
        state, rule = context.state(), self._config.duplicate_rule
        return Route(spec, schema, self._client, self._catalog, context.clock, state, rule)


def _leader(outcome: Outcome) -> int | None:
    error = outcome.error if isinstance(outcome, Failed) else None
    return error.leader if isinstance(error, AfterAnother) else None


def _worth_a_try(found: str | Problem | SynccoreError) -> bool:
    return isinstance(found, Problem) and (found.is_lock or found.code in _WORTH_A_TRY)


def _open(config: Any, context: Context) -> Sink:
    if not isinstance(config, Config):
        raise ConfigError("this is no configuration of a Salesforce sink")
    return SalesforceSink(config, context)


SINK = SinkType(
    name="salesforce",
    summary="Salesforce: contacts, accounts, person accounts, leads, orders and any other object",
    config=Config,
    open=_open,
    objects=OBJECTS,
    advice=ADVICE,
    limits=_limits(),
    any_object=True,
    leaves=("keep", "clear", "delete"),
)
