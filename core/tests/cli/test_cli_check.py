"""`check`: the configuration, the mappings and the connections, as findings with what to do next."""

import pytest

from synccore._verbs.parts.check_mapping import constant_of
from synccore.errors import AuthError, ConfigError, RateLimited, Transient
from synccore.types import Account, Check, FieldInfo, Finding, ObjectInfo

from .test_cli_connect import connect


def messages(document, level=None):
    return {f["path"]: f["message"] for f in document["findings"] if level in (None, f["level"])}


def test_a_sound_configuration_is_green(world):
    document = world.json("check")
    assert document["ok"] is True
    assert document["instances"] == {
        "shop": {"state": "ok", "account": None, "detail": "in memory"},
        "crm": {"state": "ok", "account": "Shop CRM", "detail": "in memory"},
    }
    told = world.run("check").stdout
    assert "green" in told
    assert "red" not in told


@pytest.mark.parametrize(
    ("error", "state", "words"),
    [
        (AuthError("the key was refused"), "needs_auth", "run synccore connect crm"),
        (Transient("cannot reach crm.test"), "error", "cannot reach crm.test"),
        (ConfigError("the region is wrong", path="sinks.crm.region"), "error", "the region is wrong"),
        (ConfigError("the region is wrong", path="region"), "error", "the region is wrong"),
        (KeyError("anna@shop.test"), "error", "a bug in the plugin: KeyError"),
    ],
)
def test_a_failing_connection_is_a_finding_with_a_way_out(world, error, state, words):
    world.crm.check_error = error
    document = world.json("check", code=1)
    assert document["instances"]["crm"]["state"] == state
    assert any(words in m for m in messages(document, "error").values())
    assert all(path.startswith("sinks.crm") for path in messages(document, "error"))
    assert "anna@shop.test" not in str(document)
    assert "red" in world.run("check", code=1).stdout


def test_one_wrong_thing_hides_no_other(world):
    lacking = Finding(level="error", path="routes.people.fields.name", message="nobody may write it")
    world.crm.check = lambda: Check(account=world.crm.account, findings=(lacking,))
    world.config["routes"]["people"]["fields"] = {"emial": "customer.email", "name": "'much too long'"}
    world.write()
    document = world.json("check", code=1)
    assert document["instances"]["crm"]["state"] == "error"
    assert "did you mean email?" in messages(document)["routes.people.fields.emial"]
    assert [f["message"] for f in document["findings"] if f["path"] == lacking.path] == ["nobody may write it"]


def test_a_rate_limit_is_no_error(world):
    world.crm.check_error = RateLimited("too many calls")
    document = world.json("check")
    assert document["instances"]["crm"]["state"] == "rate_limited"


def test_offline_asks_nobody(world):
    world.crm.check_error = AssertionError("asked")
    world.source.check = None
    document = world.json("check", "--offline")
    assert document["ok"] is True
    assert document["instances"]["crm"]["state"] == "needs_auth", "well, and never reached"
    text = world.run("check", "--offline").output
    assert text.count("green") == 1
    assert "nobody was asked" in text


def mapped(world, **fields):
    world.config["routes"]["people"]["fields"] = fields
    world.write()
    return messages(world.json("check", code=1))


def test_mapped_fields_are_compared_with_what_the_target_describes(world):
    found = mapped(world, emial="customer.email")
    assert "did you mean email?" in found["routes.people.fields.emial"]


def test_read_only_fields_unknown_values_and_long_texts_are_errors(world):
    found = mapped(world, id="customer.key", stage="'Nwe'", name="'much too long'")
    assert "cannot be written" in found["routes.people.fields.id"]
    assert "did you mean New?" in found["routes.people.fields.stage"]
    assert "longer than the 5 characters" in found["routes.people.fields.name"]


def test_options_that_answer_a_finding_silence_it(world):
    world.crm.object = ObjectInfo(
        name="thing", fields=(FieldInfo(name="email", updateable=False), FieldInfo(name="name", length=5))
    )
    world.config["routes"]["people"] |= {
        "match": [],
        "fields": {
            "email": {"value": "customer.email", "keep_existing": True},
            "name": {"value": "'much too long'", "truncate": True},
        },
    }
    world.write()
    assert world.json("check")["findings"] == []


def test_a_required_field_and_a_match_key_that_is_missing_are_errors(world):
    world.crm.object = ObjectInfo(name="thing", fields=(FieldInfo(name="name"), FieldInfo(name="stage", required=True)))
    world.config["routes"]["people"] |= {"defaults": False, "match": ["email"], "fields": {"name": "customer.email"}}
    world.write()
    found = messages(world.json("check", code=1), "error")
    assert "stage is required" in found["routes.people.fields"]
    assert "has no field email" in found["routes.people.match"]


def test_a_field_that_a_setting_of_the_route_names_counts_as_filled(world):
    world.crm.object = ObjectInfo(
        name="thing",
        fields=(FieldInfo(name="email", unique=True), FieldInfo(name="name"), FieldInfo(name="keep", required=True)),
    )
    assert world.json("check")["ok"] is True  # on_delete = "keep" by default


def test_a_match_key_that_is_not_unique_is_a_warning(world):
    world.crm.object = ObjectInfo(name="thing", fields=(FieldInfo(name="email"), FieldInfo(name="name")))
    document = world.json("check")
    assert "not unique" in messages(document, "warning")["routes.people.match"]


def test_open_fields_take_any_name_below_them(world):
    world.crm.object = ObjectInfo(
        name="thing",
        fields=(
            FieldInfo(name="email", unique=True),
            FieldInfo(name="name"),
            FieldInfo(name="properties", type="object"),
            FieldInfo(name="x_*"),
        ),
    )
    world.config["routes"]["people"]["fields"] = {"properties.vip": "true", "x_any": "1"}
    world.write()
    assert world.json("check")["ok"] is True


def test_an_object_the_target_lacks_is_an_error(world):
    world.crm.object = ObjectInfo(name="things", fields=(FieldInfo(name="email"),))
    found = messages(world.json("check", code=1), "error")
    assert "did you mean things?" in found["routes.people.object"]


def test_a_plugin_that_does_not_load_and_an_unused_sink_are_warnings(world):
    world.broken = (ImportError("no module named crm_sdk"),)
    world.write(sinks={"crm": {"type": "crm"}, "archive": {"type": "scripted"}})
    document = world.json("check")
    found = messages(document, "warning")
    assert "crm_sdk" in found["plugins.broken0"]
    assert "no route uses this sink" in found["sinks.archive"]


def test_two_routes_that_write_the_same_are_named(world):
    world.config["routes"]["again"] = dict(world.config["routes"]["people"])
    world.write()
    assert "same thing" in messages(world.json("check"), "warning")["routes.again"]


def test_a_paused_lane_is_shown(world):
    world.run("lanes", "pause", "crm")
    document = world.json("check")
    assert document["instances"]["crm"]["state"] == "paused"
    assert "synccore lanes resume crm" in messages(document)["sinks.crm"]


@pytest.mark.parametrize(
    ("value", "constant"),
    [
        ("'Web shop'", "Web shop"),
        ("customer.email", None),
        ("'a' ~ 'b'", None),
        (12, 12),
        ("{{ key }}", None),
        ("", None),
    ],
)
def test_constants_are_told_from_expressions(value, constant):
    assert constant_of(value) == constant


def test_credentials_of_another_account_are_an_error_with_both_names(world):
    connect(world)
    assert world.json("check")["ok"]
    world.crm.account = Account(id="acc-9", label="intern@shop.test")
    document = world.json("check", code=1)
    told = messages(document)["sinks.crm"]
    assert "intern@shop.test" in told
    assert "Shop CRM" in told
    assert "--switch-account" in told
    assert document["instances"]["crm"]["state"] == "error"
