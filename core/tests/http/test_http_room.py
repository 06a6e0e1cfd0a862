"""What answers hold together, and how much one may make of its bytes."""

import threading
from datetime import timedelta

import httpx
import pytest

from synccore.errors import Transient
from synccore.http import Response, parse_json, time_limit
from synccore.http._answer import MOST_VALUES
from synccore.http._room import Room

MB = 1_000_000


def test_who_finds_no_room_waits_until_others_are_done():
    room, got = Room(10 * MB), threading.Event()

    def second():
        with room.seat() as grow:
            grow(5 * MB)
            got.set()

    with room.seat() as grow:
        grow(8 * MB)
        thread = threading.Thread(target=second)
        thread.start()
        assert not got.wait(0.05)
    assert got.wait(10)
    thread.join()


def test_the_first_never_waits_so_that_somebody_is_always_done_next():
    room = Room(10 * MB)
    with room.seat() as first, room.seat() as second:
        first(6 * MB)
        second(4 * MB)
        first(30 * MB)


def test_a_small_answer_waits_for_nobody():
    room = Room(MB)
    with room.seat() as large, room.seat() as small:
        large(MB)
        small(200_000)


def test_who_waits_does_so_no_longer_than_its_call_may_take():
    room = Room(MB)
    with room.seat() as first, room.seat() as second:
        first(MB)
        with time_limit(timedelta(milliseconds=10)), pytest.raises(httpx.ReadTimeout):
            second(MB)


@pytest.mark.parametrize("value", [b"[]", b"{}", b"1", b'"a"'])
def test_more_values_than_anybody_means_are_not_read(value):
    many = b"[" + b",".join([value] * (MOST_VALUES + 1)) + b"]"
    with pytest.raises(ValueError, match=f"more than {MOST_VALUES:,} values"):
        parse_json(many)
    with pytest.raises(ValueError, match=f"more than {MOST_VALUES:,} values"):
        parse_json(many.decode())
    with pytest.raises(Transient, match=f"more than {MOST_VALUES:,} values"):
        Response(status=200, headers={}, body=many).json()


def test_a_long_text_is_one_value():
    text = b"words, and more words; " * (MOST_VALUES // 4)
    assert len(parse_json(b'["' + text + b'"]')[0]) == len(text)
