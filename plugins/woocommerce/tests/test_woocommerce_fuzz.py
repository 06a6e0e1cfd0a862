"""Every webhook a shop sends with anything in any place of it: taken or named as unreadable, never a bug.

The seeds are deliveries of the stand-in, of every topic, and those recorded from a real shop where they are beside
this repository. What is only a hint there is read again from the API: that record is changed just so.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from conftest import EVERYTHING, SECRET
from hypothesis import given
from hypothesis import strategies as st
from woocommerce_recorded import DELIVERIES

from synccore.store.codec import dump_entity, load_entity
from synccore.testing import FakeClock, FakeContext
from synccore.types import Change, Unreadable, WebhookRequest
from synccore_woocommerce.account import Keys
from synccore_woocommerce.changes import ZONE, Translator
from synccore_woocommerce.config import Config
from synccore_woocommerce.testing import FakeWooCommerce
from synccore_woocommerce.testing.webhooks import TOPICS
from synccore_woocommerce.webhooks import Receiver

#: What stands for a place that is taken out.
GONE = object()
ODD = st.sampled_from(
    [
        *(GONE, None, True, 0, -1, 10**30, 1e308, 0.5),
        *("", " ", "0", "\ud83d", "\x00", "&#0;&#x110000;", "0000-00-00T00:00:00", "x" * 9_000, "wc-", "-0.00"),
        *([], [[]], {}, {"0": {}, "2": []}, {"id": []}),
    ]
)
Place = tuple[str | int, ...]


def played() -> Iterator[tuple[str, Any]]:
    """Deliveries of the stand-in."""
    with FakeWooCommerce(clock=FakeClock()) as shop:
        shop.hooks.post = lambda *_: 200
        for topic in (f"{resource}.{event}" for resource, events in TOPICS.items() for event in events):
            shop.webhook(topic, "https://hooks.shop.test/hooks/shop", SECRET)
        ada = shop.add_customer("ada@shop.test", first_name="Ada", meta_data=[{"key": "vat", "value": "DE1"}])
        order = shop.place_order(customer_id=ada)
        guest = shop.place_order(billing={"email": "gus@shop.test", "country": "DE", "state": "DE-NW"})
        plan = shop.add_plan("Gold", "gold")
        member, subscription = shop.add_member(ada, plan), shop.subscribe(ada)
        shop.run_queue()
        shop.edit_customer(ada, billing={"phone": "1"})
        shop.refund(order, "1.00")
        shop.renew(subscription, paid=False, reason="declined")
        shop.set_member_status(member, "paused")
        shop.rename_plan(plan, "Gold Club")
        shop.run_queue()
        shop.trash_order(guest)
        shop.delete_member(member)
        shop.run_queue()
        for topic, _, body, _ in shop.hooks.sent:
            yield topic, json.loads(body)


@cache
def seeds() -> list[tuple[str, Any]]:
    recorded = [
        (dict(delivery["headers"])["X-WC-Webhook-Topic"], json.loads(delivery["body"]))
        for event in DELIVERIES["events"]
        for delivery in event["deliveries"]
        if "X-WC-Webhook-Topic" in dict(delivery["headers"])
    ]
    return [*played(), *recorded]


def places(value: Any, here: Place = ()) -> Iterator[Place]:
    yield here
    within = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in within:
        yield from places(inner, (*here, name))


def with_changed(value: Any, place: Place, new: Any) -> Any:
    """A copy with something else in one place."""
    if not place:
        return {} if new is GONE else new
    copy = value.copy()
    if new is GONE and len(place) == 1:
        del copy[place[0]]
    else:
        copy[place[0]] = with_changed(copy[place[0]], place[1:], new)
    return copy


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[str, Any]:
    """A delivery with one to three places changed."""
    topic, body = draw(st.sampled_from(seeds()))
    for _ in range(draw(st.integers(1, 3))):
        body = with_changed(body, draw(st.sampled_from(list(places(body)))), draw(ODD))
    return topic, body


def test_the_seeds_are_of_every_resource():
    assert {topic.partition(".")[0] for topic, _ in seeds()} >= set(TOPICS) - {"coupon", "product"}


@given(deliveries(), st.booleans())
def test_a_signed_webhook_with_anything_in_it_is_taken_or_named(delivery, zone_known):
    topic, body = delivery
    context = FakeContext("shop", "woocommerce")
    if zone_known:
        context.state().put({ZONE: "America/New_York"})
    config = Config(url="https://shop.test", entities=EVERYTHING)
    translator = Translator(config, context.state(), context.clock)
    context.vault.put("webhook_secret", SECRET)
    raw = json.dumps(body).encode()
    signature = base64.b64encode(hmac.new(SECRET.encode(), raw, hashlib.sha256).digest()).decode()
    headers = {"x-wc-webhook-topic": topic, "x-wc-webhook-signature": signature}
    request = WebhookRequest(method="POST", path="/hooks/shop", headers=headers, body=raw)
    told = list(Receiver(translator, Keys(config, context), config, context).receive(request))
    odd: list[Unreadable] = []
    records = [body] if isinstance(body, dict) else []
    told += translator.customers(records, odd.append) if topic.startswith("customer") else []
    told += translator.orders(records, None, odd.append) if topic.startswith("order") else []
    told += translator.subscriptions(records, odd.append) if topic.startswith("subscription") else []
    told += translator.memberships(records, odd.append) if topic.startswith("user_membership") else []
    for one in [*told, *odd]:
        if isinstance(one, Change) and one.data is not None:
            assert load_entity(one.entity, dump_entity(one.data)).key == one.key
        assert isinstance(one, Change) or "Error" not in one.reason, "named, but by no rule of ours"
