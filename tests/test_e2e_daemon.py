"""The daemon as an operator meets it."""

import json
import signal


def test_a_webhook_with_a_wrong_signature_leaves_no_trace_but_a_counter(world, until):
    [person] = world.customers(1)
    world.connect()
    with world.daemon() as daemon:
        until(lambda: len(world.emails()) == 1, what="the first listing")
        until(lambda: daemon.metric('synccore_owed{sink="contacts"') == 0, what="quiet")
        before = world.cli("status", "--json").json, world.cli("log", "--json").json
        record = {"id": person, "email": "evil@shop.test", "first_name": "Evil"}
        assert daemon.hook("customer.updated", record, secret="guessed") == 401
        assert daemon.metric("synccore_webhooks_refused_total") == 1
        assert (world.cli("status", "--json").json, world.cli("log", "--json").json) == before
        assert world.emails() == ["buyer0@shop.test"]
    database = b"".join(p.read_bytes() for p in world.folder.glob("synccore.db*") if p.is_file())
    assert b"evil@shop.test" not in database


def test_a_webhook_is_delivered_within_seconds(world, until):
    world.connect()
    world.hooks_to_daemon()
    with world.daemon() as daemon:
        world.shop.add_customer("new@shop.test", first_name="Neu", last_name="Kunde")
        world.shop.run_queue()
        until(lambda: world.emails() == ["new@shop.test"], 10, "the contact")
        assert daemon.metric("synccore_webhooks_received_total") >= 1


def test_a_second_daemon_names_the_first(world):
    world.connect()
    with world.daemon() as first:
        second = world.program("run", timeout=30)
        assert second.code == 3, second
        assert str(first.process.pid) in second.err
        assert first.ask("/readyz")[0] == 200


def test_sigterm_ends_it_in_order(world, until):
    world.customers(60)
    world.connect()
    for number in (signal.SIGTERM, signal.SIGINT):
        with world.daemon() as daemon:
            daemon.process.send_signal(number)
            assert daemon.process.wait(30) == 0
            assert "Traceback" not in daemon.output()
    status = world.cli("status", "--json").json
    assert status["sinks"]["contacts"]["running"] == 0, "something was left leased"
    with world.daemon():
        until(lambda: len(world.emails()) == 60, what="the rest")


def test_it_reads_its_file_again_and_keeps_what_it_had_for_a_mistake(world, until):
    world.customers(2)
    world.connect()
    with world.daemon() as daemon:
        until(lambda: len(world.emails()) == 2, what="the first listing")
        world.config["routes"]["people"]["fields"] = {"nickname": "customer.first_name"}
        world.write_config()
        assert "synccore reload" in world.cli("status").err
        assert world.program("reload").code == 0
        told = world.cli("status").err
        assert "2 records were delivered or skipped under the old one" in told
        assert "synccore backfill shop customer --route people" in told
        assert "synccore reload" not in told
        world.path.write_text(world.path.read_text() + "\n[sinks.contacts\n")
        refused = world.cli("reload", "--json")
        assert (refused.code, refused.json["reloaded"]) == (3, False)
        assert "what the running daemon works with" in world.cli("status").err
        assert world.cli("log").code == 0
        world.write_config()
        assert world.cli("backfill", "shop", "customer", "--route", "people").code == 0
        until(lambda: all(c.get("nicknames") for c in world.google.contacts()), what="the new mapping")
        assert "under the old one" not in world.cli("status").err
        daemon.process.send_signal(signal.SIGHUP)
        assert daemon.ask("/readyz")[0] == 200
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(30) == 0


def test_the_dashboard_shows_the_daemon(world, until):
    world.customers(3)
    world.connect()
    with world.daemon() as daemon:
        until(lambda: len(world.emails()) == 3, what="delivered")
        status, page = daemon.ask("/")
        assert status == 200
        assert "Everything works" in page
        assert "shop" in page
        assert daemon.ask("/plugins/contacts")[0] == 200
        assert world.google.sign_in.client_secret not in daemon.ask("/plugins/contacts")[1]
        assert daemon.ask("/healthz") == (200, "ok")


def test_a_sink_that_is_not_connected_holds_up_nothing_else(world):
    world.customers(3)
    with world.daemon() as daemon:
        assert daemon.ask("/readyz")[0] == 200
        assert world.cli("check", "--json").code == 1
        assert daemon.hook("customer.updated", {"id": 1}) in (200, 500)
    status = world.cli("status", "--json").json["sinks"]["contacts"]
    assert status["state"] in ("needs_auth", "ok", "error")
    assert status["parked"] == 0


def test_five_mistakes_are_five_findings(world):
    world.config["synccore"] = {"retention": "soon"}
    world.config["sources"]["shop"]["consumr_key"] = "x"
    world.config["sinks"]["contacts"]["type"] = "gogle_contacts"
    world.config["routes"]["people"]["source"] = "shopp"
    world.config["serverr"] = {}
    world.write_config()
    for verb in (["check"], ["run"], ["status"]):
        done = world.cli(*verb)
        assert done.code == 3, done
        for path in ("synccore.retention", "consumr_key", "sinks.contacts.type", "routes.people.source", "serverr"):
            assert path in done.err, (path, done.err)
    done = world.cli("check", "--json")
    assert done.code == 3
    assert len(json.loads(done.out)["findings"]) == 5


def test_a_port_in_use_is_said_in_words(world):
    world.connect()
    with world.daemon():
        other = world.folder / "other"
        other.mkdir()
        (other / "synccore.toml").write_text(world.path.read_text())
        done = world.program("-c", str(other / "synccore.toml"), "run", timeout=30)
        assert done.code == 3
        assert f"127.0.0.1:{world.port}" in done.err
