"""What the contract says of `open`, seen from a plugin that the app opens."""

from synccore.hookspecs import SinkType
from synccore.testing import Harness, ScriptedSink
from synccore.testing.scripted import scripted_type


def test_an_instance_finds_its_routes_when_it_is_opened(tmp_path):
    seen = []
    inner = scripted_type(ScriptedSink())

    def open_sink(config, context):
        seen.append([route.name for route in context.routes])
        return inner.open(config, context)

    kind = SinkType(name="looking", summary="", config=inner.config, open=open_sink, objects=inner.objects)
    with Harness(
        tmp_path,
        {"people": {"entity": "customer", "fields": {"email": "customer.email"}}},
        sink_types={"crm": (kind, {})},
    ):
        assert seen[-1] == ["people"]
