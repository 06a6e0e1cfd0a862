"""What a source holds now, mapped beside what is known: for `plan` and `adopt`, which must not touch the outbox.

The listing goes into an outbox of its own in a temporary directory, so that owners, includes and totals are found
exactly as a delivery finds them, and memory stays flat however large the shop is.
"""

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve

from .._ingest.listing import Stopped
from .._store.sqlite import open_sqlite
from ..entities import FACTS, Entity
from ..errors import BatchRejected, RateLimited, Rejected, SynccoreError, Transient
from ..hookspecs import SourceType
from ..store import Ingest, Store, Work
from ..types import Clock, Failed, Link, LookupResult, Operation, RouteSpec
from .accounts import not_another_account
from .app import App

__all__ = [
    "Found",
    "Heard",
    "Records",
    "ability",
    "cannot_read",
    "lookup",
    "patient",
    "read_back",
    "readable",
    "reader",
    "same_account",
    "shop_records",
]

#: (entity, records seen so far, total if known)
Heard = Callable[[str, int, int | None], None]
Found = LookupResult | Failed
_Result = TypeVar("_Result")
_Item = TypeVar("_Item")

#: Records read and mapped at a time.
PAGE = 500
#: A vendor's limit that takes longer than this is told instead of waited for.
PATIENCE = timedelta(minutes=5)
TRIES = 4


def patient(clock: Clock, call: Callable[[], _Result]) -> _Result:
    """Repeat a call that only reads over short outages and rate limits. Raises what the last try raised."""
    for attempt in range(1, TRIES):
        try:
            return call()
        except RateLimited as error:
            wait = error.retry_after or timedelta(seconds=10)
            if wait > PATIENCE:
                raise
        except Transient:
            wait = timedelta(seconds=2**attempt)
        clock.sleep(wait)
    return call()


class Records:
    """One route's records as the source lists them, and what is known of each at the target."""

    def __init__(self, app: App, route: RouteSpec, scratch: Store) -> None:
        self._app = app
        self._route = route
        self._scratch = scratch

    def pages(self) -> Iterator[list[Work]]:
        """All live records in the order a first import delivers them: snapshot, owner and includes from
        the listing, link and parent from the store."""
        route, after = self._route, ""
        while page := self._scratch.snapshots(route.source, route.entity, after, PAGE):
            after = page[-1].key
            if self._app.stopping.is_set():
                raise Stopped
            yield self._work([snapshot.key for snapshot in page])

    def data(self, key: str) -> Entity | None:
        """One of these records, as it was listed."""
        snapshot = self._scratch.snapshot(self._route.source, self._route.entity, key)
        return None if snapshot is None else snapshot.data

    def _work(self, keys: Sequence[str]) -> list[Work]:
        route = self._route
        listed = self._app.work(route, keys, self._scratch)
        known = self._app.store.work_for(route.name, route.source, route.entity, keys)
        return [
            evolve(work, link=stored.link, parent=self._parent(work))
            for work, stored in zip(listed, known, strict=True)
        ]

    def _parent(self, work: Work) -> Link | None:
        """The parent's link; a stand-in where that route has not run yet, so that its children can be planned."""
        after, ref = self._route.after, work.parent_ref
        if after is None or ref is None:
            return None
        found = self._app.store.link(after, self._route.source, ref.entity, ref.key)
        return found or Link(object=self._app.routes[after].object, remote_id="")


def _needed(route: RouteSpec, listed: Sequence[str]) -> tuple[str, ...]:
    """The entities a mapping of this route looks at, its own last (its listing may bring the others' newest state)."""
    words = " ".join(str(v) for v in (*route.fields.values(), route.when or ""))
    needs_owner = route.mapper != "jinja" or route.after is not None or re.search(r"\bcustomer\b", words)
    owner = ("customer",) if route.entity != "customer" and needs_owner else ()
    return tuple(e for e in dict.fromkeys([*owner, *route.include, route.entity]) if e in listed)


@contextmanager
def shop_records(app: App, route: RouteSpec, heard: Heard = lambda *_: None) -> Iterator[Records]:
    """List what the route needs from its source; nothing of it is kept. Raises Stopped when the process is to end.

    Raises SynccoreError for a route of events: those are facts that were sent or not, and never compared.
    """
    if route.entity in FACTS:
        raise SynccoreError(f"route {route.name} delivers events: each is sent once, so there is nothing to compare")
    source = app.opened(route.source).instance
    descriptor = app.sources[route.source].settings.descriptor
    assert isinstance(descriptor, SourceType)  # noqa: S101  sources hold sources
    with tempfile.TemporaryDirectory(prefix="synccore-") as folder:
        scratch = open_sqlite(Path(folder) / "listing.db")
        try:
            _forget_too(app.store, scratch)
            for entity in _needed(route, descriptor.entities):
                _list(app, source, route.source, entity, scratch, heard)
            yield Records(app, route, scratch)
        finally:
            scratch.close()


def _forget_too(store: Store, scratch: Store) -> None:
    """Who was forgotten is not taken in there either."""
    for rows in store.pages("tombstone"):
        scratch.put_page("tombstone", rows)


def _list(app: App, source: Any, name: str, entity: str, scratch: Store, heard: Heard) -> None:
    cursor: str | None = None
    seen, total, failures = 0, None, 0
    while True:
        asked_at = app.clock.now()
        try:
            for page in source.poll(entity, cursor, {}):
                unit = Ingest(source=name, changes=page.changes, rules={}, read_at=page.read_at or asked_at)
                asked_at = app.clock.now()
                scratch.ingest([unit], app.clock.now())
                cursor, total, failures = page.cursor, page.total if page.total is not None else total, 0
                seen += len(page.changes)
                heard(entity, seen, total)
                if app.stopping.is_set():
                    raise Stopped
        except (RateLimited, Transient) as error:
            # A long listing goes on where it stopped, as the daemon's does.
            failures += 1
            wait = getattr(error, "retry_after", None) or timedelta(seconds=2**failures)
            if failures >= TRIES or wait > PATIENCE:
                raise
            app.clock.sleep(wait)
        else:
            if app.stopping.is_set():
                raise Stopped  # the source may have ended early because of it
            return


def same_account(app: App, sink: str, *, remember: bool = False) -> None:
    """Hold a sink to the account its links are of, before anything is compared with them.

    `remember`: links are about to be made, of whichever account it is.

    Raises AnotherAccount, and what the sink raises where it cannot be asked.
    """
    instance = app.opened(sink).instance
    patient(app.clock, lambda: not_another_account(app.store, sink, instance, remember=remember))


def ability(app: App, sink: str, name: str) -> Callable[..., Any] | None:
    """An optional method of a sink, or None where it has none. Raises ConfigError where the sink is not open."""
    method = getattr(app.opened(sink).instance, name, None)
    return method if callable(method) else None


def readable(app: App, route: RouteSpec) -> bool:
    """Whether what is written to the route's object can be read back at all, by a sink that reads."""
    return next((o.readable for o in app.sinks[route.sink].objects if o.name == route.object), True)


def reader(app: App, route: RouteSpec) -> Callable[[Sequence[Link]], Sequence[Mapping[str, Any] | None]] | None:
    """The sink's `read`, or None where it cannot say what the target holds of the route's object."""
    return ability(app, route.sink, "read") if readable(app, route) else None


def cannot_read(app: App, route: RouteSpec) -> str:
    """That records of this route cannot be read back, for people."""
    return f"{app.sinks[route.sink].settings.type} cannot read back what is written to {route.object}"


def needed_ability(app: App, sink: str, name: str, what: str) -> Callable[..., Any]:
    """As `ability`; raises SynccoreError saying that this target cannot do `what`."""
    method = ability(app, sink, name)
    if method is None:
        raise SynccoreError(f"{sink} cannot {what}: the plugin {app.sinks[sink].settings.type} does not offer it")
    return method


def batches(app: App, sink: str, items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Cut to what one call of the sink takes."""
    size = max(1, app.sinks[sink].limits.max_batch)
    for start in range(0, len(items), size):
        yield items[start : start + size]


def lookup(app: App, route: RouteSpec, operations: Sequence[Operation]) -> Iterator[tuple[Operation, Found]]:
    """Ask the sink what already exists; an operation it refuses to look up is Failed.

    Raises SynccoreError where the sink cannot say.
    """
    ask = needed_ability(app, route.sink, "lookup", "say what already exists")
    for batch in batches(app, route.sink, operations):
        yield from _ask(app.clock, ask, batch)


def read_back(app: App, route: RouteSpec, links: Sequence[Link]) -> Iterator[tuple[Link, Mapping[str, Any] | None]]:
    """The remote fields of each link, None where the record is gone. Raises SynccoreError where the sink cannot."""
    read = reader(app, route)
    if read is None:
        raise SynccoreError(cannot_read(app, route))
    for batch in batches(app, route.sink, links):
        yield from zip(batch, patient(app.clock, partial(read, batch)), strict=True)


def _ask(
    clock: Clock, ask: Callable[[Sequence[Operation]], Sequence[LookupResult]], batch: Sequence[Operation]
) -> Iterator[tuple[Operation, Found]]:
    try:
        answers = patient(clock, lambda: ask(batch))
    except (BatchRejected, Rejected) as error:
        if len(batch) == 1:
            yield batch[0], Failed(error)
            return
        middle = len(batch) // 2
        yield from _ask(clock, ask, batch[:middle])
        yield from _ask(clock, ask, batch[middle:])
    else:
        yield from zip(batch, answers, strict=True)
