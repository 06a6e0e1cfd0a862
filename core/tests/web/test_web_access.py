"""Who may look at the dashboard."""

from datetime import timedelta

import pytest

from synccore._web.sessions import COOKIE, DEVICE, Sessions
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


@pytest.mark.parametrize(
    "sign",
    [
        {"X_Forwarded_For": "203.0.113.9"},
        {"X_Real_IP": "203.0.113.9"},
        {"Via": "1.1 proxy"},
        {"Forwarded": "for=203.0.113.9"},
        {"CF_Connecting_IP": "203.0.113.9"},
        {"X_Forwarded_Proto": "https"},
    ],
    ids=str,
)
def test_any_sign_of_a_proxy_closes_a_house_without_a_password(open_site, sign):
    assert open_site().visitor().get("/", **sign).status == 403


def test_a_public_address_closes_a_house_without_a_password(open_site):
    """A proxy that rewrites Host and adds no header looks like this machine's own browser."""
    answer = open_site(public_url="https://sync.example.com").visitor().get("/")
    assert (answer.status, "dashboard_password" in answer.text) == (403, True)


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("https://sync.example.com", None, 401),
        ("https://sync.example.com:443", None, 401),
        ("https://SYNC.example.com", "127.0.0.1:8484", 401),
        ("http://localhost:8484", "localhost:8484", 401),
        ("http://sync.example.com", "127.0.0.1", 403),
        ("https://sync.example.com:8443", None, 403),
        ("http://localhost:9999", "localhost:8484", 403),
        ("null", None, 403),
        ("", None, 403),
        ("https://evil.example", None, 403),
        ("https://[", None, 403),
    ],
)
def test_forms_come_from_the_public_address_or_the_one_asked(locked, origin, host, status):
    visitor = locked.visitor()
    form = f"token={visitor.token('/login')}&password=wrong"
    assert visitor.post("/login", form, Origin=origin, **({"Host": host} if host else {})).status == status


def test_a_form_that_hides_where_it_comes_from_is_refused_without_a_public_address_too(open_site):
    visitor = open_site(dashboard_password="open sesame").visitor()
    assert visitor.post("/login", f"token={visitor.token('/login')}&password=wrong", Origin="null").status == 403


def guess(visitor, times, **headers):
    return [
        visitor.post("/login", f"token={visitor.token('/login')}&password=guess", **headers).status
        for _ in range(times)
    ][-1]


def test_behind_a_trusted_proxy_everybody_waits_for_himself(open_site):
    site = open_site(
        dashboard_password="open sesame",
        public_url="https://sync.example.com",
        trusted_proxies=["127.0.0.0/8", "10.1.1.1"],
    )
    assert guess(site.visitor(), 6, X_Forwarded_For="203.0.113.9") == 429
    assert guess(site.visitor(), 1, X_Forwarded_For="198.51.100.1, 203.0.113.9, 10.1.1.1") == 429, (
        "the rightmost stranger"
    )
    assert guess(site.visitor(), 1, X_Forwarded_For="203.0.113.9, 198.51.100.1") == 401, "what stands left is hearsay"
    assert guess(site.visitor(), 6, X_Forwarded_For="2001:db8:1:1::1") == 429
    assert guess(site.visitor(), 1, X_Forwarded_For="2001:db8:1:1:ffff::2") == 429, "the same line"
    assert guess(site.visitor(), 1, X_Forwarded_For="2001:db8:1:2::1") == 401


def test_nobody_else_is_believed(locked):
    for number in range(6):
        last = guess(locked.visitor(), 1, X_Forwarded_For=f"203.0.113.{number}")
    assert last == 429


def test_who_guesses_cannot_lock_the_owner_out(locked):
    owner, stranger = locked.visitor(), locked.visitor()
    owner.login("open+sesame")
    owner.cookies.pop(COOKIE)
    assert guess(stranger, 50) == 429
    assert owner.login("open+sesame").status == 303, "the owner's browser is known"
    assert DEVICE in owner.cookies
    thief = locked.visitor()
    thief.cookies[DEVICE] = owner.cookies[DEVICE]
    assert guess(thief, 6) == 429, "a known browser may not guess either"
    thief.cookies[DEVICE] = "made.up"
    assert guess(thief, 1) == 429


def test_a_known_browser_outlives_a_restart_and_ends_with_the_password():
    cookie = Sessions(FakeClock(), "open sesame").new_device()
    assert Sessions(FakeClock(), "open sesame").known_device(cookie)
    assert not Sessions(FakeClock(), "another").known_device(cookie)
    for made_up in (None, "", ".", "x", "x.y", "\u20ac.\u20ac", cookie[:-1]):
        assert not Sessions(FakeClock(), "open sesame").known_device(made_up)


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
    assert "Secure" in visitor.set_cookie, "the public address is https, whatever the proxy makes of Host"


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
