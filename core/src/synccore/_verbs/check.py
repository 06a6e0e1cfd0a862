"""`synccore check`: the configuration against the world, as findings with what to do next."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from attrs import evolve, field, frozen

from .._app.accounts import stranger
from .._app.app import App
from .._app.owners import foreign_files
from .._app.units import Unit
from .._plain import Plain
from ..errors import AnotherAccount, AuthError, ConfigError, RateLimited, SynccoreError, Transient, redact
from ..types import Check, Finding, ObjectInfo
from .parts.check_mapping import check_mapping, check_routes
from .parts.waits import lane_state, remedy

__all__ = ["InstanceReport", "Report", "check", "findings_of", "naming", "problem_of"]

#: The states of a lane that a passed check does not heal by itself, and what does.
_HELD = {
    "paused": "paused by a person",
    "needs_auth": "held since its credentials were refused, and they work again",
}


@frozen(kw_only=True)
class InstanceReport(Plain):
    """One source or sink: its state in the words of `status`, whom it reached, and a line of detail."""

    state: str
    account: str | None = None
    detail: str = ""
    #: False where nobody was asked: then the state is what was last known.
    tried: bool = True
    #: It was asked and answered, whatever it found: then its objects can be described too.
    answered: bool = False
    #: The account it reached and what it writes there for which sources (`Check.claims`).
    found: Check | None = None


@frozen(kw_only=True)
class Report(Plain):
    """What `check` found."""

    findings: tuple[Finding, ...]
    instances: Mapping[str, InstanceReport] = field(factory=dict)

    @property
    def ok(self) -> bool:
        """True where nothing is an error."""
        return all(f.level != "error" for f in self.findings)

    def document(self) -> dict[str, Any]:
        """The JSON of `check --json`."""
        return {
            "ok": self.ok,
            "findings": [{"level": f.level, "path": f.path, "message": f.message} for f in self.findings],
            "instances": {
                name: {"state": i.state, "account": i.account, "detail": i.detail} for name, i in self.instances.items()
            },
        }


def check(app: App, *, offline: bool = False) -> Report:
    """Check everything the configuration names. `offline` asks nobody outside this machine."""
    findings = [Finding(level="warning", path=p.path, message=p.message) for p in app.settings.warnings]
    findings += _plugins(app)
    findings += _owners(app)
    findings += check_routes(app)
    instances: dict[str, InstanceReport] = {}
    for name, source in app.sources.items():
        instances[name] = _instance(app, name, source, f"sources.{name}", findings, offline=offline)
    for name, sink in app.sinks.items():
        instances[name] = _instance(app, name, sink, f"sinks.{name}", findings, offline=offline)
        if instances[name].answered:
            told = {f.path for f in findings if f.level == "error"}
            findings += (f for f in _mappings(app, name, sink) if f.path not in told)
    findings += rivals({name: unit.settings.type for name, unit in app.sinks.items()}, instances)
    return Report(findings=tuple(dict.fromkeys(findings)), instances=instances)


def findings_of(app: App, route: str) -> list[Finding]:
    """What `check` says of one route. Asks everybody, its target among them."""
    place = f"routes.{route}"
    return [f for f in check(app).findings if f.path == place or f.path.startswith(f"{place}.")]


def _plugins(app: App) -> Iterator[Finding]:
    for plugin in app.plugins.statuses:
        if plugin.status not in ("loaded", "disabled"):
            yield Finding(level="warning", path=f"plugins.{plugin.name}", message=f"{plugin.status}: {plugin.reason}")


def _owners(app: App) -> Iterator[Finding]:
    if app.database_file is not None:
        for file, whose, owner in foreign_files(app.database_file):
            text = f"{file} belongs to {whose}, the outbox to {owner}: run chown {owner} {file}"
            yield Finding(level="error", path="synccore.database", message=text)


# -- instances


def _instance(app: App, name: str, unit: Unit, path: str, findings: list[Finding], *, offline: bool) -> InstanceReport:
    if unit.instance is None:
        reason = str(unit.error or "it could not be opened")
        findings.append(Finding(level="error", path=path, message=reason))
        return InstanceReport(state="error", detail=reason)
    if offline:
        state, why = lane_state(app, name)
        return InstanceReport(state=state, detail=why or "not tried (offline)", tried=False)
    try:
        found: Check = unit.instance.check()
    except Exception as error:  # noqa: BLE001  a plugin's bug is one instance's finding
        finding, state = problem_of(error, name, path)
        findings.append(finding)
        return InstanceReport(state=state, detail=finding.message)
    findings += (_below(path, f) for f in found.findings)
    account = found.account.label if found.account else None
    reached = InstanceReport(state="error", account=account, detail=found.detail, answered=True, found=found)
    if other := stranger(app.store, name, found.account, source=name in app.sources):
        findings.append(Finding(level="error", path=path, message=other))
        return reached
    if any(f.level == "error" for f in found.findings):
        return reached
    lane = app.lane_of(name)
    if held := _HELD.get(lane.state):
        findings.append(Finding(level="warning", path=path, message=f"{held}: run {remedy('paused', name)}"))
        return evolve(reached, state=lane.state)
    return evolve(reached, state="ok")


def rivals(types: Mapping[str, str], instances: Mapping[str, InstanceReport]) -> Iterator[Finding]:
    """Sinks (name -> type) of one type that write the same into one account, each for other sources."""
    writers: dict[tuple[str, str, str], tuple[str, Sequence[str]]] = {}
    for name, type_ in types.items():
        found = instances[name].found
        if found is None or found.account is None:
            continue
        for what, sources in found.claims.items():
            claim = (type_, found.account.id, what)
            other, theirs = writers.setdefault(claim, (name, sources))
            if sorted(theirs) != sorted(sources):
                text = f"the sink {other} writes {what} of {', '.join(theirs)} into this account too: for whoever buys"
                text += " in both the last writer wins. Give one of them another prefix"
                yield Finding(level="warning", path=f"sinks.{name}", message=text)


def _below(path: str, finding: Finding) -> Finding:
    """A plugin may leave the instance's own path out."""
    if finding.path.startswith(("sources.", "sinks.", "routes.", "server.", "synccore.")):
        return finding
    return Finding(
        level=finding.level, path=f"{path}.{finding.path}" if finding.path else path, message=finding.message
    )


@contextmanager
def naming(path: str) -> Iterator[None]:
    """A plugin names its own setting in a ConfigError; this says whose it is."""
    try:
        yield
    except ConfigError as error:
        error.path = _below(path, Finding(level="error", path=error.path or "", message=error.message)).path
        raise


def problem_of(error: Exception, name: str, path: str) -> tuple[Finding, str]:
    """An instance's failure as a finding with what to run next, and the state it means."""
    if isinstance(error, AnotherAccount):
        return Finding(level="error", path=path, message=error.message), "error"
    if isinstance(error, AuthError):
        text = error.message
        if "synccore connect" not in text:
            text = f"{text.rstrip('.')}: run {remedy('needs_auth', name)}"
        return Finding(level="error", path=path, message=text), "needs_auth"
    if isinstance(error, RateLimited):
        return Finding(
            level="warning", path=path, message=f"{error.message}: nothing is wrong, run check again later"
        ), "rate_limited"
    if isinstance(error, ConfigError):
        return _below(path, Finding(level="error", path=error.path or "", message=error.message)), "error"
    if isinstance(error, Transient):
        return Finding(
            level="error", path=path, message=f"{error.message}: see that it is up and its address right"
        ), "error"
    if isinstance(error, SynccoreError):
        return Finding(level="error", path=path, message=error.message), "error"
    text = f"a bug in the plugin: {type(error).__name__}: {redact(str(error))} (SYNCCORE_DEBUG=1 shows where)"
    return Finding(level="error", path=path, message=text), "error"


# -- mappings against what the target describes


def _mappings(app: App, name: str, unit: Unit) -> list[Finding]:
    routes = [route for route in app.routes.values() if route.sink == name]
    if not routes or unit.instance is None:
        return []
    try:
        described: Sequence[ObjectInfo] = unit.instance.describe()
    except Exception as error:  # noqa: BLE001  a plugin's bug is one instance's finding
        return [problem_of(error, name, f"sinks.{name}")[0]]
    objects = {info.name: info for info in described}
    return [finding for route in routes for finding in check_mapping(route, objects)]
