"""The door: what is sent slowly, in pieces or too often keeps nobody else out and holds little."""

import asyncio
import socket
import time

import pytest

from synccore._web import hooks, protocol
from synccore._web.hooks import Full, Room

#: Seconds in which what ends at all has ended, on a slow machine too.
PATIENCE = 30


@pytest.fixture
def site(open_site, monkeypatch):
    monkeypatch.setattr(protocol, "HEADERS", 0.3)
    monkeypatch.setattr(protocol, "BODY", 0.6)
    return open_site()


def connect(site, text):
    peer = socket.create_connection(("127.0.0.1", site.server.port), timeout=PATIENCE)
    peer.sendall(text)
    return peer


def ended(peer):
    """What came until the other side closed."""
    found = b""
    try:
        while piece := peer.recv(65536):
            found += piece
    except ConnectionError:
        return found
    finally:
        peer.close()
    return found


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"POST /hooks/shop HT",
        b"POST /hooks/shop HTTP/1.1\r\nHost: x\r\nX-A: ",
        b"POST /hooks/shop HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"POST /hooks/shop HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HT",
    ],
)
def test_a_request_that_does_not_end_is_ended(site, text):
    began = time.monotonic()
    ended(connect(site, text))
    assert time.monotonic() - began < PATIENCE
    assert site.house.door.received == []


def test_headers_that_come_a_byte_at_a_time_end_as_well(site):
    peer = connect(site, b"POST /hooks/shop HTTP/1.1\r\nHost: x\r\nX-A: ")
    began = time.monotonic()
    peer.settimeout(0.05)
    while time.monotonic() - began < 2 * PATIENCE:
        try:
            peer.sendall(b"a")
            if peer.recv(1) == b"":
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    peer.close()
    assert time.monotonic() - began < PATIENCE


def test_idle_connections_keep_nobody_out(open_site, monkeypatch):
    monkeypatch.setattr(protocol, "CONNECTIONS", 20)
    site = open_site()
    idle = [connect(site, b"POST /hooks/shop HTTP/1.1\r\nHost: x\r\nX-A: ") for _ in range(60)]
    for _ in range(5):
        assert site.visitor().ask("POST", "/hooks/shop", b"{}").status == 200
    for peer in idle:
        peer.close()


def test_headers_without_end_are_refused(site):
    peer = connect(site, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 200_000)
    assert not ended(peer).startswith(b"HTTP/1.1 200")


def test_large_bodies_share_a_room_and_small_ones_always_fit(open_site, monkeypatch):
    monkeypatch.setattr(hooks, "ROOM", 3_000_000)
    monkeypatch.setattr(hooks.Room.__init__, "__defaults__", (3_000_000, 65_536))
    site = open_site()
    head = b"POST /hooks/shop HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n"
    unfinished = [connect(site, head + b" " * 2_000_000) for _ in range(4)]
    statuses = {ended_soon(peer) for peer in unfinished}
    assert b"503" in statuses, "nothing was refused"
    for _ in range(3):
        assert site.visitor().ask("POST", "/hooks/shop", b"{}" + b" " * 60_000).status == 200
    for peer in unfinished:
        peer.close()


def ended_soon(peer):
    peer.settimeout(1)
    try:
        return peer.recv(65536)[9:12]
    except (TimeoutError, ConnectionError):
        return b""


def test_the_room_counts_what_is_there():
    room = Room(100, 10)
    with room.desk() as one, room.desk() as two:
        one(60)
        with pytest.raises(Full):
            two(70)
        two(10)
        two(40)
    with room.desk() as again:
        again(110)


def test_a_content_length_beyond_numbers_is_refused(site):
    answer = ended(connect(site, b"POST /hooks/shop HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n"))
    assert answer[9:12] in (b"413", b"400")
    assert asyncio  # the loop is the server's own
