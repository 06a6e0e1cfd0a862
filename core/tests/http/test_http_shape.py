"""The shape of an answer: what is refused, in whose words, and what that says of a request that was to write."""

import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synccore.errors import Transient
from synccore.http import ID, MOMENT, SECONDS, Kind, Response, Shape, WrongShape, parse_json

PEOPLE = Shape(
    {
        "data": [
            {
                "id": ID,
                "email?": str,
                "made?": MOMENT,
                "size?": (int, [int]),
                "home?": {"city?": str},
                "more?": {"*?": (str, float)},
            }
        ],
        "next?": str,
    }
)


def person(**parts):
    return {"data": [{"id": "1", **parts}]}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "the whole is null, not an object"),
        ([], "the whole is a list, not an object"),
        ({}, "data is missing"),
        ({"data": None}, "data is null, not a list"),
        ({"data": {}}, "data is an object, not a list"),
        ({"data": [7]}, "data[0] is a whole number, not an object"),
        ({"data": [], "next": 7}, "next is a whole number, not a text"),
        ({"data": [{"id": "1"}, {}]}, "data[1].id is missing"),
        (person(id=None), "data[0].id is null, not a text"),
        (person(id=True), "data[0].id is true or false, not a text"),
        (person(id=""), "data[0].id is not an id"),
        (person(id="a b"), "data[0].id is not an id"),
        (person(id="x" * 256), "data[0].id is not an id"),
        (person(email=["ada@shop.test"]), "data[0].email is a list, not a text"),
        (person(made="2026-12-01"), "data[0].made is not a time with its zone"),
        (person(made="ada@shop.test"), "data[0].made is not a time with its zone"),
        (person(made="0001-01-01T00:00:00+14:00"), "data[0].made is not a time with its zone"),
        (person(size=True), "data[0].size is true or false, not a whole number or a list"),
        (person(size=[1, "ada"]), "data[0].size[1] is a text, not a whole number"),
        (person(home="Bonn"), "data[0].home is a text, not an object"),
        (person(home={"city": 7}), "data[0].home.city is a whole number, not a text"),
        (person(more={"ada@shop.test": []}), "data[0].more.* is a list, not a text or a whole number or a number"),
    ],
)
def test_what_is_wrong_is_named_by_our_own_words(value, said):
    with pytest.raises(WrongShape) as caught:
        PEOPLE.read(value)
    assert str(caught.value) == said


def test_what_is_not_asked_for_is_passed_over_and_null_is_taken_for_missing():
    value = person(email=None, made="2026-12-01T00:00:00Z", home=None, more={"a": 1, "b": None, "c": 1.5}, odd=[{}])
    assert PEOPLE.read(value) is value
    assert value == person(made="2026-12-01T00:00:00Z", more={"a": 1, "c": 1.5}, odd=[{}])


def test_null_is_what_it_is_where_the_shape_says_so():
    assert Shape({"next": (str, None)}).read({"next": None}) == {"next": None}


@pytest.mark.parametrize("value", [0, 3600, 3599.5, "3600"])
def test_a_stretch_of_time_is_a_number_or_its_text(value):
    assert Shape({"lasts": SECONDS}).read({"lasts": value})["lasts"] == value


@pytest.mark.parametrize("value", [-1, 10**30, 1e308, float("inf"), "soon", "", True, None, [3600]])
def test_what_nobody_can_wait_for_is_no_stretch_of_time(value):
    with pytest.raises(WrongShape, match=r"^lasts is "):
        Shape({"lasts": SECONDS}).read({"lasts": value})


def test_a_kind_of_ones_own():
    even = Shape([Kind("an even number", int, lambda value: value % 2 == 0)])
    assert even.read([2, 4]) == [2, 4]
    with pytest.raises(WrongShape, match=r"^\[1\] is not an even number$"):
        even.read([2, 3])


@pytest.mark.parametrize("spec", [7, "str", {"name": set}, [bytes], {"name": str, "name?": str}])
def test_what_is_no_part_of_a_shape_is_said_when_it_is_made(spec):
    with pytest.raises(TypeError, match="no part of a shape"):
        Shape(spec)


def answer(value, **more):
    return Response(status=200, headers={"content-type": "application/json"}, body=json.dumps(value).encode(), **more)


@pytest.mark.parametrize("wrote", [False, True])
@pytest.mark.parametrize("body", [b"", b'{"data"', b"[]", b'{"data": [{"id": ["ada@shop.test"]}]}'])
def test_what_cannot_be_read_is_transient_and_a_write_maybe_carried_out(body, wrote):
    with pytest.raises(Transient) as caught:
        Response(status=200, headers={}, body=body).json_as(PEOPLE, wrote=wrote)
    assert caught.value.maybe_applied is wrote
    assert "ada" not in str(caught.value)
    assert caught.value.message.startswith("HTTP 200 with ")


def test_an_answer_of_its_shape_is_read():
    assert answer(person(email="ada@shop.test")).json_as(PEOPLE) == person(email="ada@shop.test")


def test_a_refusal_of_another_shape_says_nothing():
    assert answer({"data": 7}).json_or_none(PEOPLE) is None
    assert answer({"data": []}).json_or_none(PEOPLE) == {"data": []}


# whoever goes through it in Python would come to the end of the stack


@pytest.mark.parametrize("pair", [("[", "]"), ('{"a":', "}"), ('["[[", ', "]")])
def test_what_is_nested_too_deeply_is_not_read(pair):
    begin, end = pair
    assert parse_json(begin * 90 + "1" + end * 90)
    for deep in (102, 600, 3_000):
        with pytest.raises(ValueError, match="nested too deeply"):
            parse_json((begin * deep + "1" + end * deep).encode())


@given(st.text('[]{}"\\', max_size=300))
def test_brackets_in_texts_are_no_nesting(text):
    assert parse_json(json.dumps([text] * 60)) == [text] * 60


def test_a_moment_can_be_compared():
    shape = Shape({"at": MOMENT})
    for text in ("2026-12-01T00:00:00Z", "2026-12-01T00:00:00.123+0000", "9999-12-31T23:59:59+00:00"):
        assert datetime.fromisoformat(shape.read({"at": text})["at"]) > datetime.fromisoformat("2000-01-01T00:00:00Z")
