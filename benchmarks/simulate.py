"""Lives of the whole product: `uv run python benchmarks/simulate.py --seeds 200 [--first N] [--seen] [--shrink]`.

As many at a time as there are processors. Prints the seeds that fail with what was wrong; `--shrink` lives each again
with fewer steps and prints what is left.
"""

import gc
import logging
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import click
import structlog

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from simulation.lives import SEEN, draw, live, shrink

from synccore._plugins import Plugins, load_plugins


@cache
def _plugins() -> Plugins:
    found = load_plugins(environ={})
    gc.freeze()  # what is there by now stays: nobody need look for garbage in it in each of thousands of lives
    return found


def lived(seed: int, *, shrinking: bool) -> Sequence[str]:
    """What was wrong at the end of a life, as lines."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        faults = live(seed, draw(seed), _plugins())
    except KeyboardInterrupt as death:
        # Here it would end the process that counts: a death that nobody took for the end of its process.
        return ["a death came out", *_frames(death)]
    except Exception as error:  # noqa: BLE001  the lives that follow are lived all the same
        return [f"{type(error).__name__}: {error}", *_frames(error)]
    if not faults or not shrinking:
        return faults
    fewest = shrink(seed, draw(seed), _plugins())
    return [*faults, "fewest steps:", *(f"  {line}" for line in (*fewest, *live(seed, fewest, _plugins())))]


def _frames(error: BaseException) -> list[str]:
    return [f"  {frame}" for frame in traceback.format_tb(error.__traceback__)[-6:]]


@click.command()
@click.option("--seeds", default=200, help="How many.")
@click.option("--first", default=0, help="The first of them.")
@click.option("--seen", is_flag=True, help="Also those in which faults were seen.")
@click.option("--shrink", "shrinking", is_flag=True, help="Find the fewest steps that fail.")
def main(seeds: int, first: int, seen: bool, shrinking: bool) -> None:
    """Live, and say what was wrong."""
    failed = 0
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        chosen = sorted({*range(first, first + seeds), *(SEEN if seen else ())})
        for seed, faults in zip(chosen, pool.map(partial(lived, shrinking=shrinking), chosen), strict=True):
            if faults:
                failed += 1
                print(f"seed {seed}", *faults, sep="\n  ", flush=True)
    print(f"{len(chosen)} seeds, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
