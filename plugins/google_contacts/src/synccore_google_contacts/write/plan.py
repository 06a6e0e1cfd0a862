"""Deciding per operation what Google needs to be told.

Each operation becomes a Work (create, update, delete), an outcome, or waits for the next wave: inside one batch no two
creates may be the same person.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from attrs import define, evolve, field

from synccore.errors import RateLimited, Rejected
from synccore.types import Link, Operation, Unchanged

from ..errors import AccountFull
from ..index import Index
from ..known import Own
from ..labels import MY_CONTACTS
from ..mapping import FLAT, MAX_LENGTH, cut_fields, field_named, wanted_emails, wanted_phones
from ..match.look import ending_as, unheard, waiting
from ..match.twin import ANOTHER, Match, find
from ..merge import Merge, bare, is_guest, mark, markers, surviving, unmark
from ..prints import built, prints_of, recalled, standing, tell, unknown
from ..round import Round, Work
from ..schema import WRITABLE, Person, contact_source
from ..whose import whose

#: Why a field was not written.
KEPT = "kept: the owner's own entry"
#: A contact to be let go of that is not there.
GONE = "the contact is gone already"
#: Setting of an operation that erases: the marker goes too.
ERASE = "erase"
#: How long to wait for what may turn up, and why.
_Ask = Callable[[Round, Operation], "tuple[timedelta, str] | None"]
#: Google's limit per contact (help page on contact limits).
MAX_BYTES = 128 * 1024


def plan(round_: Round, pending: Sequence[Operation]) -> tuple[list[Work], list[Operation]]:
    """What to write now, and the operations that have to wait for it."""
    planner = _Planner(round_, _Claims())
    for op in pending:
        if op.op == "delete" or op.gone:
            # All before the first: where two go from one contact, neither leaves it to the other.
            round_.index.bury(op.uid)
    works: list[Work] = []
    deferred: list[Operation] = []
    for op in pending:
        try:
            work = planner.upsert(op) if op.op == "upsert" else planner.end(op)
        except Rejected as error:
            round_.fail(op, error)
            continue
        if work is not None:
            works.append(work)
        elif op.id not in round_.outcomes:
            deferred.append(op)
    return works, deferred


@define(eq=False)
class _Planner:
    round: Round
    creating: "_Claims"
    #: Contact -> the operation of this wave it belongs to.
    taken: dict[str, int] = field(factory=dict)

    @property
    def index(self) -> Index:
        return self.round.index

    def upsert(self, op: Operation) -> Work | None:
        self.index.revive(op.uid)
        match = find(self.index, op, lambda name: self.taken.get(name, op.id) != op.id)
        if match.seems and self._waiting(op, unheard):
            return None
        if match.candidates:
            chosen = self._choose(op, match)
            if chosen is None:
                return None
            match = chosen
        if match.another:
            raise Rejected(ANOTHER)
        if match.name is not None:
            if self.taken.setdefault(match.name, op.id) != op.id:
                return None  # one person under two keys: one after the other
            return self._update(op, match)
        if self._waiting(op) or self._full(op):
            return None
        if self.creating.clash(op):
            return None
        self.creating.add(op)
        return self._create(op)

    def _choose(self, op: Operation, match: Match) -> Match | None:
        """Several contacts could be the customer."""
        choice = self.round.ambiguous(op)
        if choice == "first":
            return Match(match.candidates[0], "choice")
        if choice == "create":
            return Match()
        self.round.fail(
            op,
            Rejected(
                f"{len(match.candidates)} contacts could be this customer: {', '.join(match.candidates)}. "
                'Merge them in Google Contacts and retry, or set ambiguous = "create" or "first"'
            ),
        )
        return None

    def _waiting(self, op: Operation, ask: _Ask = waiting) -> bool:
        found = ask(self.round, op)
        if found is not None:
            self.round.fail(op, RateLimited(found[1], retry_after=found[0], scope="operation"))
        return found is not None

    def _full(self, op: Operation) -> bool:
        """Google said so a moment ago, in this very call. The next one asks anew: somebody may have made room."""
        if self.round.full:
            self.round.fail(op, AccountFull())
        return self.round.full

    def _label(self, op: Operation) -> str | None:
        return self.round.labels.named(self.round.label_name(op))

    def _create(self, op: Operation) -> Work:
        merge = Merge(person={}, own={})
        merge.apply(op.fields, op.fields.keys(), {})
        mark(merge, op.uid)
        tell(merge)
        label = self._label(op)
        groups = [MY_CONTACTS, *([label] if label else [])]
        body = {name: entries for name, entries in merge.fields.items() if entries}
        body["memberships"] = [{"contactGroupMembership": {"contactGroupResourceName": g}} for g in groups]
        _check_size(body)
        return Work(op, body=body, own=Own(merge.own, True, label, _wanted({}, op)), note=_note(op, op.fields, ()))

    def _update(self, op: Operation, match: Match) -> Work | None:
        name = match.name or ""
        person = self.index.person(name)
        before = self._own(op, name, person)
        own, link = self._recalled(op, before, person), op.link
        # On a contact that is another one than was written last, nothing is known to be there.
        known = link is not None and bool(link.fields) and link.remote_id == name
        ours = own.made and any(m.startswith(f"{op.source}:{op.entity}:") for m in markers(person))
        changed = op.changed if known else frozenset(op.fields)
        mine = link.mapped if link is not None else {}
        adopting = not known and not ours and not own.fields
        holders = whose(self.index, name)
        heirlooms = holders.inherited(op)
        # What one who is gone has there stays as well: they may come again.
        others = holders.everybody - heirlooms - {op.uid}
        theirs = holders.wanted(others)
        if any(not self.index.intents.open(uid) for uid in others - holders.wants.keys()):
            # Of another installation's customer nobody here knows what they want: what stands there may be theirs. One
            # whose own create was not answered is written once more.
            theirs |= standing(person)
        nobodys = set[str]()
        if op.uid in holders.everybody and others <= holders.wants.keys() and op.uid not in holders.wants:
            # Of this one nobody knew it until now, and the others left there what may have been theirs.
            nobodys = prints_of({"email": own.fields.get("email", ())}) - theirs
        merge = Merge(
            person=person, own=dict(own.fields), adopting=adopting, mine=mine, shared=bool(others),
            inherited=holders.wanted(heirlooms) | nobodys, theirs=theirs, written=unknown(own.fields, person),
        )  # fmt: skip
        merge.apply(op.fields, changed, op.options)
        if is_guest(op.uid) and not (wanted_emails(op.fields) or wanted_phones(op.fields)):
            # Emptied: the marker would confirm the address to whoever guesses it. The link still leads here.
            unmark(merge, {op.uid})
        else:
            mark(merge, op.uid, heirlooms)
        label = self._label(op)
        labelled = label is not None and _has_label(person, label)
        back = link is not None and link.left
        add = label if (label != own.label or back) and not labelled else None
        wants = {uid: prints for uid, prints in own.wants.items() if uid not in heirlooms}
        record = Own(merge.own, own.made, label if labelled else own.label, _wanted(wants, op))
        unchanged = {n: v for n, v in op.fields.items() if n not in changed}
        kept = self._kept(op, changed, [*merge.kept, *merge.gave_way(unchanged)])
        fields = _told(merge)
        if not fields and add is None:
            if record != before:
                self.index.store((), {name: record})
            self.round.unchanged(op, name, person, record, kept, _note(op, changed, kept))
            return None
        body = {**_stamp(person), **fields}
        _check_size({**person, **fields})
        return Work(
            op, name=name, body=body, mask=frozenset(fields), own=record, add=add, kept=kept,
            note=_note(op, changed, kept),
        )  # fmt: skip

    @staticmethod
    def _kept(op: Operation, changed: Collection[str], kept: Collection[str]) -> dict[str, str]:
        """Field -> why it was left as it is; what was left out before and did not change still is."""
        before = op.link.left_out if op.link is not None else {}
        found = dict.fromkeys(kept, KEPT)
        return found | {n: why for n, why in before.items() if n in op.fields and n not in changed}

    def _own(self, op: Operation, name: str, person: Mapping[str, Any]) -> Own:
        """What we wrote there; from the link where the index was lost and the contact is certainly ours."""
        own = self.index.own(name)
        if own is not None:
            return own
        made = self.index.made(name)
        if op.link is None or op.uid not in markers(person):
            return Own(made=made)
        return Own(surviving(built(op.link.fields), person), made)

    @staticmethod
    def _recalled(op: Operation, own: Own, person: Mapping[str, Any]) -> Own:
        """With what our prints on the contact tell; and with what an update without an answer was to write, where that
        stands there: a merge may have taken the prints."""
        link = op.link
        mapped = link.mapped if link is not None else {}
        found = recalled(own.fields, person, dict.fromkeys((*FLAT, *op.fields, *mapped)))
        held = {**link.fields, **{n: mapped.get(n) for n in link.left_out}} if link is not None else {}
        unsure = {n: value for n, value in mapped.items() if value is not None and held.get(n) != value}
        for name, value in surviving(built(unsure), person).items() if unsure else ():
            known = found.get(name, ()) if isinstance(value, list) else ()
            found[name] = [*(e for e in known if e not in value), *value] if isinstance(value, list) else value
        return evolve(own, fields=found)

    # -- letting go

    def end(self, op: Operation) -> Work | None:
        """The customer was deleted in the shop, or the route wants the record no longer."""
        policy = ending_as(self.round, op) or "keep"
        name = self.index.resolve(op.link.remote_id) if op.link is not None else ""
        if op.link is not None and name not in self.index and self._waiting(op):
            return None
        if op.link is None or name not in self.index:
            self.round.outcomes[op.id] = Unchanged(remote_id=name or None, fields={}, note=GONE)
            return None
        if self.taken.setdefault(name, op.id) != op.id:
            return None
        if policy == "keep":
            self.round.outcomes[op.id] = Unchanged(remote_id=name, fields={}, note="kept (on_delete = keep)")
            return None
        return self._let_go(op, op.link, name, policy)

    def _let_go(self, op: Operation, link: Link, name: str, policy: str) -> Work | None:
        """Take off or delete what is this record's alone."""
        person, own = self.index.person(name), self.index.own(name) or Own(made=self.index.made(name))
        own = self._recalled(op, own, person)
        erasing = bool(op.settings.get(ERASE, False))
        holders = whose(self.index, name)
        # Whoever goes does so as the guest they were as well, whose marker may stand there still.
        others = holders.beside(link, op.uid, as_guest=erasing) - holders.inherited(op)
        shared = link.shared > 1 or bool(others)
        if shared and not erasing:
            if (known := self.index.own(name)) is not None and known.fields != own.fields:
                # Who goes last takes it off, and has no link that would tell.
                self.index.store((), {name: own})
            note = "kept: another customer is this contact too"
            self.round.outcomes[op.id] = Unchanged(remote_id=name, fields={}, note=note)
            return None
        if policy == "delete" and own.made and not link.adopted and not shared:
            return Work(op, name=name, delete=True)
        theirs = holders.wanted(others).union(*(prints_of(built(fields)) for fields in link.others))
        # Also what the link does not know: it is made of the address alone where the record was let go of before.
        gone = holders.wanted({*holders.everybody, op.uid} - others) if erasing else set[str]()
        merge = Merge(
            person=person, own=dict(own.fields), mine=link.mapped, shared=shared, theirs=theirs, inherited=gone
        )
        if erasing and others:
            # Nobody types a stranger's address into a customer's contact: it came there when two were made one.
            merge.claim_addresses()
        if policy != "unlabel":
            merge.let_go()
        if erasing:
            unmark(merge, holders.everybody - others)
        if policy == "delete" and not (shared or link.adopted) and bare({**person, **merge.fields}):
            # All of it was ours: a restored backup may not know that the contact is.
            return Work(op, name=name, delete=True)
        label = None if shared else own.label or self._label(op)
        remove = label if label is not None and _has_label(person, label) else None
        note = _released(policy, shared=shared, ours=own.made and not link.adopted, label=remove is not None)
        fields = _told(merge)
        if not fields and remove is None:
            self.round.outcomes[op.id] = Unchanged(remote_id=name, fields={}, note=note)
            return None
        # What one who is gone wanted there tells later who came again.
        away = holders.everybody - others if erasing else set() if op.gone or op.op == "delete" else {op.uid}
        left = Own(merge.own, own.made, wants={uid: prints for uid, prints in own.wants.items() if uid not in away})
        return Work(op, name=name, body={**_stamp(person), **fields}, mask=frozenset(fields), own=left, remove=remove,
                    note=note)  # fmt: skip


def _released(policy: str, *, shared: bool, ours: bool, label: bool) -> str:
    if shared:
        return "let go of: another customer is this contact too"
    did = ["label taken off"] if label else ["it has no label of ours"]
    did += ["what synccore wrote is emptied"] if policy != "unlabel" else []
    did += ["the contact stays: the owner had it before"] if not ours else []
    return ", ".join(did)


def _check_size(person: Mapping[str, Any]) -> None:
    """Google takes 128 KB a contact and does not say which field is at fault."""
    sent = {name: person[name] for name in WRITABLE if person.get(name)}
    if len(json.dumps(sent)) < MAX_BYTES:
        return
    largest = max(sent, key=lambda name: len(json.dumps(sent[name])))
    name = next((n for n in FLAT if (spec := field_named(n)) and spec.person_field == largest), largest)
    raise Rejected(f"{name} is too large: Google takes {MAX_BYTES // 1024} KB per contact", [name])


@define
class _Claims:
    """What the creates of this wave will bring into being: a second operation that means the same person waits."""

    uids: set[str] = field(factory=set)
    emails: set[str] = field(factory=set)
    #: Number -> whether any of those who will have it has no address.
    phones: dict[str, bool] = field(factory=dict)

    def clash(self, op: Operation) -> bool:
        emails = set(wanted_emails(op.fields))
        if op.uid in self.uids or emails & self.emails:
            return True
        return any(self.phones.get(p, False) or (p in self.phones and not emails) for p in wanted_phones(op.fields))

    def add(self, op: Operation) -> None:
        emails = set(wanted_emails(op.fields))
        self.uids.add(op.uid)
        self.emails |= emails
        for phone in wanted_phones(op.fields):
            self.phones[phone] = self.phones.get(phone, False) or not emails


def _told(merge: Merge) -> dict[str, list[dict[str, Any]]]:
    """What is to be written; where that is anything, with what is ours from then on."""
    if merge.fields:
        tell(merge)
    return merge.fields


def _wanted(wants: Mapping[str, list[str]], op: Operation) -> dict[str, list[str]]:
    return {**wants, op.uid: sorted(prints_of(built(op.fields)))}


def _note(op: Operation, written: Collection[str], kept: Collection[str]) -> str | None:
    """What the audit trail is to say beside the outcome."""
    cut = cut_fields({n: v for n, v in op.fields.items() if n in written and n not in kept})
    notes = []
    if kept:
        notes.append(f"left as they are: {', '.join(sorted(kept))}")
    if cut:
        notes.append(f"cut to {MAX_LENGTH:,} characters: {', '.join(cut)}")
    return "; ".join(notes) or None


def _stamp(person: Mapping[str, Any]) -> Person:
    """What an update must send back of the contact, exactly as read: both etags."""
    return {
        "resourceName": person.get("resourceName"),
        "etag": person.get("etag"),
        "metadata": {"sources": [contact_source(person)]},
    }


def _has_label(person: Mapping[str, Any], label: str) -> bool:
    return any(
        (m.get("contactGroupMembership") or {}).get("contactGroupResourceName") == label
        for m in person.get("memberships", ())
    )
