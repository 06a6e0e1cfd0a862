"""Klaviyo as a synccore sink."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from synccore import hookimpl
from synccore.hookspecs import DemoVendor, SinkType


@hookimpl
def synccore_sinks() -> Iterable[SinkType]:
    """The sink type `klaviyo`."""
    from .sink import SINK

    return [SINK]


@hookimpl
def synccore_template_filters() -> Mapping[str, Callable[..., Any]]:
    """The filters the default mappings use, for own mappings too."""
    from .mapping.filters import FILTERS

    return FILTERS


@hookimpl
def synccore_demo() -> Iterable[DemoVendor]:
    """A strict Klaviyo on loopback."""
    from .testing.demo import DEMO

    return [DEMO]
