"""The shop's side of webhooks: made once, kept alive, taken away."""

from datetime import timedelta

import pytest

from synccore.errors import AuthError
from synccore_woocommerce.testing import READ_KEY, FakeWooCommerce

SECRET = "synccore-test-secret"


def topics(shop):
    return sorted(w["topic"] for w in shop.hooks.all.values())


ALL = sorted(
    [
        *(f"customer.{e}" for e in ("created", "updated", "deleted")),
        *(f"order.{e}" for e in ("created", "updated", "deleted", "restored")),
        *(f"subscription.{e}" for e in ("created", "updated", "deleted")),
        *(f"user_membership.{e}" for e in ("created", "updated", "transferred", "deleted")),
        "membership_plan.updated",
    ]
)


def test_what_is_needed_is_made_once(shop, client, ears):
    assert client.source.subscribe(ears.hook_url) == "webhooks at the shop: 15 made"
    assert topics(shop) == ALL
    assert client.source.subscribe(ears.hook_url) == "webhooks at the shop: 15 already there"
    assert len(shop.hooks.all) == 15
    shop.add_customer("ada@shop.test")
    shop.run_queue()
    assert len(ears.take()) == 2


def test_only_what_is_needed(shop, make, ears):
    client = make(shop, entities=("customer",), guests=False)
    client.source.subscribe(ears.hook_url)
    assert topics(shop) == ["customer.created", "customer.deleted", "customer.updated"]


def test_guests_need_the_orders_webhooks(shop, make, ears):
    make(shop, entities=("customer",)).source.subscribe(ears.hook_url)
    assert "order.updated" in topics(shop)


def test_a_shop_without_the_plugins_gets_no_webhooks_for_them(clock, make, ears):
    with FakeWooCommerce(clock=clock, subscriptions=False, memberships=False) as shop:
        make(shop).source.subscribe(ears.hook_url)
        assert not [t for t in topics(shop) if t.startswith(("subscription", "user_membership"))]


def test_the_secret_is_made_and_kept_encrypted(shop, make, ears):
    client = make(shop, webhook_secret=None)
    client.source.subscribe(ears.hook_url)
    secret = client.context.vault.secrets["webhook_secret"]
    assert len(secret) == 64
    assert set(shop.hooks.secrets.values()) == {secret}
    assert secret not in str(dict(client.context.state().scan()))


def test_webhooks_of_an_earlier_installation_are_adopted_with_a_new_secret(shop, client, ears):
    old = shop.webhook("customer.updated", ears.hook_url, "forgotten")
    twin = shop.webhook("customer.updated", ears.hook_url, "forgotten")
    other = shop.webhook("customer.updated", "https://somebody.else.test/hook", "theirs")
    assert client.source.subscribe(ears.hook_url) == "webhooks at the shop: 14 made, 1 already there, 1 removed"
    assert old in shop.hooks.all
    assert twin not in shop.hooks.all
    assert shop.hooks.secrets[old] == SECRET
    assert shop.hooks.secrets[other] == "theirs"


def test_a_new_address_moves_them(shop, client, ears):
    client.source.subscribe("http://127.0.0.1:9/hooks/shop")
    client.source.subscribe(ears.hook_url)
    assert {w["delivery_url"] for w in shop.hooks.all.values()} == {ears.hook_url}
    assert topics(shop) == ALL


def test_a_changed_secret_reaches_the_shop(shop, make, client, ears):
    from synccore.secrets import Secret

    client.source.subscribe(ears.hook_url)
    again = make(shop, webhook_secret=Secret("rotated"), context=client.context)
    again.source.subscribe(ears.hook_url)
    assert set(shop.hooks.secrets.values()) == {"rotated"}


def test_a_read_key_is_told_apart(shop, make, ears):
    client = make(shop, key=READ_KEY)
    with pytest.raises(AuthError, match="does not have write permissions"):
        client.source.subscribe(ears.hook_url)
    assert client.source.heal(ears.hook_url) == ()


def test_many_other_webhooks_are_paged_through(shop, client, ears):
    for i in range(130):
        shop.webhook("product.updated", f"https://other{i}.shop.test/", "x")
    client.source.subscribe(ears.hook_url)
    assert client.source.subscribe(ears.hook_url) == "webhooks at the shop: 15 already there"


# -- healing


def failing(shop, ears, times):
    ears.status = 500
    for i in range(times):
        shop.add_customer(f"lost{i}@shop.test")
        shop.run_queue()
    ears.status = 200


def test_nothing_to_heal(shop, client, ears):
    client.source.subscribe(ears.hook_url)
    shop.requests.clear()
    assert client.source.heal(ears.hook_url) == ()
    assert {r.method for r in shop.requests} <= {"GET", "HEAD"}


def test_switched_off_after_seven_failures_and_healed_by_making_it_anew(shop, client, ears):
    client.source.subscribe(ears.hook_url)
    ids = {w["topic"]: n for n, w in shop.hooks.all.items()}
    failing(shop, ears, 6)
    assert shop.hooks.all[ids["customer.created"]]["status"] == "active"
    failing(shop, ears, 1)
    assert shop.hooks.all[ids["customer.created"]]["status"] == "disabled"
    found = [f.message for f in client.source.check().findings]
    assert "the shop had switched off webhooks after failed deliveries: customer.created, customer.updated" in found
    (said,) = client.source.heal(ears.hook_url)
    assert found[0] in said
    new = {w["topic"]: n for n, w in shop.hooks.all.items()}
    assert new["customer.created"] != ids["customer.created"], "switched on again it would keep its count"
    assert shop.hooks.failures[new["customer.created"]] == 0
    assert new["order.created"] == ids["order.created"]
    assert client.source.heal(ears.hook_url) == ()


def test_removed_ones_are_made_again(shop, client, ears):
    client.source.subscribe(ears.hook_url)
    gone = next(n for n, w in shop.hooks.all.items() if w["topic"] == "order.updated")
    shop.hooks.delete(gone)
    (said,) = client.source.heal(ears.hook_url)
    assert said.endswith(" UTC: the shop had no webhook for order.updated")
    assert topics(shop) == ALL


def test_a_daemon_that_was_never_connected_makes_them(shop, client, ears):
    (said,) = client.source.heal(ears.hook_url)
    assert "had no webhook for customer.created" in said
    assert topics(shop) == ALL


def test_a_topic_the_shop_refuses_is_not_asked_for_for_ever(shop, client, ears, monkeypatch):
    from synccore_woocommerce.testing import webhooks

    few = {**webhooks.TOPICS, "user_membership": ("created", "updated", "deleted")}
    monkeypatch.setattr(webhooks, "TOPICS", few)
    client.source.subscribe(ears.hook_url)
    assert "user_membership.transferred" not in topics(shop)
    assert client.source.heal(ears.hook_url) == ()


def test_a_demoted_owner_is_healed_by_new_webhooks_of_our_own_key(shop, client, ears):
    client.source.subscribe(ears.hook_url)
    shop.hooks.demoted |= set(shop.hooks.all)
    shop.add_customer("ada@shop.test")
    shop.run_queue()
    (said,) = client.source.heal(ears.hook_url)
    assert "lost its rights" in said
    assert not shop.hooks.demoted & set(shop.hooks.all)
    assert client.source.heal(ears.hook_url) == ()


def test_paused_ones_are_named_and_woken_by_connect_only(shop, client, ears):
    client.source.subscribe(ears.hook_url)
    number = next(iter(shop.hooks.all))
    shop.hooks.all[number]["status"] = "paused"
    assert client.source.heal(ears.hook_url) == ()
    assert any("is paused at the shop" in f.message for f in client.source.check().findings)
    client.source.subscribe(ears.hook_url)
    assert shop.hooks.all[number]["status"] == "active"


def test_a_shop_that_cannot_reach_us_is_not_healed_over_and_over(shop, client, ears, clock):
    client.source.subscribe(ears.hook_url)
    failing(shop, ears, 7)
    assert client.source.heal(ears.hook_url)
    clock.advance(timedelta(minutes=10))
    failing(shop, ears, 7)
    assert client.source.heal(ears.hook_url) == ()
    clock.advance(timedelta(hours=6))
    assert client.source.heal(ears.hook_url)
    shop.add_customer("heard@shop.test")
    shop.run_queue()
    failing(shop, ears, 7)
    assert client.source.heal(ears.hook_url), "something arrived in between, so it is worth it"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://10.0.0.7", "must be public"),
        ("http://localhost:8484", "must be public"),
        ("https://sync.shop.test:8484", "use 443"),
        ("https://sync.shop.test", None),
        ("http://sync.shop.test:8080", None),
    ],
)
def test_addresses_that_wordpress_refuses_in_silence_are_named(shop, make, address, said):
    found = [f.message for f in make(shop, public_url=address).source.check().findings]
    assert [said in message for message in found] == ([True] if said else [])


# -- silence


def test_a_shop_that_changes_and_says_nothing_is_one_silence(shop, client, ears, clock):
    client.source.subscribe(ears.hook_url)
    shop.place_order(customer_id=0, status="processing")
    shop.run_queue()
    clock.advance(timedelta(hours=1))
    assert client.source.heal(ears.hook_url) == (), "nothing happened, so silence is right"
    for _ in range(3):
        shop.place_order(customer_id=0, status="processing")  # and WP-Cron does not run
    clock.advance(timedelta(minutes=20))
    (said,) = client.source.heal(ears.hook_url)
    assert "no webhook since" in said
    assert "3 orders" in said
    clock.advance(timedelta(minutes=20))
    assert client.source.heal(ears.hook_url) == (said,), "the same silence is told in the same words"
    assert said in [f.message for f in client.source.check().findings]


def test_silence_is_what_was_not_heard_while_somebody_listened(shop, make, ears, clock):
    first = make(shop)
    first.source.subscribe(ears.hook_url)
    clock.advance(timedelta(hours=1))
    shop.place_order(customer_id=0, status="processing")
    clock.advance(timedelta(hours=1))
    later = make(shop, context=first.context)
    clock.advance(timedelta(minutes=20))
    assert later.source.heal(ears.hook_url) == (), "what came meanwhile may be in a database that a backup replaced"
    shop.place_order(customer_id=0, status="processing")
    clock.advance(timedelta(minutes=20))
    (said,) = later.source.heal(ears.hook_url)
    assert "no webhook since 01 Jan 14:01 UTC although the shop changed 1 orders" in said


def test_a_shop_that_talks_again_is_well_again(shop, client, ears, clock):
    client.source.subscribe(ears.hook_url)
    clock.advance(timedelta(hours=1))
    shop.place_order(customer_id=0, status="processing")
    clock.advance(timedelta(minutes=20))
    assert client.source.heal(ears.hook_url)
    shop.run_queue()
    assert client.context.state().get("silent") is None
    assert client.source.heal(ears.hook_url) == ()


# -- leaving


def test_disconnect_takes_everything_of_ours_and_nothing_else(shop, make, ears):
    client = make(shop, webhook_secret=None)
    client.source.subscribe(ears.hook_url)
    theirs = shop.webhook("customer.updated", "https://somebody.else.test/hook", "theirs")
    assert client.source.unsubscribe() == "removed 15 webhooks from the shop"
    assert client.source.disconnect().startswith("delete the key itself"), "each thing is said once"
    assert list(shop.hooks.all) == [theirs]
    assert client.context.vault.secrets == {}
    assert client.source.disconnect(keep_grant=True) == ""


def test_disconnect_forgets_the_keys_though_the_shop_is_down(shop, make):
    from synccore.testing import Fault

    client = make(shop, consumer_key=None, consumer_secret=None)
    client.context.vault.put("consumer_key", "ck_x")
    client.context.vault.put("consumer_secret", "cs_x")
    shop.fail_next(*[Fault.status(500, "<html>down</html>")] * 9)
    client.source.disconnect()
    assert client.context.vault.secrets == {}
