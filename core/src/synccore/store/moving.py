"""What was delivered gets another name: a route that is called otherwise now, an account that an instance left."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from . import sql
from ._convert import to_ms
from ._rules.owing import fold_or_ready, refresh, slot_of, tell
from .engine import Engine, Transaction

__all__ = ["Moving"]

#: The columns of a link that are kept apart with it.
_LINK = (
    "route, source, entity, key, sink, object, remote_id, etag, fields, delivered_at, left_out, asked, adopted, made, "
    "parent_id, let_go"
)
#: What of it a newer one replaces.
_REPLACED = ", ".join(f"{name} = excluded.{name}" for name in _LINK.split(", ")[5:])
#: What bears the name of a route.
_NAMED = ("event_route", "delivery", "link", "link_archive", "hold", "history")

_OURS = "route = :old AND source = :source AND entity = :entity AND sink = :sink"
_SAME_KEY = "n.route = :new AND n.source = o.source AND n.entity = o.entity AND n.key = o.key"

#: Links of the old name, except where the new one has a link of the record already.
_RENAME_LINKS = f"""
UPDATE link AS o SET route = :new WHERE {_OURS} AND NOT EXISTS (SELECT 1 FROM link n WHERE {_SAME_KEY})
"""  # noqa: S608  own constants

#: What else bears the old name, in this order.
_RENAME_REST = (
    # A second link to the same twin says nothing more; one to another twin stays, and `check` names its route.
    f"""DELETE FROM link AS o WHERE {_OURS} AND EXISTS (
        SELECT 1 FROM link n WHERE {_SAME_KEY} AND n.remote_id = o.remote_id AND n.object = o.object)""",  # noqa: S608
    f"""UPDATE link_archive AS o SET route = :new WHERE {_OURS} AND NOT EXISTS (
        SELECT 1 FROM link_archive n WHERE {_SAME_KEY} AND n.account = o.account AND n.sink = o.sink)""",  # noqa: S608
    # Two ready rows of one record are one: what the older knows goes into the one that stays.
    f"""UPDATE delivery AS n SET (before, sent, maybe_applied, first_change_at, bulk) = (
            SELECT coalesce(o.before, n.before), coalesce(o.sent, n.sent), max(n.maybe_applied, o.maybe_applied),
                min(n.first_change_at, o.first_change_at), min(n.bulk, o.bulk)
            FROM delivery o WHERE {_SAME_KEY} AND o.route = :old AND o.state = 'ready' AND o.event IS NULL)
        WHERE n.route = :new AND n.state = 'ready' AND n.event IS NULL AND EXISTS (
            SELECT 1 FROM delivery o WHERE {_SAME_KEY} AND o.route = :old AND o.sink = :sink AND o.state = 'ready'
                AND o.event IS NULL)""",  # noqa: S608
    f"""DELETE FROM delivery AS o WHERE {_OURS} AND state = 'ready' AND event IS NULL AND EXISTS (
        SELECT 1 FROM delivery n WHERE {_SAME_KEY} AND n.state = 'ready' AND n.event IS NULL)""",  # noqa: S608
    # A fact that both were given is told once.
    f"""DELETE FROM delivery AS o WHERE {_OURS} AND event IS NOT NULL AND EXISTS (
        SELECT 1 FROM event_route n WHERE n.event = o.event AND n.route = :new)""",  # noqa: S608
    f"UPDATE delivery SET route = :new WHERE {_OURS}",  # noqa: S608
    "UPDATE delivery SET wait_route = :new WHERE wait_route = :old AND source = :source",
    """UPDATE event_route AS o SET route = :new WHERE route = :old AND event IN (
        SELECT id FROM event WHERE source = :source AND entity = :entity)
        AND NOT EXISTS (SELECT 1 FROM event_route n WHERE n.event = o.event AND n.route = :new)""",
    """DELETE FROM event_route WHERE route = :old AND event IN (
        SELECT id FROM event WHERE source = :source AND entity = :entity)""",
    """UPDATE hold SET route = :new WHERE route = :old AND sink = :sink
        AND NOT EXISTS (SELECT 1 FROM hold n WHERE n.route = :new)""",
    "DELETE FROM hold WHERE route = :old AND sink = :sink",
    f"UPDATE history SET route = :new WHERE {_OURS}",  # noqa: S608
    "UPDATE backfill SET route = :new WHERE route = :old AND source = :source",
    sql.REFRESH_ROUTE,
)

#: The names of all routes with links: one look-up per route, however many links.
_LINKED_ROUTES = """
WITH RECURSIVE routes(route) AS (
    SELECT min(route) FROM link
    UNION ALL
    SELECT (SELECT min(route) FROM link l WHERE l.route > routes.route) FROM routes WHERE routes.route IS NOT NULL)
SELECT route FROM routes WHERE route IS NOT NULL
"""


class Moving(Engine):
    """Links and rows under another name."""

    def rename_route(self, old: str, new: str, *, source: str, entity: str, sink: str) -> int:
        """All that `old` delivered and owes is `new`'s, as far as it is of this source, entity and sink; links moved.

        Where both have a link or a row of one record `new`'s own stays. Doing it again changes nothing.
        """
        values = {"old": old, "new": new, "source": source, "entity": entity, "sink": sink}
        with self.reading() as view:
            if not any(view.execute(f"SELECT 1 FROM {t} WHERE route = ? LIMIT 1", (old,)).fetchone() for t in _NAMED):  # noqa: S608  constant names
                return 0
        with self.writing() as tx:
            moved = tx.execute(_RENAME_LINKS, values).rowcount
            for statement in _RENAME_REST:
                tx.execute(statement, values)
            return moved

    def linked_routes(self, *, known: Collection[str]) -> Mapping[str, int]:
        """Every other route with links than those `known`, and how many. Costs by the routes, not by their links."""
        with self.reading() as view:
            names = [row["route"] for row in view.execute(_LINKED_ROUTES)]
            return {name: _count(view, name) for name in names if name not in known}

    def archive_links(self, sink: str, account: str, routes: Sequence[str]) -> int:
        """Keep the links of a sink and its routes apart, as those of an account that it leaves; how many.

        Rows that were skipped because that account held it already say nothing of another one.
        """
        values = {"sink": sink, "account": account, "routes": json.dumps(list(routes))}
        mine = "(sink = :sink OR sink = '' AND route IN (SELECT value FROM json_each(:routes)))"
        with self.writing() as tx:
            tx.execute(
                f"INSERT INTO link_archive (account, {_LINK}) "  # noqa: S608  constant names
                f"SELECT :account, {_LINK.replace('sink', ':sink', 1)} FROM link WHERE {mine} "
                f"ON CONFLICT (account, sink, route, source, entity, key) DO UPDATE SET {_REPLACED}",
                values,
            )
            tx.execute(
                "UPDATE delivery SET state = 'done' WHERE state = 'skipped' AND event IS NULL AND EXISTS "  # noqa: S608
                "(SELECT 1 FROM link WHERE link.route = delivery.route AND link.source = delivery.source "
                f"AND link.entity = delivery.entity AND link.key = delivery.key AND {mine})",
                values,
            )
            return tx.execute(f"DELETE FROM link WHERE {mine}", values).rowcount  # noqa: S608  constant names

    def abandon_jobs(self, sink: str, note: str, now: datetime) -> int:
        """What is in jobs of an account that a sink leaves is owed again, to whoever it reaches now; how many."""
        at = to_ms(now)
        with self.writing() as tx:
            found = tx.execute("SELECT * FROM delivery WHERE state = 'submitted' AND sink = ? ORDER BY id", (sink,))
            rows = found.fetchall()
            for row in rows:
                fold_or_ready(tx, row, due_at=at, maybe_applied=0)
                tell(tx, row, "retried", at, note=note)
            refresh(tx, [slot_of(row) for row in rows])
            return len(rows)

    def restore_links(self, sink: str, account: str) -> int:
        """Bring back what was kept apart for an account that a sink reaches again; how many."""
        values = {"sink": sink, "account": account}
        with self.writing() as tx:
            back = tx.execute(
                f"INSERT INTO link ({_LINK}) SELECT {_LINK} FROM link_archive "  # noqa: S608  constant names
                "WHERE sink = :sink AND account = :account ON CONFLICT DO NOTHING",
                values,
            ).rowcount
            tx.execute("DELETE FROM link_archive WHERE sink = :sink AND account = :account", values)
            return back

    def archived_links(self, source: str, entity: str, key: str) -> list[tuple[str, str, str]]:
        """Of one record in accounts that were left: sink, account id, remote id."""
        statement = (
            "SELECT sink, account, remote_id FROM link_archive WHERE source = ? AND entity = ? AND key = ? "
            "ORDER BY sink, account"
        )
        with self.reading() as view:
            return [tuple(row) for row in view.execute(statement, (source, entity, key))]

    def linked_to(self, sink: str, remote_id: str) -> list[tuple[str, str, str]]:
        """Whose twin a remote record is, whatever its object: source, entity, key."""
        statement = "SELECT DISTINCT source, entity, key FROM link WHERE remote_id = ? AND sink = ?"
        with self.reading() as view:
            return [tuple(row) for row in view.execute(statement, (remote_id, sink))]


def _count(view: Transaction, route: str) -> int:
    return int(view.execute("SELECT count(*) AS links FROM link WHERE route = ?", (route,)).fetchone()["links"])
