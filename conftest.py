"""What holds for all tests of the repository: hypothesis profiles, quick processes, files in memory, a log that none
leaves changed."""

import gc
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings
from scratch import in_memory

if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    # Every process that the tests start would compile all that it imports.
    sys.dont_write_bytecode = False

if (memory := in_memory()) is not None:
    os.environ["TMPDIR"] = tempfile.tempdir = str(memory)

# A shared machine is slow now and then: no test may fail because of it. A contract runs in several classes.
settings.register_profile(
    "shared", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors]
)
# What fails where nobody can look prints the line that repeats it.
settings.register_profile("ci", settings.get_profile("shared"), print_blob=True)
# At night a hundred times as many, and new ones each night (HYPOTHESIS_PROFILE=nightly).
settings.register_profile("nightly", settings.get_profile("ci"), max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "shared"))


#: What is imported and collected stays: nobody need look for garbage in it again and again.
gc.disable()


def _worker(config: pytest.Config) -> tuple[int, int]:
    """Which of how many processes this one is."""
    told = getattr(config, "workerinput", None)
    return (int(told["workerid"].removeprefix("gw")), told["workercount"]) if told else (0, 1)


def pytest_configure(config: pytest.Config) -> None:
    """Each process begins to collect elsewhere, so that nothing is compiled by two of them, where nothing is yet."""
    folders = list(config.args)
    if all(Path(folder).is_dir() for folder in folders):
        worker, count = _worker(config)
        first = len(folders) * worker // count
        config.args[:] = folders[first:] + folders[:first]


def pytest_collection_finish() -> None:
    """The tests begin: what is there by now is never looked at again."""
    gc.collect()
    gc.freeze()
    # Beside what is frozen there is little, so a search of all of it would be due every moment.
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """What takes the longest begins first, so that at the end no process waits for another."""
    # In whatever order they were collected.
    items.sort(key=lambda item: item.nodeid.partition("::")[0])
    yield
    items.sort(key=lambda item: not item.nodeid.startswith("tests/"))


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """A command sets up the log for its process; here that is every test's."""
    handlers, before = list(logging.getLogger().handlers), structlog.get_config()
    yield
    logging.getLogger().handlers[:] = handlers
    structlog.configure(**before)
