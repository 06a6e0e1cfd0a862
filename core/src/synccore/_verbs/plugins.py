"""`synccore plugins`: what is installed, what it takes and gives, and why something did not load."""

from typing import Any

from .._plugins import Plugins, PluginStatus
from .._settings import describe_config
from ..config import format_duration
from ..hookspecs import SinkType, SourceType
from ..types import ObjectType

__all__ = ["document", "status_document"]


def status_document(status: PluginStatus) -> dict[str, Any]:
    """A plugin in the JSON of `plugins list --json`."""
    return {
        "name": status.name,
        "distribution": status.distribution,
        "version": status.version,
        "status": status.status,
        "reason": status.reason,
        "provides": list(status.provides),
    }


def document(loaded: Plugins, descriptor: SourceType | SinkType) -> dict[str, Any]:
    """The JSON of `plugins show --json`, without the instances."""
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
