"""WooCommerce as a synccore source."""

from collections.abc import Iterable

from synccore import hookimpl
from synccore.hookspecs import DemoVendor, SourceType


@hookimpl
def synccore_sources() -> Iterable[SourceType]:
    """The `woocommerce` source."""
    from .source import SOURCE

    return [SOURCE]


@hookimpl
def synccore_demo() -> Iterable[DemoVendor]:
    """A made-up shop on loopback."""
    from .testing.demo import VENDOR

    return [VENDOR]
