"""Profiles one by one: what is sent, what is refused, and whose profile it is."""

from datetime import timedelta
from decimal import Decimal

import pytest
from attrs import evolve

from synccore.errors import AuthError, RateLimited, Rejected, Transient
from synccore.testing import Fault
from synccore.types import Ambiguous, Delivered, Failed, FieldOptions, Link


def one(sink, op):
    (outcome,) = sink.deliver([op])
    return outcome


def test_a_customer_becomes_a_profile(sink, klaviyo, operation):
    fields = {
        "email": "Anna@Shop.Test",
        "first_name": "Anna",
        "phone_number": "+4915123456789",
        "location": {"city": "Köln", "country": "DE"},
        "properties": {"woo_is_member": True, "woo_total": Decimal("12.50")},
        "Favourite": "blue",
    }
    outcome = one(sink, operation(fields=fields))
    person = klaviyo.person("anna@shop.test")
    held = {**fields, "email": "anna@shop.test"}
    assert outcome == Delivered(remote_id=person.id, fields=held, adopted=False)
    assert person.attributes["first_name"] == "Anna"
    assert person.location == {"city": "Köln", "country": "DE"}
    assert person.properties == {"woo_is_member": True, "woo_total": 12.5, "Favourite": "blue"}


def test_the_bodies_fit_the_published_schema(sink, klaviyo, operation, validate):
    one(sink, operation(fields={"email": "a@shop.test", "title": None, "properties": {"a": 1}}))
    assert validate(klaviyo) == 1


def test_a_linked_profile_is_updated_in_place_when_the_address_changes(sink, klaviyo, operation):
    person = klaviyo.add_person(email="old@shop.test")
    op = operation(fields={"email": "new@shop.test"}, previous={"email": "old@shop.test"}, remote_id=person.id)
    assert one(sink, op).remote_id == person.id
    assert klaviyo.person("new@shop.test") is person
    assert len(klaviyo.store.people) == 1


def test_a_bad_phone_is_left_out_and_the_record_goes(sink, klaviyo, operation):
    outcome = one(sink, operation(fields={"email": "a@shop.test", "phone_number": "0151 / 12"}))
    assert isinstance(outcome, Delivered)
    assert outcome.left_out == {"phone_number": "not a valid number in E.164 form"}
    assert "phone_number" not in outcome.fields
    assert "phone_number" not in klaviyo.person("a@shop.test").attributes


@pytest.mark.parametrize("number", ["+49151234", "+1555", "+999123456789", "0151123", "+44 20 7946"])
def test_phones_that_cannot_exist_never_leave(sink, klaviyo, operation, number):
    one(sink, operation(fields={"email": "a@shop.test", "phone_number": number}))
    assert "phone_number" not in klaviyo.person("a@shop.test").attributes


@pytest.mark.parametrize(
    ("email", "said"),
    [
        ("someone@example.com", "test domain"),
        ("someone@mail.test.com", "test domain"),
        ("no address", "not valid"),
        ("a@b", "not valid"),
        ("two..dots@shop.test", "not valid"),
        ("x" * 95 + "@shop.test", "longer than 100"),
    ],
)
def test_addresses_that_would_vanish_are_refused_visibly(sink, klaviyo, operation, email, said):
    outcome = one(sink, operation(fields={"email": email}))
    assert isinstance(outcome.error, Rejected)
    assert said in outcome.error.message
    assert outcome.error.fields == ("email",)
    assert klaviyo.count("POST") == 0


def test_without_an_address_nobody_is_made(sink, klaviyo, operation):
    assert isinstance(one(sink, operation(fields={"first_name": "Anna"})).error, Rejected)
    assert klaviyo.requests == []


def test_a_refused_record_leaves_the_others_alone(sink, klaviyo, operation):
    good, bad = operation(fields={"email": "a@shop.test"}), operation(fields={"email": "b@test.com"}, key="13")
    outcomes = sink.deliver([bad, good])
    assert [type(o) for o in outcomes] == [Failed, Delivered]


def test_vanished_properties_are_unset(sink, klaviyo, operation):
    person = klaviyo.add_person(
        email="a@shop.test", properties={"woo_plan_gold_status": "active", "woo_plan_silver_status": "paused", "own": 1}
    )
    before = {
        "email": "a@shop.test",
        "properties": {"woo_plan_gold_status": "active", "woo_plan_silver_status": "paused"},
    }
    after = {"email": "a@shop.test", "properties": {"woo_plan_gold_status": "expired"}}
    one(sink, operation(fields=after, previous=before, remote_id=person.id))
    assert person.properties == {"woo_plan_gold_status": "expired", "own": 1}


def test_a_cleared_property_is_unset_and_a_cleared_attribute_is_null(sink, klaviyo, operation):
    person = klaviyo.add_person(email="a@shop.test", title="Dr", properties={"Favourite": "blue"})
    fields = {"email": "a@shop.test", "title": None, "Favourite": None}
    one(sink, operation(fields=fields, previous={"email": "a@shop.test"}, remote_id=person.id))
    assert "title" not in person.attributes
    assert person.properties == {}


def test_a_part_of_the_address_that_is_gone_is_emptied(sink, klaviyo, operation):
    person = klaviyo.add_person(email="a@shop.test", location={"address2": "Back yard", "city": "Köln", "region": "NW"})
    before = {"email": "a@shop.test", "location": {"address2": "Back yard", "city": "Köln"}}
    fields = {"email": "a@shop.test", "location": {"city": "Bonn"}}
    one(sink, operation(fields=fields, previous=before, remote_id=person.id))
    assert person.location == {"city": "Bonn", "region": "NW"}


def test_what_the_target_holds_is_kept_where_the_field_says_so(sink, klaviyo, operation):
    person = klaviyo.add_person(email="a@shop.test", first_name="Annabel", properties={"Favourite": "red"})
    keep = FieldOptions(keep_existing=True)
    fields = {"email": "a@shop.test", "first_name": "Anna", "last_name": "Ax", "Favourite": "blue"}
    options = {"first_name": keep, "last_name": keep, "Favourite": keep}
    one(sink, operation(fields=fields, options=options))
    assert (person.attributes["first_name"], person.attributes["last_name"]) == ("Annabel", "Ax")
    assert person.properties == {"Favourite": "red"}


def test_a_phone_that_is_somebody_elses_is_left_out(sink, klaviyo, operation):
    other = klaviyo.add_person(email="b@shop.test", phone_number="+4915123456789")
    outcome = one(sink, operation(fields={"email": "a@shop.test", "phone_number": "+4915123456789"}))
    assert outcome.remote_id == klaviyo.person("a@shop.test").id != other.id
    assert outcome.left_out == {"phone_number": "it belongs to another profile"}
    assert other.attributes["phone_number"] == "+4915123456789"


def test_a_number_that_was_sent_without_an_answer_goes_with_one_that_is_somebody_elses(sink, klaviyo, operation):
    klaviyo.add_person(email="b@shop.test", phone_number="+4915123456789")
    mine = klaviyo.add_person(email="a@shop.test", phone_number="+4915123456780")
    op = operation(
        fields={"email": "a@shop.test", "phone_number": "+4915123456789"},
        previous={"email": "a@shop.test"},
        remote_id=mine.id,
        maybe_applied=True,
    )
    asked = {"email": "a@shop.test", "phone_number": "+4915123456780"}
    outcome = one(sink, evolve(op, link=evolve(op.link, asked=asked)))
    assert outcome.left_out == {"phone_number": "it belongs to another profile"}
    assert mine.attributes.get("phone_number") is None


def test_a_new_address_that_has_a_profile_moves_the_link_there(sink, klaviyo, operation):
    linked, owner = klaviyo.add_person(email="old@shop.test"), klaviyo.add_person(email="new@shop.test")
    op = operation(
        fields={"email": "new@shop.test", "first_name": "Anna"},
        previous={"email": "old@shop.test"},
        remote_id=linked.id,
    )
    outcome = one(sink, op)
    assert outcome.remote_id == owner.id
    assert owner.attributes["first_name"] == "Anna"
    assert "has a profile already" in outcome.note
    assert linked.id in klaviyo.store.people


@pytest.fixture
def merging(klaviyo, operation):
    """Somebody who gets an address that has a profile: the operation, the profile they have, the other one."""
    linked = klaviyo.add_person(email="old@shop.test", properties={"Colour": "red", "Size": "M"})
    owner = klaviyo.add_person(email="new@shop.test")
    op = operation(
        fields={"email": "new@shop.test", "Size": "L", "Colour": None},
        previous={"email": "old@shop.test", "Colour": "red", "Size": "M"},
        remote_id=linked.id,
        settings={"on_conflict": "merge"},
    )
    return op, linked, owner


def test_or_the_old_profile_is_merged_into_it_and_written_once_it_is_gone(sink, klaviyo, clock, merging):
    """What is taken back before would come back with the old one."""
    op, linked, owner = merging
    for _ in range(2):
        assert type(one(sink, op).error) is RateLimited
        assert list(klaviyo.store.people) == [linked.id, owner.id]
    clock.advance(timedelta(seconds=2))
    outcome = one(sink, op)
    assert (outcome.remote_id, outcome.note) == (owner.id, "merged with the profile that has the new e-mail address")
    assert list(klaviyo.store.people) == [owner.id]
    assert owner.properties == {"Size": "L"}
    assert klaviyo.count("POST", "/api/profile-merge") == 1


def test_nobody_gets_the_address_of_a_profile_that_is_being_merged(sink, klaviyo, operation, clock, merging):
    """They would be merged along."""
    sink.deliver([merging[0]])
    linked = klaviyo.add_person(email="heir@shop.test")
    fields = {"email": "old@shop.test"}
    new = operation(key="13", fields=fields)
    heir = operation(key="14", fields=fields, previous={"email": "heir@shop.test"}, remote_id=linked.id)
    for op in (new, heir):
        assert "merged two profiles" in one(sink, op).error.message
    clock.advance(timedelta(seconds=2))
    assert one(sink, heir).remote_id == linked.id
    assert linked.attributes["email"] == "old@shop.test"


def test_who_is_new_with_the_address_of_a_merge_waits_for_whose_it_was(sink, klaviyo, operation, clock, merging):
    """They moved on before they were written there: else both would be known by one profile."""
    op, linked, owner = merging
    sink.deliver([op])
    clock.advance(timedelta(hours=11))
    fields = {**op.fields, "email": "later@shop.test"}
    new, moved = operation(id=2, key="13", fields={"email": "new@shop.test"}), evolve(op, fields=fields)
    waits, there = sink.deliver([new, moved])
    assert "merged two profiles" in waits.error.message
    assert there.remote_id == owner.id
    assert owner.attributes["email"] == "later@shop.test"
    assert one(sink, new).remote_id not in (owner.id, linked.id)


def test_who_was_merged_into_somebody_that_moved_on_meanwhile_has_a_profile_of_their_own(
    sink, klaviyo, operation, clock, merging
):
    """Whoever had the address took the other profile along: written there, both would be known by one."""
    op, linked, owner = merging
    sink.deliver([op])
    fields = {"email": "elsewhere@shop.test"}
    other = operation(id=2, key="13", fields=fields, previous={"email": "new@shop.test"}, remote_id=owner.id)
    assert one(sink, other).remote_id == owner.id
    clock.advance(timedelta(seconds=2))
    outcome = one(sink, op)
    assert outcome.remote_id not in (linked.id, owner.id)
    emails = {number: person.attributes["email"] for number, person in klaviyo.store.people.items()}
    assert emails == {owner.id: "elsewhere@shop.test", outcome.remote_id: "new@shop.test"}


def test_what_was_asked_for_cannot_be_taken_back(sink, klaviyo, operation, clock, merging):
    """Who has their former address again is not known to be as they were; and nobody is joined into their profile."""
    op, _, owner = merging
    for _ in range(2):
        outcome = sink.deliver([op])[0]
        assert (type(outcome.error), outcome.partly) == (RateLimited, True)
    third = klaviyo.add_person(email="third@shop.test")
    heir = operation(
        id=2, key="14", fields={"email": "new@shop.test"}, previous={"email": "third@shop.test"}, remote_id=third.id,
        settings=op.settings,
    )  # fmt: skip
    waits = sink.deliver([heir])[0]
    assert (type(waits.error), waits.partly) == (RateLimited, False)
    clock.advance(timedelta(seconds=2))
    back = evolve(op, fields={**op.fields, "email": "old@shop.test"})
    assert one(sink, back).remote_id == owner.id
    assert one(sink, heir).remote_id == third.id
    assert klaviyo.count("POST", "/api/profile-merge") == 1


def test_a_merge_whose_answer_is_lost_is_not_asked_for_twice(sink, klaviyo, clock, merging):
    op, _, owner = merging
    klaviyo.fail_next(Fault.commit_then_drop(when=lambda r: r.path == "/api/profile-merge"))
    assert one(sink, op).error.maybe_applied
    clock.advance(timedelta(seconds=2))
    assert one(sink, op).remote_id == owner.id
    assert klaviyo.count("POST", "/api/profile-merge") == 1


def test_one_that_was_never_carried_out_is_asked_for_again(sink, klaviyo, clock, merging):
    op, _, owner = merging
    klaviyo.merge_time = timedelta(days=9)
    sink.deliver([op])
    klaviyo.merge_time = timedelta(0)
    clock.advance(timedelta(minutes=5))
    assert one(sink, op).remote_id == owner.id


def test_who_goes_while_their_profile_is_merged_leaves_nothing_of_ours(sink, klaviyo, clock, merging):
    op, _, owner = merging
    sink.deliver([op])
    gone = evolve(op, op="delete", fields={}, settings={**op.settings, "on_delete": "erase"})
    assert type(one(sink, gone).error) is RateLimited
    clock.advance(timedelta(seconds=2))
    assert isinstance(one(sink, gone), Delivered)
    assert (list(klaviyo.store.people), owner.properties) == ([owner.id], {})


def test_a_linked_profile_that_is_gone_is_made_again(sink, klaviyo, operation):
    outcome = one(
        sink, operation(fields={"email": "a@shop.test"}, previous={"email": "a@shop.test"}, remote_id="01GONE")
    )
    assert outcome.remote_id == klaviyo.person("a@shop.test").id
    assert "gone" in outcome.note


def test_an_outage_ends_the_round_and_blames_nobody_twice(sink, klaviyo, operation):
    klaviyo.fail_next(Fault.status(503))
    outcomes = sink.deliver([operation(key=str(n), fields={"email": f"a{n}@shop.test"}) for n in range(3)])
    assert all(isinstance(o.error, Transient) and not o.error.maybe_applied for o in outcomes)
    assert klaviyo.count("POST") == 1


def test_a_lost_answer_is_unsure_for_its_own_record_only(sink, klaviyo, operation):
    klaviyo.fail_next(Fault.commit_then_drop())
    first, second = sink.deliver([operation(key=str(n), fields={"email": f"a{n}@shop.test"}) for n in range(2)])
    assert first.error.maybe_applied
    assert not second.error.maybe_applied


def test_a_web_page_with_403_is_no_missing_scope(sink, klaviyo, operation):
    klaviyo.fail_next(Fault.html(403))
    assert isinstance(one(sink, operation(fields={"email": "a@shop.test"})).error, Transient)


def test_a_missing_scope_is_named(sink, klaviyo, operation):
    klaviyo.scopes.remove("profiles:write")
    error = one(sink, operation(fields={"email": "a@shop.test"})).error
    assert isinstance(error, AuthError)
    assert "profiles:write" in error.message


def test_retry_after_is_respected_and_nothing_goes_before(sink, klaviyo, operation, clock):
    klaviyo.fail_next(Fault.status(429, {"errors": []}, {"Retry-After": "7"}))
    error = one(sink, operation(fields={"email": "a@shop.test"})).error
    assert isinstance(error, RateLimited)
    assert 7 < error.retry_after.total_seconds() <= 8
    again = one(sink, operation(fields={"email": "a@shop.test"})).error
    assert (again.scope, klaviyo.count("POST")) == ("operation", 1)
    clock.advance(again.retry_after)
    assert isinstance(one(sink, operation(fields={"email": "a@shop.test"})), Delivered)


def test_refused_fields_come_back_by_name(sink, klaviyo, operation):
    body = {
        "errors": [
            {
                "id": "1",
                "code": "invalid",
                "title": "t",
                "detail": "no for b@shop.test",
                "source": {"pointer": "/data/attributes/properties/Favourite"},
            }
        ]
    }
    klaviyo.fail_next(Fault.status(400, body))
    error = one(sink, operation(fields={"email": "b@shop.test", "Favourite": "x"})).error
    assert error.fields == ("Favourite",)
    assert "b@shop.test" not in error.message


def test_a_profile_too_big_is_refused_before_it_is_sent(sink, klaviyo, operation):
    error = one(sink, operation(fields={"email": "a@shop.test", "properties": {"note": "x" * 100_001}})).error
    assert isinstance(error, Rejected)
    assert klaviyo.requests == []


def test_names_of_klaviyos_own_are_refused(sink, operation):
    assert one(sink, operation(fields={"email": "a@shop.test", "$title": "x"})).error.fields == ("$title",)


def test_a_deleted_customer_is_kept_suppressed_or_erased(sink, klaviyo, operation):
    person = klaviyo.add_person(email="a@shop.test")
    base = {"previous": {"email": "a@shop.test"}, "remote_id": person.id, "op": "delete"}
    assert isinstance(one(sink, operation(**base)), Delivered)
    assert klaviyo.requests == []
    one(sink, operation(**base, settings={"on_delete": "suppress"}))
    assert person.suppressions
    one(sink, operation(**base, settings={"on_delete": "erase"}))
    assert klaviyo.store.people == {}


def test_erase_names_exactly_the_profile(sink, klaviyo):
    person = klaviyo.add_person(email="a@shop.test")
    sink.erase(Link(object="profile", remote_id=person.id))
    assert klaviyo.store.people == {}
    sink.erase(Link(object="profile", remote_id=person.id))  # gone already is fine


def test_erase_of_what_only_events_knew_goes_by_address(sink, klaviyo):
    klaviyo.add_person(email="a@shop.test")
    sink.erase(Link(object="event", remote_id="shop:membership:5", fields={"email": "a@shop.test"}))
    assert klaviyo.store.people == {}


def test_lookup_finds_twins_a_hundred_per_call(sink, klaviyo, operation):
    people = [klaviyo.add_person(email=f"p{n}@shop.test") for n in range(230)]
    ops = [operation(key=str(n), fields={"email": f"P{n}@shop.test"}) for n in range(230)]
    ops.append(operation(key="x", fields={"email": "nobody@shop.test"}))
    found = sink.lookup(ops)
    assert [f.remote_id for f in found[:230]] == [p.id for p in people]
    assert found[230] is None
    assert klaviyo.count("GET", "/api/profiles") == 3


def test_what_a_lost_create_made_under_the_former_address_goes_before_who_has_the_new_one(sink, klaviyo, operation):
    """Both came into being just now, and hold a property as we would send it."""
    held = {"properties": {"woo_order_count": 0}}
    ours, other = (klaviyo.add_person(email=email, **held) for email in ("a@shop.test", "b@shop.test"))
    moved = operation(
        fields={"email": "b@shop.test", **held},
        before={"email": "a@shop.test"},
        maybe_applied=True,
        since=klaviyo.now(),
    )
    assert [found.remote_id for found in sink.lookup([moved])] == [ours.id]
    assert [found.remote_id for found in sink.lookup([evolve(moved, before=None)])] == [other.id]


@pytest.mark.parametrize(("key", "ours"), [("12", True), ("13", False)])
def test_a_profile_that_names_another_record_is_not_what_a_lost_create_made(sink, klaviyo, operation, key, ours):
    """All else that it holds is as we would send it: two new customers have bought nothing."""
    bought = {"woo_order_count": 0}
    klaviyo.add_person(email="a@shop.test", properties={"woo_customer_id": key, **bought})
    fields = {"email": "a@shop.test", "properties": {"woo_customer_id": "12", **bought}}
    (found,) = sink.lookup([operation(key="12", fields=fields, maybe_applied=True, since=klaviyo.now())])
    assert found.marked is ours


def test_a_phone_number_left_out_is_no_drift(sink, klaviyo, operation):
    fields = {"email": "ada@shop.test", "phone_number": "call me"}
    (outcome,) = sink.deliver([operation(fields=fields)])
    (held,) = sink.read([Link(object="profile", remote_id=outcome.remote_id, fields=outcome.fields)])
    assert held == outcome.fields == {"email": "ada@shop.test"}


def test_lookup_refuses_what_deliver_would(sink, operation):
    ops = [operation(key=str(n), fields={"email": e}) for n, e in enumerate(("x@example.com", "ok@shop.test", ""))]
    answers = sink.lookup(ops)
    refused = sink.deliver([ops[0], ops[2]])
    assert [str(answers[n].error) for n in (0, 2)] == [str(o.error) for o in refused]
    assert answers[1] is None


def test_two_profiles_for_one_customer_are_ambiguous(sink, klaviyo, operation):
    klaviyo.add_person(email="a@shop.test")
    klaviyo.add_person(external_id="shop:customer:12")
    fields = {"email": "a@shop.test", "external_id": "shop:customer:12"}
    (found,) = sink.lookup([operation(fields=fields, match=("email", "external_id"))])
    assert isinstance(found, Ambiguous)


def test_what_was_delivered_reads_back_the_same(sink, klaviyo, operation):
    fields = {
        "email": "a@shop.test",
        "location": {"city": "Köln"},
        "properties": {"woo_is_member": True, "woo_total_spent": 12.5},
        "Spent": Decimal("12.50"),
        "accepts_marketing": True,
    }
    outcome = one(sink, operation(fields=fields, bulk=True))
    klaviyo.person("a@shop.test").properties["somebody_elses"] = 1
    link = Link(object="profile", remote_id=outcome.remote_id, fields=outcome.fields)
    gone = Link(object="profile", remote_id="01GONE", fields=outcome.fields)
    assert sink.read([link, gone]) == [outcome.fields, None]
    assert {**outcome.fields, "accepts_marketing": True} == fields


def test_drift_shows_when_read_back(sink, klaviyo, operation):
    fields = {"email": "a@shop.test", "properties": {"woo_is_member": True}}
    outcome = one(sink, operation(fields=fields))
    klaviyo.person("a@shop.test").properties["woo_is_member"] = False
    (found,) = sink.read([Link(object="profile", remote_id=outcome.remote_id, fields=fields)])
    assert found["properties"] == {"woo_is_member": False}
