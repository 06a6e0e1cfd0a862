"""Numbers that were left out, for another profile had them: who can have them once that one has them no more."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import evolve

from synccore.types import Context, Delivered, Operation, Outcome

from .digest import digest

__all__ = ["Wanted"]

_WANTED = "wanted:"


class Wanted:
    """Remembers them by whoever has them: a profile, or somebody who was just written and cannot be found yet."""

    def __init__(self, context: Context) -> None:
        self._state = context.state()

    def add(self, operation: Operation, phone: str, holder: str) -> None:
        """It was left out of this one; `holder` is a profile's id, or a uid."""
        one = {"number": digest(phone), "route": operation.route}
        self._state.put({_place(holder) + operation.uid: one})

    def told(self, operations: Sequence[Operation], outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes, with whoever can have now what stood at one's profile."""
        if next(iter(self._state.scan(_WANTED)), None) is None:
            return list(outcomes)
        return [
            evolve(one, frees=tuple(self._of(op, one))) if isinstance(one, Delivered) and _gives_up(op) else one
            for op, one in zip(operations, outcomes, strict=True)
        ]

    def _of(self, operation: Operation, outcome: Delivered) -> Iterator[str]:
        held = operation.fields if outcome.fields is None else outcome.fields
        number = held.get("phone_number") if operation.op == "upsert" else None
        holders = {outcome.remote_id, operation.link and operation.link.remote_id, operation.uid} - {None}
        for name, uid, one in self._held_by(map(str, holders)):
            if one["route"] != operation.route or uid == operation.uid or digest(str(number)) == one["number"]:
                continue
            # Once more with the next change: this process may die before it is owed.
            self._state.put({name: None if "freed" in one else {**one, "freed": "yes"}})
            yield uid

    def _held_by(self, holders: Iterable[str]) -> list[tuple[str, str, Mapping[str, str]]]:
        places = [_place(holder) for holder in holders]
        return [(name, name.removeprefix(place), one) for place in places for name, one in self._state.scan(place)]

    def forget(self, holders: Sequence[str]) -> None:
        """Nobody knows of these profiles and people any more."""
        gone = [name for name, _, _ in self._held_by(holders)]
        gone += [name for name, _ in self._state.scan(_WANTED) if name.split(":", 2)[2] in holders]
        if gone:
            self._state.put(dict.fromkeys(gone))


def _place(holder: str) -> str:
    return f"{_WANTED}{digest(holder)}:"


def _gives_up(operation: Operation) -> bool:
    """Whether another number may stand there now; where none is mapped nobody here knows."""
    if operation.op != "upsert":
        return True
    return "phone_number" in operation.changed or (operation.maybe_applied and "phone_number" in operation.fields)
