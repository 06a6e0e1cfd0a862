"""Webhooks as they arrive: authentic, and not to be taken at their word."""

import base64
import hashlib
import hmac
import json
from datetime import timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from synccore.entities import guest_key
from synccore.errors import SignatureError, Transient
from synccore.testing import Fault
from synccore.types import Unreadable, WebhookRequest

SECRET = "synccore-test-secret"


def delivery(topic, body, secret=SECRET, **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    signature = base64.b64encode(hmac.new(secret.encode(), raw, hashlib.sha256).digest()).decode()
    return WebhookRequest(
        method="POST",
        path="/hooks/shop",
        headers={
            "content-type": "application/json",
            "x-wc-webhook-topic": topic,
            "x-wc-webhook-signature": signature,
            **headers,
        },
        body=raw,
    )


def told(ears):
    return [(c.entity, c.op, c.key) for c in ears.take()]


# -- authenticity


def test_a_registration_arrives(listening, ears):
    ada = listening.add_customer("ada@shop.test", first_name="Ada")
    assert listening.run_queue() == 2
    changes = ears.take()
    assert {(c.entity, c.op, c.key) for c in changes} == {("customer", "upsert", str(ada))}
    assert changes[0].data.first_name == "Ada"
    assert changes[0].version == changes[1].version


@pytest.mark.parametrize("signature", ["", "not base64!", base64.b64encode(b"x" * 32).decode()])
def test_a_wrong_signature_is_refused(client, signature):
    request = delivery("customer.updated", {"id": 4, "role": "customer"})
    headers = {**request.headers, "x-wc-webhook-signature": signature}
    with pytest.raises(SignatureError):
        client.source.receive(evolve(request, headers=headers))


def test_no_signature_at_all_is_refused(client):
    request = delivery("customer.updated", {"id": 4, "role": "customer"})
    headers = {k: v for k, v in request.headers.items() if k != "x-wc-webhook-signature"}
    with pytest.raises(SignatureError):
        client.source.receive(evolve(request, headers=headers))


@given(st.binary(max_size=200), st.binary(min_size=1, max_size=20))
def test_the_raw_bytes_are_what_is_signed(body, extra):
    from synccore.testing import FakeContext
    from synccore_woocommerce.account import Keys
    from synccore_woocommerce.changes import Translator
    from synccore_woocommerce.config import Config
    from synccore_woocommerce.webhooks import Receiver

    context = FakeContext()
    context.vault.put("webhook_secret", SECRET)
    config = Config(url="https://shop.test")
    receiver = Receiver(Translator(config, context.state(), context.clock), Keys(config, context), config, context)
    receiver.receive(delivery("customer.updated", body))
    with pytest.raises(SignatureError):
        receiver.receive(evolve(delivery("customer.updated", body), body=body + extra))


def test_without_a_secret_nothing_is_believed(shop, make):
    client = make(shop, webhook_secret=None)
    with pytest.raises(SignatureError, match="run synccore connect"):
        client.source.receive(delivery("customer.updated", {"id": 4}, secret=""))


def test_deliveries_under_the_generated_secret_are_taken_after_one_was_configured(shop, client):
    client.context.vault.put("webhook_secret", "generated before")
    request = delivery("customer.deleted", {"id": 4}, secret="generated before")
    assert len(client.source.receive(request)) == 1


def test_the_ping_is_answered_and_says_nothing(shop, client, ears):
    with shop._lock:
        shop.hooks.create({"topic": "customer.created", "delivery_url": ears.hook_url, "secret": SECRET})
    assert [r.body for r in ears.received] == [b"webhook_id=1"]
    assert shop.hooks.unsettled == set(), "answered 200, the shop is content"
    assert ears.take() == []


def test_a_ping_with_webhook_headers_is_no_ping(client):
    request = WebhookRequest(
        method="POST", path="/", headers={"x-wc-webhook-topic": "order.updated"}, body=b"webhook_id=1"
    )
    with pytest.raises(SignatureError):
        client.source.receive(request)


# -- facts that bite


def test_several_changes_before_the_queue_runs_are_one_delivery(listening, ears):
    ada = listening.add_customer("ada@shop.test")
    listening.run_queue()
    ears.take()
    for phone in ("1", "2", "3"):
        listening.edit_customer(ada, billing={"phone": phone})
    assert listening.run_queue() == 1
    assert [c.data.phone for c in ears.take()] == ["3"]


def test_equal_delivery_ids_are_different_deliveries(listening, ears):
    people = [listening.add_customer(f"p{i}@shop.test") for i in range(3)]
    listening.run_queue()
    ids = [r.headers["x-wc-webhook-delivery-id"] for r in ears.received]
    assert len(set(ids)) < len(ids)
    assert {key for _, _, key in told(ears)} == {str(p) for p in people}


def test_an_error_object_is_never_taken_for_a_record(listening, ears, client):
    """Made and deleted before the queue ran: `created` carries a signed error without an id."""
    ada = listening.add_customer("ada@shop.test")
    listening.delete_customer(ada)
    listening.run_queue()
    assert [json.loads(r.body).get("code") for r in ears.received][:2] == ["wc_user_invalid_id"] * 2
    assert told(ears) == [("customer", "delete", str(ada))]
    assert client.context.state().get("webhook_refused") is None


def test_a_demoted_owner_is_shown_as_a_setup_error(listening, ears, client):
    ada = listening.add_customer("ada@shop.test")
    listening.run_queue()
    ears.take()
    updated = next(n for n, w in listening.hooks.all.items() if w["topic"] == "customer.updated")
    listening.hooks.demoted.add(updated)
    listening.edit_customer(ada)
    listening.run_queue()
    assert told(ears) == []
    messages = [f.message for f in client.source.check().findings]
    assert any("lost its rights" in m for m in messages)


def test_updated_before_created_is_all_the_same(listening, ears):
    ada = listening.add_customer("ada@shop.test")
    listening.run_queue()
    ears.take()
    number = listening.place_order(customer_id=ada, status="processing", created_via="checkout")
    listening.run_queue()
    topics = [r.headers["x-wc-webhook-topic"] for r in ears.received]
    assert topics.index("order.updated") < topics.index("order.created")
    orders = [c for c in ears.take() if c.entity == "order"]
    assert [(c.key, c.op) for c in orders] == [(str(number), "upsert")] * 2
    assert orders[0].data == orders[1].data


def test_versions_let_core_drop_what_is_older(listening, client, ears, clock):
    client.source.check()  # so that the shop's time zone is known
    ada = listening.add_customer("ada@shop.test")
    listening.run_queue()
    clock.advance(timedelta(seconds=1))
    listening.edit_customer(ada, first_name="Ada")
    listening.run_queue()
    first, *_, last = ears.take()
    assert last.version == first.version + 1000


def test_a_guest_checkout_brings_the_guest_and_the_order(listening, ears):
    billing = {"email": "Gast@shop.test", "first_name": "Gast"}
    number = listening.place_order(customer_id=0, status="processing", billing=billing, created_via="checkout")
    listening.run_queue()
    changes = ears.take()
    key = guest_key("gast@shop.test")
    assert [(c.entity, c.key) for c in changes] == [("customer", key), ("order", str(number))] * 2
    assert changes[1].owner.key == key


def test_an_unfinished_checkout_leaves_no_trace(listening, ears):
    listening.place_order(customer_id=0, status="checkout-draft", billing={"email": "secret@shop.test"})
    assert listening.run_queue() == 1
    assert ears.take() == []


def test_a_user_made_in_wp_admin_counts_by_role(listening, ears):
    listening.user("writer@shop.test", role="editor")
    sub = listening.user("sub@shop.test", role="subscriber")
    listening.run_queue()
    assert told(ears) == [("customer", "upsert", str(sub))]


def test_trash_restore_and_the_silence_of_a_hard_delete(listening, ears):
    number = listening.place_order(customer_id=0, status="completed")
    listening.run_queue()
    ears.take()
    listening.trash_order(number)
    listening.run_queue()
    assert told(ears) == [("order", "delete", str(number))]
    listening.restore_order(number)
    listening.run_queue()
    assert told(ears)[-1] == ("order", "upsert", str(number))
    listening.delete_order(number)
    assert listening.run_queue() == 0


def test_an_update_that_shows_a_trashed_order_is_a_deletion(client):
    body = {"id": 5, "status": "trash", "customer_id": 4, "date_modified_gmt": "2026-11-21T19:07:44"}
    (change,) = client.source.receive(delivery("order.updated", body))
    assert (change.op, change.key) == ("delete", "5")


def test_subscriptions_and_renewals(listening, ears):
    ada = listening.add_customer("ada@shop.test")
    box = listening.subscribe(ada)
    listening.run_queue()
    assert ("subscription", "upsert", str(box)) in told(ears)
    order = listening.renew(box)
    listening.run_queue()
    changes = ears.take()
    payments = {c.event_id for c in changes if c.entity == "payment"}
    assert payments == {f"{order}:paid"}
    listening.trash_subscription(box)
    listening.run_queue()
    assert set(told(ears)) == {("subscription", "delete", str(box))}


def test_a_failed_renewal_that_is_tried_again(listening, ears):
    box = listening.subscribe(listening.add_customer("ada@shop.test"))
    order = listening.renew(box, paid=False)
    listening.run_queue()
    for status in ("pending", "failed", "pending", "processing"):
        listening.edit_order(order, status=status)
        listening.run_queue()
    events = dict.fromkeys((c.event_id, c.data.succeeded, c.data.attempt) for c in ears.take() if c.entity == "payment")
    assert list(events) == [
        (f"{order}:failed:1", False, 1),
        (f"{order}:failed:2", False, 2),
        (f"{order}:paid", True, 3),
    ]


def test_members(listening, ears, client):
    plan = listening.add_plan("Gold Club", "gold-club")
    ada, ben = listening.add_customer("ada@shop.test"), listening.add_customer("ben@shop.test")
    client.all("membership")
    member = listening.add_member(ada, plan)
    listening.run_queue()
    change = ears.take()[-1]
    assert (change.entity, change.key, change.owner.key, change.data.plan_slug) == (
        "membership",
        str(member),
        str(ada),
        "gold-club",
    )
    listening.set_member_status(member, "paused")
    listening.run_queue()
    assert ears.take()[0].data.status == "paused"
    listening.set_member_status(member, "active")
    listening.transfer_member(member, ben)
    listening.run_queue()
    changes = ears.take()
    assert {c.owner.key for c in changes} == {str(ben)}
    assert changes[0].data.paused_at is None
    listening.delete_member(member)
    listening.run_queue()
    assert told(ears) == [("membership", "delete", str(member))]


def test_what_is_not_wanted_is_not_reported(shop, make):
    client = make(shop, entities=("customer",), guests=False)
    order = {"id": 9, "status": "completed", "customer_id": 4, "billing": {"email": "x@shop.test"}}
    assert client.source.receive(delivery("order.updated", order)) == []
    assert client.source.receive(delivery("order.deleted", {"id": 9})) == []
    assert client.source.receive(delivery("user_membership.deleted", {"id": 9})) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'"x"',
        b"{}",
        b'{"id":null}',
        b'{"id":"x"}',
        b"[" * 100_000,
        b'{"id":[4]}',
        b"\xff\x00",
    ],
)
def test_signed_nonsense_is_taken_and_named(client, body):
    """A refusal would count against the webhook; taken without a word, the change would be lost."""
    (odd,) = client.source.receive(delivery("customer.updated", body))
    assert isinstance(odd, Unreadable)
    assert (odd.entity, odd.key) == ("customer", None)
    assert odd.where.startswith("webhook customer.updated, delivery")
    assert odd.reason in ("its body is no JSON", "its body is no record with an id")


def test_a_record_that_cannot_be_read_is_named_by_its_number(client):
    client.source.check()
    body = {"id": 4, "role": "customer", "email": 12, "date_modified_gmt": "2026-11-21T19:07:44"}
    (odd,) = client.source.receive(delivery("customer.updated", body))
    assert (odd.entity, odd.key, odd.reason) == ("customer", "4", "its e-mail address is a number")


@pytest.mark.parametrize("topic", ["", "product.updated", "action.woocommerce_add_to_cart", "coupon.deleted"])
def test_other_topics_say_nothing(client, topic):
    assert client.source.receive(delivery(topic, {"id": 3})) == []


@pytest.mark.parametrize(
    "topic", ["customer.updated", "order.updated", "subscription.updated", "user_membership.updated"]
)
def test_an_id_alone_is_no_record_and_is_read(client, topic):
    (hint,) = client.source.receive(delivery(topic, {"id": 7}))
    assert (hint.op, hint.key, hint.data) == ("touch", "7", None)


@pytest.mark.parametrize("topic", ["customer.updated", "order.updated"])
def test_nothing_is_told_in_another_zones_days(shop, client, topic):
    """A shop that was never listed nor checked: its first webhook is read again, once its time zone is known."""
    entity = topic.partition(".")[0]
    number = shop.add_customer("ada@shop.test")
    order = shop.place_order(customer_id=0, billing={"email": "gus@shop.test"})
    number, kept = (number, shop.shop.customers) if entity == "customer" else (order, shop.shop.orders)
    request = delivery(topic, kept[number])
    (hint,) = client.source.receive(request)
    assert (hint.entity, hint.key, hint.op) == (entity, str(number), "touch")
    shop.fail_always(Fault.status(503, when=lambda r: r.path.rstrip("/") == "/wp-json"))
    with pytest.raises(Transient):
        client.source.fetch(entity, str(number))
    shop.clear_faults()
    assert client.source.fetch(entity, str(number)) is not None
    assert client.source.time_zone() == "America/New_York"
    assert {c.op for c in client.source.receive(request)} == {"upsert"}


def test_receiving_asks_nobody(listening, ears, client):
    listening.place_order(customer_id=0, status="processing", billing={"email": "g@shop.test"})
    listening.subscribe(listening.add_customer("ada@shop.test"))
    listening.requests.clear()
    listening.run_queue()
    assert listening.requests == []
    assert client.context.calls == 0


def test_the_time_of_the_last_webhook_is_kept_but_not_written_each_time(client, clock):
    request = delivery("customer.deleted", {"id": 4})
    state = client.context.state()
    client.source.receive(request)
    first = state.get("last_webhook")
    clock.advance(timedelta(seconds=30))
    client.source.receive(request)
    assert state.get("last_webhook") == first
    clock.advance(timedelta(seconds=31))
    client.source.receive(request)
    assert state.get("last_webhook") > first
