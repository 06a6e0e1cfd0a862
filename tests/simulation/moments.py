"""Each write to the ledger: what must not be so at that moment, whatever comes to rest later, and what happens then."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from synccore.types import Operation

from .ledger import Entry

if TYPE_CHECKING:
    from .world import World

__all__ = ["CONSENT", "Witness", "meanwhile"]

CONSENT = "newsletter"

UNTOLD = """
SELECT 1 FROM delivery WHERE source = 'shop' AND owner_entity = :entity AND owner_key = :key AND sink = 'ledger'
    AND event IS NOT NULL AND settled_at IS NULL AND state <> 'parked'
"""

HEIR = "SELECT replaced_by FROM snapshot WHERE source = ? AND entity = ? AND key = ?"


class Witness:
    """Looks at every write before it is carried out."""

    def __init__(self, world: "World", *, restored: bool = False) -> None:
        self._world = world
        #: A backup came back: where the shop's clock was set, nothing tells what it does not know from what is newer.
        self._restored = restored
        #: Tag -> when what was written last had happened.
        self._written: dict[str, datetime] = {}
        #: Tag and address of those who were seen to exchange theirs: who comes first of them is as good as any other.
        self._rounds: set[frozenset[tuple[str, str | None]]] = set()

    def __call__(self, operation: Operation, entries: Mapping[str, Entry]) -> Iterator[str]:
        with self._world.store.asked_by_a_stranger():
            yield from self._of(operation, entries)

    def _of(self, operation: Operation, entries: Mapping[str, Entry]) -> Iterator[str]:
        if operation.op == "delete":
            yield from self._facts(operation)
            yield from self._nowhere(operation, entries)
        if operation.op != "upsert":
            return
        if operation.entity == "customer" and self._is_erased(operation.key):
            yield f"{operation.uid} was forgotten, and is written"
        linked = operation.link.remote_id if operation.link is not None else None
        others = {name: entry for name, entry in entries.items() if entry.object == operation.object and name != linked}
        twice = [entry for entry in others.values() if entry.tag == operation.uid]
        # Who came after a backup and is gone stays there, and nobody knows of it when an old webhook brings them back.
        if linked is None and any(entry.email not in self._world.excuses.lost for entry in twice):
            yield f"{operation.uid} is made a second time"
        if self._is_earlier(operation.at, self._written.get(operation.uid, operation.at)):
            yield f"{operation.uid} was written and is written as it was before"
        self._written[operation.uid] = operation.at
        if operation.object == "person":
            yield from self._address(
                operation, linked, {name: e for name, e in entries.items() if e.object == "person"}
            )

    def _is_earlier(self, at: datetime, than: datetime) -> bool:
        """Whether something happened before another thing, by the dates of a shop whose clock may have been set."""
        if self._restored and self._world.shops.was_set:
            return False
        when, other = self._world.shops.showed(at) or [at], self._world.shops.showed(than) or [than]
        return when[-1] < other[0]

    def _is_erased(self, key: str) -> bool:
        """Whether it was forgotten. An account that is there still was known by that address, and has another one."""
        there = key.isdigit() and int(key) in self._world.shop.customers
        return not there and any(key in self._world.erased[email] for email in self._world.forgotten)

    def _address(self, operation: Operation, linked: str | None, people: Mapping[str, Entry]) -> Iterator[str]:
        """Two have an address, and it is known that the other one has given it up."""
        wanted = operation.fields.get("email")
        if linked in people and people[linked].email == wanted:
            return  # it has had it all the time
        for former in [name for name, one in people.items() if wanted and one.email == wanted and name != linked]:
            yield from self._gave_up(operation, linked, former, people)

    def _gave_up(
        self, operation: Operation, linked: str | None, former: str, people: Mapping[str, Entry]
    ) -> Iterator[str]:
        """One of those who have it."""
        mine = operation.uid, operation.fields.get("email")
        at: str | None = former
        passed = {linked: mine}
        while at is not None:
            if at in passed:
                self._rounds.add(frozenset(passed.values()))
                return
            if (email := self._moves_to(people[at])) is None:
                return  # nobody knows yet, or it has come to rest there
            passed[at] = self._whose(people[at]), email
            at = _who_has(people, email)
            if at is None and self._may_have(email):
                return  # a round, as far as anybody knows
        together = {mine, passed[former]}
        if any(together <= seen for seen in self._rounds) or self._heir(people[former]) == operation.key:
            return
        if operation.maybe_applied and linked is not None:
            return  # where it stood before nobody knows; whoever has no record was asked about
        yield f"{operation.uid} is written with an address that {people[former].tag} gave up"

    def _facts(self, operation: Operation) -> Iterator[str]:
        """Somebody goes, and what they did is not told yet."""
        with self._world.store.reading() as view:
            if view.execute(UNTOLD, {"entity": operation.entity, "key": operation.key}).fetchone() is not None:
                yield f"{operation.uid} is deleted before all facts of it are told"

    def _nowhere(self, operation: Operation, entries: Mapping[str, Entry]) -> Iterator[str]:
        """A guest goes, and the account that they are by now is owed with their address still."""
        entry = entries.get(operation.link.remote_id) if operation.link is not None else None
        heir = self._heir(entry) if entry is not None else None
        account = self._world.store.snapshot("shop", "customer", heir) if heir is not None else None
        if entry is None or account is None or account.deleted or account.data.email != entry.email:
            return
        people = {name: one for name, one in entries.items() if one.object == "person" and one is not entry}
        owed = self._world.store.deliveries(sink="ledger", key=heir, limit=1000)
        if _who_has(people, entry.email) is None and {one.state for one in owed} & {"ready", "running"}:
            yield f"{entry.email} is nowhere until the account that they are by now is delivered"

    def _heir(self, entry: Entry) -> str | None:
        """Who took the place of whoever is written there."""
        with self._world.store.reading() as view:
            row = view.execute(HEIR, entry.tag.split(":", 2)).fetchone()
            return row and row["replaced_by"]

    def _may_have(self, email: str) -> bool:
        """Whether somebody is known to have it who gave it up in a write without an answer."""
        store = self._world.store
        unheard = [one for one in store.deliveries(sink="ledger", limit=1000) if one.maybe_applied]
        links = [store.link(one.route, one.source, one.entity, one.key) for one in unheard]
        return any(link is not None and link.fields.get("email") == email for link in links)

    def _whose(self, entry: Entry) -> str:
        """Whose it is by now: until something of theirs is written, it bears the tag of whose place they took."""
        source, entity, key = entry.tag.split(":", 2)
        return f"{source}:{entity}:{self._heir(entry) or key}"

    def _moves_to(self, entry: Entry) -> str | None:
        """The address that is known to be owed to it; empty where it is to go."""
        store, (source, entity, key) = self._world.store, entry.tag.split(":", 2)
        row = store.snapshot(source, entity, self._heir(entry) or key)
        if row is None:
            return None
        owed = store.deliveries(sink="ledger", key=row.key, limit=1000)
        states = {one.state for one in owed}
        if "parked" in states and not states & {"ready", "running"}:
            return None  # nothing newer is on its way
        if any(one.maybe_applied for one in owed):
            return None  # an answer was lost: where it stands nobody knows
        if row.deleted:
            return ""
        return None if row.data.email == entry.email else row.data.email or ""


def _who_has(people: Mapping[str, Entry], email: str | None) -> str | None:
    return next((name for name, one in people.items() if email and one.email == email), None)


def meanwhile(world: "World", operation: Operation, entries: Mapping[str, Entry]) -> None:
    """Before a write is answered its person registers, takes back what they changed, leaves, or has an heir."""
    number = _account(world, operation)
    if number not in world.accounts():
        return
    former = entries[operation.link.remote_id].email if operation.link is not None else ""
    if operation.op == "event":
        world.delete(number)
    elif former in world.given_up.keys() - {c["email"] for c in world.shop.customers.values()} - world.gone:
        world.shop.add_customer(former, first_name="Heir", last_name=f"Nr{number}")
    elif was := operation.previous:
        world.shop.edit_customer(number, first_name=was.get("first") or "", billing={"phone": was.get("phone") or ""})
    else:
        said = [{"key": CONSENT, "value": "no"}] if operation.fields.get("mail") else []
        world.shop.edit_customer(number, first_name=f"{operation.at:Later%S}", meta_data=said)
    world.unharmed(world.shop.run_queue)


def _account(world: "World", operation: Operation) -> int:
    """Whose account it is about; a guest's first write is about the one that they make just now."""
    if operation.op == "event":
        return int(world.shop.orders[int(operation.fields["order"])]["customer_id"])
    if operation.entity != "customer":
        return 0
    if operation.key.isdigit():
        return int(operation.key)
    email, taken = operation.fields["email"], {c["email"] for c in world.shop.customers.values()}
    if operation.link is None and email not in taken | world.gone:
        names = {"first_name": operation.fields.get("first") or "", "last_name": operation.fields.get("last") or ""}
        world.shop.add_customer(email, **names)
        world.unharmed(world.shop.run_queue)
    return 0
