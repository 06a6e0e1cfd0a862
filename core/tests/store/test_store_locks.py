"""Who the one daemon is: told of those that work, not of those that just let go."""

import fcntl
import os

import pytest

from synccore._store import _locks
from synccore._store._locks import FileLocks
from synccore.errors import ConfigError


@pytest.fixture
def held(tmp_path):
    """The daemon's lock as it is held for a moment after its holder ended: by a copy of the descriptor."""
    with FileLocks(tmp_path / "synccore.db").daemon():
        pass
    descriptor = os.open(tmp_path / "synccore.db.locks" / "daemon", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield descriptor
    os.close(descriptor)


def test_whoever_lets_go_is_waited_for(tmp_path, held):
    os.pwrite(held, str(os.getpid()).encode(), 0)
    waited = []

    def pause(seconds):
        waited.append(seconds)
        fcntl.flock(held, fcntl.LOCK_UN)

    with FileLocks(tmp_path / "synccore.db", pause=pause).daemon():
        assert len(waited) == 1


@pytest.mark.parametrize("text", ["", "me"])
def test_nobody_is_told_that_it_is_the_other_one(tmp_path, held, monkeypatch, text):
    monkeypatch.setattr(_locks, "_LETTING_GO", 0)
    os.pwrite(held, (str(os.getpid()) if text else "").encode(), 0)
    with (
        pytest.raises(ConfigError, match="another synccore daemon") as refused,
        FileLocks(tmp_path / "synccore.db").daemon(),
    ):
        pass
    assert str(os.getpid()) not in refused.value.message.partition(" works on ")[0]


def test_one_that_works_is_named_at_once(tmp_path):
    def pause(_):
        raise AssertionError("nothing to wait for")

    with FileLocks(tmp_path / "synccore.db").daemon():
        other = FileLocks(tmp_path / "synccore.db", pause=pause)
        with pytest.raises(ConfigError, match=rf"process {os.getpid()}\)"), other.daemon():
            pass


def test_one_that_ended_leaves_no_name(tmp_path):
    with FileLocks(tmp_path / "synccore.db").daemon():
        pass
    assert (tmp_path / "synccore.db.locks" / "daemon").read_bytes() == b""
