"""Fields evaluated together give what each gives alone, and where one fails it is the same one that is named."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import TemplateSyntaxError, nodes
from jinja2.meta import find_undeclared_variables

from synccore._mapping import compile_mapper
from synccore._mapping.environment import make_environment
from synccore._mapping.filters import FILTERS
from synccore._mapping.jinja import JinjaMapper
from synccore._mapping.scope import scope
from synccore._mapping.together import Field
from synccore._mapping.values import plain
from synccore._plugins import load_plugins
from synccore.config import ConfigProblems
from synccore.entities import Address, Customer
from synccore.errors import MappingError
from synccore.testing.strategies import customers
from synccore.types import MapContext, RouteSpec, Skip, Snapshot

PLUGINS = load_plugins(environ={"SYNCCORE_PLUGINS": ""})
ENV = make_environment(FILTERS)

TEXTS = (
    "customer.email",
    "customer.billing.city",
    "customer.meta.plan | default('none')",
    "customer.meta.plan",
    "customer.first_name | upper | truncate(3)",
    "customer.first_name ~ ' ' ~ customer.last_name",
    "customer.phone | e164(customer.billing.country)",
    "customer.created_at | date('%Y')",
    "customer.paying and 'yes' or 'no'",
    "'gold' if customer.email",
    "customer.first_name.upper()",
    "customer.meta.n + 1",
    "[customer.email, customer.phone]",
    "{'a': customer.email}",
    "previous.F | default(1)",
    "range(customer.email | length) | sum",
    "customer.billing",
    "{{ customer.first_name }} {{ customer.last_name }}",
    "{% if customer.email %}{{ customer.email | lower }}{% endif %}",
    "{% set x = customer.email %}{{ x }}{{ x }}",
    "{% set customer = 1 %}{{ customer }}",
    "{% for c in customer.first_name | default('') %}{{ loop.index }}{{ c }}{% endfor %}",
    "{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(customer.email) }}",
    "{{ customer.meta.nothing }}",
    "{{ customer.phone.strip() }}",
    "customer.meta.plan.length",
    "customer.meta.items",
    "customer.billing.is_empty",
    "customer.created_at | date",
    "customer.created_at | datetime(tz='Asia/Tokyo')",
    "customer.email | default(none) | replace(old='a', new=customer.key)",
    "'Web shop'",
    "1",
    "{{ customer.email }}, {{ customer.meta.plan | default('none') }}!",
    "{{ customer.created_at }}",
    "previous",
    "uid",
)


def one_by_one(fields, names):
    """Field -> value as Jinja itself gives it, or the name of the first that fails."""
    found = {}
    for name, text in fields.items():
        ENV.meter.start()
        try:
            if "{{" in text or "{%" in text:
                found[name] = plain(
                    ENV.concat(ENV.from_string(text).root_render_func(ENV.from_string(text).new_context(names)))
                )
            else:
                found[name] = plain(ENV.compile_expression(text, undefined_to_none=False)(**names))
        except Exception:
            return name
    return found


@settings(max_examples=40)
@given(st.data(), customers(), st.lists(st.sampled_from(TEXTS), max_size=8, unique=True))
def test_together_is_what_each_gives_alone(data, customer, texts):
    fields = {f"f{n}": text for n, text in enumerate(texts)}
    route = RouteSpec(name="r", source="shop", entity="customer", sink="crm", object="thing", fields=fields)
    snapshot = Snapshot(source="shop", entity="customer", key=customer.key, data=customer)
    context = MapContext(route=route, previous=data.draw(st.sampled_from([{}, {"F": "x"}])))

    expected = one_by_one(fields, scope(snapshot, context))
    try:
        found = compile_mapper(route, PLUGINS).map(snapshot, context)
    except MappingError as error:
        found = error.field

    assert found == expected
    if isinstance(found, dict):
        assert list(found) == list(fields)


def mapped(fields, data, **route):
    spec = RouteSpec(name="r", source="shop", entity="customer", sink="crm", object="thing", fields=fields, **route)
    snapshot = Snapshot(source="shop", entity="customer", key=data.key, data=data)
    return JinjaMapper(spec, make_environment(FILTERS)).map(snapshot, MapContext(route=spec))


def test_each_field_has_all_its_steps():
    # Together more than one field may take: no field takes too many.
    fields = {f"f{n}": "range(90000) | select('odd') | list | length" for n in range(3)}
    fields["g"] = "{% for a in range(300) %}{% for b in range(600) %}{% endfor %}{% endfor %}ok"
    fields["h"] = "{% for a in range(300) %}{% for b in range(600) %}{% endfor %}{% endfor %}ok"

    assert mapped(fields, Customer(key="1")) == {"f0": 45000, "f1": 45000, "f2": 45000, "g": "ok", "h": "ok"}


def test_a_condition_comes_first():
    fields = {"City": "customer.billing.city.upper()"}

    assert isinstance(mapped(fields, Customer(key="1"), when="customer.billing.city"), Skip)
    assert mapped(fields, Customer(key="1", billing=Address(city="Rom"))) == {"City": "ROM"}


def test_what_is_not_included_is_no_failure_of_the_others():
    fields = {"Own": "customer.key", "Count": "orders | sum(attribute='total') + 1", "Last": "orders.x"}
    defaulted = frozenset({"Count", "Last"})

    assert mapped(fields, Customer(key="1"), defaulted=defaulted) == {"Own": "1", "Count": 1, "Last": None}


def test_what_can_never_be_compiled_is_a_mistake_also_where_it_would_say_nothing():
    fields = {"Count": "{% for o in orders %}" * 30 + "{% endfor %}" * 30, "Own": "customer.key"}

    with pytest.raises(ConfigProblems) as caught:
        mapped(fields, Customer(key="1"), defaulted=frozenset({"Count"}))
    assert [p.path for p in caught.value.problems] == ["routes.r.fields.Count"]


def test_a_template_that_sets_a_name_leaves_it_to_the_others():
    fields = {"A": "{% set customer = 1 %}{{ customer }}", "B": "customer.key", "C": "{{ customer.key }}"}

    assert mapped(fields, Customer(key="9")) == {"A": "1", "B": "9", "C": "9"}


def test_a_failing_field_is_named():
    with pytest.raises(MappingError, match=r"routes\.r\.fields\.B: what 'upper' is asked of is empty"):
        mapped({"A": "customer.key", "B": "customer.email.upper()", "C": "customer.key"}, Customer(key="9"))


def test_an_argument_that_is_a_word_of_python_is_that_field_s_mistake():
    with pytest.raises(MappingError, match=r"fields\.B:"):
        mapped({"A": "customer.key", "B": "customer.email | default(class='x')"}, Customer(key="1"))


def named(text, ask):
    """What Jinja, or a field itself, says that it names; or that it cannot be."""
    field = Field(ENV, text)
    tree = field.parse()
    try:
        return ask(field, tree)
    except TemplateSyntaxError as error:
        return error.message


@pytest.mark.parametrize(
    "text",
    [
        *TEXTS,
        "range(n) | list",
        "customer | nothing_such",
        "customer is nothing_such",
        "customer.email if customer is nothing_such else other | nothing_such",
        "[a, {b: c}] | map(d, attribute=e) | select('f', g) | join",
        "{% set a = b %}{{ a ~ c }}",
    ],
)
def test_what_a_field_names_is_what_jinja_says(text):
    by_jinja = named(text, lambda _, tree: find_undeclared_variables(tree))
    assert named(text, lambda field, tree: field.named(tree, list(tree.find_all(nodes.Node)))) == by_jinja
