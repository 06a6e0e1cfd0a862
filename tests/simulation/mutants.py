"""One place of a message changed to something that nobody means: strategies that say where and to what.

A mutant knows no message: its places are counted, and taken modulo what is there. So one that fails is made smaller
whatever message it is of.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen
from hypothesis import strategies as st

__all__ = ["Cut", "Mutant", "answers", "messages"]

ODD = (
    *(None, True, 0, -1, 10**30, 1e308),
    *("", " ", "0000-00-00T00:00:00", "x" * 70_000, "\ud83d", "\x00"),
    *([], [[]], {}, {"id": []}),
)
#: Stands for what JSON's own writer would not write.
DEEP = "@deep@"


def _other_type(value: Any) -> Any:
    """The same as something else."""
    match value:
        case bool() | None:
            return str(value)
        case int() | float():
            return str(value)
        case str():
            return int(value) if value.isdecimal() and len(value) < 100 else [value]
        case list():
            return dict(enumerate(value))
        case _:
            return [[name, inner] for name, inner in value.items()]


def _shorter(value: Any) -> Any:
    match value:
        case str() | list():
            return value[: len(value) // 2]
        case dict():
            return dict(list(value.items())[: len(value) // 2])
        case _:
            return None


def _doubled(value: Any) -> Any:
    return value + value if isinstance(value, str | list) else [value, value]


#: What a place is made to be, of what was there.
CHANGES: Mapping[str, Callable[[Any], Any]] = {
    "another type": _other_type,
    "half of it": _shorter,
    "twice": _doubled,
    "in a list": lambda value: [value],
    "in an object": lambda value: {"value": value},
    "deep": lambda value: DEEP,
}


@frozen
class Mutant:
    """`path`: which of the inner places, from the outside in; `into` is done to it: one of `CHANGES`, "gone", or "as
    another place" (`other`); or it is a tuple of what is put there."""

    path: tuple[int, ...]
    into: str | tuple[Any]
    other: tuple[int, ...] = ()
    depth: int = 1

    def __call__(self, message: Any) -> Any:
        """That message, changed; what was given stays as it is."""
        new = _at(message, self.other) if self.into == "as another place" else None
        return self._within(message, self.path, new)

    def _within(self, value: Any, path: tuple[int, ...], new: Any) -> Any:
        if not path or not isinstance(value, dict | list) or not value:
            return self._made(value, new)
        at = path[0] % len(value)
        names = list(value) if isinstance(value, dict) else range(len(value))
        copy = value.copy()
        if self.into == "gone" and (len(path) == 1 or not isinstance(value[names[at]], dict | list)):
            del copy[names[at]]
        else:
            copy[names[at]] = self._within(value[names[at]], path[1:], new)
        return copy

    def _made(self, value: Any, new: Any) -> Any:
        if isinstance(self.into, tuple):
            return self.into[0]
        return CHANGES[self.into](value) if self.into in CHANGES else new

    def written(self, message: Any) -> bytes:
        """The message, changed, as it goes out."""
        deep = b"[" * self.depth + b"]" * self.depth
        return json.dumps(self(message)).encode().replace(json.dumps(DEEP).encode(), deep)


def _at(value: Any, path: tuple[int, ...]) -> Any:
    for number in path:
        if not isinstance(value, dict | list) or not value:
            break
        value = value[list(value)[number % len(value)]] if isinstance(value, dict) else value[number % len(value)]
    return value


@frozen
class Cut:
    """What is no JSON any more, or was not meant as such: the text itself."""

    how: str
    at: int = 0

    def written(self, message: Any) -> bytes:
        """The message, changed, as it goes out."""
        return self.of(json.dumps(message).encode())

    def of(self, text: bytes) -> bytes:
        """The text, changed."""
        at = self.at % (len(text) + 1)
        match self.how:
            case "cut":
                return text[:at]
            case "twice":
                return text + text
            case "a byte":
                return text[:at] + b"\xff" + text[at:]
            case "a mark":
                return b"\xef\xbb\xbf" + text
            case _:  # one name twice
                return b'{"id": 1, "email": null, ' + text[1:] if text[:2] == b'{"' else text


_paths = st.lists(st.integers(0, 60), max_size=5).map(tuple)
_into = st.sampled_from([*(((value,)) for value in ODD), *CHANGES, "gone", "as another place"])
_deep = st.lists(st.integers(0, 60), min_size=3, max_size=7).map(tuple)
_depths = st.sampled_from((1, 60, 600, 3_000))
_mutants = st.builds(Mutant, path=_paths, into=_into, other=_paths, depth=_depths)
cuts = st.builds(Cut, st.sampled_from(("cut", "twice", "a byte", "a mark", "a name twice")), st.integers(0, 5_000))
messages = _mutants | cuts
#: As often as not far inside, where most of an answer is.
answers = messages | st.builds(Mutant, path=_deep, into=_into, other=_paths, depth=_depths)
