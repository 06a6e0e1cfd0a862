"""The sink against the hazards of the kit. Shipped, so that `synccore plugins check google_contacts` can repeat it."""

from collections.abc import Mapping, Sequence
from typing import Any

from synccore.testing import FakeClock, Fault, Request, SinkContract
from synccore_google_contacts.sink import SINK
from synccore_google_contacts.testing import AutoBrowser, FakePeople, settings


def _asks_people(request: Request) -> bool:
    return request.path.startswith("/v1/")


class TestContacts(SinkContract):
    """Contacts."""

    sink_type = SINK
    object = "contact"

    def start(self, clock: FakeClock) -> FakePeople:
        """The stand-in, by the test's clock."""
        return FakePeople(clock=clock.now)

    def config(self, stand_in: FakePeople) -> Mapping[str, Any]:
        """The table that reaches it."""
        return {name: value for name, value in settings(stand_in).items() if name != "type"}

    def connect(self, sink: Any, stand_in: FakePeople) -> None:
        """Sign in as a person would."""
        sink.connect(AutoBrowser())

    def held(self, stand_in: FakePeople) -> Sequence[str]:
        """Every address in the book."""
        return [entry["value"] for person in stand_in.contacts() for entry in person.get("emailAddresses", [])]

    def theirs(self, stand_in: FakePeople, fields: Mapping[str, Any]) -> str:
        """A contact that its owner typed in."""
        names = {"givenName": fields.get("given_name"), "familyName": fields.get("family_name")}
        book = {"names": [{name: value for name, value in names.items() if value}]}
        lists = {"emailAddresses": "email", "phoneNumbers": "phone"}
        return stand_in.add(**book, **{kind: [{"value": fields[n]}] for kind, n in lists.items() if fields.get(n)})

    def rewrite(self, stand_in: FakePeople, remote_id: str, fields: Mapping[str, Any]) -> bool:
        """The owner renames a contact."""
        (name,) = stand_in.contact(remote_id)["names"]
        stand_in.edit(remote_id, names=[{**name, "familyName": fields["family_name"]}])
        return True

    def vanish(self, stand_in: FakePeople, remote_id: str) -> bool:
        """The owner deletes a contact."""
        stand_in.remove(remote_id)
        return True

    def merge(self, stand_in: FakePeople, kept: str, other: str) -> str:
        """The owner merges two contacts, and Google tells neither the former name nor whose it was."""
        book = stand_in.book()
        book.told = book.forwards = False
        return stand_in.merge(kept, other, under="new", markers="none")

    def exchange_account(self, stand_in: FakePeople) -> bool:
        """The stored grant is another person's."""
        sign_in = stand_in.sign_in
        sign_in.people["2002"] = {"id": "2002", "email": "other@shop.test", "name": "Otto Other"}
        for grant in (*sign_in.refresh.values(), *(grant for grant, _ in sign_in.access.values())):
            grant.user = "2002"
        return True

    def record(self, stand_in: FakePeople, remote_id: str) -> Mapping[str, Any]:
        """A contact as its owner sees it, under the names of the mapping."""
        person = stand_in.contact(remote_id)

        def first(field: str, key: str = "value") -> Any:
            return next((entry.get(key) for entry in person.get(field, ())), None)

        return {
            "given_name": first("names", "givenName"),
            "family_name": first("names", "familyName"),
            "email": first("emailAddresses"),
            "phone": first("phoneNumbers"),
            "notes": first("biographies"),
        }

    def refuse(self, stand_in: FakePeople, email: str) -> bool:
        """A refusal of every contact with the address."""

        def reason(person: Mapping[str, Any]) -> str | None:
            values = [entry.get("value") for entry in person.get("emailAddresses", [])]
            return "Invalid person.email_addresses." if email in values else None

        stand_in.refuse = reason
        return True

    def unauthorised(self) -> Fault:
        """A revoked grant."""
        body = {"error": {"code": 401, "status": "UNAUTHENTICATED", "message": "Request had invalid credentials."}}
        return Fault.status(401, body, when=_asks_people)

    def forbidden(self) -> Fault:
        """A grant without the scope."""
        told = {"status": "PERMISSION_DENIED", "message": "Request had insufficient authentication scopes."}
        details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]
        return Fault.status(403, {"error": {"code": 403, **told, "details": details}}, when=_asks_people)

    def rate_limited(self) -> Fault:
        """A minute's quota used up."""
        body = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded."}}
        return Fault.status(429, body, {"Retry-After": "120"}, when=_asks_people)

    def is_write(self, request: Request) -> bool:
        """Calls of the People API that change something."""
        return _asks_people(request) and request.method != "GET"
