"""What frozen classes share says what attrs would write for each of them."""

import copy
import pickle
from typing import Any

import attrs
import pytest
from attrs import field, frozen

from synccore._plain import Plain, Shown
from synccore.entities import ENTITIES, Address
from synccore.hookspecs import MapperType
from synccore.types import EntityRef, Operation, RouteSpec


@frozen
class _Own(Plain):
    number: int
    _hidden: str = field(default="h", repr=False)
    _label: str = field(default="l", eq=str.lower, repr=str.upper)
    note: Any = field(default=None, eq=False)


@frozen
class _Own1(_Own):
    more: tuple[int, ...] = ()


@frozen
class _One(Plain):
    number: Any


@frozen
class _None(Plain):
    pass


def _by_attrs(kind: type[Any]) -> type[Any]:
    """The same class as attrs writes it."""
    these = {one.name: field(default=None, repr=one.repr, eq=one.eq_key or one.eq) for one in attrs.fields(kind)}
    made: type[Any] = attrs.make_class(kind.__name__, these, frozen=True, slots=True)
    return made


OBJECTS = [
    _Own(1),
    _Own(2, label="L", note=3),
    _Own(2, label="l", note=4),
    _Own(2, hidden="other"),
    _Own1(1, more=(1, 2)),
    _One(1),
    _One(float("nan")),
    _One(_One("text")),
    _None(),
    Address(line1="a", city="b"),
    EntityRef(entity="customer", key="1"),
    *(kind(key="1") for kind in ENTITIES.values() if kind.__name__ == "Customer"),
]


@pytest.mark.parametrize("made", OBJECTS, ids=repr)
def test_they_say_what_attrs_would_say(made: Any) -> None:
    usual = _by_attrs(type(made))
    values = {one.name.lstrip("_"): getattr(made, one.name) for one in attrs.fields(type(made))}
    assert repr(made) == repr(usual(**values))


@pytest.mark.parametrize("other", OBJECTS, ids=repr)
@pytest.mark.parametrize("made", OBJECTS, ids=repr)
def test_they_are_equal_where_attrs_would_say_so(made: Any, other: Any) -> None:
    kinds = {kind: _by_attrs(kind) for kind in (type(made), type(other))}
    one, two = (
        kinds[type(m)](**{f.name.lstrip("_"): getattr(m, f.name) for f in attrs.fields(type(m))}) for m in (made, other)
    )
    assert (made == other, made != other) == (one == two, one != two)
    if made == other and not hasattr(made, "raw"):
        assert hash(made) == hash(other)


def test_what_cannot_be_hashed_cannot_be_hashed() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(_One([]))


def test_copies_are_equal() -> None:
    for made in OBJECTS:
        if made == made:
            assert copy.deepcopy(made) == made
            assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301  our own


def test_one_that_holds_itself_is_shown() -> None:
    held: list[Any] = []
    held.append(_One(held))
    assert repr(held[0]) == "_One(number=[...])"


def test_attrs_writes_none_of_it() -> None:
    for kind in (_Own, _Own1, EntityRef, Operation, RouteSpec):
        for name in ("__repr__", "__eq__", "__hash__"):
            assert kind.__dict__[name] is getattr(Plain, name)
    assert MapperType.__dict__["__repr__"] is Shown.__repr__


def test_those_that_are_told_apart_are_shown_alike() -> None:
    one, two = (MapperType(name="m", summary="", open=print) for _ in range(2))
    assert repr(one) == repr(two)
    assert one != two
    assert len({one, two}) == 2


def test_a_class_may_bring_its_own() -> None:
    @frozen
    class Said(Plain):
        number: int

        def __repr__(self) -> str:
            return "said"

    assert repr(Said(1)) == "said"
    assert Said(1) == Said(1)


def test_what_has_to_be_worked_out_is_not_where_the_first_ones_differ() -> None:
    worked_out: list[Any] = []

    @frozen
    class Late(Plain):
        number: int
        key: str = field(eq=worked_out.append)

    assert Late(1, "a") != Late(2, "a")
    assert worked_out == []
    assert Late(1, "a") == Late(1, "b")
    assert worked_out == ["a", "b"]
