"""Filters: pure, and nothing for nothing."""

import hashlib
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import SUPPORTED_REGIONS

from synccore._mapping.environment import make_environment
from synccore._mapping.filters import FILTERS
from synccore._mapping.values import plain

ENV = make_environment(FILTERS)
NEW_YEAR = datetime(2024, 1, 1, 0, 30, tzinfo=UTC)


def ev(expression, **names):
    return plain(ENV.compile_expression(expression, undefined_to_none=False)(**names))


@pytest.mark.parametrize(
    ("number", "country", "expected"),
    [
        ("030 901820", "DE", "+4930901820"),
        ("(030) 90 18-20", "de", "+4930901820"),
        ("+49 30 901820", None, "+4930901820"),
        ("+49 30 901820", "US", "+4930901820"),
        ("0049 30 901820", None, "+4930901820"),
        ("0049 30 901820", "DE", "+4930901820"),
        ("011 49 30 901820", "US", "+4930901820"),
        ("030 901820", None, None),
        ("030 901820", "XX", None),
        ("202-456-1111 ext. 12", "US", "+12024561111"),
        ("+52 1 55 1234 5678", None, "+525512345678"),
        ("+5215512345678", "MX", "+525512345678"),
        ("1 55 1234 5678", "MX", "+525512345678"),
        ("55 1234 5678", "MX", "+525512345678"),
        ("+52 1 000 000 0000", None, None),
        ("11 15-2345-6789", "AR", "+5491123456789"),
        ("٠٣٠ ٩٠١٨٢٠", "DE", "+4930901820"),
        ("123", "DE", None),
        ("call me", "DE", None),
        ("", "DE", None),
        ("   ", "DE", None),
        (None, "DE", None),
        (30901820, "DE", "+4930901820"),
    ],
)
def test_e164_gives_a_valid_number_or_none(number, country, expected):
    assert ev("n | e164(c)", n=number, c=country) == expected


@pytest.mark.parametrize(
    ("number", "expected"), [("030 901820", "+4930901820"), (" call me ", "call me"), ("  ", None), (None, None)]
)
def test_phone_keeps_what_is_no_valid_number(number, expected):
    assert ev("n | phone('DE')", n=number) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("t | date", "2024-01-01"),
        ("t | date('%d.%m.%Y')", "01.01.2024"),
        ("t | date(tz='America/New_York')", "2023-12-31"),
        ("t | datetime", "2024-01-01T00:30:00+00:00"),
        ("t | datetime('%H:%M', tz='Europe/Berlin')", "01:30"),
        ("d | date", "2024-05-31"),
        ("d | datetime", "2024-05-31T00:00:00+00:00"),
        ("'2024-05-31' | date", "2024-05-31"),
        ("'2024-05-31T10:00:00' | datetime", "2024-05-31T10:00:00+00:00"),
        ("'20240531' | date", "2024-05-31"),
        ("'no day' | date", None),
        ("'' | date", None),
        ("5 | date", None),
        ("none | date", None),
        ("none | datetime", None),
    ],
)
def test_days_and_times_become_text(expression, expected):
    assert ev(expression, t=NEW_YEAR, d=date(2024, 5, 31)) == expected


def test_a_time_is_shown_in_its_own_zone_unless_another_is_asked_for():
    late = datetime(2024, 1, 1, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert ev("t | date", t=late) == "2024-01-01"
    assert ev("t | date(tz='UTC')", t=late) == "2024-01-02"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("1234.5"), "1234.50"),
        (Decimal("0.005"), "0.01"),
        (Decimal("-0.005"), "-0.01"),
        (5, "5.00"),
        ("7.1", "7.10"),
        (0.1, "0.10"),
        (Decimal("1E+3"), "1000.00"),
        (Decimal("NaN"), None),
        ("free", None),
        (True, None),
        (None, None),
    ],
)
def test_money_is_text_with_two_decimals(value, expected):
    assert ev("v | money", v=value) == expected


@pytest.mark.parametrize(("currency", "expected"), [("JPY", "1235"), ("KWD", "1234.500"), ("EUR", "1234.50")])
def test_money_has_the_currencys_decimals(currency, expected):
    assert ev("v | money(c)", v=Decimal("1234.5"), c=currency) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'DE' | country_name", "Germany"),
        ("'us ' | country_name", "United States"),
        ("'ZZ' | country_name", "ZZ"),
        ("none | country_name", None),
        ("'Ann' | lower", "ann"),
        ("'straße' | upper", "STRASSE"),
        ("'anna-maria of gent' | title", "Anna-Maria Of Gent"),
        ("'  x ' | trim", "x"),
        ("'a, b,,c ' | split(',')", ["a", "b", "c"]),
        ("'two  words' | split", ["two", "words"]),
        ("none | split(',')", None),
        ("'a@b' | split('@') | first", "a"),
        ("'aXbX' | replace('X', '-')", "a-b-"),
        ("'aXbX' | replace('X', '-', 1)", "a-bX"),
        ("['b', none, '', 'a'] | join(', ')", "b, a"),
        ("none | join(',')", ""),
        ("[3, none, 1] | sort", [1, 3, None]),
        ("[3, none, 1] | sort(reverse=true)", [3, 1, None]),
        ("['b', 'A', 'c'] | sort", ["A", "b", "c"]),
        (
            "[{'a': 2, 'b': 1}, {'a': 1, 'b': 2}, {'a': 1, 'b': 1}] | sort(attribute='a,b') | map(attribute='b')",
            [1, 2, 1],
        ),
        ("[1, none, 2] | sum", 3),
        ("[{'t': 1}, {'t': none}] | sum(attribute='t')", 1),
        ("none | sum", 0),
        ("['a', 'A', 'b'] | unique", ["a", "b"]),
        ("[] | first", None),
        ("[] | last", None),
        ("[1, 2] | last", 2),
        ("none | first", None),
        ("none | length", 0),
        ("'abc' | length", 3),
        ("[1, none, 0] | select | length", 1),
        ("[{'s': 'a'}, {'s': 'b'}] | selectattr('s', 'equalto', 'a') | length", 1),
        ("[{'s': 'a'}, {'s': 'b'}] | rejectattr('s', 'equalto', 'a') | map(attribute='s')", ["b"]),
        ("2.5 | round", 3.0),
        ("d | round(1)", Decimal("2.3")),
        ("d | round(method='floor')", Decimal(2)),
        ("none | round", None),
        ("'x' | int", None),
        ("'x' | int(0)", 0),
        ("'12.7' | int", 12),
        ("'ff' | int(base=16)", 255),
        ("true | int", 1),
        ("'1e999999999' | int", None),
        ("'zz' | int(7, base=16)", 7),
        ("'1.5' | float", 1.5),
        ("none | float(0)", 0),
        ("none | default('x')", "x"),
        ("'' | default('x')", "x"),
        ("missing | default('x')", "x"),
        ("0 | default(1)", 0),
        ("0 | default(1, true)", 1),
        ("'a' | default('x')", "a"),
        ("none | upper", None),
        ("none | trim", None),
        ("none | truncate(3)", None),
        ("none | hash", None),
    ],
)
def test_a_filter_does_what_the_table_says(expression, expected):
    found = ev(expression, d=Decimal("2.25"))
    assert found == expected
    assert type(found) is type(expected)


def test_hash_is_sha256_unless_asked_otherwise():
    assert ev("'ann@shop.test' | hash") == hashlib.sha256(b"ann@shop.test").hexdigest()
    assert ev("'x' | hash('md5')") == "9dd4e461268c8034f5c8564e155c67a6"
    assert ev("'x' | hash(length=8)") == ev("'x' | hash")[:8]


@given(st.text(), st.integers(0, 40), st.booleans())
def test_truncate_never_gives_more_than_it_was_told(text, length, killwords):
    cut = FILTERS["truncate"](text, length, killwords)
    assert len(cut) <= length
    assert cut == text or len(text) > length


@given(st.text(), st.sampled_from([*sorted(SUPPORTED_REGIONS), "XX", "", None]))
def test_e164_gives_e164_or_none_whatever_comes(text, country):
    found = FILTERS["e164"](text, country)
    assert found is None or (found[0] == "+" and found[1:].isdigit() and 5 < len(found) <= 16)
    # A number in its one form stays as it is.
    assert found is None or FILTERS["e164"](found) == found


def test_truncate_cuts_between_words_and_says_so():
    assert FILTERS["truncate"]("one two three", 9) == "one two…"
    assert FILTERS["truncate"]("one two three", 9, killwords=True) == "one two…"
    assert FILTERS["truncate"]("onetwothree", 5) == "onet…"


def test_every_country_of_the_numbering_plans_has_a_name():
    named = {region for region in SUPPORTED_REGIONS if FILTERS["country_name"](region) != region}
    assert named >= SUPPORTED_REGIONS - {"AC", "TA"}


# -- the shop's days


@pytest.mark.parametrize(
    ("zone", "expression", "expected"),
    [
        ("America/New_York", "customer.created_at | date", "2024-01-01"),
        ("America/New_York", "customer.created_at | date('UTC')", "2024-01-02"),
        ("America/New_York", "customer.created_at | date(tz='UTC')", "2024-01-02"),
        ("America/New_York", "customer.created_at | date('Asia/Tokyo')", "2024-01-02"),
        ("America/New_York", "customer.created_at | date('%d %b %H:%M')", "01 Jan 22:04"),
        ("-05:00", "customer.created_at | date", "2024-01-01"),
        ("+13:45", "customer.created_at | datetime('%d %H:%M')", "02 16:49"),
        ("America/New_York", "customer.created_at | datetime", "2024-01-02T03:04:05+00:00"),
        ("America/New_York", "'2024-01-02' | date", "2024-01-02"),
        ("America/New_York", "{{ customer.created_at | date }}", "2024-01-01"),
        (None, "customer.created_at | date", "2024-01-02"),
    ],
)
def test_days_are_the_shops_days(zone, expression, expected):
    """An order of 22:04 in New York is no order of the next day, whatever UTC says."""
    from datetime import UTC, datetime

    from synccore._mapping import compile_mapper
    from synccore._plugins import load_plugins
    from synccore.entities import Customer
    from synccore.types import MapContext, RouteSpec, Snapshot

    ann = Customer(key="1", created_at=datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC))
    spec = RouteSpec(name="r", source="shop", entity="customer", sink="crm", object="thing", fields={"F": expression})
    mapper = compile_mapper(spec, load_plugins(environ={"SYNCCORE_PLUGINS": ""}))
    snapshot = Snapshot(source="shop", entity="customer", key="1", data=ann)
    assert mapper.map(snapshot, MapContext(route=spec, zone=zone)) == {"F": expected}
