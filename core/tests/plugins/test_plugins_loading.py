"""Every plugin is loaded alone: whatever one does, the others work and the status says why it does not."""

import subprocess
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import click
import pytest
from attrs import evolve, frozen

from synccore import hookimpl
from synccore._plugins import load_plugins
from synccore.config import SourceSettings
from synccore.errors import ConfigError
from synccore.hookspecs import DemoVendor, MapperType, SinkType, SourceType, StoreType
from synccore.types import Defaults, ObjectType, Settled


@frozen
class Config:
    """No settings."""


SINK = SinkType(
    name="mycrm",
    summary="a made-up CRM",
    config=Config,
    open=lambda *_: None,
    objects=(ObjectType(name="thing", summary="a thing", defaults={"customer": Defaults(fields={"A": "key"})}),),
)
SOURCE = SourceType(
    name="myshop", summary="a made-up shop", config=SourceSettings, open=lambda *_: None, entities=("customer",)
)


class Point:
    """An entry point of a distribution that exists only in this test."""

    def __init__(self, name, module, dist="acme-plugin", version="1.0"):
        self.name = name
        self.value = f"{name}.module"
        self.dist = SimpleNamespace(metadata={"Name": dist, "Version": version})
        self._module = module
        self.loads = 0

    def load(self):
        self.loads += 1
        if isinstance(self._module, BaseException):
            raise self._module
        return self._module


def plugin(**hooks):
    """A module with these hooks: name -> what it gives, or a function."""
    module = SimpleNamespace()
    for name, result in hooks.items():
        function = result if callable(result) else _giving(name, result)
        function.__name__ = name
        setattr(module, name, hookimpl(function))
    return module


def _giving(name, result):
    def hook():
        return result

    return hook


GOOD = Point("good", plugin(synccore_sinks=[evolve(SINK, name="good")]), dist="good-plugin")


def load(*points, environ=None):
    return load_plugins(environ=environ or {}, entry_points=[*points, GOOD])


def status(plugins, name):
    return next(s for s in plugins.statuses if s.name == name)


def assert_others_work(plugins):
    assert "good" in plugins.sinks
    assert "jinja" in plugins.mappers
    assert status(plugins, "good").status == "loaded"


# -- what ends how


def test_a_loaded_plugin_says_what_it_provides():
    plugins = load(
        Point(
            "mine",
            plugin(synccore_sinks=[SINK], synccore_sources=[SOURCE], synccore_template_filters={"mine_x": lambda v: v}),
        )
    )
    assert status(plugins, "mine").status == "loaded"
    assert status(plugins, "mine").reason == ""
    assert set(status(plugins, "mine").provides) == {"sink mycrm", "source myshop", "filter mine_x"}
    assert (plugins.sinks["mycrm"], plugins.sources["myshop"]) == (SINK, SOURCE)
    assert "mine_x" in plugins.filters


def test_core_brings_its_mapper_and_filters_through_the_same_hooks():
    plugins = load_plugins(environ={"SYNCCORE_PLUGINS": ""}, entry_points=[])
    (core,) = plugins.statuses
    assert (core.name, core.distribution, core.status) == ("core", "synccore", "loaded")
    assert "mapper jinja" in core.provides
    assert "e164" in plugins.filters


@pytest.mark.parametrize(
    "error", [ImportError("no module named 'acme_sdk'"), SyntaxError("bad"), SystemExit(3), RuntimeError("at import")]
)
def test_a_plugin_that_cannot_be_imported_stops_nobody(error):
    plugins = load(Point("bad", error))
    assert status(plugins, "bad").status == "failed"
    assert type(error).__name__ in status(plugins, "bad").reason
    assert_others_work(plugins)


def test_a_hook_that_raises_stops_nobody():
    def broken():
        raise KeyError("sdk")

    plugins = load(Point("bad", plugin(synccore_sinks=broken)))
    assert status(plugins, "bad").status == "failed"
    assert "synccore_sinks failed: KeyError" in status(plugins, "bad").reason
    assert_others_work(plugins)


def test_a_generator_hook_that_raises_half_way_registers_nothing():
    def half():
        yield SINK
        raise OSError("later")

    plugins = load(Point("bad", plugin(synccore_sinks=half)))
    assert status(plugins, "bad").status == "failed"
    assert "mycrm" not in plugins.sinks
    assert_others_work(plugins)


def test_a_plugin_written_for_another_contract_is_incompatible():
    plugins = load(Point("new", plugin(synccore_sinks=[evolve(SINK, api=2)])))
    assert status(plugins, "new").status == "incompatible"
    assert "api 2" in status(plugins, "new").reason
    assert_others_work(plugins)


def test_a_hook_that_core_does_not_know_is_incompatible_and_the_nearest_is_named():
    plugins = load(Point("new", plugin(synccore_sink=[SINK])))
    assert status(plugins, "new").status == "incompatible"
    assert "did you mean synccore_sinks?" in status(plugins, "new").reason


def test_a_hook_with_an_argument_that_core_does_not_pass_is_incompatible():
    plugins = load(Point("new", plugin(synccore_sinks=lambda app: [SINK])))
    assert status(plugins, "new").status == "incompatible"


def test_a_module_without_hooks_is_told_how_to_mark_them():
    plugins = load(Point("empty", SimpleNamespace(synccore_sinks=lambda: [SINK])))
    assert status(plugins, "empty").status == "failed"
    assert "hookimpl" in status(plugins, "empty").reason


def test_one_type_name_from_two_distributions_is_a_duplicate_that_names_both():
    points = [
        Point("one", plugin(synccore_sinks=[SINK]), dist="first-plugin", version="1.1"),
        Point("two", plugin(synccore_sinks=[evolve(SINK, summary="other")]), dist="second-plugin", version="2.2"),
    ]
    for order in (points, points[::-1]):
        plugins = load(*order)
        assert status(plugins, "one").status == "loaded"
        assert status(plugins, "two").status == "duplicate"
        for words in ("sink mycrm", "first-plugin 1.1", "second-plugin 2.2"):
            assert words in status(plugins, "two").reason
        assert plugins.sinks["mycrm"] is SINK
        assert_others_work(plugins)


def test_one_plugin_name_from_two_distributions_is_a_duplicate_that_names_both():
    plugins = load(
        Point("crm", plugin(synccore_sinks=[SINK]), dist="first-plugin"),
        Point("crm", plugin(synccore_sinks=[evolve(SINK, name="x")]), dist="second-plugin"),
    )
    (duplicate,) = [s for s in plugins.statuses if s.status == "duplicate"]
    assert "first-plugin" in duplicate.reason
    assert "second-plugin" in duplicate.reason


def test_a_source_and_a_sink_may_share_a_name():
    plugins = load(Point("both", plugin(synccore_sinks=[SINK], synccore_sources=[evolve(SOURCE, name="mycrm")])))
    assert status(plugins, "both").status == "loaded"


@pytest.mark.parametrize("name", ["e164", "upper", "tojson"])
def test_a_filter_may_not_hide_one_of_cores_or_jinjas(name):
    plugins = load(Point("bad", plugin(synccore_template_filters={name: str})))
    assert status(plugins, "bad").status == "duplicate"
    assert name in status(plugins, "bad").reason


def test_the_same_entry_point_found_twice_is_loaded_once():
    point = Point("mine", plugin(synccore_sinks=[SINK]))
    plugins = load(point, point)
    assert [s.name for s in plugins.statuses].count("mine") == 1


# -- what is handed over is checked


@pytest.mark.parametrize(
    ("hooks", "words"),
    [
        ({"synccore_sinks": SINK}, "gave a SinkType, not a list"),
        ({"synccore_sinks": "mycrm"}, "gave a str, not a list"),
        ({"synccore_sinks": ["mycrm"]}, "gave a str, not a SinkType"),
        ({"synccore_sinks": [SinkType]}, "gave the class SinkType"),
        ({"synccore_sources": [SINK]}, "not a SourceType"),
        ({"synccore_sinks": [evolve(SINK, name="my crm")]}, "no plain word"),
        ({"synccore_sinks": [evolve(SINK, name=7)]}, "no plain word"),
        ({"synccore_sinks": [evolve(SINK, config=dict)]}, "not an attrs class"),
        ({"synccore_sinks": [evolve(SINK, config=Config())]}, "not an attrs class"),
        ({"synccore_sinks": [evolve(SINK, open="mycrm:open")]}, "cannot be called"),
        ({"synccore_sinks": [evolve(SINK, limits=200)]}, "not Limits"),
        ({"synccore_sinks": [evolve(SINK, objects=["thing"])]}, "not an ObjectType"),
        (
            {"synccore_sinks": [evolve(SINK, objects=[ObjectType(name="t", summary="", defaults={"person": 1})])]},
            "no entity",
        ),
        (
            {"synccore_sinks": [evolve(SINK, objects=[ObjectType(name="t", summary="", defaults={"order": {}})])]},
            "not Defaults",
        ),
        (
            {"synccore_sinks": [evolve(SINK, objects=[ObjectType(name="t", summary="", options={"a": str})])]},
            "(type, default, help)",
        ),
        ({"synccore_sinks": [evolve(SINK, objects=[ObjectType(name="t", summary="", defaults=None)])]}, "odd"),
        ({"synccore_sources": [evolve(SOURCE, config=Config)]}, "inherit SourceSettings"),
        ({"synccore_sources": [evolve(SOURCE, entities="customer")]}, "not a tuple of texts"),
        ({"synccore_sources": [evolve(SOURCE, entities=("people",))]}, "no entity"),
        ({"synccore_stores": [StoreType(name="pg", summary="", schemes=("a b",), open=print)]}, "no URL scheme"),
        ({"synccore_mappers": [MapperType(name="m", summary=None, open=print)]}, "summary"),
        ({"synccore_template_filters": [("x", str)]}, "not a mapping"),
        ({"synccore_template_filters": {"x": "str"}}, "cannot be called"),
        ({"synccore_template_filters": {"X y": str}}, "no lower case word"),
    ],
)
def test_a_wrong_type_is_named_at_the_boundary(hooks, words):
    plugins = load(Point("bad", plugin(**hooks)))
    assert status(plugins, "bad").status == "failed"
    assert words in status(plugins, "bad").reason
    assert_others_work(plugins)


# -- which load


@pytest.mark.parametrize("wanted", ["mine", "acme-plugin", "ACME_plugin", " mine ,", "other,mine"])
def test_synccore_plugins_names_entry_points_or_distributions(wanted):
    plugins = load(Point("mine", plugin(synccore_sinks=[SINK])), environ={"SYNCCORE_PLUGINS": wanted})
    assert "mycrm" in plugins.sinks
    assert "good" not in plugins.sinks
    assert status(plugins, "good").status == "disabled"
    assert "SYNCCORE_PLUGINS" in status(plugins, "good").reason


def test_an_empty_synccore_plugins_loads_none_and_imports_none():
    point = Point("mine", plugin(synccore_sinks=[SINK]))
    plugins = load(point, environ={"SYNCCORE_PLUGINS": ""})
    assert not plugins.sinks
    assert point.loads == 0
    assert "jinja" in plugins.mappers


def test_a_name_in_synccore_plugins_that_is_not_installed_is_said():
    plugins = load(environ={"SYNCCORE_PLUGINS": "good,mycmr"})
    assert status(plugins, "mycmr").status == "failed"
    assert "not installed" in status(plugins, "mycmr").reason


def test_hooks_run_once():
    calls = []

    def sinks():
        calls.append(1)
        return [SINK]

    plugins = load(Point("mine", plugin(synccore_sinks=sinks)))
    assert plugins.sinks["mycrm"] is plugins.sinks["mycrm"]
    assert calls == [1]


def test_the_demo_is_not_touched_before_it_is_asked_for():
    calls = []
    vendor = DemoVendor(role="sink", name="crm", type="mycrm", start=lambda _: None)

    def demo():
        calls.append(1)
        return [vendor]

    plugins = load(Point("mine", plugin(synccore_demo=demo)))
    assert calls == []
    assert plugins.demo_vendors == (vendor,)
    assert plugins.demo_vendors == (vendor,)
    assert calls == [1]


def test_loading_leaves_the_parts_that_only_running_needs_alone():
    unneeded = {"cattrs", "httpx", "rich", "sqlite_utils", "ssl", "starlette", "tomlkit", "uvicorn"}
    code = (
        "import sys; from synccore._plugins import load_plugins; load_plugins(environ={'SYNCCORE_PLUGINS': ''}).sinks;"
        f"print([m for m in {unneeded} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


# -- hooks that are called while the program runs

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
    store = StoreType(name="pg", summary="", schemes=("postgresql", "postgres"), open=print)
    plugins = load(Point("pg", plugin(synccore_stores=[store])))
    assert plugins.store_for("postgres://db/x") is store
    assert plugins.store_for("mysql://db/x") is None
