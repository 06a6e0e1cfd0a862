"""The Salesforce org of `synccore demo`."""

from collections.abc import Mapping
from typing import Any

from synccore.hookspecs import DemoInstance, DemoVendor

from .server import FakeSalesforce

__all__ = ["DEMO", "DemoOrg"]


class DemoOrg:
    """A small org with the external id field the default mapping looks for."""

    def __init__(self) -> None:
        self.server = FakeSalesforce()
        for name in ("Contact", "Account", "Lead", "Order", "Opportunity"):
            self.server.add_field(name, "WooId__c", length=100, external_id=True, unique=True)
        self.server.add_field("Contact", "Customer_Since__c", type="date")
        self.config: Mapping[str, Any] = {
            "type": "salesforce",
            "login_url": self.server.url,
            "client_id": self.server.client_id,
            "client_secret": self.server.client_secret,
        }
        self.routes: Mapping[str, Mapping[str, Any]] = {
            "crm_customers": {
                "source": "shop", "entity": "customer", "sink": "crm", "object": "Contact", "match": ["WooId__c"]
            },
            "crm_orders": {
                "source": "shop", "entity": "order", "sink": "crm", "object": "Opportunity", "match": ["WooId__c"],
                "after": "crm_customers",
            },
        }  # fmt: skip

    def seed(self, count: int) -> None:
        """Nothing: records come from the shop."""

    def edit(self) -> str:
        """Nothing: records come from the shop."""
        return ""

    def approve(self, url: str) -> str:
        """The person signs in and allows."""
        return self.server.approve(url)

    def counts(self) -> Mapping[str, int]:
        """What the org holds."""
        names = {"contacts": "Contact", "accounts": "Account", "leads": "Lead", "opportunities": "Opportunity"}
        found = {word: len(self.server.records(name)) for word, name in names.items()}
        return {word: count for word, count in found.items() if count or word == "contacts"}

    def close(self) -> None:
        """Stop it."""
        self.server.close()


def _start(hook_url: str) -> DemoInstance:
    return DemoOrg()


DEMO = DemoVendor(role="sink", name="crm", type="salesforce", start=_start)
