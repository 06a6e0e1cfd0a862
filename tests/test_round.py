"""Addresses that go round: accounts exchange them before any of them is delivered, and all are there afterwards."""

from datetime import timedelta

import pytest
from simulation.moments import CONSENT
from simulation.targets import Adopting
from simulation.truth import faults
from simulation.world import ALL_TARGETS, World

from synccore._plugins import load_plugins
from synccore._verbs.verify import verify

TARGETS = {**{kind.name: kind for kind in ALL_TARGETS}, Adopting.name: Adopting}


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(environ={})


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("target", TARGETS)
def test_accounts_that_exchange_their_addresses_are_all_there_as_they_are(plugins, tmp_path, target, size):
    with World(tmp_path, 1, plugins, [TARGETS[target]]) as world:
        numbers = sorted(world.accounts())[:size]
        for at, number in enumerate(numbers):
            word = [{"key": CONSENT, "value": "yes"}] if at == 0 else []
            phone = f"+4930901820{at:02}" if at != 1 else ""
            world.shop.edit_customer(number, billing={"phone": phone}, meta_data=word)
        world.listen()
        world.rest()
        assert faults(world) == []
        emails = [world.shop.customers[number]["email"] for number in numbers]
        for number in numbers:
            world.shop.edit_customer(number, email=f"between{number}@shop.test")
        for number, email in zip(numbers, emails[1:] + emails[:1], strict=True):
            world.shop.edit_customer(number, email=email)
        world.listen()
        world.clock.advance(timedelta(minutes=1))
        world.rest()
        assert faults(world) == []
        said = {"key": CONSENT, "value": "yes"}.items()
        yes = {c["email"] for c in world.accounts().values() if any(said <= row.items() for row in c["meta_data"])}
        assert world.targets[TARGETS[target].name].mailed() <= yes, "somebody has another one's yes"
        proofs = [verify(world.app, route) for route in world.app.routes]
        assert all(proof.ok for proof in proofs), "somebody was delivered without their number"
