"""Before and after the first run: `preview`, `plan`, `adopt`, `verify`. The first two write nothing anywhere."""

import hashlib
from decimal import Decimal

import pytest

from synccore.entities import Order
from synccore.errors import Rejected, Transient
from synccore.testing import customer, upsert
from synccore.types import Change


def people(world, count=3, **values):
    world.source.put(*(customer(str(n), email=f"p{n}@shop.test", **values) for n in range(1, count + 1)))


def order(key, owner, total="10.00"):
    return upsert(Order(key=key, number=key, status="completed", currency="EUR", total=Decimal(total)), owner=owner)


def with_a_child_route(world):
    """One order, on a route of its own below the people's."""
    world.source.put(order("o1", "1"))
    world.config["routes"]["orders"] = {
        "source": "shop",
        "entity": "order",
        "sink": "crm",
        "object": "thing",
        "after": "people",
        "defaults": False,
        "fields": {"name": "order.number"},
    }
    world.write()


def contents(world):
    """Every row of the outbox, so that "writes nothing" is more than a word."""
    import sqlite3

    with sqlite3.connect(world.folder / "synccore.db") as db:
        text = "\n".join(line for line in db.iterdump())
    db.close()
    return hashlib.sha256(text.encode()).hexdigest()


def unchanged_by(world, *args, **more):
    world.run("lanes", "list")  # makes the database
    before, records = contents(world), {k: dict(v) for k, v in world.crm.records.items()}
    document = world.json(*args, **more)
    assert contents(world) == before
    assert world.crm.records == records
    return document


# -- preview


def test_preview_of_an_unknown_record_reads_it_from_the_shop_and_stores_nothing(world):
    people(world)
    document = unchanged_by(world, "preview", "people", "2")
    assert (document["action"], document["fetched"]) == ("create", True)
    assert document["fields"] == {"email": "p2@shop.test"}
    assert document["changed"] == ["email"]


def test_preview_of_a_record_that_is_nowhere_is_told(world):
    assert "neither here nor at shop" in world.run("preview", "people", "9", code=1).stderr


def test_preview_beside_what_was_last_sent(world):
    people(world)
    world.deliver()
    document = world.json("preview", "people", "1")
    assert (document["action"], document["reason"]) == ("none", "unchanged")
    world.source.put(customer("1", email="new@shop.test"))
    world.run("lanes", "pause", "crm")
    world.run("run", "--once")
    document = unchanged_by(world, "preview", "people", "1")
    assert document["action"] == "update"
    assert document["changed"] == ["email"]
    assert (document["previous"]["email"], document["fields"]["email"]) == ("p1@shop.test", "new@shop.test")
    told = world.run("preview", "people", "1").stdout
    assert "would be updated" in told
    assert "new@shop.test" in told


def test_preview_live_names_what_drifted_at_the_target(world):
    people(world)
    world.deliver()
    world.crm.by_uid()["shop:customer:1"]["email"] = "changed@there.test"
    document = world.json("preview", "people", "1", "--live")
    assert document["remote"] == {"email": "changed@there.test"}
    assert document["drift"] == ["email"]
    assert "changed@there.test" in world.run("preview", "people", "1", "--live").stdout


@pytest.mark.parametrize(
    ("table", "action", "reason"),
    [
        ({"when": "customer.company"}, "none", "when"),
        ({"fields": {"name": "1 / (customer.key | int - 1)"}}, "refused", "name"),
    ],
)
def test_preview_says_why_nothing_would_be_sent(world, table, action, reason):
    people(world)
    world.config["routes"]["people"] |= table
    world.write()
    document = world.json("preview", "people", "1", code=1 if action == "refused" else 0)
    assert document["action"] == action
    assert reason in (document["reason"] or "")


@pytest.mark.parametrize(
    ("on_leave", "word"), [("keep", "(stays)"), ("unlabel", "(stays)"), ("clear", "(emptied)"), ("delete", "(deleted)")]
)
def test_preview_says_what_becomes_of_what_stands_there_when_a_record_is_let_go_of(world, on_leave, word):
    world.source.put(customer("1", email="p1@shop.test"))
    world.deliver()
    world.config["routes"]["people"] |= {"on_leave": on_leave, "when": "customer.phone"}
    world.write()
    told = world.run("preview", "people", "1").stdout
    assert ["email", word, "p1@shop.test"] in [line.split() for line in told.splitlines()]


def test_preview_of_a_child_says_that_it_waits_for_its_parent(world):
    people(world)
    with_a_child_route(world)
    document = world.json("preview", "orders", "o1")
    assert document["action"] == "wait"
    assert "customer 1" in document["reason"]
    world.run("backfill", "shop", "customer")
    assert world.json("preview", "orders", "o1")["action"] == "create"


def test_preview_marks_what_differs_inside_a_field(world):
    world.source.put(customer("1", email="p1@shop.test", first_name="Anna"))
    world.config["routes"]["people"]["fields"] = {"name": "{'first': customer.first_name, 'key': customer.key}"}
    world.write()
    world.deliver()
    world.crm.by_uid()["shop:customer:1"]["name"] = {"first": "Ann", "key": "1"}
    lines = world.run("preview", "people", "1", "--live").stdout.splitlines()
    marked = [line.split() for line in lines if line.startswith("*")]
    assert marked == [["*", "name.first", "Anna", "Ann"]]


# -- plan


def test_plan_before_the_first_run_says_what_would_be_created(world):
    people(world, 250)
    document = unchanged_by(world, "plan", "people")
    assert (document["seen"], document["create"], document["update"]) == (250, 250, 0)
    assert len(document["examples"]["create"]) == 5
    assert world.source.written_back == []


def test_plan_tells_new_changed_equal_ambiguous_and_unwanted_apart(world):
    people(world, 6)
    world.config["routes"]["people"] |= {"when": "customer.key != '6'", "fields": {"name": "''"}}
    world.write()
    world.crm.records = {
        "a": {"email": "p1@shop.test"},
        "b": {"email": "p2@shop.test", "name": "Old"},
        "c": {},
        "d": {},
    }
    world.crm.records["b"] = {"email": "elsewhere@shop.test"}
    world.crm.twins = {"p1@shop.test": ["a"], "p2@shop.test": ["b"], "p3@shop.test": ["c", "d"]}
    document = unchanged_by(world, "plan", "people", code=1)
    counts = {k: document[k] for k in ("create", "update", "unchanged", "skipped", "refused")}
    assert counts == {"create": 2, "update": 1, "unchanged": 1, "skipped": 1, "refused": 1}
    assert document["examples"]["unchanged"] == ["1"]
    assert document["examples"]["refused"] == ["3"]
    assert any("2 records at the target could be it" in r["reason"] for r in document["reasons"])


def test_plan_after_a_run_finds_everything_in_place(world):
    people(world)
    world.deliver()
    assert world.json("plan", "people")["unchanged"] == 3
    world.source.put(customer("2", email="new@shop.test"))
    document = world.json("plan", "people")
    assert (document["unchanged"], document["update"]) == (2, 1)


def test_plan_knows_what_the_route_includes(world):
    people(world, 2)
    world.source.put(order("o1", "1"), order("o2", "1", "5.50"))
    world.config["routes"]["people"] |= {
        "include": ["order"],
        "when": "orders | length == 2 and customer.total_spent == 15.5",
    }
    world.write()
    document = world.json("plan", "people")
    assert (document["create"], document["skipped"]) == (1, 1)
    assert document["examples"]["create"] == ["1"]


def test_plan_waits_over_short_trouble_and_names_what_a_lookup_refuses(world):
    people(world, 4)
    world.source.fail_polls.append(Transient("busy"))
    lookup = world.crm.lookup

    def picky(operations):
        if any(o.key == "3" for o in operations):
            raise Rejected("no such address")
        return lookup(operations)

    world.crm.lookup = picky
    document = world.json("plan", "people", code=1)
    assert (document["create"], document["refused"]) == (3, 1)
    assert document["examples"]["refused"] == ["3"]
    assert world.clock.slept


def test_plan_of_children_before_their_parents_are_there(world):
    people(world, 1)
    with_a_child_route(world)
    assert world.json("plan", "orders")["create"] == 1


def test_plan_of_a_target_that_cannot_look_up_says_so(world):
    people(world, 2)
    world.write(sinks={"archive": {"type": "scripted"}})
    world.archive.lookup = None
    world.config["routes"] = {
        "people": {
            "source": "shop",
            "entity": "customer",
            "sink": "archive",
            "object": "thing",
            "fields": {"email": "customer.email"},
        }
    }
    world.write()
    document = world.json("plan", "people")
    assert document["create"] == 2
    assert "cannot say" in document["notes"][0]
    assert "cannot say" in world.run("adopt", "people", code=1).stderr


# -- adopt


def test_adopt_links_the_sure_ones_and_only_those(world):
    people(world, 5)
    world.crm.records = {"a": {"email": "p1@shop.test"}, "b": {}, "c": {}}
    world.crm.twins = {"p1@shop.test": ["a"], "p2@shop.test": ["b", "c"]}
    document = world.json("adopt", "people", code=1)
    assert {k: document[k] for k in ("route", "sure", "ambiguous", "none", "already")} == {
        "route": "people",
        "sure": 1,
        "ambiguous": 1,
        "none": 3,
        "already": 0,
    }
    assert document["examples"] == [{"key": "2", "result": "ambiguous", "candidates": ["b", "c"]}]
    assert not world.crm.calls  # nothing was written there
    world.deliver()
    assert world.crm.records["a"] == {"email": "p1@shop.test"}
    assert "a" not in world.crm.uids.values()
    assert world.json("adopt", "people")["already"] == 5


def test_adopt_dry_run_links_nothing(world):
    people(world, 1)
    world.crm.twins = {"p1@shop.test": ["a"]}
    assert unchanged_by(world, "adopt", "people", "--dry-run")["sure"] == 1
    assert world.json("adopt", "people")["sure"] == 1


def test_adopt_never_gives_two_records_the_same_twin(world):
    world.source.put(customer("1", email="both@shop.test"), customer("2", email="both@shop.test"))
    world.crm.twins = {"both@shop.test": ["a"]}
    document = world.json("adopt", "people", code=1)
    assert (document["sure"], document["ambiguous"]) == (0, 2)
    assert document["examples"][0]["shared_with"] == ["2"]


def test_plan_promises_a_twin_to_nobody_where_adopt_links_nobody(world):
    world.source.put(*(customer(k, email="both@shop.test") for k in "12"), customer("3", email="p3@shop.test"))
    world.crm.twins = {"both@shop.test": ["a"], "p3@shop.test": ["c"]}
    document = world.json("plan", "people", code=1)
    assert (document["update"], document["refused"], document["create"]) == (1, 2, 0)
    assert any("found by other records" in r["reason"] for r in document["reasons"])
    world.json("adopt", "people", code=1)
    people(world, 4)
    world.crm.twins["p4@shop.test"] = ["c"]
    assert "4" in world.json("plan", "people", code=1)["examples"]["refused"]


def test_adopt_leaves_a_twin_that_is_taken_alone(world):
    people(world, 1)
    world.crm.twins = {"p1@shop.test": ["a"], "p2@shop.test": ["a"]}
    assert world.json("adopt", "people")["sure"] == 1
    people(world, 2)
    document = world.json("adopt", "people", code=1)
    assert (document["already"], document["ambiguous"]) == (1, 1)


def test_adopt_tells_people_what_comes_next(world):
    people(world, 1)
    world.crm.twins = {"p1@shop.test": ["a"]}
    assert "synccore backfill shop --route people" in world.run("adopt", "people").stdout


# -- verify


def test_verify_proves_a_run(world):
    people(world, 30)
    world.deliver()
    document = world.json("verify", "people", "--sample", "10")
    assert document["ok"] is True
    assert document["in"] == document["linked"] == 30
    assert document["sampled"] == 10
    assert "30 in = 30 linked + 0 parked + 0 skipped" in world.run("verify", "people").stdout


def test_verify_names_drift_and_what_is_gone_without_values(world):
    people(world, 3)
    world.deliver()
    world.crm.by_uid()["shop:customer:1"]["email"] = "changed@there.test"
    del world.crm.records[world.crm.uids["shop:customer:2"]]
    document = world.json("verify", "people", code=1)
    assert document["drift"] == [{"key": "1", "fields": ["email"]}]
    assert document["gone"] == ["2"]
    assert "changed@there.test" not in str(document)


def test_verify_counts_what_is_parked_skipped_and_still_owed(world):
    people(world, 4)
    world.config["routes"]["people"]["when"] = "customer.key != '4'"
    world.write()
    world.crm.always(lambda o: Rejected("no") if o.key == "1" else None)
    world.deliver(code=1)
    document = world.json("verify", "people", code=1)
    counts = {k: document[k] for k in ("in", "linked", "parked", "skipped", "open", "missing")}
    assert counts == {"in": 4, "linked": 2, "parked": 1, "skipped": 1, "open": 0, "missing": 0}


def test_verify_finds_what_was_never_owed(world):
    people(world, 2)
    world.config["routes"]["people"]["sink"] = "archive"
    world.write(sinks={"crm": {"type": "crm"}, "archive": {"type": "scripted"}})
    world.config["routes"]["people"]["fields"] = {"email": "customer.email"}
    world.write()
    world.deliver()
    world.config["routes"]["late"] = {**world.config["routes"]["people"], "sink": "crm"}
    world.write()
    document = world.json("verify", "late", code=1)
    assert document["missing"] == 2
    assert any("synccore backfill shop customer --route late" in f["message"] for f in document["findings"])


def test_a_deleted_record_is_previewed_as_such(world):
    people(world, 1)
    world.deliver()
    from .test_cli_connect import world_app

    with world_app(world) as app:
        from synccore.store import Ingest

        gone = Change(entity="customer", key="1", op="delete")
        app.store.ingest([Ingest(source="shop", changes=[gone], rules={})], app.clock.now())
    assert world.json("preview", "people", "1")["action"] == "delete"


def test_routes_of_events_have_nothing_to_compare(world):
    world.write(sources={"shop": {"type": "emitter", "entities": ["customer", "payment"]}})
    world.config["routes"]["paid"] = {
        "source": "shop",
        "entity": "payment",
        "sink": "crm",
        "object": "thing",
        "fields": {"name": "payment.currency"},
    }
    world.write()
    for word in ("plan", "adopt"):
        assert "each is sent once" in world.run(word, "paid", code=1).stderr


@pytest.mark.parametrize("word", ["plan", "adopt"])
def test_a_listing_that_was_interrupted_gives_no_half_result(world, word, monkeypatch):
    from synccore._app.app import App

    people(world, 250)
    poll = world.source.poll
    opened = []
    original = App.open
    monkeypatch.setattr(App, "open", lambda *a, **k: opened.append(original(*a, **k)) or opened[-1])

    def interrupted(entity, cursor, filters):
        for number, page in enumerate(poll(entity, cursor, filters)):
            if number == 1:
                opened[-1].stopping.set()
                return
            yield page

    world.source.poll = interrupted
    result = world.run(word, "people", "--json", code=130)
    assert result.stdout == ""
    assert "stopped before the end" in result.stderr
