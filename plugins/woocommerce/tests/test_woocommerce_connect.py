"""Reaching a shop, and saying precisely what is wrong where it cannot be used."""

from datetime import timedelta

import pytest

from synccore.errors import AuthError, ConfigError, RateLimited, Transient
from synccore.secrets import Secret
from synccore.testing import FakeClock, FakeContext, Fault, LoopbackServer, Reply
from synccore.types import WebhookRequest
from synccore_woocommerce.config import Config
from synccore_woocommerce.testing import KEY, READ_KEY, FakeWooCommerce, Key, maintenance


class Browser:
    """A person's browser: `approve(url)` plays the shop's approval screen."""

    def __init__(self, approve=lambda url: {"success": "1"}):
        self.said = []
        self.url = None
        self.approve = approve

    def authorize(self, build_url, *, host="127.0.0.1", port=0, path="/"):
        self.url = build_url("http://127.0.0.1:9/back")
        return "http://127.0.0.1:9/back", self.approve(self.url)

    def say(self, text):
        self.said.append(text)


def test_a_check_says_what_the_shop_is(shop, client):
    found = client.source.check()
    assert found.account.id == shop.url.removeprefix("http://")
    assert found.account.label == "Synthetic Shop"
    assert found.detail == "WooCommerce 11.0.1 (order tables), Subscriptions, Memberships, America/New_York"
    assert found.findings == ()


def test_connect_gives_the_account(shop, client):
    browser = Browser()
    assert client.source.connect(browser).id == shop.url.removeprefix("http://")
    assert browser.url is None, "there were keys, so nobody was asked"


def test_what_the_shop_lacks_is_named(clock, make):
    with FakeWooCommerce(clock=clock, subscriptions=False, memberships=False, hpos=False) as shop:
        found = make(shop).source.check()
        assert found.detail == "WooCommerce 11.0.1 (orders as posts), America/New_York"
        assert [f.message for f in found.findings] == [
            "subscription: the shop has no WooCommerce Subscriptions, so there are none",
            "membership: the shop has no WooCommerce Memberships, so there are none",
        ]


def test_plain_permalinks_are_named_as_the_error_they_are(clock, make):
    with FakeWooCommerce(clock=clock, permalinks=False) as shop, pytest.raises(ConfigError, match="plain permalinks"):
        make(shop).source.check()


def test_a_wordpress_without_woocommerce(shop, client):
    shop.fail_next(Fault.status(200, {"name": "Blog", "home": shop.url, "namespaces": ["wp/v2"]}))
    with pytest.raises(ConfigError, match="without WooCommerce"):
        client.source.check()


def test_no_wordpress_at_all(make, clock):
    class Nothing(LoopbackServer):
        ca_file = None

        def handle(self, request):
            return Reply(404, "<html>no such page</html>")

    with Nothing() as server, pytest.raises(ConfigError, match="REST API"):
        make(server).source.check()


@pytest.mark.parametrize("status", [301, 302, 308])
def test_a_redirect_names_the_right_address(shop, client, status):
    headers = {"Location": "https://www.shop.test/wp-json/?_fields=name"}
    shop.fail_next(Fault.status(status, "", headers))
    with pytest.raises(ConfigError, match=r"redirects to https://www\.shop\.test: set url"):
        client.source.check()


@pytest.mark.parametrize("to", ["/wp-login.php?redirect_to=x", "/wp-json/", "/coming-soon/"])
def test_a_shop_that_sends_its_own_api_away_is_not_at_another_address(shop, client, to):
    shop.fail_next(Fault.status(302, "", {"Location": to if to.startswith("/w") else shop.url + to}))
    with pytest.raises(ConfigError, match=r"redirects /wp-json/ to /.*leave out /wp-json/") as caught:
        client.source.check()
    assert "set url" not in str(caught.value)


def test_refused_keys_have_a_way_out(shop, make):
    with pytest.raises(AuthError, match=r"REST API, set it as consumer_key and.*run synccore connect shop"):
        make(shop, key=Key(key="ck_unknown", secret="cs_x")).source.check()


def test_a_security_plugin_is_told_from_the_shop(shop, client):
    client.source.check()
    page = "<html><title>Access denied</title>blocked</html>"
    shop.fail_next(*[Fault.status(403, page, when=lambda r: "customers" in r.path)] * 3)
    with pytest.raises(
        Transient, match=r"security plugin \(text/html, 48 bytes, begins with <html>\): let it leave out /wp-json/"
    ):
        client.source.check()


def test_maintenance_mode(shop, client):
    shop.fail_next(maintenance())
    with pytest.raises(RateLimited, match="maintenance mode") as caught:
        client.source.check()
    assert caught.value.retry_after == timedelta(seconds=30), "an update takes seconds, whatever the shop says"


def test_a_shop_that_is_not_there(make, shop):
    client = make(shop)
    shop.close()
    with pytest.raises(Transient, match="cannot reach"):
        client.source.check()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (Key(key="ck_unknown", secret="cs_x"), "Consumer key is invalid"),
        (Key(key=KEY.key, secret="cs_wrong"), "signature does not match"),
    ],
)
def test_wrong_keys_over_http(shop, make, key, said):
    with pytest.raises(AuthError, match=said):
        make(shop, key=key).source.check()


def test_a_key_without_the_right_to_read(shop, make):
    writer = Key(key="ck_w", secret="cs_w", permissions="write")
    shop.gate.keys[writer.key] = writer
    with pytest.raises(AuthError, match="does not have read permissions"):
        make(shop, key=writer).source.check()


def test_a_key_of_somebody_without_rights(shop, make):
    editor = Key(key="ck_e", secret="cs_e", role="editor")
    shop.gate.keys[editor.key] = editor
    with pytest.raises(AuthError, match="make the key for an administrator or a shop manager"):
        make(shop, key=editor).source.check()


def test_a_read_key_does_where_nothing_is_written(shop, make):
    assert make(shop, key=READ_KEY).source.check().findings == ()


@pytest.mark.parametrize(
    ("settings", "why"), [({"write_back": True}, "write_back"), ({"public_url": "https://sync.shop.test"}, "webhooks")]
)
def test_a_read_key_is_refused_where_something_is(shop, make, settings, why):
    client = make(shop, key=READ_KEY, **settings)
    (finding,) = client.source.check().findings
    assert finding.level == "error"
    assert why in finding.message
    with pytest.raises(AuthError, match="read/write key"):
        client.source.connect(Browser())


def test_checking_writes_nothing(shop, make):
    ada = shop.add_customer("ada@shop.test")
    before = dict(shop.shop.customers[ada])
    make(shop, write_back=True).source.check()
    assert shop.shop.customers[ada] == before
    assert shop.hooks.waiting == {}


def test_a_wrong_clock_is_named(shop, make):
    client = make(shop, context=FakeContext("shop", "woocommerce", clock=FakeClock()))
    client.context.clock.advance(timedelta(minutes=20))
    with pytest.raises(AuthError, match="set this machine's clock"):
        client.source.check()


# -- https, http, and what is in between


def test_https_takes_basic_and_keeps_the_keys_out_of_the_address(clock, make):
    with FakeWooCommerce(clock=clock, tls=True) as shop:
        client = make(shop)
        client.source.check()
        asked = [r for r in shop.requests if r.path != "/wp-json/"]
        assert all(r.headers["authorization"].startswith("Basic ") for r in asked)
        assert not [r for r in shop.requests if "cs_" in r.target or "ck_" in r.target]


def test_an_untrusted_certificate_says_what_to_set(clock, make):
    with FakeWooCommerce(clock=clock, tls=True) as shop, pytest.raises(ConfigError, match="set ca_file"):
        make(shop, ca_file=None).source.check()


def test_http_is_signed_and_the_secret_never_travels(shop, client):
    client.source.check()
    assert not [r for r in shop.requests if KEY.secret in r.target or "authorization" in r.headers]
    assert all(r.param("oauth_signature") for r in shop.requests if r.path != "/wp-json/")


def test_a_proxy_that_hides_https_from_php_is_worked_around(clock, make):
    """Basic is ignored there, with the same 401 as for no key at all."""
    with FakeWooCommerce(clock=clock, tls=True) as shop:
        shop.php_knows_https = False
        client = make(shop)
        shop.add_customer("ada@shop.test")
        assert len(client.all("customer")) == 1
        shop.requests.clear()
        client.all("customer")
        assert not [r for r in shop.requests if "authorization" in r.headers], "it learned"


def test_an_unknown_key_over_https_is_no_riddle(clock, make):
    with FakeWooCommerce(clock=clock, tls=True) as shop:
        client = make(shop, key=Key(key="ck_unknown", secret="cs_x"))
        with pytest.raises(AuthError, match="refuses the keys: Consumer key is invalid"):
            client.source.check()


def test_the_shops_own_address_is_signed_not_the_dialled_one(clock, make):
    with FakeWooCommerce(clock=clock, home="http://shop.test:8080") as shop:
        shop.add_customer("ada@shop.test")
        client = make(shop)
        assert len(client.all("customer")) == 1
        assert shop.count("GET", "/wp-json/") - shop.count("GET", "/wp-json/wc") == 1


# -- the approval screen


def keyless(make, shop, public_url):
    return make(shop, consumer_key=None, consumer_secret=None, public_url=public_url)


def test_without_keys_it_says_where_to_make_one(shop, make):
    client = keyless(make, shop, None)
    with pytest.raises(ConfigError, match="Settings > Advanced > REST API"):
        client.source.connect(Browser())
    with pytest.raises(AuthError, match="run synccore connect shop"):
        client.source.check()


def test_the_shops_owner_can_approve_and_the_keys_arrive(shop, make):
    from urllib.parse import parse_qsl, urlsplit

    client = keyless(make, shop, "https://sync.shop.test/")

    def approve(url):
        parts = urlsplit(url)
        asked = dict(parse_qsl(parts.query))
        assert parts.path == "/wc-auth/v1/authorize"
        assert asked["scope"] == "read_write"
        assert asked["callback_url"] == "https://sync.shop.test/hooks/shop"
        keys = {
            "key_id": 5,
            "user_id": asked["user_id"],
            "consumer_key": KEY.key,
            "consumer_secret": KEY.secret,
            "key_permissions": "read_write",
        }
        forged = {**keys, "user_id": "guessed", "consumer_key": "ck_evil"}
        with pytest.raises(Exception, match=r"no webhook secret|signature"):
            client.source.receive(posted(forged))
        assert client.source.receive(posted(keys)) == []
        return {"success": "1", "user_id": asked["user_id"]}

    assert client.source.connect(Browser(approve)).label == "Synthetic Shop"
    assert client.context.vault.secrets["consumer_key"] == KEY.key
    assert "approval" not in client.context.vault.secrets
    assert client.source.check().account.label == "Synthetic Shop"


def posted(body):
    import json

    return WebhookRequest(
        method="POST",
        path="/hooks/shop",
        headers={"content-type": "application/json;charset=utf-8"},
        body=json.dumps(body).encode(),
    )


def test_keys_are_taken_once(shop, make):
    client = keyless(make, shop, "https://sync.shop.test")
    client.context.vault.put("approval", "word")
    keys = {"user_id": "word", "consumer_key": "ck_1", "consumer_secret": "cs_1"}
    client.source.receive(posted(keys))
    with pytest.raises(Exception, match="signature"):
        client.source.receive(posted({**keys, "consumer_key": "ck_2"}))
    assert client.context.vault.secrets["consumer_key"] == "ck_1"


def test_an_owner_who_says_no(shop, make):
    client = keyless(make, shop, "https://sync.shop.test")
    with pytest.raises(AuthError, match="did not approve"):
        client.source.connect(Browser(lambda url: {"success": "0"}))
    assert client.context.vault.secrets == {}


def test_keys_that_never_arrive(shop, make):
    client = keyless(make, shop, "https://sync.shop.test")
    with pytest.raises(AuthError, match=r"no keys arrived at https://sync.shop.test/hooks/shop"):
        client.source.connect(Browser())


# -- configuration


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "shop.example.com"},
        {"url": "https://shop.example.com/wp-json"},
        {"url": "https://shop.example.com/?x=1"},
        {"url": "ftp://shop.example.com"},
        {"url": "https://shop.example.com", "entities": ("product",)},
        {"url": "https://shop.example.com", "concurrency": 0},
    ],
)
def test_settings_that_cannot_work_are_refused(settings):
    with pytest.raises(ValueError, match=r"must be|is the shop's|none of"):
        Config(**settings)


def test_a_shop_in_a_folder(clock, make):
    class Folder(FakeWooCommerce):
        @property
        def url(self):
            return super().url + "/shop"

        def handle(self, request):
            from attrs import evolve

            assert request.path.startswith("/shop/")
            self.path_asked = request.path
            return super().handle(evolve(request, path=request.path.removeprefix("/shop")))

    with Folder(clock=clock, home=None) as shop:
        shop.gate._home = lambda: shop.url
        shop.add_customer("ada@shop.test")
        assert len(make(shop).all("customer")) == 1


def test_secrets_do_not_show(shop, make):
    client = make(shop)
    text = repr(client.source._config) + str(client.context.log.events)
    assert KEY.secret not in text
    assert isinstance(client.source._config.consumer_key, Secret)
