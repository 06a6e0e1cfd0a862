"""Several customers of two shops on one contact, whatever owner and shops do: nobody takes anything off another."""

import os
from itertools import count

import httpx
import pytest
from google_help import near, person_fields, values
from google_world import GUEST, PEOPLE, World, play
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from synccore._verbs.connect import connect
from synccore._verbs.forget import forget
from synccore.testing import FakeClock, Harness, customer
from synccore_google_contacts.sink import SINK
from synccore_google_contacts.testing import AutoBrowser, FakePeople, settings

#: Lives tried: more of them at night, where time is not short.
LIVES = 200 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 3
ALL = (("says", *PEOPLE), ("settle",))
PLENTY = dict.fromkeys(("critical_read", "critical_write", "write", "group_read", "full_sync"), 10**6)


@pytest.fixture
def live(tmp_path, monkeypatch):
    """Plays a life, in a world of its own whose calls reach Google without a socket."""
    number = count()

    def played(steps, **how):
        clock = FakeClock()
        with FakePeople(clock=clock.now, quota=PLENTY) as google, monkeypatch.context() as patch:
            patch.setattr(httpx.HTTPTransport, "handle_request", lambda _, request: near(google, request))
            folder = tmp_path / str(next(number))
            folder.mkdir()
            world = World(folder, google, clock, **how)
            try:
                play(world, steps)
            finally:
                world.close()

    return played


@pytest.mark.parametrize(
    ("steps", "how"),
    [
        pytest.param(
            [*ALL, ("marries", ("shop", 3), ("shop", 1), "other", "none"), ("leaves", ("other", 1))],
            {"told": False, "policy": "delete", "sinks": 2},
            id="who leaves takes nothing of those whose markers a merge lost",
        ),
        pytest.param(
            [*ALL, ("marries", ("shop", 1), ("shop", 2), "new", "none"), ("says", ("other", 1))],
            {"told": False},
            id="two contacts that went into one bring along what all wanted on both",
        ),
        pytest.param(
            [*ALL, ("marries", ("other", 5), ("shop", 1), "kept", "none"), ("empties", ("other", 5))],
            {"told": False, "lag": 30},
            id="what one has emptied and another fills is no drift",
        ),
        pytest.param(
            [*ALL, ("merges", ("shop", 3), "other", "kept", False),
             ("marries", ("other", 5), ("shop", 3), "kept", "kept"), ("leaves", ("other", 5))],
            {"told": False, "lag": 200, "policy": "delete"},
            id="what another's contact went into a moment ago is not deleted",
        ),
        pytest.param(
            [*ALL, ("deletes", ("shop", 3)), ("types_in", ("shop", 3)),
             ("marries", ("shop", 3), ("shop", 2), "new", "none")],
            {},
            id="whom the owner typed in again on another's contact has that",
        ),
        pytest.param(
            [("says", ("other", 5), ("shop", 1)), ("settle",), ("marries", ("shop", 1), ("other", 5), "kept", "both"),
             ("says", ("other", 5), ("other", 1))],
            {},
            id="whom the other shop knows by the address joins them beside another",
        ),
    ],
)  # fmt: skip
def test_nobody_takes_anything_off_another(live, steps, how):
    live(steps, **how)


who = st.sampled_from(PEOPLE)
under = st.sampled_from(["kept", "other", "new"])
markers = st.sampled_from(["both", "kept", "none"])
steps = st.one_of(
    st.tuples(st.just("says"), who),
    st.tuples(st.just("says"), who, who, who),
    st.tuples(st.just("marries"), who, who, under, markers),
    st.tuples(st.just("merges"), who, under, markers, st.booleans()),
    st.tuples(st.sampled_from(["moves", "empties", "leaves", "types_in", "renames", "deletes", "adds"]), who),
    st.tuples(st.just("registers"), st.just(("shop", GUEST))),
    st.tuples(st.just("passes"), st.sampled_from([5, 60, 200, 700])),
    st.tuples(st.sampled_from(["now", "now", "settle", "restarts"])),
)


@hypothesis_settings(max_examples=LIVES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(steps, max_size=24), st.booleans(), st.booleans(), st.sampled_from([0, 30, 90, 200]),
    st.sampled_from(["keep", "unlabel", "delete"]), st.sampled_from([1, 2]),
)  # fmt: skip
def test_in_every_life_each_keeps_what_is_theirs_and_verify_tells_the_truth(
    live, life, begun, told, lag, policy, sinks
):
    live([*(ALL if begun else ()), *life], told=told, lag=lag, policy=policy, sinks=sinks)


def test_a_label_is_taken_off_what_was_merged_a_moment_before(rig):
    ours = rig.put(1, **person_fields(1)).remote_id
    mine = rig.google.add(names=[{"givenName": "Annie"}], nicknames=[{"value": "Nan"}])
    name = rig.google.merge(mine, ours)
    rig.deliver(rig.op(1, op="delete", settings={"on_delete": "unlabel"}))
    assert rig.google.members("Customers") == set()
    rig.put(2, **person_fields(1, given_name="Zoe"))
    (person,) = rig.google.contacts()
    assert person["resourceName"] == name
    assert person["names"][0]["givenName"] == "Annie"
    assert values(person, "nicknames") == ["Nan"]


def test_a_contact_that_was_never_seen_and_went_into_ours_keeps_it_from_being_deleted(rig):
    ours = rig.put(1, **person_fields(1)).remote_id
    mine = rig.google.add(nicknames=[{"value": "Nan"}], emailAddresses=[{"value": "nan@home.test"}])
    name = rig.google.merge(ours, mine, under="other")
    rig.deliver(rig.op(1, op="delete", settings={"on_delete": "delete"}))
    assert values(rig.google.contact(name), "emailAddresses") == ["nan@home.test"]


@pytest.mark.parametrize("on_leave", ["keep", "unlabel"])
def test_of_a_customer_of_two_shops_who_is_forgotten_nothing_stays(tmp_path, on_leave):
    clock = FakeClock()
    with FakePeople(clock=clock.now, quota=PLENTY) as google:
        table = {k: v for k, v in settings(google).items() if k != "type"}
        route = {"entity": "customer", "object": "contact", "sink": "contacts", "on_leave": on_leave}
        route["when"] = "customer.company"
        routes = {"one": route, "two": {**route, "source": "other"}}
        with Harness(tmp_path, routes, sink_types={"contacts": (SINK, table)}, clock=clock, installed=True,
                     sources=("shop", "other")) as app:  # fmt: skip
            connect(app.app, "contacts", AutoBrowser())
            for company in ("Firm", ""):
                for source in ("shop", "other"):
                    app.emit(customer("1", email="ann1@shop.test", first_name="Ann", company=company), source=source)
                    app.settle_down()
            assert len(google.contacts()) == 1
            assert forget(app.app, "ann1@shop.test").complete
        assert google.contacts() == []


def test_a_name_that_gave_way_to_another_customers_is_no_drift_after_the_next_change_of_whatever(rig):
    one, two = (rig.put(n, **person_fields(n)).remote_id for n in (1, 2))
    assert rig.google.merge(one, two, under="other") == two
    done = rig.put(2, **person_fields(2, phone="+14155550999"))
    assert done.left_out["given_name"].startswith("kept")
    assert values(rig.google.contact(two), "names", "givenName") == ["Ann1"]
    again = rig.put(1, **person_fields(1, given_name="Zoe"))
    assert "given_name" not in again.left_out
