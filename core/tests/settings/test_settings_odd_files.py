"""Files no person writes: exit 3 in words, never a Python name."""

import pytest
from click.testing import CliRunner

from synccore._cli import cli

SHOP = '[sources.shop]\ntype = "woocommerce"\nurl = "https://shop.test"\n'


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "9" * 5000,
        "x = " + "[" * 5000 + "]" * 5000,
        "x = " + "[" * 200 + "]" * 200,
        "x = " + "{a=" * 3000 + "1" + "}" * 3000,
        ".".join(["a"] * 3000) + " = 1",
        "[" + ".".join(["a"] * 20_000) + "]",
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
