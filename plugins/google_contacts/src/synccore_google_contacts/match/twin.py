"""Which contact is the customer: link, marker, e-mail, phone, in this order."""

from collections.abc import Callable

from attrs import frozen

from synccore.types import Operation

from ..index import Index
from ..mapping import wanted_emails, wanted_phones
from ..merge import print_of
from ..prints import built, prints_of, told
from ..whose import Whose, apart, whose

#: Why a record is not written to the contact that carries its key.
ANOTHER = (
    "a contact of somebody else carries the key of this customer: another installation writes to this account, with a "
    "shop of the same name. Give the shops different names, in one of the two before its first delivery"
)


@frozen
class Match:
    """What was found.

    Attributes:
        name: the one contact; None where there is none, or where there are several.
        by: link, marker, email or phone.
        candidates: the contacts between which nothing decides.
        another: the one contact with the record's marker is another person's: see `namesake`.
    """

    name: str | None = None
    by: str = ""
    candidates: tuple[str, ...] = ()
    another: bool = False

    @property
    def seems(self) -> bool:
        """Whether only what stands there tells: the record may have one that carries its marker, not shown yet."""
        return self != Match() and self.by not in ("link", "marker")


def find(index: Index, op: Operation, taken: Callable[[str], bool] = lambda name: False) -> Match:
    """The contact that is the operation's record, as far as the index knows.

    Args:
        taken: whether a contact already belongs to another operation of the same call.
    """
    if op.link is not None:
        name = index.resolve(op.link.remote_id)
        if name in index and not _foreign(index, op, name):
            return Match(name, "link")
    marked = sorted(index.with_marker(op.uid))
    if marked:
        name = next((n for n in marked if index.made(n)), marked[0])
        return Match(name, "marker", another=_anothers(index, op, name))
    for field in op.match or ("email", "phone"):
        candidates = _candidates(index, op, field)
        # One that is the record's too is so once the other who has it was written.
        free = (n for n in candidates if not taken(n) or whose(index, n).claimed(op) or _joined(index, op, n))
        found = sorted(n for n in free if not _foreign(index, op, n))
        if len(found) == 1:
            return Match(found[0], field)
        if found:
            return Match(candidates=tuple(found))
    return Match()


#: By these somebody is known who has the same key.
_KNOWN_BY = ("email", "phone", "url")
_NAMES = ("given_name", "family_name")


def _anothers(index: Index, op: Operation, name: str) -> bool:
    """Whether the contact with the record's key is another installation's customer's. Who has the very names that were
    written there has another address, and number, by now."""
    if op.link is not None:
        return False
    known_by, names = (prints_of(built({n: op.fields.get(n) for n in some})) for some in (_KNOWN_BY, _NAMES))
    if names and names <= told(index.person(name)):
        return False
    return apart(index, name, op.uid, known_by)


def _candidates(index: Index, op: Operation, field: str) -> set[str]:
    emails = set(wanted_emails(op.fields))
    found: set[str] = set()
    if field == "email":
        for email in emails:
            found |= index.with_email(email)
    elif field == "phone":
        for phone in wanted_phones(op.fields):
            found |= index.with_phone(phone)
        # A number that a family or an office shares: another address says it is another person.
        found = {n for n in found if not emails or not index.emails_of(n) or emails & index.emails_of(n)}
    return found


def _foreign(index: Index, op: Operation, name: str) -> bool:
    return whose(index, name).foreign(op) and not _joined(index, op, name)


def _joined(index: Index, op: Operation, name: str) -> bool:
    """Whether the owner merged what was the record's into it, of which nothing else tells."""
    return _merged(index, op, name) or _made_and_merged(index, op, name)


def _merged(index: Index, op: Operation, name: str) -> bool:
    """Whether the record's own contact became this one, of which nothing else tells any more: what it alone is known by
    stands there, and nowhere else a contact of its own."""
    if op.link is None:
        return False
    own = index.resolve(op.link.remote_id)
    if own != name and own in index:
        return False
    there, holders = index.emails_of(name).intersection(wanted_emails(op.link.mapped)), whose(index, name)
    return bool({print_of("email", e) for e in there} - holders.wanted(holders.everybody))


def _made_and_merged(index: Index, op: Operation, name: str) -> bool:
    """Whether it was the record's by a create without an answer, or by one of a database that a backup replaced: its
    address stands there, and neither wants it there anybody of whom we know, nor did we write it for them."""
    if not op.maybe_applied or op.previous:
        return False
    there, holders = index.emails_of(name).intersection(wanted_emails(op.fields)), whose(index, name)
    return bool({print_of("email", e) for e in there} - holders.wanted(holders.everybody) - told(index.person(name)))


def namesakes(index: Index) -> dict[str, str]:
    """Contacts that have the address of a customer's contact and are not that customer's -> that contact: maybe a
    second one, such as one typed in before a write that Google's listing and search did not show yet, or one that the
    owner merged with another customer's. Nor is one of those needed who all have another one with that address."""
    found: dict[str, str] = {}
    for email, names in index.addresses().items():
        if len(names) < 2:
            continue
        holders = {n: whose(index, n) for n in sorted(names)}
        ways = (Whose.surely_has, Whose.has, Whose.holds)
        if theirs := next(filter(None, ([n for n, w in holders.items() if way(w, email)] for way in ways)), None):
            found |= {n: theirs[0] for n in names if n not in theirs}
            found |= {n: m for n in theirs for m in theirs if holders[n].alive < holders[m].alive and holders[n].alive}
    return found
