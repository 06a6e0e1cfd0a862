"""Frozen objects, made in a third of the time that their class takes: every record needs a dozen of them.

What cannot be changed is set by a call for each attribute, and a class passes what it is given through two more. Here
an object is filled while it is of a twin class that can be changed, and is of its own class from then on.
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

import attrs

__all__ = ["swift", "swiftly"]

_P = ParamSpec("_P")
_Made = TypeVar("_Made")


def swift(kind: type[_Made]) -> type[_Made]:
    """A class that everybody makes objects of by its name, plugins for each record, and that makes them so. As with
    `swiftly` it has slots, of its own none for weak references, and does nothing but keep what it is given."""
    own: Any = kind
    usual = own.__init__

    @wraps(usual)
    def first(self: Any, *given: Any, **named: Any) -> None:
        # Most commands make no object of most classes.
        own.__init__ = wraps(usual)(_filling(own, usual))
        type(self).__init__(self, *given, **named)

    own.__init__ = first
    return kind


def swiftly(kind: Callable[_P, _Made]) -> Callable[_P, _Made]:
    """What makes the same objects as that class. The class has slots, none for weak references (`weakref_slot=False`),
    and does nothing but keep what it is given. Raises TypeError for others."""
    parameters, values, known = _parts(kind, by_name=False)
    filled = [f"_made.{name} = {value}" for name, value in values.items()]
    lines = [f"def make({parameters}):", "_made = _twin()", *filled, "_made.__class__ = _own", "return _made"]
    return _written("make", lines, known)


def _filling(own: Any, usual: Callable[..., None]) -> Callable[..., None]:
    """`__init__` of that class."""
    parameters, values, known = _parts(own, by_name=True)
    given = ", ".join(f"{one.alias}={values[one.name]}" for one in attrs.fields(own))
    known |= {"_usual": usual, "_set": object.__setattr__}
    filled = [f"_made.{name} = {value}" for name, value in values.items()]
    # Whoever makes a class of it has another form.
    lines = [
        f"def fill(_made, {parameters}):",
        f"if type(_made) is not _own: return _usual(_made, {given})",
        "_set(_made, '__class__', _twin)",
        *filled,
        "_made.__class__ = _own",
    ]
    return _written("fill", lines, known)


def _written(name: str, lines: list[str], known: dict[str, Any]) -> Callable[..., Any]:
    exec("\n    ".join(lines), known)  # noqa: S102  written here, of the names of attributes
    function: Callable[..., Any] = known[name]
    return function


@cache
def _twin(own: Any) -> Any:
    """The class of the same form whose objects can be changed."""
    filled = {name: getattr(object, name) for name in ("__init__", "__setattr__", "__delattr__")}
    twin = type(own.__name__, own.__bases__, {"__slots__": own.__slots__, **filled})
    twin().__class__ = own
    return twin


def _parts(kind: Any, *, by_name: bool) -> tuple[str, dict[str, str], dict[str, Any]]:
    """The parameters of what makes an object, attribute -> its value, and what these speak of.

    `by_name`: those that have to be given by name are refused otherwise. Python looks for the default of each of these
    in a mapping, and for those of others in a list.
    """
    # No parameter begins with an underscore.
    known: dict[str, Any] = {"_twin": _twin(kind), "_own": kind}
    given: dict[bool, list[str]] = {False: [], True: []}
    values = {}
    for one in attrs.fields(kind):
        if one.converter or one.validator or not one.init or hasattr(kind, "__attrs_post_init__"):
            raise TypeError(f"{kind.__name__} does more than keep what it is given")
        parameter, value = str(one.alias), str(one.alias)
        if hasattr(one.default, "takes_self"):  # a factory
            known[f"_usual_{one.name}"] = one.default.factory
            parameter, value = f"{parameter}=_twin", f"_usual_{one.name}() if {value} is _twin else {value}"
        elif one.default is not attrs.NOTHING:
            known[f"_usual_{one.name}"] = one.default
            parameter = f"{parameter}=_usual_{one.name}"
        given[one.kw_only].append(parameter)
        values[one.name] = value
    if not by_name and not given[False]:
        return ", ".join(sorted(given[True], key=lambda one: "=" in one)), values, known
    return ", ".join([*given[False], *(["*", *given[True]] if given[True] else [])]), values, known
