"""The stand-in's part in `synccore demo`, and a person in a browser for tests."""

from collections.abc import Mapping
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from synccore import testing
from synccore.hookspecs import DemoVendor

from .people import FakePeople


def approve(url: str) -> str:
    """Open the consent screen and let the person there answer; gives the address the browser is sent to."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=10)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        body = answer.read().decode()
    finally:
        connection.close()
    location = answer.getheader("Location")
    if answer.status != 302 or not location:
        raise AssertionError(f"the consent screen answered {answer.status}: {body}")
    return location


class AutoBrowser(testing.AutoBrowser):
    """The person at the stand-in's consent screen."""

    def __init__(self) -> None:
        super().__init__(approve, port=8000)


def settings(fake: FakePeople) -> dict[str, Any]:
    """The `[sinks.NAME]` table that reaches the stand-in."""
    return {
        "type": "google_contacts",
        "client_id": fake.sign_in.client_id,
        "client_secret": fake.sign_in.client_secret,
        "label": "Customers",
        "api_url": fake.url,
        "auth_url": f"{fake.url}/o/oauth2/v2/auth",
        "token_url": f"{fake.url}/token",
        "revoke_url": f"{fake.url}/revoke",
        "userinfo_url": f"{fake.url}/oauth2/v2/userinfo",
    }


class Demo:
    """The stand-in, running."""

    def __init__(self) -> None:
        self.server = FakePeople()
        self.config: Mapping[str, Any] = settings(self.server)
        self.routes: Mapping[str, Mapping[str, Any]] = {
            "contacts_customers": {"source": "shop", "entity": "customer", "sink": "contacts", "object": "contact"}
        }

    def seed(self, count: int) -> None:
        """Nothing: contacts come from the shop."""

    def edit(self) -> str:
        """Nothing: changes come from the shop."""
        return ""

    def approve(self, url: str) -> str:
        """Play the person on the consent screen."""
        return approve(url)

    def counts(self) -> Mapping[str, int]:
        """What the account holds."""
        return {"contacts": len(self.server.contacts())}

    def close(self) -> None:
        """Stop it."""
        self.server.close()


def _start(hook_url: str) -> Demo:
    return Demo()


DEMO = DemoVendor(role="sink", name="contacts", type="google_contacts", start=_start)
