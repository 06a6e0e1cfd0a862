"""Looking and repairing: `status`, `log`, `deliveries`, `lanes`. The JSON shapes are a contract."""

import json

import pytest

from synccore._verbs.log import Wanted, follow
from synccore.errors import AuthError, Rejected
from synccore.store import Ingest
from synccore.testing import customer
from synccore.types import Change, Delivered, Page, Unreadable

from .test_cli_connect import world_app

PARKED = Rejected("the address is not valid", fields=["email"])


def people(world, count=3, **values):
    world.source.put(*(customer(str(n), email=f"p{n}@shop.test", **values) for n in range(1, count + 1)))


def parked(world, *keys):
    people(world)
    world.crm.always(lambda o: PARKED if o.key in keys else None)
    world.deliver(code=1)
    world.crm.always(None)


# -- status


def test_status_json_has_the_pinned_shape(world):
    people(world)
    world.deliver()
    document = world.json("status")
    assert set(document) == {"sources", "sinks", "routes", "notes", "changed", "daemons"}
    assert (document["notes"], document["changed"]) == ([], [])
    source = document["sources"]["shop"]
    assert {"type", "state", "reason", "entities"} <= set(source)
    assert {"snapshots", "cursor", "last_poll_at"} <= set(source["entities"]["customer"])
    sink = document["sinks"]["crm"]
    for name in ("type", "state", "reason", "ready", "running", "parked", "done", "skipped", "oldest_ready_seconds"):
        assert name in sink
    assert set(document["routes"]["people"]) == {"ready", "running", "parked", "done", "skipped"}
    assert (sink["state"], sink["done"]) == ("ok", 3)


def test_status_json_names_the_records_that_cannot_be_read(world):
    people(world)
    world.deliver()
    page = Page(changes=(), unreadable=(Unreadable(where="row 3 of customers", reason="no id", entity="customer"),))
    world.source.poll = lambda *_: iter([page])
    world.run("backfill", "shop")
    source = world.json("status")["sources"]["shop"]
    assert source["entities"]["customer"]["unreadable"] == 1
    (named,) = source["unreadable"]
    assert {name: named[name] for name in ("entity", "place", "key", "reason", "times")} == {
        "entity": "customer",
        "place": "row 3 of customers",
        "key": None,
        "reason": "no id",
        "times": 1,
    }
    assert "1 x customer could not be read, for instance row 3 of customers: no id" in world.run("status").output


def test_what_is_to_be_read_again_is_counted_in_words(world):
    people(world)
    world.deliver()
    with world_app(world) as app:
        for key, told in (("1", "1 record is to be read again at shop"), ("2", "2 records are to be read again at")):
            hint = Change(entity="customer", key=key, op="touch")
            app.intake.submit(Ingest(source="shop", changes=[hint], rules=app.lister("shop")._rules))
            assert told in world.run("status").output


def test_status_for_people_says_what_needs_one(world):
    parked(world, "2")
    told = world.run("status", code=1).stdout
    assert "daemon: not running" in told
    assert "needs you: people: 1 parked: the address is not valid (synccore deliveries show" in told
    assert "synccore deliveries show" in told


def test_status_names_the_reason_a_lane_waits(world):
    people(world)
    world.crm.always(AuthError("the grant was revoked"))
    world.run("run", "--once")
    told = world.run("status", code=1).stdout
    assert "needs_auth" in told
    assert "the grant was revoked" in told


# -- log


def test_log_json_has_the_pinned_shape_and_no_values(world):
    people(world)
    world.deliver()
    lines = world.json("log", "--key", "2")
    line = next(line for line in lines if line["outcome"] == "delivered")
    assert set(line) == {
        *("at", "route", "sink", "entity", "key", "op", "outcome", "remote_id", "fields", "error", "duration_ms"),
        *("note", "delivery"),
    }
    assert (line["key"], line["fields"]) == ("2", ["email"])
    assert world.json("deliveries", "show", str(line["delivery"]))["key"] == "2"
    assert "shop.test" not in json.dumps(lines)


def test_log_says_what_was_sent_and_what_was_left_out_in_both_forms(world):
    world.crm.always(lambda o: Delivered(fields=o.fields, left_out={"phone": "not a valid number"}))
    people(world, 1)
    world.deliver()
    (line,) = [line for line in world.json("log", "--key", "1") if line["outcome"] == "delivered"]
    assert (line["fields"], line["note"]) == (["email"], "phone left out: not a valid number")
    assert "email; phone left out: not a valid number" in world.run("log", "--key", "1").output


def test_log_is_filtered_by_person_sink_and_time(world):
    people(world)
    world.deliver()
    assert {line["key"] for line in world.json("log", "--email", "P1@shop.test ")} == {"1"}
    assert world.json("log", "--email", "nobody@shop.test") == []
    assert world.json("log", "--sink", "crm")
    from datetime import timedelta

    world.clock.advance(timedelta(hours=2))
    assert world.json("log", "--since", "1h") == []
    assert len(world.json("log", "--sink", "crm", "-n", "2")) == 2


def test_log_of_nothing_says_so_beside_stdout(world):
    result = world.run("log")
    assert result.stdout == ""
    assert "nothing happened yet" in result.stderr


def test_log_says_why_a_source_reports_nothing_of_somebody(world, monkeypatch):
    said = "account 12 has the role administrator"
    monkeypatch.setattr(
        world.source, "left_out", lambda asked: said if asked == "boss@shop.test" else None, raising=False
    )
    assert said in world.run("log", "--email", "boss@shop.test").stderr
    assert said not in world.run("log", "--email", "ada@shop.test").stderr
    assert world.json("log", "--email", "boss@shop.test") == []
    world.source.put(customer("guest:1", email="boss@shop.test"))  # who buys is taken in as a guest all the same
    world.deliver()
    assert said in world.run("log", "--email", "boss@shop.test").stderr


def test_log_follows_until_it_is_stopped(world):
    people(world, 1)
    world.deliver()
    with world_app(world) as app:
        last = max(line.id for line in app.store.history())
        lines = follow(app, Wanted(), last)
        world.source.put(customer("1", email="new@shop.test"))
        world.deliver()
        assert next(lines).key == "1"
        app.stopping.set()
        assert [line.outcome for line in lines if line.outcome not in ("delivered", "received")] == []


# -- deliveries


def test_deliveries_list_has_the_pinned_shape(world):
    parked(world, "2")
    (one,) = world.json("deliveries", "list", "--state", "parked")
    assert set(one) == {
        *("id", "route", "sink", "entity", "key", "op", "state", "attempts", "due_at"),
        *("error_kind", "error", "created_at", "settled_at"),
    }
    assert (one["key"], one["state"], one["error_kind"]) == ("2", "parked", "rejected")
    assert one["due_at"].endswith("Z")
    assert len(world.json("deliveries", "list")) == 3
    assert world.json("deliveries", "list", "--sink", "crm", "--state", "ready") == []


def test_deliveries_list_shows_the_newest_hundred_unless_all_are_asked_for(world):
    people(world, 120)
    world.deliver()
    result = world.run("deliveries", "list")
    assert "--all shows the rest" in result.stderr
    assert len(world.json("deliveries", "list")) == 100
    assert len(world.json("deliveries", "list", "--all")) == 120


def test_deliveries_show_tells_the_whole_story(world):
    parked(world, "2")
    (one,) = world.json("deliveries", "list", "--state", "parked")
    document = world.json("deliveries", "show", one["id"])
    assert document["error"] == "the address is not valid"
    assert [h["outcome"] for h in document["history"] if h["outcome"] == "parked"] == ["parked"]
    told = world.run("deliveries", "show", one["id"]).stdout
    assert f"synccore deliveries retry {one['id']}" in told
    assert " UTC\n" in told
    assert "+00:00" not in told


def test_retry_by_id_delivers_again(world):
    parked(world, "2")
    (one,) = world.json("deliveries", "list", "--state", "parked")
    told = world.json("deliveries", "retry", one["id"])
    assert told == {"retried": 1, "ids": [one["id"]], "not_parked": [], "notes": []}
    world.deliver()
    assert world.json("deliveries", "list", "--state", "parked") == []
    assert len(world.crm.records) == 3


def test_retry_and_dismiss_all_keep_to_the_sink(world):
    world.write(sinks={"crm": {"type": "crm"}, "archive": {"type": "scripted"}})
    world.config["routes"]["archived"] = {
        **world.config["routes"]["people"],
        "sink": "archive",
        "fields": {"email": "customer.email"},
    }
    world.write()
    world.archive.always(PARKED)
    parked(world, "1", "2")
    assert world.json("deliveries", "retry", "--all", "--sink", "crm")["retried"] == 2
    assert world.json("deliveries", "dismiss", "--all", "--state", "parked")["dismissed"] == 3
    assert {d["state"] for d in world.json("deliveries", "list", "--sink", "archive")} == {"dismissed"}


def test_what_is_not_parked_is_neither_retried_nor_dismissed(world):
    people(world, 1)
    world.deliver()
    (one,) = world.json("deliveries", "list")
    for word in ("retry", "dismiss"):
        assert "is not parked" in world.run("deliveries", word, one["id"], code=1).stderr
        assert world.json("deliveries", word, one["id"], code=1)["not_parked"] == [one["id"]]


@pytest.mark.parametrize("args", [(), ("1", "--all"), ("--all", "--state", "done")])
def test_retry_wants_ids_or_all(world, args):
    world.run("deliveries", "retry", *args, code=2)


# -- lanes


def test_a_paused_lane_delivers_nothing_until_it_is_resumed(world):
    people(world)
    world.run("lanes", "pause", "crm", "--reason", "they move house")
    world.run("run", "--once")
    lane = next(line for line in world.json("lanes", "list") if line["sink"] == "crm")
    assert (lane["state"], lane["reason"], lane["ready"]) == ("paused", "they move house", 3)
    assert world.crm.calls == []
    assert "they move house" in world.run("lanes", "list").stdout
    world.run("lanes", "resume", "crm")
    world.deliver()
    assert len(world.crm.records) == 3


# -- run, backfill, reconcile


def test_run_once_says_what_is_left(world):
    people(world)
    assert "nothing is owed" in world.deliver().stderr
    world.run("lanes", "pause", "crm")
    people(world, first_name="Eve")
    world.run("backfill", "shop", "--enqueue-only")
    assert "3 still owed" in world.run("run", "--once").stderr


def test_backfill_delivers_here_without_a_daemon_and_costs_nothing_twice(world):
    people(world, 25)
    result = world.run("backfill", "shop")
    assert "25 records listed" in result.stdout
    assert "25 deliveries settled" in result.stdout
    assert "shop customer" in result.stderr
    calls = len(world.crm.calls)
    world.run("backfill", "shop", "customer", "--route", "people")
    assert len(world.crm.calls) == calls


def test_backfill_takes_filters_and_can_be_left_to_the_daemon(world):
    people(world, 5)
    told = world.run("backfill", "shop", "customer", "--filter", "email=p2@shop.test", "--enqueue-only").stdout
    assert "1 record" in told
    assert world.crm.calls == []
    assert "1 record" in world.run("backfill", "shop", "customer", "--filter", "email=p2@shop.test").stdout
    assert "KEY=VALUE" in world.run("backfill", "shop", "customer", "--filter", "x", code=2).stderr


def test_backfill_reports_what_was_parked(world):
    people(world)
    world.crm.always(PARKED)
    result = world.run("backfill", "shop", code=1)
    assert "3 parked" in result.stdout


def test_reconcile_finds_deletions_and_guards_against_many(world):
    people(world, 30)
    world.deliver()
    for key in ("1", "2"):
        del world.source.records["customer", key]
    assert "2 records found deleted" in world.run("reconcile", "shop").stdout
    assert len(world.crm.records) == 28
    for key in range(3, 20):
        del world.source.records["customer", str(key)]
    assert "--confirm-deletions" in world.run("reconcile", "shop", code=1).stderr
    assert len(world.crm.records) == 28
    assert "17 of 28 known customer" in world.run("status", code=1).stdout
    world.run("reconcile", "shop", "--confirm-deletions")
    world.run("status")
    assert len(world.crm.records) == 11
