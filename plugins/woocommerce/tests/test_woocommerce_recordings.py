"""The plugin against exchanges and deliveries recorded from a real shop."""

import json
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from woocommerce_recorded import DELIVERIES, exchange, needs_recordings

from synccore.errors import SynccoreError
from synccore.testing import FakeContext
from synccore.types import Change, WebhookRequest
from synccore_woocommerce import mapping
from synccore_woocommerce.account import Keys
from synccore_woocommerce.changes import ZONE, Translator
from synccore_woocommerce.config import Config
from synccore_woocommerce.signing import sign
from synccore_woocommerce.webhooks import Receiver

pytestmark = needs_recordings

# -- one by one


def hooks():
    for event in DELIVERIES["events"]:
        for delivery in event["deliveries"]:
            headers = {name.lower(): value for name, value in delivery["headers"]}
            yield (
                event["trigger"],
                WebhookRequest(method="POST", path="/hooks/shop", headers=headers, body=delivery["body"].encode()),
            )


def receiver() -> Receiver:
    context = FakeContext("shop", "woocommerce")
    context.vault.put("webhook_secret", DELIVERIES["secret_of_all_webhooks"])
    context.state().put({ZONE: "America/New_York"})
    config = Config(url="http://127.0.0.1:8080", entities=("customer", "order", "subscription", "membership"))
    return Receiver(Translator(config, context.state(), context.clock), Keys(config, context), config, context)


def test_all_46_recorded_signatures_verify():
    signed = [request for _, request in hooks() if "x-wc-webhook-signature" in request.headers]
    assert len(signed) == 46
    ears = receiver()
    for request in signed:
        ears.receive(request)
        tampered = WebhookRequest(
            method="POST", path=request.path, headers=request.headers, body=request.body.replace(b"{", b"{ ", 1)
        )
        with pytest.raises(SynccoreError):
            ears.receive(tampered)


def test_what_each_recorded_delivery_means():
    ears = receiver()
    told: dict[str, list[tuple[str, str]]] = {}
    for trigger, request in hooks():
        changes = ears.receive(request)
        told.setdefault(trigger.split(":")[0], []).extend((c.entity, c.op) for c in changes)
    assert told["webhook created over REST"] == []
    assert told["customer created over REST"] == [("customer", "upsert")] * 2
    assert told["a WordPress user with role editor is made in wp-admin"] == []
    assert told["guest checkout"] == [("customer", "upsert"), ("order", "upsert")] * 2
    assert told["a checkout that fails"] == []
    assert told["order to the trash"] == [("order", "touch")]
    assert told["order restored"] == [("order", "upsert")]
    assert told["customer made and deleted before the queue ran"] == [("customer", "touch")]
    assert told["user with role subscriber made"] == [("customer", "touch")], "it has no date: it is read again"
    assert told["renewal order made and paid"] == [("order", "touch")] * 2 + [("subscription", "touch")]
    assert told["member paused"] == [("membership", "touch")]
    assert told["plan renamed"] == []


def test_the_recorded_echo_of_a_write_back_changes_nothing():
    before = exchange("customers", "create")["response"]["json"]
    after = exchange("customers", "write back")["response"]["json"]
    one, two = (mapping.customer(r, shop_url="https://shop.test") for r in (before, after))
    assert one.meta == two.meta == {"marketing_opt_in": "1"}
    assert one.updated_at != two.updated_at


def test_recorded_customers_and_orders_translate():
    juergen = exchange("customers", "non-ASCII")["response"]["json"][0]
    person = mapping.customer(juergen, shop_url="https://shop.test")
    assert (person.name, person.role, person.billing.state) == ("Jürgen Müller-Lüdenscheidt", "subscriber", "NW")
    order = mapping.order(
        exchange("orders", "an order from")["response"]["json"], owner=None, shop_url="https://s.test"
    )
    assert (str(order.total), order.lines[0].sku, order.created_via) == ("19.90", "TEE", "store-api")


@pytest.mark.parametrize("note", ["http OAuth", "OAuth PUT", "nonce used twice", "timestamp"])
def test_recorded_oauth_signatures_are_ours(note):
    request = exchange("auth", note)["request"]
    parts = urlsplit(request["target"])
    params = parse_qsl(parts.query, keep_blank_values=True)
    given = dict(params)["oauth_signature"]
    rest = [(n, v) for n, v in params if n != "oauth_signature"]
    assert sign(request["method"], "http://127.0.0.1:8080" + parts.path, rest, "cs_" + "0b" * 20) == given


# -- the recorded deliveries, in any order


class Replayed:
    """The shop as the recordings leave it, for following up hints: the newest body of each record, or gone."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], dict[str, Any] | None] = {}
        for _, request in hooks():
            if "x-wc-webhook-topic" not in request.headers:
                continue
            resource, _, event = request.headers["x-wc-webhook-topic"].partition(".")
            body = json.loads(request.body)
            if "id" in body:
                self.records[resource, str(body["id"])] = None if event == "deleted" else body

    def fetch(self, translator: Translator, entity: str, number: str) -> list[Change]:
        resource = {"membership": "user_membership"}.get(entity, entity)
        record = self.records.get((resource, number))
        if record is None:
            return [Change(entity=entity, key=number, op="delete")]
        if entity == "customer":
            return translator.customers([record])
        if entity == "subscription":
            return translator.subscriptions([record])
        return translator.memberships([record]) if entity == "membership" else translator.orders([record])


def taken_in(requests: list[WebhookRequest]) -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    """What core ends with: the state of each record by core's rules (older versions and what was deleted since lose),
    and each fact once.
    """
    context = FakeContext("shop", "woocommerce")
    context.vault.put("webhook_secret", DELIVERIES["secret_of_all_webhooks"])
    config = Config(url="http://127.0.0.1:8080", entities=("customer", "order", "subscription", "membership"))
    context.state().put({ZONE: "America/New_York"})
    translator = Translator(config, context.state(), context.clock)
    # Everybody is known to the shop: buyers are customers, as the recorded sweep before has shown.
    for number in ("5", "8", "32", "35"):
        translator.customers([{"id": number, "email": f"p{number}@shop.test", "role": "customer"}])
    ears, shop = Receiver(translator, Keys(config, context), config, context), Replayed()
    states: dict[tuple[str, str], tuple[int, Any]] = {}
    told: dict[str, Any] = {}
    for request in requests:
        for change in ears.receive(request):
            assert isinstance(change, Change)
            found = [change] if change.op != "touch" else shop.fetch(translator, change.entity, change.key)
            for one in found:
                place = (one.entity, one.key)
                if one.op == "event":
                    told.setdefault(str(one.event_id), one.data)
                    continue
                known, _ = states.get(place, (-1, None))
                if one.op == "delete":
                    states[place] = (max(known, 2**62) if one.version is None else one.version, None)
                elif one.version is None or one.version >= known:
                    states[place] = (one.version or known, evolve(one.data, raw={}))
    return {place: data for place, (_, data) in states.items()}, told


RESOURCES = {"customer", "order", "subscription", "user_membership", "membership_plan"}


@cache
def _as_recorded() -> tuple[list[WebhookRequest], dict[tuple[str, str], Any], dict[str, Any]]:
    """The deliveries, and what they come to in the order they were recorded in."""
    requests = [request for _, request in hooks() if "x-wc-webhook-topic" in request.headers]
    return requests, *taken_in(requests)


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 45), max_size=20))
def test_recorded_deliveries_in_any_order_end_in_the_newest_state_and_each_fact_once(random, again):
    requests, right, facts = _as_recorded()
    assert {r.headers["x-wc-webhook-topic"].partition(".")[0] for r in requests} == RESOURCES
    shuffled = [*requests, *(requests[n] for n in again)]
    random.shuffle(shuffled)
    states, told = taken_in(shuffled)
    assert states == right
    assert right["order", "89"] is not None, "it came back from the trash"
    assert {k: evolve(v, raw={}) for k, v in told.items()} == {k: evolve(v, raw={}) for k, v in facts.items()}
    assert len(facts) == 1
