"""Looking at the outbox: lists, counts, causes, balance. Nothing here runs once per change."""

import json
import random
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

from ..types import Link
from ._convert import from_ms, to_delivery, to_history, to_link
from ._people import owned_refs
from .rows import Delivery, DeliveryState, HistoryEntry, ParkedCause, RouteCounts

__all__ = [
    "balance",
    "causes",
    "counts",
    "deliveries",
    "history",
    "last_activity",
    "missing",
    "sample_links",
    "sweep_counts",
]

_STATES = get_args(DeliveryState)


def deliveries(
    view: sqlite3.Connection,
    *,
    state: str | None,
    sink: str | None,
    route: str | None,
    key: str | None,
    ids: Sequence[int] | None,
    limit: int | None,
) -> list[Delivery]:
    """Rows of the outbox, newest first."""
    wanted: list[str] = []
    if state is not None:
        if state not in _STATES:
            raise ValueError(f"unknown state {state!r}: one of {', '.join(_STATES)}")
        # In the text, not a parameter: that is how SQLite sees that a partial index fits.
        wanted.append(f"state = '{state}'")
    wanted += [f"{name} = :{name}" for name, value in (("sink", sink), ("route", route), ("key", key)) if value]
    if ids is not None:
        wanted.append("id IN (SELECT value FROM json_each(:ids))")
    statement = f"SELECT * FROM outbox WHERE {' AND '.join(wanted) or '1'} ORDER BY id DESC LIMIT :limit"  # noqa: S608
    values = {"sink": sink, "route": route, "key": key, "ids": json.dumps(list(ids or ())), "limit": _limit(limit)}
    return [to_delivery(row) for row in view.execute(statement, values)]


def history(
    view: sqlite3.Connection,
    *,
    keys: Sequence[tuple[str, str]] | None,
    key: str | None,
    sink: str | None,
    since: int | None,
    after_id: int | None,
    limit: int | None,
) -> list[HistoryEntry]:
    """The newest lines, oldest first."""
    wanted: list[str] = []
    values: dict[str, Any] = {"key": key, "sink": sink, "since": since, "after": after_id, "limit": _limit(limit)}
    if keys is not None:
        wanted.append(
            "id IN (SELECT h.id FROM json_each(:refs) r "
            "CROSS JOIN history h ON h.source = json_extract(r.value, '$[0]') "
            "AND h.entity = json_extract(r.value, '$[1]') AND h.key = json_extract(r.value, '$[2]'))"
        )
        values["refs"] = json.dumps(owned_refs(view, keys))
    # A record's lines are few: the plus keeps SQLite from looking for them among all of the sink's.
    narrow = key is not None or keys is not None
    for given, text in (
        (key, "key = :key"),
        (sink, "+sink = :sink" if narrow else "sink = :sink"),
        (since, "at >= :since"),
        # What is older has lower ids, nearly all of it: it need not be read to see that it does not fit.
        (None if narrow else since, "id >= (SELECT min(id) FROM history INDEXED BY history_at WHERE at >= :since)"),
        (after_id, "id > :after"),
    ):
        if given is not None:
            wanted.append(text)
    statement = f"SELECT * FROM history WHERE {' AND '.join(wanted) or '1'} ORDER BY id DESC LIMIT :limit"  # noqa: S608
    return [to_history(row) for row in view.execute(statement, values)][::-1]


def _limit(limit: int | None) -> int:
    return -1 if limit is None else limit


def counts(view: sqlite3.Connection, by: str) -> Mapping[str, RouteCounts]:
    """Rows per state, by "sink" or "route"."""
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


def balance(view: sqlite3.Connection, route: str, source: str, entity: str) -> Mapping[str, int]:
    """Where the live records of an entity stand on a route, each counted once."""
    rows = view.execute(
        """
        SELECT CASE (
                SELECT min(CASE d.state WHEN 'parked' THEN 1 WHEN 'ready' THEN 2 WHEN 'running' THEN 2
                           WHEN 'submitted' THEN 2 WHEN 'skipped' THEN 3 END)
                FROM delivery d WHERE d.source = s.source AND d.entity = s.entity AND d.key = s.key
                    AND d.route = :route)
            WHEN 1 THEN 'parked'
            WHEN 2 THEN 'open'
            WHEN 3 THEN iif(l.key IS NULL, 'skipped', 'linked')
            ELSE iif(l.key IS NULL, 'missing', 'linked')
            END AS place, count(*) AS rows
        FROM snapshot s LEFT JOIN link l
            ON l.route = :route AND l.source = s.source AND l.entity = s.entity AND l.key = s.key
        WHERE s.source = :source AND s.entity = :entity AND s.deleted = 0 GROUP BY place
        """,
        {"route": route, "source": source, "entity": entity},
    )
    places = dict.fromkeys(("in", "linked", "parked", "skipped", "open", "missing"), 0)
    places |= {row["place"]: row["rows"] for row in rows}
    places["in"] = sum(places.values())
    return places


def causes(view: sqlite3.Connection, limit: int) -> list[ParkedCause]:
    """Parked rows by cause, most first."""
    rows = view.execute(
        "SELECT sink, route, coalesce(error_kind, '') AS kind, coalesce(error, '') AS error, count(*) AS rows, "
        "min(id) AS first FROM delivery WHERE state = 'parked' GROUP BY 1, 2, 3, 4 ORDER BY rows DESC, first LIMIT ?",
        (limit,),
    )
    return [
        ParkedCause(
            sink=row["sink"],
            route=row["route"],
            error_kind=row["kind"],
            error=row["error"],
            count=row["rows"],
            first_id=row["first"],
        )
        for row in rows
    ]


def last_activity(view: sqlite3.Connection) -> Mapping[str, datetime]:
    """Sink to the time of its last line: one look-up per sink, however long the trail."""
    rows = view.execute(
        """
        WITH RECURSIVE sinks(sink) AS (
            SELECT min(sink) FROM history WHERE sink > ''
            UNION ALL
            SELECT (SELECT min(sink) FROM history h WHERE h.sink > sinks.sink) FROM sinks WHERE sinks.sink IS NOT NULL)
        SELECT sink, (SELECT at FROM history h WHERE h.sink = sinks.sink ORDER BY h.id DESC LIMIT 1) AS at
        FROM sinks WHERE sink IS NOT NULL
        """
    )
    return {row["sink"]: from_ms(row["at"]) for row in rows}


def sample_links(view: sqlite3.Connection, route: str, count: int, seed: int) -> list[Link]:
    """The same sample for the same seed and links: ids shuffled by a multiplier, taken from where the seed says."""
    rows = view.execute(
        "SELECT * FROM link WHERE id IN (SELECT id FROM link WHERE route = :route "
        "ORDER BY (id * 1103515245 % 2147483647 + :start) % 2147483647, id LIMIT :count) ORDER BY key",
        {"route": route, "count": count, "start": random.Random(seed).randrange(2147483647)},  # noqa: S311  a sample
    )
    return [to_link(row) for row in rows]


def missing(view: sqlite3.Connection, source: str, entity: str, sweep: str, after: str, limit: int) -> list[str]:
    """Live keys, known when the sweep began, that it has not seen."""
    rows = view.execute(
        """
        SELECT key FROM snapshot s WHERE source = :source AND entity = :entity AND key > :after AND deleted = 0
            AND NOT EXISTS (SELECT 1 FROM sweep_seen n WHERE n.source = s.source AND n.name = :sweep
                            AND n.entity = s.entity AND n.key = s.key)
        ORDER BY key LIMIT :limit
        """,
        {"source": source, "entity": entity, "sweep": sweep, "after": after, "limit": limit},
    )
    return [row["key"] for row in rows]


def sweep_counts(view: sqlite3.Connection, source: str, entity: str, sweep: str) -> tuple[int, int]:
    """(live keys known when the sweep began, of these not seen)."""
    row = view.execute(
        """
        SELECT count(*) AS known, count(*) - coalesce(sum(EXISTS (
            SELECT 1 FROM sweep_seen n WHERE n.source = s.source AND n.name = :sweep AND n.entity = s.entity
                AND n.key = s.key)), 0) AS unseen
        FROM snapshot s WHERE source = :source AND entity = :entity AND deleted = 0
            AND id <= coalesce((SELECT last_snapshot FROM sweep WHERE source = :source AND name = :sweep), id)
        """,
        {"source": source, "entity": entity, "sweep": sweep},
    ).fetchone()
    return row["known"], row["unseen"]
