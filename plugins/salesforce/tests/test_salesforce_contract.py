"""The contract of a sink, held to by every sink, with and without an external id field."""

from urllib.parse import parse_qsl, urlsplit

from synccore.testing import Fault
from synccore.testing.contracts import SinkContract
from synccore_salesforce.sink import SINK
from synccore_salesforce.testing import FakeSalesforce


class Browser:
    """A person who signs in and allows."""

    def __init__(self, org):
        self.org = org

    def authorize(self, build_url, *, host="127.0.0.1", port=0, path="/"):
        redirect = f"http://{host}:{port}{path}"
        return redirect, dict(parse_qsl(urlsplit(self.org.approve(build_url(redirect))).query))

    def say(self, text):
        pass


class TestContact(SinkContract):
    sink_type = SINK
    object = "Contact"
    keys = True
    child = {"entity": "order", "object": "Order"}
    jobs_from = 300
    exempt = {
        "a_rate_limit_is_respected": "Salesforce states no time to wait: waits begin at 30 s and grow, tested elsewhere"
    }

    def start(self, clock):
        org = FakeSalesforce()
        if self.keys:
            org.add_field(self.object, "WooId__c", length=100, external_id=True, unique=True)
        return org

    def config(self, stand_in):
        return {
            "login_url": stand_in.url,
            "client_id": stand_in.client_id,
            "client_secret": stand_in.client_secret,
            "bulk_threshold": 250,
        }

    def connect(self, sink, stand_in):
        sink.connect(Browser(stand_in))

    def held(self, stand_in):
        return [r["Email"] for r in stand_in.records(self.object)]

    def parents(self, stand_in):
        return [r["BillToContactId"] for r in stand_in.records("Order")]

    def refuse(self, stand_in, email):
        stand_in.org.validation_rules.append((self.object, lambda r: r.get("Email") == email, "Not this one."))
        return True

    def unauthorised(self):
        body = [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}]
        return Fault.status(401, body, when=lambda r: "/services/data/" in r.path)

    def is_write(self, request):
        return request.method != "GET" and "/services/data/" in request.path


class TestContactByAddress(TestContact):
    """An org without the external id field."""

    keys = False
    # Jobs need the external id.
    jobs_from = 0
    exempt = {
        **TestContact.exempt,
        "a_new_address_after_a_lost_answer_makes_no_second_record": "without an external id field a contact is known by"
        " its address alone: a create whose answer was lost is not found under the new one",
    }
