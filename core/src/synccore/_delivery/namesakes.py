"""What is not sent yet for another record's sake: who comes after one that is going or has another address by now,
who goes before their facts, and the facts that come after their person."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from attrs import evolve

from ..entities import Customer
from ..errors import RateLimited
from ..store import DirtyRule, Settlement, Store
from .policy import Snooze
from .settle import Settler
from .steps import Item

__all__ = ["Namesakes", "hold_back"]

#: Between two looks at a record that waits: a quarter of the time it has waited so far, within these.
SOONEST, LATEST = timedelta(seconds=1), timedelta(minutes=1)
WAITS = "waits until what became of the record that had this address before is known and delivered"
HANDED_OVER = "waits until the record that had this address before is delivered with what it has instead"
UNTOLD = "waits until the facts of this record that came before are told"
ROUND = "addresses went round: goes on with the record at the target that has this address"
UNDER_WAY = "addresses go round: waits until what is under way of those who exchange theirs is known"
MOVING = "waits until this person is delivered with the new address"


class Namesakes:
    """Holds back what would undo, or be undone by, what is owed beside it. What is parked holds up nobody.

    A first delivery waits while the deletion of a record with the same address is open: who is deleted and registers
    again comes under a new number, often before the word of the deletion. Written first, they would not find what the
    former record leaves behind, and stand there twice. It waits as well, and so does whoever changes to an address,
    while another record is known to the target under it and is owed with what it has instead: written first, a target
    that finds people by their address would have one record for both. Where addresses go round, those of that circle do
    not wait for each other. But whoever of them may be at the target or not (a create without an answer) is only asked
    about first, and the others wait for that: then addresses go round still, or it is known who goes first. And where
    the target has one record for an address, all of that circle exchange their links first.

    A deletion waits while facts of that record are: told after it, they would make the person anew at a target that
    makes people of facts. For the same reason a fact waits while its person is owed with a new address, or with one
    under which another record is known still; and where the target has one record for an address, while the deletion of
    a former one with that address is open, which would take it along. There waits as well a state of what somebody
    owns, or their own, that goes to another object without `after`: it says whose it is by an address.

    Args:
        routes: those that lead to the sink; rows of others are never delivered, and nobody waits for them.
        by_address: those of them to objects of which the target has one for an address (`ObjectType.by_address`).
        told: those to other objects of such a target, which do not hang on a record there.
        owes: route -> what is owed once a record of it has another twin.
    """

    def __init__(
        self,
        store: Store,
        settler: Settler,
        routes: Collection[str],
        by_address: Collection[str] = (),
        told: Collection[str] = (),
        owes: Mapping[str, tuple[DirtyRule, ...]] | None = None,
    ) -> None:
        self._store = store
        self._settler = settler
        self._routes = routes
        self._by_address = by_address
        self._told = told
        self._owes = owes or {}

    def part(self, route: str, items: Sequence[Item], settlements: list[Settlement], now: datetime) -> list[Item]:
        """Those that may go; what becomes of the others is added to `settlements`."""
        waiting = self._behind(route, items) | self._before_facts(items) | self._facts(route, items)
        items = self._asked_first(route, items, waiting)
        if route in self._by_address:
            items = self._in_rounds(route, items, waiting, settlements, now)
        if not waiting:
            return list(items)
        held = [(item, why) for item in items if (why := waiting.get(id(item))) is not None]
        settlements.extend(hold_back(self._settler, item, why, now) for item, why in held)
        return [item for item in items if id(item) not in waiting]

    def _behind(self, route: str, items: Sequence[Item]) -> dict[int, str]:
        if not (some := [item for item in items if _has_new_address(item)]):
            return {}
        one, keys = some[0].work.delivery, _keys(some)
        going = self._store.behind_namesakes(route, one.source, one.entity, keys)
        given = self._store.behind_handovers([route], one.source, one.entity, keys)
        return _said(some, given, HANDED_OVER) | _said(some, going, WAITS)

    def _asked_first(self, route: str, items: Sequence[Item], waiting: Mapping[int, str]) -> Sequence[Item]:
        if not (some := [item for item in items if id(item) not in waiting and _is_in_doubt(item)]):
            return items
        one = some[0].work.delivery
        keys = self._store.going_round(route, one.source, one.entity, _keys(some))
        asked = {id(item) for item in some if item.work.delivery.key in keys}
        return [evolve(item, only_asked=True) if id(item) in asked else item for item in items]

    def _in_rounds(
        self,
        route: str,
        items: Sequence[Item],
        waiting: dict[int, str],
        settlements: list[Settlement],
        now: datetime,
    ) -> Sequence[Item]:
        """Those who do not exchange addresses. Who does comes again, with the twin that has their new one."""
        moving = (item for item in items if id(item) not in waiting and item.work.link and _has_new_address(item))
        turned: set[str] = set()
        for item in moving:
            one = item.work.delivery
            if one.key in turned:
                continue
            found = self._store.exchange(
                *(route, one.source, one.entity, one.key),
                token=one.lease_token or "", owes=self._owes.get(route, ()), now=now,
            )  # fmt: skip
            if found is not None and found.exchanged:
                turned |= found.keys
            elif found is not None:
                waiting[id(item)] = UNDER_WAY
        again = [item for item in items if item.work.delivery.key in turned]
        settlements.extend(self._settler.snoozed(item.work, now, ROUND) for item in again)
        return [item for item in items if item.work.delivery.key not in turned]

    def _before_facts(self, items: Sequence[Item]) -> dict[int, str]:
        if not (some := [item for item in items if item.operation.op == "delete"]):
            return {}
        one = some[0].work.delivery
        return _said(some, self._store.untold(one.sink, one.source, one.entity, _keys(some), self._told), UNTOLD)

    def _facts(self, route: str, items: Sequence[Item]) -> dict[int, str]:
        owned: dict[tuple[str, str], dict[int, str]] = {}
        own: dict[tuple[str, str], dict[int, str]] = {}
        of = ("event", "upsert") if route in self._told else ("event",)
        for item in [item for item in items if item.operation.op in of]:
            known = item.work.snapshot
            if known is None:
                continue
            if known.owner is not None:
                owned.setdefault((known.source, known.owner.entity), {})[id(item)] = known.owner.key
            elif known.entity == Customer.entity:
                own.setdefault((known.source, known.entity), {})[id(item)] = known.key
        # What a person's own row on a route waits for is not itself.
        return self._behind_people(self._routes, owned) | self._behind_people(self._by_address, own)

    def _behind_people(
        self, routes: Collection[str], people: Mapping[tuple[str, str], Mapping[int, str]]
    ) -> dict[int, str]:
        waiting: dict[int, str] = {}
        for (source, entity), owners in people.items():
            keys = set(owners.values())
            moving = self._store.moving(routes, source, entity, keys)
            given = self._store.behind_handovers(routes, source, entity, keys)
            going = {k for r in self._by_address for k in self._store.behind_namesakes(r, source, entity, keys)}
            waiting |= {which: WAITS for which, key in owners.items() if key in going}
            waiting |= {which: HANDED_OVER for which, key in owners.items() if key in given}
            waiting |= {which: MOVING for which, key in owners.items() if key in moving}
        return waiting


def hold_back(settler: Settler, item: Item, why: str, now: datetime) -> Settlement:
    """Look at it again, the later the longer it waits."""
    wait = min(max((now - item.work.delivery.first_change_at) / 4, SOONEST), LATEST)
    return settler.failed(item.work, RateLimited(why, retry_after=wait, scope="operation"), Snooze(now + wait), None)


def _keys(items: Sequence[Item]) -> list[str]:
    return [item.work.delivery.key for item in items]


def _said(items: Sequence[Item], keys: Collection[str], why: str) -> dict[int, str]:
    return {id(item): why for item in items if item.work.delivery.key in keys}


def _is_in_doubt(item: Item) -> bool:
    """Whether nobody knows if it is at the target."""
    return item.operation.op == "upsert" and item.work.link is None and item.work.delivery.maybe_applied


def _has_new_address(item: Item) -> bool:
    """Whether it is delivered for the first time, or its address is no value that it was delivered with."""
    work = item.work
    if item.operation.op != "upsert" or work.snapshot is None:
        return False
    if work.link is None or not work.link.mapped:
        return True
    email = getattr(work.snapshot.data, "email", None)
    return bool(email) and email not in work.link.mapped.values()
