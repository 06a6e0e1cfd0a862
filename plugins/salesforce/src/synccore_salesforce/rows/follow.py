"""Finds out what became of a record that is not where it was: merged, deleted, converted."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve

from synccore.errors import Rejected, SynccoreError, WaitFor

from ..client import Client
from ..erased import Erasures, Forgotten
from ..errors import Refused
from ..mapping.record import Shaper
from ..mapping.row import Row
from ..match import Finder
from ..schema import api_name

__all__ = ["Follower", "waits_for_parent"]

_MERGED = ("Account", "Contact", "Lead", "Case")
#: How many merges a record is followed through: nobody makes more of one, and an answer may go round.
_MERGES = 20


class Follower:
    """Follows the records of one route."""

    def __init__(self, client: Client, shaper: Shaper, finder: Finder, erasures: Erasures) -> None:
        self._client = client
        self._shaper = shaper
        self._finder = finder
        self._erasures = erasures

    def follow(self, rows: Sequence[Row]) -> dict[int, SynccoreError | None]:
        """Point rows at where their records are now.

        Gives an error for each row that has nowhere to go, and None for a row whose record is where it was: there the
        refusal stands.
        """
        states: dict[str, Mapping[str, Any]] = {}
        for name in {r.object for r in rows}:
            states.update(self.states(name, [r.id for r in rows if r.id and r.object == name]))
        moved, gone = self._parents(rows)
        verdicts: dict[int, SynccoreError | None] = {}
        lost: list[Row] = []
        for row in rows:
            state = states.get((row.id or "")[:15])
            if row.id is None or (state and not state.get("IsDeleted") and not state.get("ConvertedContactId")):
                if not self._repoint(row, moved):
                    lost_parent = row.op.parent is not None and row.op.parent.remote_id in gone
                    verdicts[row.op.id] = waits_for_parent(row) if lost_parent else None
            elif state and state.get("ConvertedContactId"):
                self._to_contact(row, str(state["ConvertedContactId"]))
            elif state and state.get("MasterRecordId"):
                self._replace(row, str(state["MasterRecordId"]))
                row.notes.append("the record was merged: its survivor is used")
            else:
                lost.append(row)
        erased = self._erasures.of(row.id for row in lost if row.id)
        verdicts.update({row.op.id: Forgotten() for row in lost if row.id in erased})
        verdicts.update(self._rematch([row for row in lost if row.id not in erased]))
        return verdicts

    def states(self, name: str, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Whether records are deleted, merged or converted, by the first 15 characters of their ids; of a merged one
        which is left, into however many others it went on the way."""
        states = self._seen(name, ids)
        masters = _masters(states)
        for _ in range(_MERGES):
            if not (moved := _masters(self._seen(name, sorted(set(masters.values()))) if masters else {})):
                break
            masters = {i: moved.get(m[:15], m) for i, m in masters.items()}
        return {i: {**r, "MasterRecordId": masters[i]} if i in masters else r for i, r in states.items()}

    def _seen(self, name: str, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """What the records themselves say, by the first 15 characters of their ids."""
        columns = ["Id", "IsDeleted"]
        if name in _MERGED:
            columns.append("MasterRecordId")
        if name == "Lead":
            columns.append("ConvertedContactId")
        try:
            found = list(self._client.select(columns, name, "Id", ids, deleted=True))
        except Refused:
            # The user may not look into the Recycle Bin: what can be seen is at least alive.
            found = list(self._client.select(["Id"], name, "Id", ids))
        return {str(r["Id"])[:15]: r for r in found}

    def _parents(self, rows: Sequence[Row]) -> tuple[dict[str, str], set[str]]:
        """(old id -> surviving id of parents that were merged away, the ids of those that are nowhere any more)."""
        parents = [r.op.parent for r in rows if r.op.parent]
        if not parents:
            return {}, set()
        states = self.states(api_name(parents[0].object), [p.remote_id for p in parents])
        found = {p.remote_id: states.get(p.remote_id[:15], {"IsDeleted": True}) for p in parents}
        moved = {old: str(new) for old, state in found.items() if (new := state.get("MasterRecordId"))}
        return moved, {i for i, state in found.items() if state.get("IsDeleted") and i not in moved}

    @staticmethod
    def _repoint(row: Row, moved: Mapping[str, str]) -> bool:
        names = [n for n, v in row.fields.items() if v in moved]
        for name in names:
            row.fields[name] = moved[row.fields[name]]
        return bool(names)

    def _rematch(self, rows: Sequence[Row]) -> dict[int, SynccoreError]:
        """Rows whose record is gone: match once more, as if they were new; make a new record only where allowed."""
        if not rows:
            return {}
        for row in rows:
            self._reshape(row)
        verdicts = dict(self._finder.resolve(rows, by_key=True))
        for row in rows:
            if row.id is not None:
                row.notes.append("the record was deleted: another one with the same key or address is used")
            elif row.op.id not in verdicts and not row.op.settings.get("recreate", False):
                verdicts[row.op.id] = Rejected(
                    "the record was deleted in Salesforce; recreate = true on the route makes a new one"
                )
        return verdicts

    def _reshape(self, row: Row) -> None:
        """Begin again with the whole record, as for one that was never written."""
        fresh = self._shaper.row(evolve(row.op, link=None))
        row.fields, row.keep, row.soft, row.key = fresh.fields, fresh.keep, fresh.soft, fresh.key
        row.left, row.company = fresh.left, fresh.company
        row.id, row.before, row.record, row.adopted, row.guarded = None, {}, None, None, False

    def _replace(self, row: Row, survivor: str) -> None:
        """The record that a merge left: it holds what its owners chose, and gets what it lacks."""
        self._reshape(row)
        self.take_over(row, survivor)

    def take_over(self, row: Row, record_id: str) -> None:
        """Lead a row to a record that was found, keeping what that one holds."""
        row.id, row.adopted = record_id, True
        row.guarded = row.op.settings.get("existing") != "overwrite"
        self._finder.read([row])

    def meet(self, rows: Sequence[Row]) -> dict[int, SynccoreError]:
        """Look at the records that have the keys of rows which were to be made; errors of rows that cannot go on."""
        return self._finder.resolve(rows, by_key=True)

    def _to_contact(self, row: Row, contact: str) -> None:
        if row.id is not None:
            # It stays in the org, read-only and with the person's name, until they are forgotten.
            row.made["Lead"] = row.id
        row.id, row.adopted = contact, True
        whole = self._shaper.row(evolve(row.op, link=None))
        for each in (row, whole):
            self._shaper.as_contact(each)
        columns = sorted({t.name for n in row.op.fields if (t := row.target(n)) is not None})
        # What it holds now, not what the lead held.
        row.before = {}
        row.record = next(iter(self._client.select(["Id", *columns], row.object, "Id", [contact])), None)
        for name, value in whole.fields.items():
            if row.record is not None and row.record.get(name) in (None, ""):
                row.fields.setdefault(name, value)
        row.notes.append("the lead was converted: its contact is used")


def waits_for_parent(row: Row) -> WaitFor | None:
    """For a parent that is gone: it may be made anew, as who was forgotten by mistake is."""
    parent = row.op.parent
    if parent is None or not parent.entity:
        return None
    text = f"waits for {parent.entity} {parent.key}: its {api_name(parent.object)} was deleted in Salesforce"
    return WaitFor(parent.entity, parent.key, text)


def _masters(states: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Of those that were merged into another record, its id."""
    return {i: str(master) for i, r in states.items() if (master := r.get("MasterRecordId"))}
