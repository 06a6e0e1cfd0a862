"""Webhooks: answered after the commit, and only those that deserve it."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from structlog.testing import capture_logs

from synccore.errors import ConfigError, SignatureError, Transient
from synccore.store import StoreError


@pytest.fixture
def site(open_site):
    return open_site()


def metric(site, text):
    """What was counted of it; every source's counters begin with nothing."""
    lines = site.visitor().get("/metrics").text.splitlines()
    return [line for line in lines if line.startswith(text) and not line.endswith(" 0.0")]


def test_a_webhook_reaches_the_source_as_it_was_sent(site):
    body = b'{"id": 1, "name": "M\xc3\xbcller"}\x00\xff'
    answer = site.visitor().ask("POST", "/hooks/shop?a=b", body, {"X-WC-Signature": "abc"})
    assert answer.status == 200
    [(source, request)] = site.house.door.received
    assert (source, request.body, request.method, request.path) == ("shop", body, "POST", "/hooks/shop")
    assert request.headers["x-wc-signature"] == "abc"
    assert request.query == {"a": "b"}
    assert metric(site, "synccore_webhooks_received_total") == ['synccore_webhooks_received_total{source="shop"} 1.0']


def test_an_address_with_a_slash_is_taken_and_not_redirected(site):
    """WooCommerce counts a 307 as a failure, and switches the webhook off after the seventh."""
    assert site.visitor().ask("POST", "/hooks/shop/", b"{}").status == 200
    assert [source for source, _ in site.house.door.received] == ["shop"]


def test_the_answer_waits_for_the_commit(site):
    committed, asked = threading.Event(), threading.Event()

    def commit(source, request):
        asked.set()
        assert committed.wait(10)

    site.house.door.on_receive = commit
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(site.visitor().ask, "POST", "/hooks/shop", b"{}")
        assert asked.wait(10)
        assert not answer.done()
        committed.set()
        assert answer.result(10).status == 200


def test_sixty_four_webhooks_are_taken_side_by_side(site):
    together = threading.Barrier(64, timeout=20)
    site.house.door.on_receive = lambda source, request: together.wait() and None
    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda _: site.visitor().ask("POST", "/hooks/shop", b"{}").status, range(64)))
    assert answers == [200] * 64


def test_health_answers_while_webhooks_block(site):
    release = threading.Event()
    site.house.door.on_receive = lambda source, request: release.wait(10) and None
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(site.visitor().ask, "POST", "/hooks/shop", b"{}") for _ in range(4)]
        assert site.visitor().get("/healthz").status == 200
        release.set()
        assert {w.result(10).status for w in waiting} == {200}


def test_a_wrong_signature_is_401_and_leaves_a_counter_only(site):
    def refuse(source, request):
        raise SignatureError("the signature does not match")

    site.house.door.on_receive = refuse
    with capture_logs() as logs:
        answer = site.visitor().ask("POST", "/hooks/shop", b"secret body")
    assert (answer.status, site.house.door.received, logs) == (401, [], [])
    assert metric(site, "synccore_webhooks_refused_total") == [
        'synccore_webhooks_refused_total{reason="signature",source="shop"} 1.0'
    ]


def test_an_unknown_source_is_404_and_makes_no_label(site):
    assert site.visitor().ask("POST", "/hooks/nobody", b"{}").status == 404
    assert metric(site, "synccore_webhooks_refused_total") == [
        'synccore_webhooks_refused_total{reason="unknown_source",source="unknown"} 1.0'
    ]


@pytest.mark.parametrize(
    "error", [ConfigError("cannot do that"), Transient("busy"), KeyError("ada@shop.test"), ValueError("ada@shop.test")]
)
def test_any_other_failure_is_500_and_logged_without_the_body(site, error):
    def fail(source, request):
        raise error

    site.house.door.on_receive = fail
    with capture_logs() as logs:
        answer = site.visitor().ask("POST", "/hooks/shop", b"ada@shop.test")
    assert answer.status == 500
    assert "ada" not in answer.text
    [line] = logs
    assert (line["source"], line["log_level"]) == ("shop", "warning")
    assert "ada" not in str(line)
    assert "test_web_hooks.py" in line["where"]


def test_a_body_announced_too_long_is_refused_unread(site):
    with socket.create_connection(("127.0.0.1", site.server.port), timeout=10) as peer:
        peer.sendall(b"POST /hooks/shop HTTP/1.1\r\nHost: x\r\nContent-Length: 5000001\r\n\r\n")
        assert peer.recv(100).startswith(b"HTTP/1.1 413")
    assert site.house.door.received == []


def test_a_chunked_body_too_long_is_refused_on_the_way(site):
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", site.server.port), timeout=10) as peer:
        peer.sendall(b"POST /hooks/shop HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(5_000_000 // 0x10000 + 1):
            peer.sendall(chunk)
        assert peer.recv(100).startswith(b"HTTP/1.1 413")
    assert site.house.door.received == []


def test_a_body_at_the_limit_is_taken(site):
    assert site.visitor().ask("POST", "/hooks/shop", b"x" * 5_000_000).status == 200


def test_a_body_cut_off_is_not_taken(site):
    with socket.create_connection(("127.0.0.1", site.server.port), timeout=10) as peer:
        peer.sendall(b"POST /hooks/shop HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        peer.shutdown(socket.SHUT_WR)
        peer.recv(100)
    assert site.visitor().get("/healthz").status == 200
    assert site.house.door.received == []


def test_looking_at_a_hook_in_a_browser_says_what_it_is(site):
    answer = site.visitor().get("/hooks/shop")
    assert answer.status == 405
    assert "POST" in answer.text
    assert site.visitor().ask("HEAD", "/hooks/shop").status == 200


def test_a_stopping_daemon_takes_no_webhook(site):
    site.house.door.waiting = "stopping"
    answer = site.visitor().ask("POST", "/hooks/shop", b"{}")
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert site.house.door.received == []


def test_a_hook_answers_under_any_host_name(site):
    assert site.visitor().ask("POST", "/hooks/shop", b"{}", {"Host": "sync.example.com"}).status == 200


def test_the_log_is_set_up_where_its_first_line_is_a_webhook_that_failed(site):
    """Its own form, and nothing personal: structlog without it writes what it is given to stdout."""
    begun = []

    def full(source, request):
        raise StoreError("the disk is full")

    site.house.door.app._logs._set_up = lambda: begun.append(True)
    site.house.door.on_receive = full
    assert site.visitor().ask("POST", "/hooks/shop", b"{}").status == 503
    assert begun == [True]
