"""`connect` and `disconnect`: a browser here or elsewhere, one account, nothing left behind."""

import threading
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest

from synccore._cli._browser import LoopbackBrowser, PasteBrowser
from synccore.errors import AuthError, ConfigError, Transient
from synccore.store import LinkUpdate
from synccore.testing import customer
from synccore.types import Account

LANDED = "http://127.0.0.1:1/?code=grant-1&state=s1\n"


def connect(world, code=0, landed=LANDED, args=()):
    return world.run("connect", "crm", "--no-browser", *args, input=landed, code=code)


def vault(world):
    with world_app(world) as app:
        return {n: app.vault("crm").get(n.removeprefix("crm/")) for n, _ in app.store.secret_names("crm/")}


def world_app(world):
    from synccore._app.app import App

    return App.open(world.path, environ={}, plugins=world.plugins(), clock=world.clock)


def test_no_browser_prints_the_address_alone_and_reads_where_it_landed(world):
    result = connect(world)
    first, *rest = result.stdout.splitlines()
    assert first.startswith("https://crm.test/auth?redirect_uri=http://127.0.0.1:")
    assert "Shop CRM" in rest[0]
    assert "Open this address" in result.stderr
    assert vault(world) == {"crm/token": "grant-1"}


@pytest.mark.parametrize("landed", ["\n", "", "no address\n", "http://127.0.0.1:1/\n"])
def test_something_else_than_the_address_is_told(world, landed):
    told = connect(world, landed=landed, code=1).stderr
    assert "address" in told
    assert vault(world) == {}


def test_another_account_is_refused_and_the_old_grant_stays(world):
    connect(world)
    world.crm.account = Account(id="acc-2", label="Somebody else")
    told = connect(world, landed=LANDED.replace("grant-1", "grant-2"), code=1).stderr
    assert "Somebody else" in told
    assert "--switch-account" in told
    assert vault(world) == {"crm/token": "grant-1"}
    assert world.crm.ended == ["acc-2"], "a grant that nobody keeps stays alive at the vendor"


def test_a_refused_grant_that_cannot_be_ended_is_told(world):
    connect(world)
    world.crm.account = Account(id="acc-2", label="Somebody else")
    world.crm.disconnect_error = Transient("the vendor is away")
    told = connect(world, landed=LANDED.replace("grant-1", "grant-2"), code=1).stderr
    assert "take it back at the vendor: the vendor is away" in told
    assert vault(world) == {"crm/token": "grant-1"}


def test_switching_accounts_keeps_the_links_to_the_old_one_apart(world):
    connect(world)
    world.source.put(customer("1", email="p1@shop.test"))
    world.deliver()
    world.crm.account = Account(id="acc-2", label="New CRM")
    told = connect(world, args=("--switch-account",)).stdout
    assert "1 links to records of Shop CRM are kept apart" in told
    assert "synccore backfill shop customer --route people" in told
    assert world.json("preview", "people", "1")["action"] == "create"


def test_what_the_new_account_was_never_given_is_missing_there(world):
    """Delivered, then found unchanged: both were said of the account that was left."""
    connect(world)
    world.source.put(customer("1", email="p1@shop.test"))
    world.deliver()
    world.run("backfill", "shop")
    assert world.json("verify", "people")["proved"]
    world.crm.account = Account(id="acc-2", label="New CRM")
    connect(world, args=("--switch-account",))
    proof = world.json("verify", "people", code=1)
    assert (proof["ok"], proof["missing"], proof["linked"], proof["skipped"]) == (False, 1, 0, 0)


def test_what_is_in_a_job_of_the_old_account_is_owed_to_the_new_one(world):
    connect(world)
    world.crm.job_from = 1
    world.source.put(customer("1", email="p1@shop.test"))
    world.run("run", "--once", "--timeout", "1s")
    assert [d["state"] for d in world.json("deliveries", "list")] == ["submitted"]
    world.crm.account = Account(id="acc-2", label="New CRM")
    world.crm.job_from = None
    world.crm.jobs.clear()
    told = connect(world, args=("--switch-account",)).stdout
    assert "1 deliveries in jobs of Shop CRM are owed to New CRM instead" in told
    world.deliver()
    assert [d["state"] for d in world.json("deliveries", "list")] == ["done"]


def test_the_links_of_an_account_come_back_with_it(world):
    """What the new account was given is its own, and comes back with that one."""
    connect(world)
    first = world.crm.account
    world.source.put(customer("1", email="p1@shop.test"), customer("2", email="p2@shop.test"))
    world.deliver()
    with world_app(world) as app:
        ids = [app.store.link("people", "shop", "customer", k).remote_id for k in "12"]
    world.crm.account = Account(id="acc-2", label="New CRM")
    connect(world, args=("--switch-account",))
    with world_app(world) as app:
        link = LinkUpdate(object="thing", remote_id="new-1", sink="crm", fields={"email": "p1@shop.test"})
        app.store.put_link("people", "shop", "customer", "1", link, world.clock.now())
    world.crm.account = first
    assert "2 links to records of Shop CRM are back" in connect(world, args=("--switch-account",)).stdout
    with world_app(world) as app:
        assert [app.store.link("people", "shop", "customer", k).remote_id for k in "12"] == ids
        assert app.store.link("people", "shop", "customer", "1").fields
    world.crm.account = Account(id="acc-2", label="New CRM")
    assert "1 links to records of New CRM are back" in connect(world, args=("--switch-account",)).stdout
    with world_app(world) as app:
        assert app.store.link("people", "shop", "customer", "1").remote_id == "new-1"
        assert app.store.link("people", "shop", "customer", "2") is None


def test_a_switch_of_accounts_that_fails_leaves_everything_as_it_was(world):
    connect(world)
    told = connect(world, args=("--switch-account",), landed="no address\n", code=1)
    assert "address" in told.stderr
    assert vault(world) == {"crm/token": "grant-1"}
    assert world.json("status", code=1)["sinks"]["crm"]["state"] == "ok"


def test_a_switch_of_accounts_lets_go_of_the_old_one_before_anybody_signs_in(world, monkeypatch):
    connect(world)
    seen = []
    signing_in = type(world.crm).connect

    def connecting(sink, browser):
        seen.append(sink.context.vault.get("token"))
        return signing_in(sink, browser)

    monkeypatch.setattr(type(world.crm), "connect", connecting)
    assert "kept the grant" in connect(world, args=("--switch-account",)).stdout
    assert seen == [None]
    assert world.json("status", code=1)["sinks"]["crm"]["state"] == "ok"


def test_who_was_never_reached_is_not_well(world):
    """The target's and the shop's own counts of calls say that nobody asked them anything."""
    status = world.json("status", code=1)
    for name, instance in {**status["sources"], **status["sinks"]}.items():
        assert (instance["state"], instance["reason"]) == (
            "needs_auth",
            f"never reached so far: run synccore connect {name}",
        )
        line = next(line for line in world.run("status", code=1).stdout.splitlines() if f"needs you: {name}" in line)
        assert line.count("synccore connect") == 1
    assert (world.crm.calls, world.source.polls) == ([], 0)
    connect(world)
    assert world.json("status", code=1)["sinks"]["crm"]["state"] == "ok"
    world.deliver()
    assert world.source.polls
    assert world.json("status")["sources"]["shop"]["state"] == "ok"


def rotated(world):
    """Another process refreshes, and the vendor gives a new refresh token for the old one."""
    here = world.crm.context
    with world_app(world) as other:
        other.vault("crm").put("token", "grant-1b")
    world.crm.context = here


def test_a_token_rotated_before_a_switch_that_fails_is_what_comes_back(world, monkeypatch):
    connect(world)
    letting_go = type(world.crm).disconnect

    def disconnecting(sink, keep_grant=False):
        rotated(world)
        sink.context.vault.delete("token")
        return letting_go(sink, keep_grant)

    monkeypatch.setattr(type(world.crm), "disconnect", disconnecting)
    connect(world, args=("--switch-account",), landed="no address\n", code=1)
    assert vault(world) == {"crm/token": "grant-1b"}


def test_a_token_rotated_while_the_person_signs_in_as_somebody_else_stays(world, monkeypatch):
    connect(world)
    signing_in = type(world.crm).connect

    def connecting(sink, browser):
        rotated(world)
        sink.context.vault.put("other", "x")
        return signing_in(sink, browser)

    monkeypatch.setattr(type(world.crm), "connect", connecting)
    world.crm.account = Account(id="acc-2", label="Somebody else")
    told = connect(world, landed=LANDED.replace("grant-1", "grant-2"), code=1).stderr
    assert "this is another account (Somebody else)" in told
    assert vault(world) == {"crm/token": "grant-1b"}


def test_connecting_lets_a_lane_that_waits_for_it_go_on(world):
    world.source.put(customer("1", email="p1@shop.test"))
    world.crm.always(AuthError("the grant was revoked"))
    world.run("run", "--once", code=0)
    assert world.json("status", code=1)["sinks"]["crm"]["state"] == "needs_auth"
    world.crm.always(None)
    connect(world)
    assert world.json("status")["sinks"]["crm"]["state"] == "ok"
    world.deliver()
    assert world.crm.by_uid()


def test_a_lane_that_a_person_paused_stays_paused(world):
    world.run("lanes", "pause", "crm")
    connect(world)
    assert world.json("status", code=1)["sinks"]["crm"]["state"] == "paused"


def test_a_source_with_keys_is_checked_and_its_webhooks_are_registered(world):
    assert "public_url is not set" in world.run("connect", "shop").stdout
    world.write(server={"public_url": "https://sync.shop.test"})
    assert "would send to https://sync.shop.test/hooks/shop" in world.run("connect", "shop").stdout


def test_a_check_that_fails_after_the_grant_is_a_finding_and_the_grant_stays(world):
    world.crm.check_error = Transient("down for maintenance")
    assert "down for maintenance" in connect(world, code=1).stderr
    assert vault(world) == {"crm/token": "grant-1"}


def test_disconnect_ends_the_grant_wipes_and_holds_the_lane(world):
    connect(world)
    told = world.run("disconnect", "crm", "--yes").stdout
    assert "ended the grant" in told
    assert "1 stored credential erased" in told
    assert vault(world) == {}
    sink = world.json("status", code=1)["sinks"]["crm"]
    assert (sink["state"], sink["reason"]) == ("needs_auth", "disconnected: run synccore connect crm")


@pytest.mark.parametrize(
    "leave", [("disconnect", "crm", "--yes"), ("connect", "crm", "--no-browser", "--switch-account")]
)
def test_erased_credentials_are_in_no_file_while_the_daemon_has_it_open(world, leave):
    """Read with an editor: database, log and free pages."""
    connect(world)
    with world_app(world) as daemon:
        stored = daemon.store.get_secret("crm/token").encode()
        daemon.store.counts_by_sink()
        assert holding(world, stored)
        world.crm.account = Account(id="acc-2", label="New CRM")
        world.run(*leave, input=LANDED.replace("grant-1", "grant-2"))
        assert holding(world, stored) == []


def holding(world, text):
    return [p.name for p in world.path.parent.rglob("*") if p.is_file() and text in p.read_bytes()]


def test_disconnect_can_keep_the_grant(world):
    connect(world)
    assert "kept the grant" in world.run("disconnect", "crm", "--keep-grant", "--yes").stdout


def test_disconnect_wipes_even_when_the_vendor_fails(world):
    connect(world)
    world.crm.disconnect_error = Transient("the vendor is down")
    result = world.run("disconnect", "crm", "--yes", code=1)
    assert "the vendor is down" in result.stderr
    assert vault(world) == {}


def test_disconnect_asks_first(world):
    connect(world)
    world.run("disconnect", "crm", input="n\n", code=130)
    assert vault(world) == {"crm/token": "grant-1"}


def test_an_instance_that_could_not_be_opened_says_why(world):
    def opened(*_):
        raise ConfigError("the region is unknown")

    import attrs

    from . import conftest

    original = conftest.crm_type
    conftest.crm_type = lambda crm: attrs.evolve(original(crm), open=opened)
    try:
        assert "the region is unknown" in world.run("connect", "crm", code=3).stderr
    finally:
        conftest.crm_type = original


# -- browsers


def visit(browser, *paths):
    """Play the person: the browser opens, asks for an icon, and comes back to each path."""
    seen = {}

    def opened(url):
        seen["url"] = url

        def come_back():
            base = parse_qs(urlsplit(url).query)["redirect_uri"][0]
            for path in paths:
                try:
                    with urllib.request.urlopen(base + path) as answer:  # noqa: S310  loopback
                        seen[path] = answer.read().decode()
                except urllib.error.HTTPError as error:
                    seen[path] = error.code
                    error.close()

        threading.Thread(target=come_back).start()
        return True

    browser._open_url = opened
    return seen


def test_the_browser_comes_back_to_a_loopback_port():
    browser = LoopbackBrowser(patience=20)
    seen = visit(browser, "favicon.ico", "?code=c1&state=s1")
    redirect, params = browser.authorize(lambda r: f"https://crm.test/auth?redirect_uri={r}")
    assert redirect.startswith("http://127.0.0.1:")
    assert params == {"code": "c1", "state": "s1"}
    assert seen["favicon.ico"] == 404


def test_a_browser_that_runs_in_the_terminal_comes_back_while_it_runs():
    def runs(url):
        with urllib.request.urlopen(f"{url}?code=c1&state=s1", timeout=20) as answer:  # noqa: S310
            return answer.status == 200

    _, params = LoopbackBrowser(open_url=runs, patience=20).authorize(lambda r: r)
    assert params == {"code": "c1", "state": "s1"}


def test_a_browser_that_cannot_be_started_leaves_the_address():
    class ByHand(LoopbackBrowser):
        def say(self, text):
            if text.startswith("http"):
                urllib.request.urlopen(f"{text}?code=c1", timeout=20).close()  # noqa: S310

    def raises(url):
        raise ValueError("No closing quotation")  # BROWSER='w3m "%s'

    _, params = ByHand(open_url=raises, patience=20).authorize(lambda r: r)
    assert params == {"code": "c1"}


def test_nobody_coming_back_is_an_auth_error():
    browser = LoopbackBrowser(open_url=lambda _: False, patience=0.05)
    with pytest.raises(AuthError, match="nobody came back"):
        browser.authorize(lambda r: r)


def test_a_port_in_use_is_named():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}.*--no-browser"):
            LoopbackBrowser(open_url=lambda _: True).authorize(lambda r: r, port=port)


def test_pasting_keeps_the_port_and_path_the_vendor_compares(monkeypatch, capsys):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("<http://localhost:1717/callback?code=c&state=s>\n"))
    redirect, params = PasteBrowser().authorize(
        lambda r: f"https://x.test/?r={r}", host="localhost", port=1717, path="/callback"
    )
    assert redirect == "http://localhost:1717/callback"
    assert params == {"code": "c", "state": "s"}
    assert capsys.readouterr().out == "https://x.test/?r=http://localhost:1717/callback\n"


def test_both_accounts_are_named_in_full_on_the_operator_s_terminal(world):
    world.crm.account = Account(id="a1", label="owner@shop.test")
    connect(world)
    world.crm.account = Account(id="a2", label="intern@shop.test")
    told = connect(world, code=1).stderr
    assert "owner@shop.test" in told
    assert "intern@shop.test" in told
