"""A sink's own filters: what is compiled serves every sink, and each is answered by its own."""

import pytest
from jinja2 import pass_environment

from synccore._mapping import compile_mapper, jinja
from synccore._plugins import load_plugins
from synccore.entities import Customer
from synccore.errors import MappingError
from synccore.types import MapContext, RouteSpec, Snapshot

PLUGINS = load_plugins(environ={"SYNCCORE_PLUGINS": ""})
ANN = Customer(key="12", email="ann@shop.test", first_name="Ann", meta={"plans": ["a", "b"]})
FIELDS = {
    "attribute": "customer.first_name | own_mark",
    "constant": "'gold' | own_mark",
    "template": "{{ customer.first_name | own_mark }}!",
    "by_name": "customer.meta.plans | map('own_mark') | list",
    "loop": "{% for plan in customer.meta.plans %}{{ plan | own_mark }} {% endfor %}",
    "macro": "{% macro marked(x) %}{{ x | own_mark }}{% endmacro %}{{ marked('m') }}",
    "lenient": "orders and 1 or customer.first_name | own_mark",
}


def mapped(own, **options):
    route = RouteSpec(name="r", source="shop", entity="customer", sink="crm", object="t", fields=FIELDS, **options)
    mapper = compile_mapper(route, PLUGINS, {"own_mark": own})
    snapshot = Snapshot(source="shop", entity="customer", key=ANN.key, data=ANN)
    return mapper.map(snapshot, MapContext(route=route))


def of(sink):
    return lambda value: f"{sink}:{value}"


def expected(sink):
    return {
        "attribute": f"{sink}:Ann",
        "constant": f"{sink}:gold",
        "template": f"{sink}:Ann!",
        "by_name": [f"{sink}:a", f"{sink}:b"],
        "loop": f"{sink}:a {sink}:b ",
        "macro": f"{sink}:m",
        "lenient": f"{sink}:Ann",
    }


def test_each_sink_is_answered_by_its_own_filters_and_all_share_what_is_compiled():
    lenient = {"defaulted": frozenset({"lenient"})}
    assert mapped(of("one"), **lenient) == expected("one")
    before = jinja._compiled.cache_info().misses
    assert mapped(of("two"), **lenient) == expected("two")
    assert jinja._compiled.cache_info().misses == before


def test_one_that_asks_for_the_environment_is_given_it():
    @pass_environment
    def own(environment, value):
        return f"{environment.autoescape}:{value}"

    assert mapped(own, defaulted=frozenset({"lenient"})) == expected("False")


def test_one_that_fails_names_its_field_and_holds_no_value():
    def own(value):
        raise ValueError(value)

    with pytest.raises(MappingError, match=r"fields\.attribute") as failed:
        mapped(own, defaulted=frozenset({"lenient"}))
    assert "Ann" not in str(failed.value)
