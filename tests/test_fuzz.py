"""What the shop and the vendors say, with one place in it changed to something that nobody means.

The door must take or refuse it in words, and no answer may meet a bug; in the end every target is as the shop is.
"""

import base64
import hashlib
import hmac
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from random import Random
from traceback import format_exception
from typing import Any
from unittest.mock import patch

import pytest
from attrs import evolve
from hypothesis import given, note, settings
from hypothesis import strategies as st
from scratch import in_memory
from simulation import buying
from simulation.mutants import Cut, answers, messages
from simulation.orgs import Busy, Keyless, Selling
from simulation.targets import Google, Klaviyo, Salesforce
from simulation.truth import faults
from simulation.world import ALL_TARGETS, World

from synccore._delivery import policy, recognition
from synccore._plugins import Plugins, load_plugins
from synccore._verbs.check import check
from synccore._verbs.verify import verify
from synccore.errors import SynccoreError
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


# -- the shop and the vendors, where they are asked


class Bulky(Klaviyo):
    """Two records are a job."""

    def config(self) -> Mapping[str, Any]:
        return {**super().config(), "bulk_threshold": 2}


#: What is asked differs by what is there: jobs, orders with their products, people without a key.
ASKED = {
    "marketing": (Klaviyo, Bulky),
    "contacts": (Google,),
    "crm": (Salesforce, Busy),
    "deals": (Selling, Keyless),
}
STEPS: tuple[Callable[[World, Random], object], ...] = (
    *(World.register, World.register, World._edit, World._edit, World._consent, World._leave, World._owner),
    *(World._forget, buying.order, buying.renew, buying.subscribe),
    lambda world, luck: world._compare(),
    lambda world, luck: check(world.app),
)


class Answers:
    """The n-th answers since the last one that was changed are changed."""

    def __init__(self, server: Any, changes: list[tuple[int, Any]]) -> None:
        self._handle, self._left, self._wait = server.handle, list(changes), 0
        server.handle = self

    def __call__(self, request: Any) -> Reply:
        reply = self._handle(request)
        table = str(reply.headers.get("Content-Type", "")).startswith("text/csv")
        if not self._left or not (table or isinstance(reply.body, dict | list)):
            return reply
        self._wait += 1
        number, change = self._left[0]
        if self._wait <= number:
            return reply
        self._left.pop(0)
        self._wait = 0
        whole = reply.body.decode() if table else reply.body
        body = change.of(reply.body) if table and isinstance(change, Cut) else change.written(whole)
        note(f"{request.method} {request.path}: {body[:2_000]!r}")
        return evolve(reply, body=body, headers={"content-type": "application/json", **reply.headers})


@contextmanager
def no_bug() -> Iterator[None]:
    """Whatever a plugin raises, wherever core bears it: none of it is what core calls a bug."""
    told, describe = list[str](), policy.describe_bug

    def listen(error: BaseException) -> str:
        told.append("".join(format_exception(error)))
        return describe(error)

    with patch.object(policy, "describe_bug", listen), patch.object(recognition, "describe_bug", listen):
        yield
    assert told == []


def live_on(world: World, luck: Random) -> None:
    """Something happens, and everybody is asked."""
    for _ in range(8):
        with no_bug(), suppress(SynccoreError):
            luck.choice(STEPS)(world, luck)
        for route in world.app.routes:
            with no_bug(), suppress(SynccoreError):
                verify(world.app, route, repair=True)
        world.shop.run_queue()
        with no_bug():
            world.turn()
        world._pass(luck)


#: Which answer, and what is done to it.
told = st.lists(st.tuples(st.integers(0, 2), answers), min_size=12, max_size=40)


@pytest.mark.parametrize("kind", ASKED)
@settings(max_examples=max(EXAMPLES * 2 // 3, 1))
@given(changes=told, luck=st.integers(0, 99), data=st.data())
def test_nothing_in_an_answers_place_is_a_bug(kind, changes, luck, data):
    """Of another kind, missing, somewhere else, cut off, twice, or no text at all."""
    target = data.draw(st.sampled_from(ASKED[kind]))
    with a_world([target]) as world:
        Answers(world.targets[target.name].server, changes)
        live_on(world, Random(luck))
        assert bugs(world) == []


@settings(max_examples=max(EXAMPLES * 2 // 3, 1))
@given(changes=told, luck=st.integers(0, 99))
def test_nothing_in_place_of_the_shops_answer_is_a_bug(changes, luck):
    with a_world([Klaviyo]) as world:
        Answers(world.shop, changes)
        live_on(world, Random(luck))
        assert bugs(world) == []
