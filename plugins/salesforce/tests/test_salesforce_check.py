"""What check and describe say, and reading back and erasing."""

import pytest

from synccore.errors import ConfigError, RateLimited
from synccore.testing import Fault
from synccore.types import FieldOptions
from synccore_salesforce.testing import FieldDef


def findings(crm, level=None):
    return {f.path: f.message for f in crm.sink.check().findings if level in (None, f.level)}


def infos(crm, name="Contact"):
    (info,) = (i for i in crm.sink.describe() if i.name == name)
    return {f.name: f for f in info.fields}


def test_asks_in_the_order_things_can_be_wrong(bench, org):
    crm = bench()
    before = len(org.requests)
    crm.sink.check()
    paths = [r.path for r in org.requests[before:]]
    expected = ["/services/data/", "/limits", "/userinfo", "/query", "/describe"]
    assert len(paths) == len(expected)
    assert all(p.endswith(e) for p, e in zip(paths, expected, strict=True))


def test_version_the_org_does_not_serve(bench):
    with pytest.raises(ConfigError, match=r"newest is 68\.0"):
        bench(api_version="99.0").sink.check()


def test_account_is_shown_even_where_the_scope_does_not_allow_asking_who(bench, org):
    crm = bench()
    org.fail_next(Fault.status(403, "Bad_OAuth_Token", when=lambda r: r.path.endswith("userinfo")))
    assert crm.sink.check().account.id == org.org.id


def test_kind_of_org_is_compared_with_the_environment(make_org, bench):
    sandbox = make_org(sandbox=True)
    assert "environment" in findings(bench(at=sandbox))
    assert "environment" not in findings(bench(at=sandbox, environment="sandbox"))


def test_usage_past_the_share_is_told(bench, org):
    crm = bench()
    org.calls_used = 13_000
    assert "13" in findings(crm)["api_share"]


def test_defaults_the_org_lacks_are_a_warning_and_described(bench, org):
    crm = bench()
    del org.org.objects["Contact"].fields["Phone"]
    text = findings(crm, "warning")["routes.crm_customers.fields"]
    assert "Phone" in text
    assert "Customer_Since__c" in text
    assert "StateCode" not in text, "one of each pair is enough"
    assert "left out" in infos(crm)["Phone"].help


def test_mapped_field_the_org_lacks_is_not_described(bench, route):
    assert "Shoe__c" not in infos(bench(route(fields={"Shoe__c": "x"})))


def test_key_field_that_is_missing(make_org, bench, route):
    crm = bench(route(), at=make_org(keys=False))
    assert "External ID and Unique" in findings(crm, "warning")["routes.crm_customers.match"]
    crm = bench(route(match=("Shop_Id__c",)), at=crm.org)
    assert "routes.crm_customers.match" in findings(crm, "error")


@pytest.mark.parametrize(
    ("options", "text"),
    [({"unique": False}, "not Unique"), ({"unique": True, "length": 40}, "40 characters")],
)
def test_key_field_with_a_flaw(make_org, bench, route, options, text):
    org = make_org(keys=False)
    org.add_field("Contact", "Key__c", external_id=True, **options)
    assert text in findings(bench(route(match=("Key__c",)), at=org))["routes.crm_customers.match"]


def test_matching_by_a_field_that_is_not_mapped(bench, route):
    crm = bench(route(defaults=False, fields={"LastName": "x"}, match=("Email",)))
    assert "not mapped" in findings(crm, "error")["routes.crm_customers.match"]


def test_object_nobody_sees(make_org, bench, route):
    crm = bench(route("orders", "Order", "order", after="x"), at=make_org(orders=False))
    assert "Order Settings" in findings(crm, "error")["routes.orders.object"]


def test_orders_without_customers(bench, route):
    assert "routes.orders.after" in findings(bench(route("orders", "Order", "order")))


def test_parent_by_key(bench, route):
    crm = bench(route(fields={"Account.WooId__c": "x", "Account.Shoe__c": "x", "Boss.Id": "x"}))
    errors = findings(crm, "error")
    assert set(errors) == {"routes.crm_customers.fields.Account.Shoe__c", "routes.crm_customers.fields.Boss.Id"}
    assert "Account.WooId__c" in infos(crm)


def test_person_accounts(make_org, bench, route):
    crm = bench(route("people", "PersonAccount"))
    assert "routes.people.object" in findings(crm, "error")
    crm = bench(route("people", "PersonAccount", fields={"Name": "x"}), at=make_org(person_accounts=True))
    assert "routes.people.fields.Name" in findings(crm, "error")
    assert "PersonEmail" in infos(crm, "PersonAccount")


@pytest.mark.parametrize(
    "settings", [{"on_delete": "burn"}, {"on_delete": "flag"}, {"invalid_email": "x"}, {"parent_field": "Boss__c"}]
)
def test_settings_that_mean_nothing(bench, route, settings):
    assert findings(bench(route(settings=settings)), "error")


def test_clean_route_has_nothing_to_say(bench, route, org):
    org.add_field("Contact", "Customer_Since__c", type="date")
    assert findings(bench(route())) == {}


def test_described_fields_carry_what_a_mapping_needs(bench, route, org):
    org.add_field("Contact", "Tier__c", type="picklist", picklist={"a": "A"}, restricted=True)
    fields = infos(bench(route()))
    assert (fields["FirstName"].length, fields["LastName"].required) == (40, True)
    assert fields["Tier__c"].picklist == ("a",)
    assert fields["WooId__c"].unique
    assert not fields["MailingAddress"].createable


def test_parent_that_the_sink_fills_is_required_of_nobody(bench, route, org):
    lookup = FieldDef(
        name="Member__c", type="reference", length=18, refers_to=("Contact",), relationship="Member__r", required=True
    )
    org.org.add_object("Plan__c", "a01", [lookup])
    assert infos(bench(route("plans", "Plan__c", "membership")), "Plan__c")["Member__c"].required
    assert not infos(bench(route("plans", "Plan__c", "membership", after="x")), "Plan__c")["Member__c"].required


class TestRead:
    """Values read back say the same in the words they were delivered in."""

    def test_what_was_delivered_is_what_is_read(self, bench, person, route, org):
        org.add_field("Contact", "Seen__c", type="datetime")
        org.add_field("Contact", "Spent__c", type="currency")
        crm = bench(route(fields={"Seen__c": "x", "Spent__c": "x"}))
        values = {"Seen__c": "2026-01-01T10:00:00+01:00", "Spent__c": "12.50", "LastNameFallback": "lee"}
        crm.one("1", person(1, Customer_Since__c="2026-01-01", HasOptedOutOfEmail=False, **values))
        link = crm.links["crm_customers", "1"]
        (seen,) = crm.sink.read([link])
        assert {n: seen[n] for n in link.fields} == link.fields
        assert "LastNameFallback" not in seen

    def test_drift_shows(self, bench, person):
        crm = bench()
        crm.one("1", person(1))
        crm.org.records("Contact")[0]["FirstName"] = "Else"
        (seen,) = crm.sink.read([crm.links["crm_customers", "1"]])
        assert seen["FirstName"] == "Else"

    def test_gone_is_none_and_order_is_kept(self, bench, person):
        crm = bench()
        crm.deliver(*(crm.op(str(n), person(n)) for n in range(3)))
        links = [crm.links["crm_customers", str(n)] for n in range(3)]
        crm.org.org.remove("Contact", links[1].remote_id)
        seen = crm.sink.read(links)
        assert seen[1] is None
        assert (seen[0]["FirstName"], seen[2]["FirstName"]) == ("Ann0", "Ann2")

    def test_cut_text_and_codes_are_no_drift(self, make_org, bench, person, route):
        crm = bench(route(options={"FirstName": FieldOptions(truncate=True)}), at=make_org(picklists=True))
        place = {"MailingStateCode": "New York", "MailingCountryCode": "US", "MailingCountry": "United States"}
        crm.one("1", person(1, FirstName="x" * 50, **place))
        link = crm.links["crm_customers", "1"]
        (seen,) = crm.sink.read([link])
        assert {n: seen[n] for n in link.fields} == link.fields
        assert link.left_out["MailingCountry"] == "sent as MailingCountryCode"
        assert link.mapped["FirstName"] == "x" * 50

    def test_parents_by_key(self, bench, person, route, org):
        crm = bench(route(fields={"Account.WooId__c": "x"}))
        org.org.insert("Account", {"Name": "Lee", "WooId__c": "a"})
        crm.one("1", person(1, **{"Account.WooId__c": "a"}))
        assert crm.sink.read([crm.links["crm_customers", "1"]])[0]["Account.WooId__c"] == "a"


class TestErase:
    """`synccore forget`."""

    def test_deletes_and_gone_already_is_fine(self, bench, person):
        crm = bench()
        crm.one("1", person(1))
        crm.sink.erase(crm.links["crm_customers", "1"])
        assert crm.org.records("Contact") == []
        crm.sink.erase(crm.links["crm_customers", "1"])

    def test_record_salesforce_keeps_loses_its_name(self, bench, person, org):
        crm = bench()
        crm.one("1", person(1, Phone="42"))
        contact = crm.links["crm_customers", "1"].remote_id
        account = org.org.insert("Account", {"Name": "Lee"})
        order = {"AccountId": account, "BillToContactId": contact, "EffectiveDate": "2026-01-01", "Status": "Draft"}
        org.org.insert("Order", order)
        assert crm.sink.erase(crm.links["crm_customers", "1"]).outcome == "anonymised"
        record = crm.found("Contact")
        assert {record[n] for n in ("FirstName", "Email", "Phone", "WooId__c")} == {None}
        assert record["LastName"] == "Erased"


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("date", "'soon'", "no date"),
        ("currency", "'much'", "no currency"),
        ("boolean", "'perhaps'", "no boolean"),
        ("reference", "'shop:customer:12'", "record id"),
        ("multipicklist", ["gold", "tin"], "tin: not among"),
    ],
)
def test_constant_that_is_not_of_the_fields_type(bench, route, org, kind, value, text):
    org.add_field("Contact", "Odd__c", type=kind, picklist={"gold": "Gold"}, restricted=kind == "multipicklist")
    assert text in findings(bench(route(fields={"Odd__c": value})), "error")["routes.crm_customers.fields.Odd__c"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("date", "'2026-11-21'"),
        ("currency", "'12.50'"),
        ("boolean", True),
        ("reference", "'0015g00000AbCdE'"),
        ("multipicklist", ["gold"]),
        ("date", "customer.created_at"),
    ],
)
def test_value_that_can_be_of_the_fields_type(bench, route, org, kind, value):
    org.add_field("Contact", "Odd__c", type=kind, picklist={"gold": "Gold"}, restricted=kind == "multipicklist")
    assert "routes.crm_customers.fields.Odd__c" not in findings(bench(route(fields={"Odd__c": value})))


class TestRequired:
    """What would park every record is red before the first."""

    def test_record_type_nobody_knows(self, make_org, bench, route):
        people = route("people", "PersonAccount", settings={"record_type": "Shopper"})
        text = findings(bench(people, at=make_org(person_accounts=True)), "error")["routes.people.record_type"]
        assert "'Shopper'" in text
        assert "PersonAccount" in text, "and what there is"

    @pytest.mark.parametrize("choice", ["", "Member"])
    def test_two_record_types(self, make_org, bench, route, choice):
        org = make_org(person_accounts=True)
        more = {"SobjectType": "Account", "IsPersonType": True, "DeveloperName": "Member"}
        member = org.org.insert("RecordType", more, raw=True)
        crm = bench(route("people", "PersonAccount", settings={"record_type": choice}), at=org)
        assert ("routes.people.record_type" in findings(crm, "error")) is not bool(choice)
        values = {"LastName": "Lee", "PersonEmail": "ann@shop.test", "WooId__c": "shop:customer:1"}
        if not choice:
            with pytest.raises(RateLimited, match="record type") as held:
                crm.one("1", values)
            assert held.value.scope == "route"
        else:
            crm.one("1", values)
            assert crm.found("Account")["RecordTypeId"] == member

    def test_fixed_account_that_does_not_exist(self, bench, route, org):
        there = org.org.insert("Account", {"Name": "All customers"})
        path = "routes.crm_customers.fields.AccountId"
        assert path not in findings(bench(route(fields={"AccountId": f"'{there}'"})))
        gone = there[:10] + "99999"
        text = findings(bench(route(fields={"AccountId": f"'{gone}'"})), "error")[path]
        assert gone in text

    @pytest.mark.parametrize("how", ["hidden", "createable"])
    def test_last_name_that_may_not_be_written(self, bench, org, how):
        setattr(org.org.objects["Contact"].fields["LastName"], how, how == "hidden")
        assert "LastName" in findings(bench(), "error")["routes.crm_customers.fields.LastName"]


def test_any_object_of_the_org_is_described(bench, org):
    org.org.add_object("Plan__c", "a01", [FieldDef(name="Status__c")])
    crm = bench()
    found = crm.sink.describe_object("plan__c")
    assert (found.name, "Status__c" in {f.name for f in found.fields}) == ("Plan__c", True)
    assert "LastNameFallback" in {f.name for f in crm.sink.describe_object("Contact").fields}
    with pytest.raises(ConfigError, match="Nope__c"):
        crm.sink.describe_object("Nope__c")


def test_custom_field_of_contacts_is_found_on_person_accounts(make_org, bench, route):
    org = make_org(person_accounts=True)
    org.add_field("Contact", "Customer_Since__c", type="date")
    crm = bench(route("people", "PersonAccount"), at=org)
    values = {"LastName": "Lee", "PersonEmail": "ann@shop.test", "WooId__c": "shop:customer:1"}
    crm.one("1", {**values, "Customer_Since__pc": "2026-01-02"})
    assert crm.found("Account")["Customer_Since__pc"] == "2026-01-02"
    assert "Customer_Since" not in str(findings(crm))


class TestMoved:
    """Reading follows records as writing does."""

    def test_merged(self, bench, person, org):
        crm = bench()
        crm.one("1", person(1, Phone="42"))
        survivor = org.org.insert("Contact", {"LastName": "Owner", "Phone": "99"})
        org.org.merge("Contact", crm.links["crm_customers", "1"].remote_id, survivor)
        assert crm.sink.read([crm.link("crm_customers", "1")])[0]["Phone"] == "99", "the survivor's, not ours"
        crm.one("1", person(1, Phone="43"))
        link = crm.link("crm_customers", "1")
        assert (link.remote_id, link.adopted) == (survivor, True)
        (seen,) = crm.sink.read([link])
        assert {n: seen[n] for n in link.fields} == link.fields
        assert (seen["Phone"], seen["LastName"], seen["FirstName"]) == ("99", "Owner", "Ann1")

    def test_converted(self, bench, person, route, org):
        crm = bench(route("leads", "Lead", match=("WooId__c",)))
        lead = person(1, Company="Lee Ltd", City="Rome")
        crm.one("1", lead)
        org.org.convert(crm.links["leads", "1"].remote_id)
        assert crm.sink.read([crm.link("leads", "1")])[0]["City"] == "Rome"
        crm.one("1", {**lead, "City": "Bari", "Company": "Other"})
        link = crm.link("leads", "1")
        assert link.adopted
        (seen,) = crm.sink.read([link])
        assert {n: seen[n] for n in link.fields} == link.fields
        assert (seen["City"], "Company" in link.fields) == ("Bari", False)
        assert crm.sink.erase(link).outcome == "released", "sales made a contact of it"
        assert org.records("Lead") == [], "the lead itself was ours"
