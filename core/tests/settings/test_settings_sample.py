"""What `synccore init` writes can be read again, says what each key is for, and holds no secret."""

import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest
from attrs import frozen, validators

from synccore._plugins import load_plugins
from synccore._settings import describe_config, load_settings
from synccore._workshop.sample import make_sample, write_sample
from synccore.config import Schedule, option
from synccore.errors import ConfigError
from synccore.hookspecs import SinkType
from synccore.secrets import Secret

SHIPPED = {"woocommerce": "source", "google_contacts": "sink", "klaviyo": "sink", "salesforce": "sink"}


def load(tmp_path, plugins, sample, text=None):
    path = tmp_path / "again.toml"
    path.write_text(text or sample.text, encoding="utf-8")
    return load_settings(path, plugins, environ=dict.fromkeys(sample.variables, "value-of-it"))


def test_the_sample_of_everything_installed_can_be_read(files):
    sample = make_sample(files.plugins())
    settings = load(files.folder, files.plugins(), sample)
    assert settings.sources["shop"].type == "acme_shop"
    assert set(settings.sinks) == {"acme_crm", "acme_list"}
    assert {r.sink for r in settings.routes.values()} == {"acme_crm", "acme_list"}
    assert settings.warnings == ()


def test_secrets_are_references_to_the_environment(files):
    sample = make_sample(files.plugins())
    assert sample.variables == {"ACME_SHOP_CONSUMER_KEY": "its key", "ACME_CRM_TOKEN": "its token"}
    assert 'consumer_key = {env = "ACME_SHOP_CONSUMER_KEY"}' in sample.text


def test_required_keys_have_a_placeholder_that_their_validator_takes(files):
    assert tomllib.loads(make_sample(files.plugins()).text)["sources"]["shop"]["url"] == "https://example.com"


def test_the_source_reports_what_the_routes_read(files):
    settings = load(files.folder, files.plugins(), make_sample(files.plugins()))
    assert settings.sources["shop"].config.entities == ("customer", "order")


def test_every_optional_key_stands_there_with_its_default_and_help(files):
    text = make_sample(files.plugins()).text
    assert '# poll = "5m"  # how often to ask for changes' in text
    assert "# share = 0.8  # of the limit" in text
    assert '# retention = "90d"' in text
    assert '# on_delete = "keep"  # what a deleted customer means' in text


def test_what_is_commented_out_can_be_switched_on(files):
    sample = make_sample(files.plugins())
    setting = re.compile(
        r"^# (?=(?:poll|share|tries|mode|labels|pause|retention|listen|on_delete|delay|match) = )", re.MULTILINE
    )
    switched_on = setting.sub("", sample.text)
    assert switched_on != sample.text
    settings = load(files.folder, files.plugins(), sample, switched_on)
    assert settings.sources["shop"].config.tries == 3


def test_a_class_that_requires_everything_has_a_placeholder_for_each_type(files, point):
    @frozen(kw_only=True)
    class Inner:
        host: str = option(help="h", validator=validators.matches_re(r"https://.*"))
        level: int = option(default=1, help="l")

    @frozen(kw_only=True)
    class Demanding:
        text: str = option(help="t")
        number: int = option(help="n", validator=validators.ge(50))
        share: float = option(help="s", validator=validators.lt(0.5))
        price: Decimal = option(help="p")
        flag: bool = option(help="f")
        wait: timedelta = option(help="w")
        every: Schedule = option(help="e")
        file: Path = option(help="f")
        mode: Literal["a", "b"] = option(help="m", validator=validators.in_(["b"]))
        names: tuple[str, ...] = option(help="n", validator=validators.min_len(1))
        table: Mapping[str, str] = option(help="t")
        inner: Inner = option(help="i")
        either: int | str = option(help="e")
        secret: Secret = option(help="s")

    kind = SinkType(name="demanding", summary="", config=Demanding, open=lambda *_: None, objects=())
    files.points.append(point("demanding", synccore_sinks=[kind]))
    sample = make_sample(files.plugins(), source="acme_shop", sinks=["demanding"])
    config = load(files.folder, files.plugins(), sample).sinks["demanding"].config
    assert (config.number, config.mode, config.inner.host) == (100, "b", "https://example.com")


def test_chosen_types_alone_are_written(files):
    sample = make_sample(files.plugins(), source="acme_shop", sinks=["acme_list"])
    settings = load(files.folder, files.plugins(), sample)
    assert set(settings.sinks) == {"acme_list"}
    only_source = make_sample(files.plugins(), source="acme_shop")
    assert not load(files.folder, files.plugins(), only_source).sinks


@pytest.mark.parametrize(("source", "sinks"), [("acme_shp", ()), (None, ["acme_cmr"])])
def test_a_type_that_is_not_installed_is_refused_with_the_nearest(files, source, sinks):
    with pytest.raises(ConfigError, match="did you mean acme_"):
        make_sample(files.plugins(), source=source, sinks=sinks)


def test_a_file_that_is_there_is_never_overwritten(files):
    folder = files.folder / "new" / "folder"
    path, sample = write_sample(folder, files.plugins())
    assert path.read_text(encoding="utf-8") == sample.text
    path.write_text("mine")
    with pytest.raises(ConfigError, match="there already"):
        write_sample(folder, files.plugins())
    assert path.read_text() == "mine"


def test_without_plugins_the_sample_still_loads(tmp_path):
    plugins = load_plugins(environ={"SYNCCORE_PLUGINS": ""})
    settings = load(tmp_path, plugins, make_sample(plugins))
    assert not settings.sources


@pytest.mark.parametrize("name", SHIPPED)
def test_the_sample_of_each_shipped_plugin_can_be_read(tmp_path, name):
    plugins = load_plugins(environ={})
    status = next((s for s in plugins.statuses if s.name == name), None)
    if status is None or status.status != "loaded":
        pytest.skip(f"plugin {name} is not loaded here: {status.reason if status else 'not installed'}")
    chosen = {"source": name} if SHIPPED[name] == "source" else {"sinks": [name]}
    sample = make_sample(plugins, **chosen)
    settings = load(tmp_path, plugins, sample)
    assert name in {i.type for i in (*settings.sources.values(), *settings.sinks.values())}
    assert not settings.warnings


def test_the_sample_of_all_shipped_plugins_can_be_read_together(tmp_path):
    plugins = load_plugins(environ={})
    sample = make_sample(plugins)
    settings = load(tmp_path, plugins, sample)
    assert set(settings.sinks) == set(plugins.sinks)
    if plugins.sources:
        assert {r.sink for r in settings.routes.values()} == set(plugins.sinks)


# -- settings in words


def test_a_class_is_described_setting_by_setting(files):
    descriptor = files.plugins().sources["acme_shop"]
    found = {s.name: s for s in describe_config(descriptor.config)}
    assert list(found)[:4] == ["entities", "poll", "reconcile", "write_back"]
    assert (found["poll"].type_text, found["poll"].default_text) == ("duration or cron text", '"5m"')
    assert found["url"].required
    assert not found["url"].secret
    assert (found["consumer_key"].secret, found["consumer_key"].type_text) == (True, "secret")
    assert (found["webhook_secret"].secret, found["webhook_secret"].required) == (True, False)
    assert (found["mode"].type_text, found["mode"].default_text) == ("fast | slow", '"slow"')
    assert (found["entities"].type_text, found["entities"].default_text) == ("list of text", '["customer"]')
    assert found["pause"].default_text == '"0s"'
    assert found["labels"].default_text == "{}"
    assert found["url"].help == "address of the shop"


def test_a_nested_table_is_described_with_dotted_names(files):
    found = {s.name: s for s in describe_config(files.plugins().sinks["acme_crm"].config)}
    assert found["limit.calls"].required
    assert found["limit.per"].default_text == '"1m"'
    assert found["port"].type_text == "whole number or text"


def test_a_default_in_words_reads_back_as_the_default(files):
    descriptor = files.plugins().sources["acme_shop"]
    lines = [f"{s.name} = {s.default_text}" for s in describe_config(descriptor.config) if s.default_text]
    text = '[sources.shop]\ntype = "acme_shop"\nurl = "https://x"\nconsumer_key = { env = "KEY" }\n' + "\n".join(lines)
    assert files.load(text).sources["shop"].config.pause == timedelta(0)
