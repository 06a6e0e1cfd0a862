"""Klaviyo as a sink: profiles and events."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from synccore.hookspecs import SinkType
from synccore.types import (
    Account,
    Allowance,
    Check,
    Context,
    Delivered,
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

from .client import MAX_BATCH, PROFILES_LIMIT, Client
from .config import Config
from .errors import ADVICE
from .mapping.defaults import check_settings, objects

__all__ = ["SINK", "KlaviyoSink"]


def _limits(bulk_threshold: int) -> Limits:
    return Limits(
        max_batch=MAX_BATCH,
        max_in_flight=4,
        bulk_batch=PROFILES_LIMIT,
        bulk_threshold=bulk_threshold,
        deadline=timedelta(minutes=5),
        # An opt-out is told within ten seconds of Klaviyo being back.
        look_within=timedelta(seconds=8),
    )


class KlaviyoSink:
    """One Klaviyo account."""

    def __init__(self, config: Config, context: Context) -> None:
        # With the first sink: who only names the types needs none of the rooms.
        from .account import Connection
        from .check import Checker
        from .dropping import Dropping
        from .erase import Eraser
        from .jobs import Jobs
        from .mapping.filters import named
        from .match import Finder
        from .plans import PlanNames
        from .read import Reader
        from .track import Events
        from .wanted import Wanted
        from .write import Writer

        check_settings(context.routes)
        self._client = Client(config, context)
        self._jobs = Jobs(self._client, context)
        self._connection = Connection(config, context, self._client)
        self._checker = Checker(config, context, self._connection, self._client)
        self._finder = Finder(self._client)
        deaf = frozenset(r.name for r in context.routes if r.settings.get("on_opt_out") == "nothing")
        self._reader = Reader(self._client, deaf)
        self._dropping = Dropping(self._client, context)
        self._writer = Writer(self._client, config, context, self._jobs, self._dropping)
        self._wanted = Wanted(context)
        self._eraser = Eraser(self._client, context, self._jobs)
        self._events = Events(self._client, config, context)
        #: The filters of `filters.FILTERS` with the names this sink has given to plans.
        self.filters = named(PlanNames(context, config.plans).name)
        #: Depend on `bulk_threshold`, `prefix` and `commerce_events`.
        self.limits = _limits(config.bulk_threshold)
        self.objects = objects(config)

    def check(self) -> Check:
        """Name the account, the scopes the key lacks, and what would double or be lost."""
        return self._checker.check()

    def describe(self) -> Sequence[ObjectInfo]:
        """Klaviyo's own attributes, and as custom properties whatever else the routes name."""
        return self._checker.describe()

    def deliver(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """Write profiles or send events; a call never mixes them."""
        if not operations:
            return []
        self._eraser.follow_up()
        if operations[0].object == "event":
            return self._events.deliver(operations)
        waiting = self._dropping.waiting(operations)
        going = [op for op in operations if op.id not in waiting]
        written = zip(going, self._writer.deliver(going), strict=True)
        outcomes: dict[int, Outcome] = {**waiting, **{op.id: outcome for op, outcome in written}}
        return self._wanted.told(operations, [outcomes[op.id] for op in operations])

    def overtake(self, operations: Sequence[Operation]) -> Sequence[Delivered | Failed | None]:
        """Tell opt-outs and opt-ins of people whose older state is in an import job."""
        if operations and operations[0].object == "event":
            return [None] * len(operations)
        return self._writer.overtake(operations)

    def collect(self, job: Job) -> Sequence[Outcome] | None:
        """The outcomes of a profile import job."""
        outcomes = self._jobs.collect(job)
        if outcomes is None:
            return None
        self._eraser.follow_up(job.id)
        return self._wanted.told(job.operations, self._writer.collected(job.operations, outcomes))

    def lookup(self, operations: Sequence[Operation]) -> Sequence[LookupResult]:
        """The profiles that exist; an event has no twin, its unique_id keeps it single."""
        if operations and operations[0].object == "event":
            return [None] * len(operations)
        from .jobs import POLL

        # Before the profiles: a job that ends in between has made what is then found, and is there to be deleted.
        held = self._jobs.held([op for op in operations if op.op == "delete"])
        waits = {n: Retry(after=POLL, reason=str(o.error)) for n, o in held.items() if isinstance(o, Failed)}
        found = self._finder.lookup(operations)
        return [waits.get(op.id, result) for op, result in zip(operations, found, strict=True)]

    def foretell(self, operations: Sequence[Operation]) -> Sequence[str | None]:
        """For a preview: which events a change would be, or that it is only remembered."""
        return [self._events.foretell(op) if op.object == "event" else None for op in operations]

    def remembers(self, route: RouteSpec) -> bool:
        """Of events the past is no news, unless the route asks for it.

        Core asks before anything of the shop is listed: so it is known since when the route is at work.
        """
        wanted = route.object == "event" and not route.settings.get("backfill")
        if wanted:
            self._events.begin(route.name)
        return wanted

    def read(self, links: Sequence[Link]) -> Sequence[Mapping[str, Any] | None]:
        """The profiles as they are now. Of events it says nothing: `readable` is off for them."""
        return self._reader.read(links)

    def find(self, identity: Identity) -> Sequence[Link]:
        """The person's profiles, linked or not, and the import job that may still make one."""
        return self._eraser.find(identity)

    def erase(self, link: Link) -> Erased:
        """Delete the person with all events, and look whether it was done."""
        return self._eraser.erase(link)

    def account(self) -> Account:
        """The account the key belongs to."""
        return self._connection.account()

    def budgets(self) -> Sequence[Allowance]:
        """Quotas of the endpoints called so far."""
        return self._client.budgets()

    def page_of(self, link: Link) -> str | None:
        """A profile's page at Klaviyo."""
        return f"https://www.klaviyo.com/profile/{link.remote_id}" if link.object == "profile" else None

    def resume(self) -> None:
        """A person resumed the lane."""
        self._client.resume()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


SINK = SinkType(
    name="klaviyo",
    summary="Klaviyo: profiles with memberships and subscriptions, events, consent",
    config=Config,
    open=KlaviyoSink,
    objects=objects(),
    advice=ADVICE,
    limits=_limits(200),
)
