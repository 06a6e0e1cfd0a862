"""The stand-in is as strict as the real org: what it refuses, tests of the sink may rely on."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synccore.http import Client
from synccore.testing import FakeContext
from synccore_salesforce.client import literal
from synccore_salesforce.jobs import _line
from synccore_salesforce.testing import Org
from synccore_salesforce.testing.demo import DEMO
from synccore_salesforce.testing.soql import run

DATA = "/services/data/v67.0"


@pytest.fixture
def call(org):
    """Requests with a session, as any client would send them."""
    with Client(FakeContext(), org.url) as http:
        form = {"grant_type": "client_credentials", "client_id": org.client_id, "client_secret": org.client_secret}
        token = http.post("/services/oauth2/token", form=form).json()
        assert "expires_in" not in token
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        yield lambda method, path, **options: http.request(method, DATA + path, headers=headers, **options)


def contact(n, **fields):
    return {"attributes": {"type": "Contact"}, "LastName": "Lee", "WooId__c": str(n), **fields}


def upsert(call, *records, key="WooId__c"):
    return call("PATCH", f"/composite/sobjects/Contact/{key}", json={"records": list(records)})


class TestSingleUpsert:
    def test_creates_then_updates(self, call):
        first = call("PATCH", "/sobjects/Contact/WooId__c/a%2Fb%201", json={"LastName": "Lee"})
        again = call("PATCH", "/sobjects/Contact/WooId__c/a%2Fb%201", json={"LastName": "Lea"})
        assert (first.status, again.status) == (201, 200)
        assert first.json()["created"] is True

    def test_several_holders(self, call, org):
        org.add_field("Contact", "Loose__c", external_id=True)
        for _ in range(2):
            org.org.insert("Contact", {"LastName": "Lee", "Loose__c": "x"})
        answer = call("PATCH", "/sobjects/Contact/Loose__c/x", json={"LastName": "Lee"})
        assert answer.status == 300
        assert len(answer.json()) == 2

    def test_empty_key(self, call):
        assert call("PATCH", "/sobjects/Contact/WooId__c/", json={"LastName": "Lee"}).status == 405

    def test_unknown_key(self, call):
        assert call("PATCH", "/sobjects/Contact/Nope__c/1", json={"LastName": "Lee"}).status == 404

    def test_key_in_the_body(self, call):
        assert call("PATCH", "/sobjects/Contact/WooId__c/1", json={"WooId__c": "1", "LastName": "x"}).status == 400


class TestCollections:
    def test_rows_fail_alone_in_order_with_status_code(self, call):
        rows = upsert(call, contact(1), contact(2, FirstName="x" * 41), contact(3)).json()
        assert [r["success"] for r in rows] == [True, False, True]
        assert rows[1]["errors"][0]["statusCode"] == "STRING_TOO_LONG"

    def test_one_key_twice(self, call, org):
        rows = upsert(call, contact(1), contact(2), contact(1)).json()
        assert [r["success"] for r in rows] == [False, True, False]
        assert "Duplicate external id specified" in rows[0]["errors"][0]["message"]

    def test_more_than_200(self, call):
        assert upsert(call, *(contact(n) for n in range(201))).status == 400

    def test_unknown_column_spoils_the_request(self, call, org):
        answer = upsert(call, contact(1), contact(2, Nope__c="x"))
        assert answer.status == 400
        assert answer.json()[0]["errorCode"] == "INVALID_FIELD"
        assert org.records("Contact") == []

    def test_more_than_ten_runs_of_types(self, call):
        both = [contact(1), {"attributes": {"type": "Account"}, "Name": "Lee"}] * 6
        assert call("POST", "/composite/sobjects", json={"records": both}).status == 400


def test_hidden_fields_are_not_described(call, org):
    org.org.objects["Contact"].fields["Phone"].hidden = True
    names = {f["name"] for f in call("GET", "/sobjects/Contact/describe").json()["fields"]}
    assert "Phone" not in names
    assert "Email" in names


def test_second_page_carries_the_version(call, org):
    org.page_size = 1
    for n in range(2):
        org.org.insert("Contact", {"LastName": f"L{n}"})
    page = call("GET", "/query", params={"q": "SELECT Id FROM Contact"}).json()
    assert page["nextRecordsUrl"].startswith(DATA)
    assert not page["done"]


@pytest.mark.parametrize(
    "soql",
    [
        "SELECT Nope FROM Contact",
        "SELECT Id FROM Nope",
        "SELECT Id FROM Contact WHERE Email = 'a'b'",
        "SELECT Id FROM Contact WHERE Id IN ('003','x')",
        "SELECT Id FROM Contact WHERE Email IN ('a',)",
        "SELECT Id FROM Contact WHERE Description = 'x'",
        "SELECT Id FROM Contact WHERE HasOptedOutOfEmail = 'true'",
    ],
)
def test_queries_that_are_refused(call, soql):
    assert call("GET", "/query", params={"q": soql}).status == 400


def test_long_addresses_are_refused(call):
    assert call("GET", "/query", params={"q": "x" * 17_000}).status == 414


def test_bulk_job_needs_its_start_and_its_end(call, org):
    spec = {"object": "Contact", "operation": "upsert", "externalIdFieldName": "WooId__c"}
    job = call("POST", "/jobs/ingest", json=spec).json()["id"]
    assert call("GET", f"/jobs/ingest/{job}").json()["state"] == "Open"
    assert call("GET", f"/jobs/ingest/{job}/successfulResults/").status == 400
    put = {"content": "WooId__c,LastName\n1,Lee\n", "method": "PUT", "path": f"/jobs/ingest/{job}/batches"}
    assert call(**put).status == 400, "the type of the content is missing"


class TestStrictness:
    """What a real org does behind a caller's back, or refuses."""

    def test_what_hangs_on_an_account_goes_with_it(self, org):
        account = org.org.insert("Account", {"Name": "Lee"})
        for name, more in (("Contact", {"LastName": "x"}), ("Case", {})):
            org.org.insert(name, {**more, "AccountId": account})
        org.org.remove("Account", account)
        assert (org.records("Contact"), org.records("Case")) == ([], [])

    def test_the_contact_of_a_person_account_goes_with_its_account_alone(self, make_org):
        org = make_org(person_accounts=True).org
        (kind,) = org.records("RecordType")
        account = org.insert("Account", {"LastName": "Lee", "RecordTypeId": kind["Id"]})
        (inside,) = org.records("Contact")
        with pytest.raises(Exception, match="person account"):
            org.remove("Contact", inside["Id"])
        org.remove("Account", account)
        assert org.records("Contact") == []

    def test_a_full_org_takes_changes_and_no_new_records(self, call, org):
        upsert(call, contact(1))
        org.org.storage_full = True
        rows = upsert(call, contact(1, FirstName="Ann"), contact(2)).json()
        assert [r["success"] for r in rows] == [True, False]
        assert rows[1]["errors"][0]["statusCode"] == "STORAGE_LIMIT_EXCEEDED"

    def test_a_hidden_object_is_no_object(self, call, org):
        org.org.objects["Contact"].hidden = True
        assert call("GET", "/sobjects/Contact/describe").status == 404
        assert upsert(call, contact(1)).json()[0]["errorCode"] == "NOT_FOUND"
        answer = call("POST", "/composite/sobjects", json={"records": [contact(1)]})
        assert answer.json()[0]["errorCode"] == "INVALID_TYPE"

    def test_a_checkbox_knows_no_null(self, call):
        (row,) = upsert(call, contact(1, HasOptedOutOfEmail=None)).json()
        assert not row["success"]

    def test_records_of_others_are_not_seen(self, call, org):
        org.org.objects["Contact"].unseen.add(org.org.insert("Contact", {"LastName": "Lee", "WooId__c": "1"}))
        assert call("GET", "/query", params={"q": "SELECT Id FROM Contact"}).json()["records"] == []


class TestComposite:
    """Several requests in one call."""

    def ask(self, call, *parts, **more):
        wanted = [{"method": "GET", "url": f"{DATA}{p}", "referenceId": f"r{n}"} for n, p in enumerate(parts)]
        return call("POST", "/composite", json={"compositeRequest": wanted, **more})

    def test_each_has_its_own_answer_and_all_are_one_call(self, call, org):
        before = org.calls_used
        found = self.ask(call, "/query?q=SELECT+Id+FROM+Contact", "/query?q=nonsense").json()["compositeResponse"]
        assert [f["httpStatusCode"] for f in found] == [200, 400]
        assert org.calls_used - before == 1

    def test_more_than_five_queries(self, call):
        assert self.ask(call, *["/query?q=SELECT+Id+FROM+Contact"] * 6).status == 400

    def test_names_are_letters_and_digits(self, call):
        part = {"method": "GET", "url": f"{DATA}/limits", "referenceId": "a-b"}
        assert call("POST", "/composite", json={"compositeRequest": [part]}).status == 400


def test_orders_begin_as_drafts(org):
    account = org.org.insert("Account", {"Name": "Lee"})
    with pytest.raises(Exception, match="draft"):
        org.org.insert("Order", {"AccountId": account, "EffectiveDate": "2026-01-01", "Status": "Activated"})


def test_any_text_survives_a_query():
    org = Org()
    org.add_field("Contact", "Any__c", length=4000)
    record = org.insert("Contact", {"LastName": "x"})

    @given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60))
    def survives(text):
        org.objects["Contact"].records[record]["Any__c"] = text
        org.touch("Contact", record)
        soql = "SELECT Id FROM Contact WHERE Any__c = " + literal(text)  # noqa: S608  SOQL of the stand-in
        assert len(run(org, soql, deleted=False)) == 1

    survives()


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00")), min_size=1, max_size=6))
def test_any_text_survives_a_cell(cells):
    assert list(csv.reader(io.StringIO(_line([*cells, "end"]), newline=""))) == [[*cells, "end"]]


def test_demo_org_is_ready_to_connect():
    demo = DEMO.start("http://127.0.0.1:1/hooks/shop")
    try:
        assert demo.config["type"] == "salesforce"
        assert demo.routes["crm_customers"]["match"] == ["WooId__c"]
        assert demo.counts() == {"contacts": 0}
    finally:
        demo.close()


def test_no_two_orgs_have_one_id(make_org):
    assert make_org().org.id != make_org().org.id
