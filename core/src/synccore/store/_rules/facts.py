"""What is true of a whole source while something of it is taken in."""

from datetime import datetime
from functools import cached_property

from .. import sql
from .._convert import to_ms
from ..engine import Transaction
from ..rows import NEWS_SINCE

__all__ = ["Facts"]


class Facts:
    """What all units of one source in a commit go by."""

    def __init__(self, tx: Transaction, source: str) -> None:
        self._tx = tx
        self._source = source
        values = {"source": source}
        #: Whether anybody was ever forgotten.
        self.tombstones: bool = tx.execute("SELECT EXISTS (SELECT 1 FROM tombstone) AS some").fetchone()["some"]
        self.doubt = tx.execute(sql.RESTORED, values).fetchone() is not None
        self.unread = tx.execute("SELECT 1 FROM unreadable WHERE source = :source LIMIT 1", values).fetchone()
        self.sweeps = [row["name"] for row in tx.execute("SELECT name FROM sweep WHERE source = :source", values)]

    @cached_property
    def news_since(self) -> dict[str, int]:
        """Entity -> when all of it had been listed for the first time; asked for by listings alone."""
        rows = self._tx.execute("SELECT name, value FROM cursor WHERE source = ?", (self._source,)).fetchall()
        return {
            row["name"].removeprefix(NEWS_SINCE): to_ms(datetime.fromisoformat(row["value"]))
            for row in rows
            if row["name"].startswith(NEWS_SINCE)
        }
