"""From the status document to words and colours: pure, so that every state can be tested without a daemon."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

from attrs import frozen

from ..._verbs.log import told
from ..._verbs.needs import Need
from ..._verbs.parts.waits import remedy
from ..._verbs.parts.words import ago, length

if TYPE_CHECKING:
    from ...store import HistoryEntry

__all__ = [
    "Line",
    "Row",
    "harmless",
    "lines",
    "number",
    "overall",
    "record_path",
    "rest",
    "rows",
    "short_moment",
    "value",
    "word_of",
]

Colour = Literal["green", "amber", "red"]

_COLOURS: Mapping[str, Colour] = {
    "ok": "green",
    "paused": "amber",
    "rate_limited": "amber",
    "circuit_open": "amber",
    "needs_auth": "red",
    "error": "red",
}
_HINTS = {
    "paused": "{step} lets it go on. Nothing is lost while it waits.",
    "rate_limited": "The other side asked to slow down. Goes on by itself. Nothing is lost while it waits.",
    "circuit_open": "The other side is away. It is tried again by itself. Nothing is lost while it waits.",
    "needs_auth": "{step} lets it go on. Nothing is lost while it waits.",
    "error": "{step} says what is wrong.",
}


@frozen(kw_only=True)
class Row:
    """One instance on the first page."""

    name: str
    kind: Literal["source", "sink"]
    type: str
    colour: Colour
    state: str
    #: The state in words; the colour alone says nothing.
    word: str
    reason: str = ""
    hint: str = ""
    #: Label and value, in order.
    facts: tuple[tuple[str, str], ...] = ()


@frozen(kw_only=True)
class Line:
    """One line of recent activity."""

    ago: str
    at: str
    route: str
    sink: str
    what: str
    outcome: str
    note: str
    #: The record's page, from the first page on.
    href: str


def record_path(source: str, entity: str, key: str) -> str:
    """The address of a record's page, from the first page on."""
    return "people/record?" + urlencode({"source": source, "entity": entity, "key": key})


def value(given: Any, most: int = 400) -> str:
    """A value of a record as people read it, long ones cut."""
    match given:
        case None:
            text = ""
        case bool():
            text = "yes" if given else "no"
        case datetime():
            text = short_moment(given)
        case Decimal() if given == given.to_integral_value():
            text = f"{given:f}"
        case Mapping():
            text = ", ".join(f"{name}: {value(one, most)}" for name, one in given.items())
        case list() | tuple():
            text = ", ".join(value(one, most) for one in given)
        case _:
            text = str(given)
    return text if len(text) <= most else text[: most - 1] + "…"


def harmless(cell: Any) -> Any:
    """A cell of a table for a spreadsheet: what one would take for a formula is told to be text."""
    return f"'{cell}" if isinstance(cell, str) and cell.lstrip().startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def rest(sentence: str, word: str) -> str:
    """What a sentence says beside the word that stands before it: "owed; its turn is next" after "owed"."""
    return sentence.removeprefix(word).lstrip("; :") if sentence.startswith(word) else sentence


def short_moment(at: datetime | None) -> str:
    """ "2026-01-31 14:05 UTC"; nothing for None."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def number(value: int) -> str:
    """With a thin space between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def rows(status: Mapping[str, Any], now: datetime) -> tuple[Row, ...]:
    """All instances, those that need somebody first, sources before sinks."""
    found = [_source(name, facts, now) for name, facts in status["sources"].items()]
    found += [_sink(name, facts, now) for name, facts in status["sinks"].items()]
    rank = {"red": 0, "amber": 1, "green": 2}
    return tuple(sorted(found, key=lambda row: (rank[row.colour], row.kind == "sink")))


def _source(name: str, facts: Mapping[str, Any], now: datetime) -> Row:
    state = facts["state"]
    known = []
    last: datetime | None = None
    for entity, entry in facts["entities"].items():
        known.append((entity, number(entry["snapshots"])))
        if moment := entry.get("last_poll_at"):
            last = max(last, moment) if last else moment
    return Row(
        name=name,
        kind="source",
        type=facts["type"],
        colour=_COLOURS.get(state, "red"),
        state=state,
        word=word_of(state),
        reason=facts.get("reason") or "",
        hint=_hint(state, name),
        facts=(*known, ("last asked", ago(last, now))),
    )


def _sink(name: str, facts: Mapping[str, Any], now: datetime) -> Row:
    state = facts["state"]
    colour, word, hint = _COLOURS.get(state, "red"), word_of(state), _hint(state, name)
    age = facts.get("oldest_ready_seconds") or 0
    if colour == "green" and facts["parked"]:
        colour, word = "amber", "ok, some parked"
        hint = f"They wait for you: synccore deliveries list --state parked --sink {name}"
    elif colour == "green" and facts["late"]:
        colour, word = "amber", f"ok, late by {length(age)}"
    counts = [("owed", number(facts["ready"] + facts["running"]))]
    if facts["parked"]:
        counts.append(("parked", number(facts["parked"])))
    counts += [("delivered", number(facts["done"])), ("skipped", number(facts["skipped"]))]
    if age >= 60:
        counts.append(("oldest", length(age)))
    return Row(
        name=name,
        kind="sink",
        type=facts["type"],
        colour=colour,
        state=state,
        word=word,
        reason=facts.get("reason") or "",
        hint=hint,
        facts=(*counts, ("last active", ago(facts["last_active_at"], now))),
    )


def _hint(state: str, name: str) -> str:
    return _HINTS.get(state, "").format(step=remedy(state, name))


def word_of(state: str) -> str:
    """A state as people write it: the terminal's word."""
    return state.replace("_", " ")


def overall(found: Sequence[Row], needs: Sequence[Need]) -> tuple[Colour, str]:
    """The page's headline: the instances, and what is to be noted on the whole."""
    if not found:
        return "amber", "Nothing is configured yet"
    colours = [(row.name, row.colour) for row in found]
    colours += [(need.name, "red" if need.grave else "amber") for need in needs if need.noted]
    red = list(dict.fromkeys(name for name, colour in colours if colour == "red"))
    amber = list(dict.fromkeys(name for name, colour in colours if colour == "amber"))
    if red:
        return "red", f"{_names(red)} {'needs' if len(red) == 1 else 'need'} you"
    if amber:
        return "amber", f"Working, with a note on {_names(amber)}"
    return "green", "Everything works"


def _names(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def lines(history: Sequence["HistoryEntry"], now: datetime) -> tuple[Line, ...]:
    """Lines of the trail in their order: ids and names, never personal data."""
    return tuple(
        Line(
            ago=ago(entry.at, now),
            at=entry.at.isoformat(timespec="seconds"),
            route=entry.route,
            sink=entry.sink,
            what=f"{entry.entity} {entry.key if len(entry.key) <= 20 else entry.key[:19] + '…'}",
            outcome=entry.outcome,
            note=told(entry),
            href=record_path(entry.source, entry.entity, entry.key),
        )
        for entry in history
    )
