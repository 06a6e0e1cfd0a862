"""Contacts that the owner merged, renamed, deleted or typed in just before: one contact each, whatever the order."""

import os
from collections import Counter
from datetime import timedelta

import httpx
import pytest
from attrs import evolve
from google_help import companies, marks_on, near, person_fields, settle, values
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from synccore.errors import RateLimited
from synccore.testing import Fault
from synccore.types import Delivered, Failed, Identity, Unchanged

#: Orders tried: more of them at night, where time is not short.
ORDERS = 200 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 15
ANNIE = [{"givenName": "Annie", "familyName": "Owner"}]


def marks(rig):
    """How many contacts carry each marker, by Google's own record."""
    return Counter(mark for p in rig.google.contacts() for mark in marks_on(p))


def change(rig, key=1, **fields):
    """A change of the shop, delivered as core would, however long it takes."""
    settle(rig, [rig.op(key, **fields)])


@pytest.mark.parametrize("lag", [0, 120])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("markers", ["both", "kept", "none"])
@pytest.mark.parametrize("under", ["kept", "other", "new"])
def test_a_contact_merged_shortly_before_a_change_stays_one(rigs, under, markers, told, lag):
    rig = rigs(lag=timedelta(seconds=lag))
    book = rig.google.book()
    book.told = book.forwards = told
    ours = rig.put(1, **person_fields(1)).remote_id
    rig.clock.advance(timedelta(hours=1))
    mine = rig.google.add(names=ANNIE, emailAddresses=[{"value": "annie@home.test"}])
    name = rig.google.merge(mine, ours, under=under, markers=markers)
    change(rig, **person_fields(1, phone="+14155559999"))
    (person,) = rig.google.contacts()
    assert person["resourceName"] == name == rig.links["shop:1"].remote_id
    assert person["names"][0]["givenName"] == "Annie"
    assert "+14155559999" in values(person, "phoneNumbers")
    assert "+14155550001" not in values(person, "phoneNumbers")
    assert marks(rig) == {"shop:customer:1": 1}
    # A name is the owner's after a merge, also when the shop's own changes.
    change(rig, **person_fields(1, given_name="Zoe", phone="+14155559999"))
    assert rig.google.contact(name)["names"][0]["givenName"] == "Annie"
    assert "given_name" in rig.links["shop:1"].left_out


@pytest.mark.parametrize("lag", [0, 120])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("count", [1, 20])
def test_a_contact_renamed_shortly_before_a_change_stays_one(rigs, count, told, lag):
    rig = rigs(lag=timedelta(seconds=lag))
    book = rig.google.book()
    book.told = book.forwards = told
    rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(count)])
    rig.clock.advance(timedelta(hours=1))
    for n in range(0, count, 3):
        rig.google.rename(rig.links[f"shop:{n}"].remote_id)
    settle(rig, [rig.op(n, **person_fields(n, given_name="Zoe")) for n in range(count)])
    assert len(rig.google.contacts()) == count
    assert set(marks(rig).values()) == {1}
    assert {p["names"][0]["givenName"] for p in rig.google.contacts()} == {"Zoe"}


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_contact_renamed_time_and_again_between_two_looks_stays_ours(rigs, times):
    rig = rigs(on_delete="delete")
    name = rig.put(1, **person_fields(1)).remote_id
    rig.clock.advance(timedelta(hours=1))
    for _ in range(times):
        name = rig.google.rename(name)
    rig.deliver(rig.op(1, op="delete"))
    assert rig.google.contacts() == []


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("told", [True, False])
def test_a_contact_renamed_after_a_write_whose_answer_was_lost_stays_ours(rigs, told, times):
    """The new name it comes back under is what was written unheard, and nothing that went in."""
    rig = rigs(on_delete="delete")
    rig.google.book().told = told
    name = rig.put(1, **person_fields(1)).remote_id
    rig.clock.advance(timedelta(hours=1))
    rig.google.fail_next(Fault.commit_then_status(502, when=lambda r: r.method == "PATCH"))
    (outcome,) = rig.deliver(rig.op(1, **person_fields(1, given_name="Zoe")))
    assert isinstance(outcome, Failed)
    for _ in range(times):
        name = rig.google.rename(name)
    rig.deliver(rig.op(1, **person_fields(1, given_name="Zoe"), maybe=True))
    rig.deliver(rig.op(1, op="delete"))
    assert rig.google.contacts() == []


@pytest.mark.parametrize("told", [True, False])
def test_a_contact_that_was_not_found_under_its_former_name_stays_ours(rigs, told):
    """The new name it is found under tells the former one, which was taken for gone by then."""
    rig = rigs(lag=timedelta(seconds=90), on_delete="delete")
    book = rig.google.book()
    book.told, book.forwards, book.search_lag = told, False, timedelta(0)
    name = rig.put(1, **person_fields(1)).remote_id
    rig.clock.advance(timedelta(hours=1))
    rig.put(2, **person_fields(2))
    rig.google.rename(name)
    change(rig, **person_fields(1, company="Acme"))
    assert not rig.links["shop:1"].adopted
    change(rig, 2, **person_fields(2, company="Acme"))
    rig.deliver(rig.op(1, op="delete"), rig.op(2, op="delete"))
    assert rig.google.contacts() == []


@pytest.mark.parametrize("listed", ["for the first time", "anew"])
def test_a_listing_that_still_shows_the_former_name_makes_no_second_contact_of_it(rigs, listed):
    rig = rigs(lag=timedelta(seconds=90))
    rig.put(1, **person_fields(1))
    rig.clock.advance(timedelta(seconds=60) if listed == "for the first time" else timedelta(hours=1))
    name = rig.google.rename(rig.links["shop:1"].remote_id)
    rig.sink.read([rig.links["shop:1"]])
    if listed == "anew":
        rig.google.book().feed.expire()
    rig.clock.advance(timedelta(seconds=45))
    for _ in range(2):
        found = rig.sink.find(Identity(uids=("shop:customer:1",)))
        assert [link.remote_id for link in found] == [name]
        rig.clock.advance(timedelta(hours=1))


@pytest.mark.parametrize("how", ["rename", "merge", "merge under a new name"])
def test_an_end_that_the_listing_shows_before_what_became_of_it_makes_no_second_contact(rigs, how):
    """Nobody says that Google's listing does so: what became of it is searched for, and nobody waits without need."""
    rig = rigs(lag=timedelta(seconds=90))
    book = rig.google.book()
    book.told = book.forwards = False
    book.ends_early, book.search_lag = timedelta(seconds=60), timedelta(0)
    ours = rig.put(1, **person_fields(1)).remote_id
    rig.clock.advance(timedelta(hours=1))
    if how == "rename":
        name = rig.google.rename(ours)
    else:
        mine = rig.google.add(names=ANNIE, emailAddresses=[{"value": "annie@home.test"}])
        name = rig.google.merge(mine, ours, under="kept" if how == "merge" else "new")
    rig.clock.advance(timedelta(seconds=45))
    rig.put(1, **person_fields(1, company="Acme"))
    assert [p["resourceName"] for p in rig.google.contacts()] == [name]
    assert values(rig.google.contact(name), "organizations", "name") == ["Acme"]
    assert marks(rig) == {"shop:customer:1": 1}


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("beside", ["alone", "with a new customer"])
def test_whose_contact_is_gone_when_it_is_written_is_searched_for_before_another_is_made(rigs, beside, told):
    """The listing was read a moment before; the one after the 404 shows the end of the old name alone."""
    rig = rigs(lag=timedelta(seconds=90))
    book = rig.google.book()
    book.told, book.forwards = told, False
    book.ends_early, book.search_lag = timedelta(seconds=90), timedelta(0)
    ours = rig.put(1, **person_fields(1)).remote_id
    rig.clock.advance(timedelta(hours=1))
    rig.put(2, **person_fields(2))
    name = rig.google.rename(ours)
    more = [rig.op(3, **person_fields(3))] if beside != "alone" else []
    assert not [o for o in rig.deliver(rig.op(1, **person_fields(1, company="Acme")), *more) if isinstance(o, Failed)]
    assert rig.links["shop:1"].remote_id == name
    assert values(rig.google.contact(name), "organizations", "name") == ["Acme"]
    assert set(marks(rig).values()) == {1}


def test_a_contact_deleted_shortly_before_a_change_comes_back_once_the_listing_tells(rigs):
    rig = rigs(lag=timedelta(seconds=90))
    made = rig.put(1, **person_fields(1))
    rig.clock.advance(timedelta(hours=1))
    rig.google.remove(made.remote_id)
    outcome = rig.put(1, **person_fields(1, company="Acme"))
    assert isinstance(outcome.error, RateLimited)
    assert outcome.error.scope == "operation"
    assert "until" in outcome.error.message
    change(rig, **person_fields(1, company="Acme"))
    assert marks(rig) == {"shop:customer:1": 1}


@pytest.mark.parametrize("count", [1, 10])
def test_contacts_typed_in_a_minute_before_are_found(rig, count):
    rig.put("old", **person_fields(99))
    names = {rig.google.add(names=ANNIE, emailAddresses=[{"value": f"ann{n}@shop.test"}]) for n in range(count)}
    rig.clock.advance(timedelta(minutes=1))
    rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(count)])
    assert {rig.links[f"shop:{n}"].remote_id for n in range(count)} == names
    assert len(rig.google.contacts()) == count + 1


@pytest.mark.parametrize(
    "typed",
    [
        {"emailAddresses": [{"value": "Ann1@shop.test"}]},
        {"names": [{"givenName": "Ann1", "familyName": "Test"}], "phoneNumbers": [{"value": "(415) 555-0001"}]},
    ],
)
def test_a_contact_typed_in_a_moment_before_is_found_by_the_search_where_the_listing_lags(rigs, typed):
    rig = rigs(lag=timedelta(minutes=2))
    rig.google.book().search_lag = timedelta(0)
    rig.put("old", **person_fields(99))
    name = rig.google.add(**typed)
    rig.put(1, **person_fields(1, family_name="Test"))
    assert rig.links["shop:1"].remote_id == name
    assert len(rig.google.contacts()) == 2
    assert marks_on(rig.google.contact(name)) == ["shop:customer:1"]


def test_many_at_once_and_the_past_are_left_to_the_listing(rig):
    rig.put("old", **person_fields(99))
    before = len(rig.google.requests)
    rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(7)])
    rig.deliver(evolve(rig.op(20, **person_fields(20)), bulk=True))
    assert not [r for r in rig.google.requests[before:] if r.path.endswith("searchContacts")]


def test_what_a_stale_search_shows_is_read_by_name_before_it_counts(rigs):
    rig = rigs()
    rig.put("old", **person_fields(99))
    name = rig.google.add(names=ANNIE, emailAddresses=[{"value": "ann1@shop.test"}])
    rig.clock.advance(timedelta(minutes=10))
    rig.google.book().search_lag = timedelta(minutes=5)
    rig.google.remove(name)
    made = rig.put(1, **person_fields(1))
    assert isinstance(made, Delivered)
    assert made.remote_id != name
    assert len(rig.google.contacts()) == 2


@pytest.mark.parametrize("policy", ["keep", "unlabel"])
@pytest.mark.parametrize("restart", [True, False])
def test_a_deleted_customer_who_registers_again_has_one_contact(rigs, policy, restart):
    rig = rigs(on_delete=policy)
    made = rig.put(1, **person_fields(1))
    rig.deliver(rig.op(1, op="delete"))
    if restart:
        rig.sink = rig.open()
    again = rig.put(2, **person_fields(1, given_name="Anna"))
    assert again.remote_id == made.remote_id
    (person,) = rig.google.contacts()
    assert person["names"][0]["givenName"] == "Anna"
    assert marks(rig) == {"shop:customer:2": 1}
    assert rig.google.members("Customers") == {made.remote_id}


@pytest.mark.parametrize("policy", ["keep", "unlabel", "delete"])
def test_a_deleted_customer_whose_contact_was_there_before_has_one_contact_again(rigs, policy):
    """Core asks for no deletion of what is not ours: it says that the record is gone, and how to let go."""
    rig = rigs(on_delete=policy)
    mine = rig.google.add(names=ANNIE, emailAddresses=[{"value": "ann1@shop.test"}])
    rig.put(1, **person_fields(1, company="Acme"))
    rig.deliver(rig.op(1, op="leave", on_leave="unlabel", gone=True))
    assert rig.google.members("Customers") == ({mine} if policy == "keep" else set())
    assert values(rig.google.contact(mine), "organizations", "name") == ([] if policy == "delete" else ["Acme"])
    assert rig.google.contact(mine)["names"][0]["givenName"] == "Annie"
    assert rig.put(2, **person_fields(1)).remote_id == mine
    assert marks(rig) == {"shop:customer:2": 1}
    assert rig.google.members("Customers") == {mine}
    assert len(rig.google.contacts()) == 1


@pytest.mark.parametrize("policy", ["keep", "unlabel", "delete"])
@pytest.mark.parametrize("way", ["", "the other changes", "restart"])
def test_a_deleted_customer_of_a_merged_contact_has_it_again(rigs, policy, way):
    rig = rigs(on_delete=policy)
    one, two = (rig.put(n, **person_fields(n, company=f"Firm {n}")).remote_id for n in (1, 2))
    rig.google.merge(one, two)
    for n in (2, 1):
        change(rig, n, **person_fields(n, company=f"Firm {n}b"))
    rig.deliver(rig.op(1, op="delete"))
    if way == "the other changes":
        change(rig, 2, **person_fields(2, company="Firm 2c"))
    elif way:
        rig.sink = rig.open()
    change(rig, 3, **person_fields(1, company="Firm 3", phone="+14155550033"))
    (person,) = rig.google.contacts()
    assert marks(rig) == {"shop:customer:2": 1, "shop:customer:3": 1}
    assert set(values(person, "emailAddresses")) == {"ann1@shop.test", "ann2@shop.test"}
    # What the deleted one had there is the new one's; the other's stays.
    assert set(values(person, "phoneNumbers")) == {"+14155550002", "+14155550033"}
    assert companies(rig) == {"Firm 3", "Firm 2c" if way == "the other changes" else "Firm 2b"}
    assert rig.sink.namesakes() == {}


@pytest.mark.parametrize("under", ["of who is gone", "of who stays"])
@pytest.mark.parametrize("apart", [False, True])
def test_who_comes_again_while_the_other_of_a_merged_contact_changes_has_it_again(rigs, under, apart):
    rig = rigs(on_delete="keep")
    one, two = (rig.put(n, **person_fields(n, company=f"Firm {n}")).remote_id for n in (1, 2))
    name = rig.google.merge(one, two) if under == "of who is gone" else rig.google.merge(two, one)
    rig.deliver(rig.op(1, op="delete"))
    both = [rig.op(2, **person_fields(2, family_name="New")), rig.op(3, **person_fields(1, company="Firm 3"))]
    for some in [both[:1], both[1:]] if apart else [both]:
        settle(rig, some)
    (person,) = rig.google.contacts()
    assert person["resourceName"] == name
    assert marks(rig) == {"shop:customer:2": 1, "shop:customer:3": 1}
    assert set(values(person, "emailAddresses")) == {"ann1@shop.test", "ann2@shop.test"}


@pytest.mark.parametrize("under", ["guest", "account"])
@pytest.mark.parametrize("changed", [[], [2], ["guest:abc", 2], [2, "guest:abc"]])
def test_a_guest_of_a_merged_contact_who_registers_has_it_still(rig, under, changed):
    one, two = (rig.put(k, **person_fields(n, company="Firm")).remote_id for k, n in (("guest:abc", 1), (2, 2)))
    rig.google.merge(*((one, two) if under == "guest" else (two, one)))
    for key in changed:
        change(rig, key, **person_fields(1 if key != 2 else 2, company=f"Firm {key}"))
    # As core does it: the account takes the guest's link.
    rig.links["shop:3"] = evolve(rig.links.pop("shop:guest:abc"), key="3")
    change(rig, 3, **person_fields(1, company="Firm 3"))
    (person,) = rig.google.contacts()
    assert marks(rig) == {"shop:customer:2": 1, "shop:customer:3": 1}
    assert set(values(person, "emailAddresses")) == {"ann1@shop.test", "ann2@shop.test"}


def test_a_second_contact_beside_a_merged_one_of_a_deleted_customer_is_named(rig):
    one, two = (rig.put(n, **person_fields(n)).remote_id for n in (1, 2))
    name = rig.google.merge(one, two)
    for n in (1, 2):
        change(rig, n, **person_fields(n, company="Firm"))
    rig.deliver(rig.op(1, op="delete"))
    second = rig.put(3, **person_fields(3)).remote_id
    rig.google.edit(second, emailAddresses=[{"value": "ann3@shop.test"}, {"value": "ann1@shop.test"}])
    assert rig.sink.namesakes() == {name: second}


def test_a_contact_typed_in_and_merged_with_anothers_before_its_customer_came_is_named(rig):
    theirs = rig.put(1, **person_fields(1)).remote_id
    typed = rig.google.add(names=[{"givenName": "Ann"}], emailAddresses=[{"value": "ann2@shop.test"}])
    rig.google.merge(theirs, typed)
    ours = rig.put(2, **person_fields(2)).remote_id
    assert rig.sink.namesakes() == {theirs: ours}


def test_a_customer_that_comes_back_is_no_longer_gone(rig):
    made = rig.put(1, **person_fields(1))
    rig.deliver(rig.op(1, op="delete"))
    assert rig.put(1, **person_fields(1)).remote_id == made.remote_id
    assert rig.put(2, **person_fields(1)).remote_id != made.remote_id


@pytest.mark.parametrize("lag", [0, 120])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("under", ["kept", "other", "new"])
def test_a_retry_right_after_the_merge_that_was_asked_for_succeeds(rigs, under, told, lag):
    rig = rigs(lag=timedelta(seconds=lag))
    book = rig.google.book()
    book.told = book.forwards = told
    first, second = (rig.google.add(names=ANNIE, emailAddresses=[{"value": "ann1@shop.test"}]) for _ in range(2))
    rig.clock.advance(timedelta(hours=1))
    assert "2 contacts could be" in rig.put(1, **person_fields(1)).error.message
    name = rig.google.merge(first, second, under=under)
    outcome = rig.put(1, **person_fields(1))
    if under == "new" and not told and lag:
        assert isinstance(outcome.error, RateLimited)  # nothing Google shows yet tells where they went
        change(rig, **person_fields(1))
    else:
        assert isinstance(outcome, Delivered)
    assert rig.links["shop:1"].remote_id == name
    assert len(rig.google.contacts()) == 1


# -- in every order

steps = st.lists(
    st.tuples(
        st.sampled_from(["merge", "marry", "rename", "delete", "typed", "shop", "gone", "wait", "restart"]),
        st.integers(1, 3),
        st.sampled_from(["kept", "other", "new"]),
        st.sampled_from(["both", "kept", "none"]),
    ),
    max_size=8,
)


class World:
    """Three customers of one shop, and an owner who does what owners do."""

    def __init__(self, rig, told):
        self.rig = rig
        book = rig.google.book()
        book.told = book.forwards = told
        # What Google's listing and search both hide cannot be found by anybody.
        book.search_lag = timedelta(0)
        self.calls = 0
        self.owner_named = set()
        #: Person -> their number in the shop, another one each time they register.
        self.number = {1: 1, 2: 2, 3: 3}

    def contact_of(self, key):
        """The contact that has the customer's address; None where the owner deleted it."""
        found = [
            p["resourceName"]
            for p in self.rig.google.contacts()
            if f"ann{key}@shop.test" in values(p, "emailAddresses")
        ]
        return found[0] if found else None

    def merge(self, key, under, markers):
        ours = self.contact_of(key)
        if ours:
            mine = self.rig.google.add(names=ANNIE, nicknames=[{"value": f"n{self.calls}"}])
            self.owner_named = {n for n in self.owner_named if n != ours}
            self.owner_named.add(self.rig.google.merge(mine, ours, under=under, markers=markers))

    def marry(self, key, under, markers):
        """The owner merges two customers' contacts."""
        one, two = self.contact_of(key), self.contact_of(key % 3 + 1)
        if one and two and one != two and all(marks_on(self.rig.google.contact(name)) for name in (one, two)):
            named = one in self.owner_named  # of two names the first one's stays, under whichever resource name
            self.owner_named -= {one, two}
            name = self.rig.google.merge(one, two, under=under, markers=markers)
            if named:
                self.owner_named.add(name)

    def rename(self, key, *_):
        if ours := self.contact_of(key):
            name = self.rig.google.rename(ours)
            if ours in self.owner_named:
                self.owner_named.add(name)

    def delete(self, key, *_):
        if ours := self.contact_of(key):
            self.rig.google.remove(ours)

    def typed(self, key, *_):
        if not self.contact_of(key):
            name = self.rig.google.add(names=ANNIE, emailAddresses=[{"value": f"ann{key}@shop.test"}])
            self.owner_named.add(name)

    def shop(self, key, *_):
        self.calls += 1
        self.rig.sink.resume()  # how many searches a minute allows is not what is tried here
        fields = person_fields(key, company=f"Company {self.calls}", given_name=f"Shop{self.calls}")
        change(self.rig, self.number[key], **fields)

    def gone(self, key, how, _):
        settle(self.rig, [self.rig.op(self.number[key], op="delete")])
        if how != "new":
            self.number[key] += 10

    def restart(self, *_):
        self.rig.sink = self.rig.open()

    def wait(self, *_):
        self.rig.clock.advance(timedelta(minutes=20))


@pytest.fixture
def close_by(rig, monkeypatch):
    """A rig whose calls reach the stand-in without a socket."""
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _, request: near(rig.google, request))
    return rig


@hypothesis_settings(max_examples=ORDERS, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps, st.booleans(), st.booleans(), st.sampled_from([0, 60]), st.sampled_from(["keep", "unlabel", "delete"]))
@example([("merge", 1, "kept", "both"), ("marry", 3, "other", "both")], True, False, 0, "keep")
def test_in_every_order_there_is_one_contact_each_and_no_marker_twice(close_by, order, begun, told, lag, policy):
    rig = close_by
    rig.settings["on_delete"] = policy
    rig.afresh(timedelta(seconds=lag))
    world = World(rig, told)
    for key in (1, 2, 3) if begun else ():
        world.shop(key)
    for step, *how in order:
        getattr(world, step)(*how)
    for key in (1, 2, 3):
        world.shop(key)
    people, numbers = rig.google.contacts(), list(world.number.values())
    found = marks(rig)
    assert {found[f"shop:customer:{number}"] for number in numbers} == {1}
    for key in (1, 2, 3):
        assert len([p for p in people if f"ann{key}@shop.test" in values(p, "emailAddresses")]) == 1
    named = {p["resourceName"]: p["names"][0]["givenName"] for p in people if p.get("names")}
    assert {named[n] for n in world.owner_named if n in named} <= {"Annie"}
    if policy != "delete":  # which leaves of an owner's contact what they typed, by which nobody finds it again
        assert len(people) == len({world.contact_of(key) for key in (1, 2, 3)})
    before = rig.writes()
    outcomes = rig.deliver(*[rig.op(n, **dict(rig.links[f"shop:{n}"].mapped)) for n in numbers])
    assert not [o for o in outcomes if isinstance(o, Failed)]
    assert all(isinstance(o, Unchanged) for o in outcomes)
    assert rig.writes() == before
