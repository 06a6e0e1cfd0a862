"""docs/mapping.md says what there is, and what it says works."""

import re
from pathlib import Path

import pytest

from synccore._mapping import compile_mapper
from synccore._mapping.environment import make_environment
from synccore._mapping.filters import FILTERS
from synccore._plugins import load_plugins
from synccore.types import RouteSpec

TEXT = (Path(__file__).parents[3] / "docs" / "mapping.md").read_text(encoding="utf-8")
RECIPES = re.findall(r'^(\w+) = "(.*)"$', TEXT, re.MULTILINE)


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_has_a_line(name):
    table = TEXT.partition("## Filters")[2].partition("## Comparison")[0]
    assert re.search(rf"`{name}[(`]", table)


def test_the_filters_left_out_are_those_named():
    from jinja2.filters import FILTERS as JINJA

    environment = make_environment(FILTERS)
    left_out = {name for name in JINJA if name not in environment.filters}
    assert left_out == set(re.findall(r"`(\w+)`", re.search(r"except (`random`.*?)\. These", TEXT, re.DOTALL)[1]))


@pytest.mark.parametrize(("field", "expression"), RECIPES)
def test_every_recipe_compiles(field, expression):
    entity = "order" if "order." in expression else "customer"
    route = RouteSpec(
        name="r",
        source="s",
        entity=entity,
        sink="c",
        object="o",
        fields={field: expression},
        include=("order", "membership"),
    )
    compile_mapper(route, load_plugins(environ={"SYNCCORE_PLUGINS": ""}))


def test_there_are_recipes():
    assert len(RECIPES) > 5
