"""Looking at the account before it is said who is there."""

from collections.abc import Sequence
from datetime import timedelta

from synccore.types import Operation

from ..mapping import wanted_emails, wanted_phones
from ..round import Round
from .twin import find


def prepare(round_: Round) -> None:
    """Know the account well enough to tell what is there already.

    Whatever may end in a new contact looks at the listing first (one read for all of them): the owner may have typed
    the contact in, renamed or merged it a minute ago.
    """
    index = round_.index
    operations = round_.pending()
    linked = {index.resolve(op.link.remote_id) for op in operations if op.link is not None}
    # A deletion without a link is of a record whose create may have been carried out.
    creates = [op for op in operations if op.link is None]
    unknown = [name for name in linked if name not in index]
    leaving = [op.link.remote_id for op in operations if op.link and ending_as(round_, op) == "delete"]
    if not round_.listed:
        index.sync(now=bool(creates or unknown or leaving))
    ending = [index.resolve(name) for name in leaving]  # by the names that the listing has just told
    still = [name for name in unknown if index.resolve(name) not in index]
    unheard_of = [op for op in operations if op.maybe_applied]
    unsure = [index.resolve(op.link.remote_id) if op.link is not None else find(index, op).name for op in unheard_of]
    # By the address that they had then, which may be another one by now.
    unsure += index.intents.aimed_at(op.uid for op in unheard_of if op.link is None)
    if read := {*still, *(name for name in (*ending, *filter(None, unsure)) if name in index)}:
        # Not in the listing is not gone: a listing lags behind, a read by name does not. What is to be deleted may be
        # another customer's too, or the owner's, since a merge of a moment ago. And what was written without an answer
        # stands there, and not in the index, our marker on a contact of the owner's as well.
        index.refresh(read)
    if rivals := {other for name in ending if name in index for other in index.alike(name)}:
        # An address of theirs on it may have come with a merge that nothing tells of yet.
        index.refresh(rivals)


def ending_as(round_: Round, op: Operation) -> str | None:
    """What becomes of the contact of a record that is gone or not wanted: keep, unlabel, clear or delete."""
    if op.op == "upsert":
        return None
    if op.op == "delete" or op.gone:
        return str(op.settings.get("on_delete") or round_.config.on_delete)
    return op.on_leave


def settle_doubts(round_: Round, operations: Sequence[Operation]) -> None:
    """Read the contacts between which nothing decides by name, before that is the last word: those that are gone now
    were merged or deleted a moment ago. Before anything is written, so that `lookup` comes to the same."""
    index, doubtful = round_.index, set[str]()
    for op in operations:
        if op.id not in round_.doubted and round_.ambiguous(op) == "skip" and (several := find(index, op).candidates):
            round_.doubted.add(op.id)
            doubtful.update(several)
    if doubtful and None in index.refresh(doubtful).values():
        index.sync(now=True)


def unheard(round_: Round, op: Operation) -> tuple[timedelta, str] | None:
    """How long a contact that was made for this record may still turn up: its create was sent and the answer lost.
    Until then no other is made, and none is taken for it by what stands there; None: no need to wait."""
    lost = round_.index.intents.left(op.uid)
    if lost is None or lost[1] <= timedelta(0):
        return None
    age, left = lost
    return min(left, max(timedelta(seconds=2), age)), _waits(round_, "the answer to a create was lost", left)


def waiting(round_: Round, op: Operation) -> tuple[timedelta, str] | None:
    """How long no contact may be made for this record, and why; None: no need to wait.

    A create of it was sent and its answer lost, or its contact is gone and may turn up under another name.
    """
    if (lost := unheard(round_, op)) is not None:
        return lost
    name = op.link.remote_id if op.link is not None else None
    emails, phones = set(wanted_emails(op.fields)), set(wanted_phones(op.fields))
    missing = round_.index.vanished(op.uid, name, emails, phones)
    if missing is None:
        return None
    why = "its contact was deleted, merged or renamed at Google a moment ago"
    return min(missing, timedelta(seconds=30)), _waits(round_, why, missing)


def _waits(round_: Round, why: str, left: timedelta) -> str:
    until = round_.context.clock.now() + left
    return f"{why}: waiting until Google's listing shows what became of it, until {until:%H:%M} UTC at the latest"
