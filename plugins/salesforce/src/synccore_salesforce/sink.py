"""The Salesforce sink: translates between synccore's operations and the org's records."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from synccore.hookspecs import SinkType
from synccore.types import (
    Account,
    Allowance,
    Check,
    Context,
    Erased,
    Identity,
    Job,
    Limits,
    Link,
    LookupResult,
    ObjectInfo,
    Operation,
    Outcome,
)

from .config import Config
from .errors import ADVICE
from .limits import BULK_ROWS, SLICE, Governor
from .mapping.defaults import OBJECTS

if TYPE_CHECKING:
    from synccore.oauth import Browser

__all__ = ["SINK", "SalesforceSink"]


def _limits(config: Config | None = None) -> Limits:
    return Limits(
        max_batch=SLICE,
        # One writer: parallel writes lock each other out, and search-then-create would race.
        max_in_flight=1,
        bulk_batch=BULK_ROWS,
        bulk_threshold=config.bulk_threshold if config else 2000,
        linger=timedelta(seconds=1),
        deadline=timedelta(minutes=10),
    )


class SalesforceSink:
    """One org."""

    def __init__(self, config: Config, context: Context) -> None:
        # With the first sink: who only names the types needs none of the rooms.
        from .account import Connection, Session
        from .check import Checker
        from .client import Client
        from .erase import Eraser
        from .jobs import Jobs
        from .route import Routes
        from .schema import Catalog
        from .write import Writer

        config.require_complete()
        self.limits = _limits(config)
        self._config = config
        self._context = context
        self._session = Session(config, context)
        self._client = Client(context, self._session, Governor(context.clock, config.api_share), config.api_version)
        self._catalog = Catalog(self._client, context.clock)
        self._jobs = Jobs(self._client, context)
        self._routes = Routes(config, context, self._client, self._catalog)
        self._connection = Connection(self._session, self._client, self._catalog)
        self._checker = Checker(config, context, self._connection, self._client, self._catalog)
        self._writer = Writer(config, context, self._client, self._jobs, self._routes)
        self._eraser = Eraser(context, self._client, self._catalog, self._jobs, self._routes)

    # -- connection

    def connect(self, browser: "Browser") -> Account:
        """Sign in by the configured flow and say which org and user it is."""
        return self._connection.connect(browser)

    def disconnect(self, keep_grant: bool = False) -> str:
        """Revoke the grant and wipe the tokens."""
        return self._connection.disconnect(keep_grant=keep_grant)

    def account(self) -> Account:
        """The org the session is for. No call beyond the session itself."""
        return self._connection.account()

    def check(self) -> Check:
        """Version, session, user, kind of org, then each route's object."""
        return self._checker.check()

    def describe(self) -> Sequence[ObjectInfo]:
        """The objects of the routes, with what the sink takes beyond their own fields."""
        return self._checker.describe()

    def describe_object(self, name: str) -> ObjectInfo:
        """Any object of the org. Raises ConfigError where the connected user sees none of that name."""
        return self._checker.describe_object(name)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # -- delivering

    def deliver(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """Write the operations of one route, by collections, or hand them to Bulk API 2.0."""
        return self._writer.deliver(operations)

    def collect(self, job: Job) -> Iterable[Outcome] | None:
        """What came of a bulk job, or None while it runs."""
        return self._writer.collect(job)

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
        """What exists already: by external id, then by the other match fields."""
        return self._routes.lookup(operations, self._jobs)

    def read(self, links: Sequence[Link]) -> Sequence[Mapping[str, Any] | None]:
        """The records as they are now."""
        return self._routes.read(links)

    def erase(self, link: Link) -> Erased:
        """Delete the record (it goes to the org's Recycle Bin, which Salesforce empties after 15 days).

        What others use or made is let go of; what Salesforce keeps for its orders is made nameless.
        """
        return self._eraser.erase(link)

    def find(self, identity: Identity) -> Sequence[Link]:
        """The person's records on the routes' objects, by key and by address."""
        return self._eraser.find(identity)


SINK = SinkType(
    name="salesforce",
    summary="Salesforce: contacts, accounts, person accounts, leads, orders and any other object",
    config=Config,
    open=SalesforceSink,
    objects=OBJECTS,
    advice=ADVICE,
    limits=_limits(),
    any_object=True,
    leaves=("keep", "clear", "delete"),
)
