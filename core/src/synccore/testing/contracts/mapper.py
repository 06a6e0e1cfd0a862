"""What every mapper must be: pure, repeatable, and unharmed by what shops hold."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ...errors import MappingError
from ...hookspecs import Mapper, MapperType
from ...types import MapContext, RouteSpec, Skip, Snapshot
from ..strategies import customers

__all__ = ["MapperContract"]


class MapperContract:
    """Subclass it; set `mapper_type` and write `route`."""

    mapper_type: ClassVar[MapperType]

    def route(self) -> RouteSpec:
        """A customer route that uses the mapper."""
        raise NotImplementedError("write route(): a customer route that uses your mapper")

    def filters(self) -> Mapping[str, Callable[..., Any]]:
        """Filters the route's expressions use."""
        from ..._mapping.filters import FILTERS

        return FILTERS

    def open(self) -> Mapper:
        """A fresh mapper."""
        return self.mapper_type.open(self.route(), self.filters())

    @staticmethod
    def _answer(mapper: Mapper, snapshot: Snapshot, context: MapContext) -> Any:
        try:
            return mapper.map(snapshot, context)
        except MappingError as error:
            return str(error)

    @given(data=st.data())
    @settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
    def test_any_customer_gives_fields_a_skip_or_a_mapping_error(self, data: st.DataObject) -> None:
        """Nothing else, whatever the shop holds; and the same twice, from two mappers."""
        customer = data.draw(customers())
        snapshot = Snapshot(source="shop", entity="customer", key=customer.key, data=customer)
        context = MapContext(route=self.route())
        before = repr(snapshot)
        first = self._answer(self.open(), snapshot, context)
        assert isinstance(first, Mapping | Skip | str)
        assert repr(self._answer(self.open(), snapshot, context)) == repr(first), "two answers to one question"
        assert repr(snapshot) == before, "the mapper changed the record"

    @given(data=st.data())
    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    def test_an_error_names_route_and_field_and_no_value(self, data: st.DataObject) -> None:
        """What is parked must say where, and nothing of whom."""
        customer = data.draw(customers())
        snapshot = Snapshot(source="shop", entity="customer", key=customer.key, data=customer)
        error = self._error(snapshot)
        if error is not None:
            assert error.route == self.route().name
            assert not customer.email or customer.email not in str(error)

    def _error(self, snapshot: Snapshot) -> MappingError | None:
        try:
            self.open().map(snapshot, MapContext(route=self.route()))
        except MappingError as error:
            return error
        return None

    def test_a_mapper_that_can_never_work_is_refused_when_opened(self) -> None:
        """Overridden by mappers that can tell."""
        pytest.skip("this mapper cannot tell before it maps")
