"""Two customers on one contact: what one of them changes or takes along, and what the other keeps."""

from collections import Counter
from datetime import timedelta

import pytest
from attrs import evolve
from google_help import companies, marks_on, person_fields, settle, values

from synccore.errors import Transient
from synccore.testing import Fault
from synccore.types import Failed, Identity

ANNIE = [{"givenName": "Annie", "familyName": "Owner"}]


def marks(rig):
    """How many contacts carry each marker, by Google's own record."""
    return Counter(mark for p in rig.google.contacts() for mark in marks_on(p))


def change(rig, key=1, **fields):
    """A change of the shop, delivered as core would, however long it takes."""
    settle(rig, [rig.op(key, **fields)])


def test_two_customers_of_one_merged_contact_do_not_empty_each_other(rig):
    one = rig.put(1, **person_fields(1)).remote_id
    two = rig.put(2, **person_fields(2)).remote_id
    rig.google.merge(one, two)
    change(rig, 1, **person_fields(1, phone="+14155558888"))
    change(rig, 2, **person_fields(2, company="Acme"))
    (person,) = rig.google.contacts()
    assert set(values(person, "phoneNumbers")) == {"+14155558888", "+14155550002"}
    assert set(values(person, "emailAddresses")) == {"ann1@shop.test", "ann2@shop.test"}
    assert person["names"][0]["givenName"] == "Ann1"


@pytest.mark.parametrize("forgotten", [1, 2])
def test_who_is_forgotten_on_a_merged_contact_leaves_no_company(rig, forgotten):
    other = 3 - forgotten
    one, two = (rig.put(n, **person_fields(n, company=f"Firm {n}")).remote_id for n in (1, 2))
    rig.google.merge(one, two)
    change(rig, 1, **person_fields(1, company="Firm 1b"))
    change(rig, 2, **person_fields(2, company="Firm 2b"))
    assert companies(rig) == {"Firm 1b", "Firm 2b"}
    link = rig._link(f"shop:{forgotten}")
    assert rig.sink.erase(link).outcome == "released"
    del rig.links[f"shop:{forgotten}"]
    (person,) = rig.google.contacts()
    assert companies(rig) == {f"Firm {other}b"}
    assert values(person, "emailAddresses") == [f"ann{other}@shop.test"]
    assert set(marks(rig)) == {f"shop:customer:{other}"}
    change(rig, other, **person_fields(other, company="Firm 9"))
    assert companies(rig) == {"Firm 9"}


@pytest.mark.parametrize("markers", ["both", "kept", "none"])
def test_who_has_no_link_any_more_is_taken_off_a_merged_contact_by_their_address(rig, markers):
    """Their deletion let go of it; what nobody knows of them but the address goes when they are forgotten."""
    one, two = (rig.put(n, **person_fields(n)).remote_id for n in (1, 2))
    rig.google.merge(one, two, markers=markers)
    identity = Identity(emails=("ann2@shop.test",), phones=("+14155550002",), uids=("shop:customer:2",))
    (found,) = rig.sink.find(identity)
    assert rig.sink.erase(found).outcome == "released"
    (person,) = rig.google.contacts()
    assert values(person, "emailAddresses") == ["ann1@shop.test"]
    assert values(person, "phoneNumbers") == ["+14155550001"]


def test_who_was_deleted_on_a_merged_contact_and_is_forgotten_then_leaves_nothing_of_what_we_wrote(rig):
    """Also what was never delivered again: they had another address by then, which alone is known of them."""
    there = {"street": "Weg 2", "city": "Ulm", "country": "DE"}
    one, two = (rig.put(n, **person_fields(n)).remote_id for n in (1, 2))
    change(rig, 2, **person_fields(2, company="Firm 2", billing_address=there))
    rig.google.merge(one, two)
    (let_go,) = rig.deliver(rig.op(2, op="delete", settings={"on_delete": "delete"}))
    assert "another customer" in let_go.note
    change(rig, 1, **person_fields(1, email="later1@shop.test"))
    identity = Identity(emails=("later2@shop.test",), phones=(), uids=("shop:customer:2",))
    (found,) = rig.sink.find(identity)
    assert rig.sink.erase(found).outcome == "released"
    (person,) = rig.google.contacts()
    assert values(person, "emailAddresses") == ["later1@shop.test"]
    assert values(person, "phoneNumbers") == ["+14155550001"]
    assert companies(rig) == set()
    assert not person.get("addresses")
    assert (person["names"][0]["givenName"], marks_on(person)) == ("Ann1", ["shop:customer:1"])


def test_nothing_of_who_was_forgotten_is_kept_where_the_answer_to_that_was_lost(rig):
    one, two = (rig.put(n, **person_fields(n)).remote_id for n in (1, 2))
    rig.google.merge(one, two)
    identity = Identity(emails=("ann2@shop.test",), phones=(), uids=("shop:customer:2",))
    (found,) = rig.sink.find(identity)
    rig.google.fail_next(Fault.commit_then_drop(when=lambda request: request.method != "GET"))
    with pytest.raises(Transient):
        rig.sink.erase(found)
    assert rig.sink.find(identity) == []
    known = str(dict(rig.context.state("1001").scan("own:")))
    assert "ann2@shop.test" not in known
    assert "ann1@shop.test" in known
    change(rig, 1, **person_fields(1, email="later1@shop.test"))
    (person,) = rig.google.contacts()
    assert values(person, "emailAddresses") == ["later1@shop.test"]


def test_an_address_that_came_to_another_customers_contact_by_a_merge_goes_with_its_person(rig):
    """Whatever the contact was that went into it: nothing of who is forgotten stays on a customer's contact."""
    one = rig.put(1, **person_fields(1)).remote_id
    typed = rig.google.add(names=[{"givenName": "Bea"}], emailAddresses=[{"value": "Bea@shop.test"}])
    rig.google.merge(one, typed)
    (found,) = rig.sink.find(Identity(emails=("bea@shop.test",), phones=(), uids=("shop:customer:2",)))
    assert rig.sink.erase(found).outcome == "released"
    (person,) = rig.google.contacts()
    assert values(person, "emailAddresses") == ["ann1@shop.test"]


def equal(n, **more):
    """One of two customers of one company, at one address."""
    there = {"street": "Weg 1", "city": "Ulm", "country": "DE"}
    fields = {"phone": "+493055500006", "company": "Firm", "billing_address": there, "customer_since": "2026-01-02"}
    return person_fields(n, **{**fields, **more})


@pytest.mark.parametrize("forgotten", [1, 2])
@pytest.mark.parametrize("changed", [True, False])
def test_what_both_of_a_merged_contact_have_stays_when_one_is_forgotten(rig, forgotten, changed):
    one, two = (rig.put(n, **equal(n)).remote_id for n in (1, 2))
    rig.google.merge(one, two)
    if changed:
        change(rig, forgotten, **equal(forgotten, notes="Customer of shop"))
    assert rig.sink.erase(rig._link(f"shop:{forgotten}")).outcome == "released"
    (person,) = rig.google.contacts()
    assert values(person, "emailAddresses") == [f"ann{3 - forgotten}@shop.test"]
    assert values(person, "phoneNumbers") == ["+493055500006"]
    assert values(person, "organizations", "name") == ["Firm"]
    assert values(person, "addresses", "city") == ["Ulm"]
    assert len(person["events"]) == 1
    assert not person.get("biographies")
    # Now they are one person's again.
    change(rig, 3 - forgotten, **equal(3 - forgotten, phone=None, company=None))
    (person,) = rig.google.contacts()
    assert not person.get("phoneNumbers")
    assert not person.get("organizations")


def test_a_change_of_one_of_a_merged_contact_takes_nothing_that_the_other_has_too(rig):
    one, two = (rig.put(n, **equal(n)).remote_id for n in (1, 2))
    rig.google.merge(one, two)
    change(rig, 2, **equal(2, phone="+493055500009", company=None, billing_address=None))
    (person,) = rig.google.contacts()
    assert values(person, "phoneNumbers") == ["+493055500006", "+493055500009"]
    assert values(person, "organizations", "name") == ["Firm"]
    assert values(person, "addresses", "city") == ["Ulm"]
    change(rig, 1, **equal(1, phone=None, company=None, billing_address=None))
    (person,) = rig.google.contacts()
    assert values(person, "phoneNumbers") == ["+493055500009"]
    assert not person.get("organizations")


def test_merged_with_what_the_owner_made_it_is_never_deleted(rigs):
    rig = rigs(on_delete="delete")
    ours = rig.put(1, **person_fields(1)).remote_id
    mine = rig.google.add(names=ANNIE, phoneNumbers=[{"value": "+14155550777"}])
    name = rig.google.merge(mine, ours, under="other")
    change(rig, **person_fields(1, company="Acme"))
    rig.deliver(rig.op(1, op="delete"))
    assert rig.google.contact(name)["names"][0]["givenName"] == "Annie"


@pytest.mark.parametrize("policy", ["keep", "delete"])
def test_an_edit_that_looks_like_a_merge_costs_the_owner_nothing(rig, policy):
    made = rig.put(1, **person_fields(1, company="Acme"))
    person = rig.google.contact(made.remote_id)
    more = [*person["phoneNumbers"], {"value": "+14155550777"}]
    rig.google.edit(made.remote_id, names=ANNIE, phoneNumbers=more, nicknames=[{"value": "Nan"}])
    change(rig, **person_fields(1, given_name="Shop", company="Best", phone="+14155550222"))
    person = rig.google.contact(made.remote_id)
    assert person["names"][0]["givenName"] == "Annie"
    assert values(person, "organizations", "name") == ["Best"]
    assert values(person, "phoneNumbers") == ["+14155550222", "+14155550777"]
    rig.deliver(rig.op(1, op="delete", settings={"on_delete": policy}))
    person = rig.google.contact(made.remote_id)
    assert person["names"][0]["givenName"] == "Annie"
    assert "+14155550777" in values(person, "phoneNumbers")
    assert values(person, "nicknames") == ["Nan"]


@pytest.mark.parametrize("others", [True, False], ids=["two of the shop", "alone"])
def test_what_an_update_without_an_answer_wrote_goes_from_a_merged_contact_as_well(rigs, others):
    """Its print on the contact went with the merge, and the index never heard of it."""
    rig = rigs(on_delete="delete")
    typed = rig.google.add(names=ANNIE, nicknames=[{"value": "Nan"}])
    for n in (1, 2) if others else (1,):
        rig.put(n, **person_fields(n, phone=None))
    asked = person_fields(1)
    rig.google.fail_next(Fault.commit_then_drop(when=lambda r: r.method == "PATCH"))
    (lost,) = rig.deliver(rig.op(1, **asked))
    assert isinstance(lost, Failed)
    rig.links["shop:1"] = evolve(rig.links["shop:1"], asked=asked)
    name = rig.google.merge(typed, rig.links["shop:1"].remote_id, under="new", markers="none")
    if others:
        name = rig.google.merge(name, rig.links["shop:2"].remote_id, under="new", markers="none")
    assert values(rig.google.contact(name), "phoneNumbers") == [asked["phone"]]
    for n in (1, 2) if others else (1,):
        rig.clock.advance(timedelta(minutes=5))
        settle(rig, [rig.op(n, op="delete")])
    (person,) = rig.google.contacts()
    assert person["nicknames"]
    assert not {"phoneNumbers", "emailAddresses", "biographies"} & person.keys()
