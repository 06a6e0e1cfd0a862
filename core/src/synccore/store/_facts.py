"""What is true of a whole source while something of it is taken in."""

from . import sql
from .engine import Transaction

__all__ = ["Facts"]


class Facts:
    """What all units of one source in a commit go by."""

    def __init__(self, tx: Transaction, source: str) -> None:
        values = {"source": source}
        #: Whether anybody was ever forgotten.
        self.tombstones: bool = tx.execute("SELECT EXISTS (SELECT 1 FROM tombstone) AS some").fetchone()["some"]
        self.doubt = tx.execute(sql.RESTORED, values).fetchone() is not None
        self.unread = tx.execute("SELECT 1 FROM unreadable WHERE source = :source LIMIT 1", values).fetchone()
        self.sweeps = [row["name"] for row in tx.execute("SELECT name FROM sweep WHERE source = :source", values)]
