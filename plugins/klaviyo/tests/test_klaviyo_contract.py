"""The contract of a sink, held to by every sink."""

from synccore.testing import Fault, SinkContract
from synccore_klaviyo.sink import SINK
from synccore_klaviyo.testing import FakeKlaviyo


class TestProfiles(SinkContract):
    sink_type = SINK
    object = "profile"

    def start(self, clock):
        return FakeKlaviyo(clock=clock.now)

    def config(self, stand_in):
        return {"api_key": stand_in.key, "api_url": stand_in.url}

    def held(self, stand_in):
        return [person.attributes["email"] for person in stand_in.store.people.values()]

    def refuse(self, stand_in, email):
        error = {"id": "1", "status": 400, "code": "invalid", "title": "Invalid input.", "detail": "Not this one."}
        here = email.encode()
        stand_in.fail_always(Fault.status(400, {"errors": [error]}, when=lambda request: here in request.body))
        return True
