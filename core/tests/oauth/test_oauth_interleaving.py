"""A refresh and the end or the exchange of a grant at the same time: whoever is last, the person's word stands."""

from datetime import timedelta

import pytest
from attrs import evolve

from synccore.errors import AuthError
from synccore.oauth import OAuth, Tokens
from synccore.testing import FakeClock, FakeContext, LoopbackServer, Reply, meanwhile


class TwoAccounts(LoopbackServer):
    """Grants of two accounts; the access token says whose it is. Knows which refresh tokens live."""

    def __init__(self):
        self.live = {"old-refresh"}
        self.issued = 0
        super().__init__()

    def handle(self, request):
        form = request.form()
        if request.path == "/revoke":
            self.live.discard(form["token"])
            return Reply(200, {})
        self.issued += 1
        if form["grant_type"] == "authorization_code":
            self.live.add("new-refresh")
            return Reply(200, {"access_token": f"new-{self.issued}", "refresh_token": "new-refresh"})
        if form["refresh_token"] not in self.live:
            return Reply(400, {"error": "invalid_grant"})
        account = form["refresh_token"].split("-")[0]
        return Reply(200, {"access_token": f"{account}-{self.issued}"})


class Person:
    """Agrees at once."""

    def authorize(self, build_url, *, host="127.0.0.1", port=0, path="/"):
        state = build_url("http://127.0.0.1:1").split("state=")[1].split("&")[0]
        return "http://127.0.0.1:1", {"state": state, "code": "c"}

    def say(self, text):
        raise AssertionError(text)


class Stage:
    def __init__(self, server):
        self.server = server
        self.context = FakeContext("crm", "crm", clock=FakeClock())
        self.oauth, self.daemon = (self._open() for _ in range(2))
        self.oauth.store(
            Tokens(
                access_token="old-0",
                refresh_token="old-refresh",
                expires_at=self.context.clock.now() + timedelta(hours=1),
            )
        )

    def _open(self):
        return OAuth(
            self.context,
            auth_url=f"{self.server.url}/authorize",
            token_url=f"{self.server.url}/token",
            revoke_url=f"{self.server.url}/revoke",
            client_id="me",
        )

    def refresh(self):
        """What a delivery does after a 401."""
        try:
            self.daemon.valid(rejected="old-0")
        except AuthError as error:
            assert "not connected" in error.message  # noqa: PT017  the one refusal that may happen

    def switch(self):
        self.oauth.store(self.oauth.connect(Person()))

    def end(self):
        self.oauth.end()

    def keep_grant(self):
        self.oauth.end(keep_grant=True)

    def expect(self, how):
        tokens = self.oauth.tokens()
        if how == "switch":
            assert tokens.refresh_token == "new-refresh"
            assert tokens.access_token.startswith("new-")
        else:
            assert tokens is None
            assert self.context.vault.secrets == {}


@pytest.fixture
def stage():
    with TwoAccounts() as server:
        stage = Stage(server)
        yield stage
        stage.oauth.close()
        stage.daemon.close()


def is_refresh(request):
    return request.form().get("grant_type") == "refresh_token"


def is_change(request):
    return request.path == "/revoke" or request.form().get("grant_type") == "authorization_code"


CHANGES = ["switch", "end", "keep_grant"]


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("order", [("refresh", "change"), ("change", "refresh")])
def test_one_after_the_other(stage, how, order):
    for step in order:
        getattr(stage, how if step == "change" else step)()
    stage.expect(how)


@pytest.mark.parametrize("how", CHANGES)
def test_the_change_comes_in_the_middle_of_a_refresh(stage, how):
    with meanwhile(stage.server, stage.context, is_refresh, getattr(stage, how)) as change:
        stage.refresh()
    assert change.ran
    assert change.error is None
    stage.expect(how)


@pytest.mark.parametrize("how", ["switch", "end"])
def test_the_refresh_comes_in_the_middle_of_the_change(stage, how):
    with meanwhile(stage.server, stage.context, is_change, stage.refresh) as refresh:
        getattr(stage, how)()
    assert refresh.ran
    assert refresh.error is None
    stage.expect(how)


def test_ending_a_grant_that_was_refreshed_meanwhile_ends_the_one_that_lives(stage):
    """With rotation the token known before the refresh is dead: revoking it would leave a live one."""
    handle = stage.server.handle

    def rotating(request):
        reply = handle(request)
        if is_refresh(request) and reply.status == 200:
            stage.server.live = {"old-refresh-2"}
            return Reply(200, {**reply.body, "refresh_token": "old-refresh-2"})
        return reply

    stage.server.handle = rotating
    with meanwhile(stage.server, stage.context, is_refresh, stage.end):
        stage.refresh()
    assert stage.server.live == set()
    stage.expect("end")


def test_a_fresh_grant_that_is_not_wanted_is_revoked_and_the_stored_one_stays(stage):
    before = stage.oauth.tokens()
    fresh = stage.oauth.connect(Person())
    assert stage.oauth.revoke(fresh) is None
    assert stage.server.live == {"old-refresh"}
    assert stage.oauth.tokens() == before


def test_what_is_stored_beside_the_tokens_changes_with_them(stage):
    """A plugin that keeps whose tokens they are does both under `held`: nobody sees the one without the other."""
    seen = []

    def reader():
        with stage.daemon.held():
            seen.append((stage.daemon.tokens().access_token, stage.context.vault.get("account")))

    def both():
        with stage.oauth.held():
            stage.oauth.store(evolve(stage.oauth.tokens(), access_token="new-9"))
            stage.oauth.revoke(stage.oauth.tokens())
            stage.context.vault.put("account", "new")

    with meanwhile(stage.server, stage.context, is_change, reader) as other:
        both()
    assert other.waited
    assert seen == [("new-9", "new")]
