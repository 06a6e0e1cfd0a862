"""Values survive the database, and equal things have equal fingerprints."""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from synccore.entities import ENTITIES, Address, Customer, Order, OrderLine
from synccore.store import codec

zones = st.sampled_from((UTC, timezone(timedelta(hours=5, minutes=30))))
moments = st.datetimes(timezones=zones)
decimals = st.decimals(allow_nan=False, allow_infinity=False)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    decimals,
    moments,
    st.dates(),
)
keys = st.text() | st.sampled_from(("$", "v"))
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)
free = st.dictionaries(keys, values, max_size=4)


def exact(value):
    """A value with its types, so that True is not 1 and 1.0 is not Decimal(1)."""
    if isinstance(value, dict):
        return {k: exact(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [exact(v) for v in value]
    return type(value).__name__, str(value)


@given(free)
def test_fields_keep_value_type_and_order(fields):
    again = codec.load_fields(codec.dump_fields(fields))
    assert exact(again) == exact(fields)
    assert list(again) == list(fields)


@given(values)
def test_equal_values_have_one_fingerprint(value):
    def turned(v):
        if isinstance(v, dict):
            return {k: turned(v[k]) for k in reversed(v)}
        return [turned(x) for x in v] if isinstance(v, list) else v

    assert codec.fingerprint(Customer(key="1", meta={"v": turned(value)})) == codec.fingerprint(
        Customer(key="1", meta={"v": value})
    )


def test_tuples_and_sets_become_lists():
    fields = {"t": (1, ("a",)), "s": {"b", "a"}, "f": frozenset({Decimal(2), Decimal(1)}), "n": {1: "x", None: "y"}}
    assert codec.load_fields(codec.dump_fields(fields)) == {
        "t": [1, ["a"]],
        "s": ["a", "b"],
        "f": [Decimal(1), Decimal(2)],
        "n": {1: "x", None: "y"},
    }


def test_a_mapping_that_looks_like_a_tag_is_a_mapping():
    for value in ({"$": "decimal", "v": "x"}, {"$": None}, {"a": {"$": "dict", "v": []}}):
        assert codec.load_fields(codec.dump_fields(value)) == value


@pytest.mark.parametrize("value", [b"x", object(), {"a": {1j}}, timedelta(1)])
def test_what_cannot_be_kept_is_refused(value):
    with pytest.raises(TypeError, match="cannot be stored"):
        codec.dump_fields({"a": value})


def test_an_unknown_tag_is_refused():
    with pytest.raises(ValueError, match="unknown tag"):
        codec.load_fields('{"$": "pickle", "v": ""}')


def _entities(name):
    overrides = {"meta": free, "raw": free}
    kinds = ENTITIES[name]
    return st.builds(kinds, **overrides, **_hints(kinds))


def _hints(kind):
    """Strategies for the types that hypothesis cannot guess as the contract means them."""
    from attrs import fields

    made = {}
    for field in fields(kind):
        if "datetime" in str(field.type):
            made[field.name] = moments if field.default is not None else st.none() | moments
        elif "Decimal" in str(field.type) and "tuple" not in str(field.type):
            made[field.name] = decimals if field.default is not None else st.none() | decimals
        elif field.name == "lines":
            made[field.name] = st.lists(
                st.builds(OrderLine, key=st.text(), name=st.text(), quantity=decimals, price=decimals, meta=free),
                max_size=2,
            ).map(tuple)
        elif field.name in ("refunds", "fees", "coupons"):
            made[field.name] = st.just(())
    return made


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(ENTITIES)).flatmap(_entities))
def test_entities_come_back_as_they_were(entity):
    again = codec.load_entity(entity.entity, codec.dump_entity(entity))
    assert again == entity
    assert exact(again.meta) == exact(entity.meta)
    assert codec.fingerprint(again) == codec.fingerprint(entity)


@given(moments)
def test_a_time_is_written_as_python_writes_it(moment):
    text = codec.dump_entity(Customer(key="1", created_at=moment))
    assert json.loads(text)["created_at"] == moment.isoformat()


def test_money_keeps_its_zeros():
    order = Order(key="1", number="1", status="new", currency="EUR", total=Decimal("1.50"))
    assert str(codec.load_entity("order", codec.dump_entity(order)).total) == "1.50"


def test_the_fingerprint_leaves_out_raw_and_updated_at_and_nothing_else():
    one = Customer(key="1", first_name="A", meta={"a": 1, "b": {"x": 1, "y": 2}}, billing=Address(city="X"))
    same = evolve(one, raw={"z": 1}, updated_at=datetime(2026, 1, 1, tzinfo=UTC), meta={"b": {"y": 2, "x": 1}, "a": 1})
    assert codec.fingerprint(one) == codec.fingerprint(same)
    for other in (
        evolve(one, first_name="B"),
        evolve(one, meta={"a": 1}),
        evolve(one, billing=Address(city="Y")),
        evolve(one, created_at=datetime(2026, 1, 1, tzinfo=UTC)),
        evolve(one, meta={"a": True, "b": {"x": 1, "y": 2}}),
    ):
        assert codec.fingerprint(one) != codec.fingerprint(other)


@pytest.mark.parametrize(
    ("changed", "known"),
    [
        ({}, "7011598fe88d00ee82a97e0acb2cbb1f706b606ce58871bd32b5a9d6cd540543"),
        ({"first_name": "Zoë 👩"}, "1e06b01a927085d48322489f63eb308aa9a4418c4fecd04da1a2dd5d0384ced8"),
        ({"first_name": "a\x7fb"}, "2940336d7e6912e7989a7b36505d02212257375495541050bdfc2947231156b5"),
        (
            {"meta": {"d": Decimal("1.50"), "$": "x", "n": {1: 2}}},
            "95bac5bf8ac44f9091740874ac91337dafa250da663141c262181f99543bb2fd",
        ),
    ],
)
def test_an_upgrade_changes_no_fingerprint(changed, known):
    ann = Customer(
        key="1",
        email="ann@shop.test",
        first_name="Ann",
        created_at=datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
        billing=Address(city="Rom", country="IT"),
        meta={"b": 1, "a": {"y": None, "x": [True, 1.5, "\x07"]}},
    )
    assert codec.fingerprint(evolve(ann, **changed)) == known


def test_what_an_earlier_release_wrote_is_read():
    text = '{"key":"1","first_name":"Zo\\u00eb","meta":{"n":NaN,"cut":"\\ud83d"}}'
    read = codec.load_entity("customer", text)
    assert (read.first_name, read.meta["cut"]) == ("Zoë", "\ud83d")


@pytest.mark.parametrize(
    "text",
    [
        '{"key": 1}',
        '{"key": "1", "first_name": 2}',
        '{"key": "1", "guest": "yes"}',
        '{"key": "1", "unknown": 1}',
        '{"key": "1", "total_spent": 1.5}',
        '{"key": "1", "total_spent": "much"}',
        '{"key": "1", "created_at": "soon"}',
        "{}",
        "[]",
    ],
)
def test_nothing_is_coerced_when_an_entity_is_read(text):
    with pytest.raises(ValueError, match="stored customer cannot be read"):
        codec.load_entity("customer", text)


def test_only_what_differs_from_the_default_is_written():
    assert json.loads(codec.dump_entity(Customer(key="1"))) == {"key": "1"}


def test_dates_are_not_datetimes():
    assert exact(codec.load_fields(codec.dump_fields({"d": date(2026, 1, 2)}))["d"]) == ("date", "2026-01-02")
