"""Trouble at one call to a target after the other, and somebody who changes their mind before the next try.

What a process was about when it died is tried in `test_crash_points.py`.
"""

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import count, product
from typing import Any

import pytest
from simulation.moments import CONSENT
from simulation.targets import TARGETS
from simulation.truth import faults
from simulation.world import World

from synccore._plugins import load_plugins
from synccore.testing import Fault

#: Every so many of all meetings of a call, a trouble and a change; every one at night.
STEP = 1 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 5

TROUBLES: Mapping[str, Callable[..., Fault]] = {
    "busy": lambda when: Fault.status(429, headers={"Retry-After": "60"}, when=when),
    "lost": lambda when: Fault.commit_then_drop(when=when),
    "refused": lambda when: Fault.status(503, when=when),
}


def _moves(world: World, number: int) -> None:
    """To an address that nobody had, as they say no to mail."""
    world.given_up[world.shop.customers[number]["email"]] = number
    meta = [{"key": CONSENT, "value": "no"}]
    world.shop.edit_customer(number, email=world.new_address(), meta_data=meta)


def _moves_on(world: World, number: int) -> None:
    world.given_up[world.shop.customers[number]["email"]] = number
    world.shop.edit_customer(number, email=world.new_address(), first_name="Moved")


def _says(world: World, number: int, word: str) -> None:
    world.shop.edit_customer(number, meta_data=[{"key": CONSENT, "value": word}])


def _lives_nowhere(world: World, number: int) -> None:
    nowhere = dict.fromkeys(("phone", "address_1", "city", "postcode", "country"), "")
    world.shop.edit_customer(number, billing=nowhere)


CHANGES: tuple[Callable[[World, int], None], ...] = (
    lambda world, number: world.delete(number),
    _moves,
    _moves_on,
    lambda world, number: _says(world, number, "no"),
    lambda world, number: _says(world, number, "yes"),
    _lives_nowhere,
)


class _Nth:
    """Whether a call is the n-th from now on, and whether there was one."""

    def __init__(self, n: int) -> None:
        self.left, self.met = n, False

    def __call__(self, request: Any) -> bool:
        self.left -= 1
        self.met = self.met or self.left < 0
        return self.left == -1


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(environ={})


def somebody(world: World, word: str) -> int:
    """An account that is about to be delivered."""
    where = {"address_1": "Weg 3", "city": "Berlin", "postcode": "10115", "country": "DE"}
    email = world.new_address()
    phone = f"+4930901821{world.people:03}"
    meta = [{"key": CONSENT, "value": word}] if word else []
    names = {"first_name": "Ada", "last_name": f"Nr{world.people}"}
    return world.shop.add_customer(email, **names, billing={**where, "phone": phone}, meta_data=meta)


@pytest.mark.parametrize("known", [False, True], ids=["who is new", "who is there"])
@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_who_changes_after_trouble_with_any_call_is_there_as_they_are(plugins, tmp_path, target, trouble, known):
    with World(tmp_path, 1, plugins, targets=[target]) as world:
        tried = 0
        for moment in count():
            met = False
            for place, (change, word) in enumerate(product(CHANGES, ("yes", "no"))):
                if (moment * 2 * len(CHANGES) + place + len(trouble)) % STEP:
                    continue
                number = somebody(world, word)
                if known:
                    world.rest()
                    _says(world, number, "no" if word == "yes" else "yes")
                    world.shop.edit_customer(number, first_name="Bea")
                world.listen()
                nth = _Nth(moment)
                world.targets[target.name].server.fail_next(TROUBLES[trouble](when=nth))
                world.shop.run_queue()
                world.turn()
                change(world, number)
                world.listen()
                world.shop.run_queue()
                world.rest()
                world.clock.advance(
                    timedelta(minutes=2)
                )  # a quota that was spent is there again, for the questions below
                assert faults(world) == [], f"{change} from {word} after call {moment}"
                met, tried = met or nth.met, tried + 1
            if not met and moment > 1:
                break
        assert tried * STEP > 2 * len(CHANGES), "nothing was enumerated"
