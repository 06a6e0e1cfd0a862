"""Finds the records that exist already, in few queries, and never guesses between two."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from attrs import evolve

from synccore.errors import RateLimited, Rejected, SynccoreError
from synccore.types import Ambiguous, Link, LookupResult, Operation

from .client import Client
from .mapping.defaults import KEY_FIELD
from .mapping.record import Shaper
from .mapping.row import AGREED, KEPT, Row
from .mapping.values import same
from .schema import PERSON_ACCOUNT, Field, Schema, api_name

__all__ = ["AfterAnother", "Finder", "SeveralFound", "fold"]

#: Clocks differ: what we asked for may seem to have been made a little before.
SKEW = timedelta(minutes=5)


class SeveralFound(Rejected):
    """More than one record could be the twin. `candidates` are their ids."""

    def __init__(self, name: str, target: str, candidates: Sequence[str], key: tuple[str, str] | None) -> None:
        hint = f", or put {key[0]} = {key[1]} on the right one" if key else ""
        super().__init__(
            f"{len(candidates)} records of {name} have this {target}: {', '.join(candidates)}. "
            f"Merge them in Salesforce{hint}, then retry",
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
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().casefold()


def _as_sent(operation: Operation) -> Operation | None:
    """With the state that it had, where it may have been carried out with another than it has now."""
    before = operation.before
    if not operation.maybe_applied or not before or before == operation.fields:
        return None
    return evolve(operation, fields=before, changed=frozenset(before))


def _is_at(found: LookupResult, twin: Link) -> bool:
    return isinstance(found, Link) and found.remote_id == twin.remote_id


class Finder:
    """Looks records up for the rows of one route."""

    def __init__(self, client: Client, shaper: Shaper) -> None:
        self._client = client
        self._shaper = shaper
        self._schema = shaper.schema
        self._matching = shaper.matching
        #: What was asked for ahead: (field, condition) -> the columns of each record, and folded value -> the records.
        self._known: dict[tuple[str, str], tuple[frozenset[str], dict[str, list[Mapping[str, Any]]]]] = {}

    # -- asking

    def ahead(self, operations: Callable[[], Iterable[Operation]]) -> None:
        """Ask at once what `resolve` is going to ask for parts of these; forgets what was asked ahead before.

        `operations` gives them anew each time.
        """
        wanted: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
        for op in operations():
            if op.link is not None and not op.link.left:
                continue
            with suppress(Rejected):  # said where the record is shaped
                for target in self._matching.search:
                    if (value := self._shaper.search_value(op, target)) is not None:
                        wanted[target.name, self._kind][fold(value)] = value
                looks = op.maybe_applied or self._shaper.may_keep(op)
                if looks and (key := self._shaper.key_of(op)) is not None:
                    wanted[key[0], ""][fold(key[1])] = key[1]
        columns = self._columns_of(operations()) if wanted else frozenset()
        self._known = {}
        for (column, where), values in wanted.items():
            found: dict[str, list[Mapping[str, Any]]] = {value: [] for value in values}
            asked = columns | {column}
            for record in self._select(asked, column, values.values(), where):
                found.setdefault(fold(record[column]), []).append(record)
            self._known[column, where] = asked, found

    def _columns_of(self, operations: Iterable[Operation]) -> frozenset[str]:
        """Whatever rows of these may have to be compared with."""
        names = {"Id", "LastName", "Name", "RecordTypeId", "AccountId", KEY_FIELD}
        names |= {f.name for f in self._matching.search}
        parents = {}
        for op in operations:
            names.update(op.fields)
            if op.parent is not None:
                parents[api_name(op.parent.object)] = op.settings
        names |= {self._shaper.parent_field(name, settings).name for name, settings in parents.items()}
        found = (self._schema.get(self._column(self._schema, n)) for n in names)
        return frozenset(f.name for f in found if f is not None)

    @property
    def _kind(self) -> str:
        """Which records of the object are searched."""
        if self._shaper.route.object == PERSON_ACCOUNT:
            return "IsPersonAccount = true"
        return "IsPersonAccount = false" if self._matching.company and self._schema.has_person_accounts else ""

    def _select(
        self, columns: Iterable[str], column: str, values: Iterable[Any], where: str = ""
    ) -> Iterator[Mapping[str, Any]]:
        """Records of the route's object, from what was asked ahead where all of it was."""
        asked, known = self._known.get((column, where), (frozenset(), {}))
        columns, values = sorted(columns), list(values)
        folded = dict.fromkeys(map(fold, values))
        if asked.issuperset(columns) and known.keys() >= folded.keys():
            return (record for value in folded for record in known[value])
        return self._client.select(columns, self._schema.name, column, values, where=where)

    # -- finding

    def lookup(self, operations: Sequence[Operation]) -> list[LookupResult]:
        """Per operation: the link to what exists, what could be it, or None. Writes nothing.

        Without a key, a create whose answer was lost may have been carried out as the record was then.
        """
        results = self._looked_up(operations)
        if self._matching.key is None:
            former = [then for op in operations if (then := _as_sent(op)) is not None]
            made = self._looked_up(former) if former else {}
            mine = {n: twin for n, twin in made.items() if isinstance(twin, Link) and twin.marked}
            # A company's account may be others' by now, and is never renamed.
            mine = {n: twin for n, twin in mine.items() if not twin.common or _is_at(results.get(n), twin)}
            results |= mine
        return [results.get(op.id) for op in operations]

    def _looked_up(self, operations: Sequence[Operation]) -> dict[int, LookupResult]:
        results: dict[int, LookupResult] = {}
        rows: list[Row] = []
        for op in operations:
            try:
                rows.append(self._shaper.row(op))
            except Rejected:
                # Cannot be written as it is; whether it exists is then no question.
                results[op.id] = None
        errors = self.resolve(rows, by_key=True)
        for row in rows:
            error = errors.get(row.op.id)
            if isinstance(error, SeveralFound):
                results[row.op.id] = Ambiguous(error.candidates)
            elif row.id is not None:
                results[row.op.id] = Link(
                    object=self._shaper.route.object,
                    remote_id=row.id,
                    adopted=not row.own,
                    marked=row.own,
                    common=row.company,
                )
        return results

    def resolve(self, rows: Sequence[Row], *, by_key: bool = False, outright: bool = False) -> dict[int, SynccoreError]:
        """Give rows the ids of records that exist, and drop what must not be overwritten there.

        A row with a key needs no look at the key unless it has values to keep or `by_key` asks for it: the upsert
        finds the record itself. With `outright` a row with values to keep needs none either where the key is unique.
        Gives the errors of rows that cannot go on, by operation id.
        """
        for row in rows:
            key = row.schema.get(row.key[0]) if row.key and row.keep and row.id is None else None
            row.outright = outright and key is not None and key.unique and not (by_key or row.op.maybe_applied)
        # To one that a lookup found, and nothing was written to yet, the key is written unless another is there.
        self.read([r for r in rows if r.id and r.fields and (r.guarded or r.keep or (r.key and not r.before))])
        wanted = [
            r for r in rows if r.id is None and r.key and (by_key or r.op.maybe_applied or (r.keep and not r.outright))
        ]
        for name in dict.fromkeys(r.key[0] for r in wanted if r.key):
            self._read([r for r in wanted if r.key and r.key[0] == name], name, lambda r: r.key and r.key[1])
        failures: dict[int, SynccoreError] = {}
        for target in self._matching.search:
            self._search([r for r in rows if r.id is None and r.op.id not in failures], target, failures)
        return failures

    def read(self, rows: Sequence[Row]) -> None:
        """Look at the records rows lead to, and drop what must not be overwritten there."""
        for name in dict.fromkeys(r.object for r in rows):
            self._read([r for r in rows if r.object == name], "Id", lambda r: r.id)

    def _columns(self, rows: Iterable[Row], *also: str) -> list[str]:
        columns = {"Id", *also}
        for row in rows:
            schema = row.schema
            columns |= {f.name for f in self._matching.search if schema is self._schema}
            columns |= {row.key[0]} if row.key else set()
            columns |= row.keep | row.soft
            columns |= {self._column(schema, n) for n in row.fields}
            origin = ("CreatedDate", "CreatedById") if row.op.maybe_applied and not row.key else ()
            columns |= {f.name for f in map(schema.get, (KEY_FIELD, *origin)) if f is not None}
        return sorted(columns)

    @staticmethod
    def _column(schema: Schema, name: str) -> str:
        relation, dot, _ = name.partition(".")
        lookup = schema.relation(relation) if dot else None
        return lookup.name if lookup else name

    def _read(self, rows: Sequence[Row], column: str, value: Callable[[Row], str | None]) -> None:
        if not rows:
            return
        values = [v for r in rows if (v := value(r))]
        columns = self._columns(rows, column)
        # 15-character ids are case-sensitive; ours have 18, which may be folded.
        if rows[0].object == self._schema.name:
            records = self._select(columns, column, values)
        else:
            records = self._client.select(columns, rows[0].object, column, values)
        found = {fold(r[column]): r for r in records}
        for row in rows:
            if record := found.get(fold(value(row))):
                self._take(row, record, own=column != "Id" or self._is_own(row, record))

    def _is_own(self, row: Row, record: Mapping[str, Any]) -> bool:
        """Whether the record carries the row's key; without keys, whether a try whose answer was lost made it."""
        if row.key is not None:
            return fold(record.get(row.key[0])) == fold(row.key[1])
        if row.op.since is None or not row.op.maybe_applied:
            return False
        made, maker, user = record.get("CreatedDate"), record.get("CreatedById"), self._client.user
        if not (made and maker and user) or maker[:15] != user[:15]:
            return False
        written = [(f, v) for n, v in row.fields.items() if n not in row.soft and (f := row.schema.get(n))]
        if row.company and all(f in self._matching.search for f, value in written if value not in (None, "")):
            return False  # a company's name is everybody's there
        return datetime.fromisoformat(made) >= row.op.since - SKEW and all(
            same(target, value, record.get(target.name)) for target, value in written
        )

    def _search(self, rows: Sequence[Row], target: Field, failures: dict[int, SynccoreError]) -> None:
        wanted: dict[str, list[Row]] = defaultdict(list)
        values: list[Any] = []
        for row in rows:
            if (value := self._shaper.search_value(row.op, target)) is not None:
                wanted[fold(value)].append(row)
                values.append(value)
        if not values:
            return
        found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        sharers = [r for rows in wanted.values() for r in rows]
        columns = self._columns(sharers)
        for record in self._select(columns, target.name, values, self._kind):
            found[fold(record[target.name])].append(record)
        for value, mine in wanted.items():
            self._settle(mine, found[value], target, failures)

    def _settle(
        self,
        rows: Sequence[Row],
        candidates: Sequence[Mapping[str, Any]],
        target: Field,
        failures: dict[int, SynccoreError],
    ) -> None:
        """What becomes of rows with one value, by what was found for it.

        Its own record is the one. Else a record without key, if there is just one; a record that carries another
        shop record's key is shared, and keeps its key.
        """
        for row in rows:
            own = [c for c in candidates if self._is_own(row, c)]
            free = [c for c in candidates if row.key and not c.get(row.key[0])]
            pool = own or free or candidates
            if len(pool) > 1:
                ids = [str(c["Id"]) for c in pool]
                failures[row.op.id] = SeveralFound(self._schema.name, target.name, ids, row.key)
            elif pool:
                self._take(row, pool[0], own=bool(own))
        leader, *others = rows
        if not candidates and leader.id is None:
            # Two shop records, one value, no record yet: the first makes it, the others find it after that.
            for row in others:
                failures[row.op.id] = AfterAnother(leader.op.id, target.name)

    # -- what a found record means to a row

    def _take(self, row: Row, record: Mapping[str, Any], *, own: bool) -> None:
        link = row.op.link
        own = own or (link is not None and _was_made(link, record))
        if row.id is None or (link is not None and not link.previous and not link.left):
            # Found now, or found by a lookup and never written: whose it is, the key on it tells.
            row.adopted = not own
            row.guarded = not own and row.op.settings.get("existing") != "overwrite"
        row.id = str(record["Id"])
        row.record = record
        row.own = own
        for name in [n for n in row.fields if (f := row.schema.get(n)) and not f.updateable]:
            # Shaped as a new record, where it may be set.
            row.drop(name, "Salesforce does not let it be changed")
            if name in row.soft:
                row.notes.append(f"{name} stays as it was: Salesforce fixes it when the record is made")
        if row.company and row.guarded:
            self._shaper.keep_all(row)
            return
        self._spare(row, record)
        if row.key is not None:
            self._key(row, record, own=own)

    def _spare(self, row: Row, record: Mapping[str, Any]) -> None:
        """Leave alone what is not ours: values to keep, and on others' records all that this sync did not put there."""
        for name in [n for n in row.keep if n in row.fields]:
            if record.get(name) not in (None, ""):
                row.drop(name, KEPT)
        before = row.op.link.parent_id if row.op.link else None
        for name in [n for n in row.fields if n in row.soft or "." in n]:
            there = record.get(self._column(row.schema, name))
            if row.guarded and there and str(there)[:15] != (before or "")[:15]:
                row.drop(name, KEPT)
        if row.company:
            # Found by it, whatever its case: never renamed.
            for searched in self._matching.search:
                row.drop(searched.name, AGREED)
        for name, value in list(row.fields.items()):
            target = row.schema.get(name)
            if target is None or name in row.soft:
                continue
            there = record.get(name)
            foreign_key = row.adopted and target.external_id and there not in (None, "")
            if not row.guarded and not foreign_key:
                continue
            if same(target, value, there):
                row.drop(name, AGREED if name not in row.before else None)
            elif not row.is_ours(target, there):
                row.drop(name, KEPT)

    def _key(self, row: Row, record: Mapping[str, Any], *, own: bool) -> None:
        assert row.key is not None  # noqa: S101  the caller looked
        name, value = row.key
        if own and record.get(name) != value:
            row.fields[name] = value
        if own or (row.op.link is not None and row.before):
            return
        row.drop(name)
        if not record.get(name):
            row.fields[name] = value
        elif mapped := row.mapped_name(name):
            row.left[mapped] = "kept: the key of another record"


def _was_made(link: Link, record: Mapping[str, Any]) -> bool:
    """Whether a lookup knew it by the key of the guest that this customer was: the answer to that create was lost.

    It said so just now, or an earlier call asked: then the link remembers whose it is, and that nothing was written.
    """
    asked = not (link.adopted or link.fields or link.left) and link.remote_id[:15] == str(record["Id"])[:15]
    return link.marked or asked
