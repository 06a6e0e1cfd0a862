import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from google_help import Rig


@pytest.fixture
def rigs():
    """Makes rigs and closes them."""
    made: list[Rig] = []

    def make(**options):
        made.append(Rig(**options))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def rig(rigs):
    return rigs()
