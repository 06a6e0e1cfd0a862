"""Files no person writes: exit 3 in words, never a Python name."""

import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from synccore._cli import cli

SHOP = '[sources.shop]\ntype = "woocommerce"\nurl = "https://shop.test"\n'

WHOLE = (
    SHOP
    + """consumer_key = { secret = "CK" }
poll = "5m"

[synccore]
database = "outbox.db"
retention = "30d"

[server]
listen = "127.0.0.1:8080"
public_url = "https://hooks.shop.test"

[sinks.crm]
type = "klaviyo"
api_key = { env = "KEY" }

[routes.people]
source = "shop"
sink = "crm"
entity = "customer"
object = "profile"
when = "customer.email != ''"
delay = "2m"

[routes.people.fields]
email = "customer.email"
first_name = "customer.first_name | trim"
"""
)
PIECES = (
    "",
    "=",
    "[",
    "]]",
    "{",
    "}",
    '"',
    "'",
    '"""',
    "#",
    "\n",
    "0",
    "-1",
    "1e999",
    "nan",
    "true",
    "[]",
    "{}",
    "1979-05-27",
)
#: Where something is put, how much of what stood there goes, and what it is.
EDITS = st.lists(
    st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 30), st.sampled_from(PIECES) | st.text(max_size=5)),
    min_size=1,
    max_size=3,
)


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "9" * 5000,
        "x = " + "[" * 5000 + "]" * 5000,
        "x = " + "[" * 200 + "]" * 200,
        "x = " + "{a=" * 3000 + "1" + "}" * 3000,
        ".".join(["a"] * 3000) + " = 1",
        "[" + ".".join(["a"] * 12_000) + "]",  # deeper than Python goes anywhere
        '[synccore]\ndatabase = "a\\u0000b"',
        '[server]\npublic_url = "https://a\\u0000b"',
        '[sources."a\\u0000b"]\ntype = "x"',
        SHOP + 'ca_file = "a\\u0000b"',
        '[synccore]\nretention = "' + "9" * 5000 + 'd"',
        '[server]\nlisten = "127.0.0.1:' + "9" * 5000 + '"',
        '[server]\ntrusted_proxies = ["here"]',
        "\x00" * 100,
    ],
    ids=lambda t: f"{t[:30]!r} {len(t)}",
)
@pytest.mark.parametrize("verb", [["check", "--offline"], ["status"]])
def test_a_file_that_means_nothing_is_exit_3_in_words(tmp_path, text, verb):
    file = tmp_path / "synccore.toml"
    file.write_text(text)
    ended = CliRunner().invoke(cli, ["-c", str(file), *verb])
    assert ended.exit_code == 3
    for word in ("Traceback", "ValueError", "RecursionError", "TypeError", "set_int_max"):
        assert word not in ended.output
    assert len(ended.output) < 2000


@settings(max_examples=40)
@given(EDITS)
def test_a_file_with_slips_of_the_pen_is_never_a_bug(edits):
    text = WHOLE
    for at, gone, put in edits:
        text = text[:at] + put + text[at + gone :]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "synccore.toml"
        file.write_text(text, encoding="utf-8", errors="replace")
        ended = CliRunner().invoke(cli, ["-c", str(file), "check", "--offline"])
    assert ended.exit_code in (0, 1, 3), ended.output
    for word in ("Traceback", "a bug", "ValueError", "TypeError", "KeyError", "AttributeError"):
        assert word not in ended.output, ended.output
