"""Answers that are JSON (or a table) and not Salesforce's: tried again, in words that hold nothing of anybody."""

from functools import partial

import pytest

from synccore.errors import SynccoreError, Transient
from synccore.testing import Fault, replaced
from synccore.types import Delivered, Failed, Submitted

RECORD = ("records", 0)


def to(method, part):
    return lambda r: r.method == method and part in r.path


@pytest.fixture
def crm(bench, person):
    """An org with somebody in it."""
    made = bench()
    made.one("1", person(1))
    return made


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ((), [], "the whole is a list, not an object"),
        (("records",), None, "records is null, not a list"),
        (("records",), {}, "records is an object, not a list"),
        (RECORD, "ann1@shop.test", "records[0] is a text, not an object"),
        ((*RECORD, "Id"), None, "records[0].Id is null, not a text"),
        ((*RECORD, "Id"), ["003"], "records[0].Id is a list, not a text"),
        ((*RECORD, "Email"), ["ann1@shop.test"], "records[0].Email is a list, not a text"),
        ((*RECORD, "Email"), {"value": "ann1@shop.test"}, "records[0].Email is an object, not a text"),
        (("nextRecordsUrl",), 7, "nextRecordsUrl is a whole number, not a text"),
        (("nextRecordsUrl",), "https://elsewhere.test/", "nextRecordsUrl is not the address of a page"),
    ],
)
def test_records_of_another_shape_are_not_read(crm, path, value, said):
    link = crm.links["crm_customers", "1"]
    crm.org.fail_next(Fault.altered(replaced(path, value), when=to("GET", "/query")))
    with pytest.raises(Transient) as caught:
        crm.sink.read([link])
    assert f"another answer than asked for: {said}" in caught.value.message
    assert "ann1" not in str(caught.value)
    assert crm.sink.read([link])[0]["Email"] == "ann1@shop.test"


def without(name):
    def change(body):
        return {**body, "records": [{n: v for n, v in r.items() if n != name} for r in body["records"]]}

    return change


@pytest.mark.parametrize("name", ["Id", "Email", "WooId__c", "FirstName"])
def test_a_column_that_is_missing_is_not_an_empty_one(bench, route, person, name):
    """What must not be overwritten may stand in it."""
    crm = bench(route(match=("WooId__c", "Email")))
    crm.org.org.insert("Contact", {"LastName": "Owner", "FirstName": "Olive", "Email": "ann1@shop.test"})
    crm.org.fail_next(Fault.altered(without(name), when=to("GET", "/query")))
    with pytest.raises(Transient, match=rf"records\[0\]\.{name} is missing"):
        crm.one("1", person(1))
    assert isinstance(crm.one("1", person(1)), Delivered)
    assert crm.found("Contact")["FirstName"] == "Olive"


RESULT = (0,)


@pytest.mark.parametrize(
    ("path", "value"),
    [((), {}), ((), 7), ((), []), (RESULT, None), (RESULT, True), ((0, "success"), "true"), ((0, "success"), None),
     ((0, "id"), None), ((0, "id"), 7), ((0, "id"), ""), ((0, "errors"), 7), ((0, "errors"), [7])],
)  # fmt: skip
def test_a_write_whose_answer_cannot_be_read_may_be_carried_out(bench, person, path, value):
    crm = bench()
    crm.org.fail_next(Fault.altered(replaced(path, value), when=to("PATCH", "/composite")))
    with pytest.raises(Transient) as caught:
        crm.one("1", person(1))
    assert caught.value.maybe_applied
    assert isinstance(crm.one("1", person(1), maybe_applied=True), Delivered)
    assert len(crm.org.records("Contact")) == 1


PARTS = ("compositeResponse", 1)


@pytest.mark.parametrize(
    ("path", "value"),
    [((), []), (("compositeResponse",), None), (("compositeResponse",), {}), (PARTS, 7), ((*PARTS, "referenceId"), 1),
     ((*PARTS, "httpStatusCode"), "200"), ((*PARTS, "body"), {}), ((*PARTS, "body"), 7)],
)  # fmt: skip
def test_of_several_collections_those_that_cannot_be_read_may_be_carried_out(crm, person, path, value):
    operations = [crm.op("1", person(1, FirstName="Ada")), *(crm.op(str(n), person(n)) for n in (2, 3))]
    crm.org.fail_next(Fault.altered(replaced(path, value), when=to("POST", "/composite")))
    try:
        outcomes = crm.deliver(*operations)
    except Transient as error:
        outcomes = [Failed(error)] * 3
    failed = [one.error for one in outcomes if isinstance(one, Failed)]
    assert failed
    assert all(isinstance(error, Transient) and error.maybe_applied for error in failed)
    assert all(isinstance(one, Delivered) or not isinstance(one, Failed) for one in crm.deliver(
        *(crm.op(str(n), person(n, **({"FirstName": "Ada"} if n == 1 else {})), maybe_applied=True) for n in (1, 2, 3))
    ))  # fmt: skip
    assert len(crm.org.records("Contact")) == 3


FIELD = ("fields", 0)


@pytest.mark.parametrize(
    ("path", "value"),
    [((), []), (("name",), None), (("fields",), None), (("fields",), {}), (FIELD, 7), ((*FIELD, "name"), None),
     ((*FIELD, "length"), "18"), ((*FIELD, "picklistValues"), {}), ((*FIELD, "picklistValues"), [7]),
     ((*FIELD, "picklistValues"), [{"value": None}]), ((*FIELD, "picklistValues"), [{"value": "a", "validFor": "a"}]),
     ((*FIELD, "referenceTo"), "Account"), ((*FIELD, "relationshipName"), 7)],
)  # fmt: skip
def test_an_object_of_another_shape_is_described_again(bench, person, path, value):
    crm = bench()
    crm.org.fail_next(Fault.altered(replaced(path, value), when=to("GET", "/describe")))
    with pytest.raises(Transient, match="another answer than asked for"):
        crm.one("1", person(1))
    assert isinstance(crm.one("1", person(1)), Delivered)


@pytest.mark.parametrize("daily", [7, [], "all", {"Max": "5000"}, {"Max": 5000, "Remaining": []}])
def test_limits_of_another_shape_are_asked_for_again(crm, daily):
    crm.org.fail_next(Fault.altered(replaced(("DailyApiRequests",), daily), when=to("GET", "/limits")))
    with pytest.raises(Transient, match=r"asked for: DailyApiRequests.* is "):
        crm.sink.check()
    assert crm.sink.check().account


@pytest.mark.parametrize("body", [[], 7, {"preferred_username": 7}])
def test_a_user_of_another_shape_has_no_name(crm, body):
    crm.org.fail_next(Fault.status(200, body, when=to("GET", "/userinfo")))
    assert crm.sink.check().account


@pytest.mark.parametrize(
    "body",
    [7, "no", [7], [None], {}, [{"errorCode": 7}], [{"errorCode": "X", "fields": 7}],
     [{"errorCode": "X", "message": []}],
     [{"errorCode": "X", "duplicateResut": {"matchResults": 7}}],
     [{"errorCode": "X", "duplicateResut": {"matchResults": [{"matchRecords": [{"record": {"Id": []}}]}]}}]],
)  # fmt: skip
@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_a_refusal_of_another_shape_is_no_bug(crm, person, body, status):
    crm.org.fail_next(Fault.status(status, body, when=to("PATCH", "/composite")))
    with pytest.raises(SynccoreError):
        raise crm.one("1", person(1, FirstName="Ada")).error
    assert isinstance(crm.one("1", person(1, FirstName="Ada")), Delivered)


# -- jobs


def backlog(crm, person):
    return [crm.op(str(n), person(n), bulk=True) for n in range(210)]


@pytest.fixture
def bulk(bench):
    return partial(bench, bulk_threshold=200)()


@pytest.mark.parametrize(("path", "value"), [((), []), (("id",), None), (("id",), 7), (("id",), "")])
def test_a_job_that_has_no_id_is_made_again(bulk, person, path, value):
    bulk.org.fail_next(Fault.altered(replaced(path, value), when=to("POST", "/jobs/ingest")))
    operations = backlog(bulk, person)
    with pytest.raises(Transient) as caught:
        bulk.deliver(*operations)
    assert caught.value.maybe_applied
    bulk.collect(operations, bulk.deliver(*operations))
    assert len(bulk.org.records("Contact")) == len(operations)


@pytest.mark.parametrize(("path", "value"), [((), []), (("state",), None), (("state",), 7), (("errorMessage",), [])])
def test_a_job_that_is_at_nothing_known_is_asked_again(bulk, person, path, value):
    operations = backlog(bulk, person)
    outcomes = bulk.deliver(*operations)
    assert {type(one) for one in outcomes} == {Submitted}
    bulk.org.fail_next(Fault.altered(replaced(path, value), when=to("GET", "/jobs/ingest")))
    with pytest.raises(Transient, match="another answer than asked for"):
        bulk.collect(operations, outcomes)
    assert all(isinstance(one, Delivered) for one in bulk.collect(operations, outcomes))


@pytest.mark.parametrize(
    "table",
    [b'{"records": []}', b"<html></html>\n", b"sf__Id,sf__Created\n003", b'sf__Id,sf__Created\n"003', b"sf__Id\n\xff\n",
     b"sf__Id,sf__Created\n003,true,more\n", b"sf__Id\n" + b"x" * 200_000 + b"\n"],
)  # fmt: skip
def test_results_of_a_job_that_are_no_such_table_are_read_again(bulk, person, table):
    operations = backlog(bulk, person)
    outcomes = bulk.deliver(*operations)
    bulk.org.fail_next(Fault.status(200, table, when=to("GET", "/successfulResults")))
    with pytest.raises(Transient) as caught:
        bulk.collect(operations, outcomes)
    assert "003" not in str(caught.value)
    assert all(isinstance(one, Delivered) for one in bulk.collect(operations, outcomes))


def test_a_record_without_a_date_is_somebody_elses_and_keeps_nobody_waiting(make_org, bench, route, person):
    at = make_org()
    at.org.objects["Contact"].fields.pop("WooId__c", None)
    crm = bench(route(match=("Email",)), at=at)
    crm.org.org.insert("Contact", {"Email": "ann1@shop.test", "CreatedDate": None}, raw=True)
    assert isinstance(crm.one("1", person(1), maybe_applied=True), Delivered)
