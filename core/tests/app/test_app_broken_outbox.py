"""An outbox that cannot be opened is what is told, whatever else cannot be known without it."""

import pytest
from attrs import evolve

from synccore.errors import ConfigError
from synccore.testing import Harness
from synccore.testing.scripted import ScriptedSink, scripted_type


@pytest.mark.parametrize("there", ["a file that is none", "a directory"])
def test_a_broken_outbox_is_told_before_the_routes_of_a_sink_that_could_not_read_it(tmp_path, there):
    """What it can write it only knows once it is opened, and that reads what it has kept."""

    def reads(_config, context):
        context.state().get("objects")
        return ScriptedSink()

    kind = evolve(scripted_type(ScriptedSink()), name="keeper", open=reads, any_object=False)
    route = {"entity": "customer", "object": "told by the instance", "fields": {"email": "customer.email"}}
    if there == "a directory":
        (tmp_path / "synccore.db").mkdir()
    else:
        (tmp_path / "synccore.db").write_text("no database at all, and long enough to be looked at as one")
    with pytest.raises(ConfigError, match=r"not a SQLite database|is a directory"):
        Harness(tmp_path, {"people": route}, sink_types={"crm": (kind, {})})
