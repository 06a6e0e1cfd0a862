"""Which contact is the customer: link, marker, e-mail, phone, in this order."""

from collections.abc import Callable, Iterable

from attrs import frozen

from synccore.types import Operation

from ..index import Index
from ..mapping import wanted_emails, wanted_phones
from ..merge import is_guest, print_of


@frozen
class Match:
    """What was found.

    Attributes:
        name: the one contact; None where there is none, or where there are several.
        by: link, marker, email or phone.
        candidates: the contacts between which nothing decides.
    """

    name: str | None = None
    by: str = ""
    candidates: tuple[str, ...] = ()


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
        made = [n for n in marked if index.made(n)]
        return Match((made or marked)[0], "marker")
    for field in op.match or ("email", "phone"):
        candidates = _candidates(index, op, field)
        # One that the record inherits a place on is its too, once the other who stays on it was written.
        free = (n for n in candidates if not taken(n) or inherited(index, op, n))
        found = sorted(n for n in free if not _foreign(index, op, n))
        if len(found) == 1:
            return Match(found[0], field)
        if found:
            return Match(candidates=tuple(found))
    return Match()


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
    """Whether the contact is marked as another customer of the same shop, one that is still there.

    A guest and an account do not count against each other: it is the same person, before and after registering.
    Two whom the owner merged have one contact, whosever marker was lost by it; beside one that is still there it may
    also be that of one who is gone and came again.
    """
    kind = f"{op.source}:{op.entity}:"
    mine = {m for m in index.markers_of(name) if m.startswith(kind)}
    if not mine or op.uid in mine or any(is_guest(m) for m in (op.uid, *mine)):
        return False
    return bool(mine - index.dead_on(name)) and not (_merged(index, op, name) or inherited(index, op, name))


def _merged(index: Index, op: Operation, name: str) -> bool:
    """Whether the record's own contact became this one: what it alone is known by stands there."""
    if op.link is None or index.resolve(op.link.remote_id) != name:
        return False
    there = index.emails_of(name).intersection(wanted_emails(op.link.mapped))
    return bool({print_of("email", e) for e in there} - _wanted(index, name, index.markers_of(name)))


def inherited(index: Index, op: Operation, name: str) -> set[str]:
    """The markers on the contact that this record takes over: of customers who are gone, and of guests of the shop who
    registered, whose address, or number where an address says nothing else, is the record's now. Of whom is not known
    what they wanted there, where nobody else wants it."""
    markers, emails = index.markers_of(name), set(wanted_emails(op.fields))
    former = set() if op.uid in markers else index.dead_on(name)
    if not is_guest(op.uid):
        former = former | {m for m in markers if is_guest(m) and m.startswith(f"{op.source}:")}
    if not former:
        return set()
    prints = {print_of("email", e) for e in emails}
    if not emails or not index.emails_of(name):
        prints |= {print_of("phone", p) for p in wanted_phones(op.fields)}
    nobodys = not prints & _wanted(index, name, markers - former - {op.uid})
    return {m for m in former if prints & (wanted := _wanted(index, name, [m])) or (nobodys and not wanted)}


def _wanted(index: Index, name: str, uids: Iterable[str]) -> set[str]:
    """The fingerprints of what these want on the contact."""
    own = index.own(name)
    return {p for uid in uids for p in own.wants.get(uid, ())} if own is not None else set()


def namesakes(index: Index) -> dict[str, str]:
    """Contacts that have the address of a customer's contact and are not that customer's -> that contact: maybe a
    second one, such as one typed in before a write that Google's listing and search did not show yet."""
    found: dict[str, str] = {}
    for email, names in index.addresses().items():
        theirs = sorted(n for n in names if _lives(index, n, email))
        if theirs:
            found |= {n: theirs[0] for n in names if n not in theirs}
    return found


def _lives(index: Index, name: str, email: str) -> bool:
    """Whether somebody who is there has the contact; where somebody else on it is gone, with this very address."""
    dead, own = index.dead_on(name), index.own(name)
    wants = own.wants if own is not None else {}
    alive = (index.markers_of(name) | wants.keys()) - dead
    return any(not dead or m not in wants or print_of("email", email) in wants[m] for m in alive)
