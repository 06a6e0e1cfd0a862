"""A made-up letter service: recipients in batches, letters as events."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from synccore import hookimpl
from synccore.hookspecs import SinkType


@hookimpl
def synccore_sinks() -> Iterable[SinkType]:
    """The sink."""
    from .sink import SINK

    return [SINK]


@hookimpl
def synccore_template_filters() -> Mapping[str, Callable[..., Any]]:
    """`mailroom_line`: an address on one line."""
    return {"mailroom_line": lambda address: ", ".join(p for p in (address.line1, address.city, address.country) if p)}
