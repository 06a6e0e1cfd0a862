"""Searching for contacts that the listing may not show yet: by Google's other index, which lags by itself."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from synccore.errors import RateLimited
from synccore.types import Operation

from ..client import LONGEST_LAG
from ..index import Index
from ..mapping import wanted_emails, wanted_phones
from ..round import Round
from .twin import Match, find

#: Contacts looked for in one call: as many as are made one by one, at the cost of one write call.
SEARCHES = 6
#: New customers for whom half of a minute's reads suffice: two groups.
A_MINUTE = 10
#: Reads of a group beside its queries: the listing before it, and the search that warms the cache.
BESIDE = 2
#: Google's search answers from a cache that an empty search fills, "wait several seconds" after it
#: (guide "Read and manage contacts").
WARM_UP = timedelta(seconds=3)


def sought(round_: Round, operations: Sequence[Operation]) -> tuple[list[Operation], list[Operation]]:
    """Whom to look for, and who has to wait for that: contacts whose create was lost, and those that are about to be
    made, which the owner may have typed in, renamed or merged a moment ago. Each is named once in a round.

    What is of the past and what was lost in numbers is left to the listing. So are many who are owed for so long that
    it shows what was typed in before they came.
    """
    index = round_.index
    if not round_.listed:
        round_.listed = index.sync()
    none = [op for op in operations if op.id not in round_.sought and find(index, op) == Match()]
    round_.sought |= {op.id for op in none}
    lost = [
        op for op in none if (op.op == "upsert" or op.link is None) and (op.maybe_applied or index.intents.open(op.uid))
    ]
    new = [op for op in none if op.op == "upsert" and op not in lost and not (op.bulk and op.link is None)]
    hidden = [op for op in new if _hidden_until(round_, op) is not None]
    shown = [op for op in new if op not in hidden]
    if not (lost or new):
        return [], []
    group = lost if len(lost) <= SEARCHES else []
    for op in hidden:
        if not _fit(round_, [*group, op]):
            break
        group = [*group, op]
    if _fit(round_, [*group, *shown]):
        group = [*group, *shown]
    return group, [op for op in hidden if op not in group]


def _hidden_until(round_: Round, op: Operation) -> datetime | None:
    """Until when the listing may not show what was typed in before the record came; None: it does."""
    until = op.since + LONGEST_LAG if op.since is not None and not op.bulk else None
    return until if until is not None and until > round_.context.clock.now() else None


def _fit(round_: Round, group: Sequence[Operation]) -> bool:
    return len(group) <= SEARCHES and round_.people.may_search(BESIDE + sum(len(_queries(op)) for op in group))


def hold_back(round_: Round, operations: Sequence[Operation]) -> None:
    """They wait until they can be looked for, or until the listing would show what was typed in before they came."""
    now = round_.context.clock.now()
    ready = round_.people.search_after(BESIDE + 2 * SEARCHES)
    for place, op in enumerate(operations):
        # On a full minute, so that they come together: a batch costs less.
        end = (_hidden_until(round_, op) or now).replace(second=0, microsecond=0) + timedelta(minutes=1)
        turn = ready + place // A_MINUTE * timedelta(minutes=1)
        reason = (
            "many new customers at once: it waits until it can be looked for by Google's search, or until the listing "
            f"would show a contact that was typed in before, until {end:%H:%M} UTC at the latest"
        )
        wait = max(min(turn, end) - now, timedelta(seconds=1))
        round_.fail(op, RateLimited(reason, retry_after=wait, scope="operation"))


def warm_up(round_: Round) -> datetime:
    """Have Google fill the cache that its search answers from; gives when that is done."""
    round_.people.search("")
    return round_.context.clock.now() + WARM_UP


def search(round_: Round, operations: Sequence[Operation], warm: datetime) -> None:
    """It cannot be asked for a marker; what it finds is read by name."""
    people, clock = round_.people, round_.context.clock
    if (left := warm - clock.now()) > timedelta(0):
        clock.sleep(left)
    found = {p["resourceName"] for op in operations for query in _queries(op) for p in people.search(query)}
    round_.index.learn(people.batch_get(sorted(found)).values())


def still(index: Index, operations: Sequence[Operation]) -> list[Operation]:
    """Those that the listing, read since, does not show either."""
    return [op for op in operations if not index.with_marker(op.uid) and find(index, op) == Match()]


def _queries(op: Operation) -> list[str]:
    """What to search a contact by: its address, and its name where it may be known by its number alone. How the
    owner typed a number nobody knows."""
    emails = wanted_emails(op.fields)[:1]
    name = " ".join(str(op.fields[n]) for n in ("given_name", "family_name") if op.fields.get(n))
    return [*emails, *([name] if name and wanted_phones(op.fields) else [])]
