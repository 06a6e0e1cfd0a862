"""Taking in: changes, cursors and the marks of full comparisons. Held by whoever brings news from a source."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from . import hinting, looks, sql
from ._convert import from_ms, to_hint, to_ms
from ._rules import ingest
from .engine import Engine
from .rows import Hint, Ingest, Ingested

__all__ = ["Taking"]

#: Name of the cursor that says that a backup was put in place.
RESTORED = "restored"
#: When that was, for good.
RESTORED_AT = "restored_at"
_LINKED = """EXISTS (SELECT 1 FROM link l WHERE l.route = delivery.route AND l.source = delivery.source
    AND l.entity = delivery.entity AND l.key = delivery.key)"""
#: What is owed, the outbox that the backup replaced may have delivered: made what has no link, changed what has one.
_DOUBT = f"""
UPDATE delivery SET maybe_applied = 1 WHERE settled_at IS NULL AND event IS NULL AND op = 'upsert' AND {{}} {_LINKED}
"""  # noqa: S608  own constants


class Taking(Engine):
    """What is new becomes snapshot and debt in one transaction; everything else leaves no trace."""

    def ingest(self, batch: Sequence[Ingest], now: datetime) -> list[Ingested]:
        """Take several units in one transaction (group commit): all durable when this returns, or none.

        What is lent (`Ingest.loans`) stands with the last of them.
        """
        with self.writing() as tx:
            return ingest.ingest(tx, batch, to_ms(now), lambda: self.lease_clock(tx, to_ms(now)))

    def get_cursor(self, source: str, name: str) -> str | None:
        """A stored cursor; `name` is for instance "poll:customer"."""
        row = self.one("SELECT value FROM cursor WHERE source = ? AND name = ?", (source, name))
        return None if row is None else row["value"]

    def put_cursor(self, source: str, name: str, value: str | None, now: datetime) -> None:
        """Store (None: delete) a cursor outside an ingest."""
        with self.writing() as tx:
            if value is None:
                tx.execute("DELETE FROM cursor WHERE source = ? AND name = ?", (source, name))
            else:
                tx.execute(sql.PUT_CURSOR, {"source": source, "name": name, "value": value, "now": to_ms(now)})

    def cursors(self, source: str) -> Mapping[str, tuple[str | None, datetime]]:
        """All cursors of a source with the time they were stored."""
        with self.reading() as view:
            rows = view.execute("SELECT * FROM cursor WHERE source = ? ORDER BY name", (source,)).fetchall()
        return {row["name"]: (row["value"], from_ms(row["stored_at"])) for row in rows}

    def missing(self, source: str, entity: str, sweep: str, after: str, limit: int) -> list[str]:
        """Keys > `after` of live snapshots that the sweep has not seen (guests are listed like others)."""
        values = {"source": source, "entity": entity, "sweep": sweep, "after": after, "limit": limit}
        with self.reading() as view:
            return [row["key"] for row in view.execute(looks.UNSEEN, values)]

    def sweep_counts(self, source: str, entity: str, sweep: str) -> tuple[int, int]:
        """(known live keys that existed when the sweep began, of these not seen)."""
        row = self.one(looks.SWEEP_COUNTS, {"source": source, "entity": entity, "sweep": sweep})
        return row["known"], row["unseen"]

    def end_sweeps(self, source: str, but: Collection[str]) -> None:
        """Forget all sweeps of the source with other names, and their marks, also of what other listings brought
        meanwhile: nobody goes on with them."""
        with self.writing() as tx:
            tx.execute(
                "DELETE FROM sweep WHERE source = ? AND name NOT IN (SELECT value FROM json_each(?))",
                (source, json.dumps(sorted(but))),
            )

    def doubt(self, sources: Collection[str], now: datetime) -> int:
        """After a restore: what has no link may have been made since the backup, so the target is asked before it is
        made; what has one may be in a state that the link does not know. Holds for what is owed, and for all that these
        sources bring until `believe_again`. Gives how many owed ones have no link."""
        with self.writing() as tx:
            for source in sources:
                for name in (RESTORED, RESTORED_AT):
                    values = {"source": source, "name": name, "value": from_ms(to_ms(now)).isoformat()}
                    tx.execute(sql.PUT_CURSOR, values | {"now": to_ms(now)})
            tx.execute(_DOUBT.format(""))
            return tx.execute(_DOUBT.format("NOT")).rowcount

    def restored_at(self, source: str) -> datetime | None:
        """When a backup was put in the database's place; None where that never happened."""
        mark = self.get_cursor(source, RESTORED_AT)
        return None if mark is None else datetime.fromisoformat(mark)

    def believe_again(self, source: str, now: datetime) -> None:
        """A comparison after the restore has met all that the source has."""
        if self.get_cursor(source, RESTORED) is not None:
            self.put_cursor(source, RESTORED, None, now)

    # -- hints

    def hints(self, source: str, now: datetime, limit: int) -> list[Hint]:
        """Records to fetch and people to forget whose time has come, live ones first."""
        values = {"source": source, "now": to_ms(now)}
        found: list[Hint] = []
        with self.reading() as view:
            for bulk in (0, 1):
                rows = view.execute(hinting.HINTS, values | {"bulk": bulk, "limit": limit - len(found)})
                found += [to_hint(row) for row in rows]
        return found

    def hint_counts(self) -> Mapping[str, int]:
        """Source -> hints that are open."""
        with self.reading() as view:
            rows = view.execute("SELECT source, count(*) AS rows FROM hint GROUP BY source")
            return {row["source"]: row["rows"] for row in rows}

    def snooze_hint(self, hint: Hint, until: datetime, error: str) -> None:
        """It could not be followed: try again then."""
        with self.writing() as tx:
            tx.execute(
                "UPDATE hint SET due_at = :until, attempts = attempts + 1, error = :error "
                "WHERE source = :source AND op = :op AND entity = :entity AND key = :key AND mark = :mark",
                {
                    "until": to_ms(until),
                    "error": error,
                    "source": hint.source,
                    "op": hint.op,
                    "entity": hint.entity,
                    "key": hint.key,
                    "mark": hint.mark,
                },
            )
