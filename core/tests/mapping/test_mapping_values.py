"""Shape, comparison, hash and totals; and that hostile data sets off nothing but MappingError."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from synccore._mapping import compile_mapper
from synccore._mapping.shape import changed_fields, digest, shape
from synccore._mapping.totals import with_totals
from synccore._plugins import load_plugins
from synccore.entities import Address, Customer, Order, Refund
from synccore.errors import MappingError
from synccore.types import FieldOptions, MapContext, RouteSpec, Snapshot

PLUGINS = load_plugins(environ={"SYNCCORE_PLUGINS": ""})
NOON = datetime(2024, 5, 31, 12, tzinfo=UTC)

# -- shape and comparison


def test_empty_values_are_left_out_unless_they_clear():
    fields = {"A": "a", "B": None, "C": "", "D": 0, "E": False, "F": [], "G": None, "H": ""}
    clear = {"G": FieldOptions(clear=True), "H": FieldOptions(clear=True), "B": FieldOptions(truncate=True)}
    assert shape(fields, clear) == {"A": "a", "D": 0, "E": False, "F": [], "G": None, "H": None}


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (1, Decimal("1.00")),
        (1.5, Decimal("1.50")),
        (Decimal("1E+2"), 100),
        (NOON, NOON.astimezone(timezone(timedelta(hours=2)))),
        ([1, "a"], (1, "a")),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ],
)
def test_equal_values_are_no_change(new, old):
    assert changed_fields({"F": new}, {"F": old}) == frozenset()
    assert digest({"F": new}) == digest({"F": old})


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (1, "1"),
        (1, True),
        (0, False),
        (0, None),
        ("", None),
        (NOON, NOON.isoformat()),
        (NOON.date(), NOON),
        ([1, 2], [2, 1]),
        ("a", "a "),
        ({}, []),
        (Decimal("0.1"), Decimal("0.10000000001")),
    ],
)
def test_different_values_are_a_change(new, old):
    assert changed_fields({"F": new}, {"F": old}) == {"F"}
    assert digest({"F": new}) != digest({"F": old})


def test_what_is_new_and_what_is_gone_has_changed():
    assert changed_fields({"A": 1, "B": None}, {"A": 1, "C": 2}) == {"B", "C"}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.datetimes(timezones=st.just(UTC))
    | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(st.text(min_size=1), VALUES, max_size=5)


@given(FIELDS, FIELDS)
def test_the_digest_is_equal_exactly_where_nothing_changed(one, two):
    assert changed_fields(one, one) == frozenset()
    assert (digest(one) == digest(two)) == (changed_fields(one, two) == frozenset())
    assert changed_fields(one, two) == changed_fields(two, one)


@given(FIELDS)
def test_the_digest_knows_no_order(fields):
    assert digest(dict(reversed(fields.items()))) == digest(fields)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9))
def test_a_number_is_the_same_with_and_without_trailing_zeros(number):
    assert digest({"F": number}) == digest({"F": number * Decimal("1.000")}) == digest({"F": number.normalize()})


# -- totals


def order(key, total="10", status="completed", **more):
    return Order(key=key, number=key, status=status, currency=more.pop("currency", "EUR"), total=Decimal(total), **more)


def totals(*orders):
    found = with_totals(Customer(key="1"), orders)
    return found.order_count, found.total_spent, found.last_order_at


def test_totals_of_nothing_are_zero_and_no_time():
    assert totals() == (0, Decimal(0), None)


def test_totals_count_orders_that_were_paid_for():
    unpaid = [order(str(n), status=s) for n, s in enumerate(("pending", "on-hold", "failed", "cancelled", "draft"))]
    assert totals(order("8"), order("9", "2.50", "processing"), *unpaid) == (2, Decimal("12.50"), None)


def test_a_status_of_the_shops_own_counts_where_it_is_paid():
    assert totals(order("1", status="shipped", paid_at=NOON))[0] == 1
    assert totals(order("1", status="shipped"))[0] == 0
    assert totals(order("1", status="cancelled", paid_at=NOON))[0] == 0


def test_refunds_are_taken_off():
    partly = order("1", "10", refunds=(Refund(key="r", amount=Decimal("2.50")),))
    wholly = order("2", "10", "refunded")
    more = order("3", "10", refunds=(Refund(key="r", amount=Decimal(99)),))
    assert totals(partly, wholly, more) == (3, Decimal("7.50"), None)


def test_the_last_order_is_the_newest_that_counts():
    orders = [
        order("1", created_at=NOON - timedelta(days=2)),
        order("2", created_at=NOON),
        order("3", created_at=NOON + timedelta(days=1), status="failed"),
        order("4"),
    ]
    assert totals(*orders)[2] == NOON


def test_a_sum_over_currencies_is_unknown():
    assert totals(order("1"), order("2", currency="USD")) == (2, None, None)


# -- hostile data

HOSTILE = st.text() | st.sampled_from(
    ["{{ 7 * 7 }}", "{% raw %}", "\x00", "\ud800", "'; DROP TABLE x", "a" * 5000, "None", "+", "00", "٣", "é" * 300]
)
META = st.dictionaries(
    st.sampled_from(["a", "items", "keys", "__class__", "get", ""]) | st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | HOSTILE,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HOSTILE, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
NOTHING_OR = st.none() | HOSTILE
ADDRESSES = st.builds(Address, line1=NOTHING_OR, city=NOTHING_OR, country=NOTHING_OR, phone=NOTHING_OR)
CUSTOMERS = st.builds(
    Customer,
    key=HOSTILE,
    email=NOTHING_OR,
    first_name=NOTHING_OR,
    phone=NOTHING_OR,
    created_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    billing=ADDRESSES,
    meta=META,
)
EXPRESSIONS = {
    f"F{n}": text
    for n, text in enumerate(
        [
            "customer.phone | e164(customer.billing.country)",
            "customer.phone | phone(customer.billing.country)",
            "customer.billing.country | country_name",
            "customer.first_name | title | truncate(20)",
            "customer.first_name | split | sort | join('-')",
            "customer.first_name | hash",
            "customer.first_name | money",
            "customer.first_name | int",
            "customer.first_name | float",
            "customer.first_name | round(2)",
            "customer.first_name | date",
            "customer.first_name | datetime(tz='Europe/Berlin')",
            "customer.created_at | datetime(tz='America/New_York')",
            "customer.created_at | date('%d.%m.%Y')",
            "customer.meta",
            "customer.meta.a",
            "customer.meta.items",
            "customer.meta.a | default([]) | length",
            "customer.meta.a | sum",
            "customer.meta.a | round(1)",
            "customer.meta.a | money('JPY')",
            "customer.meta.a.b.c",
            "customer.meta[customer.first_name]",
            "customer.meta.a * 1000",
            "customer.meta.values() | list | sort",
            "customer.first_name ~ customer.meta.a",
            "{{ customer.email }} {{ customer.meta.a }} {{ customer.meta.a | string | upper }}",
            "{% for k in customer.meta %}{{ customer.meta[k] }}{% endfor %}",
            "orders | map(attribute='total') | sum",
            "customer.total_spent / customer.order_count",
        ]
    )
}
ORDERS = st.lists(
    st.builds(
        Order,
        key=HOSTILE,
        number=HOSTILE,
        status=HOSTILE | st.sampled_from(["completed", "refunded"]),
        currency=st.sampled_from(["EUR", "USD", ""]),
        total=st.decimals(),
        created_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    ),
    max_size=3,
)


def spec(fields):
    return RouteSpec(name="r", source="s", entity="customer", sink="c", object="o", fields=fields, include=("order",))


MAPPERS = [compile_mapper(spec({name: text}), PLUGINS) for name, text in EXPRESSIONS.items()]


@settings(max_examples=150, deadline=None)
@given(CUSTOMERS, ORDERS)
def test_hostile_data_sets_off_nothing_but_mapping_errors(customer, orders):
    snapshot = Snapshot(source="s", entity="customer", key=customer.key, data=customer)
    included = {"order": [Snapshot(source="s", entity="order", key=o.key, data=o) for o in orders]}
    for mapper, (name, text) in zip(MAPPERS, EXPRESSIONS.items(), strict=True):
        context = MapContext(route=spec({name: text}), included=included)
        try:
            mapped = mapper.map(snapshot, context)
        except MappingError as error:
            named = (error.route, error.field, error.expression)
            assert named in (("r", name, text), ("r", "", ""))
            continue
        assert mapper.map(snapshot, context) == mapped, "the same record gives the same fields"
        json.loads(json.dumps(mapped, default=str))
        assert changed_fields(mapped, mapped) == frozenset()


@given(HOSTILE)
def test_data_is_never_taken_for_a_template(text):
    customer = Customer(key="1", first_name=text)
    mapper = compile_mapper(spec({"F": "{{ customer.first_name }}"}), PLUGINS)
    snapshot = Snapshot(source="s", entity="customer", key="1", data=customer)
    assert mapper.map(snapshot, MapContext(route=spec({}))) == {"F": text}


def test_a_field_that_is_emptied_stays_comparable():
    fields = shape({"Phone": None}, {"Phone": FieldOptions(clear=True)})
    assert changed_fields(fields, {"Phone": "1"}) == {"Phone"}
    assert changed_fields(fields, fields) == frozenset()


def test_mapping_leaves_the_record_alone():
    customer = Customer(key="1", meta={"a": [3, 1, 2]})
    before = evolve(customer, meta={"a": [3, 1, 2]})
    mapper = compile_mapper(spec({"F": "customer.meta.a | sort"}), PLUGINS)
    snapshot = Snapshot(source="s", entity="customer", key="1", data=customer)
    mapped = mapper.map(snapshot, MapContext(route=spec({})))
    assert mapped == {"F": [1, 2, 3]}
    mapped["F"].append(4)
    assert customer == before
