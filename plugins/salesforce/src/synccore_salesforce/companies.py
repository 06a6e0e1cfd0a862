"""Accounts for what belongs to a contact: an order needs one, and a shop's contact may not have any yet."""

from collections.abc import Mapping, Sequence
from typing import Any

from synccore.types import Failed, Link, Outcome

from .client import COLLECTION, Client, chunked
from .errors import Problem, error_of, problems_of
from .made import MadeAccounts
from .mapping.defaults import KEY_FIELD
from .mapping.record import Shaper
from .mapping.row import Row
from .match import fold
from .rows.follow import waits_for_parent
from .schema import PERSON_ACCOUNT, Catalog, Schema, api_name

__all__ = ["Accounts"]


class Accounts:
    """Finds, and for orders makes, the accounts of contacts."""

    def __init__(self, client: Client, catalog: Catalog, shaper: Shaper, made: MadeAccounts) -> None:
        self._client = client
        self._made = made
        self._catalog = catalog
        self._shaper = shaper

    def fill(self, rows: Sequence[Row], outcomes: dict[int, Outcome]) -> None:
        """Give rows of contacts their contact's account, where the object has room for both."""
        self._bill_to(rows)
        lookup = self._shaper.schema.get("AccountId")
        if lookup is None or not lookup.createable or self._shaper.schema.name == "Contact":
            return
        wanted = {
            r.op.id: r.op.parent
            for r in rows
            if r.op.parent and api_name(r.op.parent.object) == "Contact" and _hangs_anew(r)
            and not self._shaper.has_parent(r, lookup)
        }  # fmt: skip
        if not wanted:
            return
        contacts = self._contacts(list(wanted.values()))
        found = {i: str(c["AccountId"]) for i, c in contacts.items() if c.get("AccountId")}
        mine = [r for r in rows if r.op.id in wanted]
        if self._shaper.schema.name == "Order":
            for row in mine:
                if wanted[row.op.id].remote_id[:15] not in contacts and (error := waits_for_parent(row)) is not None:
                    outcomes[row.op.id] = Failed(error)
        if self._shaper.schema.name == "Order" and mine[0].op.settings.get("make_accounts", True):
            bare = {p.remote_id[:15]: p for p in wanted.values() if p.remote_id[:15] in contacts.keys() - found.keys()}
            made: dict[str, str] = {}
            failed = self._make(bare, contacts, found, made)
            for row in mine:
                if account := made.get(wanted[row.op.id].remote_id[:15]):
                    row.made["Account"] = account
            outcomes.update({i: failed[p.remote_id[:15]] for i, p in wanted.items() if p.remote_id[:15] in failed})
        for row in mine:
            if account := found.get(wanted[row.op.id].remote_id[:15]):
                row.fields[lookup.name] = account
                row.soft.add(lookup.name)

    def _bill_to(self, rows: Sequence[Row]) -> None:
        """Orders of a person account are billed to the contact that Salesforce keeps inside it."""
        lookup = self._shaper.schema.get("BillToContactId")
        account = self._catalog.find("Account") if lookup is not None else None
        if lookup is None or account is None or account.get("PersonContactId") is None:
            return
        wanted = {
            r.op.id: r.op.parent.remote_id
            for r in rows
            if r.op.parent and r.op.parent.object == PERSON_ACCOUNT and _hangs_anew(r)
            and not self._shaper.has_parent(r, lookup)
        }  # fmt: skip
        found = self._client.select(["Id", "PersonContactId"], "Account", "Id", wanted.values())
        contacts = {str(a["Id"])[:15]: a["PersonContactId"] for a in found}
        for row in rows:
            if contact := contacts.get(wanted.get(row.op.id, "")[:15]):
                row.fields[lookup.name] = str(contact)
                row.soft.add(lookup.name)

    def _contacts(self, parents: Sequence[Link]) -> dict[str, Mapping[str, Any]]:
        columns = ["Id", "AccountId", "FirstName", "LastName"]
        records = self._client.select(columns, "Contact", "Id", [p.remote_id for p in parents])
        return {str(c["Id"])[:15]: c for c in records}

    def _make(
        self,
        bare: Mapping[str, Link],
        contacts: Mapping[str, Mapping[str, Any]],
        found: dict[str, str],
        made: dict[str, str],
    ) -> dict[str, Outcome]:
        """An account for each contact that has none, under the customer's key, and the contact moved into it."""
        schema = self._catalog.find("Account")
        keyed = self._keyed(schema, bare)
        made |= self._made.of(bare) | {i: keyed[fold(p.uid)] for i, p in bare.items() if fold(p.uid) in keyed}
        records: dict[str, dict[str, Any]] = {}
        for i, parent in bare.items():
            if i not in made:
                name = " ".join(str(v) for n in ("FirstName", "LastName") if (v := contacts[i].get(n)))
                records[i] = {"attributes": {"type": "Account"}, "Name": name[:255] or "Customer"}
                if _has_key(schema) and parent.key:
                    records[i][KEY_FIELD] = parent.uid
        failed: dict[str, Outcome] = {}
        # Its contact may be gone before the next try, or the key may not find it: known by what is stored before.
        self._made.intend(records)
        for part in chunked(records.items(), COLLECTION):
            for (i, _), result in zip(part, self._client.create([r for _, r in part], {}), strict=True):
                if result.get("success"):
                    made[i] = str(result["id"])
                else:
                    failed[i] = _failure(result)
        self._made.settle({**dict.fromkeys(failed), **made})
        for moves in chunked(made.items(), COLLECTION):
            sent = [
                {"attributes": {"type": "Contact"}, "id": bare[i].remote_id, "AccountId": account}
                for i, account in moves
            ]
            for (i, account), result in zip(moves, self._client.update(sent, {}), strict=True):
                if result.get("success"):
                    found[i] = account
                else:
                    failed[i] = _failure(result)
        return failed

    def _keyed(self, schema: Schema | None, bare: Mapping[str, Link]) -> dict[str, str]:
        """Accounts made before, by key: after a kill, or by a route of their own."""
        if not _has_key(schema):
            return {}
        uids = [p.uid for p in bare.values() if p.key]
        return {
            fold(a[KEY_FIELD]): str(a["Id"]) for a in self._client.select(["Id", KEY_FIELD], "Account", KEY_FIELD, uids)
        }


def _has_key(schema: Schema | None) -> bool:
    target = schema.get(KEY_FIELD) if schema else None
    return target is not None and target.external_id


def _hangs_anew(row: Row) -> bool:
    """Whether a record is new under its parent: just made, or handed over by the shop from somebody else."""
    link, parent = row.op.link, row.op.parent
    moved = link is not None and parent is not None and link.parent_id not in (None, parent.remote_id)
    return moved or not row.op.previous


def _failure(result: Mapping[str, Any]) -> Outcome:
    return Failed(error_of((*problems_of(result.get("errors")), Problem("UNKNOWN_EXCEPTION"))[0]))
