"""Each shipped plugin answers every rule of the quality scale: done, or exempt with a reason."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Neither sources nor sinks: the scale does not speak of them.
OTHERS = {"apprise", "postgres"}
PLUGINS = sorted(p.parent for p in ROOT.glob("plugins/*/pyproject.toml") if p.parent.name not in OTHERS)
RULES = set(
    re.findall(r"^\| (?:bronze|silver|gold) \| `(\w+)`", (ROOT / "docs/authors/quality.md").read_text(), re.MULTILINE)
)


def rules_of(plugin):
    return tomllib.loads((plugin / "quality.toml").read_text())["rules"]


def test_there_are_rules_and_plugins():
    assert len(RULES) >= 15
    assert len(PLUGINS) >= 4


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda p: p.name)
def test_every_rule_is_answered(plugin):
    answers = rules_of(plugin)
    assert set(answers) == RULES
    for rule, answer in answers.items():
        assert answer == {"done": True} or len(answer.get("exempt", "")) > 20, f"{rule}: say done, or exempt and why"


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda p: p.name)
def test_what_is_declared_done_is_there(plugin):
    answers = rules_of(plugin)
    source = "\n".join(p.read_text() for p in (plugin / "src").rglob("*.py"))
    tests = "\n".join(p.read_text() for p in (plugin / "tests").rglob("*.py"))
    evidence = {
        "contract_tests": re.search(r"\((Sink|Source)Contract\)", source) and ".contract import" in tests,
        "strict_typing": list(plugin.glob("src/*/py.typed")),
        "secrets_masked": "Secret" in source,
        "ambiguous_writes": "def lookup" in source or "def write_back" in source,
        "erasure": "def erase" in source,
        "verify": "def read" in source,
        "demo": "def synccore_demo" in source,
        "strict_stand_in": "LoopbackServer" in source,
    }
    missing = [rule for rule, found in evidence.items() if answers[rule] == {"done": True} and not found]
    assert not missing


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda p: p.name)
def test_every_setting_stands_in_the_readme(plugin):
    from attrs import fields

    from synccore._plugins import load_plugins

    plugins = load_plugins(environ={"SYNCCORE_PLUGINS": plugin.name})
    kind = {**plugins.sources, **plugins.sinks}[plugin.name]
    readme = (plugin / "README.md").read_text()
    missing = [f.name for f in fields(kind.config) if f"`{f.name}`" not in readme]
    assert not missing
    without_help = [f.name for f in fields(kind.config) if not f.metadata.get("help")]
    assert not without_help
