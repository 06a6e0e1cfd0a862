"""Values as shops really hold them: one test for each kind of oddity that was reported, and its neighbours."""

import gzip
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from synccore.entities import guest_key
from synccore.errors import Transient
from synccore.testing import FakeContext
from synccore_woocommerce.changes import Translator
from synccore_woocommerce.config import Config
from synccore_woocommerce.testing import FakeWooCommerce
from synccore_woocommerce.testing.records import customer_record, order_record, subscription_record

AT = datetime(2024, 5, 1, 8, tzinfo=UTC)
EVERYTHING = ("customer", "order", "membership", "subscription", "payment")


def translator(**settings):
    context = FakeContext("shop", "woocommerce")
    return Translator(
        Config(url="https://shop.test", entities=EVERYTHING, consent_keys=("agree",), **settings),
        context.state(),
        context.clock,
    )


def customer(**laid):
    record = customer_record(11, AT, {"email": "ada@shop.test", "first_name": "Ada", "last_name": "Berg"}, AT) | laid
    (change,) = translator().customers([record])
    return change.data


def address(**parts):
    return customer(billing=parts).billing


def purchase(**laid):
    lines = laid.pop("lines", [])
    record = order_record(
        501, AT, {"billing": {"email": "ada@shop.test"}, "status": "completed"}, lines, "https://s.test"
    )
    return translator().orders([record | laid])


def order(**laid):
    return purchase(**laid)[-1].data


# -- lists that became objects, objects that became lists


def test_lists_with_a_gap_are_lists():
    found = order(
        line_items={
            "0": {"id": 1, "name": "Tea"},
            "2": {"id": 2, "name": "Pot", "meta_data": {"4": {"key": "c", "value": 1}}},
        },
        refunds={"3": {"id": 7, "total": "-5.00"}},
        coupon_lines={"1": {"id": 1, "code": "a", "discount": "5.00"}},
        fee_lines={"10": {"id": 3, "name": "Ten", "total": "1"}, "9": {"id": 2, "name": "Nine", "total": "2"}},
        meta_data={"1": {"key": "src", "value": "x"}},
    )
    assert [line.name for line in found.lines] == ["Tea", "Pot"]
    assert found.lines[1].meta == {"c": 1}
    assert [r.amount for r in found.refunds] == [Decimal("5.00")]
    assert [c.code for c in found.coupons] == ["a"]
    assert [f.name for f in found.fees] == ["Nine", "Ten"], "in the order of their numbers"
    assert found.meta == {"src": "x"}


def test_consent_and_meta_data_of_an_object():
    ada = customer(meta_data={"1": {"key": "agree", "value": "1"}, "3": {"key": "vat", "value": "DE1"}})
    assert (ada.accepts_marketing, ada.meta["vat"]) == (True, "DE1")


def test_an_empty_object_may_be_a_list_and_an_empty_list_an_object():
    ada = customer(billing=[], shipping=[], meta_data={})
    assert ada.billing.is_empty()
    assert order(billing=[], line_items={}, refunds={}).lines == ()


def test_a_whole_page_may_be_an_object(shop, client):
    people = [shop.add_customer(f"p{i}@shop.test") for i in range(3)]
    from synccore.testing import Fault

    rows = {str(2 * i): customer_record(p, AT, {"email": f"p{i}@shop.test"}, AT) for i, p in enumerate(people)}
    shop.fail_next(Fault.status(200, rows, {"X-WP-Total": "3"}, when=lambda r: r.path.endswith("/customers")))
    assert [c.key for c in client.all("customer")] == [str(p) for p in people]


# -- text


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ("D&#039;Arcy", "D'Arcy"),
        ("Byrne &amp; D&rsquo;Arcy Ltd", "Byrne & D\u2019Arcy Ltd"),
        ("Caf&eacute; &#38; Cr&#xe8;me", "Café & Crème"),
        ("AT&amp;amp;T", "AT&amp;T"),
        ("a < b & c", "a < b & c"),
        ("M&section", "M&section"),
        ("Rock&copy &copy;", "Rock&copy ©"),
        ("A&#38;lt;B", "A&lt;B"),
        ("  Ada  ", "Ada"),
        ("Ada \ud83d", "Ada \ufffd"),
    ],
)
def test_entities_are_decoded_once_wherever_text_is_read(stored, read):
    ada = customer(first_name=stored, billing={"company": stored, "address_1": stored, "city": stored})
    assert (ada.first_name, ada.company, ada.billing.line1, ada.billing.city) == (read,) * 4
    found = order(line_items=[{"id": 1, "name": stored}], coupon_lines=[{"code": stored}], customer_note=stored)
    assert (found.lines[0].name, found.coupons[0].code, found.customer_note) == (read,) * 3


@pytest.mark.parametrize("stored", ["info@36&#215;24.test", "info@36\u00d724.test", "info@36x24.test"])
def test_an_address_is_one_address_however_it_was_stored(stored):
    assert customer(email=stored).email == "info@36x24.test"
    guest = purchase(billing={"email": stored})[0]
    assert guest.key == guest_key("info@36x24.test")


@pytest.mark.parametrize("stored", ["o&#8217;brien@shop.test", "o\u2019brien@shop.test", "o&#39;brien@shop.test"])
def test_typography_is_taken_out_of_addresses(stored):
    assert customer(email=stored).email == "o'brien@shop.test"


# -- numbers that are text, and the other way round


@pytest.mark.parametrize("nobody", [0, "0", "", None, False, "0 ", "00"])
def test_no_customer_is_no_owner(nobody):
    changes = purchase(customer_id=nobody)
    assert [c.entity for c in changes] == ["customer", "order"]
    assert changes[0].data.guest
    record = subscription_record(601, AT, {}, [], "https://s.test") | {"customer_id": nobody}
    (change,) = translator().subscriptions([record])
    assert change.owner is None


def test_ids_may_be_text():
    assert purchase(customer_id="11")[-1].owner.key == "11"
    assert purchase(customer_id=11.0)[-1].owner.key == "11"
    assert customer(id="11").key == "11"


@pytest.mark.parametrize(
    ("value", "paying"),
    [("false", False), ("0", False), (0, False), ("no", False), ("", False), ("1", True), ("true", True), (True, True)],
)
def test_false_is_false(value, paying):
    assert customer(is_paying_customer=value).paying is paying


@pytest.mark.parametrize(
    ("typed", "amount"),
    [
        ("16.80", "16.80"),
        ("1.234,50", "1234.50"),
        ("1,234.50", "1234.50"),
        ("1 234,50", "1234.50"),
        ("1\u202f234,50", "1234.50"),
        ("1'234.50", "1234.50"),
        ("16,80", "16.80"),
        (16.8, "16.8"),
    ],
)
def test_amounts_in_local_notation(typed, amount):
    assert order(total=typed).total == Decimal(amount)


@pytest.mark.parametrize("typed", ["1,234", "abc", "12€34", "NaN", {"a": 1}])
def test_an_amount_that_cannot_be_read_is_unknown_and_said(typed):
    told = []
    record = order_record(501, AT, {"billing": {}}, [], "https://s.test") | {
        "total": typed,
        "refunds": [{"total": typed}],
    }
    (change,) = translator().orders([record], None, told.append)
    assert change.data.total is None
    assert change.data.refunds == ()
    (said,) = told
    assert (said.where, said.key) == ("order 501", None)
    assert said.reason == "no amount that can be read for certain: total, refunds.total; taken as unknown"


# -- dates


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ("2024-05-01T10:00:00+02:00", AT),
        ("2024-05-01T08:00:00Z", AT),
        ("2024-05-01T08:00:00", AT),
        ("2024-05-01 08:00:00", AT),
        ("2024-05-01T03:00:00-05:00", AT),
        ("0000-00-00T00:00:00", None),
        ("", None),
        (0, None),
    ],
)
def test_offsets_are_kept(stored, read):
    assert customer(date_created_gmt=stored, date_created=None).created_at == read


def test_without_the_gmt_twin_the_shops_own_time_counts():
    reader = translator()
    reader.learn({"timezone_string": "America/New_York"})
    record = order_record(501, AT, {"billing": {}}, [], "https://s.test")
    local = {k: v for k, v in record.items() if not k.endswith("_gmt")} | {"date_created": "2024-05-01T20:30:00"}
    (change,) = reader.orders([local])
    assert change.data.created_at == datetime(2024, 5, 2, 0, 30, tzinfo=UTC)
    assert change.version is not None


@pytest.mark.parametrize(
    ("index", "zone"),
    [
        ({"timezone_string": "Asia/Tokyo", "gmt_offset": 9}, "Asia/Tokyo"),
        ({"timezone_string": "", "gmt_offset": -3.5}, "-03:30"),
        ({"timezone_string": "", "gmt_offset": "5.75"}, "+05:45"),
        ({"timezone_string": "Mars/Olympus", "gmt_offset": 2}, "+02:00"),
        ({}, "+00:00"),
    ],
)
def test_the_shops_time_zone(index, zone):
    reader = translator()
    reader.learn(index)
    assert reader._state.get("time_zone") == zone
    assert reader.zone() is not None


def test_the_source_says_its_zone_without_asking(shop, client):
    assert client.source.time_zone() is None
    client.all("customer")
    calls = client.context.calls
    assert client.source.time_zone() == "America/New_York"
    assert client.context.calls == calls


# -- countries and states


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        *(("EL", "GR"), ("UK", "GB"), ("USA", "US"), ("Germany", "DE"), ("Deutschland", "DE"), ("de", "DE")),
        *(
            ("DEU", "DE"),
            ("España", "ES"),
            ("Brasil", "BR"),
            ("日本", "JP"),
            ("Türkiye", "TR"),
            ("United States", "US"),
        ),
        *(
            ("United States", "US"),
            ("GERMANY", "DE"),
            ("Nowhere", None),
            ("ZZ", None),
            ("XX", None),
            ("", None),
            ("12", None),
        ),
    ],
)
def test_countries_are_alpha_2_or_nothing(typed, code):
    assert address(country=typed).country == code


@pytest.mark.parametrize(
    ("country", "typed", "code"),
    [
        *(
            ("JP", "JP13", "13"),
            ("TR", "TR34", "34"),
            ("KE", "KE30", "30"),
            ("RS", "RS00", "00"),
            ("DE", "DE-NW", "NW"),
        ),
        *(
            ("DE", "DE-NW", "NW"),
            ("US", "ca", "CA"),
            ("US", "CA", "CA"),
            ("JP", "jp01", "01"),
            ("CN", "CN2", "BJ"),
            ("MX", "DF", "CMX"),
        ),
        *(
            ("UG", "UG314", "314"),
            ("EG", "EGALX", "ALX"),
            ("TH", "TH-10", "10"),
            ("BD", "BD-13", "13"),
            ("IR", "THR", "23"),
        ),
        *(
            ("IR", "THR", "23"),
            ("Germany", "DE-BY", "BY"),
            ("USA", "ny", "NY"),
            ("GB", "Kent", "Kent"),
            ("US", "California", "California"),
        ),
        *(("HK", "KOWLOON", "KOWLOON"), ("Nowhere", "X-1", "X-1")),
    ],
)
def test_states_are_plain_codes_where_the_shop_has_codes(country, typed, code):
    assert address(country=country, state=typed).state == code


# -- rows and roles


def test_a_row_without_an_id_is_nobody():
    for number in (None, "", 0, "x", [], -1, 1.5, True):
        told = []
        assert translator().customers([{"id": number, "email": "x@shop.test", "role": "customer"}], told.append) == []
        assert [t.key for t in told] == [None]


def test_a_shop_that_gives_no_roles_gives_customers():
    record = customer_record(11, AT, {"email": "ada@shop.test"}, AT)
    del record["role"]
    assert len(translator().customers([record])) == 1


@pytest.mark.parametrize("email", [None, False, "", [], {}])
def test_no_address_is_none(email):
    assert customer(email=email, billing={}).email is None


def test_an_order_of_nobody_is_an_order(shop, client):
    """A till: no account, no address."""
    changes = purchase(customer_id=0, billing={"email": ""})
    assert [(c.entity, c.owner) for c in changes] == [("order", None)]


# -- what arrives odd as a whole


def test_a_body_compressed_without_saying_so_is_unpacked(shop, client):
    ada = shop.add_customer("ada@shop.test")
    shop.quirks.gzip = True
    assert [c.key for c in client.all("customer")] == [str(ada)]


def test_an_error_never_quotes_people(shop, client):
    shop.add_customer("ada@shop.test", first_name="Ada", last_name="Berg")
    shop.quirks.prefix = "<b>Notice</b>: x\n"
    with pytest.raises(Transient) as caught:
        client.all("customer")
    assert "Berg" not in str(caught.value)
    assert "begins with <b>" in str(caught.value)


def test_packed_bodies_are_bounded():
    from synccore.http import Response

    def packed(size):
        return Response(status=200, headers={}, body=gzip.compress(b'"' + b"0" * size + b'"', compresslevel=1))

    assert packed(1_000_000).json_or_none() == "0" * 1_000_000
    assert packed(17_000_000).json_or_none() is None
    assert Response(status=200, headers={}, body=gzip.compress(b'{"a":1}')).json() == {"a": 1}


# -- the shared cases, where they are beside the repository


CASES = Path(__file__).resolve().parents[3].parent / "shared" / "cases"


def cases(use):
    """The shared cases of one use, such as "translate:"."""
    known = ((path, json.loads(path.read_text(encoding="utf-8"))) for path in sorted(CASES.glob("*.json")))
    return [path for path, case in known if str(case.get("as", "")).startswith(use)]


TRANSLATED, SERVED = cases("translate:"), cases("serve:")


@pytest.mark.skipif(not TRANSLATED, reason="the shared cases are not beside this repository")
@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: path.stem)
def test_every_shared_case_translates_as_it_says(path):
    case = json.loads(path.read_text(encoding="utf-8"))
    reader, changes = translator(), []
    kind = case["as"].partition(":")[2]
    changes = getattr(reader, kind)(case["input"][kind])
    for place, expected in case["expect"].items():
        assert str(at(changes, place)) == str(expected), place


def at(value, place):
    for step in place.split("."):
        if step == "len":
            value = len(value)
        elif step.lstrip("-").isdigit():
            value = value[int(step)]
        elif isinstance(value, dict):
            value = value[step]
        else:
            value = getattr(value, step)
    return value


@pytest.mark.skipif(not SERVED, reason="the shared cases are not beside this repository")
@pytest.mark.parametrize("path", SERVED, ids=lambda path: path.stem)
def test_every_shared_case_is_listed_as_it_says(make, clock, path):
    case = json.loads(path.read_text(encoding="utf-8"))
    given, options = case["input"], case["input"].get("opt", {})
    with FakeWooCommerce(clock=clock) as shop:
        rows = given.get("customers") or [{"email": f"p{i}@shop.test"} for i in range(given.get("count", 0))]
        for row in rows:
            if isinstance(row, dict) and isinstance(row.get("id", 1), int) and ("id" in row or "count" in given):
                number = shop.add_customer(f"x{len(shop.shop.customers)}@shop.test")
                shop.quirks.overlay["customers", number] = {
                    k: v for k, v in row.items() if k not in ("id", "avatar_url")
                }
            else:
                shop.quirks.odd_rows.setdefault("customers", []).append(row)
        shop.quirks.cap, shop.quirks.no_total = options.get("cap"), options.get("no_total", False)
        shop.quirks.gzip = options.get("gzip_raw", False)
        pages = list(make(shop).source.poll("customer", None, {}))
        assert len({c.key for p in pages for c in p.changes}) == case["expect"]["contacts"]
        left = len(rows) - case["expect"]["contacts"]
        assert len([u for p in pages for u in p.unreadable]) == left
