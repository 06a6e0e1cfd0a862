"""One vocabulary for terminal, dashboard and documents: each word once, and what it means."""

from attrs import frozen

__all__ = ["GLOSSARY", "Word"]


@frozen
class Word:
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
