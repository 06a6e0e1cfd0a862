"""When a value read back counts as the one delivered."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synccore._verbs.parts.compare import differing, same

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (Decimal("12.50"), 12.5),
        (Decimal("12.50"), "12.5"),
        (None, ""),
        ("", []),
        (True, "true"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05.000Z"),
        (date(2026, 1, 2), "2026-01-02"),
        ({"a": 1, "b": None}, {"a": "1"}),
        (["x ", 2], ("x", Decimal(2))),
    ],
)
def test_the_same_in_other_clothes(mine, theirs):
    assert same(mine, theirs)
    assert same(theirs, mine)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("01234", "1234"),
        ("a", "b"),
        (1, 2),
        (True, "yes"),
        (["a"], ["a", "b"]),
        ({"a": 1}, {"a": 1, "b": 2}),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:07Z"),
        (date(2026, 1, 2), "soon"),
        (1, "one"),
    ],
)
def test_what_differs_differs(mine, theirs):
    assert not same(mine, theirs)
    assert not same(theirs, mine)


@given(VALUES)
def test_everything_is_the_same_as_itself(value):
    assert same(value, value)


@given(VALUES, VALUES)
def test_the_order_of_the_question_does_not_matter(mine, theirs):
    assert same(mine, theirs) == same(theirs, mine)


def test_only_names_are_given():
    assert differing({"a": 1, "b": 2, "c": ""}, {"a": 1, "b": 3}) == ["b"]
