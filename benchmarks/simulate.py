"""Lives of the whole product from seeds: `uv run python benchmarks/simulate.py --seeds 200 [--first N] [--shrink]`.

Prints the seeds that fail with what was wrong; `--shrink` lives each again with fewer steps and prints what is left.
"""

import logging
import sys
from pathlib import Path

import click
import structlog

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from simulation.lives import draw, live, shrink

from synccore._plugins import load_plugins


@click.command()
@click.option("--seeds", default=200, help="How many.")
@click.option("--first", default=0, help="The first of them.")
@click.option("--shrink", "shrinking", is_flag=True, help="Find the fewest steps that fail.")
def main(seeds: int, first: int, shrinking: bool) -> None:
    """Live, and say what was wrong."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    plugins, failed = load_plugins(environ={}), 0
    for seed in range(first, first + seeds):
        faults = live(seed, draw(seed), plugins)
        if not faults:
            continue
        failed += 1
        print(f"seed {seed}", *faults, sep="\n  ")
        if shrinking:
            fewest = shrink(seed, draw(seed), plugins)
            print("  fewest steps:", *fewest, *live(seed, fewest, plugins), sep="\n    ")
    print(f"{seeds} seeds, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
