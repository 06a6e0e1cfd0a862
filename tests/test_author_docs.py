"""The authors' pages name every hook, method and error there is."""

import inspect
import re
from pathlib import Path

import pytest

from synccore import errors, hookspecs
from synccore.testing import MapperContract, SinkContract, SourceContract

PAGES = Path(__file__).parents[1] / "docs/authors"


def test_every_hook_has_a_heading_with_its_arguments():
    page = (PAGES / "hooks.md").read_text()
    for name, hook in inspect.getmembers(hookspecs, inspect.isfunction):
        if name.startswith("synccore_"):
            arguments = ", ".join(inspect.signature(hook).parameters)
            assert f"### {name}({arguments})" in page


def test_no_heading_names_a_hook_that_is_gone():
    named = re.findall(r"^### (synccore_\w+)", (PAGES / "hooks.md").read_text(), re.MULTILINE)
    assert [n for n in named if not hasattr(hookspecs, n)] == []


def test_every_error_stands_on_the_contract_page():
    page = (PAGES / "contract.md").read_text()
    classes = [n for n in errors.__all__ if n != "redact"]
    assert [n for n in classes if f"`{n}" not in page] == []


def test_every_method_of_the_protocols_stands_on_the_contract_page():
    page = (PAGES / "contract.md").read_text()
    for protocol in (hookspecs.Source, hookspecs.LookupSink, hookspecs.ReadSink, hookspecs.JobSink, hookspecs.Mapper):
        methods = [n for n, f in inspect.getmembers(protocol, inspect.isfunction) if not n.startswith("_")]
        assert [m for m in methods if f"`{m}(" not in page] == []


@pytest.mark.parametrize("contract", [SinkContract, SourceContract, MapperContract])
def test_every_case_of_the_contracts_stands_on_the_kit_page(contract):
    page = (PAGES / "kit.md").read_text()
    cases = [n.removeprefix("test_") for n, _ in inspect.getmembers(contract) if n.startswith("test_")]
    assert len(cases) >= 3
    assert [c for c in cases if not re.search(rf"\b{c}\b", page)] == []


@pytest.mark.parametrize("contract", [SinkContract, SourceContract, MapperContract])
def test_everything_a_subclass_may_give_stands_on_the_kit_page(contract):
    page = (PAGES / "kit.md").read_text()
    inside = {"stage", "on", "routes", "filters", "open", "sink_type", "source_type", "mapper_type"}
    given = {
        n for c in contract.__mro__[:-1] for n in [*vars(c), *c.__annotations__] if not n.startswith(("_", "test_"))
    }
    assert [n for n in sorted(given - inside) if not re.search(rf"`{n}\b", page)] == []
