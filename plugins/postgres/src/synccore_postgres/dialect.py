"""The statements of `synccore.store` as PostgreSQL says them, and their parameters and rows."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count
from typing import Any

from psycopg import Cursor
from psycopg.abc import Params

__all__ = ["Record", "bound", "prepared", "records", "translated"]

#: What is said otherwise, word for word.
_WORDS = (
    ("NOT coalesce(json_extract(data, '$.guest'), 0)", "NOT is_guest(data)"),
    ("json_each(:ids)", "json_ids(:ids)"),
    ("json_each(:owed)", "json_owed(:owed)"),
    ("json_each(", "json_texts("),
    ("/* FOR UPDATE SKIP LOCKED */", "FOR UPDATE SKIP LOCKED"),
    (" INDEXED BY history_at", ""),
    ("+sink =", "sink ="),
)
#: A join in that order: PostgreSQL chooses the order itself.
_JOIN = re.compile(r"CROSS JOIN (\w+ \w+)(?=\s+ON\b)")
_MEMBER = re.compile(r"json_extract\(([\w.]+), '\$\[(\d+)\]'\)")
_SAME = re.compile(r"\bIS (?=[:?])")
_VALUE = re.compile(r"(?<![:\w]):([a-z_]+)|\?")
_TYPES = {int: "bigint", str: "text"}
#: Functions of several values that are called otherwise, or not at all.
_CALL = re.compile(r"\b(min|max|iif)\(")


@lru_cache(maxsize=1000)
def translated(statement: str) -> str:
    """The statement for psycopg: named parameters as %(name)s, others as %s."""
    return _VALUE.sub(lambda found: f"%({found[1]})s" if found[1] else "%s", _said(statement).replace("%", "%%"))


@lru_cache(maxsize=1000)
def _said(statement: str) -> str:
    for theirs, ours in _WORDS:
        statement = statement.replace(theirs, ours)
    statement = _JOIN.sub(r"JOIN \1", statement)
    statement = _MEMBER.sub(r"(\1::json ->> \2)", statement)
    statement = _SAME.sub("IS NOT DISTINCT FROM ", statement)
    return _calls(statement)


def prepared(name: str, statement: str, rows: Sequence[Params], literal: Callable[[Any], str]) -> list[str] | None:
    """What carries a statement out once for each of these rows, and is planned once; None where it cannot be told of
    which type its values are. What is the same in all rows stands in it as it is."""
    columns = {place: [row[place] for row in rows] for place in _places(rows[0])}
    vary: dict[Any, str] = {}
    for place, values in columns.items():
        if any(value != values[0] for value in values):
            kinds = {_TYPES.get(type(value)) for value in values if value is not None}
            if len(kinds) > 1 or None in kinds:
                return None
            vary[place] = str(kinds.pop())
    numbers = {place: f"${number}" for number, place in enumerate(vary, 1)}
    counted = count()

    def put(found: re.Match[str]) -> str:
        place = found[1] or next(counted)
        return numbers.get(place) or literal(columns[place][0])

    text = _VALUE.sub(put, _said(statement))
    if not vary:
        return [text] * len(rows)
    began = f"PREPARE {name} ({', '.join(vary.values())}) AS {text}"
    each = (", ".join(literal(columns[place][at]) for place in vary) for at in range(len(rows)))
    return [began, *(f"EXECUTE {name} ({values})" for values in each), f"DEALLOCATE {name}"]


def _places(row: Params) -> Iterable[Any]:
    return row if isinstance(row, Mapping) else range(len(row))


def _calls(text: str) -> str:
    """`min` and `max` of several values, and `iif`, wherever they stand in each other."""
    found = _CALL.search(text)
    if found is None:
        return text
    arguments, end = _arguments(text, found.end())
    inner = [_calls(argument.strip()) for argument in arguments]
    if found[1] == "iif":
        said = f"CASE WHEN {inner[0]} THEN {inner[1]} ELSE {inner[2]} END"
    else:
        name = found[1] if len(inner) == 1 else {"min": "least", "max": "greatest"}[found[1]]
        said = f"{name}({', '.join(inner)})"
    return text[: found.start()] + said + _calls(text[end:])


def _arguments(text: str, start: int) -> tuple[list[str], int]:
    """What stands between the brackets, and where they end. No quoted text of ours holds a bracket or a comma."""
    depth, at, found = 1, start, [""]
    while depth:
        sign = text[at]
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 1:
            found.append("")
        elif depth:
            found[-1] += sign
        at += 1
    return found, at


def bound(values: Mapping[str, Any] | Sequence[Any]) -> Params:
    """Parameters: truth values as 0 and 1, and no zero character, which PostgreSQL's texts cannot hold."""
    if isinstance(values, Mapping):
        return {name: _plain(value) for name, value in values.items()}
    return [_plain(value) for value in values]


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and "\0" in value:
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return value


class Record:
    """A row: columns by name or place, `dict(row)`, values in their order."""

    __slots__ = ("_names", "_values")

    def __init__(self, names: Mapping[str, int], values: Sequence[Any]) -> None:
        self._names = names
        self._values = values

    def __getitem__(self, name: str | int) -> Any:
        return self._values[name if isinstance(name, int) else self._names[name]]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def keys(self) -> Sequence[str]:
        """The names of the columns."""
        return list(self._names)


def records(cursor: Cursor[Any]) -> "_Maker":
    """A psycopg row factory."""
    return _Maker({column.name: at for at, column in enumerate(cursor.description or ())})


class _Maker:
    def __init__(self, names: Mapping[str, int]) -> None:
        self._names = names

    def __call__(self, values: Sequence[Any]) -> Record:
        return Record(self._names, values)
