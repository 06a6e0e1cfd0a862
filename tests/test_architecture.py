"""The pages that say where things are name only what is there, and every room of core."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "core/src/synccore"
PLACE = re.compile(r"`((?:core|plugins|tests|docs|benchmarks)/[^`]*)`")


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_every_place_that_is_named_is_there(page):
    named = PLACE.findall((ROOT / page).read_text())
    assert named
    gone = [place for place in named if not list(ROOT.glob(place.rstrip("/")))]
    assert gone == []


def test_every_room_of_core_is_in_the_table():
    text = (ROOT / "docs/architecture.md").read_text()
    rooms = [p.name for p in CORE.iterdir() if (p / "__init__.py").exists()]
    assert [room for room in rooms if f"`core/src/synccore/{room}/`" not in text] == []


@pytest.mark.parametrize("face", ["_cli", "_web"])
def test_no_face_of_the_verbs_asks_the_store_by_itself(face):
    """What terminal and dashboard show, a verb has answered; demo and scaffold keep no target up to date."""
    files = [p for p in (CORE / face).rglob("*.py") if not {"demo", "scaffold"} & set(p.parts)]
    assert [str(p) for p in files if re.search(r"\bapp\.store\b|\blane_of\(", p.read_text())] == []
