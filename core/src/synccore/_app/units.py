"""A configured instance, opened or not, with the reason."""

from collections.abc import Sequence
from typing import Any, cast

from attrs import define

from .._settings import InstanceSettings
from ..hookspecs import SinkType, SourceType
from ..types import Limits, ObjectType
from .context import InstanceContext

__all__ = ["SinkUnit", "SourceUnit", "Unit", "lane_name"]


def lane_name(source: str) -> str:
    """Under which name a source's state is kept beside the lanes'."""
    return f"source:{source}"


@define
class Unit:
    """One configured instance. `instance` is None where it could not be opened, `error` then says why."""

    name: str
    settings: InstanceSettings
    context: InstanceContext
    instance: Any = None
    error: str | None = None
    #: It was not opened because a secret is not here, where somebody only looks: nothing is wrong with it.
    unasked: bool = False


class SourceUnit(Unit):
    """A `[sources.NAME]`."""

    @property
    def known_entities(self) -> tuple[str, ...]:
        """What this type of source can report."""
        return cast("SourceType", self.settings.descriptor).entities


class SinkUnit(Unit):
    """A `[sinks.NAME]`."""

    @property
    def limits(self) -> Limits:
        """The instance's limits, where it states some, else the type's."""
        limits: Limits = getattr(self.instance, "limits", None) or self._type.limits
        return limits

    @property
    def objects(self) -> Sequence[ObjectType]:
        """What can be written, with the defaults that depend on the configuration."""
        objects: Sequence[ObjectType] = getattr(self.instance, "objects", None) or self._type.objects
        return objects

    @property
    def _type(self) -> SinkType:
        return cast("SinkType", self.settings.descriptor)
