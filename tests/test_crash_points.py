"""A process that dies at one statement after the other, with each target: before it, and right after each commit."""

import os
from itertools import count
from random import Random

import pytest
from simulation.ledger import Ledger
from simulation.targets import TARGETS
from simulation.truth import faults
from simulation.world import World

from synccore._plugins import load_plugins

#: Every so many statements with each change; every one at night.
STEP = 1 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 30


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(environ={})


@pytest.mark.parametrize("target", [*TARGETS, Ledger], ids=lambda target: target.name)
def test_a_death_at_any_statement_loses_and_doubles_nobody(plugins, tmp_path, target):
    """Somebody registers; their webhooks, what is read because of them, and the delivery end at the n-th statement."""
    with World(tmp_path, 1, plugins, targets=[target]) as world:
        for moment in count(0, STEP):
            deaths = world.deaths
            world.register(Random(moment))
            world.listen()
            world.store.fuse = moment
            world.shop.run_queue()
            world.turn()
            world.store.fuse = None
            if world.deaths == deaths:
                break
            world.turn()
        assert world.deaths * STEP > 50, "nothing was enumerated"
        world.rest()
        assert faults(world) == []
