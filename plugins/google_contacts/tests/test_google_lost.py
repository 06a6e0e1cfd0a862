"""Answers that get lost: nothing is made twice, nothing is forgotten."""

from contextlib import suppress
from datetime import timedelta

import pytest
from attrs import evolve
from google_help import by_email, marks_on, person_fields, settle

from synccore.errors import RateLimited, Transient
from synccore.testing import Fault
from synccore.types import Delivered, Failed, Identity, Link, Retry


def creates(request):
    return request.path.endswith(("createContact", "batchCreateContacts"))


def no_duplicates(rig, count):
    people = rig.google.contacts()
    marks = {mark for p in people for mark in marks_on(p)}
    assert (len(people), len(marks)) == (count, count)


@pytest.mark.parametrize("lag", [0, 5, 120, 480])
@pytest.mark.parametrize("count", [1, 4, 60])
def test_a_create_carried_out_without_an_answer_is_found_and_not_repeated(rigs, lag, count):
    rig = rigs(lag=timedelta(seconds=lag))
    rig.google.fail_next(Fault.commit_then_drop(when=creates))
    settle(rig, [rig.op(n, **person_fields(n)) for n in range(count)])
    no_duplicates(rig, count)


@pytest.mark.parametrize("whose", ["the owner's", "another customer's"])
@pytest.mark.parametrize("done", [True, False])
def test_while_a_lost_create_may_turn_up_no_contact_with_the_address_is_taken_for_it(rigs, whose, done):
    """The owner wrote the address down somewhere; the listing shows that before it shows what was made."""
    rig = rigs(lag=timedelta(seconds=120))
    rig.google.book().search_lag = timedelta(seconds=100)
    there = rig.google.add(emailAddresses=[{"value": "own@home.test"}])
    if whose == "another customer's":
        rig.put(2, **person_fields(2))
        (there,) = [p["resourceName"] for p in by_email(rig.google.contacts(), "ann2@shop.test")]
    rig.clock.advance(timedelta(minutes=15))
    rig.sink.namesakes()  # the listing is read
    person = rig.google.contact(there)
    rig.google.edit(there, emailAddresses=[*person["emailAddresses"], {"value": "ann1@shop.test"}])
    rig.clock.advance(timedelta(seconds=60))
    rig.google.fail_next((Fault.commit_then_drop if done else Fault.reset)(when=creates))
    settle(rig, [rig.op(1, **person_fields(1))], limit=80)
    marked = [p["resourceName"] for p in rig.google.contacts() if "shop:customer:1" in marks_on(p)]
    assert marked == [rig.links["shop:1"].remote_id]
    assert (marked == [there]) is not done
    # Where there are two with one address, it is said.
    assert set(rig.sink.namesakes().values()) == ({marked[0]} if done else set())


def test_two_contacts_with_one_customers_marker_are_named_where_one_is_another_customers_too(rig):
    both, second = (rig.put(n, **person_fields(n)).remote_id for n in (2, 1))
    person, twin = (rig.google.contact(name) for name in (both, second))
    rig.google.edit(both, **{n: [*person[n], *twin[n]] for n in ("clientData", "externalIds", "emailAddresses")})
    ((one, other),) = rig.sink.namesakes().items()
    assert {one, other} == {both, second}


@pytest.mark.parametrize("fault", [Fault.reset, lambda when: Fault.status(503, when=when),
                                   lambda when: Fault.html(502, when=when)])  # fmt: skip
def test_a_create_that_was_lost_is_made_once_the_listing_would_show_it(rig, fault):
    rig.google.fail_next(fault(when=creates))
    start = rig.clock.now()
    settle(rig, [rig.op(1, **person_fields(1))])
    no_duplicates(rig, 1)
    assert rig.clock.now() - start >= timedelta(minutes=10)


@pytest.mark.parametrize("fault", [Fault.truncated, lambda when: Fault.commit_then_status(500, when=when),
                                   lambda when: Fault.commit_then_status(200, "<html>", when=when)])  # fmt: skip
def test_an_answer_that_cannot_be_read_counts_as_lost(rigs, fault):
    rig = rigs(lag=timedelta(seconds=30))
    rig.google.fail_next(fault(when=creates))
    settle(rig, [rig.op(n, **person_fields(n)) for n in range(30)])
    no_duplicates(rig, 30)


@pytest.mark.parametrize(
    "fault", [Fault.reset, lambda when: Fault.status(429, headers={"Retry-After": "60"}, when=when)]
)
def test_nobody_waits_longer_for_a_clock_that_was_set_back(rig, fault):
    rig.google.fail_next(fault(when=creates))
    for past in (0, -60):
        rig.clock.advance(timedelta(minutes=past))
        with suppress(RateLimited):
            rig.deliver(rig.op(1, **person_fields(1)))
    rig.clock.advance(timedelta(minutes=11))
    rig.put(1, **person_fields(1))
    no_duplicates(rig, 1)


def test_where_the_listing_was_seen_to_be_quick_the_wait_is_short(rig):
    settle(rig, [rig.op(n, **person_fields(n)) for n in range(20)])
    rig.google.fail_next(Fault.reset(when=creates))
    start = rig.clock.now()
    settle(rig, [rig.op(n, **person_fields(n)) for n in range(20, 40)])
    no_duplicates(rig, 40)
    assert timedelta(seconds=30) <= rig.clock.now() - start < timedelta(minutes=2)


def test_timeouts_after_every_tenth_create_leave_no_duplicate(rigs):
    rig = rigs(lag=timedelta(seconds=20))
    for n in range(40):
        if n % 10 == 0:
            rig.google.fail_next(Fault.commit_then_drop(when=creates))
        settle(rig, [rig.op(n, **person_fields(n))])
        rig.clock.advance(timedelta(seconds=10))  # the minute's reads
    no_duplicates(rig, 40)


def test_a_process_that_dies_before_it_stores_the_answer_makes_none_twice(rigs):
    rig = rigs(lag=timedelta(seconds=20))
    operations = [rig.op(n, **person_fields(n)) for n in range(50)]
    store = rig.sink._client.batch_create

    def killed(people):
        store(people)
        raise KeyboardInterrupt

    rig.sink._client.batch_create = killed
    with pytest.raises(KeyboardInterrupt):
        rig.sink.deliver(operations)
    rig.sink = rig.open()
    (wait,) = {type(found) for found in rig.sink.lookup(operations)}
    assert wait is Retry
    settle(rig, operations)
    no_duplicates(rig, 50)


def test_search_finds_a_lost_create_that_the_listing_hides(rigs):
    rig = rigs(lag=timedelta(seconds=1))
    rig.google.fail_next(Fault.commit_then_drop(when=creates))
    rig.deliver(rig.op(1, **person_fields(1)))
    rig.clock.advance(timedelta(seconds=2))
    rig.google.fail_next(Fault.status(200, {"nextSyncToken": "nothing-new"}, when=lambda r: "connections" in r.path))
    (found,) = rig.sink.lookup([rig.op(1, maybe=True, **person_fields(1))])
    assert isinstance(found, Link)


def test_a_lost_update_is_sent_again_and_harmless(rig):
    made = rig.put(1, **person_fields(1))
    rig.google.fail_next(Fault.commit_then_drop(when=lambda r: r.method == "PATCH"))
    outcome = rig.put(1, **person_fields(1, given_name="Zoe", phone="+14155559999"))
    assert isinstance(outcome, Failed)
    outcome = rig.put(1, **person_fields(1, given_name="Zoe", phone="+14155559999"))
    assert outcome.remote_id == made.remote_id
    person = rig.google.contact(made.remote_id)
    assert person["names"][0]["givenName"] == "Zoe"
    assert [p["value"] for p in person["phoneNumbers"]] == ["+14155559999"]


def test_an_outage_leaves_no_doubt_and_costs_nothing(rig):
    rig.google.fail_next(*[Fault.status(503) for _ in range(3)])
    for _ in range(3):
        with pytest.raises(Transient) as caught:
            rig.sink.deliver([rig.op(1, **person_fields(1))])
        assert not caught.value.maybe_applied
    assert isinstance(rig.put(1, **person_fields(1)), Delivered)


def test_what_was_not_sent_after_a_failure_is_not_in_doubt(rig):
    rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(100, 110)])
    rig.google.fail_next(Fault.commit_then_drop(when=creates))
    outcomes = rig.deliver(
        *[rig.op(n, bulk=True, **person_fields(n)) for n in range(3)], rig.op(100, **person_fields(100, company="Acme"))
    )
    doubts = [o.error.maybe_applied for o in outcomes]
    assert doubts == [True, False, False, False]
    assert rig.sink.lookup([rig.op(2, **person_fields(2))]) == [None]


def test_a_lone_lost_create_says_until_when_it_waits(rig):
    rig.google.fail_next(Fault.reset(when=creates))
    rig.put(1, **person_fields(1))
    (wait,) = rig.sink.lookup([rig.op(1, maybe=True, **person_fields(1))])
    until = rig.clock.now() + timedelta(minutes=10)
    assert isinstance(wait, Retry)
    assert f"until {until:%H:%M} UTC at the latest" in wait.reason
    (outcome,) = rig.deliver(rig.op(1, **person_fields(1)))
    assert f"until {until:%H:%M} UTC" in outcome.error.message


@pytest.mark.parametrize("fault", [Fault.commit_then_drop, Fault.reset])
def test_what_an_update_without_an_answer_left_there_is_ours(rig, fault):
    rig.put(1, email="old@shop.test", phone="+4930111111", given_name="Ann", family_name="Lee")
    name = rig.google.contacts()[0]["resourceName"]
    rig.google.edit(name, emailAddresses=[{"value": "own@shop.test"}, {"value": "old@shop.test"}])
    rig.google.fail_next(fault(when=lambda r: r.method in ("PATCH", "POST")))
    moved = {"email": "new@shop.test", "phone": "+4930222222", "given_name": "Anna", "family_name": "Lee"}
    settle(rig, [rig.op(1, **moved)])
    rig.put(1, email="last@shop.test", phone="+4930333333", given_name="Anna", family_name="Lee")
    (contact,) = rig.google.contacts()
    assert {e["value"] for e in contact["emailAddresses"]} == {"own@shop.test", "last@shop.test"}
    assert [e["value"] for e in contact["phoneNumbers"]] == ["+4930333333"]


def test_what_was_written_on_the_owners_contact_without_an_answer_is_found_before_the_listing_shows_it(rigs):
    """Core asks for whom it does not know a contact whether there is one that bears their marker."""
    rig = rigs(lag=timedelta(seconds=120))
    rig.google.add(emailAddresses=[{"value": "ann1@shop.test"}])
    rig.clock.advance(timedelta(minutes=15))
    rig.google.fail_next(Fault.commit_then_drop(when=lambda r: r.method == "PATCH"))
    rig.put(1, **person_fields(1))
    (found,) = rig.sink.lookup([rig.op(1, maybe=True, **person_fields(1))])
    assert found.adopted
    assert found.marked


def test_who_was_found_without_an_answer_and_moves_is_at_the_same_contact(rigs):
    """Nothing leads there but what was noted before: the listing is late, and their address is another one."""
    rig = rigs(lag=timedelta(seconds=120))
    name = rig.google.add(emailAddresses=[{"value": "ann1@shop.test"}])
    rig.clock.advance(timedelta(minutes=15))
    rig.google.fail_next(Fault.commit_then_drop(when=lambda r: r.method == "PATCH"))
    rig.put(1, **person_fields(1))
    (erased,) = rig.sink.find(Identity(uids=(rig.op(1).uid,), emails=("moved@shop.test",)))
    assert erased.remote_id == name
    (found,) = rig.sink.lookup(
        [rig.op(1, maybe=True, **{**person_fields(1), "email": "moved@shop.test", "family_name": "Moved"})]
    )
    assert (found.remote_id, found.adopted, found.marked) == (name, True, True)


@pytest.mark.parametrize("owner", [{}, {"nicknames": [{"value": "Nan"}]}])
def test_an_update_without_an_answer_is_no_merge_by_the_owner(rig, owner):
    made = rig.put(1, email="old@shop.test", given_name="Ann", family_name="Lee").remote_id
    rig.google.fail_next(Fault.commit_then_drop(when=lambda r: r.method in ("PATCH", "POST")))
    settle(rig, [rig.op(1, email="old@shop.test", given_name="Zoe", family_name="Lee", phone="+4930222222")])
    if owner:  # which is one
        other = rig.google.add(names=[{"givenName": "Annie"}], **owner)
        rig.google.merge(other, made, under="other", markers="both")
    rig.deliver(rig.op(1, op="delete", settings={"on_delete": "delete"}))
    assert len(rig.google.contacts()) == len(owner)


def test_who_moves_takes_their_address_from_a_contact_that_a_create_without_an_answer_went_into(rig):
    stays = rig.put(2, **person_fields(2)).remote_id
    rig.google.fail_next(Fault.commit_then_drop(when=creates))
    rig.deliver(rig.op(1, **person_fields(1)))
    (made,) = [p["resourceName"] for p in by_email(rig.google.contacts(), "ann1@shop.test")]
    rig.google.merge(stays, made)
    rig.put(2, **{**person_fields(2), "email": "moved@shop.test"})
    settle(rig, [rig.op(1, **person_fields(1))])
    (contact,) = rig.google.contacts()
    assert {e["value"] for e in contact["emailAddresses"]} == {"ann1@shop.test", "moved@shop.test"}


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_two_who_go_from_one_contact_in_one_call_leave_it_to_neither(rigs, order):
    rig = rigs(on_delete="delete")
    for name in ("Cy", "Di"):
        rig.deliver(*(rig.op(key, email=f"c{key}@shop.test", given_name=f"{name}{key}") for key in (1, 2)))
        if len(names := [contact["resourceName"] for contact in rig.google.contacts()]) == 2:
            rig.google.merge(*names)
        rig.clock.advance(timedelta(minutes=5))
    kept, ends = order
    ending = rig.op(ends, op="delete", gone=True)
    rig.deliver(evolve(ending, link=evolve(ending.link, shared=1)), rig.op(kept, op="leave", gone=True))
    assert rig.google.contacts() == []
