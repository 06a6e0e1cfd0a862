"""One vocabulary for terminal, dashboard and documents: each word once, and what it means; times and counts too."""

from datetime import datetime

from attrs import frozen

from ..._plain import Plain

__all__ = ["GLOSSARY", "Word", "ago", "due", "length", "plural"]


@frozen
class Word(Plain):
    """A word and what it means, for people."""

    word: str
    means: str


GLOSSARY: dict[str, tuple[Word, ...]] = {
    "Things": (
        Word("source", "a shop that says what changed"),
        Word("sink", "a target that is kept up to date; also called target"),
        Word("instance", "a source or a sink of the configuration, under its own name"),
        Word("route", "the way from one kind of record of a source to one kind of record at a sink"),
        Word("record", "a customer, an order, a membership, a subscription; a payment is a fact and never changes"),
        Word("delivery", "what a route owes its sink for one record; one row of the outbox"),
        Word("link", "what is known of a record's twin at a sink: its remote id, and the fields last sent"),
        Word("lane", "the way to one sink: it may be paused, and waits while the target is away"),
        Word("trail", "what happened to each record, line by line: names of fields, never their values"),
    ),
    "Where a delivery is": (
        Word("owed", "not at the target yet: ready, running or submitted"),
        Word("ready", "owed, and waits for its time or its turn"),
        Word("running", "owed, and being sent now"),
        Word("submitted", "owed, and inside a bulk job of the vendor's"),
        Word("delivered", "at the target"),
        Word("skipped", "nothing had to be sent: the route's filter says so, or the target holds it already"),
        Word("parked", "refused for good, and waits for a person: retry it once the cause is mended, or dismiss it"),
        Word("dismissed", "given up by a person; the record's next change is delivered as usual"),
    ),
    "What the trail says beside": (
        Word("received", "the source told of it, and nothing is owed because of it yet"),
        Word("linked", "its twin was found at the target"),
        Word("unchanged", "the target held it already, and nothing was written"),
        Word("retry", "did not work, and is tried again by itself"),
        Word("snoozed", "put off: the target asked to wait, or is away; no attempt was used"),
        Word("retried", "a person had it tried again"),
        Word("overtook", "something of it could not wait for a bulk job and was done ahead of it"),
        Word("failed", "a call failed"),
    ),
    "How an instance is": (
        Word("ok", "it works"),
        Word("paused", "a person paused it; nothing is lost while it waits"),
        Word("rate limited", "the other side asked to slow down; goes on by itself"),
        Word("circuit open", "the other side is away; it is looked for by itself, and nothing is lost"),
        Word("needs auth", "the other side does not accept the credentials, or was never reached: connect it"),
        Word("error", "it cannot work as it is configured, or refuses everything: read the reason"),
    ),
}


def ago(moment: datetime | None, now: datetime) -> str:
    """ "just now", "12 s ago", "3 min ago", "5 h ago", "2 days ago"; "never" for None."""
    if moment is None:
        return "never"
    seconds = int((now - moment).total_seconds())
    return f"{length(seconds)} ago" if seconds >= 2 else "just now"


def due(moment: datetime, now: datetime) -> str:
    """As `ago`, of what may be still to come: "in 20 s"."""
    return f"in {length((moment - now).total_seconds())}" if moment > now else ago(moment, now)


def length(seconds: float) -> str:
    """A length of time in one unit."""
    whole = int(seconds)
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if whole >= size * (2 if unit == "days" else 1):
            return f"{whole // size} {unit}"
    return f"{whole} s"


def plural(count: int, noun: str, many: str | None = None) -> str:
    """ "1 record", "1,200 records"."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"
