"""What is written many rows at once ends as it would row by row."""

import sqlite3

import pytest

from synccore._store._rows import Connection, _together
from synccore.store import sql

PUT = (
    "INSERT INTO t (key, other, value) VALUES (:key, :other, coalesce(:value, 'none')) "
    "ON CONFLICT (key) DO UPDATE SET value = t.value || excluded.value"
)


@pytest.mark.parametrize("count", [0, 1, 9, 10, 23, 99, 100, 223])
@pytest.mark.parametrize(
    "value", [lambda n: None if n % 3 else f"'{n}'", lambda n: None, lambda n: n if n > 105 else None]
)
def test_rows_end_as_one_by_one(count, value):
    """Also where the same key comes again, in one statement or in a later one; and where none has a value."""
    rows = [{"key": f"k{n % 7}", "other": n, "value": value(n), "beside": n} for n in range(count)]
    answers = []
    for kind in (sqlite3.Connection, Connection):
        db = sqlite3.connect(":memory:", factory=kind)
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, key TEXT UNIQUE, other INTEGER, value TEXT)")
        touched = db.executemany(PUT, rows).rowcount
        answers.append((touched, db.execute("SELECT * FROM t ORDER BY id").fetchall()))
        db.close()
    assert answers[0] == answers[1]
    assert answers[1][0] == count


@pytest.mark.parametrize("statement", [sql.ADD_HISTORY, sql.PUT_SNAPSHOT, *sql.PUT_LINK.values()])
def test_what_a_page_brings_goes_many_at_once(statement):
    assert _together(statement, 10) is not None


def test_what_no_row_has_is_not_handed_over():
    text, values = _together(PUT, 2, frozenset({"value"}))
    assert "VALUES (?, ?, coalesce(NULL, 'none')), (?, ?, coalesce(NULL, 'none'))" in text
    assert values({"key": "k", "other": 1, "value": None}) == ("k", 1)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO t (key) VALUES (:key) ON CONFLICT (key) DO UPDATE SET value = :value",
        "UPDATE t SET value = :value WHERE key = :key",
        "INSERT INTO t VALUES (?, ?)",
    ],
)
def test_what_names_a_row_elsewhere_goes_row_by_row(statement):
    assert _together(statement, 10) is None
