"""What the shop and the vendors say, with one place in it changed to something that nobody means.

The door must take or refuse it in words, and no answer may meet a bug; in the end every target is as the shop is.
"""

import base64
import hashlib
import hmac
import json
import os
from random import Random
from typing import Any

import pytest
from attrs import evolve
from simulation import buying
from simulation.targets import TARGETS
from simulation.truth import faults
from simulation.world import World

from synccore._plugins import load_plugins
from synccore.testing import Reply

ODD = (
    None,
    True,
    0,
    -1,
    10**30,
    1e308,
    "",
    " ",
    "0000-00-00T00:00:00",
    "x" * 70_000,
    "\ud83d",
    "\x00",
    [],
    [[]],
    {},
    {"id": []},
)
#: Webhooks and answers that are changed: ten times as many at night.
TIMES = 300 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 30


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(environ={})


def changed(value: Any, luck: Random) -> Any:
    """A copy with one place taken out, or with something else there."""
    if isinstance(value, dict) and value and luck.random() < 0.9:
        name = luck.choice(list(value))
        rest = {k: v for k, v in value.items() if k != name}
        return rest if luck.random() < 0.15 else {**value, name: changed(value[name], luck)}
    if isinstance(value, list) and value and luck.random() < 0.9:
        at = luck.randrange(len(value))
        return [*value[:at], changed(value[at], luck), *value[at + 1 :]]
    return luck.choice(ODD)


def bugs(world: World) -> list[str]:
    rows = world.store.deliveries(limit=None)
    return [f"{row.sink} {row.entity} {row.key}: {row.error}" for row in rows if row.error_kind == "bug"]


def test_a_signed_webhook_with_anything_in_it_is_taken_or_refused_and_changes_nothing_for_long(plugins, tmp_path):
    with World(tmp_path, 1, plugins) as world:
        luck = Random(7)
        secret = world.app.vault("shop").get("webhook_secret") or ""
        world.network.withheld = held = []
        for _ in range(3):
            world.register(luck)
        buying.order(world, luck)
        buying.subscribe(world, luck)
        buying.renew(world, luck)
        world.shop.run_queue()
        world.network.withheld = None
        world.listen()
        assert len({request.headers["x-wc-webhook-topic"] for request in held}) > 2
        for _ in range(TIMES):
            request = luck.choice(held)
            body = json.dumps(changed(json.loads(request.body), luck)).encode()
            signature = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()
            headers = {**request.headers, "x-wc-webhook-signature": signature}
            assert world.receive(evolve(request, body=body, headers=headers)) in (200, 400)
            world.turn()
        assert bugs(world) == []
        world.rest()
        assert faults(world) == []


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_no_answer_of_a_vendor_is_a_bug(plugins, tmp_path, target):
    with World(tmp_path, 1, plugins, targets=[target]) as world:
        luck, server = Random(target.name), world.targets[target.name].server
        handle, left = server.handle, [TIMES]

        def odd(request: Any) -> Reply:
            reply = handle(request)
            if not isinstance(reply.body, (dict, list)) or left[0] <= 0 or luck.random() < 0.6:
                return reply
            left[0] -= 1
            return evolve(reply, body=changed(reply.body, luck))

        server.handle = odd
        for _ in range(TIMES // 4):
            world.register(luck)
            world._edit(luck)
            world.shop.run_queue()
            world.turn()
            world._pass(luck)
            assert bugs(world) == []
            assert world.store.lane(target.name).reason is None or "Error: " not in world.store.lane(target.name).reason
        assert left[0] < TIMES, "nothing was changed"
