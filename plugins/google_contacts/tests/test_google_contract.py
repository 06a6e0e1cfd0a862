"""The contract of a sink, held to by every sink."""

from synccore.testing import Fault, SinkContract
from synccore_google_contacts.sink import SINK
from synccore_google_contacts.testing import AutoBrowser, FakePeople, settings


def asks_people(request):
    return request.path.startswith("/v1/")


class TestContacts(SinkContract):
    sink_type = SINK
    object = "contact"

    def start(self, clock):
        return FakePeople(clock=clock.now)

    def config(self, stand_in):
        return {name: value for name, value in settings(stand_in).items() if name != "type"}

    def connect(self, sink, stand_in):
        sink.connect(AutoBrowser())

    def held(self, stand_in):
        return [entry["value"] for person in stand_in.contacts() for entry in person.get("emailAddresses", [])]

    def refuse(self, stand_in, email):
        def reason(person):
            values = [entry.get("value") for entry in person.get("emailAddresses", [])]
            return "Invalid person.email_addresses." if email in values else None

        stand_in.refuse = reason
        return True

    def unauthorised(self):
        body = {"error": {"code": 401, "status": "UNAUTHENTICATED", "message": "Request had invalid credentials."}}
        return Fault.status(401, body, when=asks_people)

    def rate_limited(self):
        body = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded."}}
        return Fault.status(429, body, {"Retry-After": "120"}, when=asks_people)

    def is_write(self, request):
        return asks_people(request) and request.method != "GET"
