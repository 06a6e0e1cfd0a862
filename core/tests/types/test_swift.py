"""Frozen objects that are made swiftly are those that their class makes."""

import copy
import inspect
import pickle
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from attrs import field, frozen

from synccore._swift import swift, swiftly
from synccore.entities import ENTITIES, Address, Customer
from synccore.store import Delivery, HistoryEntry, LinkUpdate, Settlement
from synccore.types import Change, Delivered, EntityRef, MapContext, Operation, Settled, Snapshot

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@frozen(weakref_slot=False)
class _Kept:
    first: int
    _second: int = 2
    third: dict[str, int] = field(factory=dict, kw_only=True)
    kind: str | None = field(default=None, kw_only=True)


@swift
@frozen(weakref_slot=False)
class _Named:
    first: int
    _second: int = 2
    third: dict[str, int] = field(factory=dict, kw_only=True)
    kind: str | None = field(default=None, kw_only=True)


@frozen(weakref_slot=False)
class _Turned:
    number: int = field(converter=int)


@frozen(weakref_slot=False)
class _Checked:
    number: int = field(validator=attrs.validators.instance_of(int))


@frozen(weakref_slot=False)
class _Busy:
    number: int

    def __attrs_post_init__(self) -> None:
        pass


@frozen
class _Weak:
    number: int


@pytest.mark.parametrize(
    ("given", "named"),
    [((1,), {}), ((1, 5), {"kind": "k"}), ((1,), {"second": 5, "third": {"a": 1}}), ((), {"first": None})],
)
def test_they_are_equal_and_of_that_class(given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
    swift, usual = swiftly(_Kept)(*given, **named), _Kept(*given, **named)
    assert type(swift) is _Kept
    assert (swift, repr(swift)) == (usual, repr(usual))
    assert attrs.asdict(swift) == attrs.asdict(usual)
    assert pickle.loads(pickle.dumps(swift)) == copy.copy(swift) == usual  # noqa: S301  our own


@pytest.mark.parametrize(
    ("given", "named"),
    [((1,), {}), ((1, 5), {"kind": "k"}), ((1,), {"second": 5, "third": {"a": 1}}), ((), {"first": None})],
)
def test_a_swift_class_makes_what_it_would_make(given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
    for _ in range(2):  # the first one writes what makes all others
        made, usual = _Named(*given, **named), _Kept(*given, **named)
        assert type(made) is _Named
        assert attrs.asdict(made) == attrs.asdict(usual)
        assert made == attrs.evolve(made) == copy.copy(made) == pickle.loads(pickle.dumps(made))  # noqa: S301  our own
        assert _Named(*given, **named).third is not _Named(*given, **named).third or "third" in named
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            made.first = 2  # type: ignore[misc]  what is tried
    with pytest.raises(TypeError):
        _Named()  # type: ignore[call-arg]  what is tried
    assert str(inspect.signature(_Named)) == str(inspect.signature(_Kept))


def test_classes_made_of_a_swift_one_are_as_others() -> None:
    class Named(_Named):
        """Has room for anything."""

    @frozen
    class More(_Named):
        more: int = field(default=3, kw_only=True)

    assert (Named(1, third={}).first, type(Named(1))) == (1, Named)
    assert (More(1, more=4).more, More(1).kind, type(More(1))) == (4, None, More)


@pytest.mark.parametrize("kind", [*ENTITIES.values(), Address, Change, Delivered])
def test_what_plugins_make_for_every_record_is_swift(kind: Any) -> None:
    given = {one.alias: "x" for one in attrs.fields(kind) if one.default is attrs.NOTHING}
    made = kind(**given)
    assert kind.__init__.__code__.co_name == "fill"
    assert all(getattr(made, one.name) == "x" for one in attrs.fields(kind) if one.alias in given)


def test_nobody_changes_them_and_each_has_its_own_values() -> None:
    make = swiftly(_Kept)
    one, other = make(1), make(1)
    assert one.third is not other.third
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        one.first = 2  # type: ignore[misc]  what is tried
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del one.first
    assert attrs.evolve(one, first=2) == _Kept(2)


@pytest.mark.parametrize("given", [{}, {"first": 1, "fourth": 4}, {"first": 1, "_second": 4}])
def test_they_are_asked_for_as_of_the_class(given: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        _Kept(**given)
    with pytest.raises(TypeError):
        swiftly(_Kept)(**given)


def test_what_is_given_by_name_alone_is_so_for_plugins() -> None:
    with pytest.raises(TypeError):
        Address("Ada")  # type: ignore[misc]


@pytest.mark.parametrize("kind", [_Turned, _Checked, _Busy, _Weak])
def test_a_class_that_does_more_is_refused(kind: type) -> None:
    with pytest.raises(TypeError):
        swiftly(kind)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (EntityRef, {"entity": "customer", "key": "1"}),
        (Customer, {"key": "1", "billing": Address(city="Leeds")}),
        (Snapshot, {"source": "shop", "entity": "customer", "key": "1", "data": Customer(key="1")}),
        (Settled, {"at": NOW, "sink": "crm", "outcome": "delivered"}),
        (LinkUpdate, {"object": "person", "remote_id": None}),
        (Settlement, {"delivery_id": 1, "token": "t", "to": "done"}),
    ],
)
def test_what_every_record_needs_is_made_so(kind: Callable[..., Any], given: Mapping[str, Any]) -> None:
    assert swiftly(kind)(**given) == kind(**given)


@pytest.mark.parametrize("kind", [*ENTITIES.values(), Address, Delivery, HistoryEntry, MapContext, Operation])
def test_all_these_can_be(kind: Callable[..., Any]) -> None:
    swiftly(kind)
