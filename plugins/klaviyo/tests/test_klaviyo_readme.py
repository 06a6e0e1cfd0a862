"""The README's configuration works as it stands."""

import re
import tomllib
from pathlib import Path

import pytest

from synccore.entities import Customer, Order
from synccore.testing import upsert
from synccore_klaviyo.sink import SINK

README = Path(__file__).parents[1] / "README.md"
BLOCKS = [
    tomllib.loads(re.sub(r"^ {3}", "", b, flags=re.MULTILINE))
    for b in re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL)
]


@pytest.fixture
def start(open_app):
    def make(routes):
        return open_app({n: {k: v for k, v in route.items() if k != "source"} for n, route in routes.items()})

    return make


def merged(name):
    """All that the README writes about a route."""
    found = {}
    for block in BLOCKS:
        table = block.get("routes", {}).get(name, {})
        fields = {**found.get("fields", {}), **table.get("fields", {})}
        found |= table | ({"fields": fields} if fields else {})
    return found


def test_the_routes_of_the_beginning_deliver(start, klaviyo):
    app = start(BLOCKS[0]["routes"])
    app.emit(upsert(Customer(key="1", email="a@shop.test")))
    app.settle_down()
    assert klaviyo.person("a@shop.test") is not None


def test_the_fields_it_adds_are_expressions(start, klaviyo):
    app = start({"profiles": merged("profiles")})
    app.emit(upsert(Customer(key="1", email="a@shop.test", meta={"favourite_colour": "blue"})))
    app.drain()
    assert klaviyo.person("a@shop.test").properties["Favourite"] == "blue"


def test_its_own_event_is_sent(start, klaviyo):
    app = start({"notes": {"entity": "order", "sink": "marketing", "object": "event", **merged("notes")}})
    note = Order(
        key="9", number="9", status="processing", currency="EUR", total=1, email="a@shop.test", customer_note="Hi"
    )
    app.emit(upsert(note))
    app.drain()
    (event,) = klaviyo.events("Left A Note")
    assert event["properties"] == {"Note": "Hi"}


def test_every_setting_and_property_is_explained():
    import attrs

    text = README.read_text()
    assert all(f"`{f.name}`" in text for f in attrs.fields(SINK.config))
    assert all(f"`{name}`" in text for kind in SINK.objects for name in kind.options)


def test_every_default_event_is_in_the_table():
    from synccore_klaviyo.events import METRICS

    text = README.read_text()
    for metrics in METRICS.values():
        for metric in metrics:
            assert metric in text or metric.split()[0] in text
