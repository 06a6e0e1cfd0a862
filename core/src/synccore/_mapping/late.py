"""Filters of one sink, found when an expression runs: it is then compiled once for all sinks of its kind, and for each
time one is opened."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from jinja2 import pass_context

__all__ = ["LATE", "OWN", "are_late", "late"]

#: Under which name an expression is given them. It can name none with an underscore itself.
OWN = "_own"
#: Marks one of them: of Jinja's context it asks for that name alone.
LATE = "synccore_late"


@cache
def late(name: str) -> Callable[..., Any]:
    """Stands for a sink's own filter. It depends on where it runs, so that nothing of it is worked out before."""

    @pass_context
    def filtered(context: Mapping[str, Any], *arguments: Any, **named: Any) -> Any:
        return context[OWN][name](*arguments, **named)

    setattr(filtered, LATE, True)
    return filtered


def are_late(own: Mapping[str, Callable[..., Any]]) -> bool:
    """Whether all of them can be found so: one that asks Jinja for its context or environment cannot."""
    return not any(hasattr(function, "jinja_pass_arg") for function in own.values())
