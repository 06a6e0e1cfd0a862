"""Bulk API 2.0 ingest jobs of a make-believe org."""

import csv
import io
import random
from collections.abc import Mapping
from typing import Any

from synccore.testing import Reply, Request

from .model import ObjectDef, RowRefused
from .switches import Switches

__all__ = ["Jobs"]

_RUNNING = ("UploadComplete", "InProgress")
_NUMBERS = ("double", "currency", "percent", "int")


class Jobs:
    """All jobs, and how they may misbehave.

    Attributes:
        unprocessed: how many rows of the next job are never tried.
        fail: message with which the next job ends as Failed after `unprocessed` is taken off.
    """

    def __init__(self, server: Switches) -> None:
        self._server = server
        self._random = random.Random(7)  # noqa: S311
        self.jobs: dict[str, dict[str, Any]] = {}
        self.unprocessed = 0
        self.fail: str | None = None

    def advance(self) -> None:
        """Carry out the jobs whose time has come, in the order in which they began."""
        if self._server.job_time is None:
            return
        running = [job for job in self.jobs.values() if job["state"] in _RUNNING]
        for job in sorted(running, key=lambda job: job["begun"]):
            if job["begun"] + self._server.job_time <= self._server.org.now():
                self._process(job)

    def answer(self, request: Request, parts: list[str]) -> Reply:
        """Serve `jobs/ingest...`."""
        if parts[1:2] != ["ingest"]:
            return _error(404, "NOT_FOUND", "no such resource")
        if len(parts) == 2:
            return self._create(request.json()) if request.method == "POST" else _error(405, "METHOD_NOT_ALLOWED", "")
        job = self.jobs.get(parts[2])
        if job is None:
            return _error(404, "NOT_FOUND", "The requested resource does not exist")
        what = "/".join(parts[3:])
        if request.method == "PUT" and what == "batches":
            return self._upload(job, request)
        if request.method == "PATCH" and not what:
            return self._move(job, request.json())
        if request.method == "GET" and not what:
            return self._look(job)
        if request.method == "GET" and what in ("successfulResults/", "failedResults/", "unprocessedrecords/"):
            if job["state"] not in ("JobComplete", "Failed", "Aborted"):
                return _error(400, "INVALIDJOBSTATE", "the job has not ended")
            return Reply(200, _csv(job["results"][what]).encode(), {"Content-Type": "text/csv"})
        return _error(404, "NOT_FOUND", "The requested resource does not exist")

    def _create(self, spec: Mapping[str, Any]) -> Reply:
        kind = self._server.org.object(str(spec.get("object")))
        operation = spec.get("operation")
        if operation not in ("insert", "update", "upsert", "delete"):
            return _error(400, "INVALIDJOB", f"operation {operation} is not supported")
        key = spec.get("externalIdFieldName")
        if operation == "upsert" and (not key or not (found := kind.find(key)) or not found.external_id):
            return _error(400, "INVALIDJOB", f"InvalidJob : Field name not found or no external id : {key}")
        job_id = f"7505e{len(self.jobs):010d}AAA"
        job = {
            "id": job_id, "object": kind.name, "operation": operation, "externalIdFieldName": key, "state": "Open",
            "contentUrl": f"services/data/v67.0/jobs/ingest/{job_id}/batches", "data": None, "polls": 0,
            "numberRecordsProcessed": 0, "numberRecordsFailed": 0,
        }  # fmt: skip
        self.jobs[job_id] = job
        return Reply(200, _shown(job))

    def _upload(self, job: dict[str, Any], request: Request) -> Reply:
        if not request.headers.get("content-type", "").startswith("text/csv"):
            return _error(400, "INVALIDBATCH", "the content is text/csv")
        if job["state"] != "Open" or job["data"] is not None:
            return _error(400, "INVALIDJOBSTATE", "the job takes no more data")
        if len(request.body) > 100_000_000:
            return _error(413, "REQUEST_TOO_LARGE", "more than 100 MB")
        job["data"] = request.body.decode()
        return Reply(201)

    def _move(self, job: dict[str, Any], change: Mapping[str, Any]) -> Reply:
        state = change.get("state")
        if job["state"] != "Open" or state not in ("UploadComplete", "Aborted"):
            return _error(400, "INVALIDJOBSTATE", f"a job that is {job['state']} does not become {state}")
        job["state"], job["begun"] = state, self._server.org.now()
        if state == "Aborted":
            job["results"] = {w: [] for w in ("successfulResults/", "failedResults/", "unprocessedrecords/")}
        return Reply(200, _shown(job))

    def _look(self, job: dict[str, Any]) -> Reply:
        if job["state"] in _RUNNING:
            job["polls"] += 1
            job["state"] = "InProgress"
            if self._server.job_time is None and job["polls"] > self._server.job_polls:
                self._process(job)
        return Reply(200, _shown(job))

    def _process(self, job: dict[str, Any]) -> None:
        kind = self._server.org.object(job["object"])
        reader = csv.DictReader(io.StringIO(job["data"] or "", newline=""))
        rows = list(reader)
        job["state"] = "JobComplete"
        results: dict[str, list[dict[str, str]]] = {"successfulResults/": [], "failedResults/": []}
        unknown = [c for c in reader.fieldnames or () if c != "Id" and "." not in c and kind.find(c) is None]
        if unknown:
            job.update(state="Failed", errorMessage=f"InvalidBatch : Field name not found : {unknown[0]}")
            tried, untried = [], rows
        else:
            cut = len(rows) - self.unprocessed
            tried, untried = rows[:cut], rows[cut:]
            if self.fail:
                job.update(state="Failed", errorMessage=self.fail)
        self.unprocessed, self.fail = 0, None
        for row in tried:
            try:
                saved = self._save(kind, job, row)
            except RowRefused as error:
                text = f"{error.code}:{error.message}:{' '.join(error.fields)} --"
                results["failedResults/"].append({"sf__Id": row.get("Id", ""), "sf__Error": text, **row})
            else:
                results["successfulResults/"].append(
                    {"sf__Id": saved["id"], "sf__Created": str(saved["created"]).lower(), **row}
                )
        results["unprocessedrecords/"] = untried
        for found in results.values():
            self._random.shuffle(found)
        job["results"] = results
        job["numberRecordsProcessed"] = len(tried)
        job["numberRecordsFailed"] = len(results["failedResults/"])

    def _save(self, kind: ObjectDef, job: Mapping[str, Any], row: Mapping[str, str]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for name, cell in row.items():
            if name == "Id" or cell == "":
                continue
            relation, dot, key = name.partition(".")
            if dot:
                fields[relation] = {key: cell}
            else:
                fields[name] = _value(kind, name, cell)
        how: dict[str, Any] = {}
        if job["operation"] == "update":
            how["record_id"] = row.get("Id", "")
        elif job["operation"] == "upsert":
            key = str(job["externalIdFieldName"])
            how["key"] = (key, fields.pop(key, None))
        # The duplicate rule header has no effect here.
        return self._server.org.save(kind.name, fields, **how)


def _value(kind: ObjectDef, name: str, cell: str) -> Any:
    if cell == "#N/A":
        return None
    target = kind.find(name)
    if target is None:
        raise RowRefused("INVALID_FIELD", f"No such column '{name}'")
    if target.type == "boolean":
        if cell.lower() not in ("true", "false"):
            raise RowRefused("INVALID_TYPE_ON_FIELD_IN_RECORD", f"{name}: value not of required type: {cell}", [name])
        return cell.lower() == "true"
    if target.type in _NUMBERS:
        try:
            return float(cell)
        except ValueError:
            raise RowRefused(
                "INVALID_TYPE_ON_FIELD_IN_RECORD", f"{name}: value not of required type: {cell}", [name]
            ) from None
    return cell


def _shown(job: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in job.items() if k not in ("data", "results", "polls", "begun") and v is not None}


def _csv(rows: list[dict[str, str]]) -> str:
    if not rows:
        return ""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _error(status: int, code: str, message: str) -> Reply:
    return Reply(status, [{"errorCode": code, "message": message}])
