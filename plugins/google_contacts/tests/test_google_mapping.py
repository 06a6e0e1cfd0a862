"""From customers to flat fields, and from flat fields to a Person."""

from datetime import UTC, datetime

import phonenumbers
import pytest
from google_help import person_fields, values
from hypothesis import example, given
from hypothesis import strategies as st

from synccore.entities import Address, Customer
from synccore.types import FieldOptions
from synccore_google_contacts.mapping import (
    CUSTOMER,
    FILTERS,
    describe,
    field_named,
    freeze,
    google_address,
    google_date,
    google_phones,
    google_values,
    plain,
)
from synccore_google_contacts.merge import Merge, mark, markers
from synccore_google_contacts.schema import SINGLE

HOME = Address(line1="1 Main", line2="Flat 2", city="Town", postcode="01234", state="NY", country="US")


# -- filters


@pytest.mark.parametrize(("typed", "country", "sent"), [
    ("(415) 555-2671", "US", "+14155552671"),
    ("030 123456", "DE", "+4930123456"),
    ("+49 30 123456", "US", "+4930123456"),
    ("+49 30 123456", None, "+4930123456"),
    ("12345", "US", "12345"),
    ("030 123456", None, "030 123456"),
    ("+52 1 55 1234 5678", "MX", "+525512345678"),
    ("q41555x52671z", "US", "q41555x52671z"),
    ("call me", "US", "call me"),
    ("+1 415 555 2671 ext. 5", "US", "+1 415 555 2671 ext. 5"),
    ("", "US", None),
    (None, None, None),
])  # fmt: skip
def test_numbers_are_sent_in_e164_or_as_typed(typed, country, sent):
    assert google_phones(typed, country) == sent


def test_the_same_number_typed_twice_is_one():
    assert google_phones(["415 555 2671", "+1 415 555 2671"], "US") == "+14155552671"
    assert google_phones(["415 555 2671", "555"], "US") == ["+14155552671", "555"]


def test_texts_without_empty_ones_and_repeats():
    assert google_values([None, " a@shop.test ", "A@shop.test", ""]) == "a@shop.test"
    assert google_values(["a", "b"]) == ["a", "b"]
    assert google_values([None, ""]) is None


def test_an_address_is_a_mapping_and_only_once():
    assert google_address(HOME) == {"street": "1 Main", "extra": "Flat 2", "city": "Town", "postcode": "01234",
                                    "region": "NY", "country": "US"}  # fmt: skip
    assert google_address(Address(country="US")) is None
    assert google_address(HOME, HOME) is None
    assert google_address(HOME, Address(line1="2 Side")) is not None


def test_a_prefecture_is_written_by_its_name_and_a_state_as_people_do():
    assert google_address(Address(line1="1-1", state="13", country="JP"))["region"] == "Tokyo"
    assert google_address(Address(line1="1-1", state="JP13", country="JP"))["region"] == "Tokyo"
    assert google_address(Address(line1="1 Main", state="NY", country="US"))["region"] == "NY"
    assert google_address(Address(line1="1", state="Somewhere", country="FR"))["region"] == "Somewhere"


def test_days():
    assert google_date(datetime(2020, 2, 3, 23, tzinfo=UTC)) == "2020-02-03"
    assert google_date("2020-02-03T10:00:00Z") == "2020-02-03"
    assert google_date(None) is None
    assert google_date("soon") is None


def test_filters_carry_the_plugins_name():
    assert all(name.startswith("google_") for name in FILTERS)


# -- the default mapping, through core's mapper


@pytest.fixture
def mapped():
    from synccore._mapping.jinja import MAPPER
    from synccore.types import MapContext, RouteSpec, Snapshot

    route = RouteSpec(
        name="r", source="shop", entity="customer", sink="contacts", object="contact", fields=CUSTOMER.fields
    )
    mapper = MAPPER.open(route, FILTERS)

    def run(customer):
        snapshot = Snapshot(source="shop", entity="customer", key=customer.key, data=customer)
        return mapper.map(snapshot, MapContext(route=route))

    return run


def test_a_full_customer_is_mapped_by_default(mapped):
    customer = Customer(
        key="7", email="ann@shop.test", first_name="Ann", last_name="Test", phone="(415) 555-2671", username="ann",
        billing=Address(first_name="A.", company="Acme", email="Billing@shop.test", phone="415 555 2671",
                        line1="1 Main", city="Town", country="US"),
        shipping=HOME, created_at=datetime(2020, 2, 3, tzinfo=UTC), admin_url="https://shop.test/admin/7",
    )  # fmt: skip
    assert dict(mapped(customer)) == {
        "given_name": "Ann",
        "family_name": "Test",
        "email": ["ann@shop.test", "Billing@shop.test"],
        "phone": "+14155552671",
        "company": "Acme",
        "billing_address": {"street": "1 Main", "city": "Town", "country": "US"},
        "shipping_address": google_address(HOME),
        "notes": "Customer of shop (user name ann)",
        "customer_since": "2020-02-03",
        "url": "https://shop.test/admin/7",
    }


def test_a_guest_with_an_address_alone_is_mapped_too(mapped):
    fields = {k: v for k, v in mapped(Customer(key="guest:1", email="a@shop.test")).items() if v not in (None, "")}
    assert fields == {"email": "a@shop.test", "notes": "Customer of shop"}


def test_what_is_mapped_arrives_at_google(rig, mapped):
    customer = Customer(key="7", email="ann@shop.test", first_name="Ann", shipping=HOME, billing=HOME,
                        created_at=datetime(2020, 2, 3, tzinfo=UTC), admin_url="https://shop.test/admin/7")  # fmt: skip
    fields = {k: v for k, v in mapped(customer).items() if v not in (None, "")}
    person = rig.google.contact(rig.put(7, **fields).remote_id)
    (address,) = person["addresses"]
    assert (address["type"], address["streetAddress"], address["extendedAddress"]) == ("billing", "1 Main", "Flat 2")
    (event,) = person["events"]
    assert (event["type"], event["date"]) == ("customer since", {"year": 2020, "month": 2, "day": 3})
    assert [(u["type"], u["value"]) for u in person["urls"]] == [("shop", "https://shop.test/admin/7")]


def test_any_field_of_a_person_can_be_written_in_googles_own_shape(rig):
    fields = person_fields(
        1, relations=[{"person": "Eve", "type": "spouse"}], occupations={"value": "Plumber"},
        imClients=[{"username": "ann", "protocol": "jabber"}],
    ) | {"custom.Customer number": 7}  # fmt: skip
    person = rig.google.contact(rig.put(1, **fields).remote_id)
    assert values(person, "relations", "person") == ["Eve"]
    assert values(person, "occupations") == ["Plumber"]
    assert values(person, "imClients", "username") == ["ann"]
    assert [(u["key"], u["value"]) for u in person["userDefined"]] == [("Customer number", "7")]


def test_every_described_field_is_one_and_reserved_ones_are_not():
    assert all(field_named(f.name) for f in describe())
    assert field_named("clientData") is None
    assert field_named("memberships") is None
    assert field_named("custom.") is None


# -- merging, whatever is there

texts = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=6)
numbers = st.integers(0, 9).map(lambda n: f"+1415555010{n}")
owners = st.fixed_dictionaries(
    {},
    optional={
        "names": st.tuples(st.fixed_dictionaries({"givenName": texts}, optional={"familyName": texts})).map(list),
        "emailAddresses": st.lists(st.fixed_dictionaries({"value": texts.map(lambda t: f"{t}@shop.test")}), max_size=3),
        "phoneNumbers": st.lists(st.fixed_dictionaries({"value": numbers, "type": texts}), max_size=3),
        "biographies": st.tuples(st.fixed_dictionaries({"value": texts})).map(list),
        "organizations": st.lists(st.fixed_dictionaries({"name": texts}), max_size=2),
        "addresses": st.lists(st.fixed_dictionaries({"city": texts}), max_size=2),
        "clientData": st.lists(st.fixed_dictionaries({"key": texts, "value": texts}), max_size=2),
        "userDefined": st.lists(st.fixed_dictionaries({"key": texts, "value": texts}), max_size=2),
    },
)
mapped_fields = st.fixed_dictionaries(
    {},
    optional={
        "given_name": texts,
        "family_name": texts,
        "email": texts.map(lambda t: f"{t}@shop.test"),
        "phone": st.one_of(numbers, st.lists(numbers, min_size=1, max_size=3)),
        "company": texts,
        "notes": texts,
        "billing_address": st.fixed_dictionaries({"city": texts}),
        "nickname": texts,
        "custom.Size": texts,
    },
)


def after(person, merge):
    return {**person, **merge.fields}


@given(owners, st.lists(mapped_fields, min_size=1, max_size=4))
def test_nothing_of_an_adopted_contact_is_ever_lost(person, states):
    """Whatever the shop says and however often it changes its mind."""
    owner, own, now, before = person, {}, person, {}
    for number, fields in enumerate(states):
        # A name or company equal to the shop's is taken over by the shop, and is the one exception.
        single = ("given_name", "family_name", "notes", "company")
        fields = {k: f"shop {v}" if k in single else v for k, v in fields.items()}
        merge = Merge(now, own, adopting=number == 0)
        changed = {k for k in fields if fields[k] != before.get(k)}
        merge.apply(fields, changed, {})
        mark(merge, "shop:customer:1")
        now, own, before = after(now, merge), merge.own, fields
    for name, entries in owner.items():
        kept = [freeze(plain(e)) for e in now.get(name, ())]
        for entry in entries:
            if name in ("names", "organizations"):
                assert any(set(freeze(plain(entry))) <= set(k) for k in kept), name
            else:
                assert freeze(plain(entry)) in kept, name
    assert "shop:customer:1" in markers(now)


@example({"names": [{"givenName": "0"}]}, {}, {"family_name": "0", "given_name": "0"})
@example({"names": [{"givenName": "0"}]}, {}, {"given_name": "0", "family_name": "0"})
@given(owners, mapped_fields, mapped_fields)
def test_merging_twice_changes_nothing(person, first, second):
    now, own = person, {}
    for fields in (first, second):
        merge = Merge(now, own)
        merge.apply(fields, fields.keys(), {})
        now, own = after(now, merge), merge.own
        again = Merge(now, dict(own))
        again.apply(fields, fields.keys(), {})
        assert again.fields == {}
    assert all(len(now.get(name, ())) <= 1 for name in SINGLE)


@given(mapped_fields, mapped_fields)
def test_a_contact_of_ours_follows_the_shop_exactly(first, second):
    merge = Merge({}, {})
    merge.apply(first, first.keys(), {})
    later = Merge(after({}, merge), merge.own)
    fields = {name: second.get(name) for name in {*first, *second}}
    later.apply(fields, fields.keys(), {})
    straight = Merge({}, {})
    straight.apply(second, second.keys(), {})

    def shape(person):
        return {n: {freeze(plain(e)) for e in entries} for n, entries in person.items() if entries}

    assert shape(after(after({}, merge), later)) == shape(after({}, straight))
    assert not later.kept


@given(owners, mapped_fields)
@example({"names": [{"givenName": "0"}]}, {"given_name": "0", "family_name": "0"})
def test_keep_existing_leaves_every_filled_field_alone(person, fields):
    merge = Merge(person, {})
    merge.apply(fields, fields.keys(), dict.fromkeys(fields, FieldOptions(keep_existing=True)))
    for name in ("emailAddresses", "phoneNumbers", "biographies", "names"):
        if person.get(name):
            assert name not in merge.fields


def test_phone_data_is_that_of_the_reference():
    assert phonenumbers.is_valid_number(phonenumbers.parse("+525512345678"))
