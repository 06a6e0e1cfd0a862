"""A daemon among enemies: whatever target and strangers send, webhooks are taken, memory is flat, SIGTERM ends it.

`SYNCCORE_HOSTILE_SECONDS` makes the loop longer; benchmarks/hostile runs it for ten minutes.
"""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from synccore.testing import Fault, LoopbackServer, Reply

SECONDS = float(os.environ.get("SYNCCORE_HOSTILE_SECONDS", "10"))
SCRIPT = Path(__file__).with_name("hostile_daemon.py")
PAGE = "<html><body>" + "1 " * 40_000 + "a@" * 10_000 + "</body></html>"
FAULTS = (
    Fault.drip(),
    Fault.drip(headers=True),
    Fault.endless(),
    Fault.bomb(200_000_000),
    Fault.reset(),
    Fault.truncated(),
    Fault.html(404),
    Fault.status(200, PAGE),
    Fault.status(400, {"error": "1" * 100_000}),
    Fault.status(200, "[" * 100_000),
    Fault.status(200, "9" * 5_000),
    Fault.status(200, {}, {"Content-Encoding": "gzip"}),
    Fault.status(413, PAGE),
    Fault.status(418, "\x00" * 100_000),
    Fault.status(429, {}, {"Retry-After": "0"}),
    Fault.status(200, {}, {"Set-Cookie": "a=" + "x" * 60_000}),
    Fault.status(302, {}, {"Location": "https://elsewhere.test/"}),
)
BODIES = (
    b"",
    b"null",
    b"[" * 100_000,
    b'{"id": ' + b"9" * 5000 + b"}",
    b'{"id": "\\ud83d", "name": "\\udc00"}',
    b"\xff\xfe\x00",
    b'{"id": {"a": 1}, "name": []}',
    b"{" * 4_900_000,
)
HALVES = (
    b"POST /hooks/shop HTTP/1.1\r\nHost: x\r\nContent-Length: 4900000\r\n\r\n" + b" " * 100_000,
    b"POST /hooks/shop HTTP/1.1\r\nHost: x\r\nX-A: ",
    b"GET /" + b"%00" * 20_000,
    b"\x16\x03\x01" * 100,
    b"POST /hooks/shop HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
)


class Enemy(LoopbackServer):
    """Answers well once in a while, so that the lane is always tried."""

    random = random.Random(11)

    def handle(self, request):
        return Reply(200, {})


@pytest.fixture
def enemy():
    with Enemy() as server:
        yield server


@pytest.fixture
def daemon(tmp_path, enemy):
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(tmp_path), enemy.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        process.url = urlsplit(process.stdout.readline().strip())
        assert process.url.port, "it did not start"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def post(url, body):
    """Status and seconds of one webhook."""
    began = time.monotonic()
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
    try:
        connection.request("POST", "/hooks/shop", body, {"Content-Type": "application/json"})
        return connection.getresponse().status, time.monotonic() - began
    except (ConnectionError, http.client.HTTPException, TimeoutError):
        return 0, time.monotonic() - began
    finally:
        connection.close()


def memory(process):
    """Resident megabytes."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1000


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_among_enemies_webhooks_are_taken_and_sigterm_ends_it(daemon, enemy):
    chance, url = random.Random(7), daemon.url
    number, statuses, halves = 0, [], []
    for number in range(20):
        assert post(url, json.dumps({"id": number, "name": "Ann"}).encode())[0] == 200
    calm = memory(daemon)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        enemy.fail_next(*chance.sample(FAULTS, 3))
        post(url, chance.choice(BODIES))
        if len(halves) < 100:
            halves.append(socket.create_connection((url.hostname, url.port), timeout=5))
            halves[-1].sendall(chance.choice(HALVES))
        number += 1
        status, took = post(url, json.dumps({"id": number, "name": "x\ud83d" * 50}).encode())
        statuses.append(status)
        assert took < 10
    assert set(statuses) == {200}, "an honest webhook was not taken"
    assert len(statuses) > SECONDS
    grown = memory(daemon) - calm
    assert grown < 75, "two answers of 4 MB, 24 MB of strangers' bodies, and what Python keeps for the next"
    assert len(enemy.requests) > 5, "the target was never asked"

    began = time.monotonic()
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(25) == 0
    assert time.monotonic() - began < 25
    for peer in halves:
        peer.close()
