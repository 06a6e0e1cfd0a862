"""Two real daemons on one PostgreSQL, one of them killed in the middle of a call: `benchmarks/shared.py`, small.

Takes seconds: five processes of synccore and a server of its own.
"""

import importlib.util
from contextlib import closing
from pathlib import Path

import pytest

from synccore.testing import Fault
from synccore_postgres.testing import one_server

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "shared.py"


@pytest.fixture
def server():
    with one_server() as found:
        yield found


@pytest.fixture
def shared():
    spec = importlib.util.spec_from_file_location("shared", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_a_killed_daemon_sent_is_at_the_target_once(server, shared, tmp_path):
    """A profile was made and the answer never came: the other daemon and the one that is started again find it."""
    with closing(shared.Play(tmp_path, 60, server, server.url())) as play:
        play.target.fail_next(Fault.hang(when=lambda request: request.method == "POST"))
        found = play.run(1, restart=False)
        assert found["proved"]
        wrong = ("missing", "strange", "twice", "owed", "parked")
        assert {name: found[name] for name in wrong} == dict.fromkeys(wrong, 0)
        assert found["ended by themselves"] == [0, 0]
        (doing,) = found["under way when killed"]
        held = int(doing.split()[0])
        assert found["written again, the same"] <= held, "only what it held, and to the twin that was made"
