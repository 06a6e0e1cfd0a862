"""What to write on a contact so that it holds the mapped fields and keeps everything else.

The sink remembers per contact which values it wrote itself (`own`). Those it may replace; what the owner or another
app wrote stays: parts they filled are left alone, and in repeated fields ours is added beside theirs.
"""

from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from typing import Any

from attrs import define, field

from synccore.errors import Rejected
from synccore.types import FieldOptions

from .mapping import Entries, Entry, Part, field_named, freeze, plain, whole
from .schema import RESERVED, SINGLE, WRITABLE

#: `clientData` key of the marker; its value is the operation's uid. The same value stands in `externalIds` under the
#: predefined type `customer`, should a program drop the first.
MARKER = "synccore.source"
EXTERNAL = "customer"
#: Where the marker stands: Person field, key that tells the entry, and its value there.
MARKED = (("clientData", "key", MARKER), ("externalIds", "type", EXTERNAL))


@define
class Merge:
    """The state of one merge.

    Attributes:
        person: the contact as Google has it; empty for a new one.
        own: flat field -> what we wrote there (a text for parts, entries for the rest).
        adopting: the contact is the owner's and is written for the first time: only what is empty is filled.
        mine: what was last asked for of this very record: ours where it stands there so.
        shared: the contact is another record's too: only what is `mine` or inherited gives way.
        inherited: fingerprints of what those wanted there whose place this record takes.
        theirs: fingerprints of what those others want there: it stays, also where it is mine.
        written: fingerprints of values that were written since what is known here: where something else stands by
            now, the owner changed it afterwards.
        fields: person field -> its new entries in full, only those that differ.
        kept: flat fields left as they are.
    """

    person: Mapping[str, Any]
    own: dict[str, Any]
    adopting: bool = False
    mine: Mapping[str, Any] = field(factory=dict)
    shared: bool = False
    inherited: Collection[str] = ()
    theirs: Collection[str] = ()
    written: Collection[str] = ()
    kept: list[str] = field(factory=list)
    _now: dict[str, list[Entry]] = field(factory=dict)

    @property
    def fields(self) -> dict[str, list[Entry]]:
        """The person fields that differ from what is there."""
        return {
            name: entries
            for name, entries in self._now.items()
            if freeze(entries) != freeze([plain(e) for e in self.person.get(name, ())])
        }

    def entries(self, person_field: str) -> list[Entry]:
        """The entries as they will be."""
        return self._now.setdefault(person_field, [plain(e) for e in self.person.get(person_field, ())])

    def apply(self, fields: Mapping[str, Any], changed: Collection[str], options: Mapping[str, FieldOptions]) -> None:
        """Merge the changed fields in. Raises Rejected for a name that is no field of a contact."""
        specs = {name: _spec(name) for name in fields if name in changed}
        keeping = {name for name in specs if name in options and options[name].keep_existing}
        # What is equal already is ours before anything is decided by whose the entry is: the order must not matter.
        # What is to be kept as it is stays the owner's.
        for name, spec in specs.items():
            if isinstance(spec, Part) and fields[name] is not None and name not in keeping:
                self._claim(spec, spec.text(fields[name]))
        for name, spec in specs.items():
            value, keep = fields[name], name in keeping
            done = self._part(spec, value, keep) if isinstance(spec, Part) else self._entries(spec, value, keep)
            if not done:
                self.kept.append(name)

    def gave_way(self, fields: Mapping[str, Any]) -> list[str]:
        """Fields of which another customer's value stands there, who has the contact too."""
        found = []
        for name, value in fields.items():
            spec = field_named(name)
            if isinstance(spec, Part) and value is not None:
                entry = self._own_entry(spec, self.entries(spec.person_field)) or {}
                there = str(entry.get(spec.key) or "")
                if there not in ("", spec.text(value)) and print_of(name, there) in self.theirs:
                    found.append(name)
        return found

    def let_go(self) -> None:
        """Take out what we wrote; where it is another record's too, what is `mine` or inherited."""
        empty = dict.fromkeys((*self.own, *self.mine))
        self.apply(empty, empty.keys(), {})

    def claim_addresses(self) -> None:
        """The record's own addresses are what we wrote, whoever they look like: contacts went into one another."""
        spec = field_named("email")
        assert isinstance(spec, Entries)  # noqa: S101  known from the mapping
        owned = list(self.own.get(spec.name, ()))
        known, mine = {spec.identity(e) for e in owned}, self._mine(spec)
        owned += [e for e in self.entries(spec.person_field) if spec.identity(e) in mine - known]
        if owned:
            self.own[spec.name] = owned

    # -- one entry, several fields

    def _claim(self, spec: Part, text: str) -> None:
        entry = self._own_entry(spec, self.entries(spec.person_field))
        if text and entry is not None and entry.get(spec.key) == text:
            self.own[spec.name] = text

    def _part(self, spec: Part, value: Any, keep: bool) -> bool:
        entries = self.entries(spec.person_field)
        entry = self._own_entry(spec, entries)
        text = spec.text(value) if value is not None else ""
        current = str(entry.get(spec.key) or "") if entry is not None else ""
        if current == text:
            return True
        if text and print_of(spec.name, text) in self.written:
            return False
        if current and (keep or not self._gives_way(spec, current, text)):
            return False
        if entry is None:
            if entries:
                return False
            entry = {}
            entries.append(entry)
        elif not current and entry and not self._owned(spec.person_field):
            return False
        self._set(spec, entries, entry, text, current)
        return True

    def _gives_way(self, spec: Part, current: str, text: str) -> bool:
        """Whether what stands there may be replaced: we wrote it, and for this record.

        Where the owner changed it since, the shop's next value wins; an empty one removes only what is still ours.
        """
        if not text and print_of(spec.name, current) in self.theirs:
            return False
        mine = self._text_of_mine(spec) == current or print_of(spec.name, current) in self.inherited
        if self.shared or spec.name not in self.own:
            return mine
        return bool(text) or mine or current == self.own[spec.name]

    def _text_of_mine(self, spec: Part) -> str:
        value = self.mine.get(spec.name)
        return spec.text(value) if value is not None else ""

    def _set(self, spec: Part, entries: list[Entry], entry: Entry, text: str, current: str) -> None:
        entry.pop("unstructuredName", None)
        # Of several companies on a shared contact `own` knows one, which may be the other record's.
        others = self.shared and self.own.get(spec.name, current) != current
        if text:
            entry[spec.key] = text
            if not others:
                self.own[spec.name] = text
            return
        entry.pop(spec.key, None)
        if not others:
            self.own.pop(spec.name, None)
        # An empty entry would blank the name in the list of contacts.
        if not any(v for k, v in entry.items() if k not in ("metadata", "type")):
            entries.remove(entry)

    def _own_entry(self, spec: Part, entries: list[Entry]) -> Entry | None:
        if not entries:
            return None
        if spec.person_field in SINGLE or len(entries) == 1:
            return entries[0]
        known = (self.mine, self.own) if self.shared else (self.own, self.mine)
        company = known[0].get("company") or known[1].get("company")
        former = (e for e in entries if print_of("company", e.get("name")) in self.inherited)
        return next(former, next((e for e in entries if company and e.get("name") == company), None))

    def _owned(self, person_field: str) -> bool:
        return any(
            isinstance(spec := field_named(name), Part) and spec.person_field == person_field for name in self.own
        )

    # -- one field, several entries

    def _entries(self, spec: Entries, value: Any, keep: bool) -> bool:
        entries = self.entries(spec.person_field)
        new = {spec.identity(e): e for e in (spec.build(value) if value is not None else ())}
        there = {spec.identity(e) for e in entries if spec.owns(e)}
        if spec.name not in self.own and new and there >= set(new):
            if spec.person_field in SINGLE:
                self.own[spec.name] = list(new.values())
            return True
        if there and (keep or (self.adopting and spec.name not in self.own)):
            return False
        if any(i not in there and print_of(spec.name, i) in self.written for i in new):
            return False
        owned = {spec.identity(e): e for e in self.own.get(spec.name, ())}
        old = {i: owned[i] for i in self._mine(spec) & owned.keys()} if self.shared else owned
        left = {i for i in old if i not in new and print_of(spec.name, i) in self.theirs}
        old = {i: entry for i, entry in old.items() if i not in left}
        result = self._replaced(spec, entries, old, new)
        if spec.person_field in SINGLE and len(result) > 1:
            return False  # the owner wrote something else there
        entries[:] = result
        others = [e for identity, e in owned.items() if identity not in old and identity not in new]
        ours = [*others, *(e for identity, e in new.items() if identity in owned or identity not in there)]
        if ours:
            self.own[spec.name] = ours
        else:
            self.own.pop(spec.name, None)
        return bool(new) or not left

    def _mine(self, spec: Entries) -> set[Any]:
        value = self.mine.get(spec.name)
        found = {spec.identity(e) for e in spec.build(value)} if value is not None else set()
        former = {spec.identity(e) for e in self.own.get(spec.name, ())} if self.inherited else set()
        return found | {i for i in former if print_of(spec.name, i) in self.inherited}

    @staticmethod
    def _replaced(
        spec: Entries, entries: list[Entry], old: Mapping[Any, Entry], new: Mapping[Any, Entry]
    ) -> list[Entry]:
        """Ours that are no longer wanted give way, in place, to those that are new; all others stay."""
        there = {spec.identity(e) for e in entries if spec.owns(e)}
        fresh = [e for identity, e in new.items() if identity not in there]
        result: list[Entry] = []
        for entry in entries:
            identity = spec.identity(entry)
            if not spec.owns(entry) or identity not in old or identity in new:
                result.append(_with_new_text(spec, entry, old, fresh))
            elif fresh:
                # The owner's own label on the entry ("mobile") survives.
                result.append({**{k: v for k, v in entry.items() if k in ("type", "metadata")}, **fresh.pop(0)})
        return [*result, *fresh]


def _with_new_text(spec: Entries, entry: Entry, old: Mapping[Any, Entry], fresh: list[Entry]) -> Entry:
    """A note the owner wrote around ours: only our part of it changes."""
    if spec.name != "notes" or len(old) != 1 or len(fresh) != 1:
        return entry
    ours = next(iter(old.values()))["value"]
    text = str(entry.get("value", ""))
    if not ours or ours not in text:
        return entry
    return {**entry, "value": text.replace(ours, fresh.pop()["value"], 1)}


def _spec(name: str) -> Part | Entries:
    spec = field_named(name)
    if spec is None:
        raise Rejected(f"{name} is no field of a contact: see the list in the plugin's README", [name])
    return spec


# -- markers ---------------------------------------------------------------------------------------------------------


def markers(person: Mapping[str, Any]) -> set[str]:
    """All markers on a contact, those of other shops included."""
    found = {str(d.get("value")) for d in person.get("clientData", ()) if d.get("key") == MARKER}
    found |= {str(d.get("value")) for d in person.get("externalIds", ()) if d.get("type") == EXTERNAL}
    return {m for m in found if m}


def is_guest(marker: str) -> bool:
    """Whether the marker is that of a buyer without an account."""
    return ":customer:guest:" in marker


def mark(merge: Merge, uid: str, inherited: Collection[str] = ()) -> None:
    """Put the marker on; those that are inherited give way."""
    unmark(merge, set(inherited) - {uid})
    for name, kind, value in MARKED:
        entries = merge.entries(name)
        if not any(e.get(kind) == value and e.get("value") == uid for e in entries):
            entries.append({kind: value, "value": uid})


def unmark(merge: Merge, uids: Collection[str]) -> None:
    """Take markers off."""
    for name, kind, value in MARKED:
        entries = merge.entries(name)
        entries[:] = [e for e in entries if not (e.get(kind) == value and e.get("value") in uids)]


def print_of(name: str, what: object) -> str:
    """The fingerprint of a value of a field: a text, or the identity of an entry."""
    return sha256(f"{name} {what!r}".encode()).hexdigest()[:6]


# -- what is left of ours --------------------------------------------------------------------------------------------


def surviving(own: Mapping[str, Any], person: Mapping[str, Any]) -> dict[str, Any]:
    """Of what we wrote, what a contact that was merged with another still holds: the rest is the owner's choice."""
    left: dict[str, Any] = {}
    for name, value in own.items():
        spec = field_named(name)
        if spec is None:
            continue
        entries = person.get(spec.person_field, ())
        if isinstance(spec, Part):
            if any(e.get(spec.key) == value for e in entries):
                left[name] = value
            continue
        there = {spec.identity(e) for e in entries if spec.owns(e)}
        if kept := [e for e in value if spec.identity(e) in there]:
            left[name] = kept
    return left


def looks_merged(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether another contact went into this one, of which Google does not always tell.

    Then something of which there is one has changed, and there are more of something else: a merge takes nothing away,
    while a write of ours, whose answer may have been lost, puts one value in another's place.
    """
    changed = any(_plain(before, name) != _plain(after, name) for name in SINGLE)
    return changed and any(_plain(after, name) > _plain(before, name) for name in WRITABLE if name not in _UNTYPED)


def same(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two states hold the same, labels left out: one contact under two names."""
    return all(_plain(before, name) == _plain(after, name) for name in WRITABLE if name != "memberships")


def bare(person: Mapping[str, Any]) -> bool:
    """Whether nothing stands on it but markers and labels."""
    typed = any(person.get(name) for name in WRITABLE if name not in (*RESERVED, "externalIds"))
    return not typed and all(e.get("type") == EXTERNAL for e in person.get("externalIds", ()))


def grown(before: Iterable[Mapping[str, Any]], after: Mapping[str, Any]) -> bool:
    """Whether something stands on it that stood on none of those it was before: another contact may have gone in."""
    known = list(before)
    typed = (name for name in WRITABLE if name not in RESERVED and name != "externalIds")
    return any(_plain(after, name) - {e for one in known for e in _plain(one, name)} for name in typed)


_UNTYPED = (*SINGLE, *RESERVED, "externalIds")


def _plain(person: Mapping[str, Any], name: str) -> set[Any]:
    return {whole(e) for e in person.get(name, ())}
