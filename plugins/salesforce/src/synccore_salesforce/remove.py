"""Takes people away: what a route's `on_delete` and `on_leave` say, and erasure.

Only what this sync made for this customer alone is deleted or made nameless. What others use, or what somebody else
made, is let go of: the values that this sync put there are emptied, and the record stays as it is.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from attrs import evolve

from synccore.errors import Rejected, SynccoreError
from synccore.types import Delivered, Erased, Failed, Link, Operation, Outcome, Unchanged

from .client import COLLECTION, Client, chunked
from .erased import Erasures
from .errors import GONE_CODES, Problem, Refused, error_of, problems_of
from .made import MadeAccounts
from .mapping.defaults import KEY_FIELD
from .mapping.owners import left_behind, mark_of, named_after
from .mapping.record import LEAD_TO_CONTACT, Shaper
from .mapping.row import STILL, Row, is_converted
from .mapping.values import same
from .match import fold
from .rows.save import Saver
from .schema import Catalog, Field, Schema

__all__ = ["Remover"]

#: What is left of a name that may not stay and cannot go.
NOBODY = "Erased"
#: Objects whose records go with an account, and that may be somebody's work.
_WORK = ("Opportunity", "Case")
_BELOW = ("Contact", *_WORK)
_MERGED_INTO = "somebody merged another record into it"
_LET_GO = "let go of: {why}; what this sync had written there is emptied"


def _why(link: Link) -> str:
    return "it was there before" if link.adopted else f"{link.shared} customers share it"


class Remover:
    """Takes away the records of one route."""

    def __init__(
        self,
        client: Client,
        catalog: Catalog,
        shaper: Shaper,
        saver: Saver,
        made: MadeAccounts,
        erasures: Erasures,
    ) -> None:
        self._client = client
        self._catalog = catalog
        self._shaper = shaper
        self._saver = saver
        self._made = made
        self._erasures = erasures
        self._schema = shaper.schema

    # -- operations

    def remove(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        """Deletes and leaves, as the route says."""
        outcomes: dict[int, Outcome] = {}
        policies: dict[str, list[Operation]] = {}
        for op in operations:
            policy = op.on_leave if op.op == "leave" else str(op.settings.get("on_delete") or "keep")
            policies.setdefault(policy if op.link else "keep", []).append(op)
        for policy, mine in policies.items():
            if policy == "flag":
                outcomes.update(self._flag(mine))
            elif policy == "clear":
                outcomes.update(self._let_go(mine, "cleared: on_leave = clear"))
            elif policy == "delete":
                outcomes.update(self._delete(mine))
            else:
                kept = "kept: on_delete = keep" if mine[0].op == "delete" else "kept"
                outcomes.update(
                    {op.id: Unchanged(remote_id=op.link.remote_id if op.link else None, note=kept) for op in mine}
                )
        return outcomes

    def _flag(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        flag = self._schema.get(str(operations[0].settings.get("deleted_field") or ""))
        if flag is None:
            error = Rejected('on_delete = "flag" needs deleted_field, a checkbox of the object')
            return {op.id: Failed(error) for op in operations}
        outcomes: dict[int, Outcome] = {}
        rows = []
        for op in operations:
            if op.link is not None and op.link.shared > 1:
                outcomes[op.id] = Unchanged(remote_id=op.link.remote_id, note=f"not flagged: {_why(op.link)}")
            elif op.link is not None:
                rows.append(Row(op=op, schema=self._schema, fields={flag.name: True}, id=op.link.remote_id))
        return outcomes | self._saver.write(rows)

    def _delete(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        ours = [op for op in operations if op.link is not None and op.link.ours]
        outcomes.update(self._let_go([op for op in operations if op not in ours]))
        used = self._used(op.link for op in ours if op.link)
        if kept := [op for op in ours if op.link and op.link.remote_id[:15] in used]:
            outcomes.update(self._let_go(kept, _LET_GO.format(why="records of others hang on it")))
        merged = self._merged([op.link for op in ours if op.link])
        if shared := [op for op in ours if op not in kept and op.link and op.link.remote_id[:15] in merged]:
            outcomes.update(self._let_go(shared, _LET_GO.format(why=_MERGED_INTO)))
        linked = [op for op in ours if op.id not in outcomes]
        if self._schema.name == "Order":
            self._reopen(linked)
        for part in chunked(linked, COLLECTION):
            ids = [op.link.remote_id for op in part if op.link]
            for op, result in zip(part, self._client.delete(ids), strict=True):
                try:
                    outcomes[op.id] = self._with_made(op.link, self._deleted(op, result))
                except SynccoreError as error:
                    # The next try finds the record gone, and goes on from there.
                    outcomes[op.id] = Failed(error)
        if self._schema.name == "Account":
            for link in (op.link for op in operations if op.link):
                self._erase_all_made(link, forget=False)
        return outcomes

    def _deleted(self, op: Operation, result: Mapping[str, Any]) -> Outcome:
        remote_id = op.link.remote_id if op.link else None
        if result.get("success"):
            return Delivered(remote_id=remote_id)
        problem = (*problems_of(result.get("errors")), Problem("UNKNOWN_EXCEPTION"))[0]
        if problem.code in GONE_CODES:
            return Unchanged(remote_id=remote_id, note="already deleted in Salesforce")
        if problem.code != "DELETE_FAILED" or op.link is None or self._schema.name not in ("Contact", "Account"):
            return Failed(error_of(problem))
        # Orders hang on it, and Salesforce keeps those: as much of the person goes as can.
        erased = self._anonymise(self._schema, op.link.remote_id, op.link)
        self._made.keep(op.link.remote_id[:15])
        return Delivered(remote_id=remote_id, note=f"not deleted: {erased.note}")

    def _with_made(self, link: Link | None, outcome: Outcome) -> Outcome:
        """With a deleted contact goes the account that was made for its orders, and with its last order at the latest.

        An account that orders hang on loses its name; one that others work on is theirs.
        """
        if link is None or not isinstance(outcome, Delivered | Unchanged):
            return outcome
        if self._schema.name == "Order" and link.parent_id and self._made.kept(link.parent_id[:15]):
            if self._anything_below(link.parent_id, ("Order",), "BillToContactId"):
                return outcome
            (gone,) = self._client.delete([link.parent_id])
            if not gone.get("success") and not _is_gone(gone):
                return outcome
            self._made.keep(link.parent_id[:15], kept=False)
        contact = {"Contact": link.remote_id, "Order": link.parent_id}.get(self._schema.name)
        account = self._made.of([contact[:15]]).get(contact[:15]) if contact else None
        if contact is None or account is None:
            return outcome
        if self._schema.name == "Order" and self._exists("Contact", contact):
            # As long as there is the contact, it is the contact's.
            return outcome
        said = self._drop_made(contact, account, link)
        return evolve(outcome, note="; ".join(t for t in (outcome.note, said) if t)) if said else outcome

    def _drop_made(self, contact: str, account: str, link: Link) -> str | None:
        """What is said of it where the account stays."""
        schema = self._catalog.find("Account")
        if schema is not None and self._anything_below(account, _BELOW, but=contact[:15]):
            return "the account made for the orders stays: records of others hang on it"
        if schema is not None and self._anything_below(account, ("Order",)):
            self._anonymise(schema, account, evolve(link, object="Account", fields={}, asked=None, made={}))
            return "the account made for the orders stays as long as they do; its name is erased"
        (result,) = self._client.delete([account])
        if result.get("success") or _is_gone(result):
            self._made.settle({contact[:15]: None})
        return None

    def _exists(self, name: str, record_id: str) -> bool:
        return next(iter(self._client.select(["Id"], name, "Id", [record_id])), None) is not None

    def _anything_below(
        self, record_id: str, names: Sequence[str], lookup: str = "AccountId", *, but: str | None = None
    ) -> bool:
        for name in names:
            schema = self._catalog.find(name)
            if schema is None or schema.get(lookup) is None:
                continue
            if any(str(r["Id"])[:15] != but for r in self._client.select(["Id"], name, lookup, [record_id])):
                return True
        return False

    def _reopen(self, operations: Sequence[Operation]) -> None:
        """Take orders back to draft, as only drafts can be deleted; what cannot be is left to the delete to say."""
        rows = [
            Row(op=op, schema=self._schema, fields={"Status": "Draft"}, id=op.link.remote_id)
            for op in operations
            if op.link
        ]
        self._saver.write(rows)

    def leave_behind(self, rows: Sequence[Row], outcomes: dict[int, Outcome]) -> None:
        """Let go of the records that rows move away from: no link leads back there to erase a person's values later."""
        moving = {
            r.op.id: r
            for r in rows
            if r.id is None and r.op.link is not None and r.made.get("Account") != r.op.link.remote_id
        }
        for op_id, outcome in self._let_go([r.op for r in moving.values()], "moved away", moved=True).items():
            if not isinstance(outcome, Failed):
                continue
            if isinstance(outcome.error, Rejected):
                moving[op_id].notes.append(f"the record it moved away from keeps its values: {outcome.error}")
            else:
                outcomes[op_id] = outcome

    def _let_go(self, operations: Sequence[Operation], note: str = "", *, moved: bool = False) -> dict[int, Outcome]:
        """Empty what this sync wrote, and nothing else."""
        outcomes: dict[int, Outcome] = {}
        rows: list[Row] = []
        records = self._records([op.link for op in operations if op.link])
        for op in operations:
            link = op.link
            if link is None:
                continue
            text = note or _LET_GO.format(why=_why(link))
            schema, renamed = self._place(link)
            row = Row(op=op, schema=schema, renamed=renamed, fields={}, id=link.remote_id)
            alone = link.ours and not moved
            record, spared = records.get(link.remote_id[:15]), () if alone else self._names()
            row.fields = self._own_values(link, record, spared=spared, with_key=not alone)
            row.notes.append(text)
            if row.fields:
                rows.append(row)
            else:
                outcomes[op.id] = Unchanged(remote_id=link.remote_id, note=text)
        for op_id, outcome in self._saver.write(rows).items():
            outcomes[op_id] = evolve(outcome, fields=None, left_out={}) if isinstance(outcome, Delivered) else outcome
        return outcomes

    # -- what is whose

    def _place(self, link: Link) -> tuple[Schema, Mapping[str, str]]:
        """The object a link leads to, and mapped names that are called otherwise there: a lead may be a contact now."""
        contact = self._catalog.find("Contact") if is_converted(self._schema, link) else None
        return (contact, LEAD_TO_CONTACT) if contact else (self._schema, {})

    def _records(self, links: Iterable[Link]) -> dict[str, Mapping[str, Any]]:
        """The records as they are now, by the first 15 characters of their ids."""
        found: dict[str, Mapping[str, Any]] = {}
        places: dict[str, list[Link]] = {}
        for link in links:
            places.setdefault(self._place(link)[0].name, []).append(link)
        for name, mine in places.items():
            schema, renamed = self._place(mine[0])
            names = {t.name for x in mine for n in x.fields if (t := schema.get(renamed.get(n, n)))}
            names |= {t.name for t in self._keys()} if schema is self._schema else set()
            if any(x.addresses for x in mine):
                names |= {t.name for t in schema.fields.values() if t.type == "email"}
            records = self._client.select(["Id", *sorted(names)], name, "Id", [x.remote_id for x in mine])
            found |= {str(r["Id"])[:15]: r for r in records}
        return found

    def _names(self) -> set[str]:
        """Fields by which records are found: a converted lead's contact has them too."""
        return {t.name for t in self._shaper.matching.search}

    def _own_values(
        self, link: Link, record: Mapping[str, Any] | None, *, spared: Collection[str], with_key: bool
    ) -> dict[str, Any]:
        """Fields that hold what this sync put there, each with its blank; of those that are `spared` none, and no
        opt-out is ever taken back."""
        if record is None:
            return {}
        schema, renamed = self._place(link)
        empty: dict[str, Any] = {}
        for name, ours in link.fields.items():
            target = schema.get(renamed.get(name, name))
            if target is None or not target.updateable or target.required or target.type == "boolean":
                continue
            if target.name in spared or target.external_id or link.left_out.get(name) not in (None, STILL):
                continue
            if link.wanted(name, ours) or link.wanted(target.name, ours):
                continue
            theirs = record.get(target.name)
            if theirs not in (None, "") and same(target, ours, theirs):
                empty[target.name] = None
        uid = link.uid.casefold()
        # A contact that a lead became has a key of its own, if any.
        for key in self._keys() if with_key and schema is self._schema else ():
            if key.updateable and str(record.get(key.name) or "").casefold() == uid:
                empty[key.name] = None
        return empty

    def _keys(self) -> list[Field]:
        """The fields that may say whose record it is."""
        return [f for f in (self._schema.get(KEY_FIELD), self._shaper.matching.key) if f is not None]

    def _used(self, links: Iterable[Link]) -> set[str]:
        """Of accounts, those on which somebody else's records hang: deleting one takes them along."""
        by_id = {link.remote_id: link for link in links}
        return self._hanging(by_id, _BELOW) if self._schema.name == "Account" and by_id else set()

    def _merged(self, links: Sequence[Link]) -> set[str]:
        """Those into which somebody merged a record that is not the link's customer's: they are theirs as well, which
        core learns with their next delivery."""
        key = self._schema.get(KEY_FIELD)
        if self._schema.get("MasterRecordId") is None or not links:
            return set()
        by_id = {link.remote_id[:15]: link for link in links}
        columns = ["Id", "MasterRecordId", *([key.name] if key else [])]
        ids = [link.remote_id for link in links]
        try:
            gone = list(self._client.select(columns, self._schema.name, "MasterRecordId", ids, deleted=True))
        except Refused:
            return set()  # the user may not look into the Recycle Bin
        return {
            survivor
            for record in gone
            if (link := by_id.get(survivor := str(record["MasterRecordId"])[:15])) is not None
            and str((key and record.get(key.name)) or "").casefold() != link.uid.casefold()
        }

    def _hanging(self, by_id: Mapping[str, Link], names: Sequence[str]) -> set[str]:
        """Of the accounts `by_id`, those below which a record of `names` is not of the link's customer."""
        used: set[str] = set()
        for name in names:
            schema = self._catalog.find(name)
            if schema is None or schema.get("AccountId") is None:
                continue
            key = schema.get(KEY_FIELD)
            columns = ["Id", "AccountId", *([key.name] if key else [])]
            columns += ["IsPersonAccount"] if schema.get("IsPersonAccount") else []
            for record in self._client.select(columns, name, "AccountId", by_id):
                link = by_id.get(str(record["AccountId"]))
                if link is None or record.get("IsPersonAccount"):
                    continue
                mark = str(record.get(key.name) or "") if key else ""
                if not _belongs(mark, link, name):
                    used.add(link.remote_id[:15])
        return used

    # -- erasure

    def erase(self, link: Link) -> Erased:
        """Erase the person behind a link, with the records made for them.

        Raises Refused where Salesforce lets the record neither go nor be made nameless.
        """
        outcome = self._erase(link)
        if outcome.outcome == "deleted":
            self._erasures.note(link.remote_id)
        self._erase_all_made(link, forget=True)
        contact = link.remote_id[:15]
        for account in self._made.of([contact]).values():
            self._erase_made("Account", account, link)
        self._made.settle({contact: None})
        return outcome

    def _erase(self, link: Link) -> Erased:
        schema = self._catalog.find("Contact") if is_converted(self._schema, link) else self._schema
        if schema is None:
            return Erased("pending", "the connected user does not see the object any more")
        if not link.ours:
            return self._release(link, _why(link))
        if schema.name == "Account" and link.remote_id[:15] in self._used([link]):
            if (name := link.mapped.get("Name")) and not named_after(name, link.mapped):
                return self._release(link, "records of others hang on it")
            return self._anonymise(schema, link.remote_id, link)
        if schema is self._schema and self._merged([link]):
            return self._release(link, _MERGED_INTO)
        contact = self._contact_of(schema, link.remote_id)
        try:
            self._remove_one(schema, link.remote_id)
        except Refused as error:
            if error.problem.code not in GONE_CODES and error.status != 404:
                return self._anonymise(schema, link.remote_id, link)
        if contact:
            return Erased(
                "released", f"the lead is deleted; sales made contact {contact} of it, which is theirs and stays"
            )
        return Erased("deleted")

    def _contact_of(self, schema: Schema, lead: str) -> str | None:
        """What a lead was converted to, where no delivery has seen that yet."""
        if schema.name != "Lead" or schema.get("ConvertedContactId") is None:
            return None
        record = next(iter(self._client.select(["Id", "ConvertedContactId"], "Lead", "Id", [lead])), {})
        return str(record.get("ConvertedContactId") or "") or None

    def _remove_one(self, schema: Schema, record_id: str) -> None:
        try:
            self._client.remove(schema.name, record_id)
        except Refused as error:
            if schema.name != "Order" or error.problem.code in GONE_CODES or error.status == 404:
                raise
            self._client.change(schema.name, record_id, {"Status": "Draft"})
            self._client.remove(schema.name, record_id)

    def _release(self, link: Link, why: str) -> Erased:
        record = self._records([link]).get(link.remote_id[:15])
        # An address is a name by which the org knows the people it has of itself; of who is in a record that we made
        # none stays.
        empty = self._own_values(link, record, spared=self._names() if link.adopted else (), with_key=True)
        if not link.adopted:
            empty |= self._addresses_in(record or {}, link)
        if empty:
            self._client.change(self._place(link)[0].name, link.remote_id, empty)
        return Erased("released", _LET_GO.format(why=why) if empty else f"let go of: {why}")

    def _addresses_in(self, record: Mapping[str, Any], link: Link) -> dict[str, Any]:
        """Each address there of who is forgotten, with its blank."""
        schema, gone = self._place(link)[0], {fold(a) for a in link.addresses}
        held = {n: t for n, value in record.items() if fold(value) in gone and (t := schema.get(n)) is not None}
        return {n: None for n, t in held.items() if t.type == "email" and t.updateable and not t.required}

    def _anonymise(self, schema: Schema, record_id: str, link: Link) -> Erased:
        """Salesforce keeps the record (orders hang on it): nothing of the person stays in it."""
        values: dict[str, Any] = {}
        for name in (*link.fields, *link.mapped, KEY_FIELD, "FirstName", "Salutation"):
            target = schema.get(name)
            if target and target.updateable and not target.required and target.type not in ("boolean", "reference"):
                values[target.name] = None
        person = schema.get("LastName") is not None and (schema.name != "Account" or self._shaper.is_person)
        values["LastName" if person else "Name"] = NOBODY
        if not person:
            values = {n: v for n, v in values.items() if n not in ("FirstName", "LastName", "Salutation")}
        self._client.change(schema.name, record_id, values)
        return Erased("anonymised", "Salesforce keeps the record for what hangs on it; its name and values are erased")

    def _erase_all_made(self, link: Link, *, forget: bool) -> None:
        left = left_behind(link)
        for name in link.made.keys() - left.keys():
            self._erase_made(name, link.made[name], link)
        self._erase_left(link, {m: i for m, i in left.items() if i[:15] != link.remote_id[:15]}, forget=forget)

    def _erase_left(self, link: Link, left: Mapping[str, str], *, forget: bool) -> None:
        """Accounts named after the person, who left them: they go; where others are by now, who is forgotten is not
        named there any more."""
        schema = self._catalog.find("Account") if left else None
        if schema is None:
            return
        names = {
            str(a["Id"])[:15]: a["Name"] for a in self._client.select(["Id", "Name"], "Account", "Id", left.values())
        }
        for mark, record_id in left.items():
            name = names.get(record_id[:15])
            if name is None or mark_of(name) != mark:
                continue  # gone, or renamed since: theirs who did that
            account = evolve(link, object="Account", remote_id=record_id, fields={}, asked=None, made={})
            if not self._hanging({record_id: account}, _BELOW):
                self._erase_made("Account", record_id, account)
            elif forget:
                self._anonymise(schema, record_id, account)

    def _erase_made(self, name: str, record_id: str, link: Link) -> None:
        """A record made for the person: it goes, an account not where others were put into it or work on it."""
        schema = self._catalog.find(name)
        if schema is None:
            return
        made = evolve(link, object=name, remote_id=record_id, fields={}, asked=None, made={})
        contacts, foreign = self._inhabitants(schema, record_id) if name == "Account" else ([], False)
        foreign = foreign or (name == "Account" and bool(self._hanging({record_id: made}, _WORK)))
        try:
            if foreign:
                self._anonymise(schema, record_id, made)
                return
            for contact in contacts:
                # Else it would go with the account, whoever made it.
                self._client.change("Contact", contact, {"AccountId": None})
            self._remove_one(schema, record_id)
        except Refused as error:
            if error.problem.code in GONE_CODES or error.status == 404:
                return
            self._anonymise(schema, record_id, made)

    def _inhabitants(self, schema: Schema, record_id: str) -> tuple[list[str], bool]:
        """The contacts of an account, and whether any is another's than whose key the account carries."""
        contact = self._catalog.find("Contact")
        keys = [schema.get(KEY_FIELD), contact.get(KEY_FIELD) if contact else None]
        marked = all(keys)
        columns = ["Id", KEY_FIELD] if marked else ["Id"]
        account = next(iter(self._client.select(columns, schema.name, "Id", [record_id])), {})
        found = list(self._client.select(columns, "Contact", "AccountId", [record_id]))
        if not marked or not account.get(KEY_FIELD):
            return [str(c["Id"]) for c in found], len(found) > 1
        mark = str(account[KEY_FIELD]).casefold()
        others = [c for c in found if str(c.get(KEY_FIELD) or "").casefold() != mark]
        return [str(c["Id"]) for c in found], bool(others)


def _is_gone(result: Mapping[str, Any]) -> bool:
    return any(p.code in GONE_CODES for p in problems_of(result.get("errors")))


def _belongs(mark: str, link: Link, name: str) -> bool:
    """True for a record below an account that this sync made for the same customer."""
    source, _, rest = mark.casefold().partition(":")
    if source != link.source.casefold() or not rest:
        return False
    return name != "Contact" or rest == f"{link.entity}:{link.key}".casefold()
