"""Reaching a shop through whatever stands in front of it, and saying rightly what is wrong."""

import pytest

from synccore.errors import AuthError, ConfigError, Transient
from synccore.testing import Fault
from synccore_woocommerce.testing import FakeWooCommerce


@pytest.mark.parametrize(
    "answer",
    [
        (403, "jwt_auth_bad_auth_header"),
        (401, "jwt_auth_no_auth_header"),
        (401, "jwt_auth_invalid_token"),
        (401, "rest_forbidden"),
        (403, "rest_forbidden"),
        (403, "rest_cannot_access"),
        (403, "simple-jwt-login-wrong-token"),
        (401, "invalid_username"),
        (401, "incorrect_password"),
    ],
)
def test_a_plugin_that_claims_the_header_is_walked_around(clock, make, answer):
    with FakeWooCommerce(clock=clock, tls=True) as shop:
        shop.quirks.jwt = answer
        ada = shop.add_customer("ada@shop.test")
        client = make(shop)
        assert client.source.check().account is not None
        assert [c.key for c in client.all("customer")] == [str(ada)]


def test_where_signing_does_not_help_the_plugin_is_named(clock, make):
    with FakeWooCommerce(clock=clock, tls=True) as shop:
        body = {
            "code": "jwt_auth_bad_auth_header",
            "message": "Authorization header malformed.",
            "data": {"status": 403},
        }
        shop.fail_always(Fault.status(403, body, when=lambda r: r.path != "/wp-json/"))
        with pytest.raises(AuthError, match=r"another plugin of the shop.*jwt_auth_bad_auth_header") as caught:
            make(shop).source.check()
        assert "administrator" not in str(caught.value)


def test_a_closed_api_is_told_as_such_and_nothing_is_claimed_that_was_not_tried(shop, client):
    """The index is asked without keys."""
    body = {"code": "rest_login_required", "message": "Only for users.", "data": {"status": 401}}
    shop.fail_always(Fault.status(401, body))
    with pytest.raises(AuthError, match=r"closes WordPress's REST API.*leave out /wp-json/") as caught:
        client.source.check()
    assert "igned" not in str(caught.value)


def test_output_before_the_json_is_told_as_such(shop, client):
    """At the index too, where it looked like an address that is no WordPress."""
    shop.add_customer("ada@shop.test")
    shop.quirks.prefix = "<br />\n<b>Warning</b>:  Undefined variable in <b>/srv/x.php</b> on line <b>7</b><br />\n"
    for asked in (client.source.check, lambda: client.all("customer")):
        with pytest.raises(Transient, match=r"printed before it.*switch WP_DEBUG_DISPLAY off") as caught:
            asked()
        assert "srv" not in str(caught.value)


@pytest.mark.parametrize("tls", [False, True])
def test_a_redirect_that_only_adds_a_slash_is_followed(clock, make, tls):
    with FakeWooCommerce(clock=clock, tls=tls) as shop:
        shop.quirks.slash = True
        ada = shop.add_customer("ada@shop.test")
        client = make(shop)
        client.source.check()
        assert [c.key for c in client.all("customer")] == [str(ada)]
        shop.requests.clear()
        client.all("customer")
        assert all(r.path.endswith("/") for r in shop.requests), "asked rightly from then on"


def test_plain_permalinks_behind_a_server_that_sends_everything_to_the_front_page(shop, client):
    shop.quirks.front_page = True
    with pytest.raises(ConfigError, match="plain permalinks"):
        client.source.check()


def test_a_wrong_path_is_not_called_plain_permalinks(shop, make):
    shop.permalinks = False
    client = make(shop, url=f"{shop.url}/blog")
    shop.fail_always(
        Fault.status(200, {"namespaces": ["wc/v3"], "home": shop.url}, when=lambda r: r.param("rest_route") == "/")
    )
    with pytest.raises(ConfigError, match=r"the shop is at http://127\.0\.0\.1:\d+, not at .*/blog: set url"):
        client.source.check()


@pytest.mark.parametrize("body", [{"error": "not found"}, [], {"detail": "Not Found"}])
def test_a_json_404_of_something_else_is_no_firewall(shop, client, body):
    shop.fail_always(Fault.status(404, body))
    with pytest.raises(ConfigError, match="not with WordPress's REST API") as caught:
        client.source.check()
    assert "firewall" not in str(caught.value)


@pytest.mark.parametrize("version", ["3.5.0", "4.3.6", "4.4.0", "5.7.2"])
def test_a_shop_too_old_to_be_polled_is_named(shop, client, version):
    shop.quirks.version = version
    shop.place_order(billing={"email": "guest@shop.test"})
    (found,) = [f for f in client.source.check().findings if f.level == "error"]
    assert f"WooCommerce {version}" in found.message
    assert "WooCommerce 5.8 or newer is needed" in found.message


def test_the_oldest_supported_shop_is_fine(shop, client):
    shop.quirks.version = "5.8.0"
    shop.place_order(billing={"email": "guest@shop.test"})
    assert [f for f in client.source.check().findings if f.level == "error"] == []
