"""The trail and the rows of the outbox, for people. Held by what looks; nothing here runs once per change."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, get_args

from . import looks
from ._convert import from_ms, maybe_ms, to_delivery, to_history, to_ms, to_unreadable
from ._rules.people import owned_refs
from .engine import Engine, Transaction
from .rows import Delivery, DeliveryState, HistoryEntry, ParkedCause, RouteCounts, RunningJob, UnreadableRecord

__all__ = ["Trail"]

#: More rows than there are.
_ALL = 1 << 62
_STATES = get_args(DeliveryState)


class Trail(Engine):
    """Lists, counts, causes."""

    def deliveries(
        self,
        *,
        state: str | None = None,
        sink: str | None = None,
        route: str | None = None,
        key: str | None = None,
        ids: Sequence[int] | None = None,
        cause: tuple[str, str] | None = None,
        before_id: int | None = None,
        limit: int | None = 100,
    ) -> list[Delivery]:
        """Rows of the outbox, newest first; `cause` is the kind and text of an error, `before_id` turns the page.

        Raises ValueError for an unknown state.
        """
        wanted: list[str] = []
        if state is not None:
            if state not in _STATES:
                raise ValueError(f"unknown state {state!r}: one of {', '.join(_STATES)}")
            # In the text, not a parameter: that is how SQLite sees that a partial index fits.
            wanted.append(f"state = '{state}'")
        wanted += [f"{name} = :{name}" for name, value in (("sink", sink), ("route", route), ("key", key)) if value]
        if ids is not None:
            wanted.append("id IN (SELECT value FROM json_each(:ids))")
        if cause is not None:
            wanted.append("coalesce(error_kind, '') = :kind AND coalesce(error, '') = :error")
        if before_id is not None:
            wanted.append("id < :before")
        statement = f"SELECT * FROM outbox WHERE {' AND '.join(wanted) or 'true'} ORDER BY id DESC LIMIT :limit"  # noqa: S608
        kind, error = cause or (None, None)
        values = {
            "sink": sink,
            "route": route,
            "key": key,
            "ids": json.dumps(list(ids or ())),
            "kind": kind,
            "error": error,
            "before": before_id,
            "limit": _limit(limit),
        }
        with self.reading() as view:
            return [to_delivery(row) for row in view.execute(statement, values)]

    def running_by(self) -> Mapping[str, Mapping[str, int]]:
        """Process -> sink -> deliveries that it holds now; of an engine that says whose lease is whose."""
        found: dict[str, dict[str, int]] = {}
        with self.reading() as view:
            for row in view.execute(looks.LEASES):
                sinks = found.setdefault(row["lease_token"].partition("@")[0], {})
                sinks[row["sink"]] = sinks.get(row["sink"], 0) + row["records"]
        return found

    def running_jobs(self) -> list[RunningJob]:
        """The vendors' jobs that run, the oldest first."""
        with self.reading() as view:
            held = view.execute(looks.JOBS_HELD).fetchall()
            behind = {(r["sink"], r["job"]): r["records"] for r in (view.execute(looks.BEHIND_THEM) if held else ())}
        return [
            RunningJob(
                sink=row["sink"],
                job=row["job"],
                since=from_ms(row["since"]),
                records=row["records"],
                waiting=behind.get((row["sink"], row["job"]), 0),
            )
            for row in held
        ]

    def noted_last(self) -> datetime | None:
        """When the newest line of the trail was written; None where there is none."""
        newest = self.history(limit=1)
        return newest[0].at if newest else None

    def history(
        self,
        *,
        keys: Sequence[tuple[str, str]] | None = None,
        key: str | None = None,
        sink: str | None = None,
        route: str | None = None,
        outcomes: Sequence[str] = (),
        since: datetime | None = None,
        after_id: int | None = None,
        before_id: int | None = None,
        limit: int | None = 200,
    ) -> list[HistoryEntry]:
        """The audit trail, oldest first (the newest `limit` lines). `keys`: of customers and all they own."""
        wanted: list[str] = []
        values: dict[str, Any] = {
            "key": key,
            "sink": sink,
            "route": route,
            "outcomes": json.dumps(list(outcomes)),
            "since": maybe_ms(since),
            "after": after_id,
            "before": before_id,
            "limit": _limit(limit),
        }
        if keys is not None:
            wanted.append(
                "id IN (SELECT h.id FROM json_each(:refs) r "
                "CROSS JOIN history h ON h.source = json_extract(r.value, '$[0]') "
                "AND h.entity = json_extract(r.value, '$[1]') AND h.key = json_extract(r.value, '$[2]'))"
            )
            values["refs"] = json.dumps(self._owned(keys))
        # A record's lines are few: the plus keeps SQLite from looking for them among all of the sink's.
        narrow = key is not None or keys is not None
        for given, text in (
            (key, "key = :key"),
            (sink, "+sink = :sink" if narrow else "sink = :sink"),
            (since, "at >= :since"),
            # What is older has lower ids, nearly all of it: it need not be read to see that it does not fit.
            (None if narrow else since, "id >= (SELECT min(id) FROM history INDEXED BY history_at WHERE at >= :since)"),
            (after_id, "id > :after"),
            (before_id, "id < :before"),
            (route, "route = :route"),
            (outcomes or None, "outcome IN (SELECT value FROM json_each(:outcomes))"),
        ):
            if given is not None:
                wanted.append(text)
        statement = f"SELECT * FROM history WHERE {' AND '.join(wanted) or 'true'} ORDER BY id DESC LIMIT :limit"  # noqa: S608
        with self.reading() as view:
            return [to_history(row) for row in view.execute(statement, values)][::-1]

    def counts_by_sink(self) -> Mapping[str, RouteCounts]:
        """Rows per state of every sink."""
        with self.reading() as view:
            return _counts(view, "sink")

    def counts_by_route(self) -> Mapping[str, RouteCounts]:
        """Rows per state of every route."""
        with self.reading() as view:
            return _counts(view, "route")

    def waiting_in_vain(self, sink: str, route: str) -> int:
        """How many rows of a route wait for a parent of which nothing is owed: it never came, or is parked."""
        with self.reading() as view:
            return int(view.execute(looks.IN_VAIN, {"sink": sink, "route": route}).fetchone()["waiting"])

    def parked_causes(self, limit: int = 50) -> list[ParkedCause]:
        """Parked deliveries grouped by cause, most first."""
        with self.reading() as view:
            return [
                ParkedCause(
                    sink=row["sink"],
                    route=row["route"],
                    error_kind=row["kind"],
                    error=row["error"],
                    count=row["rows"],
                    first_id=row["first"],
                )
                for row in view.execute(looks.CAUSES, {"limit": limit})
            ]

    def throughput(self, since: datetime, step: timedelta, sink: str | None) -> list[tuple[int, str, int]]:
        """Lines of the trail since then: which stretch of `step`, outcome, how many."""
        values = {"since": to_ms(since), "step": step // timedelta(milliseconds=1), "sink": sink}
        with self.reading() as view:
            return [(row["slot"], row["outcome"], row["rows"]) for row in view.execute(looks.THROUGHPUT, values)]

    def flow(self, since: datetime, step: timedelta, sink: str | None) -> list[tuple[int, int | None, int]]:
        """Deliveries owed at some time since then: the stretch they were made in (-1: earlier), the one they ended in
        (None: owed still), how many. What is parked is left out."""
        values = {"since": to_ms(since), "step": step // timedelta(milliseconds=1), "sink": sink}
        with self.reading() as view:
            return [(row["made"], row["ended"], row["rows"]) for row in view.execute(looks.FLOW, values)]

    def skips(self, route: str, since: datetime) -> Mapping[str, int]:
        """Why records were skipped on a route since then, and how often."""
        with self.reading() as view:
            rows = view.execute(looks.SKIPS, {"route": route, "since": to_ms(since)})
            return {row["why"]: row["rows"] for row in rows}

    def unreadable(self, source: str | None = None, limit: int = 50) -> list[UnreadableRecord]:
        """Records that could not be read, the latest first."""
        with self.reading() as view:
            return [to_unreadable(row) for row in view.execute(looks.UNREADABLE, {"source": source, "limit": limit})]

    def unreadable_counts(self) -> Mapping[str, Mapping[str, int]]:
        """Source -> entity -> how many records could not be read."""
        counts: dict[str, dict[str, int]] = {}
        with self.reading() as view:
            for row in view.execute("SELECT source, entity, count(*) AS rows FROM unreadable GROUP BY source, entity"):
                counts.setdefault(row["source"], {})[row["entity"]] = row["rows"]
        return counts

    def last_activity(self) -> Mapping[str, datetime]:
        """Sink -> time of its last history line."""
        with self.reading() as view:
            return {row["sink"]: from_ms(row["at"]) for row in view.execute(looks.LAST_ACTIVITY)}

    def _owned(self, people: Sequence[tuple[str, str]]) -> list[tuple[str, str, str]]:
        with self.reading() as view:
            return owned_refs(view, people)


def _limit(limit: int | None) -> int:
    return _ALL if limit is None else limit


def _counts(view: Transaction, by: str) -> Mapping[str, RouteCounts]:
    rows: dict[str, dict[str, int]] = {}
    oldest: dict[str, int] = {}
    for row in view.execute("SELECT * FROM delivery_count"):
        name = row[by]
        states = rows.setdefault(name, {})
        states[row["state"]] = states.get(row["state"], 0) + row["rows"]
        if row["state"] != "ready" or not row["rows"]:
            continue
        first = view.execute(
            "SELECT min(first_change_at) FROM delivery WHERE sink = ? AND route = ? AND state = 'ready'",
            (row["sink"], row["route"]),
        ).fetchone()[0]
        if first is not None:
            oldest[name] = min(first, oldest.get(name, first))
    return {
        name: RouteCounts(
            **{state: states.get(state, 0) for state in ("ready", "running", "submitted", "parked", "done", "skipped")},
            oldest_ready_at=from_ms(oldest[name]) if name in oldest else None,
        )
        for name, states in rows.items()
    }
