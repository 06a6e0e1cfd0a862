"""Creating and updating contacts."""

from google_help import marks_on, person_fields, values

from synccore.types import Delivered, Unchanged


def test_a_new_customer_becomes_one_contact_with_label_and_marker(rig):
    outcome = rig.put(1, **person_fields(1, company="Acme", notes="Hello"))
    assert isinstance(outcome, Delivered)
    person = rig.google.contact(outcome.remote_id)
    assert person["names"][0]["displayName"] == "Ann1 Test"
    assert values(person, "emailAddresses") == ["ann1@shop.test"]
    assert marks_on(person) == ["shop:customer:1"]
    assert {(d["type"], d["value"]) for d in person["externalIds"]} == {("customer", "shop:customer:1")}
    assert rig.google.members("Customers") == {outcome.remote_id}
    assert rig.google.members("myContacts") == {outcome.remote_id}


def test_a_batch_per_two_hundred_customers_and_nothing_on_repeat(rig):
    for start in range(0, 400, 200):
        outcomes = rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(start, start + 200)])
        assert all(isinstance(o, Delivered) for o in outcomes)
    assert len(rig.google.contacts()) == 400
    assert rig.writes() == 2
    again = rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(200)])
    assert all(isinstance(o, Unchanged) for o in again)
    assert rig.writes() == 2


def test_one_change_is_one_update_of_that_contact_alone(rig):
    rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(20)])
    before = rig.calls()
    outcome = rig.put(7, **person_fields(7, phone="+14155559999"))
    assert isinstance(outcome, Delivered)
    assert rig.calls() - before == 1
    request = rig.google.requests[-1]
    assert request.path.endswith(":updateContact")
    assert request.param("updatePersonFields") == "clientData,phoneNumbers"
    assert values(rig.google.contact(outcome.remote_id), "phoneNumbers") == ["+14155559999"]
