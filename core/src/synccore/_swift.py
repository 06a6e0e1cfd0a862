"""Frozen objects, made in a third of the time that their class takes: every record needs a dozen of them.

What cannot be changed is set by a call for each attribute, and a class passes what it is given through two more. Here
an object is filled while it is of a twin class that can be changed, and is of its own class from then on.
"""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import attrs

__all__ = ["swiftly"]

_P = ParamSpec("_P")
_Made = TypeVar("_Made")


def swiftly(kind: Callable[_P, _Made]) -> Callable[_P, _Made]:
    """What makes the same objects as that class. The class has slots, none for weak references (`weakref_slot=False`),
    and does nothing but keep what it is given. Raises TypeError for others."""
    own: Any = kind
    filled = {name: getattr(object, name) for name in ("__init__", "__setattr__", "__delattr__")}
    twin = type(own.__name__, own.__bases__, {"__slots__": own.__slots__, **filled})
    twin().__class__ = own
    # No parameter begins with an underscore.
    known: dict[str, Any] = {"_twin": twin, "_own": own}
    given: dict[bool, list[str]] = {False: [], True: []}
    lines = []
    for one in attrs.fields(own):
        if one.converter or one.validator or not one.init or hasattr(own, "__attrs_post_init__"):
            raise TypeError(f"{own.__name__} does more than keep what it is given")
        parameter, value = str(one.alias), str(one.alias)
        if hasattr(one.default, "takes_self"):  # a factory
            known[f"_usual_{one.name}"] = one.default.factory
            parameter, value = f"{parameter}=_twin", f"_usual_{one.name}() if {value} is _twin else {value}"
        elif one.default is not attrs.NOTHING:
            known[f"_usual_{one.name}"] = one.default
            parameter = f"{parameter}=_usual_{one.name}"
        given[one.kw_only].append(parameter)
        lines.append(f"_made.{one.name} = {value}")
    parameters = ", ".join([*given[False], *(["*", *given[True]] if given[True] else [])])
    text = "\n    ".join(
        [f"def make({parameters}):", "_made = _twin()", *lines, "_made.__class__ = _own", "return _made"]
    )
    exec(text, known)  # noqa: S102  written here, of the names of attributes
    make: Callable[_P, _Made] = known["make"]
    return make
