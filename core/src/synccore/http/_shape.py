"""What an answer is made of: said once where it is read, so that nobody behind it meets a part of another kind."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = ["ID", "MOMENT", "SECONDS", "Kind", "Shape", "WrongShape"]

Check = Callable[[Any], None]

_NAMES: Mapping[type, str] = {
    str: "a text", int: "a whole number", float: "a number", bool: "true or false", list: "a list", dict: "an object",
    type(None): "null",
}  # fmt: skip


class WrongShape(ValueError):
    """A part is of another kind. Says which, by the names that were asked for, and never what it holds."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self._said = said
        self._path: list[str] = []

    def within(self, part: str) -> None:
        """It is met inside of that."""
        self._path.insert(0, part)

    def __str__(self) -> str:
        return f"{'.'.join(self._path).replace('.[', '[') or 'the whole'} is {self._said}"


class Kind:
    """Texts or numbers of one kind.

    Args:
        name: how one is called, with its article.
        of: what it is of JSON's own, `str`, `int` or `float`.
        holds: whether a value of these is one; ValueError and OverflowError mean that it is not.
    """

    def __init__(self, name: str, of: type, holds: Callable[[Any], bool]) -> None:
        self.name = name
        self.of = frozenset((int, float) if of is float else (of,))
        self._holds = holds

    def check(self, value: Any) -> None:
        """Raises WrongShape."""
        try:
            held = type(value) in self.of and self._holds(value)
        except (ValueError, OverflowError):
            held = False
        if not held:
            raise WrongShape(f"not {self.name}")


def _is_moment(value: str) -> bool:
    found = datetime.fromisoformat(value)
    return found.tzinfo is not None and found.astimezone(UTC) is not None


#: A time with its zone, as `datetime.fromisoformat` reads it.
MOMENT = Kind("a time with its zone", str, _is_moment)
#: What a record is known by: it can stand in an address, and in a file of ours.
ID = Kind("an id", str, lambda value: 0 < len(value) <= 255 and value.isprintable() and " " not in value)
#: How long something lasts: a number or, of some vendors, a text that `int` reads; no longer than a generation.
SECONDS = tuple(
    Kind("a number of seconds", kind, lambda value: 0 <= int(value) <= 1_000_000_000) for kind in (float, str)
)


class Shape:
    """The parts of a JSON value that are looked at; whatever else it holds is passed over.

    PEOPLE = Shape({"data": [{"id": ID, "email?": str, "made?": MOMENT}], "next": (str, None)})

    | written | means |
    | --- | --- |
    | `str`, `int`, `float`, `bool`, `list`, `dict`, `object` | a text, a whole number, any number, ..., anything |
    | `[inner]` | a list, of which each entry is such |
    | `{"name": inner}` | an object with that part |
    | `{"name?": inner}` | the part may be missing; null is taken for missing, and taken out |
    | `{"*": inner}` | every part that has no other word here |
    | `(one, another, None)` | one of these, each of another kind of JSON's own; None is null |
    | `ID`, `MOMENT`, `SECONDS`, a `Kind` | an id, a time, a stretch of it; a text or a number of that kind |

    Make it once, with the module: `read` then costs some hundred nanoseconds for each object.
    """

    def __init__(self, spec: Any) -> None:
        self._check = _check(spec)

    def read(self, value: Any) -> Any:
        """The value itself, now known to be of this shape. Raises WrongShape."""
        self._check(value)
        return value


def _check(spec: Any) -> Check:
    match spec:
        case Kind():
            return spec.check
        case tuple():
            return _one_of(spec)
        case list():
            return _list(_check(spec[0]))
        case Mapping():
            return _object(spec)
    return _plain(_kinds(spec))


def _kinds(spec: Any) -> frozenset[type]:
    """What JSON's own kinds such a part has."""
    match spec:
        case None:
            return frozenset((type(None),))
        case list():
            return frozenset((list,))
        case Mapping():
            return frozenset((dict,))
        case Kind():
            return spec.of
    if spec is object:
        return frozenset(_NAMES)
    if spec not in _NAMES:
        raise TypeError(f"{spec!r} is no part of a shape")
    return frozenset((int, float)) if spec is float else frozenset((spec,))


def _plain(kinds: frozenset[type]) -> Check:
    def check(value: Any) -> None:
        if type(value) not in kinds:  # true is a number to isinstance
            raise _other(value, kinds)

    return check


def _other(value: Any, kinds: frozenset[type]) -> WrongShape:
    wanted = " or ".join(_NAMES[kind] for kind in _NAMES if kind in kinds)
    return WrongShape(f"{_NAMES[type(value)]}, not {wanted}")


def _one_of(specs: tuple[Any, ...]) -> Check:
    inner = {kind: _check(spec) for spec in specs for kind in _kinds(spec)}

    def check(value: Any) -> None:
        further = inner.get(type(value))
        if further is None:
            raise _other(value, frozenset(inner))
        further(value)

    return check


def _list(inner: Check) -> Check:
    def check(value: Any) -> None:
        if type(value) is not list:
            raise _other(value, frozenset((list,)))
        at = 0
        try:
            for entry in value:
                inner(entry)
                at += 1
        except WrongShape as error:
            error.within(f"[{at}]")
            raise

    return check


def _object(spec: Mapping[str, Any]) -> Check:
    named = {name.removesuffix("?"): _part(inner, name.endswith("?")) for name, inner in spec.items()}
    if len(named) < len(spec):
        raise TypeError(f"{spec!r} is no part of a shape: a name stands there twice")
    others = named.pop("*", None)
    needed = frozenset(spec).intersection(named)

    def check(value: Any) -> None:
        if type(value) is not dict:
            raise _other(value, frozenset((dict,)))
        if not needed <= value.keys():
            name = next(name for name in spec if name in needed and name not in value)
            raise _within(name, WrongShape("missing"))
        nulls: list[str] = []
        try:
            # Those that are there, not those that might be: an answer leaves out most.
            for name, part in value.items():
                if (known := named.get(name, others)) is None:
                    continue
                kinds, inner, optional = known
                if type(part) not in kinds:
                    if part is not None or not optional:
                        raise _other(part, kinds)
                    nulls.append(name)
                elif inner is not None:
                    inner(part)
        except WrongShape as error:
            raise _within(name if name in named else "*", error) from None
        for name in nulls:
            del value[name]

    return check


#: Its kinds, what is to be checked beside them, and whether it may be missing.
_Part = tuple[frozenset[type], Check | None, bool]


def _part(spec: Any, optional: bool) -> _Part:
    several = spec if isinstance(spec, tuple) else (spec,)
    kinds = frozenset(kind for one in several for kind in _kinds(one))
    return kinds, None if all(isinstance(one, type) or one is None for one in several) else _check(spec), optional


def _within(name: str, error: WrongShape) -> WrongShape:
    error.within(name)
    return error
