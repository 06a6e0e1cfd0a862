"""Google Contacts as a synccore sink."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from synccore.hookspecs import hookimpl

if TYPE_CHECKING:
    from synccore.hookspecs import DemoVendor, SinkType


@hookimpl
def synccore_sinks() -> "Iterable[SinkType]":
    """The sink `google_contacts`."""
    from .sink import SINK

    return [SINK]


@hookimpl
def synccore_template_filters() -> Mapping[str, Callable[..., Any]]:
    """Filters of the default mapping: google_address, google_date, google_phones, google_values."""
    from .mapping import FILTERS

    return FILTERS


@hookimpl
def synccore_demo() -> "Iterable[DemoVendor]":
    """A stand-in of the People API and of Google's sign-in."""
    from .testing import DEMO

    return [DEMO]
