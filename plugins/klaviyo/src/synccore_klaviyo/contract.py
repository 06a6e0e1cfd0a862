"""The sink against the hazards of the kit. Shipped, so that `synccore plugins check klaviyo` can repeat it."""

from collections.abc import Mapping, Sequence
from typing import Any

from synccore.testing import FakeClock, Fault, SinkContract
from synccore_klaviyo.sink import SINK
from synccore_klaviyo.testing import FakeKlaviyo


class TestProfiles(SinkContract):
    """Profiles and events."""

    sink_type = SINK
    object = "profile"
    event = {"object": "event"}
    jobs_from = 50
    exempt = {
        "a_person_is_found_by_our_own_id_alone": "without external ids a profile is known by its address alone",
        "what_its_owner_wrote_since_is_let_go_of_as_it_is": "a profile is one person: forgetting deletes all of it",
        "what_is_not_ours_alone_is_not_erased": "a profile is one person: forgetting them deletes it whoever made it",
    }

    def start(self, clock: FakeClock) -> FakeKlaviyo:
        """The stand-in, by the test's clock; a number of somebody else's hits their profile."""
        klaviyo = FakeKlaviyo(clock=clock.now, polls_until_done=6)
        klaviyo.store.phones_win = True
        return klaviyo

    def config(self, stand_in: FakeKlaviyo) -> Mapping[str, Any]:
        """The table that reaches it; jobs begin early."""
        return {"api_key": stand_in.key, "api_url": stand_in.url, "bulk_threshold": 40}

    def held(self, stand_in: FakeKlaviyo) -> Sequence[str]:
        """The address of every profile."""
        return [person.attributes["email"] for person in stand_in.store.people.values()]

    def record(self, stand_in: FakeKlaviyo, remote_id: str) -> Mapping[str, Any]:
        """A profile as Klaviyo holds it."""
        person = stand_in.store.people[remote_id]
        return {**person.attributes, "properties": dict(person.properties), "location": dict(person.location) or None}

    def theirs(self, stand_in: FakeKlaviyo, fields: Mapping[str, Any]) -> str:
        """A profile that was imported by hand."""
        return stand_in.add_person(**{name: value for name, value in fields.items() if "." not in name and value}).id

    def rewrite(self, stand_in: FakeKlaviyo, remote_id: str, fields: Mapping[str, Any]) -> bool:
        """Somebody types over a profile."""
        stand_in.store.people[remote_id].attributes.update(fields)
        return True

    def vanish(self, stand_in: FakeKlaviyo, remote_id: str) -> bool:
        """Somebody deletes a profile."""
        stand_in.store.delete(stand_in.store.people[remote_id])
        return True

    def exchange_account(self, stand_in: FakeKlaviyo) -> bool:
        """The key of another account: it is empty."""
        stand_in.become("ZyX987", "Another shop")
        return True

    def events(self, stand_in: FakeKlaviyo) -> Sequence[str]:
        """Every event's own id."""
        return [event["unique_id"] for event in stand_in.store.events]

    def told(self, stand_in: FakeKlaviyo) -> Sequence[Mapping[str, Any]]:
        """What an event says, and of whom."""
        people = stand_in.store.people
        events = stand_in.store.events
        return [{**event["properties"], "email": people[event["profile"]].attributes["email"]} for event in events]

    def refuse(self, stand_in: FakeKlaviyo, email: str) -> bool:
        """A refusal of every call that names the address."""
        error = {"id": "1", "status": 400, "code": "invalid", "title": "Invalid input.", "detail": "Not this one."}
        here = email.encode()
        stand_in.fail_always(Fault.status(400, {"errors": [error]}, when=lambda request: here in request.body))
        return True

    def forbidden(self) -> Fault:
        """A key without the scope."""
        told = {"title": "Permission denied.", "detail": "The API key is missing required scopes: profiles:write"}
        return Fault.status(403, {"errors": [{"id": "1", "status": 403, "code": "permission_denied", **told}]})
