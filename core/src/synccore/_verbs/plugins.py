"""`synccore plugins`: what is installed, what it takes and gives, and why something did not load."""

from typing import Any

from attrs import asdict, frozen

from .._app.app import App
from .._app.units import Unit
from .._plugins import Plugins, PluginStatus
from .._settings import describe_config
from ..config import format_duration, suggest
from ..errors import SynccoreError
from ..hookspecs import SinkType, SourceType
from ..types import ObjectInfo, ObjectType

__all__ = ["Meant", "NotDescribed", "described", "document", "meant", "status_document"]


class NotDescribed(SynccoreError):
    """No instance can be asked for the object, or it has none of that name."""


def status_document(status: PluginStatus) -> dict[str, Any]:
    """A plugin in the JSON of `plugins list --json`."""
    return asdict(status)


@frozen(kw_only=True)
class Meant:
    """What a name stands for, in a command or in a page's address: an instance, or a type and all its instances."""

    type: str
    instances: tuple[str, ...]
    #: None where no plugin that loaded brings the type.
    descriptor: SourceType | SinkType | None


def meant(loaded: Plugins, app: App | None, name: str) -> Meant:
    """`app` is None where there is no configuration."""
    units = _units(app)
    type_name = units[name].settings.type if name in units else name
    instances = (name,) if name in units else tuple(n for n, u in units.items() if u.settings.type == name)
    descriptor = loaded.sources.get(type_name) or loaded.sinks.get(type_name)
    return Meant(type=type_name, instances=instances, descriptor=descriptor)


def described(app: App, name: str, object_name: str) -> ObjectInfo:
    """An object as the target describes it now, through the instance `name` or one of the type. Raises NotDescribed."""
    found = meant(app.plugins, app, name)
    fitting = found.instances
    if not fitting:
        raise NotDescribed(f"--object asks the target: the configuration needs a sink of type {found.type}")
    instance = app.opened(fitting[0]).instance
    describe_object = getattr(instance, "describe_object", None)
    if callable(describe_object):
        told: ObjectInfo = describe_object(object_name)
        return told
    objects: dict[str, ObjectInfo] = {o.name: o for o in instance.describe()}
    if object_name not in objects:
        raise NotDescribed(
            f"{fitting[0]} describes no {object_name}; it has: {', '.join(objects)}"
            + suggest(object_name, list(objects))
        )
    return objects[object_name]


def document(loaded: Plugins, descriptor: SourceType | SinkType, app: App | None) -> dict[str, Any]:
    """The JSON of `plugins show --json`; the instances are those of the app, where there is a configuration."""
    instances = {n: _instance(u) for n, u in _units(app).items() if u.settings.type == descriptor.name}
    return {**_descriptor(loaded, descriptor), "instances": instances}


def _units(app: App | None) -> dict[str, Unit]:
    return {} if app is None else {**app.sources, **app.sinks}


def _instance(unit: Unit) -> dict[str, Any]:
    return {"error": unit.error, "videos": [list(_video(v)) for v in getattr(unit.instance, "videos", ())]}


def _video(video: Any) -> tuple[str, str]:
    """Title and address: of a (title, ..., address) tuple, or of an object that has them."""
    if isinstance(video, (tuple, list)):
        return str(video[0]), str(video[-1])
    return str(video.title), str(getattr(video, "view_url", getattr(video, "url", "")))


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
