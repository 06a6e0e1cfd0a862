"""An instance's configuration and videos, as people read them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from attrs import fields, frozen, has

from ..._verbs.plugins import Video
from ...config import Schedule, format_duration
from ...secrets import Secret
from .site import VIDEO_HOST

__all__ = ["Setting", "as_written", "plays", "settings_of"]


@frozen(kw_only=True)
class Setting:
    """A line of an instance's configuration, secrets masked."""

    name: str
    value: str
    help: str


def plays(video: Video) -> bool:
    """Whether it may be framed in a page."""
    return str(video.preview_url).startswith(VIDEO_HOST + "/")


def settings_of(config: Any) -> list[Setting]:
    """The lines of an instance's configuration."""
    lines = []
    for attribute in fields(type(config)):
        value = getattr(config, attribute.name)
        if value is None or value == ():
            continue
        lines.append(Setting(name=attribute.name, value=as_written(value), help=attribute.metadata.get("help", "")))
    return lines


def as_written(value: Any) -> str:
    """A setting as people write it, never as Python does."""
    if isinstance(value, Secret):
        return f"set ({value.origin})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Schedule):
        return value.text
    if isinstance(value, tuple | list):
        return ("; " if any(has(type(v)) for v in value) else ", ").join(as_written(v) for v in value)
    if has(type(value)):
        value = {f.name: v for f in fields(type(value)) if (v := getattr(value, f.name)) is not None}
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {as_written(v)}" for name, v in value.items())
    return str(value)
