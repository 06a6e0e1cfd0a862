"""Every case of the mapper contract finds the mapper that it is there to find."""

import random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from synccore.errors import ConfigError, MappingError
from synccore.hookspecs import MapperType
from synccore.testing import MapperContract
from synccore.types import RouteSpec, Skip


class Reads:
    """A sound mapper: refuses what is no text, names where it fails."""

    def __init__(self, route, filters):
        if not all(isinstance(value, str) for value in route.fields.values()):
            raise ConfigError("not an attribute's name")
        self.route = route

    def map(self, snapshot, context):
        if snapshot.data.email is None:
            return Skip("no address")
        if "+" in snapshot.data.email:
            raise self.error(snapshot)
        return {"email": snapshot.data.email}

    def error(self, snapshot):
        return MappingError("cannot be read", route=self.route.name, field="email")


class Gambles(Reads):
    def map(self, snapshot, context):
        return {"n": random.random()}


class Surprises(Reads):
    def map(self, snapshot, context):
        return {"email": snapshot.data.email.lower()}


class Answers(Reads):
    def map(self, snapshot, context):
        return [snapshot.data.email]


class Anonymous(Reads):
    def map(self, snapshot, context):
        raise MappingError("somewhere")


class Talks(Reads):
    def map(self, snapshot, context):
        raise MappingError(f"{snapshot.data.email} is odd", route=self.route.name)


FIELDS, ERRORS = "any_customer_gives_fields_a_skip_or_a_mapping_error", "an_error_names_route_and_field_and_no_value"


def mapper_contract(kind, **fields):
    class Contract(MapperContract):
        mapper_type = MapperType(name="m", summary="A mapper.", open=kind)

        def route(self):
            return RouteSpec(
                name="people",
                source="shop",
                entity="customer",
                sink="crm",
                object="person",
                fields=fields or {"email": "email"},
            )

    return Contract()


def attempt(contract, case):
    """As the contract runs it, with fewer examples and without the search for the smallest: nobody reads it here."""
    inner = getattr(MapperContract, f"test_{case}").hypothesis.inner_test

    @settings(max_examples=20, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def attempted(data):
        inner(contract, data)

    attempted()


@pytest.mark.parametrize("case", [FIELDS, ERRORS])
def test_a_sound_mapper_passes(case):
    attempt(mapper_contract(Reads), case)


def test_a_generated_mapper_passes(generated):
    with generated("sample_mapper", "mapper", ("mapper",)) as modules:
        contract = mapper_contract(modules["mapper"].MAPPER.open, email="email", name="first_name")
        for case in (FIELDS, ERRORS):
            attempt(contract, case)


@pytest.mark.parametrize(
    ("kind", "case"),
    [(Gambles, FIELDS), (Surprises, FIELDS), (Answers, FIELDS), (Anonymous, ERRORS), (Talks, ERRORS)],
)
def test_a_broken_mapper_is_found(kind, case):
    with pytest.raises((Exception, BaseExceptionGroup)):
        attempt(mapper_contract(kind), case)
