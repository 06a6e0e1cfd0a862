"""A strict Klaviyo on loopback, a sink that talks to it, and operations as core makes them.

Every request body of every test is also held against Klaviyo's published schema where that is at hand.
"""

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from synccore.secrets import Secret
from synccore.testing import FakeClock, FakeContext
from synccore.types import Link, Operation, RouteSpec
from synccore_klaviyo.config import KlaviyoConfig
from synccore_klaviyo.sink import SINK, KlaviyoSink
from synccore_klaviyo.testing import FakeKlaviyo

#: Klaviyo's published OpenAPI document, cut to the operations in use; lives beside the repository.
SCHEMA = Path(__file__).parents[4] / "shared" / "reference" / "klaviyo_openapi_subset.json"


def _nullable(node: Any) -> Any:
    """OpenAPI 3.0's `nullable` in the words of JSON Schema, also where it stands beside `$ref`."""
    if isinstance(node, list):
        return [_nullable(n) for n in node]
    if not isinstance(node, dict):
        return node
    found = {k: _nullable(v) for k, v in node.items() if k not in ("nullable", "example")}
    if node.get("nullable") is True:
        return {"anyOf": [found, {"type": "null"}]}
    return found


@cache
def _validators() -> Mapping[tuple[str, str], Any]:
    import jsonschema

    document = json.loads(SCHEMA.read_text())
    components = _nullable(document["components"])
    found = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = (operation.get("requestBody") or {}).get("content") or {}
            for media in content.values():
                schema = {**_nullable(media["schema"]), "components": components}
                found[(method.upper(), re.sub(r"\{\w+\}", "[^/]+", path))] = jsonschema.Draft4Validator(
                    schema, format_checker=jsonschema.FormatChecker()
                )
    return found


def _validate(klaviyo: FakeKlaviyo) -> int:
    checked = 0
    for request in klaviyo.requests:
        if not request.body:
            continue
        validator = next(
            (v for (m, p), v in _validators().items() if m == request.method and re.fullmatch(p, request.path)), None
        )
        assert validator is not None, f"{request.method} {request.path} is not in the published schema"
        problems = sorted(validator.iter_errors(request.json()), key=str)
        assert not problems, f"{request.path}: {problems[0].message} at {list(problems[0].absolute_path)}"
        checked += 1
    return checked


@pytest.fixture
def schema() -> Path:
    if not SCHEMA.exists():
        pytest.skip("Klaviyo's published schema is not beside the repository (../shared/reference)")
    return SCHEMA


@pytest.fixture
def validate(schema: Path) -> Callable[[FakeKlaviyo], int]:
    return _validate


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def klaviyo(clock: FakeClock) -> Iterator[FakeKlaviyo]:
    with FakeKlaviyo(clock=clock.now) as server:
        yield server
        if SCHEMA.exists():
            _validate(server)


@pytest.fixture
def context(clock: FakeClock) -> FakeContext:
    return FakeContext("marketing", "klaviyo", clock=clock)


@pytest.fixture
def open_sink(klaviyo: FakeKlaviyo, context: FakeContext) -> Iterator[Callable[..., KlaviyoSink]]:
    opened = []

    def make(routes: tuple[RouteSpec, ...] = (), key: str | None = None, **settings: Any) -> KlaviyoSink:
        context.routes = routes
        config = KlaviyoConfig(api_key=Secret(key or klaviyo.key), api_url=klaviyo.url, **settings)
        opened.append(SINK.open(config, context))
        return opened[-1]

    yield make
    for sink in opened:
        sink.close()


@pytest.fixture
def sink(open_sink: Callable[..., KlaviyoSink]) -> KlaviyoSink:
    return open_sink()


@pytest.fixture
def operation(clock: FakeClock) -> Callable[..., Operation]:
    """An operation as core makes it; `previous` are the fields last delivered."""
    numbers = itertools.count(1)

    def make(
        object: str = "profile",  # noqa: A002  the contract's word
        *,
        entity: str = "customer",
        key: str = "12",
        previous: Mapping[str, Any] | None = None,
        remote_id: str | None = None,
        **values: Any,
    ) -> Operation:
        fields = values.pop("fields", {})
        link = None
        if previous is not None or remote_id is not None:
            link = Link(
                object=object,
                remote_id=remote_id or f"shop:{entity}:{key}",
                fields=previous or {},
                delivered_at=values.pop("delivered_at", clock.now()),
            )
        changed = frozenset(n for n in {*fields, *(previous or {})} if fields.get(n) != (previous or {}).get(n))
        text = json.dumps([entity, key, fields], sort_keys=True, default=str)
        return Operation(
            **{
                "id": next(numbers),
                "route": "marketing",
                "object": object,
                "op": "upsert",
                "source": "shop",
                "entity": entity,
                "key": key,
                "fields": fields,
                "changed": changed,
                "link": link,
                "idempotency_key": text,
                "at": clock.now(),
                **values,
            }
        )

    return make
