"""What people typed, read by one rule each."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synccore import values
from synccore.values import Phone, State


@pytest.mark.parametrize(
    ("typed", "countries", "expected"),
    [
        ("+49 30 901820", (), "+4930901820"),
        ("030 901820", ("DE",), "+4930901820"),
        ("030 901820", ("Germany",), "+4930901820"),
        ("+49 (0)30 901820", ("DE",), "+4930901820"),
        ("0049 30 901820", ("DE",), "+4930901820"),
        ("0049 30 901820", ("US",), "+4930901820"),
        ("0049 30 901820", (), "+4930901820"),
        # The country code without plus, where numbers within the country begin with 0.
        ("491711234567", ("DE",), "+491711234567"),
        ("4930901820", ("DE",), "+4930901820"),
        ("436641234567", ("AT",), "+436641234567"),
        ("447400123456", ("GB",), "+447400123456"),
        ("919876543210", ("IN",), "+919876543210"),
        ("33612345678", ("FR",), "+33612345678"),
        # ... and where they do not, digits are what they are.
        ("3912345678", ("IT",), "+393912345678"),
        ("0612345678", ("IT",), "+390612345678"),
        # Mexico's 1 of before 2019.
        ("+52 1 55 1234 5678", (), "+525512345678"),
        ("52 1 55 1234 5678", ("MX",), "+525512345678"),
        ("55 1234 5678", ("MX",), "+525512345678"),
        # The first country that fits.
        ("0171 1234567", ("US", "DE"), "+491711234567"),
        ("(415) 555-2671", ("US",), "+14155552671"),
        ("415.555.2671", ("USA",), "+14155552671"),
        # Letters are no digits.
        ("q41555x52671z", ("US",), None),
        ("+353ks.871234567", ("IE",), None),
        ("1-800-FLOWERS", ("US",), None),
        ("tel 415 555 2671", ("US",), None),
        # What is no number.
        ("030 901820", (), None),
        ("030 901820", ("ZZ",), None),
        ("12345", ("DE",), None),
        ("", ("DE",), None),
        ("none", ("DE",), None),
        ("9" * 5000, ("DE",), None),
        (None, ("DE",), None),
        (True, ("DE",), None),
        ([], ("DE",), None),
        (4930901820, ("DE",), "+4930901820"),
        # Other scripts' digits are digits.
        ("٠٣٠ ٩٠١٨٢٠", ("DE",), "+4930901820"),
        ("\uff10\uff13\uff10 901820", ("DE",), "+4930901820"),
    ],
)
def test_a_phone_number(typed, countries, expected):
    assert values.phone(typed, *countries) == expected


@pytest.mark.parametrize("word", ["ext. 12", "ext 12", "x12", "x 12", "Ext.12", "extension 12", "#12", "extn: 12"])
def test_an_extension_is_no_part_of_the_number(word):
    assert values.read_phone(f"(415) 555-2671 {word}", "US") == Phone("+14155552671", "12")


@given(st.text(max_size=30), st.sampled_from(["DE", "US", "IT", None, "nonsense"]))
def test_a_number_that_was_read_is_read_the_same_again(text, region):
    read = values.phone(text, region)
    assert read is None or values.phone(read) == read


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("DE", "DE"),
        ("de", "DE"),
        (" de ", "DE"),
        ("DEU", "DE"),
        ("usa", "US"),
        ("U.S.A.", "US"),
        ("UK", "GB"),
        ("United Kingdom (UK)", "GB"),
        ("united states (us)", "US"),
        ("Vereinigte Staaten (USA)", "US"),
        ("United States (US) Virgin Islands", "VI"),
        ("Germany (US)", None),
        ("Congo (Kinshasa)", "CD"),
        ("(", None),
        ("(DE)", None),
        ("EL", "GR"),
        ("Germany", "DE"),
        ("GERMANY", "DE"),
        ("Deutschland", "DE"),
        ("Allemagne", "DE"),
        ("Österreich", "AT"),
        ("Osterreich", "AT"),
        ("The Netherlands", "NL"),
        ("Die Schweiz", "CH"),
        ("Nederland", "NL"),
        ("Holland", "NL"),
        ("Türkiye", "TR"),
        ("TÜRKİYE", "TR"),
        ("Turkey", "TR"),
        ("Россия", "RU"),
        ("Russia", "RU"),
        ("日本", "JP"),
        ("Ελλάδα", "GR"),
        ("Czech Republic", "CZ"),
        ("Czechia", "CZ"),
        ("Ivory Coast", "CI"),
        ("Trinidad & Tobago", "TT"),
        ("St. Lucia", "LC"),
        ("England", "GB"),
        ("Great Britain", "GB"),
        ("South Korea", "KR"),
        ("Korea, Republic of", "KR"),
        ("México", "MX"),
        ("Brasil", "BR"),
        ("Kosovo", "XK"),
        ("XK", "XK"),
        ("ZZ", None),
        ("Elbonia", None),
        ("", None),
        ("x" * 100_000, None),
        (None, None),
        (49, None),
    ],
)
def test_a_country(typed, expected):
    assert values.country(typed) == expected


@pytest.mark.parametrize(
    ("code", "language", "expected"),
    [
        ("DE", "en", "Germany"),
        ("DE", "de", "Deutschland"),
        ("GR", "fr", "Grèce"),
        ("BR", "pt-BR", "Brasil"),
        ("DE", "xx", "Germany"),
        ("DE", "../../etc", "Germany"),
        ("RU", "en", "Russia"),
        ("XK", "de", "Kosovo"),
        ("deu", "en", "Germany"),
        ("Elbonia", "en", "Elbonia"),
        ("", "en", None),
        (None, "en", None),
    ],
)
def test_the_name_of_a_country(code, language, expected):
    assert values.country_name(code, language) == expected


def test_every_country_is_found_by_its_own_name():
    import pycountry

    assert [c.alpha_2 for c in pycountry.countries if values.country(values.country_name(c.alpha_2)) != c.alpha_2] == []


@pytest.mark.parametrize(
    ("typed", "region", "expected"),
    [
        ("CA", "US", State("CA", "California")),
        ("ca", "US", State("CA", "California")),
        ("California", "US", State("CA", "California")),
        ("US-CA", "US", State("CA", "California")),
        ("DE-NW", "DE", State("NW", "Nordrhein-Westfalen")),
        ("NW", "Germany", State("NW", "Nordrhein-Westfalen")),
        ("nordrhein-westfalen", "DE", State("NW", "Nordrhein-Westfalen")),
        ("JP13", "JP", State("13", "Tokyo")),
        ("jp-13", "JP", State("13", "Tokyo")),
        ("Tōkyō", "JP", State("13", "Tokyo")),
        ("TR34", "TR", State("34", "İstanbul")),
        ("istanbul", "TR", State("34", "İstanbul")),
        ("KE30", "KE", State("30", "Nairobi City")),
        ("RS00", "RS", State("00", "Beograd")),
        ("TR1", "TR", State("01", "Adana")),
        ("M", "ES", State("M", "Madrid")),
        ("Elsewhere", "US", None),
        ("NW", None, None),
        ("NW", "ZZ", None),
        ("", "DE", None),
        (None, "DE", None),
    ],
)
def test_a_state(typed, region, expected):
    assert values.state(typed, region) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1234.50", "1234.50"),
        ("1.234,50", "1234.50"),
        ("1,234.50", "1234.50"),
        ("1234,50", "1234.50"),
        ("1234,5", "1234.5"),
        ("1 234,50", "1234.50"),
        ("1\u00a0234,50", "1234.50"),
        ("1\u202f234\u202f567,50", "1234567.50"),
        ("1'234.50", "1234.50"),
        ("1\u2019234\u2019567", "1234567"),
        ("1,234,567", "1234567"),
        ("1.234.567", "1234567"),
        ("1.234.567,89", "1234567.89"),
        ("12,34,567.00", None),
        ("-4,90", "-4.90"),
        ("+4.90", "4.90"),
        ("0", "0"),
        (0, "0"),
        (12, "12"),
        (12.5, "12.5"),
        (1e-7, "1E-7"),
        (Decimal("3.10"), "3.10"),
        ("1.234", "1.234"),
        # One thousand or one and a bit: unknown, not 0.
        ("1,234", None),
        ("1,2,3", None),
        ("", None),
        (",", None),
        (".", None),
        ("free", None),
        ("NaN", None),
        ("Infinity", None),
        ("1e5", None),
        (float("nan"), None),
        (float("inf"), None),
        (1e300, None),
        (None, None),
        (True, None),
        ([], None),
        ("9" * 5000, None),
        ("1.234,50 EUR", None),
    ],
)
def test_an_amount(value, expected):
    found = values.amount(value)
    assert found == (None if expected is None else Decimal(expected))
    assert found is None or str(found) == expected


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**12), max_value=10**12))
def test_an_amount_in_the_notations_of_the_world(exact):
    english = f"{exact:,.2f}"
    for groups, point in ((",", "."), (".", ","), (" ", ","), ("'", "."), ("", "."), ("", ",")):
        written = english.replace(",", "g").replace(".", point).replace("g", groups)
        assert values.amount(written) == exact


@given(st.text(max_size=200))
def test_nothing_that_was_typed_raises(text):
    values.amount(text), values.country(text), values.state(text, "DE"), values.phone(text, "DE")
    values.encodable(text).encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("half \ud83d", "half \ufffd"),
        ("\ude00!", "\ufffd!"),
        ("\ud83d\ude00", "😀"),
        ("whole 😀", "whole 😀"),
        ("", ""),
    ],
)
def test_a_cut_character_is_replaced(text, expected):
    assert values.encodable(text) == expected


AT = datetime(2024, 5, 31, 8, 0, tzinfo=UTC)
EAST = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("given_", "instant", "day"),
    [
        ("2024-05-31T10:00:00+02:00", AT, date(2024, 5, 31)),
        (" 2024-05-31T08:00:00Z ", AT, date(2024, 5, 31)),
        ("2024-05-31T08:00:00.000+0000", AT, date(2024, 5, 31)),
        ("2024-05-31T08:00:00", AT, date(2024, 5, 31)),
        ("2024-06-01T01:00:00+02:00", datetime(2024, 5, 31, 23, tzinfo=UTC), date(2024, 5, 31)),
        ("2024-05-31", datetime(2024, 5, 31, tzinfo=UTC), date(2024, 5, 31)),
        (date(2024, 5, 31), datetime(2024, 5, 31, tzinfo=UTC), date(2024, 5, 31)),
        (AT.astimezone(EAST), AT, date(2024, 5, 31)),
        (AT.replace(tzinfo=None), AT, date(2024, 5, 31)),
        ("0001-01-01T00:00:00+05:00", None, None),
        ("31.05.2024", None, None),
        ("x" * 100_000, None, None),
        (20240531, None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_a_time_is_read_in_utc_and_a_day_begins_at_its_midnight(given_, instant, day):
    assert (values.instant(given_), values.day(given_)) == (instant, day)


def test_a_time_keeps_its_zone_and_a_day_stays_a_day():
    assert values.moment("2024-05-31T10:00:00+02:00").utcoffset() == timedelta(hours=2)
    assert values.moment("2024-05-31") == date(2024, 5, 31)
    assert values.instant("2024-05-31T10:00:00", EAST) == AT
    assert values.timestamp(AT.astimezone(EAST)) == "2024-05-31T08:00:00Z"


@pytest.mark.parametrize(("exact", "told"), [("12.00", 12), ("12.5", 12.5), ("-0.10", -0.1), ("1E+3", 1000)])
def test_an_amount_as_a_number_of_json(exact, told):
    number = values.json_number(Decimal(exact))
    assert (number, type(number)) == (told, type(told))
