"""Contacts, labels and records that are not as expected."""

from datetime import timedelta

import pytest
from google_help import person_fields, values

from synccore.errors import ConfigError, Conflict, RateLimited, Rejected, Transient
from synccore.testing import Fault
from synccore.types import Delivered, Failed, Unchanged
from synccore_google_contacts.match.search import WARM_UP

STALE = {"error": {"code": 400, "status": "FAILED_PRECONDITION", "message": "Request person.etag is different than "
         "the current person.etag. Clear local cache and get the latest person."}}  # fmt: skip

QUOTA = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded."}}


def updates(request):
    return request.path.endswith(("updateContact", "batchUpdateContacts"))


@pytest.mark.parametrize("count", [1, 30])
def test_a_contact_the_owner_edited_is_read_anew_and_merged(rig, count):
    rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(count)])
    name = rig.links["shop:0"].remote_id
    rig.google.edit(name, relations=[{"person": "Eve", "type": "spouse"}], nicknames=[{"value": "Annie"}])
    outcomes = rig.deliver(*[rig.op(n, **person_fields(n, company="Acme")) for n in range(count)])
    assert all(isinstance(o, Delivered) for o in outcomes)
    person = rig.google.contact(name)
    assert values(person, "organizations", "name") == ["Acme"]
    assert values(person, "nicknames") == ["Annie"]
    assert values(person, "relations", "person") == ["Eve"]


def test_a_conflict_that_comes_back_is_retried_with_pauses(rig):
    rig.put(1, **person_fields(1))
    rig.google.fail_next(*[Fault.status(400, STALE, when=updates) for _ in range(5)])
    assert isinstance(rig.put(1, **person_fields(1, company="Acme")), Delivered)
    pauses = [round(p.total_seconds()) for p in rig.clock.slept if p != WARM_UP]
    assert len(pauses) == 4
    assert pauses == sorted(pauses)
    assert 14 <= sum(pauses) <= 22


def test_a_conflict_without_end_is_handed_back(rig):
    rig.put(1, **person_fields(1))
    rig.google.fail_next(*[Fault.status(400, STALE, when=updates) for _ in range(50)])
    outcome = rig.put(1, **person_fields(1, company="Acme"))
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, Conflict)


def test_a_batch_that_conflicts_without_naming_whom_is_read_anew(rig):
    rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(20)])
    rig.google.fail_next(Fault.status(400, STALE, when=updates))
    outcomes = rig.deliver(*[rig.op(n, **person_fields(n, company="Acme")) for n in range(20)])
    assert all(isinstance(o, Delivered) for o in outcomes)


def test_a_contact_the_owner_deleted_comes_back_with_the_next_change_and_once(rig):
    made = rig.put(1, **person_fields(1))
    rig.google.remove(made.remote_id)
    assert isinstance(rig.put(1, **person_fields(1)), Unchanged)
    assert rig.google.contacts() == []
    again = rig.put(1, **person_fields(1, company="Acme"))
    assert isinstance(again, Delivered)
    assert again.remote_id != made.remote_id
    rig.clock.advance(timedelta(hours=1))
    third = rig.put(1, **person_fields(1, company="Best"))
    assert third.remote_id == again.remote_id
    assert len(rig.google.contacts()) == 1
    assert rig.google.contacts()[0]["names"][0]["givenName"] == "Ann1"


def test_deletion_seen_in_the_listing_is_followed_too(rig):
    made = rig.put(1, **person_fields(1))
    rig.google.remove(made.remote_id)
    rig.clock.advance(timedelta(minutes=6))
    assert rig.sink.lookup([rig.op(2, **person_fields(1))]) == [None]
    assert rig.put(1, **person_fields(1, company="Acme")).remote_id != made.remote_id


@pytest.mark.parametrize("seen", [True, False])
def test_a_renamed_contact_is_followed(rig, seen):
    made = rig.put(1, **person_fields(1))
    later = rig.google.rename(made.remote_id)
    if seen:
        rig.clock.advance(timedelta(minutes=6))
    outcome = rig.put(1, **person_fields(1, given_name="Zoe"))
    assert outcome.remote_id == later
    assert rig.google.contact(later)["names"][0]["givenName"] == "Zoe"
    assert len(rig.google.contacts()) == 1


def rest_goes_again(rig, outcomes, count):
    """Google may have written the mates of a refused entry: they are sent when the listing would show them."""
    rig.clock.advance(timedelta(seconds=31))
    waiting = [
        n for n in range(count) if isinstance(outcomes[n], Failed) and isinstance(outcomes[n].error, RateLimited)
    ]
    again = rig.deliver(*[rig.op(n, **person_fields(n)) for n in waiting])
    assert all(isinstance(o, Delivered | Unchanged) for o in again)


def test_one_refused_record_stands_alone_with_googles_words(rig):
    rig.google.refuse = lambda p: "Bad nickname." if values(p, "nicknames") == ["poison"] else None
    outcomes = rig.deliver(*[
        rig.op(n, **person_fields(n, **({"nickname": "poison"} if n == 77 else {}))) for n in range(200)
    ])  # fmt: skip
    failed = [o for o in outcomes if isinstance(o, Failed) and not isinstance(o.error, RateLimited)]
    assert len(failed) == 1
    assert failed[0] is outcomes[77]
    assert isinstance(failed[0].error, Rejected)
    assert "Bad nickname." in failed[0].error.message
    rest_goes_again(rig, outcomes, 200)
    assert len(rig.google.contacts()) == 199
    assert rig.writes() == 2
    # The refusal left no doubt behind: the corrected record goes out at once.
    assert isinstance(rig.put(77, **person_fields(77)), Delivered)


def test_a_batch_refused_without_naming_anybody_is_halved(rig):
    rig.google.refuse = lambda p: "Bad." if values(p, "nicknames") == ["poison"] else None
    refusal = {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "Request contains an invalid argument."}}
    rig.google.fail_next(Fault.status(400, refusal, when=lambda r: "batchCreate" in r.path))
    outcomes = rig.deliver(*[
        rig.op(n, **person_fields(n, **({"nickname": "poison"} if n == 7 else {}))) for n in range(20)
    ])  # fmt: skip
    assert [n for n, o in enumerate(outcomes) if isinstance(o, Failed) and isinstance(o.error, Rejected)] == [7]
    rest_goes_again(rig, outcomes, 20)
    assert len(rig.google.contacts()) == 19


@pytest.mark.parametrize("lag", [0, 20])
def test_a_batch_whose_mates_were_written_all_the_same_doubles_none(rigs, lag):
    rig = rigs(lag=timedelta(seconds=lag))
    errors = {"3": {"code": 3, "message": "Bad."}}
    body = {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "Request contains an invalid argument.",
            "details": [{"@type": "type.googleapis.com/google.people.v1.BatchCreateContactsErrorDetails",
                         "contactErrors": errors}]}}  # fmt: skip
    rig.google.fail_next(Fault.commit_then_status(400, body, when=lambda r: "batchCreate" in r.path))
    outcomes = rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(20)])
    assert isinstance(outcomes[3].error, Rejected)
    rest_goes_again(rig, outcomes, 20)
    assert len(rig.google.contacts()) == 20


def test_one_refused_update_stands_alone(rig):
    rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(20)])
    rig.google.refuse = lambda p: "Bad." if values(p, "nicknames") == ["poison"] else None
    outcomes = rig.deliver(*[rig.op(n, **person_fields(n, nickname="poison" if n == 7 else "ok")) for n in range(20)])
    assert [n for n, o in enumerate(outcomes) if isinstance(o, Failed)] == [7]
    assert sum(values(p, "nicknames") == ["ok"] for p in rig.google.contacts()) == 19


@pytest.mark.parametrize("count", [1, 20])
def test_a_label_the_owner_deleted_is_made_again(rig, count):
    rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(10)])
    rig.google.remove_group("Customers")
    outcomes = rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(10, 10 + count)])
    assert all(isinstance(o, Delivered) for o in outcomes)
    assert len(rig.google.members("Customers")) == count


def test_a_label_the_owner_renamed_is_still_used(rig):
    made = rig.put(1, **person_fields(1))
    key = next(k for k, g in rig.google.groups.items() if g.name == "Customers")
    rig.google.groups[key].name = "Shop people"
    rig.context.state("1001").put({"label:Customers": None})
    second = rig.put(2, **person_fields(2))
    assert rig.google.members("Shop people") == {made.remote_id, second.remote_id}
    assert len(rig.google.groups) == 3


def modifies(request):
    return request.path.endswith("members:modify")


@pytest.mark.parametrize("fault", [Fault.status(503, when=modifies), Fault.status(429, QUOTA, when=modifies)])
def test_a_label_that_could_not_be_put_on_for_now_is_put_on_later(rig, fault):
    """A contact that has its fields is not done."""
    there = rig.google.add(emailAddresses=[{"value": person_fields(1)["email"]}])
    rig.google.fail_next(fault)
    (first,) = rig.deliver(rig.op(1, **person_fields(1)))
    assert isinstance(first, Failed)
    assert first.partly
    rig.context.clock.advance(timedelta(minutes=5))
    assert rig.put(1, **person_fields(1)).remote_id == there
    assert rig.google.members("Customers") == {there}


def test_a_label_that_could_not_be_taken_off_for_now_is_taken_off_later(rig):
    made = rig.put(1, **person_fields(1))
    rig.google.fail_next(Fault.status(503, when=modifies))
    assert isinstance(rig.leave(1, "clear"), Failed)
    rig.context.clock.advance(timedelta(minutes=5))
    assert isinstance(rig.leave(1, "clear"), Delivered)
    assert rig.google.members("Customers") == set()
    assert rig.google.members("myContacts") == {made.remote_id}


def test_a_label_of_that_name_is_used_whoever_made_it(rigs):
    from synccore_google_contacts.testing.book import Group

    rig = rigs()
    rig.google.groups["contactGroups/77"] = Group("Customers")
    made = rig.put(1, **person_fields(1))
    assert rig.google.members("Customers") == {made.remote_id}
    assert "contactGroups/77" in rig.google.groups
    assert rig.google.count("POST", "/v1/contactGroups") == 0


def test_a_label_with_other_capitals_is_found_after_the_conflict(rigs):
    from synccore_google_contacts.testing.book import Group

    rig = rigs()
    rig.google.groups["contactGroups/77"] = Group("CUSTOMERS")
    made = rig.put(1, **person_fields(1))
    assert rig.google.members("CUSTOMERS") == {made.remote_id}


def test_a_label_google_refuses_stops_the_sink_and_parks_nobody(rig):
    body = {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "Bad name."}}
    rig.google.fail_next(Fault.status(400, body, when=lambda r: r.method == "POST" and r.path == "/v1/contactGroups"))
    outcomes = rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(3)])
    assert all(isinstance(o.error, ConfigError) for o in outcomes)
    assert rig.google.contacts() == []


def test_a_route_can_have_a_label_of_its_own_or_none(rig):
    (vip,) = rig.deliver(rig.op(1, settings={"label": "VIP"}, **person_fields(1)))
    (bare,) = rig.deliver(rig.op(2, settings={"label": ""}, **person_fields(2)))
    assert rig.google.members("VIP") == {vip.remote_id}
    assert bare.remote_id in rig.google.members("myContacts")
    assert "Customers" not in {g.name for g in rig.google.groups.values()}


def test_a_label_the_owner_took_off_is_not_put_on_again(rig):
    made = rig.put(1, **person_fields(1))
    mine = [{"contactGroupMembership": {"contactGroupResourceName": "contactGroups/myContacts"}}]
    rig.google.edit(made.remote_id, memberships=mine)
    rig.put(1, **person_fields(1, company="Acme"))
    assert rig.google.members("Customers") == set()


def test_a_full_account_refuses_creates_and_still_takes_updates(rigs):
    rig = rigs(capacity=12)
    rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(10)])
    outcomes = rig.deliver(
        *[rig.op(n, **person_fields(n)) for n in range(10, 20)], rig.op(1, **person_fields(1, company="Acme"))
    )
    assert all(isinstance(o.error, Rejected) for o in outcomes[:10])
    assert "25,000" in outcomes[0].error.message
    assert isinstance(outcomes[10], Delivered)
    assert any("full" in f.message for f in rig.sink.check().findings)
    # Whoever makes room and retries is believed at once.
    rig.google.capacity = 100
    assert isinstance(rig.put(30, **person_fields(30)), Delivered)


def test_an_unknown_field_is_refused_by_name_and_stops_nobody_else(rig):
    outcomes = rig.deliver(rig.op(1, **person_fields(1, shoe_size="44")), rig.op(2, **person_fields(2)))
    assert isinstance(outcomes[0], Failed)
    assert outcomes[0].error.fields == ("shoe_size",)
    assert isinstance(outcomes[1], Delivered)


def answer(code, status, message):
    return {"error": {"code": code, "status": status, "message": message}}


def test_a_conflict_by_number_is_read_anew_and_merged(rig):
    rig.put(1, **person_fields(1))
    rig.google.fail_next(Fault.status(409, answer(409, "ALREADY_EXISTS", "Conflict."), when=updates))
    assert isinstance(rig.put(1, **person_fields(1, company="Acme")), Delivered)


def test_mutations_that_met_are_sent_again(rig):
    rig.put(1, **person_fields(1))
    rig.google.fail_next(Fault.status(409, answer(409, "ABORTED", "Concurrent mutations."), when=updates))
    assert isinstance(rig.put(1, **person_fields(1, company="Acme")).error, Transient)
    assert isinstance(rig.put(1, **person_fields(1, company="Acme")), Delivered)


def test_a_contact_that_is_gone_for_good_is_looked_for_like_one_not_found(rig):
    made = rig.put(1, **person_fields(1))
    later = rig.google.rename(made.remote_id)
    rig.google.fail_next(Fault.status(410, answer(410, "NOT_FOUND", "Gone."), when=updates))
    assert rig.put(1, **person_fields(1, company="Acme")).remote_id == later


@pytest.mark.parametrize(("code", "status"), [(410, "GONE"), (400, "INVALID_ARGUMENT")])
def test_a_sync_token_refused_in_whatever_words_leads_to_a_full_listing(rig, code, status):
    rig.put(1, **person_fields(1))
    body = answer(code, status, "Sync token is invalid.")
    rig.google.fail_next(Fault.status(code, body, when=lambda r: r.param("syncToken") is not None))
    assert isinstance(rig.put(2, **person_fields(2)), Delivered)


@pytest.mark.parametrize("code", [405, 408, 413, 421, 425])
def test_refusals_of_what_stands_between_park_nobody(rig, code):
    rig.google.fail_next(Fault.status(code, answer(code, "", "No."), when=lambda r: "createContact" in r.path))
    assert isinstance(rig.put(1, **person_fields(1)).error, Transient)
    assert isinstance(rig.put(1, **person_fields(1)), Delivered)
