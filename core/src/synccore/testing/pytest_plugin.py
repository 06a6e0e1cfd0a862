"""A pytest plugin: fixtures, and readable failures of the contract cases.

It imports the rest of synccore only when a test asks for it: coverage would miss what is imported this early.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .clock import FakeClock
    from .harness import Harness

pytest.register_assert_rewrite("synccore.testing.contracts")


@pytest.fixture
def synccore_clock() -> "FakeClock":
    """A clock the test moves by hand."""
    from .clock import FakeClock

    return FakeClock()


@pytest.fixture
def synccore_harness(tmp_path: Path, synccore_clock: "FakeClock") -> "Iterator[Callable[..., Harness]]":
    """Opens harnesses in the test's folder (arguments as `Harness`, without folder and clock) and closes them."""
    from .harness import Harness

    opened: list[Harness] = []

    def open_harness(routes: Any, **options: Any) -> Harness:
        folder = tmp_path / f"harness-{len(opened)}"
        folder.mkdir()
        opened.append(Harness(folder, routes, clock=synccore_clock, **options))
        return opened[-1]

    yield open_harness
    for harness in opened:
        harness.close()
