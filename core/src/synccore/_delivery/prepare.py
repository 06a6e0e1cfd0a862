"""From a claimed row to an operation: mapping, comparison with what was last delivered, parents."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from attrs import evolve, frozen

from .._contained import contained
from .._mapping.shape import changed_fields, digest, shape
from .._mapping.totals import with_totals
from .._plain import Plain
from .._set_back import TURN
from .._swift import swiftly
from ..entities import Customer, Order
from ..errors import MappingError, WaitFor
from ..hookspecs import Mapper
from ..store import Store, Work, made_from
from ..types import EntityRef, Link, MapContext, Operation, RouteSpec, SinkOp, Skip, Snapshot

_NO_NAMES: frozenset[str] = frozenset()
#: Why nothing is done about a record that is gone and of which the target never had anything.
NEVER = "deleted before it was ever delivered"


@frozen(kw_only=True, weakref_slot=False)
class Prepared(Plain):
    """An operation to carry out, or (`operation` None) the reason why nothing is owed.

    Attributes:
        let_go: nothing is to be done at the target, and the link ends.
        why: what people should know of the operation: why a record is let go of rather than deleted.
        made_from: what the fields were made from, where they are the newest state (`Settlement.made_from`).
        until: all that changed waits until then for further changes (`FieldOptions.delay`).
    """

    operation: Operation | None
    skip: str | None = None
    let_go: bool = False
    why: str | None = None
    until: datetime | None = None
    made_from: str | None = None


def settles_at(work: Work, delay: timedelta) -> datetime:
    """When a change has waited long enough for further ones: at most four times the delay after the first."""
    delivery = work.delivery
    return min(delivery.last_change_at + delay, delivery.first_change_at + 4 * delay)


@frozen(weakref_slot=False)
class _Mapped(Plain):
    """What a mapper made of a record, and the blank fields that are not sent."""

    fields: dict[str, Any]
    blank: frozenset[str]


_new_prepared, _new_mapped = swiftly(Prepared), swiftly(_Mapped)
_new_context, _new_operation = swiftly(MapContext), swiftly(Operation)


def beside(operation: Operation, store: Store, *, by_address: bool = False) -> Operation:
    """What takes something away knows what the others who share the record want there.

    Who was parked with a new address while somebody else got the former one, and the record with it, leaves it to them;
    where the target has one for an address (`by_address`), also as they have moved on with it.
    """
    if operation.op == "event" or operation.link is None or operation.link.shared <= 1:
        return operation
    if operation.op != "upsert":
        return evolve(operation, link=store.with_others(operation.link))
    where = operation.route, operation.source, operation.entity, operation.key
    if store.given_away(*where, by_address=by_address):
        return evolve(operation, link=None, changed=frozenset(operation.fields))
    return operation


class Preparer:
    """Prepares one route's work. Pure: the same work gives the same operation.

    Args:
        leaves: what the sink can do to a record that is let go of.
        by_address: the target has one of its records for an address.
        zone: gives the shop's time zone; asked until it is known, since a source learns it with its first answer.
        made_by: what the mapper is, in every respect that matters to what it gives; None: that cannot be told.
    """

    def __init__(
        self,
        route: RouteSpec,
        mapper: Mapper,
        *,
        leaves: Collection[str] = ("keep",),
        by_address: bool = False,
        zone: Callable[[], str | None] = lambda: None,
        made_by: str | None = None,
    ) -> None:
        self.route = route
        self._mapper = mapper
        self._leaves = leaves
        self.by_address = by_address
        self._ask_zone = zone
        self._zone: str | None = None
        self._made_by = made_by

    @property
    def tells(self) -> bool:
        """Whether what it sends is no record of a person at a target, and hangs on none."""
        return not self.by_address and not self.route.after

    def _known_zone(self) -> str | None:
        if self._zone is None:
            self._zone = self._ask_zone()
        return self._zone

    def prepare(self, work: Work, op_id: int, now: datetime | None = None) -> Prepared:
        """Map and compare. Raises MappingError, WaitFor (the parent of `after` has no link yet).

        With `now`, changed fields with a delay stay as they were last asked for until their time has come.
        """
        if work.gone:
            return self._delete(work, op_id)
        if work.snapshot is None:
            return Prepared(operation=None, skip=f"no {work.delivery.entity} with this key is known")
        mapped = self._map(work)
        if isinstance(mapped, Skip):
            return self._leave(work, op_id, mapped.reason)
        fields = mapped.fields
        changed = self._changed(work, fields, mapped.blank)
        if work.delivery.op != "event" and self._unchanged(work, changed):
            return Prepared(operation=None, skip="unchanged", made_from=self._made_from(work))
        if self.route.after and work.parent is None:
            self._wait(work)
        later = {} if now is None else self._later(work, changed, now)
        if later and later.keys() >= changed:
            return Prepared(operation=None, until=max(later.values()))
        if later and work.link is not None:
            held = {n: v for n, v in work.link.mapped.items() if n in later}
            fields = {n: v for n, v in fields.items() if n not in later} | held
        operation = self._operation(work, op_id, fields, changed.difference(later) if later else changed)
        if later:
            return Prepared(operation=evolve(operation, later=frozenset(later)))
        return _new_prepared(operation=operation, made_from=self._made_from(work))

    def _made_from(self, work: Work) -> str | None:
        if self._made_by is None or work.delivery.op != "upsert":
            return None
        return made_from(self._made_by, work.inputs)

    def _later(self, work: Work, changed: Collection[str], now: datetime) -> dict[str, datetime]:
        """Changed field -> when it may go, where that is not now. A first delivery and the past go whole, and so does
        whoever was given another one's twin: what was asked for there is of that one."""
        link = work.link
        if work.delivery.bulk or work.delivery.op != "upsert" or link is None or not link.mapped:
            return {}
        if link.delivered_at is None:
            return {}
        options = self.route.options
        found = {n: settles_at(work, options[n].delay) for n in changed if n in options and options[n].delay}
        # Later than that is a change from before the clock was set back.
        return {n: at for n, at in found.items() if now < at <= now + options[n].delay + TURN}

    def behind_job(self, work: Work, in_job: Mapping[str, Any], op_id: int) -> Operation | None:
        """A state that waits for a job with an older one, compared with what the job holds; None for nothing new."""
        mapped = self._map(work)
        if isinstance(mapped, Skip) or not (changed := changed_fields(mapped.fields, in_job, mapped.blank)):
            return None
        operation = self._operation(work, op_id, mapped.fields, changed)
        if work.link is None:
            return evolve(operation, before=in_job)
        return evolve(operation, link=evolve(work.link, fields=in_job, asked=None))

    def map(self, work: Work) -> dict[str, Any] | Skip:
        """The fields alone: what the mapper makes of the record, in the shape it is delivered in."""
        mapped = self._map(work)
        return mapped if isinstance(mapped, Skip) else mapped.fields

    def _map(self, work: Work) -> _Mapped | Skip:
        if work.snapshot is None:
            return Skip("unknown record")
        context = _new_context(
            route=self.route,
            owner=self._with_totals(work.owner, work),
            included=work.included,
            previous=work.link.previous if work.link else {},
            zone=self._known_zone(),
        )
        with contained():
            mapped = self._mapper.map(self._with_totals(work.snapshot, work) or work.snapshot, context)
        if isinstance(mapped, Skip):
            return mapped
        fields = shape(mapped, self.route.options, work.link)
        # It leaves fields out, and adds none.
        blank = frozenset(mapped.keys() - fields.keys()) if len(fields) < len(mapped) else _NO_NAMES
        return _new_mapped(fields, blank)

    def _with_totals(self, snapshot: Snapshot | None, work: Work) -> Snapshot | None:
        """A customer's totals are known only where the route includes orders."""
        if snapshot is None or "order" not in self.route.include or not isinstance(snapshot.data, Customer):
            return snapshot
        orders = [s.data for s in work.included.get("order", ()) if isinstance(s.data, Order) and not s.deleted]
        return evolve(snapshot, data=with_totals(snapshot.data, orders))

    def _changed(self, work: Work, fields: Mapping[str, Any], blank: Collection[str]) -> frozenset[str]:
        link = work.link
        if link is None:
            return frozenset(fields)
        # A blank that is not sent, and what was never written, are no fields that went away.
        different = changed_fields(fields, link.mapped, {*blank, *link.left_out})
        # After a lost answer the target holds either state, and under another parent nothing: all is sent again.
        everything = work.delivery.maybe_applied or self.moved(work)
        return different | frozenset(fields) if everything else different

    def moved(self, work: Work) -> bool:
        """Whether the record hangs under another parent at the target than it was delivered under."""
        known = work.link.parent_id if work.link else None
        now = work.parent.remote_id if work.parent else None
        return known is not None and bool(now) and known != now

    @staticmethod
    def _to_move(work: Work, link: Link) -> bool:
        """Whether it hangs under another's record while its new owner has none yet: it waits, for people to see."""
        itself = EntityRef(work.delivery.entity, work.delivery.key)  # an order may have the number of an account
        new_owner = work.parent_ref is not None and work.parent_ref != itself
        comes = work.owner is None or not work.owner.deleted
        return link.parent_id is not None and work.parent is None and new_owner and comes

    def _unchanged(self, work: Work, changed: frozenset[str]) -> bool:
        if work.link is None or work.delivery.maybe_applied or self.moved(work) or self._to_move(work, work.link):
            return False
        if not work.link.mapped:
            return False  # found at the target and never written by us, or let go of
        if self.route.compare:
            return not changed & frozenset(self.route.compare)
        return not changed

    def _wait(self, work: Work) -> None:
        if work.parent_ref is None:
            return  # nobody owns it: there is no parent to wait for
        raise WaitFor(
            work.parent_ref.entity,
            work.parent_ref.key,
            f"waits for {work.parent_ref.entity} {work.parent_ref.key} on route {self.route.after}",
        )

    def _delete(self, work: Work, op_id: int) -> Prepared:
        link = work.link
        if link is None and work.delivery.maybe_applied:
            # Its create may have been carried out: the lane asks for it, and deletes what carries our mark.
            return Prepared(operation=self._operation(work, op_id, {}, frozenset(), op="delete"))
        if link is None:
            return Prepared(operation=None, skip=NEVER)
        if link.ours:
            return Prepared(operation=self._operation(work, op_id, {}, frozenset(), op="delete"))
        return self._let_go(work, op_id, link, ("unlabel", "clear"))

    def _leave(self, work: Work, op_id: int, reason: str) -> Prepared:
        """The route does not want the record (any more)."""
        link, wish = work.link, self.route.on_leave
        if wish == "keep" or work.delivery.op == "event" or link is None or link.left or not link.mapped:
            return Prepared(operation=None, skip=reason)
        if wish == "delete" and not link.ours:
            return self._let_go(work, op_id, link, ("clear", "unlabel"), skip=reason)
        operation = self._operation(work, op_id, {}, frozenset(), op="leave")
        return Prepared(operation=evolve(operation, on_leave=wish), why=reason)

    def _let_go(self, work: Work, op_id: int, link: Link, ways: tuple[str, ...], skip: str = "") -> Prepared:
        """What others use, or what was there before us, is not deleted, whatever the sink would do."""
        why = "let go of: " + ("it was there before us" if link.adopted else f"{link.shared} records share it")
        way = next((w for w in ways if w in self._leaves), None)
        if way is None:
            return Prepared(operation=None, skip=f"{skip}; {why}" if skip else why, let_go=True)
        operation = self._operation(work, op_id, {}, frozenset(), op="leave")
        if work.gone:
            why = why.replace("let go of", "not deleted", 1)  # what was done instead the sink says
        return Prepared(operation=evolve(operation, on_leave=way, gone=work.gone), why=why)

    def _operation(
        self, work: Work, op_id: int, fields: Mapping[str, Any], changed: frozenset[str], op: SinkOp | None = None
    ) -> Operation:
        delivery = work.delivery
        return _new_operation(
            id=op_id,
            route=self.route.name,
            object=self.route.object,
            op=op or ("upsert" if delivery.op == "delete" else delivery.op),
            source=delivery.source,
            entity=delivery.entity,
            key=delivery.key,
            fields=fields,
            changed=changed,
            options=self.route.options,
            match=self.route.match,
            link=work.link if delivery.op != "event" else None,
            parent=work.parent,
            idempotency_key=self._idempotency_key(work, fields, op),
            event_id=delivery.event_id,
            at=self._happened_at(work),
            since=delivery.first_change_at,
            bulk=delivery.bulk,
            maybe_applied=delivery.maybe_applied,
            settings=self.route.settings,
            before=self._before(work) if op is None and not (work.link and work.link.previous) else None,
        )

    def _before(self, work: Work) -> dict[str, Any] | None:
        """The fields as they were before anything was delivered, if the shop is known to have had another state."""
        if work.before is None or work.delivery.op == "event":
            return None
        try:
            fields = self.map(evolve(work, snapshot=work.before))
        except MappingError:
            return None  # the state that could not be mapped is the one that was mended
        return None if isinstance(fields, Skip) else fields

    def _idempotency_key(self, work: Work, fields: Mapping[str, Any], op: SinkOp | None) -> Callable[[], str]:
        delivery = work.delivery
        place = f"{self.route.name}\n{delivery.source}\n{delivery.entity}\n{delivery.key}"
        if delivery.op == "event":
            return partial(_key_of, place, str(delivery.event_id), None)
        return partial(_key_of, place, op or delivery.op, fields)

    def _happened_at(self, work: Work) -> Any:
        if work.snapshot is not None and work.snapshot.changed_at is not None:
            return work.snapshot.changed_at
        return work.delivery.last_change_at


def _key_of(place: str, what: str, fields: Mapping[str, Any] | None) -> str:
    """A fact has its id, a state its fields."""
    last = what if fields is None else f"{what}:{digest(fields)}"
    return hashlib.sha256(f"{place}\n{last}".encode()).hexdigest()[:40]
