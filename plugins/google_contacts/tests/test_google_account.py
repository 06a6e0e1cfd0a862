"""Connecting, staying connected, and the end of a connection."""

import json
import threading
from contextlib import contextmanager, suppress
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google_help import Rig, person_fields

from synccore.errors import AuthError, ConfigError, Transient
from synccore.secrets import Secret
from synccore.testing import FakeContext, Fault, meanwhile
from synccore.types import Delivered, Failed
from synccore_google_contacts.account import CONTACTS_SCOPE
from synccore_google_contacts.config import Config
from synccore_google_contacts.sink import GoogleContacts
from synccore_google_contacts.testing import AutoBrowser
from synccore_google_contacts.testing.signin import EMAIL, PROFILE


@pytest.fixture
def fresh(rigs):
    return rigs(connect=False)


def test_connect_shows_the_account_and_asks_for_the_least(fresh):
    account = fresh.sink.connect(AutoBrowser())
    assert (account.id, account.label, account.detail) == ("1001", "owner@shop.test", "Olive Owner")
    asked = parse_qs(urlsplit(next(r.target for r in fresh.google.requests if "/auth" in r.path)).query)
    assert asked["access_type"] == ["offline"]
    assert asked["prompt"] == ["consent"]
    assert asked["code_challenge_method"] == ["S256"]
    assert "include_granted_scopes" not in asked
    assert not [s for s in asked["scope"][0].split() if "drive" in s or "other" in s]
    assert isinstance(fresh.put(1, **person_fields(1)), Delivered)


def test_a_person_who_refuses_leaves_nothing_stored(fresh):
    fresh.google.sign_in.refuses = True
    with pytest.raises(AuthError, match="access_denied"):
        fresh.sink.connect(AutoBrowser())
    assert fresh.context.vault.secrets == {}


def test_contacts_unticked_on_the_consent_screen_is_refused(fresh):
    fresh.google.sign_in.unticked = {CONTACTS_SCOPE}
    with pytest.raises(AuthError, match="box for contacts"):
        fresh.sink.connect(AutoBrowser())
    assert fresh.context.vault.secrets == {}


def test_contacts_ticked_and_the_address_unticked_is_said_as_it_is(fresh):
    fresh.google.sign_in.unticked = {"openid", EMAIL, PROFILE}
    with pytest.raises(AuthError, match="permission to see the e-mail address") as refused:
        fresh.sink.connect(AutoBrowser())
    assert "manage contacts" not in str(refused.value)
    assert fresh.context.vault.secrets == {}


def test_an_account_that_shows_no_address_is_known_by_its_name(fresh):
    fresh.google.sign_in.unticked = {EMAIL}
    account = fresh.sink.connect(AutoBrowser())
    assert (account.id, account.label) == ("1001", "Olive Owner")


def test_a_connect_that_is_refused_gives_the_fresh_grant_back(rig):
    sign_in, first = rig.google.sign_in, set(rig.google.sign_in.refresh)
    sign_in.person = {"id": "2002", "email": "other@shop.test", "name": "Other"}
    with pytest.raises(AuthError, match="another account"):
        rig.sink.connect(AutoBrowser())
    assert {token: grant.ended for token, grant in sign_in.refresh.items()} == {
        token: token not in first for token in sign_in.refresh
    }
    assert isinstance(rig.put(1, **person_fields(1)), Delivered)


def test_a_refused_connect_of_an_account_in_use_ends_nothing(rig):
    """Revoking ends every grant of the project for that account: the connection that works would be gone."""
    rig.google.sign_in.unticked = {CONTACTS_SCOPE}
    with pytest.raises(AuthError, match="box for contacts"):
        rig.sink.connect(AutoBrowser())
    assert rig.google.count("POST", "/revoke") == 0
    assert isinstance(rig.put(1, **person_fields(1)), Delivered)


# -- a refresh at the same time


def is_refresh(request):
    return request.path == "/token" and request.form().get("grant_type") == "refresh_token"


def switch(rig):
    rig.sink.disconnect(keep_grant=True)
    rig.google.sign_in.person = {"id": "2002", "email": "other@shop.test", "name": "Other"}
    rig.sink.connect(AutoBrowser())


def asks(rig):
    """A check of another process, which holds no lock of the account."""
    with suppress(AuthError):
        rig.open().check()


def stored(rig):
    """Whom the stored access token belongs to by Google's own record; None where none is stored."""
    text = rig.context.vault.secrets.get("oauth")
    grant = rig.google.sign_in.grant_of(json.loads(text)["access_token"]) if text else None
    return grant.user if grant else None


@pytest.mark.parametrize("order", ["refresh-first", "switch-first", "in-the-middle"])
def test_a_refresh_never_brings_the_old_account_back(rig, order):
    rig.google.sign_in.expire_tokens()
    if order == "refresh-first":
        asks(rig)
        switch(rig)
    elif order == "switch-first":
        switch(rig)
        asks(rig)
    else:
        with meanwhile(rig.google, rig.context, is_refresh, lambda: switch(rig)) as other:
            asks(rig)
        assert other.error is None
    assert stored(rig) == "2002"
    assert rig.open().check().account.id == "2002"


def test_a_refresh_in_the_middle_of_the_new_consent_brings_nothing_back(rig):
    rig.google.sign_in.expire_tokens()
    rig.sink.disconnect(keep_grant=True)
    rig.google.sign_in.person = {"id": "2002", "email": "other@shop.test", "name": "Other"}
    with meanwhile(rig.google, rig.context, lambda r: r.path == "/token", lambda: asks(rig)) as other:
        rig.sink.connect(AutoBrowser())
    assert other.ran
    assert stored(rig) == "2002"


@pytest.mark.parametrize("keep_grant", [True, False])
@pytest.mark.parametrize("middle_of", ["refresh", "disconnect"])
def test_no_token_survives_a_disconnect(rig, keep_grant, middle_of):
    rig.google.sign_in.expire_tokens()

    def leave():
        rig.sink.disconnect(keep_grant=keep_grant)

    if middle_of == "refresh":
        with meanwhile(rig.google, rig.context, is_refresh, leave) as other:
            asks(rig)
        assert other.error is None
    elif not keep_grant:
        with meanwhile(rig.google, rig.context, lambda r: r.path == "/revoke", lambda: asks(rig)):
            leave()
    else:
        leave()
        asks(rig)
    assert rig.context.vault.secrets == {}
    assert keep_grant or all(g.ended for g in rig.google.sign_in.refresh.values())


def test_a_wrong_client_secret_is_a_matter_of_configuration(rigs):
    rig = rigs(connect=False, client_secret="wrong")
    with pytest.raises(ConfigError, match="invalid_client"):
        rig.sink.connect(AutoBrowser())


def test_reconnecting_as_another_account_is_refused_and_changes_nothing(rig):
    before = dict(rig.context.vault.secrets)
    rig.google.sign_in.person = {"id": "2002", "email": "other@shop.test", "name": "Other"}
    with pytest.raises(AuthError, match="another account") as refused:
        rig.sink.connect(AutoBrowser())
    assert "owner@shop.test" in refused.value.message
    assert "other@shop.test" in refused.value.message
    assert rig.context.vault.secrets == before
    rig.sink.disconnect(keep_grant=True)
    assert rig.sink.connect(AutoBrowser()).id == "2002"


def test_tokens_of_another_account_write_nothing(rig):
    """However they came there: a restored file, a secret put in by hand."""
    rig.put(1, **person_fields(1))
    other = FakeContext("other", "google_contacts", clock=rig.clock)
    rig.google.sign_in.person = {"id": "2002", "email": "other@shop.test", "name": "Other"}
    rig.open(other).connect(AutoBrowser())
    rig.context.vault.put("oauth", other.vault.get("oauth"))
    rig.google.written.clear()
    rig.sink = rig.open()
    with pytest.raises(AuthError, match=r"owner@shop.test.*other@shop.test.*--switch-account"):
        rig.put(2, **person_fields(2))
    assert rig.google.written == []
    assert rig.sink.account().id == "2002"


def test_what_is_on_its_way_when_the_account_changes_is_not_written_into_the_new_one(rig):
    lock, switched = rig.context.lock, []

    @contextmanager
    def waited_for(name):
        # The account is changed while a delivery waits for its turn.
        if name == "google:1001" and not switched:
            switched.append(True)
            rig.sink.disconnect(keep_grant=True)
            rig.google.sign_in.person = {"id": "2002", "email": "other@shop.test", "name": "Other"}
            rig.sink.connect(AutoBrowser())
        with lock(name):
            yield

    rig.context.lock = waited_for
    with pytest.raises(Transient, match="another account"):
        rig.deliver(rig.op(1, **person_fields(1)))
    assert rig.writes() == 0
    rig.deliver(rig.op(1, **person_fields(1)))
    assert rig.writes() > 0


def test_not_connected_names_the_command(fresh):
    with pytest.raises(AuthError, match="run synccore connect contacts"):
        fresh.sink.deliver([fresh.op(1, **person_fields(1))])
    with pytest.raises(AuthError, match="run synccore connect contacts"):
        fresh.sink.check()


def test_a_token_that_ran_out_is_renewed_unnoticed(rig):
    rig.put(1, **person_fields(1))
    rig.clock.advance(timedelta(hours=2))
    assert isinstance(rig.put(2, **person_fields(2)), Delivered)
    assert rig.google.count("POST", "/token") == 2


def test_a_token_google_refuses_is_renewed_once(rig):
    rig.put(1, **person_fields(1))
    rig.google.sign_in.expire_tokens()
    assert isinstance(rig.put(2, **person_fields(2)), Delivered)
    assert rig.google.count("POST", "/token") == 2


def test_whose_a_refused_token_is_asks_with_a_new_one(rig):
    """Asked before the first delivery of a process: nobody has to connect again because Google calls a token old."""
    known = rig.sink.check().account
    rig.google.sign_in.expire_tokens()
    assert rig.open().account() == known
    rig.google.sign_in.expire_tokens()
    assert rig.open().check().account == known


def test_refreshes_of_many_threads_are_one(rig):
    rig.put(1, **person_fields(1))
    rig.google.sign_in.expire_tokens()
    sinks = [rig.sink, *(rig.open() for _ in range(5))]
    threads = [threading.Thread(target=sink.check) for sink in sinks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert rig.google.count("POST", "/token") == 2


def test_access_taken_away_in_the_middle_loses_nothing_and_resumes_after_connect(rig):
    rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(3)])
    operations = [rig.op(n, **person_fields(n)) for n in range(3, 9)]
    create, made = rig.sink._client.create, []

    def revoked_after_two(person):
        if len(made) == 2:
            rig.google.sign_in.revoke_all()
        made.append(person)
        return create(person)

    rig.sink._client.create = revoked_after_two
    outcomes = rig.deliver(*operations)
    assert [type(o) for o in outcomes] == [Delivered] * 2 + [Failed] * 4
    assert all(isinstance(o.error, AuthError) for o in outcomes[2:])
    assert "synccore connect contacts" in outcomes[2].error.message
    rig.sink.connect(AutoBrowser())
    assert all(isinstance(o, Delivered) for o in rig.deliver(*operations[2:]))
    assert len(rig.google.contacts()) == 9


def test_a_token_endpoint_that_is_down_is_no_reason_to_connect_again(rig):
    rig.put(1, **person_fields(1))
    rig.clock.advance(timedelta(hours=2))
    rig.google.fail_next(Fault.status(503, when=lambda r: r.path == "/token"))
    with pytest.raises(Transient):
        rig.sink.deliver([rig.op(2, **person_fields(2))])
    assert isinstance(rig.put(2, **person_fields(2)), Delivered)


def test_an_app_in_testing_is_named_when_connecting_checking_and_ending(fresh):
    fresh.google.sign_in.testing = True
    browser = AutoBrowser()
    fresh.sink.connect(browser)
    assert any("2026-01-08" in text and "publish" in text for text in browser.said)
    assert any("publish" in f.message for f in fresh.sink.check().findings)
    fresh.clock.advance(timedelta(days=8))
    with pytest.raises(AuthError, match=r"in testing.*publish.*synccore connect contacts"):
        fresh.sink.deliver([fresh.op(1, **person_fields(1))])


def test_a_published_app_has_nothing_to_say(rig):
    assert rig.sink.check().findings == ()


def test_disconnect_revokes_and_wipes(rig):
    said = rig.sink.disconnect()
    assert "Revoked" in said
    assert rig.context.vault.secrets == {}
    assert all(g.ended for g in rig.google.sign_in.refresh.values())
    with pytest.raises(AuthError):
        rig.sink.check()
    assert "no connection" in rig.sink.disconnect()


def test_disconnect_can_keep_the_grant(rig):
    assert "stays" in rig.sink.disconnect(keep_grant=True)
    assert rig.context.vault.secrets == {}
    assert rig.google.count("POST", "/revoke") == 0


def test_disconnect_wipes_even_where_google_cannot_be_told(rig):
    rig.google.fail_next(Fault.status(503, when=lambda r: r.path == "/revoke"))
    assert "could not be told" in rig.sink.disconnect()
    assert rig.context.vault.secrets == {}


def test_revoking_waits_for_the_last_connection_of_the_account(rig):
    second = FakeContext("second", "google_contacts", clock=rig.clock)
    second._states = rig.context._states
    other = rig.open(second)
    other.connect(AutoBrowser())
    rig.put(1, **person_fields(1))
    assert "another sink uses the same account" in rig.sink.disconnect()
    assert rig.google.count("POST", "/revoke") == 0
    assert other.check().account.id == "1001"
    assert "Revoked" in other.disconnect()


# -- service accounts


@pytest.fixture(scope="module")
def key_pair():
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()  # fmt: skip
    key = {"type": "service_account", "client_email": "sync@project.test", "client_id": "117", "private_key": pem,
           "private_key_id": "k1"}  # fmt: skip
    return json.dumps(key), public


@pytest.fixture
def robot(rigs, key_pair):
    def make(service_account=key_pair[0], subject="owner@workspace.test", allowed=True):
        rig = rigs(connect=False, client_id=None, client_secret=None, service_account=service_account, subject=subject)
        rig.google.sign_in.service_key = key_pair[1]
        rig.google.sign_in.service_users = {"owner@workspace.test"} if allowed else set()
        return rig

    return make


def test_a_service_account_acts_for_its_subject_without_anybody_connecting(robot):
    rig = robot()
    assert isinstance(rig.put(1, **person_fields(1)), Delivered)
    assert rig.sink.check().account.label == "owner@workspace.test"
    rig.clock.advance(timedelta(hours=3))
    assert isinstance(rig.put(2, **person_fields(2)), Delivered)
    assert rig.sink.connect(AutoBrowser()).label == "owner@workspace.test"


def test_the_key_can_be_a_file(robot, tmp_path, key_pair):
    path = tmp_path / "key.json"
    path.write_text(key_pair[0])
    assert isinstance(robot(service_account=str(path)).put(1, **person_fields(1)), Delivered)


def test_missing_delegation_says_what_the_administrator_has_to_do(robot):
    rig = robot(allowed=False)
    with pytest.raises(ConfigError, match=r"administrator must allow client 117"):
        rig.sink.deliver([rig.op(1, **person_fields(1))])


def test_a_service_account_without_subject_would_write_where_nobody_looks(robot):
    with pytest.raises(ConfigError, match="subject"):
        robot(subject=None)


@pytest.mark.parametrize(
    "text",
    ["{broken", '{"client_email": "x"}', "/nowhere/key.json", '{"client_email": "x", "private_key": "no pem"}'],
)
def test_a_key_that_cannot_work_is_said_plainly(robot, text):
    with pytest.raises(ConfigError, match="service account"):
        robot(service_account=text).sink.check()


def test_neither_client_nor_service_account_is_a_configuration_error():
    with pytest.raises(ConfigError, match="client_id"):
        GoogleContacts(Config(), FakeContext("contacts", "google_contacts"))


def test_secrets_and_people_never_show(rig):
    rig.put(1, **person_fields(1))
    shown = repr(rig.sink._checker.config) + str(rig.context.log.events) + repr(rig.sink._connection._oauth.tokens())
    for secret in ("demo-secret", "ya29", "1//0e", "ann1@shop.test"):
        assert secret not in shown
    assert Secret("x") != Config(client_id="a").client_secret


def test_rigs_close():
    Rig(connect=False).close()
