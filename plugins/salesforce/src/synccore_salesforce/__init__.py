"""Salesforce as a synccore sink: any object, matched by external id, written in batches of 200 or by Bulk API 2.0."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from synccore.hookspecs import DemoVendor, SinkType, hookimpl

__all__ = ["synccore_demo", "synccore_sinks", "synccore_template_filters"]


@hookimpl
def synccore_sinks() -> Iterable[SinkType]:
    """The Salesforce sink."""
    from .sink import SINK

    return [SINK]


@hookimpl
def synccore_template_filters() -> Mapping[str, Callable[..., Any]]:
    """`salesforce_items`: an order's lines as the items of a Salesforce order."""
    from .mapping.defaults import items

    return {"salesforce_items": items}


@hookimpl
def synccore_demo() -> Iterable[DemoVendor]:
    """A Salesforce org on loopback."""
    from .testing.demo import DEMO

    return [DEMO]
