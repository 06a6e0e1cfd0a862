"""Deciding per operation what Google needs to be told.

Each operation becomes a Work (create, update, delete), an outcome, or waits for the next wave: inside one batch no two
creates may be the same person.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from attrs import define, field

from synccore.errors import RateLimited, Rejected
from synccore.types import Operation, Unchanged

from ..errors import AccountFull
from ..index import Index, Own
from ..labels import MY_CONTACTS
from ..mapping import MAX_LENGTH, Part, cut_fields, field_named, wanted_emails, wanted_phones
from ..match import Match, find
from ..merge import Merge, mark, markers
from ..schema import Person, contact_source
from .round import Round, Work

#: After Google said that the account is full, creates fail without a call for so long: no more than it takes a person
#: to make room and retry.
FULL_FOR = timedelta(minutes=1)
#: Lost creates that are also looked for by search (two reads each); more are left to the listing.
SEARCHES = 6


def prepare(round_: Round) -> None:
    """Know the account well enough to tell what is there already."""
    index = round_.index
    creates = [op for op in round_.operations if op.op == "upsert" and op.link is None]
    unsure = [op for op in creates if op.maybe_applied or index.intended(op.uid)]
    index.sync(now=bool(unsure))
    lost = [op for op in unsure if not index.with_marker(op.uid)]
    if lost and len(lost) <= SEARCHES:
        _search(round_, lost)
    linked = {index.resolve(op.link.remote_id) for op in round_.operations if op.link is not None}
    unknown = sorted(n for n in linked if n not in index)
    if unknown:
        # Not in the listing is not gone: a listing lags behind, a read by name does not.
        index.store(round_.people.batch_get(unknown).values())


def _search(round_: Round, lost: Sequence[Operation]) -> None:
    """Look for lost creates in Google's other index; it cannot be asked for a marker."""
    round_.people.search("")  # fills Google's cache
    for op in lost:
        for email in wanted_emails(op.fields)[:1]:
            found = [p for p in round_.people.search(email) if op.uid in markers(p)]
            round_.index.store(found)


def waiting(round_: Round, op: Operation) -> timedelta | None:
    """How long to wait because a create of this very record may still show up; None: no need."""
    lost = round_.index.left(op.uid)
    if lost is None:
        return None
    age, left = lost
    return min(left, max(timedelta(seconds=2), age)) if left > timedelta(0) else None


def plan(round_: Round, pending: Sequence[Operation]) -> tuple[list[Work], list[Operation]]:
    """What to write now, and the operations that have to wait for it."""
    planner = _Planner(round_, _Claims())
    works: list[Work] = []
    deferred: list[Operation] = []
    for op in pending:
        try:
            work = planner.delete(op) if op.op == "delete" else planner.upsert(op)
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
        match = find(self.index, op, lambda name: self.taken.get(name, op.id) != op.id)
        if match.candidates:
            chosen = self._choose(op, match)
            if chosen is None:
                return None
            match = chosen
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
        choice = op.settings.get("ambiguous") or self.round.config.ambiguous
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

    def _waiting(self, op: Operation) -> bool:
        wait = waiting(self.round, op)
        if wait is None:
            return False
        text = "the answer to a create was lost: waiting until Google's listing would show the contact"
        self.round.fail(op, RateLimited(text, retry_after=wait, scope="operation"))
        return True

    def _full(self, op: Operation) -> bool:
        since = self.index.state.get("full")
        if since is None or self.round.context.clock.now().timestamp() - since > FULL_FOR.total_seconds():
            return False
        self.round.fail(op, AccountFull())
        return True

    def _label(self, op: Operation) -> str | None:
        return self.round.labels.named(self.round.label_name(op))

    def _create(self, op: Operation) -> Work:
        merge = Merge(person={}, own={})
        merge.apply(op.fields, op.fields.keys(), {})
        mark(merge, op.uid)
        label = self._label(op)
        groups = [MY_CONTACTS, *([label] if label else [])]
        body = {name: entries for name, entries in merge.fields.items() if entries}
        body["memberships"] = [{"contactGroupMembership": {"contactGroupResourceName": g}} for g in groups]
        return Work(op, body=body, own=Own(merge.own, made=True, label=label), note=_note(op, op.fields, ()))

    def _update(self, op: Operation, match: Match) -> Work | None:
        name = match.name or ""
        person = self.index.person(name)
        own = self._own(op, name, person)
        known = op.link is not None and bool(op.link.fields)
        ours = own.made and any(m.startswith(f"{op.source}:{op.entity}:") for m in markers(person))
        changed = op.changed if known else frozenset(op.fields)
        merge = Merge(person=person, own=dict(own.fields), adopting=not known and not ours)
        merge.apply(op.fields, changed, op.options)
        mark(merge, op.uid)
        label = self._label(op)
        labelled = label is not None and _has_label(person, label)
        add = label if label != own.label and not labelled else None
        record = Own(merge.own, made=own.made, label=label if labelled else own.label)
        note = _note(op, changed, merge.kept)
        fields = merge.fields
        if not fields and add is None:
            if record != own:
                self.index.store((), {name: record})
            etag = contact_source(person).get("etag")
            self.round.outcomes[op.id] = Unchanged(remote_id=name, etag=etag, note=note)
            return None
        body = {**_stamp(person), **fields}
        return Work(op, name=name, body=body, mask=frozenset(fields), own=record, add=add, note=note)

    def _own(self, op: Operation, name: str, person: Mapping[str, Any]) -> Own:
        """What we wrote there; from the link where the index was lost and the contact is certainly ours."""
        own = self.index.own(name)
        if own is not None:
            return own
        if op.link is None or op.uid not in markers(person):
            return Own()
        fields: dict[str, Any] = {}
        for field_name, value in op.link.fields.items():
            spec = field_named(field_name)
            if spec is not None and value is not None:
                fields[field_name] = spec.text(value) if isinstance(spec, Part) else spec.build(value)
        return Own(fields)

    def delete(self, op: Operation) -> Work | None:
        policy = op.settings.get("on_delete") or self.round.config.on_delete
        name = self.index.resolve(op.link.remote_id) if op.link is not None else ""
        if op.link is None or name not in self.index:
            self.round.outcomes[op.id] = Unchanged(remote_id=name or None, note="the contact is gone already")
            return None
        own = self.index.own(name) or Own()
        if policy == "keep":
            self.round.outcomes[op.id] = Unchanged(remote_id=name, note="kept (on_delete = keep)")
            return None
        if self.index.markers_of(name) - {op.uid}:
            self.round.outcomes[op.id] = Unchanged(remote_id=name, note="kept: another customer is this contact too")
            return None
        if policy == "delete" and own.made:
            return Work(op, name=name, delete=True)
        note = "label taken off" if policy == "unlabel" else "label taken off: the owner had this contact before"
        label = own.label or self._label(op)
        if label is None or not _has_label(self.index.person(name), label):
            self.round.outcomes[op.id] = Unchanged(remote_id=name, note="kept: it has no label of ours")
            return None
        return Work(op, name=name, remove=label, own=Own(own.fields, made=own.made), note=note)


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
