"""Which record found which twin: one record at the target can be the twin of one here only, a common one of many."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ..._app.app import App
from ..._app.records import Heard, Records, same_account, shop_records
from ..._delivery.policy import error_text
from ...store import Store
from ...types import Failed, Link, Retry, RouteSpec

__all__ = ["Matches", "both_sides", "not_said"]


@contextmanager
def both_sides(
    app: App, route: RouteSpec, heard: Heard, *, remember: bool = False
) -> Iterator[tuple[Records, "Matches"]]:
    """What the source lists for a route, and where its twins are written down, those known already among them.

    `remember`: links will be made. Raises AnotherAccount where those there are are not of the account that the sink
    reaches.
    """
    same_account(app, route.sink, remember=remember)
    with (
        tempfile.TemporaryDirectory(prefix="synccore-") as folder,
        closing(Matches(Path(folder))) as matches,
        shop_records(app, route, heard) as records,
    ):
        matches.take_known(app.store, route.name)
        yield records, matches


def not_said(answer: Retry | Failed) -> str:
    """Why the target cannot say whether it has a record."""
    return f"cannot be said yet: {answer.reason}" if isinstance(answer, Retry) else error_text(answer.error)


class Matches:
    """On disk, so that a large shop needs no memory."""

    def __init__(self, folder: Path) -> None:
        self._db = sqlite3.connect(folder / "matches.db")
        self._db.execute(
            "create table match (remote_id text, key text, object text, etag text, kind text, taken int, common int)"
        )

    def take_known(self, store: Store, route: str) -> None:
        """Twins that are taken already."""
        after = ""
        while links := store.links(route, after):
            after = links[-1].key
            for link in links:
                self.add(link.key, link, taken=True)

    def add(self, key: str, link: Link, kind: str = "", *, taken: bool = False) -> None:
        """A record has found its twin; `kind` is the caller's own word for it."""
        values = (link.remote_id, key, link.object, link.etag, kind, taken, link.common)
        self._db.execute("insert into match values (?, ?, ?, ?, ?, ?, ?)", values)

    def seal(self) -> None:
        """Ready to be asked."""
        self._db.execute("create index by_remote_id on match (remote_id)")

    def found(self) -> Iterator[tuple[str, Link, str, tuple[str, ...]]]:
        """Per record found: key, twin, kind, and its rivals: others with the same twin that is no common one."""
        for remote_id, key, object_, etag, kind, common in self._db.execute(
            "select remote_id, key, object, etag, kind, common from match where not taken order by rowid"
        ):
            rivals = self._db.execute(
                "select distinct key from match where remote_id = ? and key <> ? limit 5", (remote_id, key)
            )
            others = () if common else tuple(row[0] for row in rivals)
            yield key, Link(object=object_, remote_id=remote_id, etag=etag), kind, others

    def close(self) -> None:
        """Nothing more is asked."""
        self._db.close()
