"""Klaviyo's part in `synccore demo`."""

from collections.abc import Mapping
from typing import Any

from synccore.hookspecs import DemoVendor

from .server import FakeKlaviyo

__all__ = ["DEMO", "KlaviyoDemo"]


class KlaviyoDemo:
    """The stand-in, running, with the configuration that reaches it."""

    def __init__(self, hook_url: str = "") -> None:
        self.klaviyo = FakeKlaviyo()
        self.config: Mapping[str, Any] = {
            "type": "klaviyo",
            "api_key": self.klaviyo.key,
            "api_url": self.klaviyo.url,
            # Nobody else sends orders to this account, so they cannot count twice.
            "commerce_events": True,
        }
        self.routes: Mapping[str, Mapping[str, Any]] = {
            "marketing_profiles": {"source": "shop", "entity": "customer", "sink": "marketing", "object": "profile"},
            "marketing_orders": {
                "source": "shop",
                "entity": "order",
                "sink": "marketing",
                "object": "event",
                "backfill": True,
            },
        }

    def seed(self, count: int) -> None:
        """A sink has nothing to seed."""

    def edit(self) -> str:
        """A sink is not edited."""
        return ""

    def approve(self, url: str) -> str:
        """A private key needs no approval."""
        return url

    def counts(self) -> Mapping[str, int]:
        """Profiles and events at the stand-in."""
        return {"profiles": len(self.klaviyo.store.people), "events": len(self.klaviyo.store.events)}

    def close(self) -> None:
        """Stop it."""
        self.klaviyo.close()


DEMO = DemoVendor(role="sink", name="marketing", type="klaviyo", start=KlaviyoDemo)
