"""Loads plugins, each alone, and hides pluggy behind one typed method or attribute per hook.

Every entry point of the group `synccore` ends as a `PluginStatus` with a reason; none stops the others. Each
distribution gets a plugin manager of its own, so that a failing one is called, and blamed, alone.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, Literal

import pluggy
from attrs import evolve, frozen

from .. import __version__, hookspecs
from .._contained import contained
from .._plain import Plain
from ..config import suggest
from ..errors import ConfigError, redact
from ..hookspecs import AlertType, DemoVendor, MapperType, SinkType, SourceType, StoreType
from ..types import Settled
from .checks import PluginFault, check_api, check_filters, check_types

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["PluginStatus", "Plugins", "load_plugins"]

GROUP = "synccore"
LIMIT_VARIABLE = "SYNCCORE_PLUGINS"
TRACE_VARIABLE = "SYNCCORE_TRACE_HOOKS"

_log = logging.getLogger("synccore.plugins")

#: Hook -> (word for people, class of its descriptors), in the order they are asked.
_KINDS: Mapping[str, tuple[str, type[Any]]] = {
    "synccore_sources": ("source", SourceType),
    "synccore_sinks": ("sink", SinkType),
    "synccore_mappers": ("mapper", MapperType),
    "synccore_stores": ("store", StoreType),
    "synccore_alerts": ("alert", AlertType),
}


_HOOKS = {name: spec for name, spec in vars(hookspecs).items() if name.startswith("synccore_")}
#: The hooks alone: pluggy looks at each name of what it is given, for each plugin anew.
_SPECS = ModuleType("hooks")
vars(_SPECS).update(_HOOKS)


@frozen
class PluginStatus(Plain):
    """What became of one plugin.

    Attributes:
        name: the entry point's name.
        reason: why it is not loaded; empty for `loaded`.
        provides: what it brings, for people: "sink klaviyo", "filter klaviyo_email".
    """

    name: str
    distribution: str
    version: str
    status: Literal["loaded", "disabled", "failed", "incompatible", "duplicate"]
    reason: str = ""
    provides: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})" if self.distribution else self.name


@frozen
class _Loaded(Plain):
    """A plugin whose hooks have been asked."""

    status: PluginStatus
    manager: pluggy.PluginManager
    descriptors: Mapping[str, tuple[Any, ...]]
    filters: Mapping[str, Callable[..., Any]]


class Plugins:
    """What the loaded plugins bring: plain objects by name, and a method per hook that is called later."""

    def __init__(self, load: Callable[[], tuple[Sequence[_Loaded], Sequence[PluginStatus]]]) -> None:
        self._load = load
        self._blamed: set[str] = set()

    @cached_property
    def _all(self) -> tuple[Sequence[_Loaded], Sequence[PluginStatus]]:
        """Loaded when the first thing is asked of any of them: who only looks into the outbox needs none."""
        return self._load()

    @property
    def _loaded(self) -> Sequence[_Loaded]:
        return self._all[0]

    @property
    def statuses(self) -> tuple[PluginStatus, ...]:
        """What became of each."""
        return tuple(self._all[1])

    @cached_property
    def sources(self) -> Mapping[str, SourceType]:
        """Source types by name; the further ones alike."""
        return self._by_name("synccore_sources")

    @cached_property
    def sinks(self) -> Mapping[str, SinkType]:
        return self._by_name("synccore_sinks")

    @cached_property
    def mappers(self) -> Mapping[str, MapperType]:
        return self._by_name("synccore_mappers")

    @cached_property
    def stores(self) -> Mapping[str, StoreType]:
        return self._by_name("synccore_stores")

    @cached_property
    def alerts(self) -> Mapping[str, AlertType]:
        return self._by_name("synccore_alerts")

    @cached_property
    def filters(self) -> Mapping[str, Callable[..., Any]]:
        """Filters of expressions by name."""
        return MappingProxyType({name: filter_ for plugin in self._loaded for name, filter_ in plugin.filters.items()})

    @cached_property
    def _observers(self) -> Sequence[_Loaded]:
        return self._having("synccore_settled")

    def _by_name(self, hook: str) -> Mapping[str, Any]:
        return MappingProxyType({d.name: d for plugin in self._loaded for d in plugin.descriptors[hook]})

    def _having(self, hook: str) -> tuple[_Loaded, ...]:
        return tuple(p for p in self._loaded if getattr(p.manager.hook, hook).get_hookimpls())

    @cached_property
    def demo_vendors(self) -> tuple[DemoVendor, ...]:
        """The loopback stand-ins. Asked for on first use only: nothing but the demo imports them."""
        found: list[DemoVendor] = []
        for plugin in self._having("synccore_demo"):
            try:
                with contained():
                    found += check_types(plugin.manager.hook.synccore_demo(), DemoVendor, "synccore_demo")
            except Exception as error:  # noqa: BLE001  one broken plugin never stops the others
                _log.warning("plugin %s brings no stand-in: %s", plugin.status, _describe(error))
        return tuple(found)

    @property
    def has_secret_schemes(self) -> bool:
        """Whether any plugin resolves secret references of its own."""
        return bool(self._having("synccore_secret"))

    def secret(self, reference: Mapping[str, str]) -> str | None:
        """The text behind a reference such as {"vault": "path"}; None where no plugin knows it.

        Raises ConfigError where the plugin that knows it fails.
        """
        for plugin in self._having("synccore_secret"):
            try:
                with contained():
                    text = plugin.manager.hook.synccore_secret(reference=dict(reference))
            except Exception as error:
                scheme = ", ".join(reference)
                raise ConfigError(
                    f"plugin {plugin.status} could not resolve {{ {scheme} = ... }}: {_describe(error)}"
                ) from error
            if text is not None:
                if not isinstance(text, str):
                    raise ConfigError(f"plugin {plugin.status} gave a {type(text).__name__} as a secret, not text")
                return text
        return None

    def settled(self, event: Settled) -> None:
        """Tell every observer. One that fails is named once in the log and harms nobody."""
        for plugin in self._observers:
            try:
                with contained():
                    plugin.manager.hook.synccore_settled(event=event)
            except Exception as error:  # noqa: BLE001  a failing observer harms nobody
                if plugin.status.name not in self._blamed:
                    self._blamed.add(plugin.status.name)
                    _log.warning("observer of plugin %s fails: %s", plugin.status, _describe(error))

    def add_commands(self, group: Any) -> None:
        """Let every plugin add its commands to the click group."""
        for plugin in self._having("synccore_commands"):
            try:
                with contained():
                    plugin.manager.hook.synccore_commands(group=group)
            except Exception as error:  # noqa: BLE001  one broken plugin never stops the command line
                _log.warning("plugin %s adds no commands: %s", plugin.status, _describe(error))

    def store_for(self, url: str) -> StoreType | None:
        """The outbox engine for a database address, by its scheme."""
        scheme = url.partition("://")[0]
        return next((s for s in self.stores.values() if scheme in s.schemes), None)

    def why_missing(self, name: str) -> str:
        """Why the plugin that a type's name suggests did not load (else: why others did not); empty where all did."""
        suspects = [s for s in self.statuses if s.status != "loaded"]
        words = {_normal(name), _normal(f"synccore-{name}")}
        named = [s for s in suspects if {_normal(s.name), _normal(s.distribution)} & words]
        return "; ".join(f"plugin {s} did not load: {s.reason}" for s in named or suspects)


def load_plugins(
    *,
    environ: Mapping[str, str] = os.environ,
    entry_points: "Iterable[EntryPoint] | None" = None,
    beside: Plugins | None = None,
) -> Plugins:
    """Core's own plugin and every installed one that `SYNCCORE_PLUGINS` does not leave out. Never raises.

    Args:
        beside: what is loaded already, core's own among it: it is not asked again.
    """
    return Plugins(lambda: _load_all(environ, entry_points, beside))


def _load_all(
    environ: Mapping[str, str], entry_points: "Iterable[EntryPoint] | None", beside: Plugins | None
) -> tuple[list[_Loaded], list[PluginStatus]]:
    # Takes longer to import than all there is to loading a plugin, and most looks into the outbox need none.
    from importlib.metadata import EntryPoint
    from importlib.metadata import entry_points as installed_entry_points

    trace = environ.get(TRACE_VARIABLE, "") not in ("", "0")
    found = installed_entry_points(group=GROUP) if entry_points is None else entry_points
    points = sorted({(_distribution(p), p.name, p.value): p for p in found}.items())
    wanted = _wanted(environ.get(LIMIT_VARIABLE))

    core = EntryPoint("core", "synccore._own", GROUP)
    loaded, statuses = (list(beside._loaded), list(beside.statuses)) if beside is not None else ([], [])  # noqa: SLF001
    taken = {name: p.status for p in loaded for name in (f"plugin {p.status.name}", *p.status.provides)}
    own = [(("synccore", __version__), core)] if beside is None else []
    for (name, version), point in [*own, *((key[0], p) for key, p in points)]:
        status = PluginStatus(point.name, name, version, "loaded")
        matched = {_normal(name), _normal(point.name)}
        if wanted is not None and point is not core and not matched & set(wanted):
            statuses.append(evolve(status, status="disabled", reason=f"left out by {LIMIT_VARIABLE}"))
            continue
        try:
            plugin = _load(point, status, taken, trace=trace)
        except PluginFault as fault:
            statuses.append(evolve(status, status=fault.status, reason=str(fault)))
            continue
        except Exception as error:  # noqa: BLE001  a descriptor so odd that looking at it fails
            statuses.append(evolve(status, status="failed", reason=f"its descriptors are odd: {_describe(error)}"))
            continue
        loaded.append(plugin)
        statuses.append(plugin.status)
        taken.update(dict.fromkeys((f"plugin {point.name}", *plugin.status.provides), plugin.status))
    installed = {_normal(text) for (dist, name, _), _ in points for text in (dist[0], name)}
    statuses += [
        PluginStatus(text, "", "", "failed", f"named in {LIMIT_VARIABLE} but not installed")
        for word, text in (wanted or {}).items()
        if word not in installed
    ]
    return loaded, statuses


def _load(point: "EntryPoint", status: PluginStatus, taken: Mapping[str, PluginStatus], *, trace: bool) -> _Loaded:
    """Import one plugin and ask its hooks. Raises PluginFault."""
    if other := taken.get(f"plugin {point.name}"):
        raise PluginFault("duplicate", f"plugin name {point.name!r} is brought by both {other} and {status}")
    try:
        with contained():
            module = point.load()
    except Exception as error:
        raise PluginFault("failed", f"import failed: {_describe(error)}") from error
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(_SPECS)
    if trace:
        _trace(manager, point.name)
    _register(manager, module, point)
    descriptors: dict[str, tuple[Any, ...]] = {}
    provides: list[str] = []
    for hook, (word, kind) in _KINDS.items():
        descriptors[hook] = check_types(_ask(manager, hook), kind, hook)
        for descriptor in descriptors[hook]:
            check_api(descriptor, word)
            provides.append(f"{word} {descriptor.name}")
    filters = check_filters(_ask(manager, "synccore_template_filters"), core=status.distribution == "synccore")
    provides += [f"filter {name}" for name in filters]
    for what in provides:
        if provides.count(what) > 1:
            raise PluginFault("duplicate", f"{what} is brought twice by {status}")
        if other := taken.get(what):
            raise PluginFault("duplicate", f"{what} is brought by both {other} and {status}")
    return _Loaded(evolve(status, provides=tuple(provides)), manager, descriptors, filters)


def _register(manager: pluggy.PluginManager, module: Any, point: "EntryPoint") -> None:
    try:
        with contained():
            manager.register(module, name=point.name)
    except Exception as error:
        raise PluginFault("incompatible", f"its hooks do not fit: {_describe(error)}") from error
    callers = manager.get_hookcallers(module) or []
    if not callers:
        raise PluginFault("failed", f"{point.value} has no hooks: mark its functions with @synccore.hookimpl")
    for caller in callers:
        if not caller.has_spec():
            hint = suggest(caller.name, list(_HOOKS))
            raise PluginFault("incompatible", f"hook {caller.name} is not one of this core's hooks{hint}")


def _ask(manager: pluggy.PluginManager, hook: str) -> list[Any]:
    try:
        with contained():
            return list(getattr(manager.hook, hook)())
    except Exception as error:
        raise PluginFault("failed", f"{hook} failed: {_describe(error)}") from error


def _wanted(text: str | None) -> dict[str, str] | None:
    """Normalised name -> as written; None where nothing is limited."""
    if text is None:
        return None
    return {_normal(word): word.strip() for word in text.split(",") if word.strip()}


def _normal(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(".", "-")


def _distribution(point: "EntryPoint") -> tuple[str, str]:
    if point.dist is None:
        return "", ""
    metadata = point.dist.metadata  # read and parsed anew each time it is asked for
    return metadata["Name"], metadata["Version"]


def _describe(error: BaseException) -> str:
    text = redact(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


# -- tracing ---------------------------------------------------------------------------------------------------------


def _trace(manager: pluggy.PluginManager, plugin: str) -> None:
    """Print every hook call and a summary of its result to stderr; never a secret or a record's value."""

    def before(_hook: str, _impls: object, _arguments: object) -> None:
        return

    def after(outcome: pluggy.Result[Any], hook: str, impls: Sequence[Any], arguments: Mapping[str, Any]) -> None:
        if impls:
            result = _failure(outcome) if outcome.exception else _summary(hook, outcome.get_result())
            print(f"synccore hook {plugin}: {hook}({_arguments(arguments)}) -> {result}", file=sys.stderr)  # noqa: T201

    manager.add_hookcall_monitoring(before, after)


def _failure(outcome: "pluggy.Result[Any]") -> str:
    return f"failed with {type(outcome.exception).__name__}"


def _arguments(arguments: Mapping[str, Any]) -> str:
    if event := arguments.get("event"):
        return f"{event.outcome} sink={event.sink} route={event.route}"
    if reference := arguments.get("reference"):
        return ", ".join(f"{scheme}=..." for scheme in reference)
    return ", ".join(arguments)


def _summary(hook: str, result: Any) -> str:
    if hook == "synccore_secret":
        return "None" if result is None else "a secret"
    # A generator must not be used up by looking at it.
    parts = [r for r in result if r is not None] if isinstance(result, list) else []
    names = [
        str(getattr(item, "name", item))
        for part in parts
        if isinstance(part, list | tuple | set | dict)
        for item in part
    ]
    return ", ".join(names) or ("nothing" if not parts else "values")
