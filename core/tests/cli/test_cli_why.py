"""`why` and `export`: what is said of one person, against what the targets really hold."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from synccore._cli._session import Session
from synccore.entities import Order
from synccore.errors import AuthError, Rejected, Transient
from synccore.store import Hold
from synccore.testing import customer, upsert


def order(key, *, owner):
    data = Order(key=key, number=key, status="completed", currency="EUR", total=Decimal(20))
    return upsert(data, owner=owner)


def ada(world, **more):
    world.source.put(customer("7", email="ada@shop.test", **more))


def standing(world, who="ada@shop.test", code=0):
    [one] = world.json("why", who, code=code)["standing"]
    return one


def test_who_arrived_is_said_to_be_where_the_target_has_them(world):
    ada(world)
    world.deliver()
    one = standing(world)
    [held] = world.crm.by_uid().values()
    assert one["state"] == "delivered"
    assert one["next"] is None
    [link] = world.json("export", "ada@shop.test")["links"]
    assert link["remote_id"] in one["sentence"]
    assert held["email"] == "ada@shop.test"


def test_a_key_finds_the_record_too(world):
    ada(world)
    world.deliver()
    assert standing(world, "7") == standing(world)


def test_a_refused_record_is_set_aside_with_the_words_of_the_target_and_the_way_out(world):
    ada(world)
    world.crm.then(Rejected("field CustomerTier is required"))
    world.deliver(code=1)
    assert world.crm.by_uid() == {}
    one = standing(world, code=1)
    assert one["state"] == "parked"
    assert "field CustomerTier is required" in one["sentence"]
    [number] = [d["id"] for d in world.json("deliveries", "list", "--state", "parked")]
    assert f"synccore deliveries retry {number}" in one["next"]
    world.run("deliveries", "retry", number)
    world.deliver()
    assert standing(world)["state"] == "delivered"
    assert len(world.crm.by_uid()) == 1


def test_dead_credentials_are_named_with_the_command_that_mends_them(world):
    ada(world)
    world.crm.then(AuthError("the token was revoked"))
    world.run("run", "--once")
    one = standing(world, code=1)
    assert one["state"] == "ready"
    assert "needs auth: the token was revoked" in one["sentence"]
    assert one["next"] == "synccore connect crm"


def test_a_target_that_is_down_is_waited_for_until_a_time_that_is_said(world):
    ada(world)
    world.deliver()
    ada(world, first_name="Augusta")
    world.crm.always(Transient("the gateway is away"))
    for _ in range(4):
        world.clock.advance(timedelta(minutes=5))
        world.run("run", "--once")
    one = standing(world)
    assert one["state"] == "ready"
    assert "until" in one["sentence"]
    assert "the gateway is away" in one["sentence"]


def test_a_filter_is_the_reason(world):
    world.write(
        routes={
            "people": {
                "source": "shop",
                "entity": "customer",
                "sink": "crm",
                "object": "thing",
                "when": "customer.company",
            }
        }
    )
    ada(world)
    world.deliver()
    one = standing(world)
    assert (one["state"], one["next"]) == ("skipped", None), "nothing has to be done"
    assert "when: customer.company (routes.people.when;" in one["sentence"]
    assert "synccore backfill shop customer --route people" in one["sentence"]
    assert world.crm.by_uid() == {}


def test_a_route_that_is_newer_than_the_record_names_the_backfill(world):
    ada(world)
    world.deliver()
    routes = dict(world.config["routes"])
    routes["more"] = {**routes["people"], "object": "thing"}
    world.write(routes=routes)
    people, more = world.json("why", "7", code=1)["standing"]
    assert people["state"] == "delivered"
    assert (more["state"], more["next"]) == ("never", "synccore backfill shop customer --route more")


def test_what_belongs_to_the_person_is_shown_with_them(world):
    routes = dict(world.config["routes"])
    routes["orders"] = {
        "source": "shop",
        "entity": "order",
        "sink": "crm",
        "object": "thing",
        "fields": {"email": "order.email"},
    }
    world.write(routes=routes)
    ada(world)
    world.source.put(order("31", owner="7"))
    world.deliver()
    found = world.json("why", "ada@shop.test")["standing"]
    assert [(s["entity"], s["key"], s["state"]) for s in found] == [
        ("customer", "7", "delivered"),
        ("order", "31", "delivered"),
    ]


def test_somebody_who_never_arrived(world):
    answer = world.json("why", "nobody@shop.test", code=1)
    assert answer["known"] is False
    assert "was not listed yet" in answer["unknown"][0]
    ada(world)
    world.deliver()
    answer = world.json("why", "nobody@shop.test", code=1)
    assert "never told of them" in answer["unknown"][0]
    assert answer["next"] == ["synccore reconcile shop"]
    text = world.run("why", "nobody@shop.test", code=1).stdout
    assert "next: synccore reconcile shop" in text


def test_a_route_that_is_held_is_the_reason_and_not_whose_turn_is_next(world):
    ada(world)
    world.run("run", "--once")
    world.source.put(customer("8", email="bea@shop.test"))
    words = "the target refuses record after record: no room is left"
    session = Session({"SYNCCORE_CONFIG": str(world.path)}, plugins=world.plugins(), clock=world.clock)
    with session.open() as app:
        until = world.clock.now() + timedelta(minutes=4)
        values = {"route": "people", "sink": "crm", "kind": "refused", "since": world.clock.now()}
        app.store.put_hold(Hold(reason=words, until=until, **values))
    world.run("run", "--once")
    one = standing(world, "bea@shop.test", code=1)
    assert one["state"] == "ready"
    assert one["sentence"].startswith("owed; people is held until ")
    assert one["sentence"].endswith(words)
    assert one["next"] == "synccore check; when it is mended: synccore lanes resume crm"


def test_who_was_forgotten_is_said_to_be(world):
    """Neither a comparison nor another look at the shop brings them back: the old advice led nowhere."""
    ada(world)
    world.deliver()
    world.run("forget", "ada@shop.test", "--yes")
    for who in ("Ada@Shop.Test", "7"):
        answer = world.json("why", who, code=1)
        [sentence] = answer["unknown"]
        assert sentence.startswith("they were forgotten at ")
        assert (answer["known"], answer["next"]) == (False, [])


def test_who_is_in_an_account_that_was_left_is_not_said_to_be_delivered(world):
    ada(world)
    world.deliver()
    session = Session({"SYNCCORE_CONFIG": str(world.path)}, plugins=world.plugins(), clock=world.clock)
    with session.open() as app:
        app.store.archive_links("crm", "old", ["people"])
    one = standing(world, code=1)
    assert (one["state"], one["next"]) == ("never", "synccore backfill shop customer --route people")
    assert "an account of crm that was left" in one["sentence"]


def test_the_words_for_people(world):
    ada(world)
    world.deliver()
    text = world.run("why", "ada@shop.test").stdout
    assert "customer 7 of shop" in text
    assert "people -> crm: delivered as r1 at" in text
    assert "ada" not in text  # keys and names of routes, never values


def test_everything_held_is_exported_and_nothing_of_others(world):
    ada(world, first_name="Ada")
    world.source.put(customer("8", email="bea@shop.test", first_name="Bea"))
    world.source.put(order("31", owner="7"))
    world.deliver()
    document = world.json("export", "Ada@Shop.test")
    assert {(r["entity"], r["key"]) for r in document["records"]} == {("customer", "7"), ("order", "31")}
    assert document["records"][0]["data"]["first_name"] == "Ada"
    [link] = document["links"]
    [held] = [v for k, v in world.crm.by_uid().items() if k.endswith(":7")]
    assert {k: v for k, v in link["fields"].items() if k in held} == {k: held[k] for k in link["fields"]}
    assert "bea" not in json.dumps(document).lower()
    assert {h["outcome"] for h in document["history"]} >= {"delivered"}


def test_an_export_of_nobody_is_a_finding(world):
    assert world.json("export", "nobody@shop.test", code=1)["records"] == []


def test_after_forget_nothing_is_left_to_export(world):
    ada(world)
    world.deliver()
    world.run("forget", "ada@shop.test", "--yes")
    document = world.json("export", "ada@shop.test", code=1)
    assert [document[n] for n in ("records", "events", "links", "deliveries", "history")] == [[], [], [], [], []]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_the_shell(world, shell):
    assert "_SYNCCORE_COMPLETE" in world.run("completion", shell).stdout


def test_routes_and_instances_complete(world):
    from click.shell_completion import ShellComplete

    from synccore._cli import cli

    session = Session({"SYNCCORE_CONFIG": str(world.path)}, plugins=world.plugins(), clock=world.clock)
    shell = ShellComplete(cli, {"obj": session}, "synccore", "_SYNCCORE_COMPLETE")

    def completed(*words):
        return [c.value for c in shell.get_completions(list(words[:-1]), words[-1])]

    assert completed("preview", "") == ["people"]
    assert completed("connect", "c") == ["crm"]
    assert completed("lanes", "resume", "") == ["crm", "shop"]
    for words in (["log", "--sink"], ["deliveries", "list", "--sink"], ["deliveries", "retry", "--sink"]):
        assert completed(*words, "") == ["crm"]
    assert completed("backfill", "shop", "--route", "") == ["people"]
    assert completed("plugins", "show", "") == ["shop", "crm"]
    assert "why" in completed("w")
    world.path.write_text("this is [not toml")
    assert completed("preview", "") == []


def test_no_secret_has_to_be_there_to_look(world):
    ada(world)
    world.deliver()
    world.write(sinks={"crm": {"type": "crm", "key": {"env": "CRM_KEY"}}})
    assert standing(world)["state"] == "delivered"
    assert world.json("export", "ada@shop.test")["links"]


def test_preview_takes_an_address_or_a_name_and_says_how_it_stands(world):
    from synccore.errors import Rejected
    from synccore.testing import customer

    world.source.put(customer("1", email="ada@shop.test", first_name="Ada", last_name="Lovelace"))
    world.crm.always(lambda _: Rejected("2 records at the target could be this one: a, b"))
    world.run("run", "--once", code=1)
    for who in ("ada@shop.test", "lovelace", "1"):
        told = world.run("preview", "people", who).stdout
        assert "customer 1" in told
        assert "now: parked: 2 records at the target could be this one: a, b" in told
        assert "next: synccore deliveries show 1" in told


def test_lines_of_the_log_name_the_delivery(world):
    from synccore.testing import customer

    world.source.put(customer("1", email="ada@shop.test"))
    world.deliver()
    [line] = [x for x in world.run("log").stdout.splitlines() if "delivered" in x]
    [delivery] = world.json("deliveries", "list")
    assert str(delivery["id"]) in line.split()


def test_a_reason_for_a_dismissal_is_kept(world):
    from synccore.errors import Rejected
    from synccore.testing import customer

    world.source.put(customer("1", email="ada@shop.test"))
    world.crm.always(lambda _: Rejected("no"))
    world.run("run", "--once", code=1)
    world.run("deliveries", "dismiss", "1", "--reason", "a test order of ada@shop.test")
    told = world.run("log", "--key", "1").stdout
    assert "a test order of" in told
    assert "ada@shop.test" not in told
