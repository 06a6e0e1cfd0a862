"""A daemon among enemies: whatever target and strangers send, webhooks are taken, memory is flat, SIGTERM ends it.

benchmarks/hostile makes the loop longer, ends the daemon at random moments, and prints the figures.
"""

import http.client
import json
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from datetime import timedelta
from functools import cache
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from synccore._cli.run import LAST_MOMENT
from synccore.testing import Fault, LoopbackServer, Reply

SECONDS = 6.0
#: A call never ends: so long it is waited for after SIGTERM, instead of the daemon's own 23 s.
IMPATIENT = timedelta(seconds=2)
SCRIPT = Path(__file__).with_name("hostile_daemon.py")
PAGE = "<html><body>" + "1 " * 40_000 + "a@" * 10_000 + "</body></html>"


@cache
def faults() -> tuple[Fault, ...]:
    """Made where they are used: each process that collects the tests would pack two hundred megabytes."""
    return (
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
        Fault.status(200, "[" + ",".join(["{}"] * 2_000_000) + "]"),
        Fault.status(200, {"a": "x" * 15_000_000}),
        Fault.status(200, {}, {"Set-Cookie": "a=" + "x" * 60_000}),
        Fault.status(302, {}, {"Location": "https://elsewhere.test/"}),
    )


#: Neither 401 nor 403, nor a long Retry-After: a lane that rests is no target.
STATUSES = (
    200,
    201,
    202,
    204,
    206,
    226,
    299,
    300,
    304,
    307,
    400,
    404,
    405,
    409,
    411,
    415,
    422,
    425,
    451,
    500,
    502,
    507,
    599,
)
HEADERS = (
    {},
    {"Content-Type": "text/html; charset=utf-16"},
    {"Content-Type": "application/json; charset=nonsense"},
    {"Content-Encoding": "br"},
    {"Content-Encoding": "deflate, gzip, gzip"},
    {"Retry-After": "-5"},
    {"Retry-After": "soon"},
    {"RateLimit-Remaining": "NaN", "RateLimit-Reset": "1e999"},
    {"ETag": "x" * 8_000},
    {"Location": "//" + "a." * 2_000},
    {"X-Odd": "\xff\xfe" * 500},
    {f"X-{n}": "y" for n in range(90)},
)
TEXTS = (
    "",
    "null",
    "true",
    '"\\ud83d"',
    "[]",
    "[[]]",
    '{"data": null, "errors": [[]]}',
    '{"id": {"id": []}, "id": 7}',
    '{"error": "' + "Ada Grünwald " * 300 + '"}',
    '{"error": "+49 ' + "1-" * 20_000 + '"}',
    "{" * 20_000,
    "NaN",
    "-",
    "\ufeff{}",
    "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
    "event: x\ndata: y\n\n" * 1_000,
)
#: Of so many requests two are answered badly: a target that says nothing well is left alone after a while.
BETWEEN = 4


@cache
def lines() -> tuple[Fault, ...]:
    """Five hundred different answers in all."""
    drawn = random.Random(5).sample(list(product(STATUSES, TEXTS, HEADERS)), 500 - len(faults()))
    return (*faults(), *(Fault.status(*one) for one in drawn))


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


class Daemon:
    """A daemon of its own process, whose target is an enemy, and an honest shop that posts to it."""

    def __init__(self, folder, enemy, chance, patience=LAST_MOMENT):
        self.enemy, self.chance = enemy, chance
        arguments = [sys.executable, str(SCRIPT), str(folder), enemy.url, str(patience.total_seconds())]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = urlsplit(self.process.stdout.readline().strip())
        assert self.url.port, "it did not start"
        self.number = self.asked = 0
        self.statuses = []
        self.peers = []

    def webhook(self, name):
        """Seconds of one honest webhook."""
        self.number += 1
        status, took = post(self.url, json.dumps({"id": self.number, "name": name}).encode())
        self.statuses.append(status)
        return took

    def among_enemies(self):
        """What the target answers next, a body, half a request of a stranger; then seconds of one honest webhook."""
        if (asked := len(self.enemy.requests)) >= self.asked + BETWEEN:
            self.asked = asked
            self.enemy.fail_next(self.chance.choice(faults()), self.chance.choice(lines()))
        post(self.url, self.chance.choice(BODIES))
        if len(self.peers) < 100:
            self.peers.append(socket.create_connection((self.url.hostname, self.url.port), timeout=5))
            self.peers[-1].sendall(self.chance.choice(HALVES))
        return self.webhook("x\ud83d" * 50)

    def memory(self):
        """Resident megabytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(status.split("VmRSS:")[1].split()[0]) / 1000

    def end(self):
        """Seconds until it is over; it has 25 from SIGTERM on."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(25) == 0
        return time.monotonic() - began

    def close(self):
        for peer in self.peers:
            peer.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


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


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_among_enemies_webhooks_are_taken_and_sigterm_ends_it(tmp_path):
    with Enemy() as enemy, closing(Daemon(tmp_path, enemy, random.Random(7), IMPATIENT)) as daemon:
        for _ in range(20):
            daemon.webhook("Ann")
        calm = daemon.memory()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            daemon.among_enemies()
        assert set(daemon.statuses) == {200}, "an honest webhook was not taken"
        assert len(enemy.requests) > 5, "the target was never asked"
        grown = daemon.memory() - calm
        assert grown < 60, "24 MB of answers, 24 MB of strangers' bodies, and what Python keeps for the next"
        daemon.end()
