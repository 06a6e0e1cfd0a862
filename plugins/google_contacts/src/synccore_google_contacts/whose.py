"""Whose is a contact? The one question of everything that writes on one, takes something off it, or tells of it.

Two things tell: the markers on it, which a merge by the owner may lose, and what we know each wants there, which a lost
index leaves empty. A customer has it by either.
"""

from collections.abc import Collection, Iterable, Mapping

from attrs import frozen

from synccore.types import Link, Operation

from .index import Index
from .mapping import wanted_emails, wanted_phones
from .merge import is_guest, print_of
from .prints import standing, told


@frozen
class Whose:
    """Who has a contact.

    Attributes:
        alive: those who are there, by uid.
        gone: those who were deleted in the shop: they may come again.
        wants: uid -> fingerprints of what each wants there, as far as that is known.
        emails: the addresses on it.
    """

    alive: frozenset[str]
    gone: frozenset[str]
    wants: Mapping[str, Iterable[str]]
    emails: frozenset[str]

    @property
    def everybody(self) -> frozenset[str]:
        """Those who are there, and those who are gone."""
        return self.alive | self.gone

    def wanted(self, uids: Iterable[str]) -> set[str]:
        """The fingerprints of what these want on it."""
        return {p for uid in uids for p in self.wants.get(uid, ())}

    def foreign(self, op: Operation) -> bool:
        """Whether it is another customer's of the same shop, who is still there, and not this one's too.

        A guest and an account do not count against each other: it is the same person, before and after registering.
        Two whom the owner merged have one contact; beside one that is still there it may also be that of one who is
        gone and came again, or who is known by this address in another shop.
        """
        theirs = self._of_the_shop(op)
        if not theirs or op.uid in theirs or any(is_guest(uid) for uid in (op.uid, *theirs)):
            return False
        return bool(theirs - self.gone) and not self.claimed(op)

    def _of_the_shop(self, op: Operation) -> set[str]:
        return {uid for uid in self.everybody if uid.startswith(f"{op.source}:{op.entity}:")}

    def claimed(self, op: Operation) -> bool:
        """Whether it is the record's, whoever else has it: they take somebody's place, or another shop knows them by
        their address."""
        theirs = self._of_the_shop(op)
        prints = {print_of("email", e) for e in wanted_emails(op.fields)}
        elsewhere = prints & self.wanted(self.alive - theirs)
        return bool(self.inherited(op)) or bool(elsewhere and not prints & self.wanted(theirs))

    def inherited(self, op: Operation) -> set[str]:
        """Those whose place the record takes: customers who are gone, and guests of the shop who registered, whose
        address, or number where an address says nothing else, is the record's now, or was when it was last delivered
        (a guest who registers and moves on at once). Of whom is not known what they wanted there, where nobody else
        wants it."""
        former = set() if op.uid in self.everybody else set(self.gone)
        if not is_guest(op.uid):
            former |= {uid for uid in self.everybody if is_guest(uid) and uid.startswith(f"{op.source}:")}
        if not former:
            return set()
        states = (op.fields, op.link.mapped if op.link is not None else {})
        emails = {e for fields in states for e in wanted_emails(fields)}
        prints = {print_of("email", e) for e in emails}
        if not emails or not self.emails:
            prints |= {print_of("phone", p) for fields in states for p in wanted_phones(fields)}
        nobodys = not prints & self.wanted(self.everybody - former - {op.uid})
        return {uid for uid in former if prints & self.wanted([uid]) or (nobodys and uid not in self.wants)}

    def beside(self, link: Link, uid: str, *, as_guest: bool = False) -> frozenset[str]:
        """Those who are there beside this one; `as_guest`: who is not the guest that this one was."""
        others = self.alive - {uid}
        if not as_guest:
            return others
        mine = {print_of("email", e) for e in wanted_emails(link.mapped)}
        known = {u for u in others if mine and u in self.wants and not mine & self.wanted([u])}
        return frozenset(u for u in others if not is_guest(u) or u in known)

    def surely_has(self, email: str) -> bool:
        """Whether somebody of whom that is known has it with this very address."""
        return print_of("email", email) in self.wanted(self.alive)

    def has(self, email: str) -> bool:
        """As `surely_has`, or somebody of whom that is not known (another installation's customer) has it."""
        address = print_of("email", email)
        return any(uid not in self.wants or address in self.wants[uid] for uid in self.alive)

    def holds(self, email: str) -> bool:
        """Whether somebody who is there has it, maybe from the owner; beside one who is gone it may be that one's."""
        return self.has(email) or bool(self.alive and not self.gone)


def whose(index: Index, name: str) -> Whose:
    """Who has a contact."""
    own = index.own(name)
    wants = own.wants if own is not None else {}
    everybody = frozenset({*index.markers_of(name), *wants})
    gone = frozenset(uid for uid in everybody if index.buried(uid))
    return Whose(everybody - gone, gone, wants, frozenset(index.emails_of(name)))


def apart(index: Index, name: str, uid: str, known_by: Collection[str]) -> bool:
    """Whether a marker was put on by another installation, with a shop of the same name: we never wrote on the contact,
    and nothing of what its record is known by (fingerprints) was ever written there, or stands there."""
    if index.own(name) is not None or index.intents.open(uid):
        return False
    if name in map(index.resolve, index.intents.aimed_at([uid])):
        return False
    person = index.person(name)
    written = told(person)
    return bool(written and known_by) and not written.union(standing(person)).intersection(known_by)
