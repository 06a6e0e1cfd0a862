"""The hooks of synccore and the descriptors they hand over.

pluggy stays at the edges: every hook runs once at start and returns typed descriptors; from then on core calls plain
objects. A distribution names one module of `@hookimpl` functions in the entry-point group `synccore`:

    [project.entry-points.synccore]
    mycrm = "synccore_mycrm"

    # synccore_mycrm/__init__.py
    from synccore import hookimpl

    @hookimpl
    def synccore_sinks():
        from .sink import SINK
        return [SINK]
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import pluggy
from attrs import field, frozen

from ._plain import Shown
from .types import (
    Account,
    BackfillFilters,
    Change,
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
    MapContext,
    Notice,
    ObjectInfo,
    ObjectType,
    Operation,
    Outcome,
    Page,
    RouteSpec,
    Settled,
    Skip,
    Snapshot,
    Unreadable,
    WebhookRequest,
    WriteBack,
)

__all__ = [
    "API",
    "AccountSink",
    "AlertChannel",
    "AlertType",
    "DemoInstance",
    "DemoVendor",
    "FindSink",
    "JobSink",
    "LookupSink",
    "Mapper",
    "MapperType",
    "NamesakeSink",
    "NewsSink",
    "OvertakeSink",
    "ReadSink",
    "Sink",
    "SinkType",
    "Source",
    "SourceType",
    "StoreType",
    "hookimpl",
    "hookspec",
]

#: The contract's version. A descriptor states the one it was written for; core loads those it still serves.
API = 1

hookspec = pluggy.HookspecMarker("synccore")
hookimpl = pluggy.HookimplMarker("synccore")


# -- instances: plain objects, no base class required ----------------------------------------------------------------


class Source(Protocol):
    """A shop, or anything that reports changes.

    Optional methods beside these: `connect(browser) -> Account`, `disconnect(keep_grant=False) -> str`,
    `heal(hook_url) -> tuple[str, ...]` (repair own webhooks; says what it repaired or what is wrong; `status` shows a
    non-empty answer and core sweeps the gap, once as long as the answer stays the same), `known(entity) -> bool`
    (whether the shop has that entity at all), `fetch_many(entity, keys) -> Mapping[str, answers of fetch]` (for hints
    in bulk), `time_zone() -> str | None` (no network; IANA name or "+02:00": the zone dates are told in),
    `left_out(key_or_email) -> str | None` (no network: why a person is not reported, in a sentence),
    `search(email) -> Sequence[Change | Unreadable]` (the person with this address, for whoever looks for somebody that
    was never reported; empty where there is none), `budgets() -> Sequence[Allowance]` (no network: quotas, used and
    left), and `account() -> Account` (cheap; without it `check().account` says whom the instance reaches).
    """

    def check(self) -> Check:
        """Reach the source and say what account it is. Raises AuthError, ConfigError, Transient."""
        ...

    def poll(self, entity: str, cursor: str | None, filters: BackfillFilters) -> Iterator[Page]:
        """List records. `cursor` None means everything; otherwise what changed since, where the source can tell.

        Core commits each page with its cursor before it asks for the next. Raises Transient, RateLimited: core goes
        on later from the last committed cursor.
        """
        ...

    def receive(self, request: WebhookRequest) -> Sequence[Change | Unreadable]:
        """Turn a webhook into changes, authenticating the raw bytes first. No network. Raises SignatureError (401).

        A webhook that names a record without its data is `Change(op="touch")`; what is signed and cannot be read is
        Unreadable, beside whatever else of it can.
        """
        ...

    def subscribe(self, hook_url: str) -> str:
        """Make sure the source's webhooks point at `hook_url`, once; says in a sentence what it did."""
        ...

    def unsubscribe(self) -> str:
        """Remove the webhooks made by `subscribe`; says in a sentence what it did."""
        ...

    def write_back(self, links: Sequence[WriteBack]) -> Sequence[Outcome]:
        """Store remote ids at the source, one outcome per item in order. Must not write what is already there."""
        ...

    def fetch(self, entity: str, key: str) -> Change | Sequence[Change | Unreadable] | None:
        """Read one record (with the facts that follow from it, where there are any), or None where it is gone.

        Raises Transient when that cannot be told.
        """
        ...

    def close(self) -> None:
        """Release what `open` took."""
        ...


class Mapper(Protocol):
    """Shapes one record for one route. Pure: no I/O, no clock, the same answer each time."""

    def map(self, snapshot: Snapshot, context: MapContext) -> Mapping[str, Any] | Skip:
        """The target's fields, or Skip(reason). Raises MappingError: core parks the delivery."""
        ...


class Sink(Protocol):
    """A target. Core calls it from worker threads, at most `limits.max_in_flight` `deliver` calls at a time.

    Optional attributes: `limits: Limits` and `objects: Sequence[ObjectType]`, overriding those of the type where they
    depend on the configuration, and `filters: Mapping[str, Callable]`, over those of `synccore_template_filters` on
    the routes to this instance (for what it remembers: names once given). Optional methods: `lookup`, `read`,
    `collect`, `overtake`, `find`, `account`, `foretell(operations) -> Sequence[str | None]` (for `preview`: in words,
    without network and writing nothing, what `deliver` would come to where the mapping does not show it),
    `page_of(link) -> str | None` (no network: the https:// address where people see the record at the vendor's),
    `adopted(links)` (no network: these records of other people are linked by `adopt`, and nothing there says whose they
    are before the first delivery: nobody else is to be given one), `budgets() -> Sequence[Allowance]` (no network:
    quotas, used and left), `connect(browser) -> Account`,
    `disconnect(keep_grant=False) -> str`.

    A record others use or that we did not make (`link.shared > 1`, `link.adopted`; `link.ours` is False) is never
    deleted, renamed or anonymised, by no operation and no `erase`: it is let go of, this person's own values are
    emptied but for those that others who share it want there as well (`link.wanted`), and the note says so.
    """

    def check(self) -> Check:
        """Reach the target and say what account it is. Raises AuthError, ConfigError, Transient."""
        ...

    def describe(self) -> Sequence[ObjectInfo]:
        """The objects and fields of the target that the routes use."""
        ...

    def deliver(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """Carry out the operations: one outcome each, in the same order.

        All operations of a call share one route, and no key is in it twice. Raising means that the whole batch
        failed with that error; anything that is not a SynccoreError is a bug in the plugin: three tries, then
        parked with the traceback.
        """
        ...

    def erase(self, link: Link) -> Erased | None:
        """Erase the person behind the link for good (`synccore forget`), with what `link.made` names.

        None means deleted; gone already is fine. A link that is not `ours` is `Erased("released")`. What cannot be
        proven yet is `Erased("pending", why)`.
        """
        ...

    def close(self) -> None:
        """Release what `open` took."""
        ...


class LookupSink(Sink, Protocol):
    """A sink that can say what already exists: needed for `adopt`, `plan`, and after a lost answer."""

    def lookup(self, operations: Sequence[Operation]) -> Sequence[LookupResult]:
        """Per operation: the twin's Link, Ambiguous, Retry (cannot be said yet) or None (there is none).

        Failed with the error where `deliver` would refuse the record whatever is there, so that `plan` can say it.
        Writes nothing. Raises as `deliver` does.
        """
        ...


class ReadSink(Sink, Protocol):
    """A sink that can read records back: needed for `preview --live` and `verify`."""

    def read(self, links: Sequence[Link]) -> Sequence[Mapping[str, Any] | None]:
        """Per link: the remote fields under the names and in the shape `deliver` takes, or None where it is gone."""
        ...


class FindSink(Sink, Protocol):
    """A sink that can find a person without a link: needed for `forget` to prove that nobody is left."""

    def find(self, identity: Identity) -> Sequence[Link]:
        """The person's records, linked or not, as links without a key (`adopted` True where we did not make it).

        Raises as `deliver` does.
        """
        ...


class NamesakeSink(Sink, Protocol):
    """A sink that knows all records of its target: `verify` then need not ask for a sample's addresses (`find`)."""

    def namesakes(self) -> Mapping[str, str]:
        """Records with the address of one that somebody is, by which nobody has them: remote id -> that one's.

        Each may be the same person a second time: `verify` names them, and proves nothing. An address that two
        customers have is no reason; one that is left on another's record (merged, and its person gone) is. Raises as
        `deliver` does.
        """
        ...


class AccountSink(Sink, Protocol):
    """A sink that can say cheaply whose account it writes to; without it core uses `check().account`."""

    def account(self) -> Account:
        """Who we are there; asked before the first work of a process and after every reconnect."""
        ...


class OvertakeSink(Sink, Protocol):
    """A sink with jobs whose records may hold something that must not wait for them (an opt-out)."""

    def overtake(self, operations: Sequence[Operation]) -> Sequence[Delivered | Failed | None]:
        """Newer states of records that are in a submitted job, or that a first listing holds back: do at once what
        must not wait.

        Touch nothing of the job. Delivered(note=...) says what was done, None that nothing could not wait. The
        operation comes again, whole, through `deliver` once the job or the listing is done. Each state is handed over
        once; after a restart it may come again.
        """
        ...


class NewsSink(Sink, Protocol):
    """A sink with objects that tell what changed (events) and not how things are."""

    def remembers(self, route: RouteSpec) -> bool:
        """Whether the past (`Operation.bulk`) is only remembered on this route, as the state to compare with.

        When such a route is added, core writes down what it knows already as if it had been told: with `remote_id`
        `source:entity:key` and the mapped fields. So the first real change is news, and nothing else is.
        """
        ...


class JobSink(Sink, Protocol):
    """A sink that answers `Submitted`.

    An operation belongs to its job until `collect` was asked for its outcome. Where `deliver` meets it again before (a
    kill came before core had written down that it was submitted), the answer is `Submitted` with that job.
    """

    def collect(self, job: Job) -> Iterable[Outcome] | None:
        """One outcome per operation of the job, in order, or None for "not yet".

        They may come one by one (a generator): core settles them in parts as they come. So after an error in between, a
        kill, or a submission that was written down in part, `job` holds some of the operations, and what was answered
        before is asked for no more, or once more where core could not write it down.
        """
        ...


# -- descriptors -----------------------------------------------------------------------------------------------------


@frozen(eq=False, kw_only=True)
class SourceType(Shown):
    """A kind of source.

    Attributes:
        name: the word after `type =`.
        config: an attrs class; fields made by `synccore.config.option` carry help text.
        open: `open(config, context) -> Source`. No network: `check` is for that.
        entities: what it can report.
    """

    name: str
    summary: str
    config: type
    open: Callable[[Any, Context], Source]
    entities: tuple[str, ...]
    api: int = API


@frozen(eq=False, kw_only=True)
class SinkType(Shown):
    """A kind of target.

    Attributes:
        objects: what can be written, with default mappings per entity.
        any_object: True where routes may name objects beyond `objects` (Salesforce: any API name).
        leaves: as `ObjectType.leaves`, for every object.
        advice: (words, sentence) pairs: what helps a person where the error of a parked delivery contains these words
            of the vendor's, whatever their case; the first that fits is shown. `{route}` is the route's name. Nothing
            that fits: core says what it knows of the kind of error.
        videos: (title, url) pairs shown on the plugin's page; see `Sink` for instance overrides.
    """

    name: str
    summary: str
    config: type
    open: Callable[[Any, Context], Sink]
    objects: tuple[ObjectType, ...]
    limits: Limits = field(factory=Limits)
    any_object: bool = False
    leaves: tuple[str, ...] = ("keep",)
    advice: tuple[tuple[str, str], ...] = ()
    api: int = API


@frozen(eq=False, kw_only=True)
class MapperType(Shown):
    """A way to shape records; a route names it with `mapper = "NAME"`.

    `open(route, filters)` compiles the route's fields and raises ConfigError for what can never work.
    """

    name: str
    summary: str
    open: Callable[[RouteSpec, Mapping[str, Callable[..., Any]]], Mapper]
    api: int = API


@frozen(eq=False, kw_only=True)
class StoreType(Shown):
    """An outbox engine, chosen by the scheme of `[synccore] database`. `open(url, clock)` gives a
    `synccore.store.Store`; where `database_password` is set it is called with `password=Secret` too."""

    name: str
    summary: str
    schemes: tuple[str, ...]
    open: Callable[..., Any]
    api: int = API


class AlertChannel(Protocol):
    """A way to tell somebody. Optional: `close()`."""

    def send(self, notice: Notice) -> None:
        """Send one message. Raises SynccoreError: core tries again at its next look, and says so in the log."""
        ...


@frozen(eq=False, kw_only=True)
class AlertType(Shown):
    """A kind of `[alerts.NAME]`: `type = "email"`. `open(config, context)` gives the channel and talks to nobody."""

    name: str
    summary: str
    config: type
    open: Callable[[Any, Context], AlertChannel]
    api: int = API


class DemoInstance(Protocol):
    """A vendor's loopback stand-in, running."""

    #: The `[sources.X]` or `[sinks.X]` table that reaches it, and the routes that lead to it (route -> table).
    config: Mapping[str, Any]
    routes: Mapping[str, Mapping[str, Any]]

    def seed(self, count: int) -> None:
        """Source only: put `count` made-up customers into the shop."""
        ...

    def edit(self) -> str:
        """Source only: change one customer as a shop manager would and send the webhook; says what was changed."""
        ...

    def approve(self, url: str) -> str:
        """Sink with OAuth: play the person in the browser; gives the address the browser landed on."""
        ...

    def counts(self) -> Mapping[str, int]:
        """What the stand-in holds, for people: {"contacts": 25}."""
        ...

    def close(self) -> None:
        """Stop it."""
        ...


@frozen(eq=False, kw_only=True)
class DemoVendor(Shown):
    """A plugin's part in `synccore demo`. `start(hook_url)` starts the stand-in on loopback.

    Attributes:
        role: "source" or "sink".
        name: the instance name used in the demo's configuration.
    """

    role: str
    name: str
    type: str
    start: Callable[[str], DemoInstance]


# -- hook specifications ---------------------------------------------------------------------------------------------


@hookspec
def synccore_sources() -> Iterable[SourceType]:  # type: ignore[empty-body]
    """The sources this distribution brings."""


@hookspec
def synccore_sinks() -> Iterable[SinkType]:  # type: ignore[empty-body]
    """The sinks this distribution brings."""


@hookspec
def synccore_mappers() -> Iterable[MapperType]:  # type: ignore[empty-body]
    """The mappers this distribution brings."""


@hookspec
def synccore_stores() -> Iterable[StoreType]:  # type: ignore[empty-body]
    """The outbox engines this distribution brings."""


@hookspec
def synccore_alerts() -> Iterable[AlertType]:  # type: ignore[empty-body]
    """The ways to tell somebody that this distribution brings."""


@hookspec
def synccore_commands(group: Any) -> None:
    """Add commands to the command line; `group` is the click group."""


@hookspec
def synccore_template_filters() -> Mapping[str, Callable[..., Any]]:  # type: ignore[empty-body]
    """Filters for expressions and templates: name -> pure function."""


@hookspec(firstresult=True)
def synccore_secret(reference: Mapping[str, str]) -> str | None:
    """Resolve a secret scheme beyond env, file and secret: `{ vault = "path" }` arrives as {"vault": "path"}."""


@hookspec
def synccore_settled(event: Settled) -> None:
    """Told after every settled delivery and every change of a lane's state. A failing observer harms nobody."""


@hookspec
def synccore_demo() -> Iterable[DemoVendor]:  # type: ignore[empty-body]
    """The loopback stand-ins this distribution brings to `synccore demo`."""
