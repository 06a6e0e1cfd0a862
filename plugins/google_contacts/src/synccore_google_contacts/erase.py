"""Forgetting a person: their contacts, linked or not, and what becomes of each."""

from datetime import datetime, timedelta

from attrs import frozen

from synccore.entities import normalize_email
from synccore.errors import RateLimited
from synccore.types import Clock, Erased, Failed, Identity, Link, Operation, Outcome, Uid
from synccore.values import phone

from .index import Index
from .mapping import CONTACT
from .merge import print_of
from .round import Rounds
from .whose import apart, whose
from .write import Writer
from .write.plan import ERASE, GONE


@frozen
class Eraser:
    """Finds and takes away one person."""

    rounds: Rounds
    writer: Writer
    clock: Clock

    def find(self, identity: Identity) -> list[Link]:
        """The person's contacts, linked or not."""
        with self.rounds.index() as index:
            return _find(index, identity)

    def erase(self, link: Link) -> Erased | None:
        """Delete the contact that synccore made for this person alone; take what it wrote off any other."""
        return _erased(self.writer.deliver([_erasing(link, self.clock.now())])[0])


def _find(index: Index, identity: Identity) -> list[Link]:
    """The contacts with a marker or an address of the person, or with a number and no other address.

    Raises RateLimited while a create of the person, whose answer was lost, may still show up.
    """
    index.sync(now=True)
    for uid in identity.uids:
        if (lost := index.intents.left(uid)) is not None and lost[1] > timedelta(0) and not index.with_marker(uid):
            reason = "the answer to a create was lost: Google's listing may show the contact yet"
            raise RateLimited(reason, retry_after=lost[1], scope="operation")
    if aimed := index.intents.aimed_at(identity.uids):
        index.refresh(aimed)
    emails, phones = {normalize_email(e) for e in identity.emails}, set(filter(None, map(phone, identity.phones)))
    known_by = {print_of("email", e) for e in emails} | {print_of("phone", p) for p in phones}
    found = {n for uid in identity.uids for n in index.with_marker(uid) if not apart(index, n, uid, known_by)}
    found |= {name for email in emails for name in index.with_email(email)}
    for number in phones:
        found |= {n for n in index.with_phone(number) if not index.emails_of(n) or emails & index.emails_of(n)}
    if emails:  # else it is asked for markers alone, of people who may be there without theirs
        index.unlearn(identity.uids, found)
    return [_link(index, name, identity) for name in sorted(found)]


def _link(index: Index, name: str, identity: Identity) -> Link:
    """As what it is held there: where it is others' too, the person's addresses and numbers are theirs to take off."""
    held_by, uids = whose(index, name), frozenset(identity.uids)
    alive = held_by.alive
    # Whose it is where we know of nobody: the only one who wants an address of these there, or of whom that is unknown.
    addresses = {print_of("email", normalize_email(e)) for e in identity.emails}
    theirs = {uid for uid in alive if uid not in held_by.wants or addresses & {*held_by.wants[uid]}}
    own = sorted(alive & uids) or (sorted(theirs) if len(theirs) == 1 else [])
    who = Uid.parse(own[0] if own else None)
    others = len(alive - uids)
    held = {"email": list(identity.emails), "phone": list(identity.phones)}
    # Who made what carries a marker shows when ours is taken off: where nothing else is left, it was ours.
    adopted = not (index.made(name) or index.markers_of(name))
    return Link(object=CONTACT.name, remote_id=name, adopted=adopted, shared=1 + others, source=who.source,
                entity=who.entity, key=who.key, fields={n: v for n, v in held.items() if v})  # fmt: skip


def _erasing(link: Link, at: datetime) -> Operation:
    """What `deliver` is to do for it."""
    return Operation(
        id=0, route=link.route, object=link.object, op="leave", on_leave="delete", source=link.source,
        entity=link.entity, key=link.key, link=link, idempotency_key="erase", at=at, settings={ERASE: True},
    )  # fmt: skip


def _erased(outcome: Outcome) -> Erased | None:
    """What came of it. Raises the error that kept it from being done."""
    if isinstance(outcome, Failed):
        raise outcome.error
    note = getattr(outcome, "note", None) or ""
    if note == "deleted":
        return Erased("deleted", "Google keeps it in the bin for 30 days")
    if note == GONE:
        return Erased("deleted", GONE)
    return Erased("released", note)
