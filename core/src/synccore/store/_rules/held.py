"""All that is held of a person, row by row: what `export` shows and `forget` erases."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...entities import normalize_email
from .._convert import from_ms
from ..engine import Row, Transaction
from .people import KEYED, Ref, refs_of
from .traces import Traces

__all__ = ["held"]

_JSON = frozenset({"data", "fields", "left_out", "asked", "made", "before", "sent", "seen"})
#: Bookkeeping of the database alone.
_INNER = frozenset({"lease_token", "fingerprint", "made_from"})


def held(view: Transaction, email: str, digest: str) -> dict[str, list[dict[str, Any]]]:
    """Table -> its rows that are a person's, in the order they were made.

    Beside the tables of records: `plugin_state`, what of a plugin's memory names the person; `mentions`, where the
    other side's words about others name them; `tombstone`, when they were forgotten.
    """
    address = normalize_email(email)
    refs = refs_of(view, address)
    rows = {table: [row for ref in refs for row in _rows(view, table, ref)] for table in KEYED}
    found = {table: [_shown(row) for row in theirs] for table, theirs in rows.items()}
    found["plugin_state"] = list(_remembered(view, _names(address, refs, found)))
    traces = Traces(address)
    for row in (*rows["snapshot"], *rows["event"]):
        traces.add(row["data"])
    own = {(table, row["id"]) for table in ("history", "delivery") for row in found[table]}
    found["mentions"] = [
        {"table": table, "id": id_, "column": column, "text": text}
        for table, column, id_, text in traces.told(view)
        if (table, id_) not in own
    ]
    found["tombstone"] = [
        _shown(row) for row in view.execute("SELECT at FROM tombstone WHERE digest = ?", (digest,)).fetchall()
    ]
    return found


def _rows(view: Transaction, table: str, ref: Ref) -> list[Row]:
    order = "ORDER BY id" if table in ("snapshot", "event", "delivery", "history", "link") else ""
    return view.execute(
        f"SELECT * FROM {table} WHERE source = ? AND entity = ? AND key = ? {order}",  # noqa: S608  constant names
        ref,
    ).fetchall()


def _shown(row: Row) -> dict[str, Any]:
    """A row for people: times as times, JSON as it is, without what is empty."""
    return {name: _value(name, row[name]) for name in row.keys() if name not in _INNER and row[name] is not None}  # noqa: SIM118  a Row


def _value(name: str, value: Any) -> Any:
    if name in _JSON and isinstance(value, str):
        return json.loads(value)
    if isinstance(value, int) and (name in ("at", "until", "since") or name.endswith(("_at", "_until", "_since"))):
        return from_ms(value)
    return value


# -- what plugins remember


def _names(address: str, refs: Iterable[Ref], found: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[str]:
    """What a plugin may know the person by: the address, the records' uids, their ids at the targets."""
    names = {address: None, **{":".join(ref): None for ref in refs}}
    for table in ("link", "link_archive"):
        for row in found[table]:
            names |= dict.fromkeys((row["remote_id"], *row["made"].values()))
    return [name.lower() for name in names]


def _remembered(view: Transaction, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Reads all of it: for somebody's right to know, nothing else."""
    for row in view.execute("SELECT namespace, key, value FROM plugin_state ORDER BY namespace, key").fetchall():
        text = f"{row['key']}\n{row['value']}".lower()
        if not any(name in text for name in names):
            continue
        whole = any(name in row["key"].lower() for name in names)
        value = json.loads(row["value"])
        yield {"namespace": row["namespace"], "key": row["key"], "value": value if whole else _own(value, names)}


def _own(value: Any, names: Sequence[str]) -> Any:
    """The part of a value that is about the person: many people's things may stand in one."""
    if isinstance(value, list):
        return [_own(item, names) for item in value if _is_about(item, names)]
    if isinstance(value, dict) and not any(_is_about(item, names) for item in value.values() if isinstance(item, str)):
        return {
            name: item if any(n in name.lower() for n in names) else _own(item, names)
            for name, item in value.items()
            if _is_about({name: item}, names)
        }
    return value


def _is_about(value: Any, names: Sequence[str]) -> bool:
    text = json.dumps(value, ensure_ascii=False).lower()
    return any(name in text for name in names)
