"""How frozen objects are shown, compared and hashed.

attrs would write and compile functions of its own for each class, which is half of what making one takes, and a command
makes more than a hundred before it does anything. Hardly any object is asked for them afterwards.
"""

from collections.abc import Callable
from functools import cache
from operator import attrgetter, eq
from reprlib import recursive_repr
from typing import Any

import attrs

__all__ = ["Plain", "Shown"]

_Values = Callable[[Any], tuple[Any, ...]]
_Keys = list[tuple[str, Callable[[Any], Any]]]


def _share(kind: type, base: type, *names: str) -> None:
    """attrs makes what a class does not have itself."""
    for name in names:
        if name not in kind.__dict__:
            setattr(kind, name, base.__dict__[name])


class Shown:
    """What a frozen class begins with whose objects are told apart by who they are (`eq=False`).

    It says what attrs would make it say: `repr` of its attributes holds.
    """

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        _share(cls, Shown, "__repr__")

    @recursive_repr()
    def __repr__(self) -> str:
        kind: Any = type(self)
        shown = (f"{name}={say(getattr(self, name, attrs.NOTHING))}" for name, say in _shown(kind))
        return f"{kind.__qualname__.rsplit('>.', 1)[-1]}({', '.join(shown)})"


class Plain(Shown):
    """What other frozen classes begin with: objects are equal where their values are, but for those of `eq=False`."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        _share(cls, Plain, "__eq__", "__hash__")

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        kind: Any = self.__class__
        if keys := _keyed(kind):
            # One after the other: what is to be worked out need not be where the first ones differ.
            return all(key(getattr(self, name)) == key(getattr(other, name)) for name, key in keys)
        values = _compared(kind)
        return all(map(eq, values(self), values(other)))

    def __hash__(self) -> int:
        kind: Any = self.__class__
        return hash((kind, _compared(kind)(self)))


@cache
def _shown(kind: type[Any]) -> list[tuple[str, Callable[[Any], str]]]:
    return [(one.name, one.repr if callable(one.repr) else repr) for one in attrs.fields(kind) if one.repr]


@cache
def _keyed(kind: Any) -> _Keys:
    """The values that make two objects the same one, and what each is compared by; none where it is by itself."""
    those = [one for one in attrs.fields(kind) if one.eq]
    keys = [(one.name, one.eq_key or _itself) for one in those]
    return keys if any(one.eq_key for one in those) else []


@cache
def _compared(kind: Any) -> _Values:
    """What gives the values that make two objects the same one."""
    those = [one for one in attrs.fields(kind) if one.eq]
    if len(those) > 1 and not _keyed(kind):
        whole: _Values = attrgetter(*(one.name for one in those))
        return whole
    keys = _keyed(kind) or [(one.name, _itself) for one in those]
    return lambda made: tuple(key(getattr(made, name)) for name, key in keys)


def _itself(value: Any) -> Any:
    return value
