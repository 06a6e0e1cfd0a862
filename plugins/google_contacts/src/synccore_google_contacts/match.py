"""Which contact is the customer: link, marker, e-mail, phone, in this order."""

from collections.abc import Callable

from attrs import frozen

from synccore.types import Operation

from .index import Index
from .mapping import wanted_emails, wanted_phones
from .merge import is_guest


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
        found = sorted(n for n in candidates if not taken(n) and not _foreign(index, op, n))
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
    """
    kind = f"{op.source}:{op.entity}:"
    mine = {m for m in index.markers_of(name) if m.startswith(kind)}
    if not mine or op.uid in mine or any(is_guest(m) for m in (op.uid, *mine)):
        return False
    return bool(mine - index.dead_on(name))
