"""Expressions keep their type, templates give text, and neither reaches further than the record."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from synccore._mapping import compile_mapper
from synccore._plugins import load_plugins
from synccore.config import ConfigProblems
from synccore.entities import Address, Customer, Membership, Order
from synccore.errors import MappingError
from synccore.types import MapContext, RouteSpec, Skip, Snapshot

PLUGINS = load_plugins(environ={"SYNCCORE_PLUGINS": ""})

ANN = Customer(
    key="12",
    email="ann@shop.test",
    first_name="Ann",
    last_name=None,
    phone="030 901820",
    billing=Address(country="DE", city="Berlin"),
    created_at=datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
    meta={"items": "three", "zip": "007", "sum": Decimal("12.50"), "_vat": "DE1", "tags": ["a", "b"], "n": 5},
)
ORDER = Order(key="7", number="1007", status="completed", currency="EUR", total=Decimal("9.90"))


def compiled(fields, *, entity="customer", **route):
    spec = RouteSpec(name="r", source="shop", entity=entity, sink="crm", object="thing", fields=fields, **route)
    return spec, compile_mapper(spec, PLUGINS)


def run(fields, data=ANN, *, owner=None, included=None, previous=None, **route):
    spec, mapper = compiled(fields, entity=data.entity, **route)
    return mapper.map(
        Snapshot(source="shop", entity=data.entity, key=data.key, data=data),
        MapContext(
            route=spec,
            owner=owner and Snapshot(source="shop", entity="customer", key=owner.key, data=owner),
            included={
                e: [Snapshot(source="shop", entity=e, key=d.key, data=d) for d in items]
                for e, items in (included or {}).items()
            },
            previous=previous or {},
        ),
    )


def value(expression, data=ANN, **more):
    return run({"F": expression}, data, **more)["F"]


# -- types


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("customer.first_name", "Ann"),
        ("customer.last_name", None),
        ("customer.created_at", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("customer.meta.sum", Decimal("12.50")),
        ("customer.guest", False),
        ("customer.meta.n", 5),
        ("customer.meta.zip", "007"),
        ("'+4930901820'", "+4930901820"),
        ("'true'", "true"),
        ("'[1, 2]'", "[1, 2]"),
        ("'Web shop'", "Web shop"),
        ("1.5", 1.5),
        ("[customer.first_name, 1]", ["Ann", 1]),
        ("(1, 2)", [1, 2]),
        ("{'a': customer.first_name}", {"a": "Ann"}),
        ("customer.meta.tags | map('upper')", ["A", "B"]),
        ("customer.meta", dict(ANN.meta)),
        ("customer.name", "Ann"),
        ("none", None),
    ],
)
def test_an_expression_keeps_its_type(expression, expected):
    found = value(expression)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("Since {{ customer.created_at | date }}", "Since 2024-01-02"),
        ("{{ customer.meta.zip }}", "007"),
        ("{{ customer.first_name }} {{ customer.last_name }}", "Ann "),
        ("{% if customer.guest %}guest{% else %}member{% endif %}", "member"),
        ("{% for t in customer.meta.tags %}<{{ t }}>{% endfor %}", "<a><b>"),
        ("{{ customer.meta.sum }}", "12.50"),
        ("{{ 'x' if customer.guest }}", ""),
        ("{{ customer.billing.city }} & <b>", "Berlin & <b>"),
    ],
)
def test_a_template_gives_text_and_nothing_for_none(template, expected):
    assert value(template) == expected


@pytest.mark.parametrize("constant", [True, 5, 1.5, ["a", "customer.key"], {"x": 1}, date(2024, 1, 1)])
def test_other_values_are_constants(constant):
    assert value(constant) == constant


def test_an_empty_string_is_no_value():
    assert value("") is None


@pytest.mark.parametrize(
    "expression", ["customer.first_name ~ customer.last_name", "'{0}'.format(customer.first_name)"]
)
def test_joining_texts_never_writes_the_word_none(expression):
    assert value(expression) == "Ann"


# -- what is visible


def test_an_order_sees_its_owner_as_customer():
    assert run({"A": "order.number", "B": "customer.email"}, ORDER, owner=ANN) == {"A": "1007", "B": "ann@shop.test"}


def test_a_record_without_owner_has_no_customer():
    assert value("customer.email if customer else 'nobody'", ORDER) == "nobody"


def test_source_key_uid_and_previous_are_visible():
    found = run({"F": "[source, key, uid, previous.Phone]"}, previous={"Phone": "1"})
    assert found["F"] == ["shop", "12", "shop:customer:12", "1"]


def test_what_the_route_includes_is_visible_in_the_plural():
    plans = [Membership(key=k, status="active", plan_key="p", plan_name=k) for k in ("Gold", "Tin")]
    expression = "memberships | map(attribute='plan_name') | join(', ')"
    assert value(expression, include=("membership",), included={"membership": plans}) == "Gold, Tin"
    assert value(expression, include=("membership",)) == ""


def test_deleted_records_are_not_included():
    spec, mapper = compiled({"F": "orders | length"}, include=("order",))
    gone = Snapshot(source="shop", entity="order", key="7", data=ORDER, deleted=True)
    context = MapContext(route=spec, included={"order": [gone]})
    assert mapper.map(Snapshot(source="shop", entity="customer", key="12", data=ANN), context) == {"F": 0}


def test_keys_of_mappings_win_over_methods():
    assert value("customer.meta.items") == "three"
    assert value("customer.meta['items']") == "three"
    assert value("customer.meta.get('missing', 'x')") == "x"


def test_private_keys_of_the_shop_can_be_read():
    assert value("customer.meta._vat") == "DE1"


# -- when


@pytest.mark.parametrize("when", ["customer.guest", "customer.last_name", "customer.meta.n > 5", "[]"])
def test_a_record_is_skipped_where_when_is_false(when):
    assert run({"F": "key"}, when=when) == Skip(f"when: {when}")


def test_a_record_is_mapped_where_when_is_true():
    assert run({"F": "key"}, when="customer.email and customer.meta.n == 5") == {"F": "12"}


def test_an_error_in_when_is_an_error_and_no_skip():
    with pytest.raises(MappingError, match=r"routes\.r\.when") as caught:
        run({"F": "key"}, when="customer.meta.missing")
    assert caught.value.field == "when"


# -- failing on a record


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("customer.meta.missing", "there is no 'missing'"),
        ("customer.meta.missing.deeper", "there is no 'missing'"),
        ("[customer.meta.missing]", "there is no 'missing'"),
        ("{{ customer.meta.missing }}", "there is no 'missing'"),
        ("'a' ~ customer.meta.missing", "there is no 'missing'"),
        ("customer.meta.missing | upper", "there is no 'missing'"),
        ("customer.last_name.upper()", "is empty"),
        ("customer.consent_at > customer.created_at", "wrong kind, or empty"),
        ("1 / 0", "divides by zero"),
        ("customer.billing", "the result is of type Address"),
        ("customer.email.upper", "is a function"),
        ("customer.email.__class__", "closed"),
        ("customer['__class__']", "closed"),
        ("customer.meta.tags.append('c')", "closed"),
        ("[customer] | map(attribute='__class__') | list", "closed"),
        ("'{0.__class__}'.format(customer)", "closed"),
        ("customer.meta.n * 1e308", "no finite number"),
    ],
)
def test_an_expression_that_fails_names_route_field_and_expression(expression, words):
    with pytest.raises(MappingError) as caught:
        value(expression)
    error = caught.value
    assert (error.route, error.field, error.expression) == ("r", "F", expression)
    assert words in error.message
    assert error.message.startswith("routes.r.fields.F: ")
    assert expression in error.message
    assert error.__cause__ is None
    assert error.__suppress_context__


@pytest.mark.parametrize(
    "expression",
    [
        "customer.meta[customer.first_name]",
        "customer.meta[customer.first_name].x",
        "[customer] | selectattr(customer.first_name)",
        "customer.first_name + 1",
        "5 | round(method=customer.first_name)",
        "'2024-01-01T00:00' | date(tz=customer.first_name)",
        "customer.first_name | hash(customer.first_name)",
        "'%d' % customer.first_name",
        "[1] | map(customer.first_name) | list",
    ],
)
def test_an_error_never_holds_the_records_values(expression):
    secret = Customer(key="1", first_name="Zanzibar")
    with pytest.raises(MappingError) as caught:
        run({"F": expression}, secret)
    assert "Zanzibar" not in str(caught.value)


# -- failing before any record


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("customer.frist_name", "customer has no 'frist_name'; did you mean first_name?"),
        ("{{ customer.frist_name }}", "did you mean first_name?"),
        ("customer.billing.contry", "address has no 'contry'; did you mean country?"),
        ("customer.frist_name | upper", "did you mean first_name?"),
        ("custmer.email", "nothing is called 'custmer' here; did you mean customer?"),
        ("orders | length", 'write include = ["order"] on the route'),
        ("customer.total_spent", 'write include = ["order"] on the route'),
        ("order.total", "nothing is called 'order' here"),
        ("memberships[0].plan", "did you mean plan_"),
        ("(memberships | first).sttus", "did you mean status?"),
        ("memberships | map(attribute='plan_nam')", "did you mean plan_name?"),
        ("memberships | selectattr('sttus', 'equalto', 'active')", "did you mean status?"),
        ("memberships | sort(attribute='started')", "membership has no 'started'"),
        ("customer.name | uper", "no filter named 'uper'"),
        ("customer.name is emptyy", "emptyy"),
        ("customer.", "is no expression"),
        ("Web shop", "a fixed text has quotes inside"),
        ("customer.email customer.phone", "is no expression"),
        ("{{ customer.email", "is no template"),
        ("{% if customer %}x", "is no template"),
        ("customer.email | random", "no filter named 'random'"),
        ("lipsum(1)", "nothing is called 'lipsum'"),
    ],
)
def test_what_can_never_work_is_found_when_it_is_compiled(expression, words):
    with pytest.raises(ConfigProblems) as caught:
        compiled({"F": expression}, include=("membership",))
    (problem,) = caught.value.problems
    assert problem.path == "routes.r.fields.F"
    assert words in problem.message


def test_every_wrong_field_is_named_at_once():
    with pytest.raises(ConfigProblems) as caught:
        compiled({"A": "x +", "B": "key", "C": "nope"}, when="customer.nope")
    assert [p.path for p in caught.value.problems] == ["routes.r.when", "routes.r.fields.A", "routes.r.fields.C"]


@pytest.mark.parametrize("when", ["{{ customer.email }}", "{% if 1 %}x{% endif %}"])
def test_when_is_never_a_template_since_any_text_would_be_true(when):
    with pytest.raises(ConfigProblems, match=re.escape("without {{ }}")):
        compiled({}, when=when)


@pytest.mark.parametrize(
    "expression",
    [
        "{% set customer = key %}{{ customer.anything }}",
        "{% for o in orders %}{{ o.whatever_it_is }}{% endfor %}",
        "customer.meta.anything.at.all",
        "customer.raw.x['y'].z",
        "previous.Anything",
        "customer.billing.is_empty()",
        "orders | map(attribute='lines.0.name')",
        "orders | groupby('status') | map('first')",
    ],
)
def test_what_may_work_is_left_to_the_record(expression):
    compiled({"F": expression}, include=("order",))


def test_a_filter_of_a_plugin_can_be_used():
    from types import SimpleNamespace

    from synccore import hookimpl

    module = SimpleNamespace()

    def synccore_template_filters():
        return {"acme_shout": lambda text: f"{text}!"}

    module.synccore_template_filters = hookimpl(synccore_template_filters)
    point = SimpleNamespace(name="acme", value="acme", dist=None, load=lambda: module)
    plugins = load_plugins(environ={}, entry_points=[point])
    spec = RouteSpec(
        name="r", source="s", entity="customer", sink="c", object="o", fields={"F": "customer.name | acme_shout"}
    )
    mapper = compile_mapper(spec, plugins)
    snapshot = Snapshot(source="s", entity="customer", key="1", data=ANN)
    assert mapper.map(snapshot, MapContext(route=spec)) == {"F": "Ann!"}


def test_what_one_field_sets_no_other_field_sees():
    fields = {"A": "{% set source = 'A' %}{{ source }}", "B": "source", "C": "{{ source }}"}
    assert run(fields) == {"A": "A", "B": "shop", "C": "shop"}


def test_no_template_can_change_a_record():
    with pytest.raises(MappingError):
        value("customer.meta.update({'x': 1})")
    with pytest.raises(MappingError):
        value("customer.meta.pop('n')")
    assert ANN.meta["n"] == 5
