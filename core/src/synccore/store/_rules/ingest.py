"""Taking changes in: what is new becomes snapshot and debt in one transaction, everything else leaves no trace."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from attrs import evolve

from ...entities import Customer, Entity, guest_key
from ...types import Change, EntityRef, Op
from .. import codec, hinting, sql
from .._convert import from_ms, history_values, to_ms
from ..engine import Row, Transaction
from ..rows import DirtyRule, HistoryEntry, Ingest, Ingested, email_digest, email_of, made_from
from .facts import Facts
from .hints import ask_after_namesakes, ask_alone, end_hint, give_hint, put_unreadable, waiting_for
from .lending import Lending
from .namesakes import FORMER_EMAIL
from .owing import owe
from .pen import Pen
from .people import key_digest
from .precedence import Precedence, kept, older
from .takeover import move

__all__ = ["ingest"]

_Fate = Literal["accepted", "unchanged", "stale", "forgotten", "hinted"]


def ingest(tx: Transaction, batch: Sequence[Ingest], now: int, leases_begin: Callable[[], int]) -> list[Ingested]:
    """Take several units, as if their changes were those of one; the caller commits."""
    pen = Pen(tx)
    lending = Lending(tx, (loan for unit in batch for loan in unit.loans), now, leases_begin)
    facts = {
        source: Facts(pen, source, [unit for unit in batch if unit.source == source])
        for source in dict.fromkeys(unit.source for unit in batch)
    }
    taken = [_Intake(pen, unit, now, facts[unit.source], lending).take() for unit in batch]
    pen.flush()
    lent, short = lending.close(pen.lent)
    if lent or short:
        taken[-1] = evolve(taken[-1], lent=lent, sinks=taken[-1].sinks | short)
    return taken


class _Intake:
    """One unit on its way in."""

    def __init__(self, pen: Pen, unit: Ingest, now: int, facts: Facts, lending: Lending) -> None:
        self._tx = pen
        self._unit = unit
        self._now = now
        self._facts, self._lending = facts, lending
        #: The record that is taken in right now, where nothing was known of it.
        self._new: str | None = None
        #: Whether a lane of this process was lent it.
        self._leased = False
        self._dirtied = 0
        #: Whether what is taken in right now is the past.
        self._past = unit.bulk
        self._sinks: set[str] = set()
        self._sweeps = self._open_sweeps()
        self._order = Precedence(unit, now)
        #: Records to be asked for alone, and when.
        self._asks: dict[tuple[str, str], int] = {}
        #: Whose place another one had taken, and who are their own again: a create from before is unanswered for.
        self._again: set[tuple[str, str]] = set()
        #: Who has another address than before.
        self._moved: list[dict[str, str]] = []

    def take(self) -> Ingested:
        forced = self._tx.touched[sql.OWE_ANYWAY]
        fates = Counter(map(self._take, self._unit.changes))
        for record in self._unit.unreadable:
            put_unreadable(self._tx, self._unit.source, record, now=self._now)
            self._facts.unread = True
            if record.key is not None:
                fates[self._take(Change(entity=record.entity, key=record.key, op="touch"))] += 1
        for hint in self._unit.answers:
            self._sinks |= end_hint(self._tx, hint)
        for (entity, key), due in self._asks.items():
            ask_alone(self._tx, self._unit.source, entity, key, due=due, now=self._now)
        if self._unit.cursor is not None:
            name, value = self._unit.cursor
            values = {"source": self._unit.source, "name": name, "value": value, "now": self._now}
            self._tx.execute(sql.PUT_CURSOR, values)
        if self._moved:
            self._tx.executemany(FORMER_EMAIL, self._moved)
        if self._unit.force:
            # What did not change may be owed already: only writing it tells.
            self._tx.flush()
            self._dirtied += self._tx.touched[sql.OWE_ANYWAY] - forced
        return Ingested(
            accepted=fates["accepted"],
            unchanged=fates["unchanged"],
            stale=fates["stale"],
            forgotten=fates["forgotten"],
            hinted=fates["hinted"] + len(self._asks),
            unreadable=len(self._unit.unreadable),
            dirtied=self._dirtied,
            sinks=frozenset(self._sinks),
        )

    def _take(self, change: Change) -> _Fate:
        self._new, self._past = None, self._unit.bulk and self._is_past(change)
        if change.op == "event":
            if change.data is None or change.event_id is None:
                raise ValueError(f"an event needs data and event_id: {change.entity} {change.key}")
            if self._is_forgotten(change, change.data):
                return "forgotten"
            return self._event(change, change.data, change.event_id)
        if change.op in ("touch", "forget"):
            return self._hint(change)
        if change.op == "delete":
            return self._delete(change)
        if change.data is None:
            raise ValueError(f"an upsert needs data: {change.entity} {change.key}")
        forgotten = self._is_forgotten(change, change.data)
        # Of whom nothing is kept, no mark is either; what is kept was seen, though its news are not taken.
        if self._sweeps and not (forgotten and self._snapshot(change.entity, change.key) is None):
            self._mark_seen(change)
        return "forgotten" if forgotten else self._upsert(change, change.data)

    def _hint(self, change: Change) -> _Fate:
        if (change.entity, change.key) in self._order.answered:
            # The answer to a hint that gives it again: the record cannot be read, and asking once more does not help.
            return "unchanged"
        give_hint(self._tx, self._unit.source, change, bulk=self._unit.bulk, now=self._now)
        if not self._was_forgotten(change):  # what comes of asking is written down, and mostly nothing does
            self._received(change)
        return "hinted"

    # -- the three kinds of change

    def _event(self, change: Change, data: Entity, event_id: str) -> _Fate:
        owner = self._owner(change, data)
        values = self._values(change, email_of(data), codec.Written(data), owner)
        values |= {"event_id": event_id, "at": self._at(change)}
        new = self._tx.execute(sql.PUT_EVENT, values).rowcount > 0
        event = self._tx.execute(sql.EVENT, values).fetchone()["id"]
        late = new and not change.late_ok and self._is_history(change)
        for rule in self._rules(change.entity):
            if rule.target == "self" and (new or rule.route in self._unit.force):
                self._owe_event(rule, change.key, event, owner, late=late, bulk=self._past if new else self._unit.bulk)
            elif rule.target == "owner" and new and owner is not None:
                self._dirty_owner(rule, owner)
        if new and not late:
            self._received(change)
        return "stale" if late else "accepted" if new else "unchanged"

    def _is_history(self, change: Change) -> bool:
        """Whether a fact was made from a state that is long over: no news any more."""
        known = self._snapshot(change.entity, change.key)
        return known is not None and older(change.version, known["version"])

    def _delete(self, change: Change) -> _Fate:
        known = self._snapshot(change.entity, change.key)
        if known is None:
            return "unchanged"
        if self._order.is_outdated(change, known):
            return self._leave(change, known, differs=not known["deleted"])
        buried = {
            "id": known["id"],
            "version": kept(change, known),
            "replaced_by": known["replaced_by"],
            "changed_at": self._at(change),
            "known_at": self._order.known_at,
            "now": self._now,
        }
        if known["deleted"]:
            if change.version is not None and change.version != known["version"]:
                self._put(sql.BURY_SNAPSHOT, change, buried | {"changed_at": known["changed_at"]})
            return "unchanged"
        self._put(sql.BURY_SNAPSHOT, change, buried)
        # Whose that is by now only the source knows: an order of an account that is gone is a guest's.
        self._asks |= dict.fromkeys(waiting_for(self._tx, self._unit.source, change.entity, change.key), self._now)
        self._dirty(change.entity, change.key, "delete", [_owner_of(known), change.owner])
        self._received(change)
        return "accepted"

    def _upsert(self, change: Change, data: Entity) -> _Fate:
        known = self._snapshot(change.entity, change.key)
        if self._taken_over(change, data, known):
            return "stale"
        if self._facts.unread:
            self._tx.execute(
                hinting.READ_AFTER_ALL, {"source": self._unit.source, "entity": change.entity, "key": change.key}
            )
        owner, written = self._owner(change, data), codec.Written(data)
        fingerprint = written.fingerprint
        if known is not None and self._order.is_outdated(change, known):
            return self._leave(change, known, differs=not _same(known, fingerprint, owner))
        moved, taken = self._take_over(change)
        if known is not None and _same(known, fingerprint, owner):
            # A listing of the past that finds nothing new writes nothing.
            if not self._unit.bulk or (change.version is not None and change.version != known["version"]):
                values = self._values(change, None, written, owner) | {"version": kept(change, known)}
                self._put(sql.TOUCH_SNAPSHOT, change, values | {"id": known["id"]})
            if not moved and not self._may_have_been_another(change, known):
                self._dirty_forced(change.entity, change.key, owner)
                return "unchanged"
            email = email_of(data)
        else:
            email = email_of(data)
            values = self._values(change, email, written, owner)
            values |= {"fingerprint": fingerprint, "changed_at": self._at(change), "version": kept(change, known)}
            self._put(sql.PUT_SNAPSHOT, change, values)
        if known is not None and known["replaced_by"] is not None:
            self._again.add((change.entity, change.key))
        before = None if known is None or known["deleted"] else known["data"]
        person = change.entity == Customer.entity
        moves = person and (known is None or known["email"] != email)
        asks = person and (before is None or moves) and self._is_news()
        if asks and email is not None and self._facts.may_be_shared(email):
            ask_after_namesakes(self._tx, self._unit.source, change, email, now=self._now)
        self._new, self._leased = change.key if known is None and not change.replaces else None, False
        self._dirty(change.entity, change.key, "upsert", [_owner_of(known), owner], before)
        if self._leased:
            written.expect(values["data"])
        if moves and known is not None and known["email"] is not None:
            place = {"source": self._unit.source, "entity": change.entity, "key": change.key}
            self._moved.append(place | {"email": known["email"], "taken": codec.dump_json(taken)})
        self._received(change)
        return "accepted"

    def _may_have_been_another(self, change: Change, known: Row) -> bool:
        """After a restore: whether the record changed since the backup and back, and targets have what was between."""
        return self._facts.doubt and (change.version is None or change.version != known["version"])

    def _is_news(self) -> bool:
        """Not a listing of the past, whose every record is new here; a comparison is one of what is now."""
        return not self._unit.bulk or bool(self._sweeps)

    def _is_past(self, change: Change) -> bool:
        """Whether a listing brings nothing new to tell of: it was so before all was listed for the first time."""
        since = self._facts.news_since.get(change.entity)
        if since is None or change.op in ("touch", "forget"):
            return True
        known = None if change.op == "event" else self._snapshot(change.entity, change.key)
        if change.at is None:
            # Without a date only what was known before shows that it is new.
            return known is None or change.op == "event"
        later = known is None or change.op == "delete" or to_ms(change.at) > int(known["changed_at"])
        return not later or to_ms(change.at) < since

    def _leave(self, change: Change, known: Row, *, differs: bool) -> _Fate:
        """What is known stands. Where it is the version alone that says so, the source is asked for the record: that
        bears its date, and a clock may be set back."""
        if change.op == "upsert" and not known["deleted"]:
            self._dirty_forced(change.entity, change.key, _owner_of(known))
        due = self._order.asks_at(change, known) if differs else None
        if due is not None:
            self._asks[change.entity, change.key] = due
        return "stale"

    def _values(
        self, change: Change, email: str | None, written: codec.Written, owner: EntityRef | None
    ) -> dict[str, Any]:
        return {
            "source": self._unit.source,
            "entity": change.entity,
            "key": change.key,
            "data": written.text,
            "version": change.version,
            "owner_entity": owner and owner.entity,
            "owner_key": owner and owner.key,
            "email": email,
            "known_at": self._order.known_at,
            "now": self._now,
        }

    # -- owing

    def _rules(self, entity: str) -> Sequence[DirtyRule]:
        return self._unit.rules.get(entity, ())

    def _dirty(
        self, entity: str, key: str, op: Op, owners: Iterable[EntityRef | None], before: str | None = None
    ) -> None:
        for rule in self._rules(entity):
            if rule.target == "self":
                self._owe(rule, key, op, before=before)
                continue
            for owner in dict.fromkeys(owner for owner in owners if owner is not None):
                self._dirty_owner(rule, owner)

    def _dirty_forced(self, entity: str, key: str, owner: EntityRef | None) -> None:
        for rule in self._rules(entity):
            if rule.route not in self._unit.force:
                continue
            if rule.target == "self":
                self._owe(rule, key, "upsert", changed=False)
            elif owner is not None:
                self._dirty_owner(rule, owner, changed=False)

    def _dirty_owner(self, rule: DirtyRule, owner: EntityRef, *, changed: bool = True) -> None:
        if owner.entity == rule.entity:
            row = self._snapshot(owner.entity, owner.key)
            # An owner that is not known yet sees what it includes when it arrives.
            keys = [owner.key] if row is not None and not row["deleted"] else []
        else:
            # The route maps a record with the same owner: all of those see the change.
            keys = [row["key"] for row in self._tx.execute(sql.OWNED, self._owned(owner, rule.entity)).fetchall()]
        for key in keys:
            self._owe(rule, key, "upsert", changed=changed)

    def _owe(self, rule: DirtyRule, key: str, op: Op, *, changed: bool = True, before: str | None = None) -> None:
        unit = self._unit
        lendable = key == self._new and rule.target == "self" and self._past and not self._facts.doubt
        lease = self._lending.lease(rule, unit.source) if lendable else None
        doubt = self._facts.doubt or (rule.entity, key) in self._again
        new = owe(
            self._tx,
            rule,
            unit.source,
            key,
            op,
            bulk=self._past or (unit.bulk and not changed),
            now=self._now,
            changed=changed,
            before=before,
            doubt=2 if changed and self._facts.doubt else int(doubt),
            made_from=None if changed or self._facts.doubt else self._made_from(rule, key),
            lease=lease,
        )
        if changed:
            self._dirtied += new
        if lease is None:
            self._sinks.add(rule.sink)
        else:
            self._leased = True

    def _made_from(self, rule: DirtyRule, key: str) -> str | None:
        known = self._snapshot(rule.entity, key)
        if rule.made_by is None or known is None:
            return None
        ref = _owner_of(known)
        owner = None if ref is None else self._snapshot(ref.entity, ref.key)
        return made_from(rule.made_by, (known["fingerprint"], "" if owner is None else owner["fingerprint"]))

    def _owe_event(
        self, rule: DirtyRule, key: str, event: int, owner: EntityRef | None, *, late: bool, bulk: bool
    ) -> None:
        values = {
            "route": rule.route,
            "sink": rule.sink,
            "source": self._unit.source,
            "entity": rule.entity,
            "key": key,
            "bulk": int(bulk),
            "event": event,
            "outcome": "late" if late else None,
            "owner_entity": owner and owner.entity,
            "owner_key": owner and owner.key,
            "doubt": int(self._facts.doubt),
            "now": self._now,
        }
        if self._tx.execute(sql.GIVE_EVENT, values).rowcount > 0 and not late:
            self._tx.execute(sql.OWE_EVENT, values)
            self._dirtied += 1
            self._sinks.add(rule.sink)

    def _received(self, change: Change) -> None:
        """The first line of a record's trail. A listing of the past would only repeat what `delivered` says."""
        if self._past:
            return
        entry = HistoryEntry(
            at=from_ms(self._now),
            route="",
            sink="",
            source=self._unit.source,
            entity=change.entity,
            key=change.key,
            op=change.op,
            outcome="received",
        )
        self._tx.later(sql.ADD_HISTORY, history_values(entry))

    # -- whose it is

    def _owner(self, change: Change, data: Entity) -> EntityRef | None:
        """The owner, or the account that took a guest's place."""
        owner = change.owner
        if owner is None:
            return None
        known = self._snapshot(owner.entity, owner.key)
        if known is not None and not known["deleted"]:
            return owner
        account = self._successor(owner.entity, owner.key, known, email_of(data))
        return owner if account is None else EntityRef(owner.entity, account)

    def _taken_over(self, change: Change, data: Entity, known: Row | None) -> bool:
        """Whether this is a guest whose account is known: the account speaks for both."""
        if known is not None and not known["deleted"]:
            return False
        if not (isinstance(data, Customer) and data.guest) and (known is None or known["replaced_by"] is None):
            return False
        return self._successor(change.entity, change.key, known, email_of(data)) is not None

    def _successor(self, entity: str, key: str, known: Row | None, email: str | None) -> str | None:
        """The live record that took the place of `key`, as long as it has the same address."""
        if known is not None and known["replaced_by"] is not None:
            account = self._snapshot(entity, known["replaced_by"])
            if account is not None and not account["deleted"] and account["email"] == known["email"]:
                return str(account["key"])
        if entity == Customer.entity and email is not None and key == guest_key(email):
            row = self._tx.execute(sql.ACCOUNT_BY_EMAIL, {"source": self._unit.source, "email": email}).fetchone()
            return None if row is None else str(row["key"])
        return None

    def _take_over(self, change: Change) -> tuple[bool, list[str]]:
        """Move what belonged to the replaced keys here; whether there was anything, and on which routes twins were."""
        moved = False
        taken: list[str] = []
        for old in change.replaces:
            known = self._snapshot(change.entity, old) if old != change.key else None
            if known is not None and not known["deleted"]:
                taken += move(
                    self._tx, known, change.key, self._unit.rules, now=self._now, known_at=self._order.known_at
                )
                self._facts.known.clear()
                moved = True
        return moved, taken

    # -- looking

    def _snapshot(self, entity: str, key: str) -> Row | None:
        return self._facts.snapshot(entity, key)

    def _put(self, statement: str, change: Change, values: dict[str, Any]) -> None:
        """Write a record's row; whoever asks for it again reads it anew."""
        self._facts.known.pop((change.entity, change.key), None)
        self._tx.later(statement, values)

    def _owned(self, owner: EntityRef, entity: str) -> dict[str, Any]:
        return {
            "source": self._unit.source,
            "owner_entity": owner.entity,
            "owner_key": owner.key,
            "entity": entity,
        }

    def _at(self, change: Change) -> int:
        return self._now if change.at is None else to_ms(change.at)

    def _is_forgotten(self, change: Change, data: Entity) -> bool:
        """Whether this is about a person who asked to be forgotten."""
        if not self._facts.tombstones:
            return False
        digests = []
        if (email := email_of(data)) is not None:
            digests.append(email_digest(email))
        # Whatever address it bears: one that they had before, or of whoever it is billed to.
        if (owner := change.owner) is not None and self._snapshot(owner.entity, owner.key) is None:
            digests.append(key_digest(self._unit.source, owner.entity, owner.key))
        return any(self._tombstone(d) is not None for d in digests) or self._is_from_before(change)

    def _was_forgotten(self, change: Change) -> bool:
        """Whether a record that is only named is of somebody who was forgotten."""
        digest = key_digest(self._unit.source, change.entity, change.key)
        return self._facts.tombstones and self._tombstone(digest) is not None

    def _is_from_before(self, change: Change) -> bool:
        """Whether this is how somebody was before they were forgotten, with whatever address they had then."""
        if change.entity != Customer.entity or self._snapshot(change.entity, change.key) is not None:
            return False
        forgotten = self._tombstone(key_digest(self._unit.source, change.entity, change.key))
        return forgotten is not None and (self._order.read_at or self._at(change)) < forgotten

    def _tombstone(self, digest: str) -> int | None:
        """When that one was forgotten."""
        row = self._tx.execute("SELECT at FROM tombstone WHERE digest = ?", (digest,)).fetchone()
        return None if row is None else int(row["at"])

    # -- full comparisons

    def _open_sweeps(self) -> Sequence[str]:
        source, wanted, names = self._unit.source, self._unit.sweep, self._facts.sweeps
        if wanted is not None and wanted not in names:
            self._tx.execute(
                "INSERT INTO sweep SELECT ?, ?, coalesce(max(id), 0), ? FROM snapshot", (source, wanted, self._now)
            )
            names.append(wanted)
        return names

    def _mark_seen(self, change: Change) -> None:
        # Whatever arrives while a comparison runs exists, wherever it was learned from.
        for name in self._sweeps:
            values = {"source": self._unit.source, "name": name, "entity": change.entity, "key": change.key}
            self._tx.later(sql.MARK_SEEN, values)


def _same(known: Row, fingerprint: str, owner: EntityRef | None) -> bool:
    return not known["deleted"] and known["fingerprint"] == fingerprint and _owner_of(known) == owner


def _owner_of(row: Row | None) -> EntityRef | None:
    return None if row is None or row["owner_key"] is None else EntityRef(row["owner_entity"], row["owner_key"])
