"""Salesforce as a synccore sink: any object, matched by external id, written in batches of 200 or by Bulk API 2.0."""

from collections.abc import Iterable

from synccore.hookspecs import DemoVendor, SinkType, hookimpl

__all__ = ["synccore_demo", "synccore_sinks"]


@hookimpl
def synccore_sinks() -> Iterable[SinkType]:
    """The Salesforce sink."""
    from .sink import SINK

    return [SINK]


@hookimpl
def synccore_demo() -> Iterable[DemoVendor]:
    """A Salesforce org on loopback."""
    from .testing.demo import DEMO

    return [DEMO]
