"""What the README says of the settings is so."""

import re
from pathlib import Path

import attrs

from synccore_woocommerce.config import Config
from synccore_woocommerce.stages import FILTERS

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def test_every_setting_is_documented():
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", README, re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert {f.name for f in attrs.fields(Config)} <= documented


def test_every_setting_has_help():
    assert all(f.metadata.get("help") for f in attrs.fields(Config))


def test_every_filter_is_documented():
    table = README.split("| entity | filters |")[1].split("##")[0]
    for names in FILTERS.values():
        assert all(f"`{name}`" in table for name in names)


def test_the_example_runs():
    exec(re.search(r"```python\n(.*?)```", README, re.DOTALL)[1], {})  # noqa: S102  our own text
