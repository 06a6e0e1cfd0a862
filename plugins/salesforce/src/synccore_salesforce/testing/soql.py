"""As much SOQL as a sync needs: SELECT fields FROM object WHERE field =, !=, IN ... AND ... LIMIT n."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from .model import ObjectDef, RowRefused
from .org import Org

__all__ = ["run"]

_TOKEN = re.compile(r"\s*('[^'\\]*+(?:\\.[^'\\]*+)*+'|[A-Za-z_][\w.]*|-?\d+(?:\.\d+)?|!=|=|\(|\)|,)")
_UNESCAPE = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_ID = re.compile(r"[a-zA-Z0-9]{15}(?:[a-zA-Z0-9]{3})?")

Test = Callable[[Mapping[str, Any]], bool]


def run(org: Org, soql: str, *, deleted: bool) -> list[dict[str, Any]]:
    """The records a statement finds. Raises RowRefused as the org would."""
    return _Query(org, soql, deleted).rows()


def _malformed(message: str) -> RowRefused:
    return RowRefused("MALFORMED_QUERY", message)


class _Query:
    def __init__(self, org: Org, soql: str, deleted: bool) -> None:
        if len(soql) > 100_000:
            raise RowRefused("QUERY_TOO_COMPLICATED", "the statement is too long")
        self._org = org
        self._deleted = deleted
        self._tokens = self._split(soql)
        self._at = 0
        self._index: tuple[str, list[Any]] | None = None

    @staticmethod
    def _split(soql: str) -> list[str]:
        tokens, at = [], 0
        while at < len(soql.rstrip()):
            found = _TOKEN.match(soql, at)
            if found is None:
                raise _malformed(f"unexpected token at {at}")
            tokens.append(found[1])
            at = found.end()
        return tokens

    def _next(self, *expected: str) -> str:
        token = self._tokens[self._at] if self._at < len(self._tokens) else ""
        self._at += 1
        if expected and token.upper() not in expected:
            raise _malformed(f"unexpected token: {token or 'end'}")
        return token

    def _peek(self) -> str:
        return self._tokens[self._at].upper() if self._at < len(self._tokens) else ""

    def rows(self) -> list[dict[str, Any]]:
        self._next("SELECT")
        columns = [self._next()]
        while self._peek() == ",":
            self._next()
            columns.append(self._next())
        self._next("FROM")
        name = self._next()
        try:
            kind = self._org.object(name)
        except RowRefused:
            raise RowRefused("INVALID_TYPE", f"sObject type '{name}' is not supported.") from None
        readers = {c: self._reader(kind, c) for c in columns}
        tests = self._where(kind)
        limit = None
        if self._peek() == "LIMIT":
            self._next()
            limit = int(self._next())
        if self._at < len(self._tokens):
            raise _malformed(f"unexpected token: {self._next()}")
        found = [r for r in self._pool(kind) if all(t(r) for t in tests)][:limit]
        return [self._shape(kind, readers, r) for r in found]

    def _pool(self, kind: ObjectDef) -> list[dict[str, Any]]:
        if self._index is not None and not self._deleted:
            field, values = self._index
            found = [r for v in dict.fromkeys(values) for r in self._org.holders(kind, field, v)]
        else:
            found = [r for r in kind.records.values() if self._deleted or not r.get("IsDeleted")]
        return [r for r in found if r["Id"] not in kind.unseen]

    def _where(self, kind: ObjectDef) -> list[Test]:
        tests: list[Test] = []
        if self._peek() != "WHERE":
            return tests
        self._next()
        while True:
            tests.append(self._condition(kind))
            if self._peek() != "AND":
                return tests
            self._next()

    def _condition(self, kind: ObjectDef) -> Test:
        column = self._next()
        read = self._reader(kind, column)
        operator = self._next("=", "!=", "IN")
        if operator.upper() == "IN":
            values = self._list()
            if self._index is None and "." not in column:
                self._index = (column, values)
        else:
            values = [self._literal(self._next())]
        if column.lower() == "id" or column.endswith("Id"):
            if bad := [v for v in values if v is not None and not _ID.fullmatch(str(v))]:
                raise RowRefused("INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {bad[0]}")
            if column.lower() == "id":
                self._index = None
            wanted = {str(v)[:15] for v in values}
            return lambda r: (str(read(r))[:15] in wanted) != (operator == "!=")
        target = kind.find(column)
        if target is not None and target.type == "textarea":
            raise RowRefused("INVALID_FIELD", f"field '{column}' can not be filtered in a query call")
        if (
            target is not None
            and target.type in ("double", "currency", "int", "boolean")
            and any(isinstance(v, str) for v in values)
        ):
            raise RowRefused(
                "INVALID_FIELD", f"value of filter criterion for field '{column}' must be of type {target.type}"
            )
        folded = {_fold(v) for v in values}
        return lambda r: (_fold(read(r)) in folded) != (operator == "!=")

    def _list(self) -> list[Any]:
        self._next("(")
        values = [self._literal(self._next())]
        while self._peek() == ",":
            self._next()
            values.append(self._literal(self._next()))
        self._next(")")
        return values

    @staticmethod
    def _literal(token: str) -> Any:
        if token.startswith("'"):
            text = re.sub(r"\\(.)", lambda m: _UNESCAPE.get(m[1], m[1]), token[1:-1])
            if len(text) > 4000:
                raise _malformed("a string in WHERE has more than 4000 characters")
            return text
        if token.lower() in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[token.lower()]
        try:
            return float(token)
        except ValueError:
            raise _malformed(f"unexpected token: {token or 'end'}") from None

    def _reader(self, kind: ObjectDef, path: str) -> Callable[[Mapping[str, Any]], Any]:
        relation, dot, rest = path.partition(".")
        if not dot:
            target = kind.find(path)
            if target is None:
                raise RowRefused("INVALID_FIELD", f"No such column '{path}' on entity '{kind.name}'")
            return lambda r: r.get(target.name)
        lookup = next((f for f in kind.fields.values() if (f.relationship or "").lower() == relation.lower()), None)
        if lookup is None:
            raise RowRefused("INVALID_FIELD", f"Didn't understand relationship '{relation}' in field path")
        other = self._org.objects[lookup.refers_to[0]]
        inner = self._reader(other, rest)
        return lambda r: inner(other.records[r[lookup.name]]) if r.get(lookup.name) in other.records else None

    @staticmethod
    def _shape(
        kind: ObjectDef, readers: Mapping[str, Callable[[Mapping[str, Any]], Any]], record: Mapping[str, Any]
    ) -> dict[str, Any]:
        row: dict[str, Any] = {"attributes": {"type": kind.name, "url": f"/sobjects/{kind.name}/{record['Id']}"}}
        for path, read in readers.items():
            if "." in path:
                *relations, last = path.split(".")
                inner: dict[str, Any] = row
                for relation in relations:
                    inner = inner.setdefault(relation, {})
                inner[last] = read(record)
            else:
                target = kind.find(path)
                value = read(record)
                if target is not None and target.type == "datetime" and value:
                    value = str(value).replace("Z", "+0000")
                row[target.name if target else path] = value
        return row


def _fold(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value
