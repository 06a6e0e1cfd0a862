"""The bounds that the documents state are those of the code. What was measured names the benchmark that prints it."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from synccore._cli.run import LAST_MOMENT
from synccore._daemon.run import PATIENCE
from synccore._mapping import bounds
from synccore._web import hooks, protocol
from synccore.errors import LONGEST_WAIT
from synccore.http import _answer, _client, _room

DOCS = Path(__file__).parents[1] / "docs"
MB, KB = 1_000_000, 1024

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="runs in the source tree only")

FIGURES = {
    "security.md": (
        f"headers have to be there within {protocol.HEADERS:.0f} s and 64 kB",
        f"a body within {protocol.BODY:.0f} s and {hooks.BODY_LIMIT // MB} MB",
        f"bodies above {hooks.SMALL // KB} kB share {hooks.ROOM // MB} MB",
        f"beyond {protocol.CONNECTIONS} connections",
        f"A call ends after its time ({_client.DEFAULT_TIMEOUT.total_seconds():.0f} s unless",
        f"an answer has at most {_client.LARGEST // MB} MB",
        f"at most {_answer.MOST_VALUES:,} JSON values",
        f"side by side hold {_room.ROOM._most // MB} MB together",
        "longer than a day",
    ),
    "mapping.md": (
        f"a text has at most {bounds.LONGEST_TEXT:,} characters, a list {bounds.LONGEST_LIST:,} items",
        f"a width or indent {bounds.WIDEST:,}; a field takes at most {bounds.MOST_STEPS:,} steps",
        f"source has at most {bounds.LONGEST_SOURCE:,} characters",
    ),
    "operating.md": (
        f"lets running calls finish (up to {PATIENCE.total_seconds():.0f} s)",
        "within 25 s at any moment",
    ),
}


@pytest.mark.parametrize("page", FIGURES)
def test_a_stated_bound_is_that_of_the_code(page):
    text = re.sub(r"\s+", " ", (DOCS / page).read_text(encoding="utf-8"))
    missing = [words for words in FIGURES[page] if words not in text]
    assert not missing


def test_words_for_bounds():
    assert timedelta(days=1) == LONGEST_WAIT, '"a day"'
    assert len(str(2**bounds.MOST_BITS)) // 1000 == 1, '"a thousand digits"'
    assert bounds.CALL_STEPS == 20, '"a call twenty"'
    assert PATIENCE < LAST_MOMENT < timedelta(seconds=25), '"within 25 s at any moment"'


def test_what_was_measured_names_the_program_that_prints_it():
    """Each section of the page of figures that has a table or a time names a benchmark, and each named one is there."""
    text = (DOCS / "scale.md").read_text(encoding="utf-8")
    named = set(re.findall(r"benchmarks/(\w+\.py)", text))
    assert named
    assert not [name for name in named if not (DOCS.parent / "benchmarks" / name).exists()]
