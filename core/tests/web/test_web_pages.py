"""What the dashboard says, in every state."""

import re
import threading
from datetime import timedelta

import pytest

from synccore._verbs.parts.words import ago
from synccore._web.dashboard import described, view
from synccore.errors import AuthError
from synccore.secrets import Secret
from synccore.store import HistoryEntry
from synccore.testing import START
from synccore.types import Account


@pytest.fixture
def site(open_site):
    return open_site()


@pytest.mark.parametrize(
    ("state", "colour", "word"),
    [
        ("ok", "green", "ok"),
        ("paused", "amber", "paused"),
        ("rate_limited", "amber", "rate limited"),
        ("circuit_open", "amber", "circuit open"),
        ("needs_auth", "red", "needs auth"),
        ("error", "red", "error"),
    ],
)
def test_each_state_has_a_colour_and_a_word(site, state, colour, word, words):
    site.house.lane(state, "because of <b>this</b>")
    page = site.visitor().get("/")
    assert f'<li class="card {colour}">' in page.text
    assert word in words(page)
    assert "because of &lt;b&gt;this&lt;/b&gt;" in page.text


def test_the_headline_names_who_needs_somebody(site, words):
    assert "shop and crm need you" in words(site.visitor().get("/")), "nobody reached them yet"
    site.house.reached()
    assert "Everything works" in words(site.visitor().get("/"))
    site.house.park(3)
    assert "Working, with a note on crm" in words(site.visitor().get("/"))
    site.house.lane("error", name="source:shop")
    assert "shop needs you" in words(site.visitor().get("/"))


def test_who_needs_somebody_comes_first(site):
    site.house.reached()
    site.house.lane("needs_auth")
    page = site.visitor().get("/").text
    assert page.index("plugins/crm") < page.index("plugins/shop")


def test_an_old_debt_is_amber(site, words):
    site.house.reached()
    site.house.owe(1)
    site.house.clock.advance(timedelta(hours=2))
    assert "late by 2 h" in words(site.visitor().get("/"))


def test_what_is_owed_and_what_is_parked_is_shown_by_cause(site, words):
    site.house.deliver(2)
    site.house.park(3, "<i>too long</i>")
    site.house.owe(4)
    page = site.visitor().get("/")
    text = words(page)
    assert "owed 4 parked 3 delivered 2 skipped 0" in text
    assert "people: 3 parked: <i>too long</i> Look at them" in text
    assert "<i>" not in page.text


def test_activity_is_newest_first_and_names_no_person(site, words):
    site.house.deliver(1)
    site.house.clock.advance(timedelta(seconds=20))
    site.house.deliver(1)
    site.house.clock.advance(timedelta(seconds=10))
    text = words(site.visitor().get("/"))
    assert text.index("10 s ago people customer 2") < text.index("30 s ago people customer 1")
    assert "shop.test" not in text


def test_a_long_key_is_cut():
    entry = HistoryEntry(
        at=START, route="people", sink="crm", source="shop", entity="customer", key="guest:" + "ab" * 16,
        op="upsert", outcome="delivered",
    )  # fmt: skip
    assert view.lines([entry], START)[0].what == "customer guest:ababababababa…"


def test_an_empty_configuration_says_what_to_do(site, monkeypatch, words):
    monkeypatch.setattr("synccore._verbs.status.status", lambda _: {"sources": {}, "sinks": {}, "routes": {}})
    assert "synccore init" in words(site.visitor().get("/"))


def test_an_instance_page_masks_secrets(site, words):
    page = site.visitor().get("/plugins/crm")
    assert "set (secret CRM)" in words(page)
    assert "hunter" not in page.text
    assert "people : shop customer → crm thing" in words(page)


@pytest.mark.parametrize(("value", "shown"), [
    (True, "yes"), (timedelta(minutes=5), "5m"), (("a", "b"), "a, b"), ({"a": timedelta(hours=1)}, "a = 1h"),
    (Secret("x", origin="env X"), "set (env X)"), (3, "3"),
])  # fmt: skip
def test_settings_are_shown_as_people_write_them(value, shown):
    assert described.as_written(value) == shown


def test_a_table_among_the_settings_is_shown_by_its_keys(video):
    shown = described.as_written((video(title="Setting up", preview_url="https://a.test", view_url="https://b.test"),))
    assert shown == "title = Setting up, preview_url = https://a.test, view_url = https://b.test"


def test_a_type_leads_to_its_only_instance(site, words):
    assert "<h1>crm</h1>" in site.visitor().get("/plugins/fakecrm").text
    assert "No instance of it is configured" in words(site.visitor().get("/plugins/idle"))
    assert site.visitor().get("/plugins/nothing").status == 404


def test_an_instance_that_could_not_be_opened_says_why(site, words):
    unit = site.house.app.unit("crm")
    unit.instance, unit.error = None, "the key is missing"
    assert "the key is missing" in words(site.visitor().get("/plugins/crm"))


def test_videos_load_on_demand_and_from_one_place_only(site, video):
    site.house.crm.videos = (
        video(
            title="Setting up",
            preview_url="https://drive.google.com/file/d/x/preview",
            view_url="https://drive.google.com/file/d/x/view",
        ),
        video(title="Evil", preview_url="https://drive.google.com.evil.test/x", view_url="https://evil.test"),
        ("A title and an address", "https://evil.test"),
    )
    page = site.visitor().get("/plugins/crm")
    assert "<iframe" not in page.text
    assert "frame-src" not in page.headers["content-security-policy"]
    assert "Evil" not in page.text
    playing = site.visitor().get("/plugins/crm?play=0")
    assert '<iframe src="https://drive.google.com/file/d/x/preview"' in playing.text
    assert playing.headers["content-security-policy"].endswith("frame-src https://drive.google.com")
    for nonsense in ("1", "-1", "x", "99999", "%C2%B2", "%D9%A0", "9" * 5000):
        assert "<iframe" not in site.visitor().get(f"/plugins/crm?play={nonsense}").text


def test_pages_work_below_a_prefix(site):
    """A proxy may serve the dashboard below a path: no link is absolute."""
    for path in ("/", "/plugins/crm"):
        links = re.findall(r'(?:href|src|action)="([^"]+)"', site.visitor().get(path).text)
        assert links
        assert not [link for link in links if link.startswith("/")]


# -- connecting


@pytest.fixture
def connectable(site):
    site.house.crm.connect = through_vendor
    return site


def through_vendor(browser):
    browser.say("An administrator has to install the app first.")
    redirect, params = browser.authorize(lambda uri: f"https://vendor.test/auth?redirect_uri={uri}&state=s3cret")
    if params.get("error"):
        raise AuthError("the consent screen answered access_denied")
    assert params["code"] == "abc"
    browser.say(f"Came back to {redirect}.")
    return Account(id="1", label="Ada")


def test_connecting_goes_to_the_vendor_and_comes_back(connectable, words):
    visitor = connectable.visitor()
    page = visitor.post("/connect/crm", f"token={visitor.token('/plugins/crm')}")
    callback = f"http://127.0.0.1:{connectable.server.port}/oauth/callback"
    assert page.status == 200
    assert f'href="https://vendor.test/auth?redirect_uri={callback}&amp;state=s3cret"' in page.text
    stranger = connectable.visitor()  # SameSite=Strict: the browser comes back without its cookie
    answer = stranger.get("/oauth/callback?state=s3cret&code=abc")
    assert answer.status == 200
    assert f"crm is connected to Ada. Came back to {callback}." in words(answer)
    assert "An administrator has to" not in words(answer), "that was for the vendor's screen"
    assert f"Whoever signs in from here comes back to {callback} :" in words(visitor.get("/plugins/crm"))
    assert visitor.get("/oauth/callback?state=s3cret&code=abc").status == 400, "an answer counts once"


def test_a_refusal_at_the_vendor_is_shown(connectable, words):
    visitor = connectable.visitor()
    visitor.post("/connect/crm", f"token={visitor.token('/plugins/crm')}")
    answer = visitor.get("/oauth/callback?state=s3cret&error=access_denied")
    assert answer.status == 400
    assert "access_denied" in words(answer)


def test_a_callback_nobody_waits_for_is_refused(connectable):
    visitor = connectable.visitor()
    visitor.post("/connect/crm", f"token={visitor.token('/plugins/crm')}")
    for query in ("", "?state=", "?state=other&code=abc", "?code=abc"):
        assert visitor.get("/oauth/callback" + query).status == 400
    assert visitor.get("/oauth/callback?state=s3cret&code=abc").status == 200


def test_a_connection_by_key_needs_no_vendor_screen(connectable, words):
    connectable.house.crm.connect = lambda _: Account(id="1", label="Ada")
    visitor = connectable.visitor()
    answer = visitor.post("/connect/crm", f"token={visitor.token('/plugins/crm')}")
    assert "crm is connected to Ada." in words(answer)


def test_a_connect_that_fails_says_why(connectable):
    def fail(browser):
        raise ValueError("ada@shop.test")

    connectable.house.crm.connect = fail
    visitor = connectable.visitor()
    answer = visitor.post("/connect/crm", f"token={visitor.token('/plugins/crm')}")
    assert answer.status == 400
    assert "ValueError" in answer.text
    assert "ada" not in answer.text


def test_stopping_calls_off_who_waits(connectable):
    site = connectable
    visitor = site.visitor()
    visitor.post("/connect/crm", f"token={visitor.token('/plugins/crm')}")
    [waiting] = [t for t in threading.enumerate() if t.name == "synccore-connect-crm"]
    site.server.stop()
    waiting.join(10)
    assert not waiting.is_alive()


# -- words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "just now"),
        (-5, "just now"),
        (2, "2 s ago"),
        (61, "1 min ago"),
        (3600, "1 h ago"),
        (90_000, "25 h ago"),
        (200_000, "2 days ago"),
    ],
)
def test_ago(seconds, text):
    assert ago(START - timedelta(seconds=seconds), START) == text
