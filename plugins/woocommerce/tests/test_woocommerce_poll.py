"""Listing a shop: complete, in any order of mishaps, and cheap."""

import json
from datetime import timedelta

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synccore.errors import AuthError, RateLimited, Transient
from synccore.testing import FakeClock, Fault
from synccore_woocommerce.testing import FakeWooCommerce, maintenance, php_fatal, php_notice


def keys(changes, entity=None):
    return [c.key for c in changes if entity in (None, c.entity)]


def api(fault):
    """The fault, on the API itself and not on the question for the shop's own address."""
    return evolve(fault, when=lambda request: request.path != "/wp-json/")


def crowd(shop, count):
    return [shop.add_customer(f"p{i}@shop.test", first_name=f"P{i}") for i in range(count)]


# -- customers


def test_every_customer_is_listed_once(shop, client):
    people = crowd(shop, 230)
    changes, _ = client.listed("customer")
    assert keys(changes) == [str(p) for p in people]


def test_subscribers_are_customers_and_staff_are_not(shop, client):
    """Without role=all a customer with an active subscription vanishes from the list."""
    ada = shop.add_customer("ada@shop.test")
    shop.subscribe(ada)
    assert shop.shop.customers[ada]["role"] == "subscriber"
    assert keys(client.all("customer")) == [str(ada)]


def test_roles_are_configurable(shop, make):
    shop.add_customer("ada@shop.test")
    ben = shop.user("ben@shop.test", role="wholesale")
    assert keys(make(shop, roles=("wholesale",)).all("customer")) == [str(ben)]


def test_a_user_that_woocommerce_never_saved_has_no_version(shop, client):
    shop.user("ada@shop.test")
    (change,) = client.all("customer")
    assert change.version is None


def test_pages_stay_small(shop, client):
    crowd(shop, 1)
    client.all("customer")
    asked = [r for r in shop.requests if r.path.endswith("/customers")]
    assert all(r.param("_fields") and r.param("per_page") == "100" and r.param("role") == "all" for r in asked)


def test_a_poll_after_a_sweep_sweeps_again(shop, client):
    ada, ben = crowd(shop, 2)
    _, cursor = client.listed("customer")
    shop.set_user_meta(ada, "shoe_size", "44")  # moves no date, sends no webhook
    changes = {c.key: c for c in client.all("customer", cursor)}
    assert set(changes) == {str(ada), str(ben)}
    assert changes[str(ada)].data.meta["shoe_size"] == "44"


def test_a_deleted_row_before_the_page_skips_nobody(shop, client):
    people = crowd(shop, 250)
    pages = client.source.poll("customer", None, {})
    first = next(pages)
    for person in people[:60]:
        shop.delete_customer(person)
    rest = [change for page in pages for change in page.changes]
    seen = keys([*first.changes, *rest])
    assert seen == [str(p) for p in people]


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    kill_after=st.lists(st.integers(1, 3), max_size=4),
    gone=st.lists(st.integers(0, 259), max_size=150, unique=True),
)
def test_killed_at_any_page_nothing_is_lost_and_nothing_doubled(make, kill_after, gone):
    with FakeWooCommerce(clock=FakeClock()) as shop:
        people = crowd(shop, 260)
        seen, cursor, leaving = [], None, list(gone)
        for pages in [*kill_after, 1000]:
            client = make(shop)
            for _, page in zip(range(pages), client.source.poll("customer", cursor, {}), strict=False):
                seen += keys(page.changes)
                cursor = page.cursor
                if json.loads(cursor).get("stage") != "accounts":
                    break
                for index in leaving[:40]:
                    shop.delete_customer(people[index])
                del leaving[:40]
            else:
                continue
            if json.loads(cursor).get("stage") != "accounts":
                break
        assert len(seen) == len(set(seen))
        left = {str(n) for n, r in shop.shop.customers.items() if r["role"] == "customer"}
        assert left <= set(seen) <= {str(p) for p in people}


def test_memory_of_a_big_sweep_is_one_page(shop, client):
    crowd(shop, 450)
    sizes = [len(page.changes) for page in client.source.poll("customer", None, {})]
    assert max(sizes) <= 100
    assert sum(sizes) == 450


def test_a_stopping_process_ends_a_sweep_at_the_page(shop, client):
    crowd(shop, 250)
    pages = client.source.poll("customer", None, {})
    next(pages)
    client.context.stop = True
    assert list(pages) == []


def test_the_pause_between_pages_is_kept(shop, make, clock):
    crowd(shop, 250)
    make(shop, pause=timedelta(seconds=3)).all("customer")
    assert clock.slept.count(timedelta(seconds=3)) >= 3


def test_a_short_page_is_not_the_end(shop, client):
    """Some plugins hide rows from a page; the total says that there is more."""
    crowd(shop, 250)
    rows = [{"id": n, "email": f"x{n}@shop.test", "role": "customer"} for n in range(4, 60)]
    shop.fail_next(api(Fault.status(200, rows, {"X-WP-Total": "253"})))
    assert len(set(keys(client.all("customer")))) == 250


def test_a_slow_shop_is_not_swept_all_the_time(shop, make, clock):
    """A sweep of 20 s rests for 180 s, whatever `poll` says; a process that was just started always sweeps."""
    crowd(shop, 250)
    client = make(shop, pause=timedelta(seconds=10), guests=False)
    _, cursor = client.listed("customer")
    clock.advance(timedelta(seconds=60))
    assert list(client.source.poll("customer", cursor, {})) == []
    assert len(make(shop, guests=False).all("customer", cursor)) == 250
    assert len(client.all("customer")) == 250, "asked for everything"
    clock.advance(timedelta(seconds=181))
    assert len(client.all("customer", cursor)) == 250


@pytest.mark.parametrize("entity", ["customer", "membership"])
def test_a_cache_that_gives_the_same_page_for_ever_is_noticed(shop, client, entity):
    crowd(shop, 1)
    client.source.check()
    row = {"role": "customer", "email": "x@shop.test", "customer_id": 4, "plan_id": 1, "status": "active"}
    rows = [{"id": n, **row} for n in range(100, 200)]
    same = Fault.status(200, rows, {"X-WP-Total": "250"})
    shop.fail_always(evolve(same, when=lambda r: r.path.endswith(("/customers", "/members"))))
    with pytest.raises(Transient, match="a cache or a firewall in front of the shop"):
        client.all(entity)


# -- what a shop lacks, and mishaps


def test_an_entity_that_the_shop_lacks_is_empty(clock, make):
    with FakeWooCommerce(clock=clock, subscriptions=False, memberships=False) as shop:
        client = make(shop)
        assert not client.source.known("subscription")
        assert not client.source.known("membership")
        assert client.source.known("customer")
        for entity in ("subscription", "membership"):
            pages = list(client.source.poll(entity, None, {}))
            assert [(list(p.changes), p.total) for p in pages] == [([], 0)]


def test_a_plugin_that_is_switched_off_deletes_nobody(shop, client):
    member = shop.add_member(shop.add_customer("ada@shop.test"), shop.add_plan("Gold Club", "gold-club"))
    shop.has_memberships = False
    with pytest.raises(Transient):
        client.source.fetch("membership", str(member))


def test_gone_is_only_what_the_shop_calls_gone(shop, client):
    ada = shop.add_customer("ada@shop.test")
    shop.fail_next(*[api(Fault.html(404))] * 3)
    with pytest.raises(Transient):
        client.source.fetch("customer", str(ada))
    assert client.source.fetch("customer", str(ada)).key == str(ada)
    shop.delete_customer(ada)
    assert client.source.fetch("customer", str(ada)) is None


def test_somebody_who_became_staff_is_gone_as_a_customer(shop, client):
    ada = shop.add_customer("ada@shop.test")
    shop.set_role(ada, "editor")
    assert client.source.fetch("customer", str(ada)) is None


@pytest.mark.parametrize("fault", [php_fatal(), php_notice(), Fault.html(502), Fault.reset(), Fault.truncated()])
def test_a_hiccup_is_read_over(shop, client, fault):
    people = crowd(shop, 3)
    shop.fail_next(api(fault))
    assert keys(client.all("customer")) == [str(p) for p in people]


def test_a_shop_that_goes_down_in_the_middle_is_read_on_from_there(shop, client):
    people = crowd(shop, 250)
    seen, cursor = [], None
    pages = client.source.poll("customer", None, {})
    page = next(pages)
    seen, cursor = keys(page.changes), page.cursor
    shop.fail_next(*[Fault.status(500, "<html>down</html>")] * 3)
    with pytest.raises(Transient):
        next(pages)
    assert seen + keys(client.all("customer", cursor)) == [str(p) for p in people]


def test_maintenance_says_how_long(shop, client):
    shop.fail_next(api(maintenance()))
    with pytest.raises(RateLimited) as caught:
        client.all("customer")
    assert caught.value.retry_after == timedelta(seconds=30)


def test_a_broken_200_ends_with_its_structure_and_none_of_its_words(shop, client):
    shop.fail_next(*[api(php_notice('[{"first_name":"Ada"}]'))] * 3)
    with pytest.raises(
        Transient, match=r"printed before it \(application/json, \d+ bytes, begins with <br>\)"
    ) as caught:
        client.all("customer")
    assert "Ada" not in str(caught.value)
    assert "/srv" not in str(caught.value)


def test_what_php_leaks_stays_out_of_the_message(shop, client):
    shop.fail_next(*[api(php_fatal())] * 3)
    with pytest.raises(Transient) as caught:
        client.all("customer")
    assert "/srv" not in caught.value.message


def test_wrong_keys_stop_a_poll(shop, make):
    from synccore_woocommerce.testing import KEY, Key

    client = make(shop, key=Key(key=KEY.key, secret="cs_wrong"))
    with pytest.raises(AuthError, match="signature"):
        client.all("customer")


def test_a_cursor_of_another_kind_starts_over(shop, client):
    people = crowd(shop, 2)
    for cursor in ("", "{", "[]", '"x"', '{"marks":{},"stage":"nowhere"}'):
        assert keys(client.all("customer", cursor)) == [str(p) for p in people]


def test_two_shops_share_nothing(clock, make):
    with FakeWooCommerce(clock=clock) as one, FakeWooCommerce(clock=clock) as two:
        first, second = make(one, name="one"), make(two, name="two")
        ada, ben = one.add_customer("ada@shop.test"), two.add_customer("ben@shop.test")
        assert ada == ben
        assert first.all("customer")[0].data.email == "ada@shop.test"
        assert second.all("customer")[0].data.email == "ben@shop.test"
        assert first.context.state() is not second.context.state()


def test_at_most_so_many_requests_at_once(shop, make):
    import threading

    crowd(shop, 60)
    client = make(shop, concurrency=1)
    most, now, guard = 0, 0, threading.Lock()
    inner = client.source._shop._http.request

    def watched(*args, **options):
        nonlocal most, now
        with guard:
            now += 1
            most = max(most, now)
        try:
            return inner(*args, **options)
        finally:
            with guard:
                now -= 1

    client.source._shop._http.request = watched
    threads = [threading.Thread(target=client.all, args=("customer",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_the_context_counts_every_call(shop, client):
    crowd(shop, 3)
    client.all("customer")
    assert client.context.calls == len(shop.requests)
