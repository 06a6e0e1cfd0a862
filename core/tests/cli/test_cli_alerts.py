"""Being told: one message for what is new and one for what is well again, as the other side really gets them."""

import json
import socketserver
import stat
import threading
from datetime import timedelta

import pytest

from synccore._app.app import App
from synccore._daemon.alerts import AlertWatch
from synccore._daemon.sources import SourceWorker
from synccore._settings.conditions import KINDS, parse_condition
from synccore.errors import AuthError, ConfigError, Rejected, Transient
from synccore.store import Hold
from synccore.testing import customer
from synccore.testing.server import LoopbackServer, Reply
from synccore.types import Trouble


class Mail(socketserver.StreamRequestHandler):
    """As much of SMTP as one message needs."""

    def handle(self):
        self.wfile.write(b"220 mail.test\r\n")
        while line := self.rfile.readline().decode().strip():
            word = line.split()[0].upper()
            if word == "DATA":
                self.wfile.write(b"354 go on\r\n")
                text = b""
                while (more := self.rfile.readline()) != b".\r\n":
                    text += more
                self.server.messages.append(text.decode())
            elif word == "RCPT" and self.server.refuse:
                self.wfile.write(b"550 nobody here\r\n")
                continue
            elif word == "QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"250 ok\r\n")


@pytest.fixture
def mail():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail) as server:
        server.messages, server.refuse, server.daemon_threads = [], False, True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def pager(tmp_path):
    """A program that keeps what it is told, one line a message."""
    script, kept = tmp_path / "page.sh", tmp_path / "pages"
    script.write_text(
        f'#!/bin/sh\n[ -e "{tmp_path}/broken" ] && {{ echo no signal >&2; exit 3; }}\n'
        f'cat >> "{kept}"\necho >> "{kept}"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)

    def pages():
        return [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []

    pages.command = str(script)
    pages.broken = tmp_path / "broken"
    return pages


def watched(world, *, when=None, every="5m", **channel):
    world.write(alerts={"night": {**channel, "every": every, **({"when": when} if when else {})}})
    app = App.open(world.path, environ={}, clock=world.clock, plugins=world.plugins())
    return app, AlertWatch(app)


def refused(world, word="CustomerTier"):
    world.source.put(customer("7", email="ada@shop.test"))
    world.crm.then(Rejected(f"field {word} is required for ada@shop.test"))
    world.deliver(code=1)


def test_one_message_per_cause_and_one_when_it_is_well_again(world, pager):
    refused(world)
    app, watch = watched(world, type="command", command=[pager.command])
    with app:
        for _ in range(3):
            watch.look()
            world.clock.advance(timedelta(minutes=6))
        [page] = pager()
        assert page["subject"] == "synccore: people: parked"
        assert "field CustomerTier is required" in page["text"]
        assert "synccore deliveries show" in page["text"]
        assert "ada@shop.test" not in json.dumps(page)
        [number] = [d.id for d in app.store.deliveries(state="parked")]
        app.store.dismiss([number], world.clock.now())
        for _ in range(3):
            watch.look()
            world.clock.advance(timedelta(minutes=6))
        _, well = pager()
        assert well["subject"] == "synccore: people is well again"
        assert well["troubles"] == []
        assert [r["kind"] for r in well["recovered"]] == ["parked"]


def test_from_cron_it_is_logged_and_told_too(world, pager):
    """Each run ends before the daemon would look: without this, nobody ever heard of what it met."""
    world.write(alerts={"night": {"type": "command", "command": [pager.command]}})
    world.source.put(customer("7", email="ada@shop.test"))
    world.crm.then(Rejected("field CustomerTier is required for ada@shop.test"))
    log = world.run("run", "--once", "--wait", "--log", "json", code=1).stderr
    [cause] = [line for line in map(json.loads, log.splitlines()) if line["event"] == "new cause"]
    assert "field CustomerTier" in cause["reason"]
    world.run("deliveries", "retry", "--all")
    for _ in range(2):
        world.clock.advance(timedelta(minutes=10))
        world.run("run", "--once", "--wait")
    assert [page["subject"] for page in pager()] == ["synccore: people: parked", "synccore: people is well again"]


def test_a_new_cause_is_a_new_message_and_more_of_the_same_is_none(world, pager):
    refused(world)
    app, watch = watched(world, type="command", command=[pager.command])
    with app:
        watch.look()
        world.clock.advance(timedelta(minutes=6))
        for key, word in (("8", "CustomerTier"), ("9", "Region")):
            world.source.put(customer(key, email="ada@shop.test"))
            world.crm.then(Rejected(f"field {word} is required for ada@shop.test"))
            world.run("run", "--once", "--wait", code=1)
        watch.look()
        assert ["Region" in p["text"] for p in pager()] == [False, True]
        assert "CustomerTier" not in pager()[1]["text"]


def test_a_restart_tells_nothing_twice(world, pager):
    refused(world)
    for _ in range(2):
        app, watch = watched(world, type="command", command=[pager.command])
        with app:
            watch.look()
        world.clock.advance(timedelta(hours=1))
    assert len(pager()) == 1


def test_the_backlog_of_a_target_that_stands_still_is_no_second_message(world, pager):
    """Nor is what it catches up with afterwards; what is late an hour later is."""
    world.source.put(customer("7", email="ada@shop.test"))
    world.crm.then(AuthError("the token was revoked"))
    world.run("run", "--once")
    when = ["needs_auth", "backlog > 1h"]
    app, watch = watched(world, type="command", command=[pager.command], when=when)

    def subjects_after(**time):
        world.clock.advance(timedelta(**time))
        watch.look()
        return [page["subject"] for page in pager()]

    with app:
        assert subjects_after(minutes=1) == ["synccore: crm: needs auth"]
        assert len(subjects_after(hours=3)) == 1
        world.run("connect", "crm", "--no-browser", input="http://127.0.0.1:1/?code=grant-1&state=s1\n")
        assert subjects_after(minutes=6)[1:] == ["synccore: crm is well again"]
        assert len(subjects_after(minutes=50)) == 2
        assert subjects_after(minutes=20)[2:] == ["synccore: crm: backlog"]


def test_a_route_that_is_held_for_what_was_parked_is_the_same_cause(world, pager):
    """Its parked records wait behind it then: nothing of that is well again. Another refusal is another cause."""
    refused(world)
    when = ["error", "parked > 0", "backlog > 1h"]
    app, watch = watched(world, type="command", command=[pager.command], when=when)

    def subjects_after(minutes):
        world.clock.advance(timedelta(minutes=minutes))
        watch.look()
        return [page["subject"] for page in pager()]

    def held_for(reason):
        now = world.clock.now()
        values = {"route": "people", "sink": "crm", "kind": "refused", "until": now, "since": now, "failures": 1}
        app.store.put_hold(Hold(reason=f"the target refuses record after record: {reason}", **values))

    with app:
        assert subjects_after(1) == ["synccore: people: parked"]
        [parked] = app.store.deliveries(state="parked")
        app.store.retry([parked.id], world.clock.now())
        held_for(parked.error)
        assert subjects_after(6) == ["synccore: people: parked"]
        assert subjects_after(120) == ["synccore: people: parked"], "nor is what it owes meanwhile"
        held_for("no room is left")
        assert subjects_after(6)[1:] == ["synccore: crm: error"]
        app.store.drop_hold("people")
        assert subjects_after(6)[2:] == ["synccore: crm is well again"]


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [(Transient("the shop is away"), "listing and 1 more"), (AuthError("the key is revoked"), "needs auth")],
)
def test_a_shop_in_trouble_for_hours_is_one_message(world, pager, trouble, kind):
    """That nothing is listed, nothing is heard, and nobody gets through is one cause; so it is after a restart."""
    world.source.put(customer("7", email="ada@shop.test"))
    world.run("run", "--once")
    for away in (True, True, False):
        world.source.fail_polls.clear()
        world.source.fail_polls.extend([trouble] * 20 * away)
        app, watch = watched(world, type="command", command=[pager.command])
        with app:
            worker = SourceWorker(app, app.sources["shop"])
            for wait in (1, 6, 10, 30, 90):
                worker.poll_all()
                watch.look()
                world.clock.advance(timedelta(minutes=wait))
        subjects = [page["subject"] for page in pager()]
        assert subjects[:1] == [f"synccore: shop: {kind}"]
        assert [s.partition(" and ")[0] for s in subjects[1:]] == ["synccore: shop is well again"] * (not away)


def test_what_comes_within_the_same_minutes_is_grouped(world, pager):
    app, watch = watched(world, type="command", command=[pager.command], every="10m")
    with app:
        refused(world, "One")
        watch.look()
        for key, word in (("8", "Two"), ("9", "Three")):
            world.source.put(customer(key, email="x@shop.test"))
            world.crm.then(Rejected(f"field {word} is required"))
            world.run("run", "--once", "--wait", code=1)
            watch.look()
        assert len(pager()) == 1
        world.clock.advance(timedelta(minutes=11))
        watch.look()
        _, grouped = pager()
        assert "Two" in grouped["text"]
        assert "Three" in grouped["text"]
        assert grouped["subject"].endswith("and 1 more")


def test_a_channel_that_fails_is_tried_again_and_named_in_the_log(world, pager):
    pager.broken.touch()
    refused(world)
    app, watch = watched(world, type="command", command=[pager.command])
    with app:
        watch.look()
        watch.look()
        assert pager() == []
        pager.broken.unlink()
        world.clock.advance(timedelta(minutes=2))
        watch.look()
        assert len(pager()) == 1


def test_dead_credentials_by_mail(world, mail):
    world.source.put(customer("7", email="ada@shop.test"))
    world.crm.then(AuthError("the token was revoked"))
    world.run("run", "--once")
    address = f"smtp://127.0.0.1:{mail.server_address[1]}"
    app, watch = watched(world, type="email", to=["ops@shop.test", "b@shop.test"], sender="s@shop.test", smtp=address)
    with app:
        watch.look()
    [message] = mail.messages
    assert "Subject: synccore: crm: needs auth" in message
    assert "To: ops@shop.test, b@shop.test" in message
    assert "the token was revoked" in message
    assert "synccore connect crm" in message


def test_a_test_message_says_what_went_wrong_on_its_way(world, mail, pager):
    address = f"smtp://127.0.0.1:{mail.server_address[1]}"
    world.write(
        alerts={
            "mail": {"type": "email", "to": "ops@shop.test", "smtp": address},
            "page": {"type": "command", "command": [pager.command]},
        }
    )
    assert [r["sent"] for r in world.json("alerts", "test")] == [True, True]
    assert "a test of mail" in mail.messages[0]
    assert pager()[0]["subject"] == "synccore: a test of page"
    mail.refuse = True
    pager.broken.touch()
    refused_, failed = world.json("alerts", "test", code=1)
    assert "refused the address" in refused_["error"]
    assert "ended with 3: no signal" in failed["error"]
    world.run("alerts", "test", "mial", code=2)


def test_a_webhook_gets_the_document_and_the_header(world, tmp_path):
    got = []

    class Hook(LoopbackServer):
        def handle(self, request):
            got.append(request)
            return Reply(status=204)

    with Hook() as hook:
        (tmp_path / "token").write_text("Bearer abc\n")
        app, _ = watched(
            world, type="webhook", url=f"{hook.url}/x", headers={"Authorization": {"file": str(tmp_path / "token")}}
        )
        app.close()
        assert world.json("alerts", "test", "night")[0]["sent"]
    [request] = got
    assert request.headers["authorization"] == "Bearer abc"
    assert json.loads(request.body)["subject"] == "synccore: a test of night"


def test_the_list_says_what_is_open(world, pager):
    refused(world)
    app, watch = watched(world, type="command", command=[pager.command], when=["parked > 0"])
    with app:
        watch.look()
    [line] = world.json("alerts", "list")
    assert (line["name"], line["type"], line["when"]) == ("night", "command", ["parked > 0"])
    assert "CustomerTier" in line["told"][0]
    assert "parked > 0" in world.run("alerts", "list").stdout


# -- conditions


def trouble(kind, measure):
    from datetime import UTC, datetime

    return Trouble(kind=kind, name="x", measure=measure, sentence="", since=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "kind", "fits", "misses"),
    [
        ("needs_auth", "needs_auth", 0, None),
        ("parked > 0", "parked", 1, 0),
        ("parked > 10", "parked", 11, 10),
        ("parked", "parked", 1, None),
        ("backlog > 1h", "backlog", 3600, 3599),
        ("backlog", "backlog", 3600, 3599),
        ("silent", "silent", 3600, 3599),
        ("circuit_open > 15m", "circuit_open", 900, 899),
        ("disk < 1GB", "disk", 10**9 - 1, 10**9),
        ("disk<500MB", "disk", 1, 500 * 10**6),
    ],
)
def test_a_condition(text, kind, fits, misses):
    condition = parse_condition(text)
    assert condition.fits(trouble(kind, fits))
    assert misses is None or not condition.fits(trouble(kind, misses))
    assert not any(condition.fits(trouble(other, fits)) for other in KINDS if other != kind)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("parkd > 0", "did you mean parked"),
        ("parked < 3", "compared with >"),
        ("parked > many", "cannot be compared"),
        ("disk", "compared with <"),
        ("backlog > 5", "cannot be compared"),
        ("", "is no condition"),
        ("x" * 10_000, "is no condition"),
    ],
)
def test_what_is_no_condition(text, says):
    with pytest.raises(ConfigError, match=says):
        parse_condition(text)


def test_every_mistake_in_an_alert_is_told_with_its_place(world):
    world.write(
        alerts={
            "a": {"type": "emial", "to": "x@shop.test"},
            "b": {"type": "email", "when": ["parkd > 0"], "to": "x@shop.test"},
            "c": {"type": "email"},
            "e": {"type": "email", "to": "x@shop.test", "smtp": "localhost"},
            "d": {"type": "command", "command": ["x"], "when": []},
        }
    )
    text = world.run("check", "--offline", code=3).output
    for place in ("alerts.a.type", "alerts.b.when.0", "alerts.c.to", "alerts.e.smtp", "alerts.d.when"):
        assert place in text, text
