"""Large backlogs through Bulk API 2.0: jobs that survive a kill, and results told apart by key.

A job's intent (which operation is which row) is stored before Salesforce is told to begin. After a kill in between,
the same operations arrive again: a job that began is then taken up where it is, one that did not is given up.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import frozen

from synccore.errors import Rejected, SynccoreError, Transient
from synccore.types import Context, Delivered, Failed, Job, Operation, Outcome, Submitted

from .client import Client
from .errors import Problem, Refused
from .mapping.record import Row
from .mapping.values import csv_cell
from .match import fold

__all__ = ["Bulk", "Ended"]

_INTENT = "bulk:"
_ENDED = "bulk_ended:"
#: Salesforce forgets ended jobs after seven days.
_KEPT = timedelta(days=8)
#: A job takes 150 MB in base64, which is 100 MB of file with room to spare.
_FILE_BYTES = 90_000_000
_SPECIAL = re.compile(r"[\",\r\n]")
_TERMINAL = ("JobComplete", "Failed", "Aborted")
#: The file itself cannot be used: trying it again would end the same way.
_BAD_FILE = ("InvalidBatch", "InvalidJob", "ClientInputError")


@frozen(kw_only=True)
class Ended:
    """What came of a job: outcomes by operation id, and rows that Salesforce refused, with its reason."""

    outcomes: Mapping[int, Outcome]
    refused: Mapping[int, Problem]


class Bulk:
    """The jobs of one sink."""

    def __init__(self, client: Client, context: Context) -> None:
        self._client = client
        self._context = context

    # -- submitting

    def resume(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        """Operations that a job holds already, because a kill came before its id was kept: Submitted to that job."""
        found: dict[int, Outcome] = {}
        state = self._context.state()
        for name, intent in list(state.scan(_INTENT)):
            mine = [op for op in operations if _digest(op) in intent["rows"]]
            if not mine:
                continue
            job = name.removeprefix(_INTENT)
            if self._began(job):
                found.update({op.id: Submitted(job) for op in mine})
            else:
                state.put({name: None})
        return found

    def _began(self, job: str) -> bool:
        try:
            state = self._client.job_state(job).get("state")
            if state == "Open":
                self._client.job_state(job, "Aborted")
                return False
        except Refused:
            return False
        return state != "Aborted"

    def submit(self, rows: Sequence[Row]) -> dict[int, Outcome]:
        """Hand rows to jobs. Rows that have neither id nor key, and all where the org has no Bulk API, are left out."""
        groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
        for row in rows:
            if row.id is not None:
                groups[row.object, "update", "Id"].append(row)
            elif row.key is not None:
                groups[row.object, "upsert", row.key[0]].append(row)
        outcomes: dict[int, Outcome] = {}
        for (name, operation, column), group in groups.items():
            for part, data in _files(group, column):
                try:
                    job = self._submit(name, operation, column, part, data)
                except Refused as error:
                    self._context.log.warning("bulk job refused, using collections", code=error.problem.code)
                    continue
                except SynccoreError as error:
                    outcomes.update({r.op.id: Failed(error) for r in part})
                    continue
                outcomes.update({r.op.id: Submitted(job) for r in part})
        return outcomes

    def _submit(self, name: str, operation: str, column: str, rows: Sequence[Row], data: str) -> str:
        job = self._client.job_create(name, operation, column if operation == "upsert" else None)
        intent = {
            "column": column,
            "rows": {_digest(r.op): _value(r) for r in rows},
            "at": self._context.clock.now().isoformat(),
        }
        state = self._context.state()
        state.put({_INTENT + job: intent})
        try:
            self._client.job_upload(job, data)
            self._begin(job)
        except SynccoreError:
            if not self._began(job):
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
        """What came of the job's operations, or None while it runs."""
        try:
            info = self._client.job_state(job.id)
        except Refused as error:
            if error.status != 404:
                raise
            return self._vanished(job)
        if info.get("state") not in _TERMINAL:
            return None
        values = self._values(job, str(info.get("externalIdFieldName") or "Id"))
        lists = [self._client.job_rows(job.id, w) for w in ("successfulResults/", "failedResults/")]
        done, failed = ({fold(_cell(r, values.column)): r for r in rows} for rows in lists)
        outcomes: dict[int, Outcome] = {}
        refused: dict[int, Problem] = {}
        for op in job.operations:
            value = fold(values.rows.get(_digest(op), ""))
            if value in done:
                outcomes[op.id] = Delivered(remote_id=done[value]["sf__Id"])
            elif value in failed:
                refused[op.id] = _problem(failed[value]["sf__Error"])
            else:
                outcomes[op.id] = Failed(_untried(info))
        self._settled(job.id)
        return Ended(outcomes=outcomes, refused=refused)

    def _vanished(self, job: Job) -> Ended:
        error = Transient("Salesforce no longer knows this job", maybe_applied=True, outage=False)
        self._settled(job.id)
        return Ended(outcomes={op.id: Failed(error) for op in job.operations}, refused={})

    def _values(self, job: Job, column: str) -> "_Rows":
        state = self._context.state()
        intent = state.get(_INTENT + job.id) or state.get(_ENDED + job.id)
        if intent is not None:
            return _Rows(column=intent["column"], rows=intent["rows"])
        # State was lost: what can be told from the operations themselves.
        rows = {
            _digest(op): (op.link.remote_id if op.link else "")
            if column == "Id"
            else str(op.fields.get(column) or op.uid)
            for op in job.operations
        }
        return _Rows(column=column, rows=rows)

    def _settled(self, job: str) -> None:
        """From now on these operations may be submitted again; the rows are kept in case the outcomes are not."""
        state = self._context.state()
        now = self._context.clock.now()
        if intent := state.get(_INTENT + job):
            state.put({_INTENT + job: None, _ENDED + job: {**intent, "at": now.isoformat()}})
        for name, old in list(state.scan(_ENDED)):
            if now - datetime.fromisoformat(old["at"]) > _KEPT:
                state.put({name: None})


@frozen
class _Rows:
    column: str
    rows: Mapping[str, str]


def _digest(op: Operation) -> str:
    return op.idempotency_key[:24]


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


def _files(rows: Sequence[Row], column: str) -> Iterator[tuple[list[Row], str]]:
    """CSV files of at most the size a job takes, with the rows each holds; rows of one parent stand together."""
    columns = sorted({n for r in rows for n in r.fields if n != column})
    header = _line([column, *columns])
    part: list[Row] = []
    lines: dict[str, str] = {}
    size = 0
    for row in sorted(rows, key=lambda r: r.parent):
        line = _line([_value(row), *(csv_cell(row.fields[n]) if n in row.fields else "" for n in columns)])
        if part and size + len(line.encode()) > _FILE_BYTES:
            yield part, header + "".join(lines.values())
            part, lines, size = [], {}, 0
        # Of two rows for one record the later wins.
        lines[fold(_value(row))] = line
        part.append(row)
        size += len(line.encode())
    if part:
        yield part, header + "".join(lines.values())


def _line(cells: Sequence[str]) -> str:
    # The standard library's writer leaves a lone carriage return bare.
    return ",".join(_quoted(c) for c in cells) + "\n"


def _quoted(cell: str) -> str:
    doubled = cell.replace('"', '""')
    return f'"{doubled}"' if _SPECIAL.search(cell) else cell
