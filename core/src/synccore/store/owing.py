"""Owing and claiming: what is due, who takes it, and all that delivering it needs. Held by a lane."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from . import codec, sql
from ._convert import maybe_from_ms, to_delivery, to_ms
from ._rules import claim, exchange, namesakes
from ._rules.owing import write_history
from .engine import Engine
from .rows import ClaimRule, Delivery, DirtyRule, Heir, HistoryEntry, JobWork, Round, Work

__all__ = ["Owing"]

#: The clock was set back: what a sink or a source waits for comes no later for that.
_GO_ALONG = (
    "UPDATE delivery SET due_at = max(:now, due_at - :by) WHERE sink = :sink AND state = 'ready' AND due_at > :now",
    "UPDATE lane SET until = max(:now, until - :by) WHERE sink = :sink AND until > :now",
    "UPDATE hold SET until = max(:now, until - :by) WHERE sink = :sink AND until > :now",
    "UPDATE hint SET due_at = max(:now, due_at - :by) WHERE source = :source AND due_at > :now",
)


class Owing(Engine):
    """At most one running (or submitted) delivery per sink and key; the events of a key in their order."""

    def due(self, sink: str, now: datetime, limit: int, *, routes: Sequence[str] | None = None) -> int:
        """How many deliveries could be claimed, counted up to `limit`.

        `routes` counts only these: rows of a route that left the configuration are never claimed.
        """
        with self.reading() as view:
            return claim.due(view, sink, routes, to_ms(now), limit)

    def next_due(self, sink: str, *, routes: Sequence[str] | None = None) -> datetime | None:
        """When the next delivery can be claimed; None where none is ready, or all that are wait for their key."""
        with self.reading() as view:
            return claim.next_due(view, sink, routes)

    def later(self, sink: str, now: datetime) -> tuple[int, datetime | None]:
        """How many ready deliveries are not due yet, and when the first of them is."""
        row = self.one(sql.LATER, {"sink": sink, "now": to_ms(now)})
        return row["rows"], maybe_from_ms(row["first"])

    def hurry(self, sink: str, now: datetime) -> int:
        """Deliveries that wait because something failed are due now; how many. A route's own delay stays."""
        with self.writing() as tx:
            return tx.execute(sql.HURRY, {"sink": sink, "now": to_ms(now)}).rowcount

    def go_along(self, by: timedelta, now: datetime, *, sink: str | None = None, source: str | None = None) -> None:
        """The clock was set back by so much: what a sink (or a source's lane) and a source wait for, they wait for no
        longer for that."""
        values = {"by": by // timedelta(milliseconds=1), "now": to_ms(now), "sink": sink, "source": source}
        with self.writing() as tx:
            for statement in _GO_ALONG:
                tx.execute(statement, values)

    def behind_namesakes(self, route: str, source: str, entity: str, keys: Collection[str]) -> set[str]:
        """Of these, the records whose address another one has that is going: its deletion is open on the route, or
        it is yet to be asked for."""
        with self.reading() as view:
            return namesakes.going(view, route, source, entity, keys)

    def behind_handovers(self, routes: Collection[str], source: str, entity: str, keys: Collection[str]) -> set[str]:
        """Of these, the records whose address another one was delivered with on one of the routes and has no more,
        as long as what it has instead is open there. Those among whom that goes round are not behind each other, unless
        one of them has no twin: that one may be there or not, and all others are behind it."""
        with self.reading() as view:
            return namesakes.handed_over(view, routes, source, entity, keys)

    def going_round(self, route: str, source: str, entity: str, keys: Collection[str]) -> set[str]:
        """Of these, the records whose address goes round on the route, as far as is known."""
        with self.reading() as view:
            return namesakes.going_round(view, route, source, entity, keys)

    def exchange(
        self, route: str, source: str, entity: str, key: str, *, token: str, owes: Sequence[DirtyRule], now: datetime
    ) -> Round | None:
        """Where the address of a record goes round on the route, all of that circle exchange their links at once, so
        that each has the one that is known by their new address; None where it does not.

        Nothing is exchanged while anything of them is under way, but for what runs under the asker's `token`. What
        hangs on them is owed again, and what `owes` says.
        """
        with self.writing() as tx:
            return exchange.exchange(tx, route, source, entity, key, token=token, owes=owes, now=to_ms(now))

    def moving(self, routes: Collection[str], source: str, entity: str, keys: Collection[str]) -> set[str]:
        """Of these, the records whose own new address is open on one of the routes, parked ones left aside."""
        with self.reading() as view:
            return namesakes.moving(view, routes, source, entity, keys)

    def untold(
        self, sink: str, source: str, entity: str, keys: Collection[str], routes: Collection[str] = ()
    ) -> set[str]:
        """Of these, the owners of events that are open at the sink, and of states that are on one of the routes,
        parked ones left aside."""
        with self.reading() as view:
            return namesakes.untold(view, sink, source, entity, keys, routes)

    def heirs(self, route: str, source: str, entity: str, keys: Collection[str]) -> dict[str, Heir]:
        """Of these, the records whose place another one took: key -> that one."""
        with self.reading() as view:
            return namesakes.heirs(view, route, source, entity, keys)

    def given_away(self, route: str, source: str, entity: str, key: str, *, by_address: bool = False) -> bool:
        """Whether the twin of a record that is owed with a new address is by now that of who has the former one: it
        was parked, and the target made one of both. `by_address`: it has one for an address; then also of who had it
        meanwhile."""
        with self.reading() as view:
            return namesakes.given_away(view, route, source, entity, key, by_address=by_address)

    def claim(
        self, sink: str, rules: Sequence[ClaimRule], now: datetime, lease: timedelta, token: str
    ) -> list[Delivery]:
        """Lease due deliveries of one route, all live or all bulk: live first, then the earliest due, then rule order.

        Skips keys of which a delivery to this sink runs or is submitted, and events behind an earlier open
        (not parked) event of the same sink, source, entity and key. Costs the same
        with ten rows open as with a million.
        """
        # An idle lane asks often and finds nothing: it must not wait for (or hold up) those who write.
        with self.reading() as view:
            if claim.find_route(view, sink, rules, to_ms(now)) is None:
                return []
        with self.claiming(sink) as tx:
            until = self.lease_clock(tx, to_ms(now)) + lease // timedelta(milliseconds=1)
            return claim.claim(tx, sink, rules, to_ms(now), until, token)

    def load(
        self,
        deliveries: Sequence[Delivery],
        *,
        include: Sequence[str] = (),
        after: str | None = None,
        after_entity: str | None = None,
    ) -> list[Work]:
        """All that mapping and delivering these (one route's) deliveries needs, in the same order.

        `after_entity` is the entity of the `after` route: the record's own link where it equals the delivery's entity,
        else the owner's.
        """
        with self.reading() as view:
            return claim.Gatherer(view, include, after, after_entity).gather_all(deliveries)

    def behind_jobs(self, sink: str, limit: int) -> list[tuple[Delivery, Mapping[str, Any]]]:
        """Open states that wait for a job with an older one and were not handed over yet, with what the job holds."""
        with self.reading() as view:
            rows = view.execute(sql.BEHIND_JOBS, {"sink": sink, "limit": limit}).fetchall()
        return [(to_delivery(row), codec.load_fields(row["job_sent"]).get("fields", {})) for row in rows]

    def changed_since_adopted(self, sink: str, route: str, limit: int) -> list[Delivery]:
        """Open rows of a listing whose records differ from what `adopt` saw, and were not handed over yet."""
        values = {"sink": sink, "route": route, "limit": limit}
        with self.reading() as view:
            return [to_delivery(row) for row in view.execute(sql.CHANGED_SINCE_ADOPTED, values).fetchall()]

    def overtaken(self, deliveries: Sequence[Delivery], entries: Sequence[HistoryEntry]) -> None:
        """These states were handed over; what was done at once goes into the trail."""
        with self.writing() as tx:
            done = {entry.delivery_id for entry in entries}
            values = [{"id": d.id, "seen": to_ms(d.last_change_at), "done": int(d.id in done)} for d in deliveries]
            tx.executemany(sql.OVERTAKEN, values)
            for entry in entries:
                write_history(tx, entry, entry.delivery_id)

    def work_for(
        self,
        route: str,
        source: str,
        entity: str,
        keys: Sequence[str],
        *,
        include: Sequence[str] = (),
        after: str | None = None,
        after_entity: str | None = None,
    ) -> list[Work]:
        """As `load`, for keys without a delivery (preview, plan, adopt, verify): made-up deliveries with id 0."""
        with self.reading() as view:
            made_up = [claim.made_up(view, route, source, entity, key) for key in keys]
            return claim.Gatherer(view, include, after, after_entity).gather_all(made_up)

    def jobs(self, sink: str, *, skip: Collection[str] = ()) -> list[JobWork]:
        """Submitted jobs of a sink, the oldest first; `skip` leaves out jobs that are not wanted now."""
        with self.reading() as view:
            return claim.jobs(view, sink, skip)

    def load_job(self, job: JobWork, ids: Sequence[int]) -> list[Work]:
        """Some of a job's rows, as they were sent and in their order; without those that left it meanwhile."""
        with self.reading() as view:
            return claim.load_job(view, job, ids)
