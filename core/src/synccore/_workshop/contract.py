"""`synccore plugins check`: an installed plugin's contract against its own stand-in, case by case.

A plugin ships its contract class (`SinkContract`, `SourceContract` or `MapperContract`, subclassed) in
`PACKAGE.contract`, so that whoever installed it can repeat the proof.
"""

import io
import os
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any, Literal

from attrs import frozen

from ..errors import ConfigError

__all__ = ["Case", "Result", "check_contract"]

Result = Literal["proven", "failed", "exempt", "not staged"]

PLACE = "contract"


@frozen(kw_only=True)
class Case:
    """One hazard.

    Attributes:
        result: proven; failed; exempt (the plugin says why); or not staged (the subclass does not write what it needs).
    """

    contract: str
    case: str
    hazard: str
    result: Result
    reason: str = ""


class _Collector:
    """A pytest plugin that keeps what became of each case."""

    def __init__(self) -> None:
        self.cases: dict[str, Case] = {}
        self.trouble: list[str] = []
        self._hazards: dict[str, tuple[str, str, bool]] = {}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        for item in items:
            name = getattr(item, "originalname", item.name)
            doc = (getattr(item.obj, "__doc__", None) or "").strip().splitlines()
            exempt = getattr(item.cls, "exempt", {}) if item.cls else {}
            told = name.removeprefix("test_") in exempt
            self._hazards[item.nodeid] = (item.cls.__name__ if item.cls else "", doc[0] if doc else "", told)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.trouble.append(str(report.longrepr).strip().splitlines()[-1])

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when != "call" and report.passed:
            return
        contract, hazard, told = self._hazards.get(report.nodeid, ("", "", False))
        if report.passed:
            result: Result = "proven"
        elif report.skipped:
            result = "exempt" if told else "not staged"
        else:
            result = "failed"
        known = self.cases.get(report.nodeid)
        if known is None or known.result != "failed":
            name = report.nodeid.rpartition("::")[2].removeprefix("test_")
            self.cases[report.nodeid] = Case(
                contract=contract, case=name, hazard=hazard, result=result, reason=_reason(report, result)
            )


def _reason(report: Any, result: str) -> str:
    if result == "proven":
        return ""
    if result == "failed":
        crash = getattr(report.longrepr, "reprcrash", None)
        return str(crash.message).splitlines()[0] if crash is not None else "it failed"
    return str(report.longrepr[2]).removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""


def check_contract(name: str) -> list[Case]:
    """Run the contract of an installed plugin, its cases by name. Takes as long as its tests take.

    Raises ConfigError where there is no such plugin, where it ships no contract, or where pytest is not installed.
    """
    module = _module_of(name)
    if find_spec("pytest") is None or find_spec("hypothesis") is None:
        raise ConfigError("pytest or hypothesis is not installed: pip install 'synccore[testing]'")
    import pytest

    collector = _Collector()
    said = io.StringIO()
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-c", os.devnull, "--import-mode=importlib"]
    with redirect_stdout(said), redirect_stderr(said):
        status = pytest.main([*options, module], plugins=[collector])
    if not collector.cases:
        why = collector.trouble[0] if collector.trouble else f"pytest ended with {int(status)}"
        raise ConfigError(f"the contract of {name} could not be run: {why}")
    return sorted(collector.cases.values(), key=lambda case: (case.contract, case.case))


def _module_of(name: str) -> str:
    """The file of the plugin's contract."""
    points = {point.name: point for point in entry_points(group="synccore")}
    wanted = name.removeprefix("synccore-").replace("-", "_")
    point = points.get(wanted)
    if point is None:
        raise ConfigError(f"no plugin is called {name!r}; installed: {', '.join(sorted(points)) or 'none'}")
    place = f"{point.value.partition(':')[0]}.{PLACE}"
    spec = find_spec(place)
    if spec is None or spec.origin is None:
        raise ConfigError(f"{name} ships no contract: there is no {place}")
    return spec.origin
