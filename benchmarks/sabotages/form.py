"""What a sabotage is, and who may have to see it."""

from attrs import frozen

__all__ = ["CLI", "DAEMON", "DELIVERY", "INGEST", "LIVES", "STORE", "VERBS", "Sabotage", "core", "plugin"]

STORE, DELIVERY, INGEST = "core/tests/store", "core/tests/delivery", "core/tests/ingest"
VERBS, CLI, DAEMON = "core/tests/verbs", "core/tests/cli", "core/tests/daemon"
LIVES = ("tests/test_simulation.py", "tests/test_crash_points.py", "tests/test_interleavings.py", "tests/test_fuzz.py")


@frozen
class Sabotage:
    """`promise`: what is broken. In `file` the one place with the text `old` becomes `new`; `tests` must see it."""

    promise: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def core(promise: str, file: str, old: str, new: str, *tests: str) -> Sabotage:
    """One of core, with the tests beside it."""
    return Sabotage(promise, f"core/src/synccore/{file}", old, new, tests)


def plugin(name: str, promise: str, file: str, old: str, new: str, *tests: str) -> Sabotage:
    """One of the plugin with that name."""
    return Sabotage(promise, f"plugins/{name}/src/synccore_{name}/{file}", old, new, tests)
