"""Signing in, staying signed in, signing out, and what can be wrong with it."""

import threading
from contextlib import suppress

import pytest
from attrs import evolve
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from synccore.errors import AnotherAccount, AuthError, ConfigError, Transient
from synccore.secrets import Secret
from synccore.testing import Fault, meanwhile
from synccore.types import Delivered
from synccore_salesforce.client import org_of
from synccore_salesforce.config import Config
from synccore_salesforce.testing import FakeSalesforce


def test_web_flow_uses_pkce_and_the_registered_callback(bench, org):
    crm = bench()
    assert "code_challenge=" in crm.browser.url
    assert "redirect_uri=http%3A%2F%2Flocalhost%3A1717%2Fcallback" in crm.browser.url
    account = crm.sink.check().account
    assert account.id == org.org.id
    assert account.label == "Shop Test Org · sync@shop.test"
    assert account.detail == "production"


def test_other_callback_port(bench, org):
    org.redirect_uris = ["http://localhost:4000/callback"]
    bench(redirect_port=4000)


def test_person_is_told_about_apps_that_are_not_installed(bench):
    assert any("install the app" in text for text in bench().browser.said)


def test_expired_session_is_renewed_once_and_replayed_with_its_headers(bench, person, org):
    crm = bench(duplicate_rule="save")
    crm.sink.describe()
    org.sign_in.expire()
    before = len(org.requests)
    assert isinstance(crm.one("1", person(1)), Delivered)
    first, token, again = org.requests[before:]
    assert token.path.endswith("/token")
    for request in (first, again):
        assert "allowSave=true" in request.headers["sforce-duplicate-rule-header"]
        assert request.headers["content-type"] == "application/json"
        assert request.body == first.body
    assert first.headers["authorization"] != again.headers["authorization"]


def test_session_that_is_refused_anew_is_an_auth_error_not_a_loop(bench, person, org):
    crm = bench()
    crm.sink.describe()
    org.session_calls = 0
    org.sign_in.expire()
    before = len(org.requests)
    with pytest.raises(AuthError, match="INVALID_SESSION_ID"):
        crm.one("1", person(1))
    assert len(org.requests) - before == 3


def test_rotated_refresh_tokens_are_kept_and_used_once(bench, person, org):
    crm = bench()
    for n in range(4):
        org.sign_in.expire()
        assert isinstance(crm.one(str(n), person(n)), Delivered)
    crm.restart()
    org.sign_in.expire()
    assert isinstance(crm.one("9", person(9)), Delivered)
    assert len(org.sign_in.used) == org.sign_in.refreshes == 5


def test_org_without_rotation_keeps_its_token(bench, person, org):
    org.rotate = False
    crm = bench()
    token = crm.sink._session.tokens().refresh_token
    # The first grant brings a refresh token even so.
    assert token
    org.sign_in.expire()
    assert isinstance(crm.one("1", person(1)), Delivered)
    assert crm.sink._session.tokens().refresh_token == token


@pytest.mark.parametrize("how", ["disconnect", "connect"])
def test_a_refresh_under_way_never_brings_an_ended_grant_back(bench, org, how):
    crm = bench()
    org.sign_in.expire()
    act = {"disconnect": crm.sink.disconnect, "connect": lambda: crm.sink.connect(crm.browser)}[how]
    refresh = lambda r: r.path.endswith("/token") and "refresh_token" in r.form().get("grant_type", "")  # noqa: E731
    # Whether the call itself still gets through before its session is ended is anybody's luck.
    late = [AuthError] if how == "disconnect" else []
    with meanwhile(org, crm.context, refresh, act), suppress(*late):
        crm.sink._client.limits()
    left = crm.sink._session.tokens()
    if how == "disconnect":
        assert left is None
        assert not org.sign_in.refresh_tokens, "no live token is left behind"
    else:
        assert left.refresh_token in org.sign_in.refresh_tokens
        assert isinstance(crm.sink._client.limits(), dict)


def test_threads_that_notice_together_refresh_once(bench, org):
    crm = bench()
    org.sign_in.expire()
    threads = [threading.Thread(target=crm.sink._client.limits) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert org.sign_in.refreshes == 1


def test_revoked_grant_asks_for_connect(bench, person, org):
    crm = bench()
    org.sign_in.expire()
    org.sign_in.refresh_tokens.clear()
    with pytest.raises(AuthError, match="synccore connect crm"):
        crm.one("1", person(1))


def test_token_endpoint_that_is_down_is_no_reason_to_connect_again(bench, person, org):
    crm = bench()
    org.sign_in.expire()
    org.fail_next(Fault.html(503, when=lambda r: r.path.endswith("/token")))
    with pytest.raises(Transient):
        crm.one("1", person(1))


def test_instance_url_is_read_from_every_token(bench, person, org):
    crm = bench()
    crm.sink.describe()
    with FakeSalesforce() as moved:
        moved.org = org.org
        moved.sign_in = org.sign_in
        org.instance_url = moved.url
        org.sign_in.expire()
        assert isinstance(crm.one("1", person(1)), Delivered)
        assert moved.count("PATCH") == 1


def test_instance_url_that_is_not_https_is_not_used(bench, person, org):
    crm = bench()
    org.instance_url = "http://evil.example"
    org.sign_in.expire()
    with pytest.raises(AuthError, match="instance_url"):
        crm.one("1", person(1))


class TestAnotherOrg:
    """Links mean something in one org only."""

    OTHER = "00D5e0000000099AAA"

    def test_a_sign_in_to_another_org_is_refused_and_given_back(self, bench, person, org):
        crm = bench()
        crm.one("1", person(1))
        mine, org.org.id = org.org.id, self.OTHER
        with pytest.raises(AnotherAccount, match="--switch-account") as refused:
            crm.sink.connect(crm.browser)
        assert all(i in refused.value.message for i in (mine, self.OTHER)), "both are named, for the operator"
        assert org_of(crm.sink._session.tokens()) == mine
        assert len(org.sign_in.refresh_tokens) == 1, "the fresh grant was revoked"

    def test_after_disconnecting_another_org_may_be_signed_in_to(self, bench, person, org):
        crm = bench()
        crm.one("1", person(1))
        crm.sink.disconnect()
        org.org.id = self.OTHER
        assert crm.sink.connect(crm.browser).id == self.OTHER

    def test_nothing_is_written_when_the_org_changes_under_a_session(self, bench, person, org):
        crm = bench(auth="client_credentials")
        crm.one("1", person(1))
        org.org.id = self.OTHER
        org.sign_in.expire()
        before = org.count("PATCH")
        for _ in range(2):
            with pytest.raises(AnotherAccount, match="--switch-account"):
                crm.one("2", person(2))
        with pytest.raises(AnotherAccount, match="--switch-account"):
            crm.sink.check()
        with pytest.raises(AnotherAccount, match="--switch-account"):
            crm.sink.account()
        assert org.count("PATCH") == before + 1, "refused after the session was tried, and nothing carried out"
        assert len(org.records("Contact")) == 1

    @pytest.mark.parametrize("setting", ["login_url", "client_id", "auth", "username"])
    def test_stored_tokens_serve_the_settings_they_were_asked_for(self, bench, person, org, make_org, setting):
        crm = bench()
        crm.one("1", person(1))
        second = make_org()
        changed = {"login_url": second.url, "client_id": "another", "auth": "web", "username": "who@shop.test"}
        crm.config = evolve(crm.config, **{setting: changed[setting]})
        if setting == "auth":
            crm.config = evolve(crm.config, auth="client_credentials")
        crm.restart()
        before = len(org.requests)
        if setting == "auth":
            # Asks for a token of its own, at the same org: nothing is in the way.
            assert isinstance(crm.one("1", person(1, FirstName="Anna")), Delivered)
            return
        with pytest.raises(AuthError, match="run synccore connect crm"):
            crm.one("1", person(1, FirstName="Anna"))
        assert len(org.requests) == before
        assert second.requests == []


class TestDisconnect:
    """Revoke and wipe."""

    def test_revokes_and_wipes(self, bench, person, org):
        crm = bench()
        text = crm.sink.disconnect()
        assert "revoked" in text
        assert not org.sign_in.refresh_tokens
        assert crm.context.vault.secrets == {}
        with pytest.raises(AuthError, match="synccore connect"):
            crm.one("1", person(1))

    def test_keeps_the_grant_where_asked(self, bench, org):
        crm = bench()
        crm.sink.disconnect(keep_grant=True)
        assert org.sign_in.refresh_tokens
        assert crm.context.vault.secrets == {}

    def test_says_so_where_salesforce_cannot_be_told(self, bench, org):
        crm = bench()
        org.fail_next(Fault.html(503))
        assert "could not be told" in crm.sink.disconnect()
        assert crm.context.vault.secrets == {}


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class TestServerFlows:
    """JWT bearer and client credentials."""

    @pytest.fixture
    def jwt(self, key, bench, org):
        org.public_key = (
            key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return lambda **config: bench(
            auth="jwt", username=config.pop("username", org.username), private_key=Secret(pem.decode()), **config
        )

    def test_jwt_signs_in_and_signs_again_after_expiry(self, jwt, person, org):
        crm = jwt()
        assert isinstance(crm.one("1", person(1)), Delivered)
        org.sign_in.expire()
        assert isinstance(crm.one("2", person(2)), Delivered)
        assertions = [r.form()["assertion"] for r in org.requests if r.path.endswith("/token")]
        assert len(assertions) == 2

    def test_jwt_works_without_connect(self, jwt, person):
        assert isinstance(jwt(connect=False).one("1", person(1)), Delivered)

    def test_user_that_did_not_approve_the_app(self, jwt):
        with pytest.raises(AuthError, match="approved this consumer"):
            jwt(username="other@shop.test")

    def test_bad_key_is_a_config_error(self, bench, org):
        with pytest.raises(ConfigError, match="private_key"):
            bench(auth="jwt", username=org.username, private_key=Secret("no key"))

    def test_client_credentials(self, bench, person, org):
        crm = bench(auth="client_credentials")
        org.sign_in.expire()
        assert isinstance(crm.one("1", person(1)), Delivered)

    @pytest.mark.parametrize("auth", ["jwt", "client_credentials"])
    def test_missing_settings_are_named(self, bench, auth):
        with pytest.raises(ConfigError, match="needs"):
            bench(auth=auth, client_secret=None)


def test_refusals_at_sign_in_say_what_they_mean(bench, org):
    crm = bench()
    body = {"error": "invalid_client_id", "error_description": "client identifier invalid"}
    org.fail_next(Fault.status(400, body, when=lambda r: r.path.endswith("/token")))
    with pytest.raises(AuthError, match="some minutes"):
        crm.sink.connect(crm.browser)


class TestConfig:
    """Addresses and checks of settings."""

    @pytest.mark.parametrize(
        ("environment", "url", "audience"),
        [
            ("production", "https://login.salesforce.com", "https://login.salesforce.com"),
            ("sandbox", "https://test.salesforce.com", "https://test.salesforce.com"),
            ("acme.my.salesforce.com", "https://acme.my.salesforce.com", "https://login.salesforce.com"),
            ("https://acme--qa.sandbox.my.salesforce.com/", "https://acme--qa.sandbox.my.salesforce.com",
             "https://test.salesforce.com"),
        ],
    )  # fmt: skip
    def test_hosts(self, environment, url, audience):
        config = Config(environment=environment, client_id="x")
        assert (config.base_url, config.audience) == (url, audience)

    @pytest.mark.parametrize(
        ("setting", "value", "text"),
        [
            ("environment", "acme.lightning.force.com", "acme.my.salesforce.com"),
            ("environment", "prod", "production, sandbox"),
            ("environment", "my.salesforce.com.evil.example", "My Domain"),
            ("login_url", "http://login.example", "https"),
            ("api_version", "67", "67.0"),
            ("api_version", "45.0", "too old"),
            ("api_share", 1.5, "share"),
            ("bulk_threshold", 0, "1 or more"),
        ],
    )
    def test_mistakes_are_explained(self, setting, value, text):
        with pytest.raises(ValueError, match=text):
            Config(client_id="x", **{setting: value})

    def test_client_credentials_need_a_my_domain(self):
        config = Config(client_id="x", client_secret=Secret("s"), auth="client_credentials")
        with pytest.raises(ConfigError, match="My Domain"):
            config.require_complete()
        evolve(config, environment="acme.my.salesforce.com").require_complete()
