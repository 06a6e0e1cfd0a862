"""What the shop and the vendors say, with one place in it changed to something that nobody means.

The door must take or refuse it in words, and no answer may meet a bug; in the end every target is as the shop is.
"""

import base64
import hashlib
import hmac
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, note, settings
from hypothesis import strategies as st
from scratch import in_memory
from simulation import buying
from simulation.mutants import cuts, messages
from simulation.targets import TARGETS
from simulation.truth import faults
from simulation.world import ALL_TARGETS, World

from synccore._plugins import Plugins, load_plugins
from synccore.testing import Reply
from synccore.types import WebhookRequest

#: A world for each is a hundred times as dear as what other properties are tried with.
EXAMPLES = max(settings().max_examples // 8, 1)
#: As the world's configuration has it.
SECRET = "signed"
#: Of a real shop, where they are beside this repository.
RECORDED = Path(__file__).resolve().parents[2] / "shared/reference/recorded/woocommerce/webhook_deliveries.json"


@cache
def plugins() -> Plugins:
    return load_plugins(environ={})


@contextmanager
def a_world(targets: Any = ALL_TARGETS) -> Iterator[World]:
    with (
        tempfile.TemporaryDirectory(prefix="fuzz-", dir=in_memory()) as folder,
        World(Path(folder), 1, plugins(), targets) as world,
    ):
        yield world


def bugs(world: World) -> list[str]:
    rows = world.store.deliveries(limit=None)
    return [f"{row.sink} {row.entity} {row.key}: {row.error}" for row in rows if row.error_kind == "bug"]


# -- the door


def sent(world: World) -> list[WebhookRequest]:
    """What the shop says of people, orders and subscriptions that come, change, go and come back; nobody heard it."""
    world.network.withheld = held = []
    shop, luck = world.shop, Random(7)
    for _ in range(3):
        world.register(luck)
    ada, ben, *_ = sorted(world.accounts())
    shop.edit_customer(ada, first_name="Ada", billing={"phone": "+493090182099", "city": "Bonn", "country": "DE"})
    shop.subscribe(ben)
    billing = {"email": shop.customers[ada]["email"], "first_name": "Ada"}
    order = shop.place_order(customer_id=ada, status="processing", billing=billing)
    for _ in range(3):
        buying.order(world, luck)
    shop.run_queue()
    world.clock.advance(timedelta(seconds=1))
    buying.renew(world, luck)
    shop.trash_order(order)
    shop.run_queue()
    shop.restore_order(order)
    world.delete(max(world.accounts()))
    shop.run_queue()
    world.network.withheld = None
    world.listen()
    return held


@cache
def recorded() -> list[tuple[Mapping[str, str], Any]]:
    events = json.loads(RECORDED.read_text(encoding="utf-8"))["events"] if RECORDED.is_file() else []
    told = [delivery for event in events for delivery in event["deliveries"]]
    return [
        ({name.lower(): value for name, value in delivery["headers"]}, json.loads(delivery["body"]))
        for delivery in told
        if "X-WC-Webhook-Topic" in dict(delivery["headers"])
    ]


def signed(request: WebhookRequest, body: bytes) -> WebhookRequest:
    signature = base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha256).digest()).decode()
    return evolve(request, body=body, headers={**request.headers, "x-wc-webhook-signature": signature})


#: Which of the webhooks, and what is done to it.
door = st.tuples(st.integers(0, 200), messages)


def let_in(world: World, told: list[tuple[int, Any]], known: list[tuple[Mapping[str, str], Any]]) -> None:
    """Each of these changed as it says, one after the other."""
    for number, change in told:
        headers, message = known[number % len(known)]
        body = change.written(message)
        note(f"{headers['x-wc-webhook-topic']}: {body[:2_000]!r}")
        base = WebhookRequest(method="POST", path="/hooks/shop", headers=dict(headers), body=b"")
        assert world.receive(signed(base, body)) in (200, 400)
        world.turn()
        assert bugs(world) == []


@settings(max_examples=EXAMPLES)
@given(st.lists(door, min_size=1, max_size=12))
def test_a_signed_webhook_with_anything_in_it_is_taken_or_refused_and_changes_nothing_for_long(told):
    with a_world() as world:
        held = sent(world)
        known = [(request.headers, json.loads(request.body)) for request in held]
        assert len({headers["x-wc-webhook-topic"] for headers, _ in known}) > 5
        assert all(signed(request, request.body) == request for request in held), "nothing gets past the door"
        let_in(world, told, known)
        world.rest()
        # `status` names what could not be read, and is right; but not on what the plugin failed.
        named = [fault for fault in faults(world) if "could not be read" in fault and "failed on it" not in fault]
        assert [fault for fault in faults(world) if fault not in named] == []


@pytest.mark.skipif(not recorded(), reason="the recordings of a real shop are not beside this repository")
@settings(max_examples=EXAMPLES)
@given(st.lists(door, min_size=1, max_size=12))
def test_a_recorded_webhook_with_anything_in_it_is_taken_or_refused(told):
    """It tells of another shop: who is there stays as this one says."""
    with a_world() as world:
        let_in(world, told, recorded())
        world.rest()
        assert bugs(world) == []


# -- the vendors: hypothesis changes the text; within a record luck does, until plugins read each part of an answer as
# they read what the shop sends

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
#: Answers that are changed: ten times as many at night.
TIMES = 300 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 15


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


class Answers:
    """The n-th answers since the last one that was changed are changed."""

    def __init__(self, server: Any, changes: list[tuple[int, Any]]) -> None:
        self._handle, self._left, self._wait = server.handle, list(changes), 0
        server.handle = self

    def __call__(self, request: Any) -> Reply:
        reply = self._handle(request)
        if not self._left or not isinstance(reply.body, dict | list):
            return reply
        self._wait += 1
        number, change = self._left[0]
        if self._wait <= number:
            return reply
        self._left.pop(0)
        self._wait = 0
        body = change.written(reply.body)
        note(f"{request.method} {request.path}: {body[:2_000]!r}")
        return evolve(reply, body=body, headers={"content-type": "application/json", **reply.headers})


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@settings(max_examples=EXAMPLES)
@given(changes=st.lists(st.tuples(st.integers(0, 4), cuts), min_size=1, max_size=12), luck=st.integers(0, 99))
def test_no_text_in_an_answers_place_is_a_bug(target, changes, luck):
    """Cut off, twice, no text at all, or with a name that is there already."""
    with a_world([target]) as world:
        luck = Random(luck)
        Answers(world.targets[target.name].server, changes)
        for _ in range(8):
            world.register(luck)
            world._edit(luck)
            world.shop.run_queue()
            world.turn()
            world._pass(luck)
            assert bugs(world) == []
            reason = world.store.lane(target.name).reason
            assert reason is None or "Error: " not in reason


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_no_answer_of_a_vendor_is_a_bug(target):
    with a_world([target]) as world:
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
