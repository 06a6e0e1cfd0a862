"""The client: signatures, and errors that say what they are."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synccore.errors import AuthError, ConfigError, RateLimited, Rejected, Transient
from synccore.testing import FakeClock, FakeContext, Fault
from synccore_woocommerce.client import Client
from synccore_woocommerce.config import Config
from synccore_woocommerce.errors import Forbidden, Gone, NoRoute
from synccore_woocommerce.signing import sign, signed
from synccore_woocommerce.testing import KEY, FakeWooCommerce


@pytest.fixture
def client(shop, clock):
    opened = Client(Config(url=shop.url), FakeContext(clock=clock), lambda: (KEY.key, KEY.secret))
    opened.get("wc/v3/customers", {"per_page": "1"})
    yield opened
    opened.close()


def test_the_example_of_rfc_5849_with_hmac_sha256():
    """Base string by hand: method, encoded address, encoded sorted parameters."""
    params = [("b5", "=%3D"), ("a3", "a"), ("c@", ""), ("a2", "r b"), ("a3", "2 q")]
    one = sign("post", "http://example.test/request", params, "secret")
    assert one == sign("POST", "http://example.test/request", list(reversed(params)), "secret")
    assert one != sign("POST", "http://example.test/request", params, "Secret")
    assert one != sign("GET", "http://example.test/request", params, "secret")


@settings(max_examples=25)
@given(st.lists(st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=12)), max_size=6))
def test_a_signature_hides_the_secret_and_covers_every_parameter(params):
    out = signed("GET", "http://shop.test/x", params, key="ck", secret="cs_hidden", timestamp=1, nonce="n")
    assert "cs_hidden" not in str(out)
    changed = [*params, ("extra", "1")]
    other = signed("GET", "http://shop.test/x", changed, key="ck", secret="cs_hidden", timestamp=1, nonce="n")
    assert dict(other)["oauth_signature"] != dict(out)["oauth_signature"]


def test_parameters_of_any_kind_survive_signing(shop, client):
    for word in ("a b&c é", "+49 (0)30", "x=y;z", "ä@shop.test", "*~'()"):
        assert client.page("wc/v3/customers", {"search": word}).rows == []


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (
            400,
            {"code": "rest_invalid_param", "message": "Bad", "data": {"params": {"per_page": "too big"}}},
            Rejected,
            "too big",
        ),
        (403, {"code": "woocommerce_rest_cannot_view", "message": "Sorry"}, Forbidden, "cannot_view"),
        (404, {"code": "rest_no_route", "message": "No route"}, NoRoute, "rest_no_route"),
        (404, {"code": "wc_user_invalid_id", "message": "Invalid user ID."}, Gone, "Invalid user ID"),
        (413, {"code": "woocommerce_rest_request_entity_too_large", "message": "100"}, Rejected, "too_large"),
        *((way, {"code": "blocked", "message": "no"}, Transient, "blocked") for way in (405, 407, 408, 413, 421, 425)),
        (501, {"code": "woocommerce_rest_trash_not_supported", "message": "no"}, Rejected, "trash_not"),
        (500, {"code": "internal_server_error", "message": "in /srv/www/x.php"}, Transient, "internal_server_error"),
        (502, "<html>Bad Gateway</html>", Transient, "HTTP 502"),
        (504, "", Transient, "HTTP 504"),
        (403, "<html>blocked</html>", Transient, "firewall"),
        (302, "", ConfigError, "redirects"),
        (429, "", RateLimited, "429"),
    ],
)
def test_each_answer_is_the_error_it_stands_for(shop, client, status, body, error, said):
    shop.fail_next(*[Fault.status(status, body)] * 3)
    with pytest.raises(error, match=said) as caught:
        client.get("wc/v3/customers/4")
    assert "/srv" not in caught.value.message


def test_a_rejection_names_its_fields(shop, client):
    with pytest.raises(Rejected) as caught:
        client.get("wc/v3/customers", {"per_page": "101"})
    assert caught.value.fields == ("per_page",)
    assert "between 1 (inclusive) and 100" in caught.value.message


def test_retry_after_is_passed_on(shop, client):
    shop.fail_next(Fault.status(429, "", {"Retry-After": "7"}))
    with pytest.raises(RateLimited) as caught:
        client.get("wc/v3/customers")
    assert caught.value.retry_after == timedelta(seconds=7)


def test_reading_is_tried_three_times_with_a_growing_wait(shop, client, clock):
    clock.slept.clear()
    before = len(shop.requests)
    shop.fail_next(*[Fault.status(500, "<html>")] * 5)
    with pytest.raises(Transient):
        client.get("wc/v3/customers")
    assert len(shop.requests) - before == 3
    first, second = clock.slept
    assert timedelta(seconds=0.5) <= first <= timedelta(seconds=1) <= second <= timedelta(seconds=2)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_will_not_get_better_is_asked_once(shop, client, status):
    before = len(shop.requests)
    shop.fail_next(*[Fault.status(status, {"code": "x", "message": "y", "data": {"status": status}})] * 3)
    with pytest.raises((AuthError, Rejected)):
        client.get("wc/v3/customers")
    assert len(shop.requests) - before == 1


def test_writing_is_never_tried_twice(shop, client):
    before = len(shop.requests)
    shop.fail_next(*[Fault.status(500, "<html>")] * 3)
    with pytest.raises(Transient):
        client.put("wc/v3/customers/4", {})
    assert len(shop.requests) - before == 1


def test_no_address_carries_a_secret(shop, client):
    client.put("wc/v3/customers/3", {"meta_data": []})
    assert not [r for r in shop.requests if KEY.secret in r.target]


def test_the_signed_address_is_asked_for_once(clock):
    with FakeWooCommerce(clock=FakeClock()) as shop:
        opened = Client(Config(url=shop.url), FakeContext(), lambda: (KEY.key, KEY.secret))
        for _ in range(3):
            opened.page("wc/v3/customers", {})
        assert [r.path for r in shop.requests].count("/wp-json/") == 1
        opened.close()


def test_a_count_reads_no_rows(shop, client):
    shop.add_customer("ada@shop.test")
    shop.requests.clear()
    assert client.count("wc/v3/customers", {"role": "all"}) == 4
    assert [r.method for r in shop.requests] == ["HEAD"]


def test_a_count_that_fails_has_words(shop, client):
    shop.has_subscriptions = False
    with pytest.raises(NoRoute):
        client.count("wc/v3/subscriptions")
