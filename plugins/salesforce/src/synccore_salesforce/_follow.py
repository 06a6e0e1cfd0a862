"""Finds out what became of a record that is not where it was: merged, deleted, converted."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve

from synccore.errors import Rejected, SynccoreError

from ._match import Finder
from ._record import Row, Shaper
from ._schema import Catalog
from .client import Client

__all__ = ["CONTACT_PREFIX", "Follower"]

#: Key prefixes of standard objects are the same in every org.
CONTACT_PREFIX = "003"
_MERGED = ("Account", "Contact", "Lead", "Case")
#: Lead fields whose namesake on Contact has another name.
_LEAD_TO_CONTACT = {
    n: f"Mailing{n}" for n in ("Street", "City", "PostalCode", "State", "StateCode", "Country", "CountryCode")
}
_LEAD_ONLY = ("Company", "Status", "Rating", "AnnualRevenue", "NumberOfEmployees")


class Follower:
    """Follows the records of one route."""

    def __init__(self, client: Client, catalog: Catalog, shaper: Shaper, finder: Finder) -> None:
        self._client = client
        self._catalog = catalog
        self._shaper = shaper
        self._finder = finder

    def follow(self, rows: Sequence[Row]) -> dict[int, SynccoreError]:
        """Point rows at where their records are now; an error for each row that has nowhere to go.

        An error with an empty message says that the row's own record is fine: the refusal stands.
        """
        parents = {r.op.parent.remote_id for r in rows if r.op.parent}
        states = self._states(rows[0].object, [r.id for r in rows if r.id])
        moved = self._moved_parents(rows, parents)
        verdicts: dict[int, SynccoreError] = {}
        lost: list[Row] = []
        for row in rows:
            state = states.get((row.id or "")[:15])
            if state and state.get("ConvertedContactId"):
                self._to_contact(row, str(state["ConvertedContactId"]))
            elif state and state.get("MasterRecordId"):
                row.id = str(state["MasterRecordId"])
                row.notes.append("the record was merged: its survivor is used")
                row.adopted = True
                self.stamp(row)
            elif state and not state.get("IsDeleted"):
                if not self._repoint(row, moved):
                    verdicts[row.op.id] = Rejected("")
            else:
                lost.append(row)
        verdicts.update(self._rematch(lost))
        return verdicts

    def _states(self, name: str, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        columns = ["Id", "IsDeleted"]
        if name in _MERGED:
            columns.append("MasterRecordId")
        if name == "Lead":
            columns.append("ConvertedContactId")
        found = self._client.select(columns, name, "Id", ids, deleted=True)
        return {str(r["Id"])[:15]: r for r in found}

    def _moved_parents(self, rows: Sequence[Row], ids: set[str]) -> dict[str, str]:
        """Old id -> surviving id of parents that were merged away."""
        parent = next((r.op.parent for r in rows if r.op.parent), None)
        if parent is None:
            return {}
        name = "Account" if parent.object == "PersonAccount" else parent.object
        if name not in _MERGED:
            return {}
        states = self._states(name, sorted(ids))
        return {i: str(s["MasterRecordId"]) for i in ids if (s := states.get(i[:15])) and s.get("MasterRecordId")}

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
            fresh = self._whole(row)
            row.fields, row.keep, row.soft = fresh.fields, fresh.keep, fresh.soft
            row.id, row.key, row.adopted = None, fresh.key, False
        verdicts = dict(self._finder.resolve(rows, by_key=True))
        for row in rows:
            if row.id is not None:
                row.notes.append("the record was deleted: another one with the same key or address is used")
            elif row.op.id not in verdicts and not row.op.settings.get("recreate", False):
                verdicts[row.op.id] = Rejected(
                    "the record was deleted in Salesforce; recreate = true on the route makes a new one"
                )
        return verdicts

    def _whole(self, row: Row) -> Row:
        return self._shaper.row(evolve(row.op, link=None))

    def _to_contact(self, row: Row, contact: str) -> None:
        row.id = contact
        self.as_contact(row)
        row.notes.append("the lead was converted: its contact is used")

    def as_contact(self, row: Row) -> None:
        """Turn a lead's row into one for the contact it became: what Contact has not is left out."""
        schema = self._catalog.find("Contact")
        row.object = "Contact"
        renamed = {_LEAD_TO_CONTACT.get(n, n): v for n, v in row.fields.items() if n not in _LEAD_ONLY}
        row.fields = {n: v for n, v in renamed.items() if schema and (f := schema.get(n)) and f.updateable}
        if row.key is not None:
            row.drop(row.key[0])

    def stamp(self, row: Row) -> None:
        """Put the key on a record that was found, where it has none."""
        row.adopted = True
        self._finder.resolve([row])
