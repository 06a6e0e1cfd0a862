"""Contacts and other records: what is sent, when, and what the org then holds."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from synccore.errors import RateLimited, Rejected, WaitFor
from synccore.types import Delivered, Failed, FieldOptions, Link, Unchanged
from synccore_salesforce.testing import FieldDef


def test_creates_and_updates_by_external_id(bench, person):
    crm = bench()
    outcome = crm.one("1", person(1))
    assert isinstance(outcome, Delivered)
    assert (outcome.remote_id, outcome.adopted, outcome.fields) == (crm.found("Contact")["Id"], False, person(1))
    assert crm.found("Contact")["WooId__c"] == "shop:customer:1"
    before = len(crm.org.requests)
    crm.one("1", person(1, FirstName="Anna"))
    assert crm.found("Contact")["FirstName"] == "Anna"
    (request,) = crm.org.requests[before:]
    (record,) = request.json()["records"]
    assert set(record) == {"attributes", "id", "FirstName"}, "only the changed field travels"


def test_uid_is_the_key_where_the_key_is_not_mapped(bench, route):
    crm = bench(route(defaults=False, fields={"LastName": "x"}, match=("WooId__c",)))
    crm.one("12", {"LastName": "Lee"})
    assert crm.found("Contact")["WooId__c"] == "shop:customer:12"


def test_upsert_finds_the_record_again_without_a_link(bench, person):
    crm = bench()
    crm.one("1", person(1))
    crm.links.clear()
    crm.one("1", person(1, FirstName="Anna"))
    assert crm.found("Contact")["FirstName"] == "Anna"


def test_200_customers_are_one_call(bench, person):
    crm = bench()
    before = crm.context.calls
    outcomes = crm.deliver(*(crm.op(str(n), person(n)) for n in range(200)))
    assert all(isinstance(o, Delivered) for o in outcomes)
    assert crm.context.calls - before == 2, "one describe, one collection"


def test_2000_customers_in_about_10_calls_and_none_on_repeat(bench, person):
    crm = bench(duplicate_rule="save")
    before = crm.context.calls
    operations = [crm.op(str(n), person(n)) for n in range(2000)]
    assert all(isinstance(o, Delivered) for o in crm.deliver(*operations))
    assert crm.context.calls - before <= 12
    assert len(crm.org.records("Contact")) == 2000
    again = crm.context.calls
    repeat = crm.deliver(*(crm.op(str(n), person(n)) for n in range(200)))
    assert all(isinstance(o, Unchanged) for o in repeat)
    assert crm.context.calls == again


def test_validation_rule_parks_one_in_200(bench, person):
    crm = bench()
    rule = ("Contact", lambda r: r["LastName"] == "Lee7", "Sevens are for sales to call, see ticket 12")
    crm.org.org.validation_rules.append(rule)
    outcomes = crm.deliver(*(crm.op(str(n), person(n)) for n in range(200)))
    failed = [o for o in outcomes if isinstance(o, Failed)]
    assert len(failed) == 1
    assert isinstance(failed[0].error, Rejected)
    assert "Sevens are for sales to call, see ticket 12" in failed[0].error.message
    assert len(crm.org.records("Contact")) == 199


def test_unreadable_value_spoils_only_its_own_row(bench, person, route):
    # The org refuses the whole request for one value it cannot parse.
    crm = bench(route(fields={"Note__c": "x"}, match=("WooId__c",)))
    crm.org.add_field("Contact", "Note__c", type="anytype")
    fake = crm.org.org.objects["Contact"].fields["Note__c"]
    operations = [crm.op(str(n), person(n, Note__c="text")) for n in range(8)]
    crm.sink.describe()
    fake.type = "date"
    operations[3] = crm.op("3", person(3, Note__c="text"))
    operations = [crm.op(str(n), person(n, Note__c="text" if n == 3 else "2026-01-01")) for n in range(8)]
    outcomes = crm.deliver(*operations)
    assert [n for n, o in enumerate(outcomes) if isinstance(o, Failed)] == [3]
    assert "JSON_PARSER_ERROR" in outcomes[3].error.message


def test_too_long_is_refused_before_it_is_sent(bench, person):
    crm = bench()
    outcome = crm.one("1", person(1, FirstName="x" * 41))
    assert isinstance(outcome.error, Rejected)
    assert outcome.error.fields == ("FirstName",)
    assert crm.org.count("PATCH") == 0


def test_truncate_cuts_with_a_note_but_never_an_address(bench, person, route):
    cut = FieldOptions(truncate=True)
    crm = bench(route(match=("WooId__c",), options={"FirstName": cut, "Email": cut}))
    outcome = crm.one("1", person(1, FirstName="x" * 41))
    assert crm.found("Contact")["FirstName"] == "x" * 40
    assert "FirstName cut to 40" in outcome.note
    assert isinstance(crm.one("2", person(2, Email="x" * 80 + "@shop.test")).error, Rejected)


def test_null_only_when_asked(bench, person):
    crm = bench()
    crm.one("1", person(1, Phone="+1 202 555 0100"))
    # Empty without clear = true: the field is no longer among the fields.
    crm.one("1", person(1))
    assert crm.found("Contact")["Phone"] == "+1 202 555 0100"
    crm.one("2", person(2, Phone="42"))
    crm.one("2", person(2, Phone=None))
    assert crm.found("Contact", LastName="Lee2")["Phone"] is None


def test_keep_existing_never_overwrites(bench, person, route):
    crm = bench(route(match=("WooId__c",), options={"Phone": FieldOptions(keep_existing=True)}))
    crm.org.org.insert("Contact", {"LastName": "Lee", "WooId__c": "shop:customer:1", "Phone": "42"})
    crm.one("1", person(1, Phone="99"))
    crm.one("2", person(2, Phone="99"))
    assert crm.found("Contact", WooId__c="shop:customer:1")["Phone"] == "42"
    assert crm.found("Contact", WooId__c="shop:customer:2")["Phone"] == "99"


def test_values_are_converted_by_described_type(bench, route):
    fields = ("Since__c", "Seen__c", "Spent__c", "Tags__c", "Vip__c", "Count__c")
    crm = bench(route(fields=dict.fromkeys(fields, "x"), match=("WooId__c",)))
    types = ("date", "datetime", "currency", "multipicklist", "boolean", "double")
    for name, kind in zip(fields, types, strict=True):
        crm.org.add_field("Contact", name, type=kind)
    moment = datetime(2026, 3, 4, 23, 5, 6, 789000, tzinfo=UTC)
    values = {"Since__c": moment, "Seen__c": moment, "Spent__c": Decimal("12.50"), "Tags__c": ["a", "b"]}
    crm.one("1", {"LastName": "Lee", **values, "Vip__c": True, "Count__c": "3"})
    record = crm.found("Contact")
    assert [record[n] for n in fields] == ["2026-03-04", "2026-03-04T23:05:06.789Z", 12.5, "a;b", True, 3]


@pytest.mark.parametrize("value", ["soon", "12 apples"])
def test_value_that_is_none_of_the_type_is_refused(bench, route, value):
    crm = bench(route(fields={"Since__c": "x"}, match=("WooId__c",)))
    crm.org.add_field("Contact", "Since__c", type="date")
    assert isinstance(crm.one("1", {"LastName": "Lee", "Since__c": value}).error, Rejected)


def test_last_name_falls_back_and_never_replaces_a_real_one(bench):
    def nameless(name):
        return {"Email": f"{name}@shop.test", "LastNameFallback": name, "WooId__c": "shop:customer:1"}

    crm = bench()
    crm.one("1", nameless("sam"))
    assert crm.found("Contact")["LastName"] == "sam"
    crm.org.records("Contact")[0]["LastName"] = "Smith"
    crm.one("1", nameless("sam2"))
    crm.links.clear()
    crm.one("1", nameless("sam3"))
    record = crm.found("Contact")
    assert (record["LastName"], record["Email"]) == ("Smith", "sam3@shop.test")


def test_opt_out_is_set_and_never_cleared(bench, person):
    crm = bench()
    crm.one("1", person(1, HasOptedOutOfEmail=True))
    assert crm.found("Contact")["HasOptedOutOfEmail"] is True
    crm.one("1", person(1, HasOptedOutOfEmail=False))
    assert crm.found("Contact")["HasOptedOutOfEmail"] is True


def test_opt_out_is_cleared_where_the_route_allows_it(bench, person, route):
    crm = bench(route(match=("WooId__c",), settings={"clear_opt_out": True}))
    crm.one("1", person(1, HasOptedOutOfEmail=True))
    crm.one("1", person(1, HasOptedOutOfEmail=False))
    assert crm.found("Contact")["HasOptedOutOfEmail"] is False


def test_default_fields_the_org_lacks_are_left_out(bench, person):
    crm = bench()
    crm.org.org.objects["Contact"].fields["HasOptedOutOfEmail"].hidden = True
    assert isinstance(crm.one("1", person(1, Customer_Since__c="2026-01-01", HasOptedOutOfEmail=True)), Delivered)


def test_mapped_field_the_org_lacks_names_itself(bench, person, route):
    crm = bench(route(fields={"Shoe_Size__c": "x"}, match=("WooId__c",)))
    with pytest.raises(RateLimited, match=r"no field Shoe_Size__c.*field-level security") as held:
        crm.one("1", person(1, Shoe_Size__c="44"))
    assert held.value.scope == "route", "it would meet every record"
    crm.org.add_field("Contact", "Shoe_Size__c")
    crm.context.clock.advance(timedelta(minutes=2))
    assert isinstance(crm.one("1", person(1, Shoe_Size__c="44")), Delivered), "noticed without a restart"


class TestRegions:
    """State and country picklists."""

    @pytest.fixture
    def crm(self, make_org, bench):
        return bench(at=make_org(picklists=True))

    def values(self, person, state, country):
        code = {"MailingStateCode": state, "MailingCountryCode": country}
        return person(1, **code, MailingState=state, MailingCountry="A Country", MailingCity="Town")

    def test_codes_are_sent_instead_of_names(self, crm, person):
        crm.one("1", self.values(person, "NY", "US"))
        record = crm.found("Contact")
        assert (record["MailingStateCode"], record["MailingCountryCode"]) == ("NY", "US")
        assert record.get("MailingCountry") is None

    def test_state_of_a_country_without_states_is_left_out(self, crm, person):
        # "CA" is a known code, but no state of Germany: only the org can tell.
        outcome = crm.one("1", self.values(person, "CA", "DE"))
        record = crm.found("Contact")
        assert record.get("MailingStateCode") is None
        assert record["MailingCountryCode"] == "DE"
        assert "MailingStateCode" in outcome.note

    def test_unknown_state_and_country_are_left_out(self, crm, person):
        outcome = crm.one("1", self.values(person, "BY", "DE"))
        assert "MailingStateCode left out" in outcome.note
        crm.one("2", {"LastName": "Lee", "MailingCountryCode": "XX", "MailingCity": "Town"})
        assert crm.found("Contact", LastName="Lee")["MailingCity"] == "Town"

    def test_state_by_name_becomes_its_code(self, crm, person):
        crm.one("1", self.values(person, "New York", "US"))
        assert crm.found("Contact")["MailingStateCode"] == "NY"

    def test_country_travels_with_a_changed_state(self, crm, person):
        crm.one("1", self.values(person, "NY", "US"))
        crm.one("1", self.values(person, "TX", "US"))
        assert crm.found("Contact")["MailingStateCode"] == "TX"


def test_without_picklists_names_are_sent(bench, person):
    crm = bench()
    place = {"MailingState": "NY", "MailingCountry": "United States"}
    crm.one("1", person(1, MailingStateCode="NY", MailingCountryCode="US", **place))
    record = crm.found("Contact")
    assert {n: record[n] for n in place} == place


def test_invalid_email_is_held_or_dropped(bench, person, route):
    crm = bench(route(match=("WooId__c",)), route("loose", match=("WooId__c",), settings={"invalid_email": "drop"}))
    held = crm.one("1", person(1, Email="ann@nowhere"))
    assert "INVALID_EMAIL_ADDRESS" in held.error.message
    assert "ann@" not in held.error.message, "addresses stay out of errors"
    outcome = crm.one("2", person(2, Email="ann@nowhere"), route="loose")
    assert "Email left out" in outcome.note
    assert crm.found("Contact").get("Email") is None
    crm.one("2", person(2, Email="ann@shop.test"), route="loose")
    crm.one("2", person(2, Email="ann@nowhere"), route="loose")
    assert crm.found("Contact").get("Email") is None, "the former address is not theirs any more"


class TestParents:
    """Contacts of accounts, and parents by external id."""

    def test_contact_belongs_to_the_account_of_the_route_before(self, bench, person, route):
        crm = bench(route("accounts", "Account", match=("WooId__c",)), route(match=("WooId__c",), after="accounts"))
        crm.one("1", {"Name": "Lee Ltd", "WooId__c": "shop:customer:1"}, route="accounts")
        crm.one("1", person(1), route="crm_customers", parent=crm.links["accounts", "1"])
        assert crm.found("Contact")["AccountId"] == crm.found("Account")["Id"]

    def test_accounts_and_contacts_cost_two_calls_for_200(self, bench, person, route):
        crm = bench(route("accounts", "Account", match=("WooId__c",)), route(match=("WooId__c",), after="accounts"))
        crm.sink.describe()
        before = crm.context.calls
        names = [{"Name": f"Firm {n}", "WooId__c": f"shop:customer:{n}"} for n in range(200)]
        crm.deliver(*(crm.op(str(n), names[n], route="accounts") for n in range(200)))
        operations = [
            crm.op(str(n), person(n), route="crm_customers", parent=crm.links["accounts", str(n)]) for n in range(200)
        ]
        crm.deliver(*operations)
        assert crm.context.calls - before == 2

    def test_child_before_its_parent_waits_for_it(self, bench, person, route):
        crm = bench(route(fields={"Account.WooId__c": "x"}, match=("WooId__c",)))
        outcome = crm.one("1", person(1, **{"Account.WooId__c": "shop:customer:12"}))
        assert isinstance(outcome.error, WaitFor)
        assert (outcome.error.entity, outcome.error.key) == ("customer", "12")
        crm.org.org.insert("Account", {"Name": "Lee", "WooId__c": "shop:customer:12"})
        assert isinstance(crm.one("1", person(1, **{"Account.WooId__c": "shop:customer:12"})), Delivered)

    def test_guest_parent_keeps_its_whole_key(self, bench, person, route):
        crm = bench(route(fields={"Account.WooId__c": "x"}, match=("WooId__c",)))
        outcome = crm.one("1", person(1, **{"Account.WooId__c": "shop:customer:guest:ab12"}))
        assert outcome.error.key == "guest:ab12"

    def test_parent_is_taken_off_through_the_lookup(self, bench, person, route):
        crm = bench(route(fields={"Account.WooId__c": "x"}, match=("WooId__c",)))
        crm.org.org.insert("Account", {"Name": "Lee", "WooId__c": "a"})
        crm.one("1", person(1, **{"Account.WooId__c": "a"}))
        crm.one("1", person(1, **{"Account.WooId__c": None}))
        assert crm.found("Contact")["AccountId"] is None

    @pytest.mark.parametrize("merges", [1, 3])
    def test_merged_parent_is_followed(self, bench, person, route, merges):
        crm = bench(route("accounts", "Account", match=("WooId__c",)), route(match=("WooId__c",), after="accounts"))
        crm.one("1", {"Name": "Lee", "WooId__c": "shop:customer:1"}, route="accounts")
        survivor = crm.links["accounts", "1"].remote_id
        for _ in range(merges):
            double, survivor = survivor, crm.org.org.insert("Account", {"Name": "Lee Ltd"})
            crm.org.org.merge("Account", double, survivor)
        crm.one("1", person(1), route="crm_customers", parent=crm.links["accounts", "1"])
        assert crm.found("Contact")["AccountId"] == survivor


def test_custom_object_through_the_same_writer(bench, route):
    crm = bench(route("plans", "Plan__c", "membership", {"Status__c": "x"}, match=("Key__c",), after="crm_customers"))
    lookup = FieldDef(
        name="Member__c", type="reference", length=18, refers_to=("Contact",), relationship="Member__r", required=True
    )
    key = FieldDef(name="Key__c", length=100, external_id=True, unique=True)
    crm.org.org.add_object("Plan__c", "a01", [lookup, key, FieldDef(name="Status__c")])
    contact = crm.org.org.insert("Contact", {"LastName": "Lee"})
    parent = Link(object="Contact", remote_id=contact)
    crm.one("5", {"Status__c": "active"}, parent=parent)
    record = crm.found("Plan__c")
    assert (record["Member__c"], record["Key__c"]) == (contact, "shop:membership:5")


def test_person_accounts(make_org, bench, route):
    crm = bench(route("people", "PersonAccount"), at=make_org(person_accounts=True))
    crm.org.org.insert("Account", {"Name": "Lee Ltd"})
    values = {"FirstName": "Ann", "LastName": "Lee", "PersonEmail": "ann@shop.test", "WooId__c": "shop:customer:1"}
    crm.one("1", values)
    record = crm.found("Account", PersonEmail="ann@shop.test")
    assert record["IsPersonAccount"]
    crm.links.clear()
    crm.one("1", {**values, "FirstName": "Anna"})
    assert crm.found("Account", PersonEmail="ann@shop.test")["FirstName"] == "Anna"


def test_events_become_records_of_their_own(bench, route):
    crm = bench(route("payments", "Payment__c", "payment", {"Name": "x"}, match=("Key__c",)))
    key = FieldDef(name="Key__c", length=100, external_id=True, unique=True)
    crm.org.org.add_object("Payment__c", "a02", [key])
    crm.one("9", {"Name": "first"}, kind="event", event_id="9-1")
    crm.one("9", {"Name": "second"}, kind="event", event_id="9-2", link=None)
    crm.one("9", {"Name": "second"}, kind="event", event_id="9-2", link=None)
    assert sorted(r["Key__c"] for r in crm.org.records("Payment__c")) == ["shop:payment:9-1", "shop:payment:9-2"]


class TestDeletes:
    """What the route's on_delete says."""

    def test_kept_by_default(self, bench, person):
        crm = bench()
        crm.one("1", person(1))
        assert isinstance(crm.one("1", kind="delete"), Unchanged)
        assert len(crm.org.records("Contact")) == 1

    def test_deleted_where_asked_and_gone_already_is_fine(self, bench, person, route):
        crm = bench(route(match=("WooId__c",), settings={"on_delete": "delete"}))
        crm.one("1", person(1))
        assert isinstance(crm.one("1", kind="delete"), Delivered)
        assert crm.org.records("Contact") == []
        assert isinstance(crm.one("1", kind="delete"), Unchanged)

    def test_flagged_where_asked(self, bench, person, route):
        settings = {"on_delete": "flag", "deleted_field": "Gone__c"}
        crm = bench(route(match=("WooId__c",), settings=settings))
        crm.org.add_field("Contact", "Gone__c", type="boolean")
        crm.one("1", person(1))
        crm.one("1", kind="delete")
        assert crm.found("Contact")["Gone__c"] is True


@pytest.mark.parametrize("bulk", [False, True])
def test_a_stand_in_replaces_no_name_of_a_record_with_the_key(bench, route, org, bulk):
    """As after a restored backup: the account is there, and no link says so."""
    crm = bench(route("firms", "Account", match=("WooId__c",)))
    org.org.insert("Account", {"Name": "Lee & Sons", "WooId__c": "shop:customer:1"})
    operations = [
        crm.op(
            str(n), {"NameFallback": f"Ann Lee{n}", "Phone": f"+1 {n}", "WooId__c": f"shop:customer:{n}"}, route="firms"
        )
        for n in range(1, 301 if bulk else 3)
    ]
    before = org.calls_used
    found = crm.collect(operations, crm.deliver(*operations)) if bulk else crm.deliver(*operations)
    assert all(isinstance(o, Delivered) for o in found)
    assert len(org.records("Account")) == len(operations)
    kept = crm.found("Account", WooId__c="shop:customer:1")
    assert (kept["Name"], kept["Phone"]) == ("Lee & Sons", "+1 1")
    assert crm.found("Account", WooId__c="shop:customer:2")["Name"] == "Ann Lee2"
    assert "kept" in crm.link("firms", "1").left_out.get("Name", "kept")
    assert bulk or org.calls_used - before <= 5, "describe, make both, look at the one that is there, write it"
