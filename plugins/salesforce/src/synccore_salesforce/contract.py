"""The sink against the hazards of the kit. Shipped, so that `synccore plugins check salesforce` can repeat it."""

from collections.abc import Mapping, Sequence
from typing import Any

from synccore.testing import AutoBrowser, FakeClock, Fault, Request, SinkContract
from synccore_salesforce.sink import SINK
from synccore_salesforce.testing import FakeSalesforce

#: What a session that ended is told.
_OVER = [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}]


class TestContact(SinkContract):
    """Contacts found by external id, and orders behind them."""

    sink_type = SINK
    object = "Contact"
    keys = True
    child = {"entity": "order", "object": "Order"}
    jobs_from = 210
    exempt = {
        "a_rate_limit_is_respected": "Salesforce states no time to wait: waits begin at 30 s and grow, tested elsewhere"
    }

    def start(self, clock: FakeClock) -> FakeSalesforce:
        """An org, with the external id field where the class says so."""
        org = FakeSalesforce(now=clock.now)
        org.job_polls = 6  # a job runs for a while, also where somebody looks early
        if self.keys:
            org.add_field(self.object, "WooId__c", length=100, external_id=True, unique=True)
        return org

    def config(self, stand_in: FakeSalesforce) -> Mapping[str, Any]:
        """The table that reaches it; jobs begin early."""
        return {
            "login_url": stand_in.url,
            "client_id": stand_in.client_id,
            "client_secret": stand_in.client_secret,
            "bulk_threshold": 205,
        }

    def connect(self, sink: Any, stand_in: FakeSalesforce) -> None:
        """Sign in."""
        sink.connect(AutoBrowser(stand_in.approve))

    def held(self, stand_in: FakeSalesforce) -> Sequence[str]:
        """The address of every contact."""
        return [r["Email"] for r in stand_in.records(self.object)]

    def record(self, stand_in: FakeSalesforce, remote_id: str) -> Mapping[str, Any]:
        """The row in the org."""
        return next(row for row in stand_in.records(self.object) if row["Id"] == remote_id)

    def theirs(self, stand_in: FakeSalesforce, fields: Mapping[str, Any]) -> str:
        """A contact that somebody typed in."""
        names = ("FirstName", "LastName", "Email", "Phone")
        return stand_in.org.insert(self.object, {name: fields[name] for name in names if fields.get(name)})

    def rewrite(self, stand_in: FakeSalesforce, remote_id: str, fields: Mapping[str, Any]) -> bool:
        """Somebody types over a contact."""
        stand_in.org.save(self.object, fields, record_id=remote_id)
        return True

    def vanish(self, stand_in: FakeSalesforce, remote_id: str) -> bool:
        """Somebody deletes a contact."""
        stand_in.org.remove(self.object, remote_id)
        return True

    def merge(self, stand_in: FakeSalesforce, kept: str, other: str) -> str:
        """Somebody merges two contacts."""
        stand_in.org.merge(self.object, other, kept)
        return kept

    def enlarge(self, stand_in: FakeSalesforce) -> bool:
        """An administrator makes a field of the default mapping."""
        stand_in.add_field(self.object, "Customer_Since__c", type="date")
        return True

    def exchange_account(self, stand_in: FakeSalesforce) -> bool:
        """The login leads to another org; sessions of the one before have ended."""
        stand_in.sign_in.expire()
        stand_in.org.id = f"{stand_in.org.id[:-3]}99{stand_in.org.id[-1]}"
        return True

    def parents(self, stand_in: FakeSalesforce) -> Sequence[str]:
        """Whom the orders are billed to."""
        return [r["BillToContactId"] for r in stand_in.records("Order")]

    def rehang(self, stand_in: FakeSalesforce, remote_id: str, parent_id: str) -> bool:
        """Somebody has an order billed to another contact, or to none."""
        stand_in.org.save("Order", {"BillToContactId": parent_id or None}, record_id=remote_id)
        return True

    def refuse(self, stand_in: FakeSalesforce, email: str) -> bool:
        """A validation rule against one address."""
        stand_in.org.validation_rules.append((self.object, lambda r: r.get("Email") == email, "Not this one."))
        return True

    def unauthorised(self) -> Fault:
        """A session that ended, and every new one too."""
        return Fault.status(401, _OVER, when=lambda r: "/services/data/" in r.path)

    def forbidden(self) -> Fault:
        """A user whose profile does not allow the API."""
        error = {"errorCode": "API_DISABLED_FOR_ORG", "message": "The REST API is not enabled for this Organization."}
        return Fault.status(403, [error], when=lambda r: "/services/data/" in r.path)

    def rate_limited(self) -> Fault:
        """The calls of the day are used up: a 403, and no word of how long."""
        error = {"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}
        return Fault.status(403, [error], when=lambda r: "/services/data/" in r.path)

    def is_write(self, request: Request) -> bool:
        """Whether a request changes records."""
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
        "a_person_is_found_by_our_own_id_alone": "without an external id field nothing of ours stands in a contact",
    }
