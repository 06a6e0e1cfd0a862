"""The hooks that are called while the program runs: one failing plugin harms nobody."""

import importlib.util
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from synccore.errors import ConfigError
from synccore.types import Settled

_spec = importlib.util.spec_from_file_location("_loading", Path(__file__).with_name("test_plugins_loading.py"))
_loading = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_loading)
Point, load, plugin, SINK = _loading.Point, _loading.load, _loading.plugin, _loading.SINK

EVENT = Settled(at=datetime(2024, 1, 1, tzinfo=UTC), sink="crm", outcome="delivered", route="r", key="12")


def test_a_failing_observer_harms_nobody_and_is_named_once(caplog):
    seen = []

    def failing(event):
        raise RuntimeError("pager is down, mail ann@shop.test")

    def working(event):
        seen.append(event)

    plugins = load(
        Point("bad", plugin(synccore_settled=failing), dist="a-plugin"),
        Point("fine", plugin(synccore_settled=working), dist="z-plugin"),
    )
    plugins.settled(EVENT)
    plugins.settled(EVENT)
    assert seen == [EVENT, EVENT]
    (record,) = caplog.records
    assert "a-plugin" in record.message
    assert "ann@shop.test" not in record.message


def test_the_first_plugin_that_knows_a_secret_answers():
    plugins = load(
        Point("one", plugin(synccore_secret=lambda reference: None)),
        Point("two", plugin(synccore_secret=lambda reference: "s3cret" if "vault" in reference else None)),
    )
    assert plugins.has_secret_schemes
    assert plugins.secret({"vault": "path"}) == "s3cret"
    assert plugins.secret({"other": "path"}) is None


def test_a_failing_secret_hook_is_a_config_error_that_names_the_plugin_and_not_the_value():
    def failing(reference):
        raise OSError("vault sealed")

    plugins = load(Point("vault", plugin(synccore_secret=failing)))
    with pytest.raises(ConfigError, match=r"vault \(acme-plugin 1.0\).*vault sealed"):
        plugins.secret({"vault": "path"})


def test_a_secret_that_is_no_text_is_refused():
    plugins = load(Point("vault", plugin(synccore_secret=lambda reference: b"bytes")))
    with pytest.raises(ConfigError, match="bytes"):
        plugins.secret({"vault": "path"})


def test_without_a_plugin_nothing_resolves_secrets():
    assert not load().has_secret_schemes
    assert load().secret({"vault": "x"}) is None


def test_plugins_add_commands_and_a_failing_one_is_left_out(caplog):
    def adding(group):
        group.add_command(click.Command("hello"))

    def failing(group):
        raise RuntimeError("no")

    group = click.Group("synccore")
    plugins = load(Point("bad", plugin(synccore_commands=failing)), Point("fine", plugin(synccore_commands=adding)))
    plugins.add_commands(group)
    assert list(group.commands) == ["hello"]
    assert "bad" in caplog.text


def test_a_failing_demo_is_left_out(caplog):
    def failing():
        raise ImportError("no stand-in")

    assert load(Point("bad", plugin(synccore_demo=failing))).demo_vendors == ()
    assert "no stand-in" in caplog.text


def test_tracing_prints_every_call_and_no_secret(capsys):
    plugins = load(
        Point(
            "mine",
            plugin(
                synccore_sinks=[SINK],
                synccore_secret=lambda reference: "s3cret",
                synccore_settled=lambda event: None,
            ),
        ),
        environ={"SYNCCORE_TRACE_HOOKS": "1"},
    )
    plugins.secret({"vault": "kv/private-path"})
    plugins.settled(EVENT)
    out, err = capsys.readouterr()
    assert out == ""
    assert "mine: synccore_sinks() -> mycrm" in err
    assert "mine: synccore_secret(vault=...) -> a secret" in err
    assert "synccore_settled(delivered sink=crm route=r)" in err
    assert "s3cret" not in err
    assert "private-path" not in err


@pytest.mark.parametrize("value", ["", "0"])
def test_tracing_is_off_by_default(capsys, value):
    load(Point("mine", plugin(synccore_sinks=[SINK])), environ={"SYNCCORE_TRACE_HOOKS": value})
    assert capsys.readouterr().err == ""


def test_why_a_type_is_missing_names_the_plugin_that_did_not_load():
    plugins = load(
        Point("acme_crm", ImportError("no acme_sdk"), dist="synccore-acme-crm"),
        Point("other", ImportError("nor this"), dist="synccore-other"),
    )
    for name in ("acme_crm", "acme-crm"):
        assert "no acme_sdk" in plugins.why_missing(name)
        assert "nor this" not in plugins.why_missing(name)
    assert "nor this" in plugins.why_missing("something_else")


def test_a_store_is_found_by_the_scheme_of_the_database():
    from synccore.hookspecs import StoreType

    store = StoreType(name="pg", summary="", schemes=("postgresql", "postgres"), open=print)
    plugins = load(Point("pg", plugin(synccore_stores=[store])))
    assert plugins.store_for("postgres://db/x") is store
    assert plugins.store_for("mysql://db/x") is None
