"""Deleting, reading back, erasing, checking, describing."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import fields
from google_help import marks_on, person_fields, settle, values

from synccore.errors import AuthError, ConfigError, Transient
from synccore.testing import FakeContext, Fault
from synccore.types import Delivered, Identity, Link, RouteSpec, Unchanged
from synccore_google_contacts.config import Config, Video
from synccore_google_contacts.sink import GoogleContacts

FILE = "1aBcD_ef-GhIjKlMn"


# -- a customer deleted in the shop


def delete(rig, *keys, **settings):
    return rig.deliver(*[rig.op(k, op="delete", settings=settings) for k in keys])


def test_a_deleted_customers_contact_is_kept_by_default(rig):
    made = rig.put(1, **person_fields(1))
    before = rig.google.contact(made.remote_id)
    (outcome,) = delete(rig, 1)
    assert isinstance(outcome, Unchanged)
    assert rig.google.contact(made.remote_id) == before
    assert rig.put(1, **person_fields(1)).remote_id == made.remote_id


def test_unlabel_takes_the_label_off_and_keeps_the_contact(rigs):
    rig = rigs(on_delete="unlabel")
    made = rig.put(1, **person_fields(1))
    (outcome,) = delete(rig, 1)
    assert isinstance(outcome, Delivered)
    assert rig.google.members("Customers") == set()
    assert rig.google.members("myContacts") == {made.remote_id}


def test_unlabel_leaves_a_contact_that_has_no_other_label_in_my_contacts(rigs):
    rig = rigs(on_delete="unlabel")
    made = rig.put(1, **person_fields(1))
    label = next(k for k, g in rig.google.groups.items() if g.name == "Customers")
    rig.google.edit(made.remote_id, memberships=[{"contactGroupMembership": {"contactGroupResourceName": label}}])
    delete(rig, 1)
    assert rig.google.members("Customers") == set()
    assert rig.google.members("myContacts") == {made.remote_id}


@pytest.mark.parametrize("count", [1, 5, 30])
def test_delete_deletes_singly_or_in_one_batch(rig, count):
    for start in range(0, count, 30):
        rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(start, count)])
    before = rig.google.quota.used["write"]
    outcomes = delete(rig, *range(count), on_delete="delete")
    assert all(isinstance(o, Delivered) for o in outcomes)
    assert rig.google.contacts() == []
    assert rig.google.quota.used["write"] - before == min(count, 10)


def test_delete_never_deletes_what_the_owner_had_before(rigs):
    rig = rigs(on_delete="delete")
    name = rig.google.add(names=[{"givenName": "Ann"}], emailAddresses=[{"value": "ann1@shop.test"}])
    rig.put(1, **person_fields(1))
    (outcome,) = delete(rig, 1)
    assert "owner had" in outcome.note
    assert rig.google.contact(name)["names"][0]["givenName"] == "Ann"
    assert rig.google.members("Customers") == set()


def test_deleting_what_is_gone_is_fine(rigs):
    rig = rigs(on_delete="delete")
    made = rig.put(1, **person_fields(1))
    rig.google.remove(made.remote_id)
    (outcome,) = delete(rig, 1)
    assert isinstance(outcome, Delivered | Unchanged)


def test_a_batch_of_deletes_with_one_gone_still_deletes_the_rest(rigs):
    rig = rigs(on_delete="delete")
    rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(30)])
    rig.google.remove(rig.links["shop:7"].remote_id)
    assert all(isinstance(o, Delivered | Unchanged) for o in delete(rig, *range(30)))
    assert rig.google.contacts() == []


def test_a_wrong_word_on_a_route_stops_the_sink_with_its_path():
    route = RouteSpec(name="r", source="shop", entity="customer", sink="contacts", object="contact", fields={},
                      settings={"on_delete": "burn"})  # fmt: skip
    context = FakeContext("contacts", "google_contacts", routes=[route])
    with pytest.raises(ConfigError) as caught:
        GoogleContacts(Config(client_id="x"), context)
    assert caught.value.path == "routes.r.on_delete"


# -- reading back and erasing


def test_what_was_delivered_reads_back_as_delivered(rig):
    fields = person_fields(
        1, company="Acme", notes="Hi", customer_since="2020-02-03", url="https://shop.test/1", birthday="1990-05-06",
        billing_address={"street": "1 Main", "city": "Town", "country": "US"}, nickname="Annie",
        relations=[{"person": "Eve", "type": "spouse"}],
        email=["ann1@shop.test", "billing@shop.test"],
    ) | {"custom.Size": "44"}  # fmt: skip
    rig.put(1, **fields)
    (found,) = rig.sink.read([rig.links["shop:1"]])
    assert found == fields


def test_what_the_owner_changed_reads_back_as_it_is(rig):
    made = rig.put(1, **person_fields(1))
    rig.google.edit(made.remote_id, names=[{"givenName": "Anna"}], phoneNumbers=[])
    (found,) = rig.sink.read([rig.links["shop:1"]])
    assert (found["given_name"], found["phone"], found["email"]) == ("Anna", None, "ann1@shop.test")


def test_a_contact_never_written_reads_back_in_full(rig):
    name = rig.google.add(names=[{"givenName": "Bob"}], addresses=[{"type": "billing", "city": "Town"}])
    found = rig.sink.read([Link(object="contact", remote_id=name), Link(object="contact", remote_id="people/c1")])
    assert found == [{"given_name": "Bob", "billing_address": {"city": "Town"}}, None]


def test_erase_deletes_what_we_made_and_twice_is_fine(rig):
    rig.put(1, **person_fields(1))
    assert rig.sink.erase(rig.links["shop:1"]).outcome == "deleted"
    assert rig.sink.erase(rig.links["shop:1"]).note == "the contact is gone already"
    assert rig.google.contacts() == []
    kept = dict(rig.context.state("1001").scan())
    assert "ann1" not in str(kept).lower()


def test_erase_leaves_the_owners_own_contact_and_takes_off_what_we_wrote(rig):
    name = rig.google.add(names=[{"givenName": "Bob"}], emailAddresses=[{"value": "ann1@shop.test"}])
    rig.google.set_photo(name, "https://photos.test/1")
    before = rig.google.contact(name)
    rig.put(1, **person_fields(1, company="Acme", notes="Customer"))
    assert rig.links["shop:1"].adopted
    erased = rig.sink.erase(rig.links["shop:1"])
    assert erased.outcome == "released"
    assert "the owner had it before" in erased.note
    after = rig.google.contact(name)
    assert {k: v for k, v in after.items() if k not in ("etag", "metadata")} == {
        k: v for k, v in before.items() if k not in ("etag", "metadata")
    }


def test_erase_of_one_of_two_customers_takes_off_that_ones_alone(rig):
    one, two = (rig.put(n, **person_fields(n)).remote_id for n in (1, 2))
    rig.google.merge(one, two)
    for n in (1, 2):
        settle(rig, [rig.op(n, **person_fields(n, nickname="Ann"))])
    assert rig.sink.erase(rig.op(2).link).outcome == "released"
    (person,) = rig.google.contacts()
    assert values(person, "emailAddresses") == ["ann1@shop.test"]
    assert values(person, "phoneNumbers") == ["+14155550001"]
    assert marks_on(person) == ["shop:customer:1"]
    assert rig.google.members("Customers") == {person["resourceName"]}


def test_a_person_is_found_by_marker_address_and_number_whether_linked_or_not(rig):
    ours = rig.put(1, **person_fields(1, email="moved@shop.test")).remote_id
    mine = rig.google.add(names=[{"givenName": "Bob"}], emailAddresses=[{"value": "Ann1@Shop.test"}])
    number = rig.google.add(names=[{"givenName": "No mail"}], phoneNumbers=[{"value": "+1 415 555 0009"}])
    rig.google.add(names=[{"givenName": "Family"}], phoneNumbers=[{"value": "+1 415 555 0009"}],
                   emailAddresses=[{"value": "eve@shop.test"}])  # fmt: skip
    identity = Identity(emails=("ann1@shop.test",), phones=("+14155550009",), uids=("shop:customer:1",))
    found = {link.remote_id: link for link in rig.sink.find(identity)}
    assert found.keys() == {ours, mine, number}
    assert [found[n].ours for n in (ours, mine, number)] == [True, False, False]
    assert (found[ours].source, found[ours].entity, found[ours].key) == ("shop", "customer", "1")
    for link in found.values():
        rig.sink.erase(link)
    assert {p["resourceName"] for p in rig.google.contacts()} >= {mine, number}
    assert ours not in {p["resourceName"] for p in rig.google.contacts()}


# -- a customer the route wants no longer


def test_unlabel_takes_the_label_off_and_a_return_puts_it_back(rig):
    made = rig.put(1, **person_fields(1))
    before = rig.google.contact(made.remote_id)
    assert isinstance(rig.leave(1, "unlabel"), Delivered)
    assert rig.google.members("Customers") == set()
    after = rig.google.contact(made.remote_id)
    assert [after[n] for n in ("names", "emailAddresses", "clientData")] == [
        before[n] for n in ("names", "emailAddresses", "clientData")
    ]
    assert rig.put(1, **person_fields(1)).remote_id == made.remote_id
    assert rig.google.members("Customers") == {made.remote_id}


def test_a_label_the_owner_took_off_stays_off_while_the_route_wants_the_record(rig):
    made = rig.put(1, **person_fields(1))
    rig.google.edit(made.remote_id, memberships=[
        {"contactGroupMembership": {"contactGroupResourceName": "contactGroups/myContacts"}}
    ])  # fmt: skip
    rig.put(1, **person_fields(1, company="Acme"))
    assert rig.google.members("Customers") == set()


@pytest.mark.parametrize("count", [1, 10])
def test_clear_empties_what_we_wrote_and_a_return_brings_it_back(rig, count):
    names = [
        rig.google.add(names=[{"givenName": "Bob"}], emailAddresses=[{"value": f"ann{n}@shop.test"}])
        for n in range(count)
    ]
    rig.deliver(*[rig.op(n, **person_fields(n, company="Acme")) for n in range(count)])
    outcomes = rig.deliver(*[rig.op(n, op="leave", on_leave="clear") for n in range(count)])
    assert all(isinstance(o, Delivered) for o in outcomes)
    for name in names:
        person = rig.google.contact(name)
        assert person["names"][0]["givenName"] == "Bob"
        assert len(values(person, "emailAddresses")) == 1
        assert "organizations" not in person
        assert "phoneNumbers" not in person
    assert rig.google.members("Customers") == set()
    rig.deliver(*[rig.op(n, **person_fields(n, company="Acme")) for n in range(count)])
    assert [values(rig.google.contact(n), "organizations", "name") for n in names] == [["Acme"]] * count
    assert rig.google.members("Customers") == set(names)


def test_delete_deletes_what_we_made_and_lets_go_of_what_the_owner_had(rig):
    mine = rig.google.add(names=[{"givenName": "Bob"}], emailAddresses=[{"value": "ann2@shop.test"}])
    for n in (1, 2):
        rig.put(n, **person_fields(n))
    assert rig.leave(1, "delete").note == "deleted"
    assert "the owner had it before" in rig.leave(2, "delete").note
    (person,) = rig.google.contacts()
    assert person["resourceName"] == mine
    assert "phoneNumbers" not in person
    assert rig.google.members("Customers") == set()


@pytest.mark.parametrize("how", ["unlabel", "clear", "delete"])
def test_a_contact_that_another_customer_is_too_is_left_alone(rig, how):
    one, two = (rig.put(n, **person_fields(n)).remote_id for n in (1, 2))
    name = rig.google.merge(one, two)
    for n in (1, 2):
        settle(rig, [rig.op(n, **person_fields(n, nickname="Ann"))])
    before = rig.google.contact(name)
    assert "another customer" in rig.leave(2, how).note
    assert rig.google.contact(name) == before


def test_a_picture_the_owner_chose_survives_every_write(rig):
    name = rig.google.add(emailAddresses=[{"value": "ann1@shop.test"}])
    rig.google.set_photo(name, "https://photos.test/mine")

    def still_there(where=name):
        assert values(rig.google.contact(where), "photos", "url") == ["https://photos.test/mine"]

    rig.put(1, **person_fields(1))
    still_there()
    rig.put(1, **person_fields(1, company="Acme", phone=None))
    rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(2, 12)])
    rig.deliver(*[rig.op(n, **person_fields(n, nickname="x")) for n in range(1, 12)])
    still_there()
    for how in ("unlabel", "clear"):
        rig.leave(1, how)
        still_there()
        rig.put(1, **person_fields(1))
    name = rig.google.rename(name)
    settle(rig, [rig.op(1, **person_fields(1, company="Best"))])
    still_there(name)
    rig.deliver(rig.op(1, op="delete", settings={"on_delete": "delete"}))
    still_there(name)
    assert not [r for r in rig.google.requests if "Photo" in r.path or b"photos" in r.body]


def test_a_note_too_large_for_a_contact_is_refused_by_name(rig):
    outcome = rig.put(1, **person_fields(1, notes="x" * 140_000))
    assert "notes" in outcome.error.message
    assert "128 KB" in outcome.error.message
    assert outcome.error.fields == ("notes",)
    assert rig.writes() == 0


def test_what_verify_compares_is_what_google_holds(rig):
    """Adopted contacts keep what their owner wrote: neither is that drift, nor is it claimed as delivered."""
    rig.google.add(names=[{"givenName": "Bobby"}], emailAddresses=[{"value": "ann1@shop.test"}],
                   biographies=[{"value": "mine"}])  # fmt: skip
    rig.put(1, **person_fields(1, notes="Customer", job_title="x" * 2000))
    link = rig.links["shop:1"]
    assert link.adopted
    assert set(link.left_out) == {"given_name", "family_name", "notes"}
    assert link.fields["job_title"] == "x" * 1024
    (there,) = rig.sink.read([link])
    assert {n: there.get(n) for n in link.fields} == dict(link.fields)
    rig.put(1, **person_fields(1, notes="Customer", job_title="x" * 2000, phone=None))
    link = rig.links["shop:1"]
    rig.google.edit(link.remote_id, phoneNumbers=[{"value": "+14155550777"}])
    (there,) = rig.sink.read([link])
    assert link.fields["phone"] is None
    assert {n: there.get(n) for n in link.fields} == dict(link.fields)
    assert set(link.left_out) == {"given_name", "family_name", "notes"}


@pytest.mark.parametrize("status", [302, 404, 407, 410, 425])
@pytest.mark.parametrize(
    "body", ["<h1>Not Found</h1>", {"message": "no route"}, {"error": {"code": 404, "message": "no route matched"}}]
)
def test_a_proxys_answer_says_nothing_of_a_contact(rig, status, body):
    """A 404 that is not Google's: the contact has not vanished."""
    rig.put(1, **person_fields(1))
    rig.google.fail_next(Fault.status(status, body, when=lambda r: r.method == "PATCH"))
    with pytest.raises(Transient):
        raise rig.put(1, **person_fields(1, company="Acme")).error
    assert len(rig.google.contacts()) == 1


def test_three_verbs_say_the_same_of_two_customers_and_one_contact(rig):
    name = rig.google.add(names=[{"givenName": "Family"}], phoneNumbers=[{"value": "+14155550100"}])
    operations = [rig.op(n, given_name=f"Ann{n}", phone="+14155550100") for n in (1, 2)]
    found = rig.sink.lookup(operations)
    assert [f.remote_id if f else None for f in found] == [name, None]
    # A plan asks in several calls.
    found = [rig.sink.lookup([op])[0] for op in operations]
    assert [f.remote_id if f else None for f in found] == [name, None]
    one, two = rig.deliver(*operations)
    assert one.remote_id == name
    assert two.remote_id != name
    assert len(rig.google.contacts()) == 2


# -- check and describe


def test_check_names_the_account_and_counts(rig):
    rig.put(1, **person_fields(1))
    found = rig.sink.check()
    assert found.account.label == "owner@shop.test"
    assert found.detail == "1 contacts"


def test_an_api_that_is_off_says_where_to_switch_it_on(rig):
    rig.google.enabled = False
    for call in (rig.sink.check, lambda: rig.sink.deliver([rig.op(1, **person_fields(1))])):
        with pytest.raises(ConfigError, match=r"https://console\.developers.google\.com/apis/api/people"):
            call()


def test_a_permission_taken_back_is_seen(rig):
    for grant, _ in rig.google.sign_in.access.values():
        grant.scopes = frozenset({"openid"})
    with pytest.raises(AuthError, match="synccore connect contacts"):
        rig.sink.check()
    with pytest.raises(AuthError, match="synccore connect contacts"):
        rig.sink.deliver([rig.op(1, **person_fields(1))])


@pytest.mark.parametrize(("count", "level"), [(22_499, None), (22_500, "warning"), (25_000, "error")])
def test_a_filling_account_is_said_before_it_is_full(rig, monkeypatch, count, level):
    monkeypatch.setattr(rig.google.book(), "_group", lambda name: {"resourceName": name, "memberCount": count})
    assert [f.level for f in rig.sink.check().findings] == ([level] if level else [])


def test_two_contacts_of_one_customer_are_reported(rig):
    made = rig.put(1, **person_fields(1))
    rig.google.add(clientData=[{"key": "synccore.source", "value": "shop:customer:1"}])
    rig.clock.advance(timedelta(minutes=6))
    assert rig.put(1, **person_fields(1, company="Acme")).remote_id == made.remote_id
    rig.put(2, **person_fields(2))
    assert any("two contacts" in f.message for f in rig.sink.check().findings)


def test_describe_names_every_field_and_the_custom_ones_of_the_routes():
    route = RouteSpec(name="r", source="shop", entity="customer", sink="contacts", object="contact",
                      fields={"custom.Size": "1", "given_name": "2"})  # fmt: skip
    sink = GoogleContacts(Config(client_id="x"), FakeContext("c", "google_contacts", routes=[route]))
    (contact,) = sink.describe()
    names = [f.name for f in contact.fields]
    assert {"given_name", "email", "phone", "billing_address", "notes", "custom.Size", "relations"} <= set(names)
    assert len(names) == len(set(names))
    assert not {"clientData", "memberships"} & set(names)
    sink.close()


# -- videos


def video(rigs, **file):
    rig = rigs(videos=(Video(title="Connect", file_id=FILE, resource_key="0-abc"),), drive_api_key="drive-key")
    if file:
        rig.google.sign_in.files[FILE] = {"name": "a.mp4", "mimeType": "video/mp4", **file}
    return rig


def test_the_readme_lists_every_setting_with_its_default():
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.partition("## Settings")[2].partition("## Videos")[0].splitlines()]
    told = {name: row[2].strip(" `") for row in rows if len(row) > 3 for name in re.findall(r"`(\w+)`", row[1])}
    settings = {a.name: a.default for a in fields(Config)}
    assert told.keys() == settings.keys()
    for name in ("label", "ambiguous", "on_delete"):
        assert told[name] == settings[name]


def test_videos_are_listed_with_player_and_page(rigs):
    (found,) = video(rigs).sink.videos
    assert found.title == "Connect"
    assert found.preview_url == f"https://drive.google.com/file/d/{FILE}/preview?resourcekey=0-abc"
    assert found.view_url == f"https://drive.google.com/file/d/{FILE}/view?resourcekey=0-abc"


@pytest.mark.parametrize(("file", "words"), [
    ({"resourceKey": "0-abc"}, None), ({"resourceKey": "other"}, "not public"), ({}, "not public"),
    ({"trashed": True}, "bin"), ({"mimeType": "image/png"}, "no video"),
])  # fmt: skip
def test_check_says_when_a_video_cannot_be_seen(rigs, file, words):
    messages = [f.message for f in video(rigs, **file).sink.check().findings]
    assert (not messages) if words is None else (words in messages[0])


def test_a_wrong_api_key_is_not_taken_for_a_private_video(rigs):
    rig = video(rigs, resourceKey="0-abc")
    rig.google.sign_in.drive_key = "another"
    (finding,) = rig.sink.check().findings
    assert "could not be checked" in finding.message


@pytest.mark.parametrize(
    "bad", ["short", "https://drive.google.com/file/d/x/view", "has spaces in it", "<script>alert"]
)
def test_a_file_id_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match="file_id"):
        Video(title="x", file_id=bad)


def test_no_drive_permission_is_ever_used(rigs):
    rig = video(rigs, resourceKey="0-abc")
    rig.sink.check()
    (request,) = [r for r in rig.google.requests if "/drive/" in r.path]
    assert "authorization" not in request.headers


def test_values_longer_than_google_takes_are_cut(rig):
    made = rig.put(1, **person_fields(1, company="x" * 2000, notes="y" * 3000))
    person = rig.google.contact(made.remote_id)
    assert len(values(person, "organizations", "name")[0]) == 1024
    assert len(values(person, "biographies")[0]) == 3000


def test_what_was_cut_is_noted(rig):
    long = "x" * 1025
    made = rig.put(1, **person_fields(1, company=long, notes=long))
    assert made.note == "cut to 1,024 characters: company"
    changed = rig.put(1, **person_fields(1, company=long, notes=long, **{"custom.Big": long, "job_title": "Chef"}))
    assert changed.note == "cut to 1,024 characters: custom.Big"
    address = {"street": long, "city": "Bern"}
    again = rig.put(1, **person_fields(1, company="Acme", notes=long, billing_address=address))
    assert again.note == "cut to 1,024 characters: billing_address"
    assert rig.put(2, **person_fields(2)).note is None
