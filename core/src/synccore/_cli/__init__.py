"""The command line: `main` is the entry point of the `synccore` script.

Nothing heavy is imported here: `synccore --help` needs click and this package's tables only. A verb's module is
imported when the verb is called, and that module imports the rest of the product inside its functions.
"""

import gc

from ._group import VERBS, cli

__all__ = ["VERBS", "cli", "main"]


def main() -> None:
    """Run the command line and exit: 0 done, 1 findings, 2 usage, 3 configuration."""
    # A start makes tens of thousands of objects that stay: Python's collector would look through them again and again.
    gc.set_threshold(200_000)
    try:
        cli(prog_name="synccore")
    finally:
        gc.freeze()  # and more than once before the process ends, which gives all of it back anyway
