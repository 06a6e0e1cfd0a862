"""Two installations, each with a database of its own, on one address book: neither knows what the other knows."""

from datetime import timedelta

import pytest
from google_help import marks_on, person_fields, values

from synccore.testing import FakeContext
from synccore.types import Failed, Identity
from synccore_google_contacts.testing import AutoBrowser


@pytest.fixture
def apart(rigs):
    """Gives a further installation on the same book."""

    def other(first):
        second = rigs(connect=False)
        second.google.close()
        second.google, second.clock, second.settings = first.google, first.clock, first.settings
        second.context = FakeContext("contacts", "google_contacts", clock=first.clock)
        second.sink = second.open()
        second.sink.connect(AutoBrowser())
        return second

    return other


def outlet(rig, n, **fields):
    """The other installation's shop has another name."""
    (outcome,) = rig.deliver(rig.op(n, source="outlet", **fields))
    return outcome


def test_a_change_of_one_takes_no_address_that_the_other_wants(rig, apart):
    there = apart(rig)
    made = rig.put(1, **person_fields(1)).remote_id
    assert outlet(there, 9, **person_fields(1)).remote_id == made
    rig.put(1, **person_fields(2, company="Acme"))
    person = rig.google.contact(made)
    assert set(marks_on(person)) == {"shop:customer:1", "outlet:customer:9"}
    assert {"ann1@shop.test", "ann2@shop.test"} <= set(values(person, "emailAddresses"))


def test_who_changes_back_and_forth_with_another_installation_loses_nothing_of_it(rig, apart):
    there = apart(rig)
    made = rig.put(1, **person_fields(1, company="Acme")).remote_id
    outlet(there, 9, **person_fields(1, phone="+14155550009"))
    rig.put(1, **person_fields(1, given_name="Zoe", company="Best", phone="+14155550111"))
    outlet(there, 9, **person_fields(1, given_name="Zoe", phone="+14155550222"))
    rig.deliver(rig.op(1, op="delete", settings={"on_delete": "delete"}))
    person = rig.google.contact(made)
    assert values(person, "emailAddresses") == ["ann1@shop.test"]
    assert "+14155550222" in values(person, "phoneNumbers")


OTHER = {"given_name": "Zoe", "family_name": "Other", "email": "zoe@other.test"}


def test_another_installation_with_a_shop_of_the_same_name_is_noticed(rig, apart):
    there = apart(rig)
    made = rig.put(1, **person_fields(1)).remote_id
    before = rig.google.contact(made)
    operation = there.op(1, **OTHER)
    (planned,), (outcome,) = there.sink.lookup([operation]), there.deliver(operation)
    for refused in (planned, outcome):
        assert isinstance(refused, Failed)
        assert "another installation" in refused.error.message
    assert there.sink.find(Identity(emails=("zoe@other.test",), uids=("shop:customer:1",))) == []
    assert rig.google.contact(made) == before


def test_the_same_shop_is_known_again_where_the_database_is_new(rig, apart):
    made = rig.put(1, **person_fields(1)).remote_id
    new = apart(rig)
    # Of who changed meanwhile a number, or the names, are as they were.
    assert new.put(1, **person_fields(1, email="new@shop.test", given_name="Zoe")).remote_id == made
    assert (
        apart(rig).put(1, **person_fields(2, given_name="Zoe", family_name="Test", email="x@shop.test")).remote_id
        == made
    )


def test_whom_two_installations_make_at_once_is_named_by_both(rig, apart):
    there = apart(rig)
    rig.google.book().feed.lag = rig.google.book().search_lag = timedelta(minutes=2)
    ours, theirs = rig.put(1, **person_fields(1)).remote_id, outlet(there, 9, **person_fields(1)).remote_id
    rig.clock.advance(timedelta(minutes=10))
    assert rig.sink.namesakes() == {theirs: ours}
    assert there.sink.namesakes() == {ours: theirs}
    # Merged as asked for, both have it.
    name = rig.google.merge(ours, theirs)
    rig.put(1, **person_fields(1, company="Acme"))
    outlet(there, 9, **person_fields(1, company="Best"))
    assert {r.links[key].remote_id for r, key in ((rig, "shop:1"), (there, "outlet:9"))} == {name}
    assert rig.sink.namesakes() == there.sink.namesakes() == {}
