"""A backup was put back: what was written since stands at Google, and nothing here knows of it."""

from copy import copy

import pytest
from google_help import by_email, marks_on, person_fields, settle, values

from synccore.types import Identity


class Backup:
    """What the database held of this sink."""

    def __init__(self, rig):
        self._items = dict(rig.sink._rounds._index.state.scan()) if rig.sink._rounds._index is not None else {}
        self._links = copy(rig.links)

    def put_back(self, rig):
        state = rig.sink._rounds._index.state
        state.clear()
        state.put(self._items)
        rig.links = copy(self._links)
        rig.sink = rig.open()


def test_a_name_written_since_the_backup_follows_the_shop(rig):
    rig.put("old", **person_fields(99))
    backup = Backup(rig)
    made = rig.put(1, **person_fields(1)).remote_id
    backup.put_back(rig)
    rig.put(1, **person_fields(1, given_name="Zoe"))
    assert rig.links["shop:1"].remote_id == made
    assert rig.google.contact(made)["names"][0]["givenName"] == "Zoe"
    assert not rig.links["shop:1"].left_out


@pytest.mark.parametrize("linked", [True, False])
def test_an_address_written_since_the_backup_gives_way_and_the_owners_own_stays(rig, linked):
    rig.put(1 if linked else "old", **person_fields(1 if linked else 99))
    backup = Backup(rig)
    made = rig.put(1, **person_fields(1, email="second@shop.test", phone="+14155550222")).remote_id
    rig.google.edit(made, phoneNumbers=[{"value": "+14155550222", "type": "mobile"}, {"value": "+14155550333"}])
    backup.put_back(rig)
    rig.put(1, **person_fields(1, email="third@shop.test", phone="+14155550444"))
    (person,) = [p for p in rig.google.contacts() if marks_on(p) == ["shop:customer:1"]]
    assert values(person, "emailAddresses") == ["third@shop.test"]
    assert values(person, "phoneNumbers") == ["+14155550444", "+14155550333"]
    # The next ones get their own contact: the address is nobody's any more.
    rig.put(2, given_name="New", email="second@shop.test")
    assert rig.links["shop:2"].remote_id != person["resourceName"]


def test_what_the_owner_changed_after_the_shops_newest_value_stays_after_a_restore(rig):
    rig.put(1, **person_fields(1, company="First"))
    backup = Backup(rig)
    newest = person_fields(1, given_name="Shop", company="Second", phone="+14155550222")
    made = rig.put(1, **newest).remote_id
    rig.google.edit(made, names=[{"givenName": "Owner"}], organizations=[{"name": "Mine"}], phoneNumbers=[])
    backup.put_back(rig)
    rig.put(1, **newest)
    person = rig.google.contact(made)
    assert values(person, "names", "givenName") == ["Owner"]
    assert values(person, "organizations", "name") == ["Mine"]
    assert not person.get("phoneNumbers")
    assert {"given_name", "company", "phone"} <= set(rig.links["shop:1"].left_out)
    # What the shop has changed since is newer than that.
    rig.put(1, **{**newest, "company": "Third", "phone": "+14155550333"})
    person = rig.google.contact(made)
    assert values(person, "organizations", "name") == ["Third"]
    assert values(person, "phoneNumbers") == ["+14155550333"]


def test_what_the_owner_typed_on_a_contact_adopted_since_the_backup_stays(rig):
    rig.put("old", **person_fields(99))
    backup = Backup(rig)
    name = rig.google.add(names=[{"givenName": "Annie"}], emailAddresses=[{"value": "ann1@shop.test"}])
    rig.put(1, **person_fields(1, company="Acme"))
    backup.put_back(rig)
    rig.put(1, **person_fields(1, given_name="Zoe", company="Better", phone="+14155550444"))
    person = rig.google.contact(name)
    assert person["names"][0]["givenName"] == "Annie"
    assert values(person, "organizations", "name") == ["Better"]
    assert values(person, "phoneNumbers") == ["+14155550444"]


def test_who_is_forgotten_leaves_nothing_that_was_written_since_the_backup(rig):
    rig.put("old", **person_fields(99))
    backup = Backup(rig)
    name = rig.google.add(names=[{"givenName": "Annie"}], emailAddresses=[{"value": "ann1@shop.test"}])
    before = rig.google.contact(name)
    rig.put(1, **person_fields(1, company="Acme"))
    backup.put_back(rig)
    (link,) = rig.sink.find(Identity(emails=("ann1@shop.test",), uids=("shop:customer:1",)))
    assert rig.sink.erase(link).outcome == "released"
    after = rig.google.contact(name)
    assert {k: v for k, v in after.items() if k not in ("etag", "metadata")} == {
        k: v for k, v in before.items() if k not in ("etag", "metadata")
    }


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("markers", ["both", "kept", "none"])
@pytest.mark.parametrize("under", ["kept", "other", "new"])
def test_who_came_since_the_backup_and_was_merged_with_another_customer_has_one_contact(rig, known, markers, under):
    rig.put(1 if known else 3, **person_fields(1 if known else 3))
    backup = Backup(rig)
    one, two = (rig.put(n, **person_fields(n)).remote_id for n in (1, 2))
    backup.put_back(rig)
    name = rig.google.merge(one, two, under=under, markers=markers)
    for n in (2, 1):
        settle(rig, [rig.op(n, maybe=not (known and n == 1), **person_fields(n))])
    for n in (1, 2):
        assert [p["resourceName"] for p in by_email(rig.google.contacts(), f"ann{n}@shop.test")] == [name]
        assert rig.links[f"shop:{n}"].remote_id == name


@pytest.mark.parametrize("markers", ["both", "kept", "none"])
@pytest.mark.parametrize("under", ["kept", "other", "new"])
@pytest.mark.parametrize("which", [1, 2])
def test_two_whom_the_owner_merged_are_two_also_after_a_second_restore(rig, which, under, markers):
    """What was written between the two tells of one of them alone, and holds what was the other's."""
    one, two = (rig.put(n, **person_fields(n)).remote_id for n in (1, 2))
    backup = Backup(rig)
    name = rig.google.merge(one, two, under=under, markers=markers)
    for _ in range(2):
        backup.put_back(rig)
        settle(rig, [rig.op(which, maybe=True, **person_fields(which))])
    (person,) = rig.google.contacts()
    assert person["resourceName"] == name
    assert sorted(values(person, "emailAddresses")) == ["ann1@shop.test", "ann2@shop.test"]


def test_of_several_who_came_since_the_backup_on_one_contact_none_gets_another(rig):
    rig.put(3, **person_fields(3))
    backup = Backup(rig)
    one, two = (rig.put(n, **person_fields(n)).remote_id for n in (1, 2))
    backup.put_back(rig)
    name = rig.google.merge(one, two, markers="none")
    settle(rig, [rig.op(n, maybe=True, **person_fields(n)) for n in (1, 2)])
    assert {rig.links[f"shop:{n}"].remote_id for n in (1, 2)} == {name}
    assert len(rig.google.contacts()) == 2


def test_whose_former_address_somebody_new_has_shares_no_contact_with_them_after_a_restore(rig):
    rig.put(1, **person_fields(1))
    backup = Backup(rig)
    made = rig.put(1, **person_fields(5)).remote_id
    backup.put_back(rig)
    # Ann is known by her former address, and who has it now came since.
    settle(rig, [rig.op(2, maybe=True, **person_fields(5, given_name="Zoe"))])
    assert rig.links["shop:2"].remote_id != made


@pytest.mark.parametrize(("since", "erasing"), [("made", True), ("renamed", True), ("renamed", False)])
def test_a_contact_that_was_made_or_renamed_since_the_backup_goes_as_a_whole(rig, since, erasing):
    name = rig.put(1, **person_fields(1)).remote_id if since == "renamed" else None
    backup = Backup(rig)
    if name is None:
        rig.put(1, **person_fields(1))
    else:
        rig.google.rename(name)
        rig.put(1, **person_fields(1, phone="+14155550222"))
    backup.put_back(rig)
    _end(rig, erasing=erasing)
    assert rig.google.contacts() == []


def test_what_the_owner_added_since_stays_when_they_are_forgotten(rig):
    backup = Backup(rig)
    made = rig.put(1, **person_fields(1)).remote_id
    rig.google.edit(made, userDefined=[{"key": "shoe size", "value": "42"}])
    backup.put_back(rig)
    _end(rig, erasing=True)
    (person,) = rig.google.contacts()
    assert person["userDefined"][0]["value"] == "42"
    assert "emailAddresses" not in person


def _end(rig, *, erasing):
    """The shop deletes customer 1, or the operator forgets them."""
    if not erasing:
        rig.leave(1, "delete")
        return
    person = Identity(uids=["shop:customer:1"], emails=["ann1@shop.test"], phones=["+14155550222"])
    known = {link.remote_id: link for link in rig.sink.find(person)}
    for link in [*filter(None, [rig.links.get("shop:1")]), *known.values()]:
        rig.sink.erase(link)


def test_what_was_left_there_for_one_of_whom_nothing_was_known_goes_once_it_is_known(rig):
    """The first has the address of the second by now, who has a new one: the former one is nobody's on it."""
    rig.put(1, **person_fields(1, email="first@shop.test"))
    backup = Backup(rig)
    rig.put(2, **person_fields(2, email="second@shop.test"))
    ours = [rig.links[f"shop:{n}"].remote_id for n in (1, 2)]
    backup.put_back(rig)
    name = rig.google.merge(*ours, markers="both")
    settle(rig, [rig.op(1, **person_fields(1, email="second@shop.test"))])
    settle(rig, [rig.op(2, **person_fields(2, email="third@shop.test"))])
    (person,) = rig.google.contacts()
    assert person["resourceName"] == name
    assert sorted(values(person, "emailAddresses")) == ["second@shop.test", "third@shop.test"]
