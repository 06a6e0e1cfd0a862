"""Tokens: one refresh however many notice, stored before they are used, refusals told apart from outages."""

import json
import threading
from contextlib import closing
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from synccore.errors import AuthError, ConfigError, Transient
from synccore.http import SECONDS, Shape
from synccore.oauth import OAuth, TokenError, Tokens
from synccore.testing import FakeClock, FakeContext, Fault, LoopbackServer, Reply


class TokenServer(LoopbackServer):
    """Rotates refresh tokens: an old one used again is refused."""

    def __init__(self):
        self.refresh = "r0"
        self.codes = set()
        self.issued = 0
        super().__init__()

    def handle(self, request):
        form = request.form()
        if request.path == "/revoke":
            return Reply(200, {})
        if form.get("grant_type") == "authorization_code":
            if form["code"] not in self.codes:
                return Reply(400, {"error": "invalid_grant", "error_description": "Bad code."})
            return self.give()
        if form.get("refresh_token") != self.refresh:
            return Reply(400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."})
        return self.give()

    def give(self):
        self.issued += 1
        self.refresh = f"r{self.issued}"
        return Reply(
            200,
            {"access_token": f"a{self.issued}", "refresh_token": self.refresh, "expires_in": 3600, "scope": "x y"},
        )


class Person:
    """Lands where the vendor sends them, with what the test says."""

    def __init__(self, **params):
        self.params = params

    def authorize(self, build_url, *, host="127.0.0.1", port=0, path="/"):
        self.url = build_url(f"http://{host}:1234{path}")
        asked = {k: v[0] for k, v in parse_qs(urlsplit(self.url).query).items()}
        return asked["redirect_uri"], {"state": asked["state"], **self.params}

    def say(self, text):
        raise AssertionError(text)


@pytest.fixture
def server():
    with TokenServer() as running:
        yield running


@pytest.fixture
def context():
    return FakeContext("crm", "crm", clock=FakeClock())


@pytest.fixture
def oauth(server, context):
    client = OAuth(
        context,
        auth_url=f"{server.url}/authorize",
        token_url=f"{server.url}/token",
        revoke_url=f"{server.url}/revoke",
        client_id="me",
        client_secret=lambda: "secret",
        scopes=("x",),
    )
    yield client
    client.close()


def connected(oauth, context):
    oauth.store(Tokens(access_token="a0", refresh_token="r0", expires_at=context.clock.now() + timedelta(hours=1)))


def test_consent_asks_with_pkce_and_state(server, oauth):
    server.codes.add("c")
    person = Person(code="c")
    tokens = oauth.connect(person)
    asked = {k: v[0] for k, v in parse_qs(urlsplit(person.url).query).items()}
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43
    assert tokens.scopes == {"x", "y"}
    sent = server.requests[-1].form()
    assert len(sent["code_verifier"]) >= 43
    assert sent["client_secret"] == "secret"


@pytest.mark.parametrize(
    "params", [{"code": "c", "state": "other"}, {"error": "access_denied"}, {}, {"code": "unknown"}]
)
def test_a_broken_return_is_an_auth_error(oauth, params):
    with pytest.raises(AuthError):
        oauth.connect(Person(**params))


def test_a_token_that_lives_is_used_as_it_is(server, oauth, context):
    connected(oauth, context)
    assert oauth.valid().access_token == "a0"
    assert server.requests == []


def test_a_token_near_its_end_is_refreshed_and_stored(server, oauth, context):
    connected(oauth, context)
    context.clock.advance(timedelta(minutes=59, seconds=30))
    assert oauth.valid().access_token == "a1"
    assert oauth.tokens().refresh_token == "r1"


def test_twenty_threads_that_notice_together_refresh_once(server, oauth, context):
    connected(oauth, context)
    barrier = threading.Barrier(20)
    seen = []

    def use():
        barrier.wait(10)
        seen.append(oauth.valid(rejected="a0").access_token)

    threads = [threading.Thread(target=use) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert seen == ["a1"] * 20
    assert server.count("POST", "/token") == 1


def test_a_revoked_grant_asks_to_connect_again(server, oauth, context):
    connected(oauth, context)
    server.refresh = "another"
    with pytest.raises(TokenError, match="synccore connect crm") as refused:
        oauth.valid(rejected="a0")
    assert refused.value.code == "invalid_grant"


@pytest.mark.parametrize("fault", [Fault.status(503), Fault.html(502), Fault.status(429), Fault.reset()])
def test_a_token_endpoint_that_is_away_is_no_reason_to_connect_again(server, oauth, context, fault):
    connected(oauth, context)
    server.fail_next(fault)
    with pytest.raises(Transient):
        oauth.valid(rejected="a0")
    assert oauth.valid(rejected="a0").access_token == "a1"


def test_an_address_that_is_no_token_endpoint_is_a_mistake_in_the_configuration(server, oauth, context):
    connected(oauth, context)
    server.fail_next(Fault.html(404))
    with pytest.raises(ConfigError, match="no token endpoint"):
        oauth.valid(rejected="a0")


def test_nobody_connected_yet(oauth):
    with pytest.raises(AuthError, match="not connected"):
        oauth.valid()


def test_revoking_tells_what_kept_it_from_working(server, oauth, context):
    connected(oauth, context)
    assert oauth.revoke() is None
    server.fail_next(Fault.status(400, {"error": "invalid_token"}), Fault.status(503))
    assert oauth.revoke() is None
    assert "503" in oauth.revoke()
    oauth.forget()
    assert oauth.tokens() is None


def test_tokens_do_not_show_themselves(oauth, context):
    connected(oauth, context)
    assert "a0" not in repr(oauth.tokens())
    assert "r0" not in repr(oauth.tokens())


@pytest.mark.parametrize(
    "body",
    [
        *(None, [], "a1", {}, {"access_token": None}, {"access_token": ""}, {"access_token": ["a1"]}),
        *({"access_token": "a1\n"}, {"access_token": "ä"}, {"access_token": "a1", "expires_in": "soon"}),
        *({"access_token": "a1", "expires_in": value} for value in ([], {}, True, -1, 10**30, 1e308, "")),
        *({"access_token": "a1", "refresh_token": 7}, {"access_token": "a1", "scope": {}}),
    ],
)
def test_an_answer_without_usable_tokens_is_tried_again(server, oauth, context, body):
    """It is no reason to connect again, and what is stored stays."""
    connected(oauth, context)
    server.fail_next(Fault.status(200, json.dumps(body).encode()))
    with pytest.raises(Transient, match="answered without tokens: "):
        oauth.valid(rejected="a0")
    assert oauth.tokens().access_token == "a0"


def test_what_a_plugin_looks_at_beside_the_tokens_has_its_shape_too(server, context):
    with closing(
        OAuth(
            context, auth_url="", token_url=f"{server.url}/token", revoke_url=None, client_id="me",
            extra=Shape({"ends_in?": SECONDS}), grant=lambda: {"grant_type": "client_credentials"},
        )
    ) as oauth:  # fmt: skip
        server.fail_next(Fault.status(200, {"access_token": "a1", "ends_in": []}))
        with pytest.raises(Transient, match="answered without tokens: ends_in is a list"):
            oauth.valid()


@pytest.mark.parametrize("scope", ["x y", ["x", "y"]])
def test_scopes_are_a_text_or_a_list(server, oauth, context, scope):
    connected(oauth, context)
    server.fail_next(Fault.status(200, {"access_token": "a1", "expires_in": "3600", "scope": scope}))
    assert oauth.valid(rejected="a0").scopes == {"x", "y"}


@pytest.mark.parametrize("body", [[], 7, {"error": {"code": 400}}, {"error": None}, {"error": ["invalid_grant"]}])
def test_a_refusal_without_a_word_of_the_token_endpoint_ends_no_connection(server, oauth, context, body):
    connected(oauth, context)
    server.fail_next(Fault.status(403, body))
    with pytest.raises(Transient):
        oauth.valid(rejected="a0")
