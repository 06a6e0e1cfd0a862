"""Answers that are JSON and not Google's: tried again, in words that hold nothing of anybody."""

from datetime import timedelta

import pytest
from google_help import person_fields, settle

from synccore.errors import Rejected, SynccoreError, Transient
from synccore.testing import Fault, replaced
from synccore.types import Delivered, Failed
from synccore_google_contacts.testing import AutoBrowser

LISTED = ("connections", 0)
GIVEN = ("responses", 0)
#: Parts of a contact that are another thing than Google's.
ODD = (
    (("resourceName",), None, "resourceName is null, not a text"),
    (("resourceName",), ["people/c1"], "resourceName is a list, not a text"),
    (("metadata",), [], "metadata is a list, not an object"),
    (("metadata", "sources"), {}, "metadata.sources is an object, not a list"),
    (("metadata", "sources", 0), "CONTACT", "metadata.sources[0] is a text, not an object"),
    (("metadata", "sources", 0, "updateTime"), "2026", "metadata.sources[0].updateTime is not a time with its zone"),
    (("metadata", "sources", 0, "etag"), 7, "metadata.sources[0].etag is a whole number, not a text"),
    (("emailAddresses",), {}, "emailAddresses is an object, not a list"),
    (("emailAddresses", 0), "ann1@shop.test", "emailAddresses[0] is a text, not an object"),
    (("emailAddresses", 0, "value"), ["ann1@shop.test"], "emailAddresses[0].value is a list, not a text"),
    (("phoneNumbers", 0), None, "phoneNumbers[0] is null, not an object"),
    (("phoneNumbers", 0, "canonicalForm"), 7, "phoneNumbers[0].canonicalForm is a whole number, not a text"),
    (("names", 0, "metadata"), "own", "names[0].metadata is a text, not an object"),
    (("clientData", 0), 7, "clientData[0] is a whole number, not an object"),
    (("clientData", 0, "value"), [], "clientData[0].value is a list, not a text"),
    (("externalIds", 0, "type"), {}, "externalIds[0].type is an object, not a text"),
)


def there(rig):
    """Somebody who is there, and changed by the owner since, so that the listing tells of it."""
    made = rig.put(1, **person_fields(1))
    rig.clock.advance(timedelta(minutes=6))
    rig.google.edit(made.remote_id, nicknames=[{"value": "Annie"}])
    return made.remote_id


@pytest.mark.parametrize(("path", "value", "said"), ODD)
@pytest.mark.parametrize(
    ("at", "where"), [(LISTED, "/connections"), ((*GIVEN, "person"), "people:batchGet")], ids=["listing", "by name"]
)
def test_a_contact_of_another_shape_is_not_read(rig, at, where, path, value, said):
    name = there(rig)
    link = rig.links["shop:1"]
    rig.google.fail_next(Fault.altered(replaced((*at, *path), value), when=lambda r: r.path.endswith(where)))
    with pytest.raises(Transient) as caught:
        rig.sink.read([link])
    assert said in caught.value.message or "holds neither it nor an error" in caught.value.message
    assert "ann1@" not in str(caught.value)
    (now,) = rig.sink.read([link])
    assert now["email"] == "ann1@shop.test"
    assert [p["resourceName"] for p in rig.google.contacts()] == [name]


@pytest.mark.parametrize(
    ("where", "path", "value"),
    [
        *(("/connections", path, value) for path, value in (
            ((), []), (("connections",), {}), (("connections",), 7), (LISTED, None), (("nextPageToken",), 7),
            (("nextSyncToken",), ["t"]),
        )),
        *(("people:batchGet", path, value) for path, value in (
            ((), 7), (("responses",), None), (("responses",), {}), (("responses",), []),
            (GIVEN, "people/c1"), ((*GIVEN, "status"), 404),
            ((*GIVEN, "person"), []),
        )),
    ],
)  # fmt: skip
def test_a_list_of_another_shape_deletes_nobody(rig, where, path, value):
    name = there(rig)
    link = rig.links["shop:1"]
    rig.google.fail_next(Fault.altered(replaced(path, value), when=lambda r: r.path.endswith(where)))
    with pytest.raises(Transient, match=r"another answer than asked for|neither it nor an error|leaves out contacts"):
        rig.sink.read([link])
    rig.put(1, **person_fields(1, company="Acme"))
    assert [p["resourceName"] for p in rig.google.contacts()] == [name]


@pytest.mark.parametrize("name", ["emailAddresses", "phoneNumbers", "memberships", "clientData", "metadata"])
def test_null_is_taken_for_what_is_not_there(rig, name):
    there(rig)
    rig.google.fail_next(Fault.altered(replaced((*LISTED, name), None), when=lambda r: r.path.endswith("/connections")))
    rig.google.fail_next(Fault.altered(replaced((*GIVEN, "person", name), None), when=lambda r: "batchGet" in r.path))
    (now,) = rig.sink.read([rig.links["shop:1"]])
    assert now["given_name"] == "Ann1"
    assert now["email"] == (None if name == "emailAddresses" else "ann1@shop.test")


# -- what is written


@pytest.mark.parametrize("path", [(), ("resourceName",), ("metadata",), ("emailAddresses", 0), ("clientData",)])
@pytest.mark.parametrize("value", [7, [[]], "x y"])
def test_a_create_whose_answer_cannot_be_read_makes_nobody_twice(rig, path, value):
    rig.google.fail_next(Fault.altered(replaced(path, value), when=lambda r: r.path.endswith(":createContact")))
    op = rig.op(1, **person_fields(1))
    (failed,) = rig.deliver(op)
    assert failed.error.maybe_applied
    settle(rig, [rig.op(1, maybe=True, **person_fields(1))])
    assert len(rig.google.contacts()) == 1


ENDED = ("createdPeople", 3)


@pytest.mark.parametrize(
    ("path", "value"),
    [((), []), (("createdPeople",), None), (("createdPeople",), {}), (ENDED, 7), ((*ENDED, "person"), None),
     ((*ENDED, "person"), []), ((*ENDED, "person", "resourceName"), None), ((*ENDED, "person", "clientData"), {}),
     ((*ENDED, "status"), "OK")],
)  # fmt: skip
def test_a_batch_whose_answer_cannot_be_read_makes_nobody_twice(rig, path, value):
    """Nor is anybody called refused of whom it says nothing."""
    rig.google.fail_next(Fault.altered(replaced(path, value), when=lambda r: r.path.endswith(":batchCreateContacts")))
    people = range(1, 9)
    outcomes = rig.deliver(*(rig.op(n, **person_fields(n)) for n in people))
    failed = [one for one in outcomes if isinstance(one, Failed)]
    assert failed
    assert all(isinstance(one.error, Transient) and one.error.maybe_applied for one in failed)
    settle(rig, [rig.op(n, maybe=True, **person_fields(n)) for n in people])
    assert len(rig.google.contacts()) == len(people)


@pytest.mark.parametrize(
    ("path", "value"),
    [((), 7), (("updateResult",), []), (("updateResult",), None), (("updateResult", "people/c1"), None)],
)
def test_a_batch_of_changes_whose_answer_cannot_be_read_is_written_again(rig, path, value):
    people = range(1, 9)
    rig.deliver(*(rig.op(n, **person_fields(n)) for n in people))
    path = tuple(rig.links["shop:1"].remote_id if part == "people/c1" else part for part in path)
    rig.google.fail_next(Fault.altered(replaced(path, value), when=lambda r: r.path.endswith(":batchUpdateContacts")))
    outcomes = rig.deliver(*(rig.op(n, **person_fields(n, company="Acme")) for n in people))
    assert not any(isinstance(one, Failed) and isinstance(one.error, Rejected) for one in outcomes)
    settle(rig, [rig.op(n, **person_fields(n, company="Acme")) for n in people])
    assert all(p["organizations"][0]["name"] == "Acme" for p in rig.google.contacts())


@pytest.mark.parametrize(
    ("path", "value"),
    [((), []), (("contactGroups",), {}), (("contactGroups", 0), None), (("contactGroups", 0, "metadata"), []),
     (("contactGroups", 0, "clientData"), 7), (("contactGroups", 0, "name"), ["x"]),
     (("contactGroups", 0, "resourceName"), None)],
)  # fmt: skip
def test_labels_of_another_shape_are_asked_for_again(rig, path, value):
    rig.google.fail_next(Fault.altered(replaced(path, value), when=lambda r: r.path.endswith("/contactGroups")))
    with pytest.raises(Transient):
        raise rig.put(1, **person_fields(1)).error
    assert isinstance(rig.put(1, **person_fields(1)), Delivered)
    assert sum(g.name == "Customers" for g in rig.google.groups.values()) == 1


# -- who it is


@pytest.mark.parametrize("body", [[], 7, {}, {"id": None}, {"id": ["1"]}, {"id": "1", "email": 7}, {"id": ""}])
def test_who_it_is_is_asked_again(rig, body):
    rig.google.fail_next(Fault.status(200, body, when=lambda r: r.path.endswith("/userinfo")))
    with pytest.raises(Transient, match="another answer than asked for"):
        rig.sink.account()
    assert rig.sink.account().label == "owner@shop.test"


@pytest.mark.parametrize("lasts", [[], {}, "soon", -1, 1e308, True])
def test_a_grant_that_ends_at_no_time_is_none(rigs, lasts):
    rig = rigs(connect=False)
    rig.google.fail_next(
        Fault.altered(replaced(("refresh_token_expires_in",), lasts), when=lambda r: r.path.endswith("/token"))
    )
    with pytest.raises(Transient, match="refresh_token_expires_in is "):
        rig.sink.connect(AutoBrowser())


@pytest.mark.parametrize(
    "error",
    [7, [], "no", {"status": [], "message": {}}, {"details": 7}, {"details": [7]}, {"errors": [7]},
     {"details": [{"@type": 7, "contactErrors": {"0": {"code": "5"}}}]},
     {"details": [{"@type": "x", "contactErrors": {"0": 7}}]}],
)  # fmt: skip
def test_a_refusal_of_another_shape_is_no_bug(rig, error):
    rig.put(1, **person_fields(1))
    rig.google.fail_next(Fault.status(400, {"error": error}, when=lambda r: r.method == "PATCH"))
    with pytest.raises(SynccoreError):
        raise rig.put(1, **person_fields(1, company="Acme")).error
