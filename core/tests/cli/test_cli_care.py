"""Care: `forget`, `secret`, `db`, `init`, `plugins`."""

import json
import sqlite3
import stat
import tomllib

import pytest
from click.testing import CliRunner

from synccore._cli import cli
from synccore._cli._session import Session
from synccore._plugins import load_plugins
from synccore._settings import load_settings
from synccore.errors import Transient
from synccore.testing import customer
from synccore.types import FieldInfo, ObjectInfo

from .conftest import hook


def people(world, count=2):
    world.source.put(*(customer(str(n), email=f"p{n}@shop.test") for n in range(1, count + 1)))


def stored(world):
    with sqlite3.connect(world.folder / "synccore.db") as db:
        text = "\n".join(db.iterdump())
    db.close()
    return text


# -- forget


def test_forget_erases_at_the_target_and_here_and_keeps_the_person_out(world):
    people(world)
    world.deliver()
    document = world.json("forget", "P1@Shop.test", "--yes")
    assert (document["people"], document["complete"]) == (1, True)
    where = {"sink": "crm", "route": "people", "entity": "customer", "key": "1"}
    assert document["targets"] == [{**where, "error": None, "outcome": "deleted", "note": ""}]
    assert [link.key for link in world.crm.erased] == ["1"]
    assert "p1@shop.test" not in stored(world).lower()
    world.deliver()
    assert list(world.crm.by_uid()) == ["shop:customer:2"]
    assert "nobody with this address" in world.run("forget", "p1@shop.test", "--yes").stdout


def test_a_target_that_fails_keeps_what_is_needed_to_try_again(world):
    people(world)
    world.deliver()
    world.crm.erase_error = Transient("the CRM is down")
    result = world.run("forget", "p1@shop.test", "--yes", code=1)
    assert "the CRM is down" in result.stdout
    assert "p1@shop.test" in stored(world)
    world.crm.erase_error = None
    assert "erased here too" in world.run("forget", "p1@shop.test", "--yes").stdout
    assert "p1@shop.test" not in stored(world)


def test_forget_asks_and_says_where_the_person_is(world):
    people(world)
    world.deliver()
    result = world.run("forget", "p1@shop.test", input="n\n", code=130)
    assert "1 at crm" in result.stderr
    assert world.crm.erased == []


def test_a_question_nobody_can_answer_names_the_flag(world):
    people(world)
    world.deliver()
    for verb in (("forget", "p1@shop.test"), ("disconnect", "crm")):
        assert "--yes" in world.run(*verb, code=2).stderr
        assert "--yes" in world.json(*verb, code=2)["error"]["message"]
    assert world.crm.erased == []
    declined = world.json("forget", "p1@shop.test", input="n\n", code=130)
    assert declined["error"]["kind"] == "stopped"
    assert world.crm.erased == []


def test_every_answer_is_a_document_with_json(world, tmp_path):
    people(world)
    backfill = world.json("backfill", "shop")
    assert (backfill["seen"], backfill["settled"], backfill["owed"], backfill["errors"]) == (
        len(world.crm.records), len(world.crm.records), 0, [],
    )  # fmt: skip
    assert world.json("reconcile", "shop")["deleted"] == 0
    assert world.json("run", "--once") == {"owed": 0, "parked": 0}
    assert world.json("lanes", "pause", "shop")["state"] == "paused"
    assert world.json("lanes", "resume", "shop")["was"] == "paused"
    assert world.json("connect", "shop")["name"] == "shop"
    reached = world.json("connect", "crm", "--no-browser", input="http://127.0.0.1/?code=c&state=s1\n")
    assert reached["account"]["label"] == world.crm.account.label
    assert world.json("db", "backup", tmp_path / "copy.db") == {"copied_to": str(tmp_path / "copy.db")}
    assert world.json("db", "prune")["kept"] == "90d"
    assert world.json("db", "migrate") == {"applied": []}
    assert world.json("reload", code=1)["reloaded"] is False
    assert world.json("disconnect", "crm", "--yes")["failed"] == []


# -- secret


def test_secrets_come_from_stdin_and_are_never_shown(world):
    world.run("secret", "set", "crm_key", input="s3cr3t value\n")
    assert world.json("secret", "list")[0]["name"] == "crm_key"
    assert "s3cr3t" not in world.run("secret", "list").stdout
    assert "s3cr3t" not in stored(world)
    world.config["sinks"]["crm"]["key"] = {"secret": "crm_key"}
    world.write()
    from .test_cli_connect import world_app

    with world_app(world) as app:
        assert app.settings.sinks["crm"].config.key.reveal() == "s3cr3t value"
    world.run("secret", "delete", "crm_key")
    assert world.json("secret", "list") == []
    assert "no secret is called" in world.run("secret", "delete", "crm_key", code=1).stderr


def test_an_empty_secret_is_refused(world):
    assert "empty" in world.run("secret", "set", "x", input="", code=2).stderr


# -- db


def test_an_outbox_is_not_copied_into_itself(world, tmp_path):
    world.run("db", "backup", tmp_path / "copy.db")
    other_name = tmp_path / "nothing" / ".." / "copy.db"
    assert "the same" in world.run("db", "copy", tmp_path / "copy.db", other_name, code=2).stderr


def test_backup_is_a_whole_copy_that_others_cannot_read(world, tmp_path):
    people(world)
    world.deliver()
    target = tmp_path / "copy.db"
    world.run("db", "backup", target)
    with sqlite3.connect(target) as db:
        assert db.execute("select count(*) from delivery").fetchone() == (2,)
    db.close()
    assert stat.S_IMODE(target.stat().st_mode) & 0o077 == 0
    assert "is there already" in world.run("db", "backup", target, code=2).stderr
    assert "no/such" in world.run("db", "backup", tmp_path / "no/such/copy.db", code=3).stderr


def test_prune_keeps_what_is_younger_than_the_retention(world):
    people(world)
    world.deliver()
    world.run("db", "prune")
    assert len(world.json("deliveries", "list")) == 2
    from datetime import timedelta

    world.clock.advance(timedelta(days=91))
    assert "everything of the last 90d" in world.run("db", "prune").stdout
    assert world.json("deliveries", "list") == []


def test_migrate_of_a_new_database_has_nothing_left_to_do(world):
    assert "up to date" in world.run("db", "migrate").stdout


# -- init


def test_init_writes_a_file_that_loads(world, tmp_path):
    result = world.run("init", tmp_path / "new", config=False)
    path = tmp_path / "new" / "synccore.toml"
    assert str(path) in result.stdout
    settings = load_settings(path, world.plugins(), environ={})
    assert [r.entity for r in settings.routes.values() if r.sink == "crm"] == ["customer"]
    assert "# the key to the CRM" in path.read_text()
    before = path.read_text()
    assert "there already" in world.run("init", tmp_path / "new", config=False, code=2).stderr
    assert path.read_text() == before


def test_init_takes_only_the_sinks_that_are_named(world, tmp_path):
    for number, args in enumerate((("--sink", "crm"), ("--sink", "crm", "--source", "emitter"))):
        world.run("init", tmp_path / str(number), *args, config=False)
        document = tomllib.loads((tmp_path / str(number) / "synccore.toml").read_text())
        assert [len(document["sources"]), list(document["sinks"])] == [1, ["crm"]]
    assert "did you mean crm?" in world.run("init", tmp_path / "b", "--sink", "crn", config=False, code=2).stderr
    assert "emitter" in world.run("init", tmp_path / "b", "--source", "shopify", config=False, code=2).stderr


def test_init_names_the_variables_to_set(tmp_path):
    installed = load_plugins(environ={})
    if "klaviyo" not in installed.sinks:
        pytest.skip("the Klaviyo plugin of this workspace does not load")
    session = Session({}, plugins=installed)
    result = CliRunner().invoke(cli, ["init", str(tmp_path), "--sink", "klaviyo"], obj=session)
    assert "KLAVIYO_API_KEY" in result.stdout


# -- plugins


def test_plugins_list_works_without_a_configuration_or_a_sink(world):
    document = world.json("plugins", "list", config=False)
    assert {p["name"]: p["status"] for p in document} == {"core": "loaded", "world": "loaded"}
    told = world.run("plugins", "list", config=False).stdout
    assert "sink crm" in told
    assert "source emitter" in told


def test_a_plugin_that_fails_is_listed_with_its_reason(world):
    world.broken = (ImportError("no module named crm_sdk"),)
    assert "crm_sdk" in world.run("plugins", "list", config=False, code=1).stdout


def test_plugins_show_gives_settings_objects_and_limits(world):
    document = world.json("plugins", "show", "crm", config=False)
    assert document["kind"] == "sink"
    assert {s["name"]: (s["type"], s["default"]) for s in document["settings"]} == {
        "key": ("secret", ""),
        "region": ("text", '"eu"'),
    }
    (thing,) = document["objects"]
    assert thing["defaults"]["customer"]["fields"] == {"email": "customer.email", "name": "customer.first_name"}
    assert document["limits"]["max_batch"] == 10
    told = world.run("plugins", "show", "crm", config=False).stdout
    for word in ("region", "where it is", "on_delete", "customer.first_name", "max batch 10"):
        assert word in told
    assert "Reports: customer" in world.run("plugins", "show", "emitter", config=False).stdout


def test_plugins_show_lists_videos_and_described_fields_of_an_instance(world):
    assert "Set up: https://video.test/1" in world.run("plugins", "show", "crm").stdout
    world.crm.object = ObjectInfo(name="thing", label="Thing", fields=(FieldInfo(name="email", required=True),))
    document = world.json("plugins", "show", "crm", "--object", "thing")
    assert document["fields"][0]["name"] == "email"
    assert "required" in world.run("plugins", "show", "crm", "--object", "thing").stdout
    assert "describes no thnig" in world.run("plugins", "show", "crm", "--object", "thnig", code=2).stderr


def test_plugins_show_works_beside_a_broken_configuration(world):
    world.path.write_text("[nonsense]\n")
    result = world.run("plugins", "show", "crm")
    assert "where it is" in result.stdout
    assert "synccore check" in result.stderr


def test_plugins_show_of_an_unknown_name_suggests_one(world):
    assert "did you mean emitter?" in world.run("plugins", "show", "emiter", config=False, code=2).stderr


def test_plugins_show_of_a_plugin_without_source_or_sink(world):
    world.extra["synccore_template_filters"] = hook("synccore_template_filters", lambda: {"shout": str.upper})
    assert "filter shout" in world.run("plugins", "show", "world", config=False).stdout


# -- what is machine-read stays machine-readable


def test_every_json_option_gives_exactly_one_document(world):
    people(world)
    world.deliver()
    for args in (
        ("check",),
        ("check", "--offline"),
        ("status",),
        ("log",),
        ("deliveries", "list"),
        ("deliveries", "show", "1"),
        ("lanes", "list"),
        ("preview", "people", "1"),
        ("plan", "people"),
        ("adopt", "people"),
        ("verify", "people"),
        ("secret", "list"),
        ("plugins", "list"),
        ("plugins", "show", "crm"),
        ("forget", "p1@shop.test", "--yes"),
    ):
        json.loads(world.run(*args, "--json").stdout)
