"""Links and snapshots: what the source and the targets are known to hold. Held by adopt, plan, preview and verify."""

import json
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from attrs import evolve

from ..types import Link, Snapshot
from . import looks, sql
from ._convert import to_link, to_ms, to_snapshot
from ._rules import settle
from ._rules.owing import owe, write_history
from ._rules.pen import Pen
from ._rules.people import forgotten_at
from .engine import Engine, Transaction
from .rows import DirtyRule, HistoryEntry, LinkUpdate

__all__ = ["Records"]


class Records(Engine):
    """Records at both ends."""

    def link(self, route: str, source: str, entity: str, key: str) -> Link | None:
        """One link."""
        row = self.one(sql.LINK, {"route": route, "source": source, "entity": entity, "key": key})
        return None if row is None else to_link(row)

    def put_link(
        self,
        route: str,
        source: str,
        entity: str,
        key: str,
        update: LinkUpdate,
        now: datetime,
    ) -> None:
        """Write a link outside a settle."""
        with self.writing() as tx:
            settle.put_link(tx, route, source, entity, key, update, to_ms(now))

    def adopt(self, found: HistoryEntry, update: LinkUpdate, digests: Sequence[str], since: datetime) -> bool:
        """Write the link of a twin that was found, with its line of the trail, for records as they were `since` then.

        False, and nothing is written, where another process linked the record meanwhile, or somebody with one of the
        `digests` was forgotten.
        """
        place = {"route": found.route, "source": found.source, "entity": found.entity, "key": found.key}
        with self.writing() as tx:
            gone = forgotten_at(tx, digests)
            if tx.execute(sql.LINK, place).fetchone() is not None or (gone is not None and gone >= since):
                return False
            settle.put_link(tx, **place, update=update, now=to_ms(found.at))
            write_history(tx, found)
            return True

    def remember(self, route: str, source: str, entity: str, updates: Mapping[str, LinkUpdate], now: datetime) -> int:
        """Write the links of many keys in one transaction; how many."""
        with self.writing() as tx:
            for key, update in updates.items():
                settle.put_link(tx, route, source, entity, key, update, to_ms(now))
        return len(updates)

    def owe_unwritten(
        self, rule: DirtyRule, source: str, routes: Collection[str], now: datetime, *, after: str = "", limit: int = 500
    ) -> tuple[int, str | None]:
        """Owe `rule`'s route, behind everything else, the next records that `routes` linked and it did not.

        Gives how many it owes now that it did not owe before, and the key to go on `after`, None at the end.
        """
        values = {"source": source, "entity": rule.entity, "route": rule.route, "after": after, "limit": limit}
        with self.writing() as tx:
            found = tx.execute(looks.UNWRITTEN, values | {"routes": json.dumps(list(routes))}).fetchall()
            owed = _owe_all(tx, rule, source, [row["key"] for row in found], now)
        return owed, found[-1]["key"] if len(found) == limit else None

    def links(self, route: str, after: str = "", limit: int = 500) -> list[Link]:
        """Links of a route by key, paged by `after` (a key)."""
        statement = "SELECT * FROM linked WHERE route = ? AND key > ? ORDER BY key LIMIT ?"
        with self.reading() as view:
            return [to_link(row) for row in view.execute(statement, (route, after, limit))]

    def links_of(self, source: str, entity: str, key: str) -> list[Link]:
        """All links of one record, on every route."""
        statement = "SELECT * FROM linked WHERE source = ? AND entity = ? AND key = ? ORDER BY route"
        with self.reading() as view:
            return [to_link(row) for row in view.execute(statement, (source, entity, key))]

    def sample_links(self, route: str, count: int, seed: int) -> list[Link]:
        """A repeatable sample: ids shuffled by a multiplier, taken from where the seed says."""
        start = random.Random(seed).randrange(2147483647)  # noqa: S311  a sample, no secret
        with self.reading() as view:
            rows = view.execute(looks.SAMPLE_LINKS, {"route": route, "count": count, "start": start})
            return [to_link(row) for row in rows]

    def snapshot(self, source: str, entity: str, key: str) -> Snapshot | None:
        """The last known state, deleted ones too."""
        row = self.one(sql.SNAPSHOT, {"source": source, "entity": entity, "key": key})
        return None if row is None else to_snapshot(row)

    def taken_over(self, source: str, entity: str, key: str) -> list[str]:
        """The keys whose place this one took."""
        with self.reading() as view:
            return sorted(row["key"] for row in view.execute(sql.TAKEN_OVER, (source, entity, key)))

    def snapshots(self, source: str, entity: str, after: str = "", limit: int = 500) -> list[Snapshot]:
        """Live snapshots in the order in which they were first taken in, paged by `after` (a key)."""
        values = {"source": source, "entity": entity, "after": after, "limit": limit}
        with self.reading() as view:
            return [to_snapshot(row) for row in view.execute(looks.SNAPSHOTS_IN_ORDER, values)]

    def containing(self, entity: str, texts: Sequence[str], limit: int, among: int | None = None) -> list[Snapshot]:
        """Live snapshots whose stored JSON contains all of these ASCII texts, whatever their case, newest first.

        Reads every record, or the `among` newest ones: for a person's search, nothing else.
        """
        escaped = [text.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_") for text in texts]
        wanted = " AND ".join("lower(data) LIKE ? ESCAPE '!'" for _ in escaped)
        first = 0 if among is None else self.newest_record() - among
        statement = (
            f"SELECT * FROM snapshot WHERE id > ? AND entity = ? AND deleted = 0 AND {wanted} ORDER BY id DESC LIMIT ?"  # noqa: S608
        )
        with self.reading() as view:
            rows = view.execute(statement, (first, entity, *(f"%{text}%" for text in escaped), limit))
            return [to_snapshot(row) for row in rows]

    def newest_record(self) -> int:
        """The number of the snapshot that was taken in last; how many there are at most."""
        return int(self.one("SELECT coalesce(max(id), 0) FROM snapshot", ())[0])

    def links_to(self, remote_id: str, limit: int) -> list[Link]:
        """Links to a remote id, of whatever sink."""
        with self.reading() as view:
            rows = view.execute("SELECT * FROM linked WHERE remote_id = ? LIMIT ?", (remote_id, limit))
            return [to_link(row) for row in rows]

    def with_others(self, link: Link, but: Collection[tuple[str, str, str]] = ()) -> Link:
        """The link with what all others that share its record hold there; `but` (source, entity, key) do not count, nor
        as ones that share it."""
        if link.shared <= 1:
            return link
        mine = (link.route, link.source, link.entity, link.key)
        with self.reading() as view:
            rows = view.execute("SELECT * FROM linked WHERE remote_id = ? AND sink = ?", (link.remote_id, link.sink))
            found = [to_link(row) for row in rows]
        others = [x for x in found if (x.source, x.entity, x.key) not in but]
        others = [x for x in others if (x.route, x.source, x.entity, x.key) != mine]
        shared = 1 + len(others) if but else link.shared
        return evolve(link, shared=shared, others=[x.fields for x in others if not x.left])

    def snapshot_counts(self, source: str) -> Mapping[str, int]:
        """Live snapshots per entity."""
        with self.reading() as view:
            rows = view.execute("SELECT entity, rows FROM snapshot_count WHERE source = ?", (source,))
            return {row["entity"]: row["rows"] for row in rows}

    def unjudged(self, route: str, source: str, entity: str, since: datetime) -> int:
        """Live snapshots of which no delivery on this route ended since then, and none is open."""
        values = {"route": route, "source": source, "entity": entity, "since": to_ms(since)}
        return int(self.one(looks.UNJUDGED, values)[0])

    def route_balance(self, route: str, source: str, entity: str) -> Mapping[str, int]:
        """For `verify`: {"in", "linked", "parked", "skipped", "open", "missing"} over the live snapshots of the
        route's entity, each key counted once: parked before open (ready, running, submitted) before linked before
        skipped (also: dismissed), since a newer state that did not arrive counts more than an older one that did;
        missing has none."""
        places = dict.fromkeys(("in", "linked", "parked", "skipped", "open", "missing"), 0)
        with self.reading() as view:
            rows = view.execute(looks.BALANCE, {"route": route, "source": source, "entity": entity})
            places |= {row["place"]: row["rows"] for row in rows}
        places["in"] = sum(places.values())
        return places

    def event_balance(self, route: str, source: str, entity: str) -> Mapping[str, int]:
        """For `verify`: {"in", "delivered", "parked", "skipped", "open", "pruned", "untold"} over the known events of
        an entity, each counted once. Pruned ones were delivered or skipped longer ago than rows are kept; untold ones
        were known before the route was there to be given them."""
        places = dict.fromkeys(("delivered", "parked", "skipped", "open"), 0)
        values = {"route": route, "source": source, "entity": entity}
        with self.reading() as view:
            places |= {row["place"]: row["rows"] for row in view.execute(looks.EVENT_BALANCE, values)}
            known = view.execute(looks.EVENTS_KNOWN, values).fetchone()
        pruned = known["given"] - sum(places.values())
        return {"in": known["known"], **places, "pruned": pruned, "untold": known["known"] - known["given"]}

    def repair(self, rule: DirtyRule, source: str, updates: Mapping[str, LinkUpdate], now: datetime) -> int:
        """Remember what the target really holds of these keys, and owe them again, as the past; rows made."""
        with self.writing() as tx:
            for key, update in updates.items():
                settle.put_link(tx, rule.route, source, rule.entity, key, update, to_ms(now))
            return _owe_all(tx, rule, source, updates, now)


def _owe_all(tx: Transaction, rule: DirtyRule, source: str, keys: Iterable[str], now: datetime) -> int:
    """As the past, what is not owed yet; rows made."""
    pen = Pen(tx)
    for key in keys:
        owe(pen, rule, source, key, "upsert", bulk=True, now=to_ms(now), changed=False)
    pen.flush()
    return pen.touched.total()
