"""Core's own plugin: what core brings through the hooks that it publishes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .. import hookimpl
from ..hookspecs import MapperType


@hookimpl
def synccore_mappers() -> Iterable[MapperType]:
    """The Jinja mapper."""
    from .jinja import MAPPER

    return [MAPPER]


@hookimpl
def synccore_template_filters() -> Mapping[str, Callable[..., Any]]:
    """The filters of expressions."""
    from .filters import FILTERS

    return FILTERS
