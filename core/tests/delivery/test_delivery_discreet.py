"""Nothing of a record and no secret gets into the trail with the target's words."""

import pytest
from attrs import evolve

from synccore.errors import AuthError, BatchRejected, Conflict, Rejected, Transient
from synccore.testing import Harness, ScriptedSink, customer
from synccore.testing.scripted import scripted_type
from synccore.types import Delivered, Failed, Limits

PEOPLE = {"people": {"entity": "customer", "fields": {"email": "customer.email", "name": "customer.first_name"}}}


@pytest.fixture
def people(tmp_path):
    with Harness(tmp_path, PEOPLE, limits=Limits(max_batch=200)) as app:
        yield app


def said(app):
    """Everything that is kept of what the target said."""
    entries = [f"{e.error} {e.note}" for e in app.history()]
    return " ".join([*entries, str(app.app.engine.lanes["crm"].gate.record.reason)])


@pytest.mark.parametrize(
    "error",
    [
        Conflict("Wolfeschlegel changed"),
        Rejected("Wolfeschlegel is no name"),
        BatchRejected("cannot take WOLFESCHLEGEL"),
        AuthError("not for Wolfeschlegel"),
        Transient("at Wolfeschlegel"),
        Transient("at Wolfeschlegel", outage=False),
        KeyError("Wolfeschlegel"),
        ValueError("no Wolfeschlegel here"),
    ],
    ids=lambda e: type(e).__name__,
)
@pytest.mark.parametrize("raised", [True, False])
def test_a_targets_words_name_the_field_instead_of_the_value(people, error, raised):
    people.sink.then(*[error if raised else lambda _: Failed(error)] * 2)
    people.emit(customer("1", first_name="Wolfeschlegel"))
    people.drain()
    text = said(people)
    assert "olfeschlegel" not in text.lower()
    assert "[name]" in text


def test_the_words_of_the_shop_may_be_said(tmp_path):
    """A status is what the trail is there for; the same word as a person's name is not."""
    fields = {"email": "customer.email", "name": "customer.first_name", "status": "customer.last_name"}
    sink = ScriptedSink()
    kind = scripted_type(sink)
    kind = evolve(kind, objects=(evolve(kind.objects[0], sayable=frozenset({"status"})),))
    with Harness(tmp_path, {"people": {"entity": "customer", "fields": fields}}, sink_types={"crm": (kind, {})}) as app:
        sink.always(lambda op: Delivered(remote_id="r1", note="paused Wolfgang"))
        app.emit(customer("1", first_name="Wolfgang", last_name="paused"))
        app.drain()
        assert [e.note for e in app.history() if e.outcome == "delivered"] == ["paused [name]"]
