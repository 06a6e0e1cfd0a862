"""Hints followed: what a source only named is asked for, and taken in together with the end of its hint."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import groupby

from attrs import define, field

from ..hookspecs import Source
from ..store import Hint, Ingest, Rules
from ..types import Change, Clock, Unreadable
from .intake import Intake

__all__ = ["Followed", "Follower", "parted"]

_Found = Change | Sequence[Change | Unreadable] | None
_Ask = Callable[[], Mapping[str, _Found]]


@define
class Followed:
    """What became of some hints; a failed one stays, with the error to decide by."""

    answered: int = 0
    failed: list[tuple[Hint, Exception]] = field(factory=list)


class Follower:
    """Fetches what one source only named."""

    def __init__(self, name: str, source: Source, rules: Rules, *, intake: Intake, clock: Clock) -> None:
        self._name = name
        self._source = source
        self._rules = rules
        self._intake = intake
        self._clock = clock

    def follow(self, hints: Sequence[Hint]) -> Followed:
        """Ask for these (all of op `touch`), entity by entity; raises only what taking them in raises."""
        followed = Followed()
        for _, group in groupby(sorted(hints, key=_kind), key=_kind):
            self._together(list(group), followed)
        return followed

    def _together(self, hints: list[Hint], followed: Followed) -> None:
        fetch_many = getattr(self._source, "fetch_many", None)
        if fetch_many is None:
            for hint in hints:
                self._answer([hint], followed, partial(self._one, hint))
            return
        keys = [hint.key for hint in hints]
        self._answer(hints, followed, lambda: fetch_many(hints[0].entity, keys))

    def _one(self, hint: Hint) -> Mapping[str, _Found]:
        return {hint.key: self._source.fetch(hint.entity, hint.key)}

    def _answer(self, hints: list[Hint], followed: Followed, ask: _Ask) -> None:
        # From before the question: what a webhook brings meanwhile is newer than this answer.
        read_at = self._clock.now()
        try:
            found = ask()
        except Exception as error:  # noqa: BLE001  the caller's policy decides
            followed.failed += [(hint, error) for hint in hints]
            return
        changes, unreadable = parted(told for hint in hints for told in _told(hint, found.get(hint.key)))
        self._intake.submit(
            Ingest(
                source=self._name,
                changes=_in_order(changes, read_at),
                unreadable=[_without_key(u) for u in unreadable],
                rules=self._rules,
                bulk=hints[0].bulk,
                read_at=read_at,
                answers=hints,
            )
        )
        followed.answered += len(hints)


def _kind(hint: Hint) -> tuple[str, bool]:
    return hint.entity, hint.bulk


def _told(hint: Hint, found: _Found) -> Sequence[Change | Unreadable]:
    """What the source told of it; gone where it told nothing."""
    if found is None:
        return [Change(entity=hint.entity, key=hint.key, op="delete")]
    return [found] if isinstance(found, Change) else found


def _in_order(changes: Sequence[Change], read_at: datetime) -> list[Change]:
    """What is, and then facts in the order in which they happened: hints of one moment come in any."""
    facts = sorted((one for one in changes if one.op == "event"), key=lambda fact: fact.at or read_at)
    return [*(one for one in changes if one.op != "event"), *facts]


def _without_key(record: Unreadable) -> Unreadable:
    """It was just asked for: to ask again at once would bring the same."""
    return Unreadable(where=record.where, reason=record.reason, entity=record.entity, key=None)


def parted(told: Iterable[Change | Unreadable]) -> tuple[list[Change], list[Unreadable]]:
    """Changes, and what could not be read."""
    changes: list[Change] = []
    unreadable: list[Unreadable] = []
    for one in told:
        if isinstance(one, Unreadable):
            unreadable.append(one)
        else:
            changes.append(one)
    return changes, unreadable
