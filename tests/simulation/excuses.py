"""What nobody can know: where a target may differ from the shop though all went well. Each kind is among the known
limits of `docs/reliability.md`; what happens is noted here as it happens, and the truth asks at the end."""

from datetime import datetime
from typing import TYPE_CHECKING

from attrs import evolve

from .targets import Google, Held, Klaviyo, Target

if TYPE_CHECKING:
    from .world import World

__all__ = ["Excuses"]

#: What people empty again: a number, and each part of a place. Everybody has a name.
PHONE, PLACE = "phone", "place"

LINKED = "SELECT key, remote_id FROM link WHERE source = 'shop' AND entity = 'customer' AND route = 'profiles'"
KNOWN = "SELECT key, email FROM snapshot WHERE source = 'shop' AND entity = 'customer' AND email IS NOT NULL"


class Excuses:
    """What cannot be known of one world, and of whom."""

    def __init__(self, world: "World") -> None:
        self._world = world
        #: Addresses of orders of which it depends on what was seen in time whether they make a guest.
        self.guests: set[str] = set()
        #: Account that was deleted -> the addresses of its orders. When it left is said by the machine's clock, when it
        #: ordered by the shop's: where they differ by the time that it is heard of, it may stay as a guest.
        self._ordered: dict[int, set[str]] = {}
        #: Addresses that were mailed when their account was deleted. What the account said last may never have been
        #: heard; who registers with that address again before the deletion is followed takes the record over as it is.
        self.unheard: set[str] = set()
        #: Who was mailed when a backup came back that knows nothing of them: that they said yes, before a no.
        self.unsure: set[str] = set()
        #: Accounts that exchanged their addresses, and so what was told of them.
        self.exchanged: set[int] = set()
        #: Orders that went to another account: what was told before stays with whoever had them then.
        self.handed: set[int] = set()
        #: Accounts that had each other's records when a backup came back that does not know of it: who moves on takes
        #: along what another one said. Beside it the records of all at that moment.
        self.mistaken: set[int] = set()
        #: Address -> when whoever had it was forgotten: who signs up at a target with it later is there again.
        self._forgot: dict[str, datetime] = {}
        #: Accounts that a restored backup knows nothing of: nor what addresses they had.
        self.newer: set[int] = set()
        self._twins: dict[str, str] = {}
        #: Address -> accounts that had it when a backup came back that knows nothing of that. It may be there still.
        self.since: dict[str, set[str]] = {}
        self._addresses: dict[str, str] = {}
        #: Addresses that an account had in between and gave up, while a target with one record for an address may have
        #: had it under them: by a write whose answer was lost, or by one that a backup never heard of. Nobody waits for
        #: it, and who gets it may be made one with whoever had it.
        self.between: set[str] = set()
        #: Who and what a target held when the backup was made, and what came since: gone from the shop, it stays.
        self._saved: set[str] = set()
        self.lost: set[str] = set()
        #: Address, and what of theirs a target had when a backup came back that may not know of it, or got as a process
        #: died: where the shop has emptied it since, nobody knows that it was ours. Also the account that had it
        #: then: it goes on with that.
        self._filled: set[tuple[str | int, str]] = set()

    # -- what happens

    def leaves(self, number: int) -> None:
        """The shop deletes an account, just now."""
        world, email = self._world, self._world.shop.customers[number]["email"]
        if any(email in target.mailed() for target in world.targets.values()):
            self.unheard.add(email)
        with world.store.asked_by_a_stranger():
            known = world.store.snapshot("shop", "customer", str(number))
        # An account that came and went between two looks, or changed its address: nothing but a guest's order was ever
        # to be seen.
        unseen = known is None or known.data.email != email
        for order in world.shop.orders.values():
            billed, mine = order["billing"]["email"], order["customer_id"] == number
            if mine:
                self._ordered.setdefault(number, set()).add(billed)
            ahead = world.machine.ahead or order["date_created_gmt"] >= f"{world.machine.now():%Y-%m-%dT%H:%M:%S}"
            if (mine or billed == email) and (unseen or (mine and ahead)):
                self.guests.add(billed)
            # Billed to an address that the account did not have, or placed by a guest with the address of the later
            # account, who moved on: a guest again where nobody was told of the account, or the move.
            if (billed == email) != mine or world.given_up.get(billed) == number:
                self.guests.add(billed)

    def gives_up(self, number: int, email: str) -> None:
        """An account is about to have another address, and had this one."""
        self._filled |= {(number, part) for part in (PHONE, PLACE) if (email, part) in self._filled}
        store = self._world.store
        with store.asked_by_a_stranger():
            known = store.snapshot("shop", "customer", str(number))
            link = store.link("profiles", "shop", "customer", str(number))
            owed = store.deliveries(route="profiles", key=str(number), limit=1000)
        heard = known is not None and known.data.email == email
        confirmed = link is not None and link.fields.get("email") == email
        unheard = any(row.maybe_applied and row.settled_at is None for row in owed)
        if link is not None and not confirmed and (unheard if heard else email in self.lost):
            self.between.add(email)
            # Joined with who gets it, they leave what that one has no more of.
            self._filled |= {(email, PHONE), (email, PLACE)}

    def sets_clock(self) -> None:
        """Somebody set the machine's clock: who left, and is not heard of yet, left at another time than it was."""
        store = self._world.store
        with store.asked_by_a_stranger():
            for number, addresses in self._ordered.items():
                known = store.snapshot("shop", "customer", str(number))
                if known is None or not known.deleted:
                    self.guests |= addresses

    def dies(self) -> None:
        """A process died. What it was about to write where nothing was before goes with it: the shop's emptying it is
        no news then."""
        store = self._world.store
        for row in store.deliveries(state="ready", limit=1000):
            person = store.snapshot(row.source, row.entity, row.key) if row.maybe_applied else None
            if person is not None and person.data.email:
                self._filled |= {(person.data.email, PHONE), (person.data.email, PLACE)}

    def forgets(self, email: str) -> None:
        """Somebody was forgotten everywhere."""
        self._forgot[email] = self._world.clock.now()

    def saves(self) -> None:
        """A backup was made."""
        self._saved = self._held()

    def restores(self) -> None:
        """It is about to come back."""
        self._twins, self._addresses = self._linked(), self._known()
        targets = self._world.targets.values()
        for book in (target for target in targets if isinstance(target, Google)):
            book.works_at = dict.fromkeys(
                book.works_at, ""
            )  # where ours stood when the backup was made, it is taken for ours
        since = self._held() - self._saved
        # Who made a contact since then, or one whose create was not answered then, nobody can say: a deletion empties
        # it, as one of the owner's.
        self.lost |= since | {""}
        self.unsure |= since & {email for target in targets for email in target.mailed()}
        for person in (person for target in targets for person in target.people()):
            if person.phone:
                self._filled.add((person.email, PHONE))
            if any(person.place):
                self._filled.add((person.email, PLACE))

    def restored(self) -> None:
        """It is there."""
        known, addresses = self._linked(), self._known()
        for key, email in self._addresses.items():
            if addresses.get(key) != email:
                self.since.setdefault(email, set()).add(key)
        self.mistaken |= {int(key) for key, twin in self._twins.items() if known.get(key, twin) != twin}
        self.newer |= {int(key) for key in self._twins.keys() - known.keys()}

    def _linked(self) -> dict[str, str]:
        """Account -> its record where a target has one for an address."""
        with self._world.store.asked_by_a_stranger(), self._world.store.reading() as view:
            return {row["key"]: row["remote_id"] for row in view.execute(LINKED) if row["key"].isdigit()}

    def _known(self) -> dict[str, str]:
        """Account -> the address that is known of it."""
        with self._world.store.asked_by_a_stranger(), self._world.store.reading() as view:
            return {row["key"]: row["email"] for row in view.execute(KNOWN) if row["key"].isdigit()}

    def _held(self) -> set[str]:
        """Who is at any target, and which orders; not who signed up there by themselves, of whom nothing is known."""
        targets = self._world.targets.values()
        people = {
            person.email for target in targets for person in target.people() if not self._signed_up(person, target)
        }
        return people | {str(number) for target in targets for number, _ in target.deals()}

    def _signed_up(self, person: Held, target: Target) -> bool:
        return isinstance(target, Klaviyo) and person.email in target.came and not (person.first or person.phone)

    # -- what is asked

    def came_again(self, email: str, target: Target) -> bool:
        """Whether who was forgotten signed up at that target by themselves since."""
        came = target.came.get(email) if isinstance(target, Klaviyo) else None
        return came is not None and came >= self._forgot[email]

    def strays(self, email: str) -> set[str]:
        """The accounts that had it when a backup came back that knows nothing of them, and that went before it could
        hear of them: they stay where they were, beside whoever has the address by now."""
        accounts = self._world.accounts()
        return {key for key in self.since.get(email, ()) if int(key) not in accounts and int(key) in self.newer}

    def of_number(self, email: str) -> bool:
        """Whether a number may be there that nobody knows to be ours."""
        return self._is_filled(email, PHONE)

    def _is_filled(self, email: str, part: str) -> bool:
        whose = [n for n, account in self._world.accounts().items() if account["email"] == email]
        return any((who, part) in self._filled for who in (email, *whose))

    def emptied(self, person: Held, wanted: Held) -> Held:
        """What is wanted of somebody, with what they may still have where the shop has nothing any more."""
        if not wanted.phone and self.of_number(person.email):
            wanted = evolve(wanted, phone=person.phone)
        if self._is_filled(person.email, PLACE):
            street, city, code = (part or held for part, held in zip(wanted.place, person.place, strict=True))
            wanted = evolve(wanted, place=(street, city, code))
        return wanted
