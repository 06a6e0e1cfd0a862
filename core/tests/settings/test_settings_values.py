"""Values of the file become typed settings; nothing is coerced, and every mistake is named where it is."""

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NewType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synccore._plugins import load_plugins
from synccore._settings import SettingsError, find_config
from synccore.config import Schedule, format_duration, parse_duration
from synccore.errors import ConfigError


class Speed(StrEnum):
    SLOW = "slow"


Name = NewType("Name", str)

SHOP_KEYS = """
[sources.shop]
type = "acme_shop"
url = "https://shop.test"
consumer_key = { env = "KEY" }
"""


def shop(files, line=""):
    return files.load(SHOP_KEYS + line).sources["shop"].config


def test_an_empty_file_is_a_valid_configuration_with_defaults(files):
    settings = files.load("")
    assert settings.database == str(files.folder / "synccore.db")
    assert settings.retention == timedelta(days=90)
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8484)
    assert settings.server.public_url is None
    assert settings.server.dashboard_password is None
    assert (settings.sources, settings.sinks, settings.routes, settings.warnings) == ({}, {}, {}, ())


def test_every_sink_may_linger_but_not_for_long(files, base):
    assert files.load(base).sinks["crm"].linger is None
    assert files.load(base + 'linger = "50ms"\n').sinks["crm"].linger == timedelta(milliseconds=50)
    (problem,) = files.problems(base + 'linger = "1m"\n')
    assert problem.startswith("sinks.crm.linger: is at most 10s")
    (problem,) = files.problems(base + 'lnger = "50ms"\n')
    assert "did you mean linger" in problem
    assert "unknown key" in files.problems(SHOP_KEYS + 'linger = "50ms"\n')[0]


@pytest.mark.parametrize(
    ("line", "name", "expected"),
    [
        ("", "entities", ("customer",)),
        ('entities = ["customer", "order"]', "entities", ("customer", "order")),
        ("", "poll", Schedule("5m")),
        ('poll = "1h30m"', "poll", Schedule("1h30m")),
        ('poll = "*/5 * * * *"', "poll", Schedule("*/5 * * * *")),
        ("poll = false", "poll", None),
        ('pause = "250ms"', "pause", timedelta(milliseconds=250)),
        ("share = 1", "share", 1.0),
        ("price = 1.1", "price", Decimal("1.1")),
        ("price = 2", "price", Decimal(2)),
        ("tries = 5", "tries", 5),
        ('mode = "fast"', "mode", "fast"),
        ('labels = { a = "b" }', "labels", {"a": "b"}),
        ("ca_file = false", "ca_file", None),
    ],
)
def test_a_setting_is_read_as_its_type(files, line, name, expected):
    found = getattr(shop(files, line), name)
    assert found == expected
    assert type(found) is type(expected)


def test_a_path_is_relative_to_the_file(files):
    assert shop(files, 'ca_file = "tls/ca.pem"').ca_file == files.folder / "tls" / "ca.pem"
    assert str(shop(files, 'ca_file = "/etc/ca.pem"').ca_file) == "/etc/ca.pem"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("tries = '3'", 'sources.shop.tries: is a whole number, not "3"'),
        ("tries = true", "sources.shop.tries: is a whole number, not true"),
        ("tries = 3.0", "sources.shop.tries: is a whole number, not 3.0"),
        ("share = '1'", 'sources.shop.share: is a number, not "1"'),
        ("share = nan", "sources.shop.share: is a number, not nan"),
        ("price = inf", "sources.shop.price: is a number, not inf"),
        ("write_back = 1", "sources.shop.write_back: is true or false, not 1"),
        ("write_back = 'yes'", 'sources.shop.write_back: is true or false, not "yes"'),
        ("pause = 5", "sources.shop.pause: is a duration, not 5; write for instance"),
        ("pause = '90'", "sources.shop.pause: '90' is not a duration; write for instance 30s, 5m, 24h or 90d"),
        ("pause = '99999999999999999d'", "is too long for a duration"),
        ("poll = 5", "sources.shop.poll: is a duration or cron text, not 5"),
        ("poll = '61 * * * *'", "sources.shop.poll: '61 * * * *' is no cron text"),
        ("poll = '0s'", "sources.shop.poll: '0s' is no interval: it must be longer than zero"),
        ("mode = 'fst'", 'sources.shop.mode: is "fst"; accepted: fast, slow; did you mean fast?'),
        ("mode = 1", "sources.shop.mode: is 1; accepted: fast, slow"),
        ("entities = 'customer'", 'sources.shop.entities: is a list, not "customer": write ["customer"]'),
        ("entities = ['customer', 5]", "sources.shop.entities.1: is text, not 5: write it in quotes"),
        ("labels = 'a'", 'sources.shop.labels: is a table, not "a"'),
        ("labels = { a = 1 }", "sources.shop.labels.a: is text, not 1"),
        ("ca_file = 1", "sources.shop.ca_file: is text, not 1"),
        ("consumer_kee = 'x'", "sources.shop.consumer_kee: unknown key; did you mean consumer_key?"),
        ("zzz = 1", "sources.shop.zzz: unknown key"),
        ("tries = 0", "sources.shop.tries: 'tries' must be >= 1: 0"),
    ],
)
def test_a_wrong_value_is_named_with_its_path(files, line, expected):
    (problem,) = files.problems(SHOP_KEYS + line)
    assert problem.startswith(expected) or expected in problem


def test_a_missing_key_says_what_it_is_for(files):
    assert files.problems('[sources.shop]\ntype = "acme_shop"') == [
        "sources.shop.url: is required (address of the shop)",
        "sources.shop.consumer_key: is required (its key)",
    ]


def test_validators_speak_about_their_own_setting_all_at_once(files):
    text = SHOP_KEYS.replace("https://shop.test", "shop.test") + "tries = -1"
    first, second = files.problems(text)
    assert first.startswith("sources.shop.url: ")
    assert second.startswith("sources.shop.tries: ")


def test_a_rule_over_several_settings_speaks_about_the_table(files):
    text = '[sinks.crm]\ntype = "acme_crm"\ntoken = { env = "TOKEN" }\nauth = "key"'
    assert files.problems(text) == ['sinks.crm: auth = "key" needs user']


def test_a_nested_table_has_paths_of_its_own(files):
    text = '[sinks.crm]\ntype = "acme_crm"\ntoken = { env = "TOKEN" }\n'
    settings = files.load(text + 'limit = { calls = 5, per = "1s" }')
    assert settings.sinks["crm"].config.limit.per == timedelta(seconds=1)
    assert files.problems(text + 'limit = { call = 5, per = "x" }') == [
        "sinks.crm.limit: is required (how many)".replace("limit:", "limit.calls:"),
        "sinks.crm.limit.call: unknown key; did you mean calls?",
        "sinks.crm.limit.per: 'x' is not a duration; write for instance 30s, 5m, 24h or 90d",
    ]


def test_a_setting_of_several_types_takes_each_and_says_so(files):
    text = '[sinks.crm]\ntype = "acme_crm"\ntoken = { env = "TOKEN" }\n'
    assert files.load(text + "port = 5").sinks["crm"].config.port == 5
    assert files.load(text + 'port = "http"').sinks["crm"].config.port == "http"
    assert files.problems(text + "port = 1.5") == ["sinks.crm.port: is 1.5; accepted: whole number or text"]


def test_a_type_beyond_the_documented_ones_is_read_as_strictly_or_told(tmp_path):
    from synccore._settings.references import SecretResolver
    from synccore._settings.structure import INVALID, Structurer

    reader = Structurer(tmp_path, SecretResolver({}, lambda _: None, load_plugins(entry_points=[])))
    assert reader.read("slow", Speed) is Speed.SLOW
    assert reader.read("Ada", Name) == "Ada"
    assert reader.problems == []
    assert reader.read("quick", Speed) is INVALID
    assert reader.read(1, Name) is INVALID
    assert reader.read("x", complex) is INVALID
    assert [str(problem) for problem in reader.problems] == [
        "'quick' is not a valid Speed",
        "is text, not 1: write it in quotes",
        "the plugin declares a setting of type complex, which cannot be written",
    ]


# -- the file as a whole


def test_five_mistakes_are_five_problems_in_the_order_of_the_file(files):
    problems = files.problems(
        """
        [synccore]
        retention = "90"
        [server]
        listen = "8484"
        [sources.shop]
        type = "acme_shop"
        url = "https://shop.test"
        consumer_kee = { env = "KEY" }
        consumer_key = { env = "KEY" }
        [sinks.crm]
        type = "acme_cmr"
        [routes.people]
        source = "shpo"
        entity = "customer"
        sink = "crm"
        object = "Contact"
        """
    )
    assert [p.partition(": ")[0] for p in problems] == [
        "synccore.retention",
        "server.listen",
        "sources.shop.consumer_kee",
        "sinks.crm.type",
        "routes.people.source",
    ]


@pytest.mark.parametrize("text", ["[sorces.shop]", "routs = 1"])
def test_an_unknown_section_is_named(files, text):
    (problem,) = files.problems(text)
    assert "unknown key; did you mean " in problem


@pytest.mark.parametrize(
    "text", ["sources = 1", "sinks = []", "routes = 'x'", "server = 1", "synccore = 1", "sources.shop = 1"]
)
def test_a_section_that_is_no_table_is_named(files, text):
    (problem,) = files.problems(text)
    assert "table" in problem


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[sources.shop\n", "line 1, column "),
        ('a = 1\n\nb = "x\n', "line 3, column "),
        ("a = 1\na = 2\n", "line 2, column "),
        ("x = [1,", ""),
    ],
)
def test_a_syntax_error_names_line_and_column(files, text, where):
    (problem,) = files.problems(text)
    assert problem.startswith("synccore.toml: " + where)


def test_a_file_that_is_no_text_is_named(files):
    path = files.folder / "bad.toml"
    path.write_bytes(b"a = '\xff'")
    from synccore._settings import load_settings

    with pytest.raises(SettingsError, match=r"bad\.toml: is no UTF-8 text"):
        load_settings(path, files.plugins(), environ={})
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(files.folder / "none.toml", files.plugins(), environ={})


def test_a_byte_order_mark_is_no_mistake(files):
    assert files.load("\ufeff[synccore]\n").path.name == "synccore.toml"


def test_a_name_that_cannot_stand_in_an_address_is_refused(files):
    (problem,) = files.problems('[sinks."my crm"]\ntype = "acme_list"')
    assert problem == "sinks.my crm: a name has letters, digits, - and _ only"


def test_a_source_and_a_sink_cannot_share_a_name(files):
    (problem,) = files.problems(SHOP_KEYS + '[sinks.shop]\ntype = "acme_list"')
    assert problem.startswith("sinks.shop: a source is called 'shop' too")


# -- types


def test_an_unknown_type_names_what_is_installed_and_the_nearest(files):
    (problem,) = files.problems('[sinks.crm]\ntype = "acme_cmr"')
    assert problem == (
        "sinks.crm.type: no sink type 'acme_cmr' is installed (installed: acme_crm, acme_list); did you mean acme_crm?"
    )


def test_a_type_of_the_other_kind_is_said_to_be_one(files):
    (problem,) = files.problems('[sources.shop]\ntype = "acme_crm"')
    assert "acme_crm is a sink" in problem


def test_a_type_whose_plugin_is_broken_says_why(files, point):
    def broken():
        raise ImportError("no module named 'vendor_sdk'")

    files.points.append(point("vendor", synccore_sinks=broken))
    (problem,) = files.problems('[sinks.crm]\ntype = "vendor"')
    assert "plugin vendor did not load" in problem
    assert "no module named 'vendor_sdk'" in problem


@pytest.mark.parametrize(("line", "said"), [("", "is required"), ("type = 5", "is a text in quotes")])
def test_a_missing_type_names_what_there_is(files, line, said):
    assert files.problems(f"[sinks.crm]\n{line}") == [f"sinks.crm.type: {said}: one of acme_crm, acme_list"]


# -- finding the file


def test_the_file_is_found_by_option_then_variable_then_folder(tmp_path):
    for name in ("a.toml", "b.toml", "synccore.toml"):
        (tmp_path / name).touch()
    assert find_config(tmp_path / "a.toml", {"SYNCCORE_CONFIG": "b.toml"}, tmp_path).name == "a.toml"
    assert find_config(None, {"SYNCCORE_CONFIG": "b.toml"}, tmp_path).name == "b.toml"
    assert find_config(None, {}, tmp_path) == tmp_path / "synccore.toml"


@pytest.mark.parametrize(
    ("explicit", "environ", "words"),
    [
        ("none.toml", {}, "-c"),
        (None, {"SYNCCORE_CONFIG": "none.toml"}, "SYNCCORE_CONFIG"),
        (None, {}, "synccore init"),
    ],
)
def test_a_file_that_is_not_there_says_where_it_was_looked_for(tmp_path, explicit, environ, words):
    with pytest.raises(ConfigError, match=words) as caught:
        find_config(explicit, environ, tmp_path)
    assert str(tmp_path) in str(caught.value)


# -- durations


@given(st.integers(0, 10**12))
def test_a_duration_is_read_back_as_it_is_written(milliseconds):
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration


# -- whatever is in the file

TOML = st.recursive(
    st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats()
    | st.text(st.characters(codec="utf-8"), max_size=8)
    | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "value", "fields", "source", "when", "x", "env"]), inner, max_size=3)
    ),
    max_leaves=5,
)
KEYS = [
    "synccore.database", "synccore.retention", "server.listen", "server.public_url", "server.dashboard_password",
    "server.trusted_proxies",
    "sources.shop.url", "sources.shop.consumer_key", "sources.shop.poll", "sources.shop.entities",
    "sources.shop.labels",
    "sinks.crm.token", "sinks.crm.limit", "sinks.crm.port", "sinks.crm",
    "routes.people.source", "routes.people.object", "routes.people.fields", "routes.people.fields.Email",
    "routes.people.when", "routes.people.after", "routes.people.delay", "routes.people.on_delete",
    "routes.people.include", "routes.people.defaults", "routes.people.mapper", "routes.people.match", "routes.people",
]  # fmt: skip


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.dictionaries(st.sampled_from(KEYS), TOML, min_size=1, max_size=3))
def test_whatever_a_file_holds_is_read_or_refused_in_words(files, route, changes):
    import tomlkit

    document = tomlkit.parse(route).unwrap()
    for path, value in changes.items():
        *parents, last = path.split(".")
        table = document
        for parent in parents:
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                break
        else:
            table[last] = value
    with suppress(SettingsError):
        files.load(tomlkit.dumps(document))
        return
    for problem in files.problems(tomlkit.dumps(document)):
        path, _, message = problem.partition(": ")
        assert path
        assert message
