"""The first page: what needs a person, each with the button that helps."""

from contextlib import closing
from datetime import timedelta

import pytest

from synccore._app.app import App
from synccore._app.running import RUNNING
from synccore._verbs.parts.changed import note_routes
from synccore._verbs.status import overview
from synccore._verbs.troubles import FAILED
from synccore.store import Hold, Ingest
from synccore.types import Unreadable


@pytest.fixture
def site(open_site, full):
    site = open_site(routes=full)
    site.house.reached()
    return site


def needed(site, words):
    text = words(site.visitor().get("/"))
    return text.split("What needs you")[1].split("Shops and targets")[0] if "What needs you" in text else ""


def test_nothing_is_asked_where_all_is_well(site, words):
    site.house.deliver(2)
    assert needed(site, words) == ""


@pytest.mark.parametrize(
    ("state", "sentence", "button"),
    [
        ("needs_auth", "crm: needs auth: the grant was revoked", "Connect crm"),
        ("error", "crm: error: the grant was revoked", "Look at crm"),
        ("paused", "crm: paused: the grant was revoked", "Resume crm"),
    ],
)
def test_each_state_has_its_button(site, words, state, sentence, button):
    site.house.lane(state, "the grant was revoked")
    assert f"{sentence} {button}" in needed(site, words)


def test_what_ends_by_itself_is_told_when_it_lasts(site, words):
    site.house.lane("circuit_open", "away")
    assert needed(site, words) == ""
    assert "Try again now" in words(site.visitor().get("/")), "on its card meanwhile"
    assert "crm goes on" in words(site.visitor().act("/lanes/resume", name="crm", to="home"))
    assert "Try again now" not in words(site.visitor().get("/"))
    site.house.lane("circuit_open", "away")
    site.house.clock.advance(timedelta(minutes=20))
    assert "crm: circuit open: away Try again now" in needed(site, words)
    site.house.owe(1)
    site.house.clock.advance(timedelta(hours=2))
    assert "See what it waits for" in needed(site, words)


def test_the_buttons_do_what_they_say(site, words):
    site.house.lane("paused", "an audit")
    said = words(site.visitor().act("/lanes/resume", name="crm", to="home"))
    assert "crm goes on" in said
    assert "Shops and targets" in said


def test_what_is_parked_leads_to_its_cause(site, words):
    site.house.park(2, "too <long>")
    page = site.visitor().get("/")
    link = page.text.split('href="./parked/cause?')[1].split('"')[0].replace("&amp;", "&")
    assert "2 parked on people" in words(site.visitor().get(f"/parked/cause?{link}"))


def test_holds_failed_listings_and_unreadable_records_are_told(site, words):
    house, now = site.house, site.house.clock.now()
    later = now + timedelta(minutes=5)
    house.app.store.put_hold(Hold(route="people", sink="crm", kind="refused", reason="no", until=later, since=now))
    house.app.store.put_cursor("shop", FAILED + "order", "1 the shop is away", now)
    bad = Unreadable(where="row 1", reason="no id", entity="customer")
    house.app.intake.submit(Ingest(source="shop", changes=[], rules={}, unreadable=[bad]))
    text = needed(site, words)
    assert "crm: people is held, record after record is refused: no Try again now" in text
    assert "shop: 1 x customer could not be read, for instance row 1: no id See which" in text
    assert "listing order failed" not in text, "once is nothing"
    house.app.store.put_cursor("shop", FAILED + "order", "2 the shop is away", now)
    assert "shop: listing order failed 2 times in a row: the shop is away" in needed(site, words)


def test_a_file_the_daemon_does_not_work_with_is_reloaded(site, words):
    app = site.house.app
    with app.store.daemon_lock():
        app.running.began(app.text, site.house.clock.now())
        assert needed(site, words) == ""
        app.path.write_text(app.text + '\n[alerts.x]\ntype = "webhook"\nurl = "https://x.test"\n', encoding="utf-8")
        assert "Reload" in needed(site, words)
        wish = app.store.state(RUNNING)
        problem = {"wish": 1, "problems": [["alerts.x", "no such thing"]], "notes": []}
        wish.put({"answer": problem})
        assert "alerts.x: no such thing. Everything goes on as before" in words(site.visitor().act("/reload"))
        wish.put({"answer": {"wish": 2, "problems": [], "notes": ["[server] listen takes effect later"]}})
        said = words(site.visitor().act("/reload"))
        assert "the file is read" in said
        assert "takes effect later" in said


def test_a_changed_route_is_told_as_the_command_line_tells_it(site, words):
    house, app = site.house, site.house.app
    house.deliver(3)
    note_routes(app)
    house.clock.advance(timedelta(minutes=1))
    with app.store.daemon_lock():
        app.running.began(app.text, house.clock.now())
        # The file's `email = "customer.email"` becomes another expression.
        app.path.write_text(
            app.text.replace('email = "customer', 'email = "customer.email or customer'), encoding="utf-8"
        )
        with App.look(app.path, environ={}, clock=house.clock, plugins=app.plugins) as beside:
            told = overview(beside).document
        assert [(c["route"], c["parts"], c["records"], c["since"]) for c in told["changed"]] == [
            ("people", ("mapping",), 3, None)
        ]
        behind, changed = told["notes"]
        assert ("synccore reload" in behind, told["changed"][0]["command"] in changed) == (True, True)
        site.house.reached()
        page = needed(site, words)
        assert "Working, with a note on configuration and people" in words(site.visitor().get("/"))
        assert behind in page
        assert changed in page
        with closing(app.anew()) as fresh:
            note_routes(fresh)
            house.clock.advance(timedelta(minutes=1))
            fresh.running.began(fresh.text, house.clock.now())
            found = overview(fresh)
            [note] = found.document["notes"]
            assert [need.sentence for need in found.needs] == [note]
            assert "3 records were delivered or skipped under the old one" in note


def test_who_was_never_reached_is_to_be_connected(open_site, words):
    text = needed(open_site(), words)
    assert "shop: never reached so far: run synccore connect shop Connect shop" in text
    assert "crm: never reached so far: run synccore connect crm Connect crm" in text
