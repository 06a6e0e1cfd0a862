"""Listings: polls, backfills and full comparisons, page by page, each page committed with its cursor."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta

from attrs import evolve, frozen

from .._floor import Floor
from .._plain import Plain
from ..errors import ConfigError, Rejected
from ..hookspecs import Source
from ..store import NEWS_SINCE, Delivery, Ingest, Ingested, Loan, Rules, Store
from ..types import Change, Clock, Page, Unreadable
from .hints import parted
from .intake import Intake

#: A full comparison that misses more than this share of the known keys deletes nothing until confirmed.
MASS_DELETION_SHARE = 0.1
#: ... but a single record may go, however small the shop: it is confirmed one by one in any case.
MASS_DELETION_FREE = 1
#: Pages that come at once are taken in one commit where a lane waits for what they make together, up to so many
#: records: a longer transaction would hold up webhooks.
TOGETHER = 250
#: What takes longer to come is taken as soon as it is there.
AT_ONCE = timedelta(milliseconds=100)
#: What comes within this was made here: a shop that is asked over a network takes longer, and is waited for.
MADE_HERE = timedelta(milliseconds=25)


class Stopped(Exception):
    """The process is going down; the listing goes on from its cursor next time."""


class MassDeletionError(ConfigError):
    """A listing lost too many of the known keys to be believed."""


@frozen(kw_only=True)
class Listed(Plain):
    """What a listing did so far."""

    seen: int = 0
    total: int | None = None
    accepted: int = 0
    #: Older than what is known, and so left.
    stale: int = 0
    dirtied: int = 0
    deleted: int = 0


Report = Callable[[Listed], None]


class Lister:
    """Lists one source into the outbox."""

    def __init__(
        self,
        name: str,
        source: Source,
        rules: Rules,
        *,
        store: Store,
        intake: Intake,
        clock: Clock,
        floor: Floor,
        stopping: Callable[[], bool],
        filling: Callable[[Collection[str]], AbstractContextManager[None]] = lambda _: nullcontext(),
        wanted: Callable[[Collection[str]], int] = lambda _: 0,
        lend: Callable[[Collection[str], int], Sequence[Loan]] = lambda *_: (),
        lent: Callable[[Sequence[Loan], Mapping[str, Sequence[Delivery]] | None], None] = lambda *_: None,
    ) -> None:
        self._name = name
        self._source = source
        self._rules = rules
        self._store = store
        self._intake = intake
        self._clock = clock
        self._stopping = stopping
        self._filling = filling
        self._wanted, self._lend, self._lent = wanted, lend, lent
        self._floor = floor

    def poll(self, entity: str, report: Report = lambda _: None) -> Listed:
        """What changed since the last poll; the first one lists everything, as the past."""
        cursor_name = f"poll:{entity}"
        first = self._store.get_cursor(self._name, f"listed:{entity}") is None
        listed = self._pages(entity, {}, report, bulk=first, cursor_name=cursor_name)
        self._done(entity)
        return listed

    def backfill(
        self,
        entity: str,
        filters: Mapping[str, str],
        force: frozenset[str],
        cursor_name: str,
        report: Report = lambda _: None,
    ) -> Listed:
        """List again and owe every record to the forced routes; resumes at `cursor_name`."""
        listed = self._pages(entity, filters, report, bulk=True, force=force, cursor_name=cursor_name)
        if not filters:
            self._adopt_cursor(entity, cursor_name)
            self._done(entity)
        return listed

    def reconcile(self, entity: str, sweep: str, report: Report = lambda _: None, *, confirmed: bool = False) -> Listed:
        """Compare everything: heals what webhooks missed, and finds deletions.

        Raises MassDeletionError where too much is gone at once; everything else was healed by then.
        """
        cursor_name = f"reconcile:{sweep}:{entity}"
        listed = self._pages(entity, {}, report, bulk=True, cursor_name=cursor_name, sweep=sweep)
        self._done(entity)
        deleted = self._delete_missing(entity, sweep, confirmed=confirmed)
        return evolve(listed, deleted=deleted)

    # -- inside

    def _pages(
        self,
        entity: str,
        filters: Mapping[str, str],
        report: Report,
        *,
        bulk: bool,
        cursor_name: str,
        force: frozenset[str] = frozenset(),
        sweep: str | None = None,
    ) -> Listed:
        """Take page by page, from where the cursor of that name stands."""
        listed = Listed()
        routes = {r.route for r in self._rules.get(entity, ())} if bulk else set()
        with self._filling(routes):
            asked = self._asked(entity, self._store.get_cursor(self._name, cursor_name), filters, bulk=bool(routes))
            for pages in self._together(asked, routes):
                units = [
                    Ingest(
                        source=self._name,
                        changes=page.changes,
                        unreadable=page.unreadable,
                        read_at=page.read_at or asked_at,
                        rules=self._rules,
                        bulk=bulk,
                        force=force,
                        cursor=(cursor_name, page.cursor),
                        sweep=sweep,
                    )
                    for asked_at, page in pages
                ]
                taken = self._taken(units, routes)
                totals = [page.total for _, page in pages if page.total is not None]
                listed = Listed(
                    seen=listed.seen + sum(_rows(page, entity) for _, page in pages),
                    total=totals[-1] if totals else listed.total,
                    accepted=listed.accepted + taken.accepted,
                    stale=listed.stale + taken.stale,
                    dirtied=listed.dirtied + taken.dirtied,
                )
                report(listed)
                if self._stopping():
                    raise Stopped
        return listed

    def _taken(self, units: Sequence[Ingest], routes: Collection[str]) -> Ingested:
        """Take pages; what they owe anew may go to threads that wait for it."""
        loans = self._lend(routes, sum(len(unit.changes) for unit in units)) if routes else ()
        lent = None
        try:
            with self._floor.held() if routes else nullcontext():
                taken = self._intake.submit(*(evolve(unit, loans=loans) for unit in units))
            lent = taken.lent
        finally:
            self._lent(loans, lent)
        return taken

    def _together(
        self, pages: Iterator[tuple[datetime, Page]], routes: Collection[str]
    ) -> Iterator[list[tuple[datetime, Page]]]:
        """Pages that come at once, as many as a lane waits for. What came is given out, whatever the next one is."""
        group: list[tuple[datetime, Page]] = []
        try:
            for asked_at, page in pages:
                group.append((asked_at, page))
                late = self._clock.now() - asked_at > AT_ONCE
                rows = sum(len(p.changes) for _, p in group)
                wanted = 0 if late or self._stopping() else self._wanted(routes)
                if not rows < wanted <= TOGETHER or rows + len(page.changes) > TOGETHER:
                    full, group = group, []
                    yield full
        except Exception:
            if group:
                yield group
            raise
        if group:
            yield group

    def _asked(
        self, entity: str, cursor: str | None, filters: Mapping[str, str], *, bulk: bool
    ) -> Iterator[tuple[datetime, Page]]:
        """Each page with when it was asked for: what arrives by webhook after that is newer than the page."""
        pages = iter(self._source.poll(entity, cursor, filters))
        made_here = False
        while True:
            # A source that waits for its shop keeps nobody from working meanwhile.
            with self._floor.held() if made_here else nullcontext():
                asked_at = self._clock.now()
                page = next(pages, None)
            if page is None:
                return
            made_here = bulk and self._clock.now() - asked_at <= MADE_HERE
            yield asked_at, page

    def _done(self, entity: str) -> None:
        now = self._clock.now()
        self._store.put_cursor(self._name, f"listed:{entity}", now.isoformat(), now)
        if self._store.get_cursor(self._name, NEWS_SINCE + entity) is None:
            self._store.put_cursor(self._name, NEWS_SINCE + entity, now.isoformat(), now)

    def _adopt_cursor(self, entity: str, cursor_name: str) -> None:
        """A finished full listing is as good as a first poll: the next one starts from it."""
        poll = f"poll:{entity}"
        if self._store.get_cursor(self._name, poll) is None:
            cursor = self._store.get_cursor(self._name, cursor_name)
            self._store.put_cursor(self._name, poll, cursor, self._clock.now())

    def _delete_missing(self, entity: str, sweep: str, *, confirmed: bool) -> int:
        known, missing = self._store.sweep_counts(self._name, entity, sweep)
        if missing > max(MASS_DELETION_FREE, known * MASS_DELETION_SHARE) and not confirmed:
            raise MassDeletionError(
                f"{self._name} no longer lists {missing} of {known} known {entity} records: nothing was deleted. "
                f"If that is right, run synccore reconcile {self._name} --confirm-deletions",
                path=f"sources.{self._name}",
            )
        deleted = 0
        after = ""
        while keys := self._store.missing(self._name, entity, sweep, after, 200):
            after = keys[-1]
            asked_at = self._clock.now()
            changes, unreadable = parted(told for key in keys for told in self._confirm(entity, key))
            taken = self._intake.submit(
                Ingest(
                    source=self._name,
                    changes=changes,
                    unreadable=unreadable,
                    rules=self._rules,
                    bulk=True,
                    read_at=asked_at,
                    asked=frozenset((entity, key) for key in keys),
                )
            )
            deleted += sum(1 for c in changes if c.op == "delete") if taken.accepted else 0
            if self._stopping():
                raise Stopped
        return deleted

    def _confirm(self, entity: str, key: str) -> Sequence[Change | Unreadable]:
        """A record that a listing skipped may still be there: ask for it by name before it is called deleted."""
        try:
            found = self._source.fetch(entity, key)
        except Rejected as error:  # this record's fault: the others are compared all the same
            return [Unreadable(where=f"{entity} {key}", reason=error.message, entity=entity)]
        if found is None:
            return [Change(entity=entity, key=key, op="delete")]
        return [found] if isinstance(found, Change) else found


def _rows(page: Page, entity: str) -> int:
    """How many of the listed records a page was; what they tell beside (a buyer, a payment) is no row of its own."""
    return page.rows if page.rows is not None else sum(change.entity == entity for change in page.changes)
