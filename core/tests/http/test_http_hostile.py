"""What the other side sends is bounded in time and size, and what it says of itself is not laid to a record."""

import gzip
import tempfile
import threading
import time
import tracemalloc
import zlib
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synccore.errors import LONGEST_WAIT, ConfigError, RateLimited, Rejected, Transient
from synccore.http import Budget, Client, Response, parse_retry_after, target_fault, time_left, time_limit
from synccore.testing import START, FakeClock, FakeContext, Fault, LoopbackServer, Reply

SHORT = timedelta(milliseconds=400)
PATIENT = timedelta(seconds=30)


class Vendor(LoopbackServer):
    """Answers what a test puts there."""

    reply = Reply(200, {})

    def handle(self, request):
        return self.reply


@pytest.fixture
def vendor():
    with Vendor() as server:
        yield server


@pytest.fixture
def client(vendor):
    with Client(FakeContext(), vendor.url, timeout=PATIENT, largest=1_000_000) as opened:
        warm(opened)
        vendor.requests.clear()
        yield opened


def warm(client, url="/warm"):
    """What a process does once (imports, the first connection) takes no part in the short time of a test."""
    assert client.get(url, timeout=PATIENT).ok


@pytest.mark.parametrize(
    "fault", [Fault.drip(), Fault.drip(headers=True), Fault.hang()], ids=["body", "headers", "nothing"]
)
def test_a_call_ends_in_time_however_slowly_the_answer_comes(client, vendor, fault):
    vendor.fail_next(fault)
    began = time.monotonic()
    with pytest.raises(Transient, match=r"within 0\.4 s") as late:
        client.get("/x", timeout=SHORT)
    assert late.value.maybe_applied
    assert time.monotonic() - began < PATIENT.total_seconds()
    assert client.get("/x").ok, "the connection of the late call must not be used again"


def test_a_request_that_nobody_reads_ends_in_time(vendor):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as deaf, Client(FakeContext(), timeout=SHORT) as client:
        warm(client, vendor.url + "/warm")
        with pytest.raises(Transient, match=r"within 0\.4 s") as late:
            client.post(f"http://127.0.0.1:{deaf.getsockname()[1]}/x", content=b"x" * 50_000_000)
        assert late.value.maybe_applied


@pytest.mark.parametrize("fault", [Fault.endless, partial(Fault.bomb, 200_000_000)], ids=["endless", "bomb"])
def test_an_answer_is_held_up_to_its_limit_only(client, vendor, fault):
    vendor.fail_next(fault())
    tracemalloc.start()
    try:
        with pytest.raises(Transient, match="larger than 1 MB"):
            client.get("/x", timeout=timedelta(seconds=30))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda b: zlib.compress(b)[2:-4]),
        ("identity", bytes),
    ],
)
def test_packed_answers_are_unpacked(client, vendor, coding, pack):
    body = b"[" + b"1," * 100_000 + b"1]"
    vendor.reply = Reply(200, pack(body), {"Content-Encoding": coding})
    assert client.get("/x").body == body


@pytest.mark.parametrize(
    ("coding", "body"),
    [("gzip", b"not packed"), ("br", b"x"), ("gzip, gzip", b"x"), ("gzip", gzip.compress(b"x" * 99, mtime=0)[:-9])],
)
def test_what_cannot_be_unpacked_is_a_lost_answer(client, vendor, coding, body):
    vendor.reply = Reply(200, body, {"Content-Encoding": coding})
    with pytest.raises(Transient, match="DecodingError") as lost:
        client.get("/x")
    assert lost.value.maybe_applied


def test_no_call_outlasts_the_limit_around_it(client, vendor):
    vendor.fail_next(Fault.hang())
    assert time_left() is None
    with time_limit(timedelta(milliseconds=200)):
        assert time_left() <= timedelta(milliseconds=200)
        with pytest.raises(Transient):
            client.get("/x", timeout=timedelta(seconds=60))
        asked = len(vendor.requests)
        with pytest.raises(RateLimited, match="goes with the next") as over:
            client.post("/x")
        assert (over.value.scope, len(vendor.requests)) == ("operation", asked)
        full = Budget(FakeClock(), [(1, timedelta(minutes=1))])
        full.acquire()
        with pytest.raises(RateLimited):
            full.acquire()
    assert time_left() is None


def test_limits_of_other_threads_are_their_own(client):
    found = []
    with time_limit(timedelta(0)):
        thread = threading.Thread(target=lambda: found.append(client.get("/x").status))
        thread.start()
        thread.join()
    assert found == [200]


def test_cookies_are_not_kept(client, vendor):
    vendor.reply = Reply(200, {}, {"Set-Cookie": "session=" + "x" * 4000})
    client.get("/x")
    client.get("/x")
    assert "cookie" not in vendor.requests[-1].headers


@pytest.mark.parametrize(
    "body",
    ["[" * 200_000, '{"a":' * 100_000, "9" * 5000, '{"a": NaN}', "[Infinity]", "", "\x00", "<html>"],
    ids=lambda b: f"{b[:5]}x{len(b)}",
)
def test_a_body_that_is_no_json_is_no_bug(body):
    answer = Response(status=200, headers={}, body=body.encode())
    assert answer.json_or_none() is None
    with pytest.raises(Transient):
        answer.json()


def test_half_characters_are_mended_on_both_ways(client, vendor):
    vendor.reply = Reply(200, b'{"a\\ud83d": ["x\\ud83d", "\\ud83d\\ude00"]}')
    assert client.get("/x").json() == {"a\ufffd": ["x\ufffd", "\U0001f600"]}
    client.post("/x\ud83d", json={"a": "b\ud83d"}, params={"q": "c\ud83d"})
    sent = vendor.requests[-1]
    assert sent.json() == {"a": "b\ufffd"}
    assert (sent.path, sent.param("q")) == ("/x%EF%BF%BD", "c\ufffd")
    client.post("/x", form={"a": "b\ud83d"})
    assert vendor.requests[-1].form() == {"a": "b\ufffd"}
    client.post("/x", content="b\ud83d")
    assert vendor.requests[-1].body == "b\ufffd".encode()


@pytest.mark.parametrize("path", ["/people/\x00", "/people/" + "x" * 70_000])
def test_a_records_data_that_gives_no_address_concerns_the_record(client, path):
    with pytest.raises(Rejected):
        client.get(path)


def test_a_header_that_cannot_be_sent_is_no_lost_answer(client):
    for value in ("a\nb", "\u20ac"):
        with pytest.raises((Transient, Rejected, ConfigError)) as error:
            client.get("/x", headers={"X-Own": value})
        assert not getattr(error.value, "maybe_applied", False)


@given(st.text("0123456789", min_size=1, max_size=6000))
def test_no_wait_is_longer_than_a_day(text):
    assert parse_retry_after(text, START) <= LONGEST_WAIT


@pytest.mark.parametrize("text", ["Wed, 01 Jan 2099 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_date_in_the_far_future_is_a_day(text):
    assert parse_retry_after(text, START) == LONGEST_WAIT


def test_what_would_wait_longer_says_so():
    error = RateLimited("full", retry_after=timedelta(days=26_000))
    assert error.retry_after == LONGEST_WAIT
    assert "tried again in a day" in error.message
    budget = Budget(FakeClock(START), [])
    budget.block(timedelta(days=26_000))
    assert budget.free_at(START) == START + LONGEST_WAIT


def fault_of(status, body=b'{"errors": [{"code": "x"}]}', headers=None):
    return target_fault(Response(status=status, headers=headers or {}, body=body), START)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 405, 407, 408, 421, 425, 500, 502, 503, 504, 520])
@pytest.mark.parametrize("body", [b'{"errors": []}', b"<html>", b""])
def test_a_target_that_is_not_well_is_an_outage(status, body):
    fault = fault_of(status, body)
    assert isinstance(fault, Transient)
    assert fault.outage
    assert fault.maybe_applied == (status >= 500)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 410, 422])
def test_a_page_in_place_of_an_answer_is_an_outage_and_json_speaks_of_the_record(status):
    assert isinstance(fault_of(status, b"<html>no such host</html>"), Transient)
    assert fault_of(status) is None
    assert fault_of(status, b"") is None


def test_too_large_may_be_less_and_slow_down_is_a_wait():
    assert fault_of(413).outage is False
    assert fault_of(429).retry_after is None
    assert fault_of(503, headers={"retry-after": "7"}).retry_after == timedelta(seconds=7)
    assert fault_of(401, b"<html>") is None
    assert fault_of(200) is None


def test_what_is_no_json_is_told_by_its_structure_and_never_quoted():
    """A notice in front of a list of customers would put the first of them into logs and the database."""
    body = b'<b>Notice</b>: x\n[{"first_name":"Ada","last_name":"Berg"}]'
    answer = Response(status=200, headers={"content-type": "application/json; charset=UTF-8"}, body=body)
    with pytest.raises(Transient, match=r"not JSON: application/json, \d+ bytes, begins with <b>") as caught:
        answer.json()
    assert "Ada" not in str(caught.value)
    assert "Ada" not in answer.excerpt()
    assert caught.value.__cause__ is None, "a parser's error holds the whole body"


def test_a_body_that_is_compressed_without_saying_so_is_unpacked_within_bounds():
    assert Response(status=200, headers={}, body=gzip.compress(b'{"a":1}')).json() == {"a": 1}
    bomb = Response(status=200, headers={}, body=gzip.compress(b"0" * 100_000_000))
    assert bomb.json_or_none() is None
    assert Response(status=200, headers={}, body=b"\x1f\x8b\x08broken").json_or_none() is None


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("identity", bytes)])
def test_what_is_too_large_for_memory_goes_into_a_file(client, vendor, coding, pack):
    body = b"a row of a result\n" * 50_000
    vendor.reply = Reply(200, pack(body), {"Content-Encoding": coding})
    with tempfile.TemporaryFile() as file:
        file.write(b"of an earlier try" * 100_000)
        assert client.get("/x", into=file).body == b""
        assert file.read() == body
        vendor.fail_next(Fault.endless())
        with pytest.raises(Transient, match="larger than 1 MB"):
            client.get("/x", into=file, timeout=timedelta(seconds=30))
        vendor.reply = Reply(503, b"why it failed")
        assert client.get("/x", into=file).body == b"why it failed"


def test_a_file_is_sent_from_its_beginning_each_time(client, vendor):
    with tempfile.TemporaryFile() as file:
        file.write(b"row\n" * 100_000)
        for _ in range(2):
            assert client.post("/x", content=file).ok
    assert [r.body == b"row\n" * 100_000 for r in vendor.requests] == [True, True]
