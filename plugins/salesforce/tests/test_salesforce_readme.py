"""The README's tables say what the plugin does."""

import re
from pathlib import Path

import attrs
import pytest

from synccore_salesforce.config import Config
from synccore_salesforce.mapping.defaults import HELPERS, OBJECTS

README = Path(__file__).parent.parent / "README.md"
pytestmark = pytest.mark.skipif(not README.exists(), reason="runs in the source tree only")


def table(header):
    """The rows of the table whose header begins so, cells stripped."""
    lines = README.read_text(encoding="utf-8").splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(f"| {header}"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def names(cell):
    return re.findall(r"`([^`]+)`", cell)


def test_every_setting_is_told_with_its_default():
    told = {names(row[0])[0]: row[1].strip("`") for row in table("setting | default | meaning")}
    settings = {a.name: a.default for a in attrs.fields(Config)}
    assert told.keys() == settings.keys()
    for name, default in settings.items():
        if default not in (None, attrs.NOTHING):
            assert told[name] in (str(default), "of the environment"), name


def test_every_option_of_a_route_is_told_with_its_default():
    told = {names(row[0])[0]: row[1].strip("`") for row in table("setting | default | objects")}
    options = {n: default for o in OBJECTS for n, (_, default, _) in o.options.items()}
    assert told.keys() == options.keys()
    for name, default in options.items():
        if isinstance(default, bool):
            assert told[name] == str(default).lower(), name
        elif default:
            assert told[name] == default, name


@pytest.mark.parametrize(
    ("header", "entity", "objects"),
    [
        ("shop | Contact", "customer", ("Contact", "Account", "PersonAccount", "Lead")),
        ("order | Order", "order", ("Order", "Opportunity")),
    ],
)
def test_the_mapping_that_is_told_is_the_default(header, entity, objects):
    kinds = {o.name: o.defaults[entity].fields for o in OBJECTS if o.name in objects}
    told = {name: set() for name in objects}
    for row in table(header):
        for name, cell in zip(objects, row[1:], strict=False):
            told[name].update(n for n in names(cell) if not cell.startswith("("))
    for name, fields in kinds.items():
        for word in told[name]:
            # "Mailing..." stands for the parts of an address.
            assert any(f.startswith(word.rstrip(".")) for f in fields), f"{name}: {word}"
        for each in set(fields) - HELPERS:
            known = any(each == w or (w.endswith("...") and each.startswith(w.rstrip("."))) for w in told[name])
            part = each in ("Street", "City", "PostalCode", "State", "StateCode", "Country", "CountryCode")
            assert known or part or each in ("CurrencyIsoCode", "Description"), f"{name} is not told of {each}"


def test_the_costs_that_are_told_are_the_sums_that_are_tested():
    """`test_salesforce_calls` holds: a call writes 200, a look takes 1,000 (5,000 before a job), and 4 calls more."""
    told = {row[0]: int(row[1]) for row in table("10,000 customers")}
    writes, looks = 10_000 // 200, 10_000 // 1000
    most = {
        "matched by external id": writes + 4,
        "matched by e-mail too": writes + looks + 4,
        "matched by e-mail too, half of them known to sales": writes + looks + 4,
        "accounts by external id, contacts by e-mail too": 2 * writes + looks + 8,
        "accounts by company name, contacts by e-mail too": 2 * writes + 2 * looks + 8,
        "bulk, by external id": 12,
        "bulk, accounts by external id": 12,
        "bulk, matched by e-mail too": 14,
        "bulk, by e-mail, half of them known to sales": 22,
        "nothing changed": 0,
    }
    assert told.keys() == most.keys()
    assert {n: c for n, c in told.items() if c > most[n]} == {}
