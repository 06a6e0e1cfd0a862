"""The main job, from outside: a shop's customers become contacts."""

import contextlib
import random

#: With what follows, as many as fit into one minute of Google's quota for one account.
MANY = 600


def test_many_customers_from_plan_to_proof(world, until):
    people = world.customers(MANY)
    world.hooks_to_daemon()
    assert "owner@shop.test" in world.connect_by_hand()

    plan = world.program("plan", "people", "--json").json
    assert plan["create"] == MANY, plan
    assert world.writes() == []

    done = world.program("backfill", "shop", "customer")
    assert done.code == 0, done.err
    assert len(world.emails()) == len(set(world.emails())) == MANY
    assert 3 <= len(world.writes()) <= 5, "few more than 3 batches of 200"

    before = len(world.writes())
    assert world.cli("backfill", "shop", "customer").code == 0
    assert world.writes()[before:] == [], "the second backfill wrote"

    proof = world.program("verify", "people", "--json")
    assert proof.code == 0, proof.out
    status = world.cli("status", "--json").json
    assert status["sources"]["shop"]["entities"]["customer"]["snapshots"] == MANY
    assert status["routes"]["people"]["ready"] == 0
    assert status["sinks"]["contacts"]["state"] == "ok"

    with world.daemon() as daemon:
        before = len(world.writes())
        world.shop.edit_customer(people[7], first_name="Changed")
        world.shop.run_queue()
        until(lambda: len(world.writes()) > before, what="the update")
        until(lambda: daemon.metric('synccore_owed{sink="contacts"') == 0, what="settled")
        assert len(world.writes()) == before + 1
        [changed] = [c for c in world.google.contacts() if c["names"][0].get("givenName") == "Changed"]
        assert changed["emailAddresses"][0]["value"] == "buyer7@shop.test"

    log = world.cli("log", "--key", str(people[7]), "--json").json
    assert [line["outcome"] for line in log if line["outcome"] == "delivered"] == ["delivered", "delivered"]
    assert log[-1]["remote_id"] == changed["resourceName"]
    assert "Changed" not in world.cli("log", "--json").out, "the audit trail holds names of fields, not values"
    assert world.cli("log", "--email", "buyer7@shop.test", "--json").json == log
    preview = world.cli("preview", "people", str(people[7]), "--json", "--live")
    assert preview.code == 0
    assert "Changed" in preview.out


def test_kill_9_at_any_moment_of_a_backfill_loses_and_doubles_nothing(world):
    import subprocess

    world.customers(300)
    world.connect()
    chance = random.Random(11)
    kills = 0
    for _ in range(8):
        asked = _asked(world) + chance.randrange(1, 10)
        process = subprocess.Popen(
            [*world.command, "backfill", "shop", "customer"],
            cwd=world.folder,
            env=world.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and _asked(world) < asked:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.001)
        if process.poll() is None:
            process.kill()
            kills += 1
        process.wait(10)
        assert len(world.emails()) == len(set(world.emails()))
    assert kills, "the backfill was never caught"
    assert world.cli("backfill", "shop", "customer").code == 0
    assert world.emails() == sorted(f"buyer{n}@shop.test" for n in range(300))
    assert world.cli("verify", "people").code == 0


def _asked(world):
    """How often the shop and the target were asked."""
    return len(world.shop.requests) + len(world.google.requests)


def test_kill_9_of_the_daemon_while_it_delivers(world, until):
    world.customers(200)
    world.connect()
    seen = 0
    for _ in range(4):
        with world.daemon() as daemon:
            before = len(world.google.requests)
            until(lambda at=before: len(world.google.requests) > at or not seen_all(world), 3, "anything")
            daemon.kill()
        seen = len(world.emails())
        assert seen == len(set(world.emails()))
    with world.daemon():
        until(lambda: len(world.emails()) == 200, what="all contacts")
    assert len(set(world.emails())) == 200


def seen_all(world):
    return len(world.emails()) < 200


def test_run_once_wait_does_everything_and_ends(world):
    world.customers(40)
    world.connect()
    done = world.program("run", "--once", "--wait")
    assert done.code == 0, done.err
    assert len(world.emails()) == 40


def test_a_backfill_is_handed_to_the_running_daemon(world, until):
    world.config["sources"]["shop"]["poll"] = "24h"
    world.write_config()
    world.customers(30)
    world.connect()
    with world.daemon():
        until(lambda: len(world.emails()) == 30, what="the first listing")
        world.google.requests.clear()
        done = world.cli("backfill", "shop", "customer")
        assert done.code == 0, done.err
        assert world.writes() == []
