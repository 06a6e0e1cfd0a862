"""The REST API of a make-believe org, strict where the real one is."""

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

from synccore.testing import LoopbackServer, Reply, Request

from .auth import SignIn
from .composite import run_composite
from .jobs import Jobs
from .model import RowRefused, full_id
from .soql import run
from .switches import Switches

__all__ = ["FakeSalesforce"]

_VERSIONS = range(41, 69)
_DATA = re.compile(r"/services/data/v(\d+)\.0/(.*)")


class FakeSalesforce(Switches, LoopbackServer):
    """An org with its login host, both at one loopback address. See `Switches` for what tests may set."""

    def __init__(self, port: int = 0, **org: Any) -> None:
        Switches.__init__(self, **org)
        self.sign_in = SignIn(self)
        self.jobs = Jobs(self)
        self._pages: dict[str, list[dict[str, Any]]] = {}
        LoopbackServer.__init__(self, port)
        # As at the vendor, no two orgs have one id; an org that begins again at its address is the same one.
        self.org.id = full_id("00D", int(self.url.rpartition(":")[2]))

    # -- shortcuts for tests

    def add_field(self, name: str, field: str, **options: Any) -> None:
        """Make a custom field."""
        self.org.add_field(name, field, **options)

    def records(self, name: str) -> list[dict[str, Any]]:
        """The live records of an object, once all is carried out that is due."""
        self.jobs.advance()
        return self.org.records(name)

    def approve(self, url: str) -> str:
        """Play the person who signs in and allows."""
        return self.sign_in.approve(url)

    # -- HTTP

    def handle(self, request: Request) -> Reply:
        """Answer one request."""
        self.jobs.advance()
        if len(request.target) + sum(len(k) + len(v) + 4 for k, v in request.headers.items()) > 16_384:
            return Reply(414, "<html><body>URI Too Long</body></html>")
        if request.path == "/services/oauth2/userinfo" and request.method == "GET":
            return self.with_session(request, self.sign_in.user)
        if request.path.startswith("/services/oauth2/"):
            return self.sign_in.answer(request)
        if request.path.startswith("/id/"):
            return self.with_session(request, lambda: Reply(200, {"organization_id": self.org.id}))
        if request.path.rstrip("/") == "/services/data":
            found = [{"label": f"v{v}", "url": f"/services/data/v{v}.0", "version": f"{v}.0"} for v in _VERSIONS]
            return Reply(200, found)
        return self.with_session(request, lambda: self._data(request))

    def with_session(self, request: Request, serve: Callable[[], Reply]) -> Reply:
        """Serve with a working session, count the call, say what is used."""
        bulk = "/jobs/" in request.path
        if not self.sign_in.use(request):
            if bulk:
                return _error(400, "InvalidSessionId", "Invalid session id")
            return _error(401, "INVALID_SESSION_ID", "Session expired or invalid")
        if not self.api_enabled:
            return _error(403, "API_DISABLED_FOR_ORG", "API is not enabled for this Organization or Partner")
        used = {"Sforce-Limit-Info": f"api-usage={self.calls_used}/{self.call_limit}"}
        if self.calls_used >= self.call_limit:
            return _error(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", headers=used)
        self.calls_used += 1
        used = {"Sforce-Limit-Info": f"api-usage={self.calls_used}/{self.call_limit}"}
        try:
            reply = serve()
        except RowRefused as error:
            reply = self._refused(error)
        except ValueError:
            reply = _error(400, "JSON_PARSER_ERROR", "The HTTP entity body is not readable")
        return Reply(reply.status, reply.body, {**used, **reply.headers})

    def _refused(self, error: RowRefused) -> Reply:
        extra = error.extra.get("duplicates", {})
        if several := error.extra.get("several"):
            return Reply(300, [f"/services/data/v67.0/sobjects/X/{i}" for i in several])
        status = 404 if error.code in ("NOT_FOUND", "ENTITY_IS_DELETED") else 400
        return Reply(status, [{"errorCode": error.code, "message": error.message, "fields": error.fields, **extra}])

    def _data(self, request: Request) -> Reply:
        found = _DATA.fullmatch(request.path)
        if found is None:
            return _error(404, "NOT_FOUND", "The requested resource does not exist")
        version, rest = int(found[1]), found[2]
        if version <= 30:
            return _error(410, "UNSUPPORTED_API_VERSION", "this version is retired")
        if version not in _VERSIONS:
            return _error(404, "NOT_FOUND", "The requested resource does not exist")
        # Encoded slashes are part of a key, so the wire's own spelling is split.
        parts = [unquote(p) for p in request.target.split("?")[0].split(f"/v{version}.0/", 1)[1].split("/")]
        served = {
            "limits": self._limits,
            "query": self._query,
            "queryAll": self._query,
            "sobjects": self._sobjects,
            "composite": self._composite,
            "jobs": self.jobs.answer,
        }.get(parts[0])
        return served(request, parts) if served else _error(404, "NOT_FOUND", f"no resource {rest}")

    def _limits(self, _: Request, __: list[str]) -> Reply:
        remaining = self.call_limit - self.calls_used
        return Reply(200, {"DailyApiRequests": {"Max": self.call_limit, "Remaining": remaining}})

    def _query(self, request: Request, parts: list[str]) -> Reply:
        if self.longest_query is not None and len(request.target) > self.longest_query:
            return _error(414, "URI_TOO_LONG", "the address is too long")
        if len(parts) > 1:
            rows = self._pages.pop(parts[1], None)
            if rows is None:
                return _error(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        else:
            soql = request.param("q")
            if not soql:
                return _error(400, "MALFORMED_QUERY", "no query")
            rows = run(self.org, soql, deleted=parts[0] == "queryAll")
        page, rest = rows[: self.page_size], rows[self.page_size :]
        body: dict[str, Any] = {"totalSize": len(rows), "done": not rest, "records": page}
        if rest:
            locator = f"01g5e{len(self._pages):013d}-{len(rest)}"
            self._pages[locator] = rest
            root = request.path.split("/query")[0]
            body["nextRecordsUrl"] = f"{root}/query/{locator}"
        return Reply(200, body)

    # -- single records

    def _sobjects(self, request: Request, parts: list[str]) -> Reply:
        name = parts[1] if len(parts) > 1 else ""
        kind = self.org.object(name)
        if parts[2:] == ["describe"] and request.method == "GET":
            fields = kind.describe_fields(dependencies=self.dependencies_described)
            return Reply(
                200,
                {
                    "name": kind.name, "label": kind.name, "keyPrefix": kind.prefix, "createable": True,
                    "updateable": True, "fields": fields, "recordTypeInfos": [],
                },
            )  # fmt: skip
        if len(parts) == 2 and request.method == "POST":
            saved = self._save(request, name, request.json())
            return Reply(201, {"id": saved["id"], "success": True, "errors": []})
        if len(parts) == 3:
            return self._by_id(request, name, parts[2])
        if len(parts) == 4 and request.method == "PATCH" and parts[3]:
            body = request.json()
            if {"Id", "id", parts[2]} & set(body):
                return _error(400, "INVALID_FIELD", "The key may not be in the body", [parts[2]])
            saved = self._save(request, name, body, key=(parts[2], parts[3]))
            created = saved["created"]
            return Reply(201 if created else 200, {**saved, "success": True, "errors": []})
        return _error(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{request.method}' not allowed")

    def _by_id(self, request: Request, name: str, record_id: str) -> Reply:
        if request.method == "PATCH":
            self._save(request, name, request.json(), record_id=record_id)
            return Reply(204)
        if request.method == "DELETE":
            self.org.remove(name, record_id)
            return Reply(204)
        record = self.org.object(name).records.get(record_id)
        if request.method == "GET" and record is not None and not record.get("IsDeleted"):
            return Reply(200, record)
        return _error(404 if request.method == "GET" else 405, "NOT_FOUND", "The requested resource does not exist")

    def _save(self, request: Request, name: str, fields: Mapping[str, Any], **how: Any) -> dict[str, Any]:
        header = request.headers.get("sforce-duplicate-rule-header", "")
        clean = {n: v for n, v in fields.items() if n != "attributes"}
        return self.org.save(name, clean, allow_duplicates="allowSave=true" in header.replace(" ", ""), **how)

    # -- collections

    def _composite(self, request: Request, parts: list[str]) -> Reply:
        if len(parts) == 1 and request.method == "POST" and self.composite:
            return run_composite(request, self._data)
        if parts[1:2] != ["sobjects"]:
            return _error(404, "NOT_FOUND", "The requested resource does not exist")
        if request.method == "DELETE":
            return self._delete_many((request.param("ids") or "").split(","))
        body = request.json()
        records = body.get("records") if isinstance(body, dict) else None
        if not isinstance(records, list) or not records:
            return _error(400, "JSON_PARSER_ERROR", "records are missing")
        if len(records) > 200:
            return _error(400, "LIMIT_EXCEEDED", f"record limit reached, maximum is 200, got {len(records)}")
        if request.method == "POST" and len(parts) == 2:
            self._count_runs(records)
            return self._each(request, records, lambda r: {})
        if request.method == "PATCH" and len(parts) == 2:
            self._count_runs(records)
            return self._each(request, records, lambda r: {"record_id": r.get("id") or r.get("Id")})
        if request.method == "PATCH" and len(parts) == 4:
            return self._upsert_many(request, records, parts[2], parts[3])
        return _error(405, "METHOD_NOT_ALLOWED", "HTTP Method not allowed")

    @staticmethod
    def _count_runs(records: list[dict[str, Any]]) -> None:
        kinds = [r.get("attributes", {}).get("type") for r in records]
        if None in kinds:
            raise RowRefused("INVALID_INPUT", "attributes.type is missing")
        runs = 1 + sum(a != b for a, b in pairwise(kinds))
        if runs > 10:
            raise RowRefused("LIMIT_EXCEEDED", "more than 10 runs of types")

    def _upsert_many(self, request: Request, records: list[dict[str, Any]], name: str, key: str) -> Reply:
        kind = self.org.object(name)
        target = kind.find(key)
        if target is None or not target.external_id:
            raise RowRefused("NOT_FOUND", "Provided external ID field does not exist or is not accessible: " + key)
        if any(r.get("attributes", {}).get("type", name) != name for r in records):
            raise RowRefused("INVALID_INPUT", "all records are of one type")
        values = [str(r.get(target.name, "")).casefold() for r in records]
        twice = {v for v in values if v and values.count(v) > 1} if len(set(values)) < len(values) else set()

        def how(record: dict[str, Any]) -> dict[str, Any]:
            value = record.pop(target.name, None)
            if "id" in record or "Id" in record:
                raise RowRefused("INVALID_FIELD", "id is not allowed here", ["Id"])
            if str(value).casefold() in twice:
                raise RowRefused("DUPLICATE_VALUE", f"Duplicate external id specified: {value}", [target.name])
            return {"key": (target.name, value)}

        return self._each(request, records, how, created=True)

    def _each(
        self,
        request: Request,
        records: list[dict[str, Any]],
        how: Callable[[dict[str, Any]], dict[str, Any]],
        *,
        created: bool = False,
    ) -> Reply:
        for record in records:
            name = record.get("attributes", {}).get("type", "")
            if name not in self.org.objects or self.org.objects[name].hidden:
                raise RowRefused("INVALID_TYPE", f"sObject type '{name}' is not supported.")
            # A column or a value that cannot be read spoils the whole request, before any row is saved.
            self._readable(record)
        results: list[dict[str, Any]] = []
        for record in records:
            try:
                options = how(record)
                fields = {n: v for n, v in record.items() if n not in ("id", "Id")}
                saved = self._save(request, record["attributes"]["type"], fields, **options)
            except RowRefused as error:
                extra = {} if self.terse_rows else error.extra.get("duplicates", {})
                problem = {"statusCode": error.code, "message": error.message, "fields": error.fields, **extra}
                results.append({"success": False, "errors": [problem]})
            else:
                result = {"id": saved["id"], "success": True, "errors": []}
                results.append({**result, "created": saved["created"]} if created else result)
        return Reply(200, results)

    def _readable(self, record: dict[str, Any]) -> None:
        kind = self.org.object(record["attributes"]["type"])
        for name, value in record.items():
            if name in ("attributes", "id", "Id"):
                continue
            try:
                if isinstance(value, Mapping):
                    self.org._reference(kind, name, value, {})  # noqa: SLF001  the same package's rules
                elif (target := kind.find(name)) is None:
                    raise RowRefused(
                        "INVALID_FIELD",
                        f"No such column '{name}' on sobject of type {kind.name}",
                        extra={"request": True},
                    )
                else:
                    self.org._value(kind, target, value)  # noqa: SLF001
            except RowRefused as error:
                if error.extra.get("request"):
                    raise

    def _delete_many(self, ids: list[str]) -> Reply:
        if len(ids) > 200:
            return _error(400, "LIMIT_EXCEEDED", "record limit reached, maximum is 200")
        results: list[dict[str, Any]] = []
        for record_id in ids:
            kind = next((o for o in self.org.objects.values() if record_id.startswith(o.prefix)), None)
            try:
                if kind is None:
                    raise RowRefused("MALFORMED_ID", "id value malformed")
                self.org.remove(kind.name, record_id)
            except RowRefused as error:
                problem = {"statusCode": error.code, "message": error.message, "fields": []}
                results.append({"id": record_id, "success": False, "errors": [problem]})
            else:
                results.append({"id": record_id, "success": True, "errors": []})
        return Reply(200, results)


def _error(status: int, code: str, message: str, fields: list[str] | None = None, **options: Any) -> Reply:
    body = {"errorCode": code, "message": message}
    return Reply(status, [body | ({"fields": fields} if fields else {})], options.get("headers") or {})
