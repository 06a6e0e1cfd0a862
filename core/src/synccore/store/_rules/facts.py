"""What is true of a whole source while something of it is taken in."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property

from ...entities import Customer
from .. import codec, sql
from .._convert import named, to_ms
from ..engine import Row, Transaction
from ..rows import NEWS_SINCE, Ingest, email_of

__all__ = ["Facts"]


class Facts:
    """What all units of one source in a commit go by."""

    def __init__(self, tx: Transaction, source: str, units: Sequence[Ingest]) -> None:
        self._tx = tx
        self._source = source
        self._units = units
        values = {"source": source}
        found = tx.execute(sql.FACTS, values).fetchone()
        #: Whether anybody was ever forgotten.
        self.tombstones = bool(found["tombstones"])
        self.doubt = bool(found["doubt"])
        self.unread = bool(found["unread"])
        self.sweeps: list[str] = []
        if found["sweeps"]:
            self.sweeps += [row["name"] for row in tx.execute("SELECT name FROM sweep WHERE source = :source", values)]
        #: What is known of the records looked at so far, as long as nothing is written of them.
        self.known: dict[tuple[str, str], Row | None] = {}
        self._look_up()

    def _look_up(self) -> None:
        """Read what is known of all records of the units, and of their owners, at once."""
        wanted: dict[str, set[str]] = {}
        for unit in self._units:
            for change in unit.changes:
                wanted.setdefault(change.entity, set()).update((change.key, *change.replaces))
                if change.owner is not None:
                    wanted.setdefault(change.owner.entity, set()).add(change.owner.key)
        for entity, keys in wanted.items():
            if len(keys) > 1:
                self.known.update(dict.fromkeys((entity, key) for key in keys))
                values = {"source": self._source, "entity": entity, "keys": codec.dump_json(list(keys))}
                for row in named(self._tx.execute(sql.SNAPSHOTS, values)):
                    self.known[entity, row["key"]] = row

    def snapshot(self, entity: str, key: str) -> Row | None:
        """What is known of a record."""
        place = (entity, key)
        if place not in self.known:
            values = {"source": self._source, "entity": entity, "key": key}
            self.known[place] = self._tx.execute(sql.SNAPSHOT, values).fetchone()
        return self.known[place]

    def may_be_shared(self, email: str) -> bool:
        """Whether another account may have this address of one of the units' people."""
        return email in self._shared

    @cached_property
    def _shared(self) -> set[str]:
        """Addresses that were known before these units, or that several of their changes bring."""
        changes = [change for unit in self._units for change in unit.changes if change.entity == Customer.entity]
        brought = Counter(filter(None, (email_of(change.data) for change in changes if change.data is not None)))
        if len(brought) < 2:
            return set(brought)  # whoever asks finds out with one statement as well
        found = self._tx.execute(sql.EMAILS_KNOWN, {"emails": codec.dump_json(list(brought))})
        known = {row["email"] for row in found}
        return known | {email for email, times in brought.items() if times > 1}

    @cached_property
    def news_since(self) -> dict[str, int]:
        """Entity -> when all of it had been listed for the first time; asked for by listings alone."""
        rows = self._tx.execute("SELECT name, value FROM cursor WHERE source = ?", (self._source,)).fetchall()
        return {
            row["name"].removeprefix(NEWS_SINCE): to_ms(datetime.fromisoformat(row["value"]))
            for row in rows
            if row["name"].startswith(NEWS_SINCE)
        }
