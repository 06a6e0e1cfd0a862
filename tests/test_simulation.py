"""Lives of the whole product (see `simulation`); `benchmarks/simulate.py` lives many more."""

import pytest
from simulation.lives import draw, live

from synccore._plugins import load_plugins


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(environ={})


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_each_target_ends_as_the_shop_is(plugins, seed):
    assert live(seed, draw(seed), plugins) == []


def test_a_life_is_the_same_each_time():
    assert draw(3) == draw(3) != draw(4)
