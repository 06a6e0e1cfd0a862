"""Records that are not one customer's alone: companies, adopted people, and what forgetting leaves of them."""

import pytest

from synccore.errors import Transient
from synccore.testing import Fault
from synccore.types import Delivered, Identity, Unchanged

FIRMS, PEOPLE = "firms", "people"


@pytest.fixture(params=["name", "key-and-name"])
def shop(request, bench, route, org):
    """Customers 1 to 3 of Acme Inc, which sales made, through an accounts route and a contacts route behind it."""
    org.acme = org.org.insert("Account", {"Name": "ACME Inc", "Phone": "+1 800", "BillingCity": "Reno"})
    match = ("Name",) if request.param == "name" else ("WooId__c", "Name")
    crm = bench(
        route(FIRMS, "Account", match=match, settings={"on_delete": "delete"}),
        route(PEOPLE, "Contact", match=("WooId__c",), after=FIRMS, settings={"on_delete": "delete"}),
    )
    for n in (1, 2, 3):
        send(crm, n)
    return crm


def send(crm, n, company="acme inc", **fields):
    values = {"Name": company, "NameFallback": f"Ann Lee{n}", "Phone": f"+1 {n}", "BillingCity": f"Town{n}"}
    values = {k: v for k, v in values.items() if v is not None}
    crm.one(str(n), {**values, "WooId__c": f"shop:customer:{n}", **fields}, route=FIRMS)
    person = {"FirstName": "Ann", "LastName": f"Lee{n}", "Email": f"ann{n}@shop.test"}
    outcome = crm.one(
        str(n), {**person, "WooId__c": f"shop:customer:{n}"}, route=PEOPLE, parent=crm.link(FIRMS, str(n))
    )
    assert isinstance(outcome, Delivered | Unchanged), outcome


def forget(crm, n):
    """As core does: what belongs to a person first."""
    links = [link for name in (PEOPLE, FIRMS) if (link := crm.link(name, str(n)))]
    found = {link.object: crm.sink.erase(link).outcome for link in links}
    for name in (PEOPLE, FIRMS):
        crm.links.pop((name, str(n)), None)
    return found


def account_of(crm, n):
    return crm.found("Contact", LastName=f"Lee{n}")["AccountId"]


def untouched(crm):
    record = crm.org.org.objects["Account"].records[crm.org.acme]
    assert not record["IsDeleted"]
    assert {n: record.get(n) for n in ("Name", "Phone", "BillingCity", "WooId__c")} == {
        "Name": "ACME Inc", "Phone": "+1 800", "BillingCity": "Reno", "WooId__c": None
    }  # fmt: skip


def test_a_company_that_sales_made_is_used_and_not_written(shop):
    untouched(shop)
    assert {account_of(shop, n) for n in (1, 2, 3)} == {shop.org.acme}
    link = shop.link(FIRMS, "1")
    assert (link.adopted, link.shared) == (True, 3)
    assert link.fields["Name"] == "ACME Inc", "what is there, not what was asked"
    assert "not this customer's alone" in link.left_out["Phone"]


def test_one_moves_one_is_forgotten_one_is_deleted(shop):
    send(shop, 1, "Beta Ltd")
    assert forget(shop, 2) == {"Contact": "deleted", "Account": "released"}
    shop.one("3", kind="delete", route=PEOPLE)
    outcome = shop.one("3", kind="delete", route=FIRMS)
    assert isinstance(outcome, Unchanged)
    assert "let go of" in outcome.note
    untouched(shop)
    beta = shop.found("Account", Name="Beta Ltd")["Id"]
    assert shop.found("Account", Name="Beta Ltd").get("WooId__c") is None, "a company is no customer"
    (left,) = shop.org.records("Contact")
    assert (left["LastName"], left["AccountId"]) == ("Lee1", beta)


def test_the_third_person_stays_where_they_are(shop):
    before = dict(shop.found("Contact", LastName="Lee3"))
    send(shop, 1, "Beta Ltd")
    forget(shop, 2)
    untouched(shop)
    assert shop.found("Contact", LastName="Lee3") == before
    send(shop, 3, Phone="+1 999", BillingCity="Elsewhere")
    untouched(shop)


def test_a_move_back_finds_the_old_company(shop):
    send(shop, 1, "Beta Ltd")
    send(shop, 1, "Acme INC")
    assert account_of(shop, 1) == shop.org.acme
    untouched(shop)


def test_namesakes_without_a_company_share_nothing(shop):
    for n in (7, 8):
        send(shop, n, None, NameFallback="Ann Lee")
    assert len({account_of(shop, 7), account_of(shop, 8)}) == 2
    assert len([r for r in shop.org.records("Account") if r["Name"] == "Ann Lee"]) == 2


def test_an_account_named_after_a_person_goes_with_them(shop):
    send(shop, 7, None)
    send(shop, 8, None)
    forget(shop, 7)
    assert "Ann Lee7" not in {r["Name"] for r in shop.org.records("Account")}
    # Somebody works there: the account stays, the name goes.
    shop.org.org.insert("Contact", {"LastName": "Sales", "AccountId": account_of(shop, 8)})
    assert forget(shop, 8)["Account"] == "anonymised"
    assert "Ann Lee8" not in {r["Name"] for r in shop.org.records("Account")}
    assert shop.found("Contact", LastName="Sales")["AccountId"]


def test_our_own_company_belongs_to_its_customers_together(shop):
    for n in (5, 6):
        send(shop, n, "Own Ltd")
    own = shop.found("Account", Name="Own Ltd")
    assert own["Phone"] == "+1 5", "the first made it"
    send(shop, 6, "Own Ltd", Phone="+1 66")
    send(shop, 5, "Own Ltd", Phone="+1 55")
    assert shop.found("Account", Name="Own Ltd")["Phone"] == "+1 5", "shared now: nobody writes on it"
    forget(shop, 5)
    own = shop.found("Account", Name="Own Ltd")
    assert own.get("Phone") is None, "but what was one person's goes with them"
    assert account_of(shop, 6) == own["Id"]


def test_nothing_of_a_person_stays_at_the_company_they_left(shop):
    for n in (5, 6):
        send(shop, n, "Own Ltd")
    send(shop, 5, "Beta Ltd")
    own = shop.found("Account", Name="Own Ltd")
    assert (own["Phone"], own["BillingCity"]) == (None, None), "theirs, and no link leads back to it"
    assert account_of(shop, 6) == own["Id"]
    assert shop.found("Account", Name="Beta Ltd")["Phone"] == "+1 5"
    shop.org.org.objects["Account"].records[own["Id"]]["Phone"] = "+1 sales"
    send(shop, 6, "Beta Ltd")
    assert shop.found("Account", Name="Own Ltd")["Phone"] == "+1 sales", "what was never ours stays"
    for n in (5, 6):
        forget(shop, n)
    assert "Town5" not in str(shop.org.records("Account"))


@pytest.mark.parametrize("whose", ["ours", "another customer's", "sales'"])
def test_a_company_whose_create_had_no_answer_is_ours_where_it_has_all_that_was_sent(bench, route, org, whose):
    crm = bench(route(FIRMS, "Account", match=("Name",), settings={"on_delete": "delete"}))
    values = {"Name": "Own Ltd", "NameFallback": "Ann Lee7", "Phone": "+1 7"}
    asked = crm.context.clock.now()
    if whose == "ours":
        org.fail_next(Fault.commit_then_drop(when=lambda r: r.method == "POST"))
        with pytest.raises(Transient):
            crm.one("7", values, route=FIRMS)
    elif whose == "sales'":
        org.org.insert("Account", {"Name": "Own Ltd", "Phone": "+1 7"})
    else:
        crm.one("8", {**values, "NameFallback": "Ann Lee8", "Phone": "+1 8"}, route=FIRMS)
    op = crm.op("7", values, route=FIRMS, maybe_applied=True, since=asked)
    (found,) = crm.sink.lookup([op])
    crm.one("7", values, route=FIRMS, link=found, maybe_applied=True, since=asked)
    assert crm.link(FIRMS, "7").adopted == (whose != "ours")
    crm.one("7", {**values, "Name": "Beta Ltd"}, route=FIRMS)
    left = crm.found("Account", Name="Own Ltd")
    assert left["Phone"] == {"ours": None, "another customer's": "+1 8", "sales'": "+1 7"}[whose]


def test_our_own_company_with_somebody_elses_contact_is_not_deleted(shop):
    send(shop, 5, "Own Ltd")
    own = shop.found("Account", Name="Own Ltd")["Id"]
    shop.org.org.insert("Contact", {"LastName": "Sales", "AccountId": own})
    shop.one("5", kind="delete", route=PEOPLE)
    shop.one("5", kind="delete", route=FIRMS)
    assert shop.found("Account", Name="Own Ltd")["Id"] == own
    assert shop.found("Contact", LastName="Sales")["AccountId"] == own


@pytest.mark.parametrize("how", ["forget", "delete"])
def test_the_account_of_a_customer_who_found_a_company_goes_with_them(shop, how):
    send(shop, 7, None)
    send(shop, 7, "Own Ltd")
    assert account_of(shop, 7) == shop.found("Account", Name="Own Ltd")["Id"]
    if how == "forget":
        forget(shop, 7)
    else:
        for name in (PEOPLE, FIRMS):
            shop.one("7", kind="delete", route=name)
    assert "Ann Lee7" not in {r["Name"] for r in shop.org.records("Account")}


@pytest.mark.parametrize("stays", ["nobody", "sales", "renamed"])
def test_a_company_named_after_its_owner_is_not_left_under_that_name(shop, stays):
    """The owner left it, and is forgotten: nothing that we made bears the name."""
    send(shop, 7, "Ann Lee7, Joiner")
    own = shop.found("Account", Name="Ann Lee7, Joiner")["Id"]
    send(shop, 7, "Beta Ltd")
    send(shop, 7, "ACME Inc")
    if stays == "sales":
        shop.org.org.insert("Contact", {"LastName": "Sales", "AccountId": own})
    if stays == "renamed":
        shop.org.org.objects["Account"].records[own]["Name"] = "Lee7 Woodworks"
    forget(shop, 7)
    there = {a["Id"]: a["Name"] for a in shop.org.records("Account")}
    assert not any("Ann Lee7" in name for name in there.values())
    assert there.get(own) == {"nobody": None, "sales": "Erased", "renamed": "Lee7 Woodworks"}[stays]
    assert "Beta Ltd" in there.values(), "no person's name"
    untouched(shop)


def test_a_company_that_its_owner_left_to_others_keeps_its_name_when_the_owner_is_deleted(shop):
    for n in (7, 8):
        send(shop, n, "Ann Lee7")
    send(shop, 7, "Beta Ltd")
    for name in (PEOPLE, FIRMS):
        shop.one("7", kind="delete", route=name)
    assert shop.found("Account", Name="Ann Lee7")["Id"] == account_of(shop, 8)


def test_a_company_named_after_its_owner_loses_the_name_where_others_work_on_it(shop):
    send(shop, 7, "Ann Lee7")
    own = account_of(shop, 7)
    shop.org.org.insert("Contact", {"LastName": "Sales", "AccountId": own})
    assert forget(shop, 7)["Account"] == "anonymised"
    assert shop.org.org.objects["Account"].records[own]["Name"] == "Erased"


def test_an_account_named_after_a_person_goes_with_them_from_a_company_that_was_there(shop):
    send(shop, 7, None)
    send(shop, 7, "ACME Inc")
    assert account_of(shop, 7) == shop.org.acme
    forget(shop, 7)
    assert "Ann Lee7" not in {r["Name"] for r in shop.org.records("Account")}
    untouched(shop)


def test_overwriting_is_a_setting_and_still_renames_nobody(bench, route, org):
    acme = org.org.insert("Account", {"Name": "ACME Inc", "Phone": "+1 800"})
    crm = bench(route(FIRMS, "Account", match=("Name",), settings={"existing": "overwrite"}))
    for n in (1, 2):
        crm.one(str(n), {"Name": "acme inc", "Phone": f"+1 {n}"}, route=FIRMS)
    crm.one("1", {"Name": "Acme INC", "Phone": "+1 3"}, route=FIRMS)
    record = crm.found("Account")
    assert (record["Id"], record["Name"], record["Phone"]) == (acme, "ACME Inc", "+1 3")
    crm.one("1", {"Name": "Beta", "Phone": "+1 3"}, route=FIRMS)
    assert crm.found("Account", Name="ACME Inc")["Id"] == acme


class TestAdopted:
    """People whom sales knew before the shop did."""

    @pytest.fixture
    def crm(self, bench, person, route, org):
        crm = bench(route(match=("Email",), settings={"on_delete": "delete"}))
        values = {
            "LastName": "Owner",
            "Email": "ann1@shop.test",
            "MailingCity": "Reno",
            "WooId__c": "outlet:customer:9",
        }
        org.org.insert("Contact", values)
        crm.one("1", person(1, Phone="42", MailingCity="Rome"))
        return crm

    def test_what_was_there_stays_and_what_was_missing_is_filled(self, crm):
        record = crm.found("Contact")
        assert (record["LastName"], record["MailingCity"]) == ("Owner", "Reno")
        assert (record["FirstName"], record["Phone"]) == ("Ann1", "42")
        assert record["WooId__c"] == "outlet:customer:9", "another shop's key is never replaced"
        assert set(crm.link("crm_customers", "1").left_out) >= {"LastName", "MailingCity", "WooId__c", "Email"}

    def test_our_own_values_follow_the_shop(self, crm, person):
        crm.one("1", person(1, Phone="43", MailingCity="Bari", Email="moved@shop.test"))
        record = crm.found("Contact")
        assert (record["Phone"], record["MailingCity"]) == ("43", "Reno")
        assert record["Email"] == "moved@shop.test", "the address agreed, so it follows"

    def test_a_value_changed_in_the_org_is_its_own_now(self, crm, person, org):
        org.records("Contact")[0]["Phone"] = "sales knows better"
        crm.one("1", person(1, Phone="43", MailingCity="Rome"))
        assert crm.found("Contact")["Phone"] == "sales knows better"

    def test_emptied_in_the_shop(self, crm, person):
        crm.one("1", person(1, Phone=None, MailingCity=None))
        record = crm.found("Contact")
        assert (record["Phone"], record["MailingCity"]) == (None, "Reno")

    def test_verify_has_nothing_to_say(self, crm):
        link = crm.link("crm_customers", "1")
        (seen,) = crm.sink.read([link])
        assert {n: seen[n] for n in link.fields} == link.fields
        assert seen["LastName"] == "Owner", "the org's value, not ours"

    @pytest.mark.parametrize("how", ["forget", "delete", "leave"])
    def test_letting_go_empties_ours_alone(self, crm, how):
        if how == "forget":
            assert crm.sink.erase(crm.link("crm_customers", "1")).outcome == "released"
        else:
            options = {"on_leave": "delete"} if how == "leave" else {}
            crm.one("1", kind=how, **options)
        record = crm.found("Contact")
        assert (record["LastName"], record["MailingCity"], record["Email"]) == ("Owner", "Reno", "ann1@shop.test")
        assert (record["FirstName"], record["Phone"]) == (None, None)
        assert record["WooId__c"] == "outlet:customer:9"

    def test_an_opt_out_is_told_and_outlives_letting_go(self, crm, person):
        crm.one("1", person(1, Phone="42", HasOptedOutOfEmail=True))
        crm.sink.erase(crm.link("crm_customers", "1"))
        assert crm.found("Contact")["HasOptedOutOfEmail"] is True


def test_two_customers_of_one_contact_part_when_one_changes_the_address(bench, person, route):
    crm = bench(route(match=("WooId__c", "Email")))
    crm.one("1", person(1))
    crm.one("2", person(2, Email="ann1@shop.test"))
    shared = crm.found("Contact")["Id"]
    assert crm.link("crm_customers", "2").shared == 2
    crm.one("1", person(1, Email="own@shop.test"))
    old = crm.org.org.objects["Contact"].records[shared]
    assert old["Email"] == "ann1@shop.test"
    new = crm.found("Contact", Email="own@shop.test")
    assert new["WooId__c"] == "shop:customer:1"
    assert crm.link("crm_customers", "1").remote_id == new["Id"]


class TestLeave:
    """The route no longer wants a record."""

    def test_clear_empties_what_was_written(self, bench, person):
        crm = bench()
        crm.one("1", person(1, Phone="42", HasOptedOutOfEmail=True))
        assert isinstance(crm.one("1", kind="leave", on_leave="clear"), Delivered)
        record = crm.found("Contact")
        assert {record[n] for n in ("FirstName", "Email", "Phone")} == {None}
        assert (record["LastName"], record["WooId__c"]) == ("Lee1", "shop:customer:1"), "required, and the way back"
        assert record["HasOptedOutOfEmail"] is True
        crm.one("1", person(1, Phone="43"))
        assert crm.found("Contact")["Phone"] == "43"

    def test_delete(self, bench, person):
        crm = bench()
        crm.one("1", person(1))
        crm.one("1", kind="leave", on_leave="delete")
        assert crm.org.records("Contact") == []


def test_a_person_is_found_by_key_and_by_address(bench, person, org):
    crm = bench()
    crm.one("1", person(1))
    ours = crm.found("Contact")["Id"]
    theirs = org.org.insert("Contact", {"LastName": "Old", "Email": "ANN1@shop.test"})
    identity = Identity(emails=("ann1@shop.test",), uids=("shop:customer:1",))
    assert {(x.remote_id, x.adopted) for x in crm.sink.find(identity)} == {(ours, False), (theirs, True)}
    assert crm.sink.find(Identity(emails=("nobody@shop.test",), uids=("shop:customer:9",))) == []
