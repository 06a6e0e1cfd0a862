"""`synccore plugins`: what is installed, what it takes and gives, and why something did not load."""

from collections.abc import Mapping
from typing import Any

from attrs import asdict, frozen

from .._app.app import App
from .._app.units import Unit
from .._plain import Plain
from .._plugins import Plugins, PluginStatus
from .._settings import describe_config
from ..config import format_duration, suggest
from ..errors import SynccoreError
from ..hookspecs import SinkType, SourceType
from ..types import ObjectInfo, ObjectType

__all__ = ["NotDescribed", "Shown", "Video", "described", "show", "status_document"]


class NotDescribed(SynccoreError):
    """No instance can be asked for the object, or it has none of that name."""


def status_document(status: PluginStatus) -> dict[str, Any]:
    """A plugin in the JSON of `plugins list --json`."""
    return asdict(status)


@frozen(kw_only=True)
class Video(Plain):
    """A video of an instance. `preview_url`: where it plays within a page; None for one that does not."""

    title: str
    view_url: str
    preview_url: str | None = None


@frozen(kw_only=True)
class Configured(Plain):
    """An instance of a type; `error`: why it could not be opened."""

    error: str | None
    videos: tuple[Video, ...]


@frozen(kw_only=True)
class Shown(Plain):
    """A type of source or sink with its instances.

    Attributes:
        instance: the one that is meant: the name asked for is its own, or it is the type's only one.
        about: all that the plugin says of the type.
    """

    type: str
    instance: str | None
    instances: Mapping[str, Configured]
    about: Mapping[str, Any]

    def document(self) -> dict[str, Any]:
        """The JSON of `plugins show --json`."""
        return {**self.about, "instances": {name: _instance(one) for name, one in self.instances.items()}}


def show(loaded: Plugins, app: App | None, name: str) -> Shown | None:
    """What a name stands for, in a command or in a page's address; `app` is None where there is no configuration.

    None where no plugin that loaded brings a type of this name or for an instance of it.
    """
    type_name, units = _meant(app, name)
    descriptor = loaded.sources.get(type_name) or loaded.sinks.get(type_name)
    if descriptor is None:
        return None
    return Shown(
        type=type_name,
        instance=name if name in units else next(iter(units)) if len(units) == 1 else None,
        instances={n: Configured(error=unit.error, videos=_videos(unit)) for n, unit in units.items()},
        about=_descriptor(loaded, descriptor),
    )


def _meant(app: App | None, name: str) -> tuple[str, dict[str, Unit]]:
    """The type that a name, its own or that of an instance, stands for, and the type's instances."""
    units: dict[str, Unit] = {} if app is None else {**app.sources, **app.sinks}
    type_name = units[name].settings.type if name in units else name
    return type_name, {n: unit for n, unit in units.items() if unit.settings.type == type_name}


def _instance(one: Configured) -> dict[str, Any]:
    return {"error": one.error, "videos": [[video.title, video.view_url] for video in one.videos]}


def _videos(unit: Unit) -> tuple[Video, ...]:
    return tuple(_video(video) for video in getattr(unit.instance, "videos", None) or ())


def _video(video: Any) -> Video:
    """Of a (title, ..., address) tuple, or of an object with `title`, `view_url` and `preview_url`."""
    if isinstance(video, (tuple, list)):
        return Video(title=str(video[0]), view_url=str(video[-1]))
    view_url = str(getattr(video, "view_url", getattr(video, "url", "")))
    return Video(title=str(video.title), view_url=view_url, preview_url=getattr(video, "preview_url", None))


def described(app: App, name: str, object_name: str) -> ObjectInfo:
    """An object as the target describes it now, through the instance `name` or one of the type. Raises NotDescribed."""
    type_name, units = _meant(app, name)
    if not units:
        raise NotDescribed(f"--object asks the target: the configuration needs a sink of type {type_name}")
    asked = name if name in units else next(iter(units))
    instance = app.opened(asked).instance
    describe_object = getattr(instance, "describe_object", None)
    if callable(describe_object):
        told: ObjectInfo = describe_object(object_name)
        return told
    objects: dict[str, ObjectInfo] = {o.name: o for o in instance.describe()}
    if object_name not in objects:
        raise NotDescribed(
            f"{asked} describes no {object_name}; it has: {', '.join(objects)}" + suggest(object_name, list(objects))
        )
    return objects[object_name]


def _descriptor(loaded: Plugins, descriptor: SourceType | SinkType) -> dict[str, Any]:
    sink = descriptor if isinstance(descriptor, SinkType) else None
    word = f"{'sink' if sink else 'source'} {descriptor.name}"
    status = next((s for s in loaded.statuses if word in s.provides), None)
    document: dict[str, Any] = {
        "name": descriptor.name,
        "kind": "sink" if sink else "source",
        "summary": descriptor.summary,
        "distribution": status.distribution if status else "",
        "version": status.version if status else "",
        "status": status.status if status else "loaded",
        "settings": [
            {"name": s.name, "type": s.type_text, "required": s.required, "default": s.default_text, "help": s.help}
            for s in describe_config(descriptor.config)
        ],
    }
    if sink is None:
        return {**document, "entities": list(descriptor.entities)}  # type: ignore[union-attr]
    limits = sink.limits
    return {
        **document,
        "any_object": sink.any_object,
        "objects": [_object_type(o) for o in sink.objects],
        "limits": {
            "max_batch": limits.max_batch,
            "max_in_flight": limits.max_in_flight,
            "bulk_batch": limits.bulk_batch,
            "bulk_threshold": limits.bulk_threshold,
            "calls": limits.calls,
            "per_seconds": limits.per.total_seconds(),
        },
    }


def _object_type(target: ObjectType) -> dict[str, Any]:
    return {
        "name": target.name,
        "summary": target.summary,
        "options": [
            {"name": name, "type": getattr(kind, "__name__", str(kind)), "default": default, "help": text}
            for name, (kind, default, text) in target.options.items()
        ],
        "defaults": {
            entity: {
                "fields": dict(d.fields),
                "match": list(d.match),
                "include": list(d.include),
                "when": d.when,
                "delay": format_duration(d.delay),
            }
            for entity, d in target.defaults.items()
        },
    }
