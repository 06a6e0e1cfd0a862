"""The quality scale is read from what the cases of a contract came to."""

import inspect
import re
from pathlib import Path

from synccore._workshop.contract import Case
from synccore._workshop.scale import RULES, rule_of, scale
from synccore.testing import SinkContract, SourceContract

QUALITY = Path(__file__).parents[3] / "docs" / "authors" / "quality.md"


def case(name, result):
    return Case(contract="TestX", case=name, hazard="", result=result)


def test_a_rule_is_proven_failed_or_untold_as_its_cases_are():
    told = scale(
        [
            case("a_record_arrives_once", "proven"),
            case("a_rate_limit_is_respected[live]", "exempt"),
            case("another_account_is_written_nothing", "not staged"),
            case("the_past_fires_no_automation", "not staged"),
            case("a_whole_batch_is_one_that_the_target_takes", "proven"),
            case("erasing_twice_is_fine", "proven"),
            case("a_person_is_found_by_who_they_are", "failed"),
        ]
    )
    assert [(r.level, r.rule, r.result, r.proven, r.of) for r in told] == [
        ("bronze", "contract_tests", "failed", 1, 2),
        ("silver", "rate_limits", "exempt", 0, 1),
        ("silver", "erasure", "failed", 1, 2),
        ("silver", "unique_account", "not staged", 0, 1),
        ("gold", "bulk", "not staged", 1, 2),
    ]


def test_the_rules_and_their_cases_are_those_of_the_page_and_of_the_kit():
    page = re.findall(r"^\| (\w+) \| `(\w+)`", QUALITY.read_text(), re.MULTILINE)
    levels = {rule: level for level, rule in page}
    assert {rule: level for rule, (level, _) in RULES.items()}.items() <= levels.items()
    kit = {
        name.removeprefix("test_")
        for contract in (SinkContract, SourceContract)
        for name, _ in inspect.getmembers(contract)
        if name.startswith("test_")
    }
    named = set().union(*(cases for _, cases in RULES.values()))
    assert named <= kit
    assert {rule_of(name) for name in kit} == set(RULES)
