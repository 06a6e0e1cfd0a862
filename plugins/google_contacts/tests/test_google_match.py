"""Which contact is the customer, and what is kept of it."""

import pytest
from attrs import evolve
from google_help import marks_on, person_fields, values

from synccore.errors import Rejected
from synccore.types import Ambiguous, Delivered, Failed, FieldOptions, Link, Unchanged

NAME = [{"givenName": "Bob", "familyName": "Plumber"}]


def hand_made(rig, **fields):
    return rig.google.add(**{"names": NAME, **fields})


def test_one_contact_with_the_address_is_adopted_and_loses_nothing(rig):
    name = hand_made(
        rig,
        emailAddresses=[{"value": "Bob@Shop.test", "type": "work", "displayName": "Bobby"}, {"value": "b2@shop.test"}],
        phoneNumbers=[{"value": "415 555 0100", "type": "mobile"}],
        addresses=[{"formattedValue": "Under the bridge", "type": "home"}],
        biographies=[{"value": "Pays cash"}],
        relations=[{"person": "Eve", "type": "spouse"}],
        clientData=[{"key": "other.app", "value": "77"}],
        userDefined=[{"key": "Van", "value": "blue"}],
    )
    before = rig.google.contact(name)
    outcome = rig.put(
        1, given_name="Robert", family_name="Plumber", email="bob@shop.test", phone="+14155550199", notes="Customer",
        company="Pipes Ltd", billing_address={"street": "1 Main", "city": "Town", "country": "US"},
    )  # fmt: skip
    assert isinstance(outcome, Delivered)
    assert outcome.remote_id == name
    after = rig.google.contact(name)
    for field in ("names", "emailAddresses", "phoneNumbers", "biographies", "relations", "userDefined"):
        assert after[field] == before[field], field
    assert before["addresses"][0] in after["addresses"]
    assert {"key": "other.app", "value": "77"}.items() <= after["clientData"][0].items()
    assert values(after, "organizations", "name") == ["Pipes Ltd"]
    assert [a.get("type") for a in after["addresses"]] == ["home", "billing"]
    assert name in rig.google.members("Customers")
    assert len(rig.google.contacts()) == 1
    assert "given_name" in (outcome.note or "")


def test_many_hand_made_contacts_are_adopted_in_few_writes(rig):
    for n in range(250):
        hand_made(rig, emailAddresses=[{"value": f"ann{n}@shop.test", "type": "home"}],
                  biographies=[{"value": f"note {n}"}])  # fmt: skip
    before = {p["resourceName"]: p for p in rig.google.contacts()}
    for start in range(0, 250, 200):
        rig.deliver(*[rig.op(n, **person_fields(n, notes="x")) for n in range(start, min(start + 200, 250))])
    after = {p["resourceName"]: p for p in rig.google.contacts()}
    assert after.keys() == before.keys()
    for name, person in before.items():
        for field in ("names", "emailAddresses", "biographies"):
            assert after[name][field] == person[field]
    assert rig.writes() == 2
    assert rig.google.members("Customers") == set(before)


def test_later_changes_are_added_beside_what_the_owner_typed(rig):
    name = hand_made(rig, emailAddresses=[{"value": "bob@shop.test"}], phoneNumbers=[{"value": "+14155550100"}])
    rig.put(1, given_name="Bob", email="bob@shop.test", phone="+14155550100")
    rig.put(1, given_name="Bob", email="bob@shop.test", phone="+14155550111")
    rig.put(1, given_name="Bob", email="bob@shop.test", phone="+14155550122")
    assert values(rig.google.contact(name), "phoneNumbers") == ["+14155550100", "+14155550122"]


def test_a_name_equal_to_the_shops_follows_the_shop_another_stays(rig):
    equal = hand_made(rig, emailAddresses=[{"value": "a@shop.test"}])
    other = rig.google.add(names=[{"givenName": "Bobby"}], emailAddresses=[{"value": "b@shop.test"}])
    rig.put(1, given_name="Bob", family_name="Plumber", email="a@shop.test")
    rig.put(2, given_name="Bob", family_name="Plumber", email="b@shop.test")
    rig.put(1, given_name="Robert", family_name="Plumber", email="a@shop.test")
    rig.put(2, given_name="Robert", family_name="Plumber", email="b@shop.test")
    assert rig.google.contact(equal)["names"][0]["givenName"] == "Robert"
    assert rig.google.contact(other)["names"][0]["displayName"] == "Bobby"


def test_one_contact_with_the_number_is_adopted_unless_its_address_differs(rig):
    mine = hand_made(rig, phoneNumbers=[{"value": "(415) 555-0100"}])
    hers = hand_made(rig, phoneNumbers=[{"value": "+1 415 555 0111"}], emailAddresses=[{"value": "eve@shop.test"}])
    first, second = rig.deliver(
        rig.op(1, given_name="Bob", email="bob@shop.test", phone="+14155550100"),
        rig.op(2, given_name="Adam", email="adam@shop.test", phone="+14155550111"),
    )
    assert first.remote_id == mine
    assert second.remote_id not in (mine, hers)
    assert values(rig.google.contact(mine), "emailAddresses") == ["bob@shop.test"]


@pytest.fixture
def twice(rigs):
    def make(**config):
        rig = rigs(**config)
        names = sorted(hand_made(rig, emailAddresses=[{"value": "bob@shop.test"}]) for _ in range(2))
        return rig, names

    return make


def test_two_candidates_are_left_alone_and_reported(twice):
    rig, names = twice()
    before = rig.google.contacts()
    op = rig.op(1, given_name="Bob", email="bob@shop.test")
    assert rig.sink.lookup([op]) == [Ambiguous(tuple(names))]
    (outcome,) = rig.deliver(op)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, Rejected)
    assert all(n in outcome.error.message for n in names)
    assert rig.google.contacts() == before
    rig.google.remove(names[1])
    rig.clock.advance(rig_minutes(6))
    assert rig.put(1, given_name="Bob", email="bob@shop.test").remote_id == names[0]


def rig_minutes(count):
    from datetime import timedelta

    return timedelta(minutes=count)


def test_two_candidates_and_the_choice_to_take_the_first(twice):
    rig, names = twice(ambiguous="first")
    assert rig.put(1, given_name="Bob", email="bob@shop.test").remote_id == names[0]
    assert len(rig.google.contacts()) == 2


def test_two_candidates_and_the_choice_to_create_made_by_the_route(twice):
    rig, names = twice()
    (outcome,) = rig.deliver(rig.op(1, settings={"ambiguous": "create"}, given_name="Bob", email="bob@shop.test"))
    assert outcome.remote_id not in names
    assert rig.put(1, given_name="Rob", email="bob@shop.test").remote_id == outcome.remote_id


def test_another_customers_contact_is_no_candidate(rig):
    first = rig.put(1, **person_fields(1))
    second = rig.put(2, **person_fields(1, given_name="Zoe"))
    assert second.remote_id != first.remote_id


def test_a_guest_whose_data_was_cleared_leaves_no_marker_and_keeps_the_contact(rig):
    """The key of a guest is a hash of the address: it would confirm it to whoever guesses it."""
    made = rig.put("guest:abc", **person_fields(1, notes="Customer of shop"))
    rig.put("guest:abc", notes="Customer of shop", **dict.fromkeys(person_fields(1)))
    assert "guest:abc" not in str(rig.google.contact(made.remote_id))
    assert "ann1" not in str(rig.google.contact(made.remote_id))
    again = rig.put("guest:abc", **person_fields(1))
    assert again.remote_id == made.remote_id
    assert marks_on(rig.google.contact(made.remote_id)) == ["shop:customer:guest:abc"]


def test_a_guest_who_registers_stays_one_contact(rig):
    guest = rig.put("guest:abc", **person_fields(1))
    account = rig.put(7, **person_fields(1, company="Acme"))
    assert account.remote_id == guest.remote_id
    marks = marks_on(rig.google.contact(account.remote_id))
    assert marks == ["shop:customer:7"]


def register(rig, guest, key):
    """A guest makes an account: core moves the link, and nothing was delivered of the account yet."""
    rig.links[f"shop:{key}"] = evolve(rig.links.pop(f"shop:{guest}"), key=str(key))


def test_a_guest_who_registers_and_moves_on_before_the_next_delivery_stays_one_contact(rig):
    guest = rig.put("guest:abc", **person_fields(1))
    register(rig, "guest:abc", 7)
    rig.put(7, **person_fields(2, phone="+14155550001"))
    # Whoever has the former address now is somebody else.
    other = rig.put(8, **person_fields(1, given_name="Zoe", phone="+14155550008"))
    assert other.remote_id != guest.remote_id
    person = rig.google.contact(guest.remote_id)
    assert marks_on(person) == ["shop:customer:7"]
    assert values(person, "emailAddresses") == ["ann2@shop.test"]
    assert values(person, "names", "givenName") == ["Ann2"]


@pytest.mark.parametrize("policy", ["delete", "unlabel"])
def test_a_guest_who_registers_and_is_deleted_before_the_next_delivery_is_gone(rig, policy):
    guest = rig.put("guest:abc", **person_fields(1))
    register(rig, "guest:abc", 7)
    rig.deliver(rig.op(7, op="delete", settings={"on_delete": policy}))
    assert guest.remote_id not in rig.google.members("Customers")
    assert len(rig.google.contacts()) == (policy != "delete")


def test_two_shops_share_the_contact_of_one_person(rig):
    first = rig.put(1, **person_fields(1))
    (second,) = rig.deliver(rig.op(9, source="outlet", **person_fields(1)))
    assert second.remote_id == first.remote_id
    marks = set(marks_on(rig.google.contact(first.remote_id)))
    assert marks == {"shop:customer:1", "outlet:customer:9"}


def test_two_operations_of_one_call_that_are_one_person_become_one_contact(rig):
    outcomes = rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(10)],
                           rig.op("guest:x", **person_fields(3)))  # fmt: skip
    assert len(rig.google.contacts()) == 10
    assert outcomes[10].remote_id == outcomes[3].remote_id


def test_two_keys_of_one_contact_are_written_one_after_the_other(rig):
    rig.put("guest:x", **person_fields(1))
    rig.put(1, **person_fields(1))
    rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(2, 12)])
    outcomes = rig.deliver(
        rig.op("guest:x", **person_fields(1, company="Acme")),
        rig.op(1, **person_fields(1, nickname="Annie")),
        *[rig.op(n, **person_fields(n, nickname="x")) for n in range(2, 12)],
    )
    assert all(isinstance(o, Delivered) for o in outcomes)
    person = rig.google.contact(outcomes[0].remote_id)
    assert values(person, "organizations", "name") == ["Acme"]
    assert values(person, "nicknames") == ["Annie"]


def test_a_contact_that_another_customer_is_too_is_not_deleted_with_the_first(rig):
    made = rig.put(1, **person_fields(1))
    rig.deliver(rig.op(9, source="outlet", **person_fields(1)))
    for policy in ("delete", "unlabel"):
        rig.links["shop:1"] = Link(object="contact", remote_id=made.remote_id, fields=person_fields(1))
        (outcome,) = rig.deliver(rig.op(1, op="delete", settings={"on_delete": policy}))
        assert "another customer" in outcome.note
    assert rig.google.members("Customers") == {made.remote_id}


def test_a_number_shared_by_a_family_makes_no_waves(rig):
    rig.deliver(*[rig.op(n, **person_fields(n, phone="+14155550100")) for n in range(100)])
    assert len(rig.google.contacts()) == 100
    assert rig.writes() == 1


def test_the_same_customer_is_found_by_its_marker_when_all_links_are_lost(rig):
    made = rig.put(1, **person_fields(1))
    rig.links.clear()
    again = rig.put(1, **person_fields(1, given_name="Zoe"))
    assert again.remote_id == made.remote_id
    assert rig.google.contact(made.remote_id)["names"][0]["givenName"] == "Zoe"


def test_lookup_finds_the_twin_and_writes_nothing(rig):
    name = hand_made(rig, emailAddresses=[{"value": "bob@shop.test"}])
    found = rig.sink.lookup([rig.op(1, email="bob@shop.test"), rig.op(2, email="new@shop.test")])
    assert isinstance(found[0], Link)
    assert (found[0].remote_id, dict(found[0].fields)) == (name, {})
    assert found[1] is None
    assert not [r for r in rig.google.requests if r.method != "GET" and r.path.startswith("/v1/")]


def test_a_link_made_by_adopt_is_written_as_an_adoption(rig):
    name = hand_made(rig, emailAddresses=[{"value": "bob@shop.test"}], biographies=[{"value": "mine"}])
    op = rig.op(1, given_name="Robert", email="bob@shop.test", notes="theirs")
    (link,) = rig.sink.lookup([op])
    rig.links["shop:1"] = link
    outcome = rig.put(1, given_name="Robert", email="bob@shop.test", notes="theirs", nickname="Bo")
    assert outcome.remote_id == name
    person = rig.google.contact(name)
    assert values(person, "biographies") == ["mine"]
    assert values(person, "nicknames") == ["Bo"]
    assert person["names"][0]["givenName"] == "Bob"


def test_keep_existing_never_overwrites_even_what_we_wrote(rig):
    options = {"given_name": FieldOptions(keep_existing=True), "phone": FieldOptions(keep_existing=True)}
    made = rig.put(1, options=options, **person_fields(1))
    rig.put(1, options=options, **person_fields(1, given_name="Zoe", phone="+14155559999", company="Acme"))
    person = rig.google.contact(made.remote_id)
    assert person["names"][0]["givenName"] == "Ann1"
    assert values(person, "phoneNumbers") == ["+14155550001"]
    assert values(person, "organizations", "name") == ["Acme"]


def test_other_apps_entries_and_the_owners_label_survive_an_update(rig):
    made = rig.put(1, **person_fields(1, url="https://shop.test/1"))
    person = rig.google.contact(made.remote_id)
    rig.google.edit(
        made.remote_id,
        phoneNumbers=[{**person["phoneNumbers"][0], "type": "mobile"}, {"value": "+14155550777", "type": "home"}],
        urls=[*person["urls"], {"value": "https://blog.test", "type": "blog"}],
    )
    rig.clock.advance(rig_minutes(6))
    rig.put(1, **person_fields(1, phone="+14155550999", url="https://shop.test/2"))
    person = rig.google.contact(made.remote_id)
    assert [(p["value"], p.get("type")) for p in person["phoneNumbers"]] == [
        ("+14155550999", "mobile"),
        ("+14155550777", "home"),
    ]
    assert values(person, "urls") == ["https://shop.test/2", "https://blog.test"]


def test_a_note_the_owner_wrote_on_keeps_their_words(rig):
    made = rig.put(1, **person_fields(1, notes="Customer of shop"))
    rig.google.edit(made.remote_id, biographies=[{"value": "Nice! Customer of shop\nCall on Mondays"}])
    rig.clock.advance(rig_minutes(6))
    rig.put(1, **person_fields(1, notes="Member of shop"))
    assert values(rig.google.contact(made.remote_id), "biographies") == ["Nice! Member of shop\nCall on Mondays"]
    rig.google.edit(made.remote_id, biographies=[{"value": "All mine"}])
    rig.clock.advance(rig_minutes(6))
    outcome = rig.put(1, **person_fields(1, notes="Guest of shop"))
    assert values(rig.google.contact(made.remote_id), "biographies") == ["All mine"]
    assert isinstance(outcome, Unchanged | Delivered)
    assert "notes" in (outcome.note or "")


def test_clear_removes_ours_alone(rig):
    made = rig.put(1, **person_fields(1, company="Acme"))
    person = rig.google.contact(made.remote_id)
    rig.google.edit(made.remote_id, phoneNumbers=[*person["phoneNumbers"], {"value": "+14155550777"}])
    rig.clock.advance(rig_minutes(6))
    rig.put(1, **person_fields(1, phone=None, company=None))
    person = rig.google.contact(made.remote_id)
    assert values(person, "phoneNumbers") == ["+14155550777"]
    assert "organizations" not in person


def test_a_field_that_is_mapped_no_longer_stays_as_it_is(rig):
    made = rig.put(1, **person_fields(1, company="Acme"))
    before = rig.writes()
    rig.put(1, **person_fields(1))
    assert values(rig.google.contact(made.remote_id), "organizations", "name") == ["Acme"]
    assert rig.writes() == before
