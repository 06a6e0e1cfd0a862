"""One hypothesis profile for all tests of the repository, and a log that none leaves changed."""

import logging
import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

# A shared machine is slow now and then: no test may fail because of it. A contract runs in several classes.
settings.register_profile(
    "shared", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors]
)
# What fails where nobody can look prints the line that repeats it.
settings.register_profile("ci", settings.get_profile("shared"), print_blob=True)
# At night a hundred times as many, and new ones each night (HYPOTHESIS_PROFILE=nightly).
settings.register_profile("nightly", settings.get_profile("ci"), max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "shared"))


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """A command sets up the log for its process; here that is every test's."""
    handlers, before = list(logging.getLogger().handlers), structlog.get_config()
    yield
    logging.getLogger().handlers[:] = handlers
    structlog.configure(**before)
