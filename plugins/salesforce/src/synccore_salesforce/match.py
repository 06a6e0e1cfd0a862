"""Finds the records that exist already, in chunks of SOQL, and never guesses between two."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from synccore.errors import RateLimited, Rejected, SynccoreError

from .client import Client
from .mapping.record import Row, Shaper
from .schema import PERSON_ACCOUNT, Field

__all__ = ["AfterAnother", "Finder", "SeveralFound", "fold"]


class SeveralFound(Rejected):
    """More than one record could be the twin. `candidates` are their ids."""

    def __init__(self, name: str, target: str, candidates: Sequence[str]) -> None:
        super().__init__(
            f"{len(candidates)} records of {name} have this {target}: {', '.join(candidates)}. "
            "Merge them in Salesforce, or put the key on the right one, then retry",
            fields=[target],
        )
        self.candidates = tuple(candidates)


class AfterAnother(RateLimited):
    """Another record with the same value goes first; this one then finds what that one made."""

    def __init__(self, leader: int, target: str) -> None:
        text = f"another record with the same {target} goes first"
        super().__init__(text, retry_after=timedelta(minutes=1), scope="operation")
        #: Operation id of the other record.
        self.leader = leader


def fold(value: Any) -> str:
    """The form values are compared in: SOQL does not mind the case of texts."""
    if isinstance(value, float) and value == int(value):
        value = int(value)
    return str(value).strip().casefold()


class Finder:
    """Looks records up for the rows of one route."""

    def __init__(self, client: Client, shaper: Shaper) -> None:
        self._client = client
        self._shaper = shaper
        self._schema = shaper.schema
        self._matching = shaper.matching

    def resolve(self, rows: Sequence[Row], *, by_key: bool = False) -> dict[int, SynccoreError]:
        """Give rows the ids of records that exist, and drop what must not be overwritten there.

        A row with a key needs no look at the key unless it has values to keep or `by_key` asks for it: the upsert
        finds the record itself. Gives the errors of rows that cannot go on, by operation id.
        """
        self._read([r for r in rows if r.id and (r.adopted or r.keep)], "Id", lambda r: r.id)
        key = self._matching.key
        if key is not None:
            wanted = [r for r in rows if r.id is None and r.key and (by_key or r.keep)]
            self._read(wanted, key.name, lambda r: r.key and r.key[1])
        failures: dict[int, SynccoreError] = {}
        for target in self._matching.search:
            self._search([r for r in rows if r.id is None and r.op.id not in failures], target, failures)
        return failures

    def _columns(self, rows: Iterable[Row]) -> list[str]:
        columns = {"Id"}
        if self._matching.key is not None:
            columns.add(self._matching.key.name)
        columns.update(f.name for f in self._matching.search)
        for row in rows:
            columns.update(row.keep, row.soft)
        return sorted(columns)

    def _read(self, rows: Sequence[Row], column: str, value: Callable[[Row], str | None]) -> None:
        if not rows:
            return
        values = [v for r in rows if (v := value(r))]
        # 15-character ids are case-sensitive; ours have 18, which may be folded.
        found = {
            fold(r[column]): r for r in self._client.select(self._columns(rows), self._schema.name, column, values)
        }
        for row in rows:
            if record := found.get(fold(value(row))):
                self._take(row, record, adopted=row.adopted)

    def _search(self, rows: Sequence[Row], target: Field, failures: dict[int, SynccoreError]) -> None:
        wanted: dict[str, list[Row]] = defaultdict(list)
        values: list[Any] = []
        for row in rows:
            if (value := self._shaper.search_value(row.op, target)) is not None:
                wanted[fold(value)].append(row)
                values.append(value)
        if not values:
            return
        where = "IsPersonAccount = true" if self._shaper.route.object == PERSON_ACCOUNT else ""
        found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for record in self._client.select(self._columns(rows), self._schema.name, target.name, values, where=where):
            found[fold(record[target.name])].append(record)
        for value, sharers in wanted.items():
            self._settle(sharers, found[value], target, failures)

    def _settle(
        self,
        rows: Sequence[Row],
        candidates: Sequence[Mapping[str, Any]],
        target: Field,
        failures: dict[int, SynccoreError],
    ) -> None:
        """What becomes of rows with one value, by what was found for it.

        A record with the row's own key is the one. Else a record without key, if there is just one; a record that
        carries another shop record's key is shared, and keeps its key.
        """
        for row in rows:
            own = [c for c in candidates if row.key and fold(c.get(row.key[0])) == fold(row.key[1])]
            free = [c for c in candidates if row.key and not c.get(row.key[0])]
            pool = own or free or candidates
            if len(pool) > 1:
                failures[row.op.id] = SeveralFound(self._schema.name, target.name, [str(c["Id"]) for c in pool])
            elif pool:
                self._take(row, pool[0], adopted=not own)
        leader, *others = rows
        if not candidates and leader.id is None:
            # Two shop records, one value, no record yet: the first makes it, the others find it after that.
            for row in others:
                failures[row.op.id] = AfterAnother(leader.op.id, target.name)

    def _take(self, row: Row, record: Mapping[str, Any], *, adopted: bool) -> None:
        row.id = str(record["Id"])
        row.adopted = adopted
        for name in [n for n in row.fields if (f := self._schema.get(n)) and not f.updateable]:
            # Shaped as a new record, where it may be set.
            row.drop(name)
        for name in row.keep | (row.soft if adopted else set()):
            if record.get(name) not in (None, ""):
                row.drop(name)
        if row.key is None:
            return
        row.drop(row.key[0])
        if adopted and not record.get(row.key[0]):
            row.fields[row.key[0]] = row.key[1]
