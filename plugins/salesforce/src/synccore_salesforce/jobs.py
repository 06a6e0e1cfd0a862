"""Large backlogs through Bulk API 2.0: jobs that survive a kill, and results told apart by key.

A job's intent (which operation is which row) is stored before Salesforce is told to begin. After a kill in between,
the same operations arrive again: a job that began is then taken up where it is, one that did not is given up.
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import IO, Any

from attrs import field, frozen

from synccore.errors import RateLimited, Rejected, SynccoreError, Transient
from synccore.types import Context, Failed, Job, Operation, Outcome, Submitted

from .client import Client
from .errors import Problem, Refused
from .mapping.row import Row
from .mapping.values import csv_cell
from .match import fold

__all__ = ["POLL", "Ended", "Jobs"]

_INTENT = "bulk:"
#: When each job was begun, apart: what a job holds is read of one job at a time.
_BEGUN = "bulk_begun:"
_ENDED = "bulk_ended:"
#: Salesforce forgets ended jobs after seven days.
_KEPT = timedelta(days=8)
#: How long a newer state waits before it looks again whether the job with the older one is through.
POLL = timedelta(seconds=30)
#: A job takes 150 MB in base64, which is 100 MB of file with room to spare.
_FILE_BYTES = 90_000_000
_SPECIAL = re.compile(r"[\",\r\n]")
_TERMINAL = ("JobComplete", "Failed", "Aborted")
#: The file itself cannot be used: trying it again would end the same way.
_BAD_FILE = ("InvalidBatch", "InvalidJob", "ClientInputError")

#: What is kept of a job: `rows` (mark -> value of the column that tells rows apart) and what `_Rows` says of them.
_Intent = Mapping[str, Any]


@frozen
class _Rows:
    """Which row of a job is whose: mark -> value of the column that tells rows apart."""

    column: str
    values: Mapping[str, str]
    #: What was noted of rows when they were submitted (`_facts`): most of ten thousand have the same.
    facts: Sequence[Mapping[str, Any]] = ()
    #: Mark -> which of `facts` is the row's.
    noted: Mapping[str, int] = field(factory=dict)


@frozen(kw_only=True)
class Ended:
    """What came of the rows of a job, by the value that tells a row from the others."""

    rows: _Rows
    #: Value -> the record's id, of rows that were written.
    done: Mapping[str, str]
    #: Value -> Salesforce's reason, of rows that it refused.
    refused: Mapping[str, str]
    #: What it means for the others.
    untried: SynccoreError

    def of(self, op: Operation) -> str | Problem | SynccoreError:
        """The id of the operation's record, why Salesforce refused it, or why nothing came of it."""
        value = fold(self.rows.values.get(_mark(op), ""))
        if value in self.done:
            return self.done[value]
        return _problem(self.refused[value]) if value in self.refused else self.untried

    def settle(self, row: Row, record_id: str) -> None:
        """Tell a row, shaped anew from its operation, what it was when it was submitted."""
        row.id = record_id
        at = self.rows.noted.get(_mark(row.op))
        for name, value in self.rows.facts[at].items() if at is not None else ():
            if name == "adopted":
                row.adopted = value
            else:
                row.left = dict(value)


class Jobs:
    """The jobs of one sink."""

    def __init__(self, client: Client, context: Context) -> None:
        self._client = client
        self._context = context

    # -- submitting

    def held(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        """Operations whose records are in a job that core may not know of: a kill came before its id was kept.

        The very state is in it: `Submitted`. An older state is in it, and the job still runs: the newer one waits, for
        a job is carried out whenever Salesforce comes to it.
        """
        held: dict[int, Outcome] = {}
        marks = {op.id: _mark(op) for op in operations}
        for job, intent in self._intents():
            records = {_record(m) for m in intent["rows"]}
            theirs = {n: m for n, m in marks.items() if _record(m) in records}
            if theirs:
                held |= self._holds(job, intent, theirs)
        return held

    def _intents(self) -> Iterator[tuple[str, _Intent]]:
        """Jobs with operations that nobody has asked for yet."""
        state = self._context.state()
        for name, _ in list(state.scan(_BEGUN)):
            job = name.removeprefix(_BEGUN)
            if (intent := state.get(_INTENT + job)) is not None:
                yield job, intent

    def _holds(self, job: str, intent: _Intent, marks: Mapping[int, str]) -> dict[int, Outcome]:
        state = self._context.state()
        status = self._begun(job)
        if status is None:
            state.put({_INTENT + job: None})
            return {}
        held: dict[int, Outcome] = {n: Submitted(job) for n, m in marks.items() if m in intent["rows"]}
        newer = {_record(m) for n, m in marks.items() if n not in held}
        if newer and status not in _TERMINAL:
            wait = RateLimited(f"import job {job} holds an older state of it", retry_after=POLL, scope="operation")
            return held | {n: Failed(wait) for n in marks if n not in held}
        if newer:
            rows = {m: value for m, value in intent["rows"].items() if _record(m) not in newer}
            state.put({_INTENT + job: {**intent, "rows": rows} if rows else None})
        return held

    def holding(self, routes: Iterable[str], uids: Collection[str]) -> str | None:
        """A job that may still write one of these records."""
        records = {_record_of(route, uid) for route in routes for uid in uids}
        for job, intent in self._intents():
            if not records.isdisjoint(map(_record, intent["rows"])) and self._runs(job):
                return job
        return None

    def _runs(self, job: str) -> bool:
        status = self._begun(job)
        return status is not None and status not in _TERMINAL

    def _begun(self, job: str) -> str | None:
        """The state of a job that began; None where it never will."""
        try:
            state = self._client.job_state(job).get("state")
            if state == "Open":
                self._client.job_state(job, "Aborted")
                return None
        except Refused:
            return None
        return None if state == "Aborted" else str(state)

    def submit(self, rows: Iterable[Row]) -> dict[int, Outcome]:
        """Hand rows to jobs. Rows that have neither id nor key, and all where the org has no Bulk API, are left out.

        Rows are taken one at a time and kept as lines of files on disk, not in memory.
        """
        files: dict[tuple[str, str, str], _File] = {}
        with ExitStack() as stack:
            for row in rows:
                if row.id is None and row.key is None:
                    continue
                name = (row.object, "update", "Id") if row.id else (row.object, "upsert", row.key[0] if row.key else "")
                if name not in files:
                    files[name] = _File(stack.enter_context(tempfile.TemporaryFile()), column=name[2])
                files[name].add(row)
            outcomes: dict[int, Outcome] = {}
            for (target, operation, column), file in files.items():
                for part in file.parts():
                    outcomes.update(self._submitted(target, operation, column, part))
        return outcomes

    def _submitted(self, name: str, operation: str, column: str, part: "_Part") -> dict[int, Outcome]:
        try:
            with part.file:
                job = self._submit(name, operation, column, part)
        except Refused as error:
            self._context.log.warning("bulk job refused, using collections", code=error.problem.code)
            return {}
        except SynccoreError as error:
            return dict.fromkeys(part.operations, Failed(error))
        return dict.fromkeys(part.operations, Submitted(job))

    def _submit(self, name: str, operation: str, column: str, part: "_Part") -> str:
        job = self._client.job_create(name, operation, column if operation == "upsert" else None)
        intent = {
            "column": column,
            "rows": part.values,
            "facts": part.facts,
            "noted": part.noted,
        }
        state = self._context.state()
        state.put({_INTENT + job: intent, _BEGUN + job: self._context.clock.now().isoformat()})
        try:
            self._client.job_upload(job, part.file)
            self._begin(job)
        except SynccoreError:
            if self._begun(job) is None:
                state.put({_INTENT + job: None})
                raise
        return job

    def _begin(self, job: str) -> None:
        try:
            self._client.job_state(job, "UploadComplete")
        except Transient as error:
            if not error.maybe_applied:
                raise
            # The answer was lost; whether the job began can be asked.
            if self._client.job_state(job).get("state") == "Open":
                self._client.job_state(job, "UploadComplete")

    # -- collecting

    def collect(self, job: Job) -> Ended | None:
        """What came of the job's rows, or None while it runs."""
        try:
            info = self._client.job_state(job.id)
        except Refused as error:
            if error.status != 404:
                raise
            return self._vanished(job)
        if info.get("state") not in _TERMINAL:
            return None
        whole, inside = self._known(job.id)
        rows = self._rows(job, whole, str(info.get("externalIdFieldName") or "Id"))
        done, refused = (
            {
                fold(_cell(r, rows.column)): r.get("sf__Error") or r["sf__Id"]
                for r in self._client.job_rows(job.id, name)
            }
            for name in ("successfulResults/", "failedResults/")
        )
        self._told(job, whole, inside)
        return Ended(rows=rows, done=done, refused=refused, untried=_untried(info))

    def _vanished(self, job: Job) -> Ended:
        error = Transient("Salesforce no longer knows this job", maybe_applied=True, outage=False)
        self._told(job, *self._known(job.id))
        return Ended(rows=_Rows("Id", {}), done={}, refused={}, untried=error)

    def _known(self, job: str) -> tuple[_Intent | None, _Intent | None]:
        """What was submitted with it, and what of that was not asked for yet; None where the state was lost."""
        state = self._context.state()
        inside: _Intent | None = state.get(_INTENT + job)
        return state.get(_ENDED + job) or inside, inside

    @staticmethod
    def _rows(job: Job, whole: _Intent | None, column: str) -> _Rows:
        if whole is not None:
            return _Rows(whole["column"], whole["rows"], whole["facts"], whole.get("noted", {}))
        # What can be told from the operations themselves.
        values = {
            _mark(op): (op.link.remote_id if op.link else "")
            if column == "Id"
            else str(op.fields.get(column) or op.uid)
            for op in job.operations
        }
        return _Rows(column, values)

    def _told(self, job: Job, whole: _Intent | None, inside: _Intent | None) -> None:
        """From now on these operations may be submitted again; all rows are kept in case the outcomes are not.

        The job's other operations are still in it: core was ended before it had written down that they are.
        """
        state = self._context.state()
        now = self._context.clock.now()
        if inside is not None:
            told = {_mark(op) for op in job.operations}
            left = {mark: value for mark, value in inside["rows"].items() if mark not in told}
            state.put({_INTENT + job.id: {**inside, "rows": left} if left else None, _ENDED + job.id: whole})
        for name, at in list(state.scan(_BEGUN)):
            if now - datetime.fromisoformat(at) > _KEPT:
                old = name.removeprefix(_BEGUN)
                state.put({name: None, _INTENT + old: None, _ENDED + old: None})


def _facts(row: Row) -> dict[str, Any] | None:
    """What cannot be told again from the operation once the job has ended: no values, only names and reasons."""
    return {"adopted": row.adopted, "left": row.left} if row.record is not None else None


def _mark(op: Operation) -> str:
    """What this state of this record is remembered by: its record, then its state."""
    return _record_of(op.route, op.uid) + _digest(op.idempotency_key)[:8]


def _record_of(route: str, uid: str) -> str:
    return _digest(f"{route} {uid}")


def _record(mark: str) -> str:
    return mark[:16]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _value(row: Row) -> str:
    """What tells the row from all others in its job."""
    return row.id if row.id is not None else row.key[1] if row.key is not None else ""


def _cell(result: Mapping[str, str], column: str) -> str:
    return result.get(column) or result.get("sf__Id") or ""


def _problem(text: str) -> Problem:
    """`CODE:message:fields --`, as `sf__Error` words it."""
    code, _, rest = text.partition(":")
    message, _, fields = rest.rpartition(":")
    names = fields.replace("--", "").replace(",", " ").split()
    return Problem(code, message or rest, tuple(names))


def _untried(info: Mapping[str, Any]) -> SynccoreError:
    text = str(info.get("errorMessage") or "")
    if text.startswith(_BAD_FILE):
        return Rejected(f"the bulk job failed: {text}")
    return Transient(f"the bulk job ended before this row: {text or info.get('state')}", outage=False)


@frozen(kw_only=True)
class _Part:
    """One file of a job, and whose rows it holds."""

    file: IO[bytes]
    operations: tuple[int, ...]
    values: Mapping[str, str] = field(repr=False)
    facts: Sequence[Mapping[str, Any]]
    noted: Mapping[str, int] = field(repr=False)


class _File:
    """Rows on disk, to be sorted by parent and cut into files of at most the size a job takes."""

    def __init__(self, disk: IO[bytes], *, column: str) -> None:
        self._column = column
        self._names: dict[str, None] = {}
        self._disk = disk
        #: Of each record's latest row: parent, and where its cells are.
        self._rows: dict[str, tuple[str, int, int]] = {}
        #: Record -> its operations and their marks.
        self._mates: dict[str, tuple[tuple[int, str], ...]] = {}
        self._values: dict[str, str] = {}
        #: What was noted (as text), and which of it is a row's.
        self._facts: dict[str, int] = {}
        self._noted: dict[str, int] = {}

    def add(self, row: Row) -> None:
        """Take one row. Of two rows for one record the later wins."""
        cells = {n: csv_cell(v) for n, v in row.fields.items() if n != self._column}
        self._names.update(dict.fromkeys(cells))
        data = json.dumps(cells).encode()
        value, mark = _value(row), _mark(row.op)
        record = fold(value)
        self._rows[record] = (row.parent, self._disk.tell(), len(data))
        self._disk.write(data)
        self._mates[record] = (*self._mates.get(record, ()), (row.op.id, mark))
        self._values[mark] = value
        if noted := _facts(row):
            self._noted[mark] = self._facts.setdefault(json.dumps(noted), len(self._facts))

    def parts(self) -> Iterator[_Part]:
        """The files; rows of one parent stand together. Each is closed by whoever sends it."""
        names = sorted(self._names)
        header = _line([self._column, *names]).encode()
        file, part = _begun(header), list[str]()
        for record, (_, start, length) in sorted(self._rows.items(), key=lambda item: item[1][0]):
            self._disk.seek(start)
            cells = json.loads(self._disk.read(length))
            own = self._values[self._mates[record][-1][1]]
            line = _line([own, *(cells.get(n, "") for n in names)]).encode()
            if part and file.tell() + len(line) > _FILE_BYTES:
                yield self._part(file, part)
                file, part = _begun(header), []
            file.write(line)
            part.append(record)
        if part:
            yield self._part(file, part)

    def _part(self, file: IO[bytes], records: Sequence[str]) -> _Part:
        mates = [mate for record in records for mate in self._mates[record]]
        return _Part(
            file=file,
            operations=tuple(i for i, _ in mates),
            values={d: self._values[d] for _, d in mates},
            facts=[json.loads(text) for text in self._facts],
            noted={d: self._noted[d] for _, d in mates if d in self._noted},
        )


def _begun(header: bytes) -> IO[bytes]:
    file = tempfile.TemporaryFile()  # noqa: SIM115  closed once it is sent
    file.write(header)
    return file


def _line(cells: Sequence[str]) -> str:
    # The standard library's writer leaves a lone carriage return bare.
    return ",".join(_quoted(c) for c in cells) + "\n"


def _quoted(cell: str) -> str:
    doubled = cell.replace('"', '""')
    return f'"{doubled}"' if _SPECIAL.search(cell) else cell
