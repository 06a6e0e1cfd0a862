"""The stand-in is as strict as Google: each rule is seen to refuse."""

import json
from datetime import timedelta
from http.client import HTTPConnection
from urllib.parse import quote, urlencode

import pytest
from google_help import person_fields


@pytest.fixture
def call(rig):
    """A bare request with the account's token."""
    token = json.loads(rig.context.vault.secrets["oauth"])["access_token"]

    def send(method, path, body=None, token=token, **query):
        connection = HTTPConnection(rig.google.url.removeprefix("http://"), timeout=10)
        try:
            target = quote(path, safe="/:") + (f"?{urlencode(query, doseq=True)}" if query else "")
            sent = None if body is None else json.dumps(body)
            connection.request(method, target, sent, {"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            data = json.loads(answer.read() or b"{}")
        finally:
            connection.close()
        return answer.status, data

    return send


def refused(answer, status, word, text=""):
    code, body = answer
    assert (code, body["error"]["status"]) == (status, word), body
    assert text in body["error"]["message"]


NAME = [{"givenName": "Ann"}]


def test_masks_are_required_and_known(call):
    refused(call("GET", "/v1/people/me/connections"), 400, "INVALID_ARGUMENT", "personFields")
    refused(call("GET", "/v1/people/me/connections", personFields="names,shoes"), 400, "INVALID_ARGUMENT", "shoes")
    refused(call("POST", "/v1/people:createContact", {"names": NAME}), 400, "INVALID_ARGUMENT")
    refused(call("PATCH", "/v1/people/c1:updateContact", {}, updatePersonFields="photos"), 400, "INVALID_ARGUMENT")
    refused(call("GET", "/v1/people/me/connections", personFields="names", sources="ALL"), 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("person", [
    {"names": [*NAME, *NAME]}, {"names": [{}]}, {"nick": "x"}, {"names": [{"shoe": 1}]}, {"names": {"givenName": "A"}},
    {"emailAddresses": [{"value": "x" * 1025}]}, {"events": [{"date": {"month": 13, "day": 1}, "type": "x"}]},
])  # fmt: skip
def test_a_person_that_breaks_a_rule_is_refused(call, person):
    refused(call("POST", "/v1/people:createContact", person, personFields="names"), 400, "INVALID_ARGUMENT")


def test_an_unknown_label_refuses_the_create(call):
    group = [{"contactGroupMembership": {"contactGroupResourceName": "contactGroups/none"}}]
    refused(call("POST", "/v1/people:createContact", {"names": NAME, "memberships": group}, personFields="names"),
            404, "NOT_FOUND")  # fmt: skip


def test_an_update_needs_the_contact_source_and_its_present_etag(call, rig):
    name = rig.google.add(names=NAME)
    person = rig.google.contact(name)
    path, query = f"/v1/{name}:updateContact", {"updatePersonFields": "names", "personFields": "names"}
    refused(call("PATCH", path, {"names": NAME}, **query), 400, "INVALID_ARGUMENT", "etag")
    rig.google.edit(name, names=[{"givenName": "Eve"}])
    stale = {"names": NAME, "etag": person["etag"], "metadata": person["metadata"]}
    refused(call("PATCH", path, stale, **query), 400, "FAILED_PRECONDITION", "etag")
    mixed = {**stale, "metadata": rig.google.contact(name)["metadata"]}
    refused(call("PATCH", path, mixed, **query), 400, "FAILED_PRECONDITION", "etag")


def test_an_update_replaces_whole_fields_and_a_masked_one_that_is_missing_is_cleared(call, rig):
    name = rig.google.add(names=NAME, phoneNumbers=[{"value": "1"}, {"value": "2"}], nicknames=[{"value": "x"}])
    person = rig.google.contact(name)
    body = {"phoneNumbers": [{"value": "3"}], "etag": person["etag"], "metadata": person["metadata"]}
    call("PATCH", f"/v1/{name}:updateContact", body, updatePersonFields="phoneNumbers,nicknames")
    now = rig.google.contact(name)
    assert [p["value"] for p in now["phoneNumbers"]] == ["3"]
    assert "nicknames" not in now
    assert now["names"]


def test_a_batch_takes_two_hundred_and_names_the_bad_ones_and_writes_none(call, rig):
    entry = {"contactPerson": {"names": NAME}}
    refused(call("POST", "/v1/people:batchCreateContacts", {"contacts": [entry] * 201, "readMask": "names"}),
            400, "INVALID_ARGUMENT", "200")  # fmt: skip
    bad = {"contactPerson": {"names": [*NAME, *NAME]}}
    status, body = call("POST", "/v1/people:batchCreateContacts", {"contacts": [entry, bad], "readMask": "names"})
    assert status == 400
    (detail,) = body["error"]["details"]
    assert list(detail["contactErrors"]) == ["1"]
    assert rig.google.contacts() == []


def test_a_batch_without_read_mask_tells_nothing(call):
    entry = {"contactPerson": {"names": NAME}}
    assert call("POST", "/v1/people:batchCreateContacts", {"contacts": [entry], "readMask": ""}) == (200, {})


def test_listing_parameters_must_stay_the_same(call, rig):
    for _ in range(3):
        rig.google.add(names=NAME)
    path, query = "/v1/people/me/connections", {"personFields": "names", "requestSyncToken": "true", "pageSize": 2}
    page = call("GET", path, **query)[1]
    assert "nextSyncToken" not in page
    refused(call("GET", path, **{**query, "pageSize": 1}, pageToken=page["nextPageToken"]), 400, "INVALID_ARGUMENT")
    page = call("GET", path, **query)[1]
    last = call("GET", path, **query, pageToken=page["nextPageToken"])[1]
    token = last["nextSyncToken"]
    refused(call("GET", path, **{**query, "personFields": "names,urls"}, syncToken=token), 400, "INVALID_ARGUMENT")
    rig.clock.advance(timedelta(days=7))
    fresh = json.loads(rig.context.vault.secrets["oauth"])
    assert fresh["refresh_token"]
    rig.sink.check()
    token_now = json.loads(rig.context.vault.secrets["oauth"])["access_token"]
    answer = call("GET", path, **query, syncToken=token, token=token_now)
    refused(answer, 400, "FAILED_PRECONDITION", "Sync token is expired")
    assert answer[1]["error"]["details"][0]["reason"] == "EXPIRED_SYNC_TOKEN"


def test_search_needs_a_warm_up_and_finds_beginnings_only(call, rig):
    rig.google.add(names=NAME, emailAddresses=[{"value": "ann@shop.test"}])
    query = {"readMask": "names", "pageSize": 30}
    assert call("GET", "/v1/people:searchContacts", query="ann", **query)[1] == {}
    call("GET", "/v1/people:searchContacts", query="", **query)
    assert call("GET", "/v1/people:searchContacts", query="ann", **query)[1] == {}  # the cache takes a moment to fill
    rig.clock.advance(timedelta(seconds=3))
    rig.google.add(names=NAME, emailAddresses=[{"value": "ann2@shop.test"}])  # nor does it follow by itself
    assert len(call("GET", "/v1/people:searchContacts", query="ann", **query)[1]["results"]) == 1
    assert call("GET", "/v1/people:searchContacts", query="shop", **query)[1] == {}
    refused(call("GET", "/v1/people:searchContacts", query="a", readMask="names", pageSize=31), 400, "INVALID_ARGUMENT")


def test_a_label_name_is_taken_once_whatever_its_capitals(call):
    assert call("POST", "/v1/contactGroups", {"contactGroup": {"name": "A"}})[0] == 200
    refused(call("POST", "/v1/contactGroups", {"contactGroup": {"name": "a"}}), 409, "ALREADY_EXISTS")


def test_a_contact_keeps_its_last_label(call, rig):
    name = rig.google.add(names=NAME)
    body = {"resourceNamesToRemove": [name, "people/none"]}
    answer = call("POST", "/v1/contactGroups/myContacts/members:modify", body)[1]
    assert answer == {"notFoundResourceNames": ["people/none"], "canNotRemoveLastContactGroupResourceNames": [name]}


def test_quotas_are_counted_by_what_a_call_costs(rigs):
    rig = rigs(quota={"critical_write": 30, "critical_read": 60})
    rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(7)])
    assert rig.google.quota.used["critical_write"] == 6
    assert rig.google.quota.used["daily"] == 200
    rig.google.quota.limits["critical_write"] = 6
    token = json.loads(rig.context.vault.secrets["oauth"])["access_token"]
    assert rig.google.sign_in.grant_of(token)


def test_without_or_with_an_old_token_nothing_is_told(call):
    refused(call("GET", "/v1/contactGroups", token="none"), 401, "UNAUTHENTICATED")


def test_what_is_not_google_is_not_found(call):
    refused(call("GET", "/v1/otherContacts"), 404, "NOT_FOUND")
