"""Shapes records for targets: expressions, filters, and what differs from the last delivery."""

from collections import ChainMap
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..hookspecs import Mapper, MapperType
from ..types import RouteSpec

__all__ = ["compile_mapper"]


class _HasMappers(Protocol):
    @property
    def mappers(self) -> Mapping[str, MapperType]: ...

    @property
    def filters(self) -> Mapping[str, Callable[..., Any]]: ...


_NO_FILTERS: Mapping[str, Callable[..., Any]] = {}


def compile_mapper(
    route: RouteSpec, plugins: _HasMappers, filters: Mapping[str, Callable[..., Any]] = _NO_FILTERS
) -> Mapper:
    """The route's mapper; `filters` are its sink's own, over those of all plugins.

    Raises ConfigError (with all problems, where the mapper finds several).
    """
    # The sink's own stay apart: what is compiled then serves every sink.
    return plugins.mappers[route.mapper].open(route, ChainMap(dict(filters), dict(plugins.filters)))
