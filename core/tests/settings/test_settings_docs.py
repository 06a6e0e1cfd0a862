"""docs/configuration.md names every key, and its examples are read by the program."""

import re
import tomllib
from pathlib import Path

import pytest

from synccore._plugins import load_plugins
from synccore._settings import describe_config, load_settings
from synccore._settings.model import AlertTable, CoreTable, RouteTable, ServerTable, SinkTable
from synccore.config import SourceSettings
from synccore.types import FieldOptions

TEXT = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)


def section(title):
    return re.split("\n###? ", TEXT.partition(f"\n## {title}")[2])[0]


@pytest.mark.parametrize(
    ("title", "cls"),
    [
        ("`[synccore]`", CoreTable),
        ("`[server]`", ServerTable),
        ("`[alerts.NAME]`", AlertTable),
        ("`[sources.NAME]`", SourceSettings),
        ("`[sources.NAME]`", SinkTable),
        ("`[routes.NAME]`", RouteTable),
    ],
)
def test_every_key_has_a_line_with_its_default(title, cls):
    for setting in describe_config(cls):
        (line,) = re.findall(rf"^\| `{setting.name}` \|.*$", section(title), re.MULTILINE)
        if setting.required:
            assert "required" in line
        elif setting.default_text and setting.name != "fields":
            assert setting.default_text in line


def test_every_field_option_has_a_line():
    for name in FieldOptions.__annotations__:
        assert f"| `{name}` |" in TEXT


def test_the_whole_file_can_be_read(tmp_path):
    plugins = load_plugins(environ={})
    missing = {"woocommerce", "salesforce"} - {*plugins.sources, *plugins.sinks}
    if missing:
        pytest.skip(f"not loaded here: {', '.join(sorted(missing))}")
    path = tmp_path / "synccore.toml"
    path.write_text(EXAMPLES[0], encoding="utf-8")
    environ = dict.fromkeys(re.findall(r'env = "(\w+)"', EXAMPLES[0]), "value-of-it")
    settings = load_settings(path, plugins, environ=environ)
    assert set(settings.routes) == {"crm_customers", "crm_orders"}


def test_the_fields_of_the_example_do_what_it_says(files, route):
    fields = EXAMPLES[1].replace("crm_customers", "people").replace("Title", "Email")
    spec = files.load(route + 'compare = []\n[routes.people.fields]\nStreet = "key"\n').routes["people"]
    assert "Email" in spec.fields
    spec = files.load(route + "compare = []\n" + fields).routes["people"]
    assert "Email" not in spec.fields
    assert spec.fields["Active"] is True
    assert spec.options["Fax"] == FieldOptions(clear=True)
    assert tomllib.loads(fields)["routes"]["people"]["fields"].keys() - spec.fields.keys() == {"Email"}
