"""After a lost answer: what is there is asked for before a create is sent again, or given up."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import evolve

from ..entities import Customer, guest_key
from ..errors import MappingError, Rejected
from ..store import Settlement, Store, StoreError, Work, together
from ..types import Ambiguous, Clock, Failed, Link, LookupResult, Operation, Retry, Skip
from .calls import Caller
from .halving import twin
from .heirs import SHARED
from .prepare import NEVER, Preparer
from .settle import Settler
from .steps import Item

__all__ = ["Doubtful"]

#: What the target is asked about before it is done.
_ASKED = ("upsert", "delete")

ASKED = "addresses go round: the target was asked what an earlier try made there"
UNSEEN = "the replaced database may have made it: waits until the target would show that, until {:%H:%M} UTC"


class Doubtful:
    """Finds what a create without an answer may have made, under the record's key or one that it took over.

    Args:
        failed: the settlement of a record that could not be asked for.
        seen_within: how long a new record may stay invisible to a lookup.
    """

    def __init__(
        self,
        call: Caller,
        store: Store,
        settler: Settler,
        preparers: Mapping[str, Preparer],
        clock: Clock,
        failed: Callable[..., Settlement],
        seen_within: timedelta,
    ) -> None:
        self._call = call
        self._store = store
        self._settler = settler
        self._preparers = preparers
        self._clock = clock
        self._failed = failed
        self._seen_within = seen_within

    def settle(self, route: str, items: Sequence[Item], settlements: list[Settlement]) -> list[Item]:
        """Those that may go, with the twin that was found; what becomes of the others is added to `settlements`."""
        items = self._followed(route, items, settlements)
        sure = [item for item in items if not _is_doubtful(item.operation)]
        unsure = [self._to_ask(route, item) for item in items if _is_doubtful(item.operation)]
        if unsure and not self._call.can("lookup"):
            settlements.extend(self._settler.skipped(i.work, NEVER) for i in unsure if _is_delete(i))
            return sure + [self._unfound(route, i) for i in unsure if not _is_delete(i)]
        try:
            found = self._lookup(route, unsure) if unsure else []
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  the policy decides
            settlements.extend(self._failed(i.work, error, maybe_applied=True) for i in unsure)
            return sure
        until = self._unseen_until(route) if any(map(_unmarked, found)) else None
        for item, result in zip(unsure, found, strict=True):
            match result:
                case None | Link() | Ambiguous() if until is not None and _unmarked(result):
                    settlements.append(self._settler.snoozed(item.work, until, UNSEEN.format(until)))
                case None | Link() if item.only_asked:
                    made = None if _unmarked(result) else result
                    settlements.append(self._settler.recognised(item.work, made, self._clock.now(), ASKED))
                case Link() if _is_delete(item) and self._is_anothers(item.work, result):
                    settlements.append(self._settler.skipped(item.work, SHARED))
                case Link() if result.marked or not _is_delete(item):
                    sure.append(self._found(route, item, result))
                case None | Link() | Ambiguous() if _is_delete(item):
                    # Nothing there carries our mark: what looks like it is somebody else's.
                    settlements.append(self._settler.skipped(item.work, NEVER))
                case None:
                    sure.append(item)
                case Ambiguous() | Failed() | Retry():
                    settlements.append(self._untold(item.work, result))
        return sure

    def _untold(self, work: Work, result: Ambiguous | Failed | Retry) -> Settlement:
        """The target does not say."""
        match result:
            case Ambiguous():
                return self._settler.parked(work, _ambiguous(result))
            case Failed():
                return self._failed(work, result.error, maybe_applied=True)
            case Retry():
                return self._settler.snoozed(work, self._clock.now() + result.after, result.reason)

    def _followed(self, route: str, items: Sequence[Item], settlements: list[Settlement]) -> Sequence[Item]:
        """After a restore: who was deleted since the backup, and made anew, is linked to what is gone."""
        old = [item for item in items if self._is_from_backup(item)]
        if not old or not (self._call.can("lookup") and self._call.can("read")):
            return items
        others = [item for item in items if item not in old]
        try:
            held = self._call.read([item.operation.link for item in old if item.operation.link is not None])
            gone = [item for item, fields in zip(old, held, strict=True) if fields is None]
            asked = [evolve(self._to_ask(route, item).operation, link=None) for item in gone]
            found = self._call.lookup(asked) if asked else []
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  the policy decides
            settlements.extend(self._failed(i.work, error, maybe_applied=True) for i in old)
            return others
        there = [item for item in old if item not in gone]
        until = self._unseen_until(route) if any(map(_unmarked, found)) else None
        for item, result in zip(gone, found, strict=True):
            if until is not None and _unmarked(result):
                settlements.append(self._settler.snoozed(item.work, until, UNSEEN.format(until)))
            else:
                there.append(_relinked(item, result))
        return [*others, *there]

    def _is_from_backup(self, item: Item) -> bool:
        """Whether its link is as old as the backup, and may be wrong."""
        operation, link = item.operation, item.work.link
        if not operation.maybe_applied or operation.op not in _ASKED or link is None or operation.link is None:
            return False
        restored = self._store.restored_at(item.work.delivery.source)
        return restored is not None and link.delivered_at is not None and link.delivered_at <= restored

    def _is_anothers(self, work: Work, found: Link) -> bool:
        """Whether it bears this record's mark still, and is the twin of another one that took its place."""
        one = work.delivery
        linked = self._store.linked_to(one.sink, found.remote_id)
        return any(place != (one.source, one.entity, one.key) for place in linked)

    def _found(self, route: str, item: Item, found: Link) -> Item:
        """With its twin; what earlier tries may have written there, and the shop has no more, is emptied."""
        operation, work = item.operation, item.work
        unheard = together(operation.before or {}, work.unheard)
        link = twin(found, unheard)
        if _is_delete(item) or link.asked is None:
            return evolve(item, operation=evolve(operation, link=link))
        anew = self._preparers[route].prepare(evolve(work, link=link), operation.id)
        if anew.operation is None:
            return evolve(item, operation=evolve(operation, link=link))
        return evolve(item, operation=_with_unheard(anew.operation, work.unheard))

    def _unfound(self, route: str, item: Item) -> Item:
        """For a target that nobody can ask: who is sent again as a new record takes the place of the first, if any."""
        again = self._found(route, item, Link(object=item.operation.object, remote_id="", marked=True))
        return evolve(again, operation=evolve(again.operation, link=None))

    def _to_ask(self, route: str, item: Item) -> Item:
        """A record that is gone is asked for as it was, and as it was sent: it may have moved in between."""
        if not _is_delete(item):
            return item
        fields = _as_it_was(self._preparers[route], item.work) or {}
        sent = item.work.unheard or None
        return evolve(item, operation=evolve(item.operation, fields=fields, changed=frozenset(fields), before=sent))

    def _unseen_until(self, route: str) -> datetime | None:
        """Until when the outbox that a backup replaced may have made something unseen; None where that is over."""
        if not self._seen_within:
            return None
        restored = self._store.restored_at(self._preparers[route].route.source)
        until = restored + self._seen_within if restored is not None else None
        return until if until is not None and until > self._clock.now() else None

    def _lookup(self, route: str, items: Sequence[Item]) -> list[LookupResult | Failed]:
        """Under its own key; where nothing carries it, or several look like it, under the keys that it took over."""
        places = [item.work.delivery for item in items]
        keys = [self._store.taken_over(one.source, one.entity, one.key) for one in places]
        asked = [self._since_the_first(route, item, taken) for item, taken in zip(items, keys, strict=True)]
        found = list(self._call.lookup([item.operation for item in asked]))
        former = [
            (at, operation, work)
            for at, (item, taken, result) in enumerate(zip(asked, keys, found, strict=True))
            if _unmarked(result)
            for operation, work in self._former(route, item, taken)
        ]
        if former:
            results = self._call.lookup([operation for _, operation, _ in former])
            for (at, _, work), result in zip(former, results, strict=True):
                marked = isinstance(result, Link) and result.marked
                # What looks like the guest is not like an account that has moved on since: it may be somebody else's.
                alike = _email(work) == _email(asked[at].work) or not _unmarked(result)
                if marked or (found[at] is None and alike):
                    found[at] = _as_known(result, work.link)
        return found

    def _former(self, route: str, item: Item, keys: Sequence[str]) -> list[tuple[Operation, Work]]:
        """The same create as it was sent for a guest before the account took its place, and the guest."""
        delivery, preparer = item.work.delivery, self._preparers[route]
        works = self._store.work_for(route, delivery.source, delivery.entity, keys, include=preparer.route.include)
        former = {work.delivery.key: work for work in works}
        if self._store.restored_at(delivery.source) is not None:
            # Also for the guest of whom the outbox that a backup replaced knew, and this one nothing.
            former = _as_guest(item.work) | former
        operations = []
        for key, work in former.items():
            fields = _as_it_was(preparer, work)
            if fields is not None:
                operation = evolve(item.operation, key=key, fields=fields, changed=frozenset(fields))
                operations.append((operation, work))
        return operations

    def _since_the_first(self, route: str, item: Item, keys: Sequence[str]) -> Item:
        """An earlier try may have been that of a guest whose place it took: what is older than theirs is not ours."""
        one = item.work.delivery
        rows = [row for key in keys for row in self._store.deliveries(route=route, key=key)]
        former = [d.first_change_at for d in rows if (d.source, d.entity) == (one.source, one.entity)]
        if not former:
            return item
        return evolve(item, operation=evolve(item.operation, since=min(one.first_change_at, *former)))


def _unmarked(result: LookupResult | Failed) -> bool:
    """Whether nothing there carries the record's key. What only looks like it may stand beside the one that does."""
    return result is None or isinstance(result, Ambiguous) or (isinstance(result, Link) and not result.marked)


def _as_known(found: LookupResult | Failed, link: Link | None) -> LookupResult | Failed:
    """With what was written there for the guest, where it is the guest's own twin: that stands there now."""
    if link is None or not isinstance(found, Link) or found.remote_id != link.remote_id:
        return found
    return evolve(found, asked=link.mapped)


def _with_unheard(operation: Operation, unheard: Mapping[str, Any]) -> Operation:
    """What such a try may have told is told anew where it is not so any more, like what the shop had said before."""
    before = dict(operation.before or {})
    for name, value in unheard.items():
        if before.get(name) is None or before[name] == operation.fields.get(name):
            before[name] = value
    return evolve(operation, before=before) if before else operation


def _is_doubtful(operation: Operation) -> bool:
    return operation.maybe_applied and operation.op in _ASKED and operation.link is None


def _relinked(item: Item, found: LookupResult) -> Item:
    """At the record that carries its mark, if there is one; what the link says of it is of the one that is gone."""
    link = item.work.link
    if link is None or not isinstance(found, Link) or not found.marked:
        return item
    link = evolve(link, remote_id=found.remote_id, etag=found.etag)
    return evolve(item, work=evolve(item.work, link=link), operation=evolve(item.operation, link=link))


def _is_delete(item: Item) -> bool:
    return item.operation.op == "delete"


def _email(work: Work) -> str | None:
    data = work.snapshot.data if work.snapshot is not None else None
    return data.email if isinstance(data, Customer) else None


def _as_guest(work: Work) -> dict[str, Work]:
    """An account as the guest that it may have been, under that one's key."""
    data = work.snapshot.data if work.snapshot is not None else None
    if work.snapshot is None or not isinstance(data, Customer) or data.guest or not data.email:
        return {}
    key = guest_key(data.email)
    return {key: evolve(work, snapshot=evolve(work.snapshot, key=key, data=evolve(data, key=key, guest=True)))}


def _as_it_was(preparer: Preparer, work: Work) -> Mapping[str, object] | None:
    """What the mapping makes of the last state of a record that is gone; None where it makes nothing of it."""
    if work.snapshot is None:
        return None
    try:
        mapped = preparer.map(evolve(work, snapshot=evolve(work.snapshot, deleted=False)))
    except MappingError:
        return None
    return None if isinstance(mapped, Skip) else mapped


def _ambiguous(result: Ambiguous) -> Rejected:
    return Rejected(
        f"{len(result.candidates)} records at the target could be this one: " + ", ".join(result.candidates)
    )
