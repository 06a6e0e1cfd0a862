"""The settings of a Klaviyo sink."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from attrs import Attribute, frozen

from synccore.config import option
from synccore.secrets import Secret

from .digest import digest

__all__ = ["REVISION", "Config"]

#: The API revision every request is pinned to. Klaviyo serves a revision for two years.
REVISION = "2026-07-15"


def _share(instance: Any, attribute: "Attribute[float]", value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError("headroom is the share left to others: at least 0 and below 1, for instance 0.4")


def _revision(instance: Any, attribute: "Attribute[str]", value: str) -> None:
    try:
        date.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{value!r} is no revision: write a date such as {REVISION}") from None


def _prefix(instance: Any, attribute: "Attribute[str]", value: str) -> None:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,30}|", value):
        raise ValueError("prefix is letters, digits and _, beginning with a letter; or empty")


def _positive(instance: Any, attribute: "Attribute[int]", value: int) -> None:
    if value < 1:
        raise ValueError("bulk_threshold is at least 1")


def _names(instance: Any, attribute: "Attribute[Mapping[str, str]]", value: Mapping[str, str]) -> None:
    for plan, name in value.items():
        if not re.fullmatch(r"[a-z0-9_]{1,60}", name):
            raise ValueError(f"plan {plan} is called {name!r}: write small letters, digits and _")
    if len(set(value.values())) < len(value):
        raise ValueError("two plans have one name")


@frozen(kw_only=True)
class Config:
    """`[sinks.NAME]` with `type = "klaviyo"`."""

    api_key: Secret = option(help="private key, begins with pk_; the README lists the scopes to grant")
    api_url: str = option(default="https://a.klaviyo.com", help="where the API is")
    revision: str = option(default=REVISION, help="API revision to speak", validator=_revision)
    headroom: float = option(
        default=0.4, help="share of each rate limit left to others; 0.4 uses at most 60 %", validator=_share
    )
    prefix: str = option(default="woo_", help="what the names of our profile properties begin with", validator=_prefix)
    list: str | None = option(default=None, help="id of the list that people who opt in are subscribed to")
    use_external_id: bool = option(
        default=False, help="send the shop's customer id as external_id; Klaviyo does not merge people by it"
    )
    commerce_events: bool = option(
        default=False,
        help="send Placed Order and its like; doubles revenue beside Klaviyo's own WooCommerce integration",
    )
    plans: Mapping[str, str] = option(
        factory=dict,
        help="plan id -> what its properties are called; without it the slug the plan had when first seen, for life",
        validator=_names,
    )
    bulk_threshold: int = option(
        default=200, help="use bulk jobs when more deliveries of a route wait", validator=_positive
    )

    @property
    def key_digest(self) -> str:
        """By which what was learned under this key is told from what was learned under another one."""
        text = f"{self.api_url} {self.api_key.reveal().strip()}"
        return digest(text)
