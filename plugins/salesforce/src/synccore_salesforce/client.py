"""The Salesforce REST API and Bulk API 2.0. Knows HTTP, nothing of operations or the outbox.

Every call goes to the `instance_url` of the newest token. A 401 makes one new token and one replay, with the same
headers and body; a second 401 is an AuthError.
"""

import io
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import IO, Any, TypeVar
from urllib.parse import quote

from attrs import field, frozen

from synccore.errors import AuthError, ConfigError, RateLimited, Rejected, SynccoreError, Transient
from synccore.http import Client as Http
from synccore.http import Response, Shape, target_fault
from synccore.oauth import OAuth, Tokens
from synccore.types import Context

from . import shapes
from .answers import part_response, problems_in, results_in, rows_in
from .config import is_safe_url
from .errors import Problem, Refused, error_of
from .limits import Governor

__all__ = ["Client", "Save", "chunked", "literal", "org_of", "user_of"]

T = TypeVar("T")

#: Records in one sObject Collections request (REST guide, "sObject Collections").
COLLECTION = 200
#: Address and headers together may have 16,384 bytes; a session's token is part of them.
_URL_CHARS = 12_000
#: The longest statement is 100,000 characters; a long one travels in a body, by the composite resource.
_SOQL_CHARS = 90_000
#: Values in one list: few, as long as five queries hold all of them.
_IN_VALUES, _MOST_IN_VALUES = 200, 1000
#: Queries and collections in one composite request (REST guide, "Composite").
_PARTS = 5
#: May stand in an address as they are, which keeps it short; "+" may not.
_BARE = "'(),@:*=!"
_JOB_TIMEOUT = timedelta(seconds=300)
#: Bytes: the results of a job hold every cell that was sent.
_JOB_LARGEST = 200_000_000
_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f", '"': '\\"'}


def org_of(tokens: Tokens) -> str | None:
    """The org id in a token answer's `id` (`https://HOST/id/ORG/USER`)."""
    parts = str(tokens.extra.get("id") or "").rstrip("/").split("/")
    return parts[-2] if len(parts) >= 3 and parts[-3] == "id" else None


def user_of(tokens: Tokens) -> str | None:
    """The user id in a token answer's `id`, None where it is none."""
    last = str(tokens.extra.get("id") or "").rstrip("/").rsplit("/", maxsplit=1)[-1]
    return last if org_of(tokens) and last.isalnum() else None


def literal(value: Any) -> str:
    """A value as SOQL writes it: texts quoted and escaped, numbers and booleans bare."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return "'" + "".join(_ESCAPES.get(c, c) for c in str(value)) + "'"


def chunked(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size` items, in order."""
    chunk: list[T] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


@frozen(kw_only=True)
class Save:
    """One collection to write: at most 200 records, for an upsert all of one object."""

    method: str
    path: str
    records: Sequence[Mapping[str, Any]] = field(repr=False)
    headers: Mapping[str, str] = field(factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        """As JSON."""
        return {"allOrNone": False, "records": list(self.records)}


#: Statuses that the way to Salesforce has, not Salesforce: its own limits are a 403 REQUEST_LIMIT_EXCEEDED.
_NOT_SALESFORCE = (408, 421, 425, 429)


class Client:
    """One org, one user. Safe to share between threads.

    Every method may raise AuthError, RateLimited, Transient and ConfigError as `error_of` says, and Refused where
    Salesforce turns the request down.
    """

    def __init__(self, context: Context, oauth: OAuth, governor: Governor, version: str) -> None:
        self._context = context
        self._oauth = oauth
        self.governor = governor
        self._base = f"/services/data/v{version}"
        self._http = Http(context, timeout=timedelta(seconds=120))
        self._unrouted = 0
        #: None until tried; some proxies and users have no composite resource.
        self._composes: bool | None = None
        #: False once a query was too long even inside the body of a composite request.
        self._takes_long = True

    def close(self) -> None:
        """Close the connection pools."""
        self._http.close()
        self._oauth.close()

    @property
    def user(self) -> str | None:
        """Id of the user the session is for, where the token answer told it."""
        return user_of(self._oauth.valid())

    # -- one request

    def call(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **options: Any) -> Response:
        """Send one request with a session and give the answer, which is a 2xx or 300.

        `path` beginning with `/services/` is taken as it is, else it is below the version's root.
        """
        tokens = self._oauth.valid()
        answer = self._send(method, path, tokens, headers, options)
        if self._session_over(answer):
            tokens = self._oauth.valid(rejected=tokens.access_token)
            answer = self._send(method, path, tokens, headers, options)
        if answer.ok or answer.status == 300:
            self._unrouted = 0
            self.governor.accepted()
            return answer
        raise self._failure(method, path, answer)

    def _send(
        self,
        method: str,
        path: str,
        tokens: Tokens,
        headers: Mapping[str, str] | None,
        options: Mapping[str, Any],
    ) -> Response:
        instance = str(tokens.extra.get("instance_url") or "").rstrip("/")
        if not is_safe_url(instance):
            raise AuthError(
                "the token came without a usable instance_url (is the scope api granted?): "
                f"run synccore connect {self._context.name}"
            )
        url = instance + (path if path.startswith("/services/") else f"{self._base}/{path}")
        sent = {**(headers or {}), "Authorization": f"Bearer {tokens.access_token}"}
        answer = self._http.request(method, url, headers=sent, **options)
        self.governor.observe(answer.headers.get("sforce-limit-info"))
        return answer

    @staticmethod
    def _session_over(answer: Response) -> bool:
        if answer.status == 401:
            return True
        # Bulk API words the same with another status and spelling.
        return answer.status == 400 and any(p.code == "InvalidSessionId" for p in problems_in(answer))

    def _failure(self, method: str, path: str, answer: Response) -> Exception:
        problems = problems_in(answer)
        problem = problems[0] if problems else Problem(f"HTTP {answer.status}", answer.excerpt())
        if answer.status == 420:
            # "Edge has no route": an org that is being moved, or a host that is none.
            self._unrouted += 1
            if self._unrouted > 3:
                return ConfigError(
                    "Salesforce has no route to this org (HTTP 420): check environment and login_url, connect again"
                )
            return Transient(problem.text)
        self._unrouted = 0
        if answer.status in (301, 302, 307, 308):
            return ConfigError(
                f"{path.split('?', maxsplit=1)[0]} is elsewhere (HTTP {answer.status}): wrong host for this org?"
            )
        # Without a word of Salesforce's own it is something in between: a proxy, a firewall. So is what Salesforce does
        # not answer, whatever words come with it.
        between = not problems or answer.status in _NOT_SALESFORCE
        if between and (fault := target_fault(answer, self._context.clock.now(), writes=method != "GET")):
            return fault
        if not problems and answer.status == 403:
            return Transient(problem.text)
        error = error_of(problem, answer.status, write=method != "GET")
        if isinstance(error, RateLimited) and "concurrent" not in problem.message.lower():
            error.retry_after = self.governor.refused()
        return error

    # -- the org

    def versions(self) -> list[dict[str, Any]]:
        """What versions the instance serves: `[{"label", "url", "version"}]`."""
        found = self.call("GET", "/services/data/").json()
        return [version for version in found if isinstance(version, dict)] if isinstance(found, list) else []

    def limits(self) -> Mapping[str, Any]:
        """`{"DailyApiRequests": {"Max", "Remaining"}, ...}`; teaches the governor too."""
        found: dict[str, Any] = self.call("GET", "limits").json_as(shapes.LIMITS)
        daily = found.get("DailyApiRequests", {})
        if daily.get("Max"):
            used = daily["Max"] - daily.get("Remaining", 0)
            self.governor.observe(f"api-usage={used}/{daily['Max']}")
        return found

    def userinfo(self) -> Mapping[str, Any]:
        """Who we are."""
        found: dict[str, Any] = self.call("GET", "/services/oauth2/userinfo").json_as(shapes.USER)
        return found

    def describe(self, name: str) -> Mapping[str, Any]:
        """An object as the connected user may see it. Refused with 404 where there is none."""
        found: dict[str, Any] = self.call("GET", f"sobjects/{quote(name, safe='')}/describe").json_as(shapes.DESCRIBED)
        return found

    # -- reading

    def query(self, columns: Sequence[str], of: str) -> Iterator[dict[str, Any]]:
        """The records of a statement, `SELECT columns FROM of`, all pages."""
        soql = f"SELECT {','.join(columns)} FROM {of}"  # noqa: S608  not SQL
        yield from self._listing("query?q=" + quote(soql, safe=_BARE), shapes.page_of(tuple(columns)))

    def _listing(self, path: str, shape: Shape) -> Iterator[dict[str, Any]]:
        while path:
            page = self.call("GET", path).json_as(shape)
            yield from page["records"]
            # Holds the version already; pages may be short, only its absence ends the listing.
            path = page.get("nextRecordsUrl", "")

    def select(
        self,
        columns: Sequence[str],
        name: str,
        key: str,
        values: Iterable[Any],
        *,
        where: str = "",
        deleted: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Records of object `name` whose field `key` is one of `values`, in as few calls as can be.

        `deleted` sees the Recycle Bin and merged records too.
        """
        columns = tuple(dict.fromkeys(columns))
        shape = shapes.page_of(columns, key)
        head = f"SELECT {','.join(columns)} FROM {name} WHERE {key} IN ("  # noqa: S608  not SQL
        tail = ")" + (f" AND {where}" if where else "")
        texts = [literal(v) for v in dict.fromkeys(values)]
        what = "queryAll" if deleted else "query"

        def statements(room: int, most: int, size: Callable[[str], int]) -> list[str]:
            return [head + ",".join(part) + tail for part in _parts(texts, room - size(head + tail), most, size)]

        count = min(max(_IN_VALUES, -(-len(texts) // _PARTS)), _MOST_IN_VALUES)
        found = statements(_SOQL_CHARS, count, len) if self._takes_long else []
        short = len(found) == 1 and _in_address(found[0]) <= _URL_CHARS
        pieces = found if short else statements(_URL_CHARS, _IN_VALUES, _in_address)
        for these in (found, pieces):
            if len(these) > 1 or (these and not short):
                pages = self._query_parts([f"{what}?q={quote(s, safe=_BARE)}" for s in these], shape)
                if pages is not None:
                    yield from pages
                    return
        for statement in pieces:
            yield from self._listing(f"{what}?q={quote(statement, safe=_BARE)}", shape)

    def _query_parts(self, paths: Sequence[str], shape: Shape) -> Iterator[dict[str, Any]] | None:
        """The records of several queries, five to a call; None where the org has no composite resource."""
        first = self._compose([("GET", p, None, {}) for p in paths[:_PARTS]]) if self._composes is not False else None
        if first is None or any(a.status in (414, 431) for a in first):
            # Too long even inside a body: in shorter pieces, then, from now on.
            self._takes_long = first is None and self._takes_long
            return None

        def rest() -> Iterator[dict[str, Any]]:
            yield from self._pages(first, shape)
            for part in chunked(paths[_PARTS:], _PARTS):
                yield from self._pages(self._compose([("GET", p, None, {}) for p in part]) or (), shape)

        return rest()

    def _pages(self, answers: Iterable[Response], shape: Shape) -> Iterator[dict[str, Any]]:
        for answer in answers:
            if not answer.ok:
                raise self._failure("GET", "query", answer)
            page = answer.json_as(shape)
            yield from page["records"]
            if more := page.get("nextRecordsUrl"):
                yield from self._listing(more, shape)

    def _compose(
        self, parts: Sequence[tuple[str, str, Mapping[str, Any] | None, Mapping[str, str]]]
    ) -> list[Response] | None:
        """Several requests (method, path, body, headers) in one call; None where there is no composite resource."""
        wanted = [
            {"method": method, "url": f"{self._base}/{path}", "referenceId": f"part{n}"}
            | ({"body": body} if body is not None else {})
            | ({"httpHeaders": dict(headers)} if headers else {})
            for n, (method, path, body, headers) in enumerate(parts)
        ]
        spec = {"allOrNone": False, "collateSubrequests": False, "compositeRequest": wanted}
        writes = any(method != "GET" for method, *_ in parts)
        try:
            answer = self.call("POST", "composite", json=spec)
        except Refused as error:
            if self._composes is None and error.status in (400, 403, 404, 405):
                # Nothing of it was carried out: one by one, then.
                self._composes = False
                return None
            raise
        self._composes = True
        by_name = {a["referenceId"]: a for a in answer.json_as(shapes.PARTS, wrote=writes)["compositeResponse"]}
        if len(by_name) != len(wanted) or any(f"part{n}" not in by_name for n in range(len(wanted))):
            raise Transient(f"{len(wanted)} requests were sent, {len(by_name)} answered", maybe_applied=writes)
        return [part_response(by_name[f"part{n}"]) for n in range(len(wanted))]

    # -- writing

    def create(self, records: Sequence[Mapping[str, Any]], headers: Mapping[str, str]) -> list[dict[str, Any]]:
        """Create up to 200 records (each with `attributes.type`); one result each, in order."""
        return self._collection("POST", "composite/sobjects", records, headers)

    def update(self, records: Sequence[Mapping[str, Any]], headers: Mapping[str, str]) -> list[dict[str, Any]]:
        """Update up to 200 records (each with `attributes.type` and `id`); one result each, in order."""
        return self._collection("PATCH", "composite/sobjects", records, headers)

    def upsert(
        self, name: str, key: str, records: Sequence[Mapping[str, Any]], headers: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        """Create or update up to 200 records of one object by an external id; one result each, in order."""
        return self._collection("PATCH", f"composite/sobjects/{name}/{key}", records, headers)

    def delete(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Move up to 200 records to the Recycle Bin; one result each, in order."""
        answer = self.call("DELETE", f"composite/sobjects?ids={','.join(ids)}&allOrNone=false")
        return results_in(answer, len(ids))

    def save(self, saves: Sequence[Save]) -> list[list[dict[str, Any]] | Exception]:
        """Write several collections (five at most) in one call; per collection its results, or why it was refused."""
        if len(saves) > 1 and self._composes is not False:
            parts = [(s.method, s.path, s.body, s.headers) for s in saves]
            answers = self._compose(parts)
            if answers is not None:
                return [self._ended(s, a) for s, a in zip(saves, answers, strict=True)]
        found: list[list[dict[str, Any]] | Exception] = []
        stop: SynccoreError | None = None
        for one in saves:
            try:
                found.append(stop or self._collection(one.method, one.path, one.records, one.headers))
            except Refused as error:
                found.append(error)
            except SynccoreError as error:
                found.append(error)
                # Those that follow were never sent.
                stop = error.unsent() if isinstance(error, Transient) else error
        return found

    def _ended(self, save: Save, answer: Response) -> list[dict[str, Any]] | Exception:
        """What came of one of several collections."""
        if not answer.ok:
            return self._failure(save.method, save.path, answer)
        try:
            return results_in(answer, len(save.records))
        except Transient as error:
            return error

    def _collection(
        self, method: str, path: str, records: Sequence[Mapping[str, Any]], headers: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        body = {"allOrNone": False, "records": list(records)}
        return results_in(self.call(method, path, json=body, headers=headers), len(records))

    def change(self, name: str, record_id: str, fields: Mapping[str, Any]) -> None:
        """Change one record. Raises Refused."""
        self._silent("PATCH", f"sobjects/{name}/{record_id}", json=fields)

    def remove(self, name: str, record_id: str) -> None:
        """Move one record to the Recycle Bin. Raises Refused."""
        self._silent("DELETE", f"sobjects/{name}/{record_id}")

    def _silent(self, method: str, path: str, **options: Any) -> None:
        """What Salesforce answers with 204 and no word: whatever else comes with a 200 is not its own."""
        answer = self.call(method, path, **options)
        if answer.status != 204 or answer.body:
            text = f"HTTP {answer.status} with another answer than Salesforce gives: {answer.structure()}"
            raise Transient(text, maybe_applied=True)

    def save_one(
        self, name: str, key: tuple[str, str] | None, fields: Mapping[str, Any], headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """Create (or upsert by `key`) one record: slower than a collection, but refusals carry more detail.

        Raises Refused, also for a key that several records hold: then `duplicates` of its problem names them.
        """
        if key is None:
            answer = self.call("POST", f"sobjects/{name}", json=fields, headers=headers)
        else:
            field, value = key
            if not value:
                # Salesforce answers 405 to an address that ends in a slash.
                raise Rejected(f"{field} is empty and cannot be a key", fields=[field])
            target = f"sobjects/{name}/{field}/{quote(value, safe='').replace('.', '%2E')}"
            answer = self.call("PATCH", target, json=fields, headers=headers)
        if answer.status == 300:
            ids = tuple(url.rsplit("/", 1)[-1] for url in answer.json_as(shapes.HOLDERS))
            raise Refused(Problem("300", "several records hold this key", (key[0],) if key else (), ids), 300)
        result: dict[str, Any] = answer.json_as(shapes.SAVED, wrote=True) if answer.body else {}
        return result

    # -- Bulk API 2.0

    def job_create(self, name: str, operation: str, key: str | None) -> str:
        """Open an ingest job; its id."""
        spec = {
            "object": name,
            "operation": operation,
            "contentType": "CSV",
            "lineEnding": "LF",
            "columnDelimiter": "COMMA",
        }
        if key is not None:
            spec["externalIdFieldName"] = key
        return str(self.call("POST", "jobs/ingest", json=spec).json_as(shapes.MADE, wrote=True)["id"])

    def job_upload(self, job: str, file: IO[bytes]) -> None:
        """Give an open job its rows. Once per job."""
        self.call(
            "PUT",
            f"jobs/ingest/{job}/batches",
            content=file,
            headers={"Content-Type": "text/csv"},
            timeout=_JOB_TIMEOUT,
        )

    def job_state(self, job: str, state: str | None = None) -> Mapping[str, Any]:
        """What a job is at; with `state`, move it there first (UploadComplete, Aborted)."""
        path = f"jobs/ingest/{job}"
        answer = self.call("PATCH", path, json={"state": state}) if state else self.call("GET", path)
        found: dict[str, Any] = answer.json_as(shapes.JOB, wrote=state is not None)
        return found

    def job_rows(self, job: str, which: str) -> Iterator[dict[str, str]]:
        """`successfulResults/`, `failedResults/` or `unprocessedrecords/` of an ended job, in no particular order.

        They hold all columns of the upload, so they are read from a file, a row at a time.
        """
        # newline="" leaves line breaks inside quoted cells alone.
        with io.TextIOWrapper(tempfile.TemporaryFile(), encoding="utf-8", newline="") as text:
            self.call(
                "GET",
                f"jobs/ingest/{job}/{which}",
                headers={"Accept": "text/csv"},
                timeout=_JOB_TIMEOUT,
                largest=_JOB_LARGEST,
                into=text.buffer,
            )
            yield from rows_in(text)


def _in_address(soql: str) -> int:
    return len(quote(soql, safe=_BARE))


def _parts(texts: Sequence[str], room: int, most: int, length: Callable[[str], int]) -> Iterator[list[str]]:
    """Values in lists of at most `most` and at most `room` characters."""
    part: list[str] = []
    size = 0
    for text in texts:
        cost = length(text) + 1
        if part and (size + cost > room or len(part) == most):
            yield part
            part, size = [], 0
        part.append(text)
        size += cost
    if part:
        yield part
