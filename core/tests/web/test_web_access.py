"""Who may look at the dashboard."""

from datetime import timedelta

import pytest

from synccore._web.sessions import COOKIE, Sessions
from synccore.testing import FakeClock


@pytest.fixture
def locked(open_site):
    return open_site(dashboard_password="open sesame", public_url="https://sync.example.com")


def test_loopback_without_a_password_shows_the_page(open_site):
    answer = open_site().visitor().get("/")
    assert answer.status == 200
    assert "Log out" not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "localhost.evil.example"])
def test_another_host_name_is_refused_on_loopback(open_site, host):
    assert open_site().visitor().get("/", Host=host).status == 403


@pytest.mark.parametrize("host", ["127.0.0.1:8484", "localhost", "[::1]:80", "LOCALHOST:1"])
def test_own_host_names_are_accepted(open_site, host):
    assert open_site().visitor().get("/", Host=host).status == 200


def test_a_proxy_shows_nothing_until_a_password_is_set(open_site, locked):
    bare = open_site()
    assert "dashboard_password" in bare.visitor().get("/", X_Forwarded_For="203.0.113.9").text
    assert bare.visitor().get("/", X_Forwarded_For="203.0.113.9").status == 403
    assert locked.visitor().get("/login", X_Forwarded_For="203.0.113.9", Host="sync.example.com").status == 200


@pytest.mark.parametrize("path", ["/", "/plugins/crm", "/plugins/shop?play=1"])
def test_a_password_hides_every_page(locked, path):
    answer = locked.visitor().get(path)
    assert answer.status == 303
    assert answer.headers["location"].endswith("login")
    assert "crm" not in answer.text


def test_logging_in_and_out(locked):
    visitor = locked.visitor()
    assert visitor.login("wrong").status == 401
    assert visitor.get("/").status == 303
    answer = visitor.login("open+sesame")
    assert (answer.status, answer.headers["location"]) == (303, "./")
    assert visitor.get("/").status == 200
    assert visitor.get("/login").status == 303
    cookie = dict(visitor.cookies)
    assert visitor.post("/logout", f"token={visitor.token('/')}").status == 303
    visitor.cookies = cookie
    assert visitor.get("/").status == 303, "a logged-out cookie still works"


def test_the_cookie_is_out_of_reach(locked):
    visitor = locked.visitor()
    before = visitor.get("/login") and visitor.cookies[COOKIE]
    visitor.login("open+sesame")
    assert visitor.cookies[COOKIE] != before, "the name known before the login lives on"
    for word in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert word in visitor.set_cookie
    assert "Secure" not in visitor.set_cookie
    public = locked.visitor()
    public.get("/login", Host="sync.example.com")
    assert "Secure" in public.set_cookie


@pytest.mark.parametrize("path", ["/login", "/logout", "/connect/crm"])
def test_a_form_made_elsewhere_is_refused(locked, path):
    visitor = locked.visitor()
    visitor.login("open+sesame")
    assert visitor.post(path, "password=open+sesame").status == 403
    assert visitor.post(path, "token=" + "0" * 64).status == 403
    token = visitor.token("/")
    assert visitor.post(path, f"token={token}", Origin="https://evil.example").status == 403
    assert visitor.get("/").status == 200


def test_another_visitors_token_does_not_fit(locked):
    other = locked.visitor().token("/login")
    visitor = locked.visitor()
    visitor.get("/login")
    assert visitor.post("/login", f"token={other}&password=open+sesame").status == 403


def test_guessing_is_slowed_down(locked):
    visitor = locked.visitor()
    for _ in range(5):
        assert visitor.login("guess").status == 401
    answer = visitor.login("open+sesame")
    assert (answer.status, answer.headers["retry-after"]) == (429, "3")
    locked.house.clock.advance(timedelta(seconds=3))
    assert visitor.login("guess").status == 401
    locked.house.clock.advance(timedelta(seconds=3))
    assert visitor.login("open+sesame").status == 429, "the wait does not grow"
    locked.house.clock.advance(timedelta(seconds=3))
    assert visitor.login("open+sesame").status == 303


def test_a_session_ends_by_itself():
    clock = FakeClock()
    sessions = Sessions(clock, "open sesame")
    name = sessions.login("open sesame")
    assert sessions.allowed(name)
    clock.advance(timedelta(hours=13))
    assert not sessions.allowed(name)


def test_sessions_are_bounded():
    sessions = Sessions(FakeClock(), "open sesame")
    first = sessions.login("open sesame")
    for _ in range(1000):
        sessions.login("open sesame")
    assert not sessions.allowed(first)
    assert sessions.login("") is None
