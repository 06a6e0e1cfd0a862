"""Core's own plugin: what core brings through the hooks that it publishes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from . import hookimpl
from .hookspecs import AlertType, MapperType


@hookimpl
def synccore_mappers() -> Iterable[MapperType]:
    """The Jinja mapper."""
    from ._mapping.jinja import MAPPER

    return [MAPPER]


@hookimpl
def synccore_template_filters() -> Mapping[str, Callable[..., Any]]:
    """The filters of expressions."""
    from ._mapping.filters import FILTERS

    return FILTERS


@hookimpl
def synccore_alerts() -> Iterable[AlertType]:
    """Ways to tell somebody: e-mail, a webhook, a command."""
    from ._alerts.channels import CHANNELS

    return CHANNELS
