"""The `[sources.NAME]` table of a WooCommerce shop."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import Attribute, frozen

from synccore.config import SourceSettings, option
from synccore.secrets import Secret

__all__ = ["ENTITIES", "Config"]

#: What a shop can report. `payment` comes with `subscription` unless it is listed by itself.
ENTITIES = ("customer", "order", "membership", "subscription", "payment")


def _is_address(_: object, __: "Attribute[str]", value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be the shop's address with http:// or https://")
    if parts.query or parts.fragment or "wp-json" in parts.path:
        raise ValueError("must be the address of the shop's front page, without wp-json and without a query")


def _is_known(_: object, __: "Attribute[Any]", value: tuple[str, ...]) -> None:
    for entity in value:
        if entity not in ENTITIES:
            raise ValueError(f"{entity!r} is none of {', '.join(ENTITIES)}")


def _clear_or_forget(_: object, __: "Attribute[str]", value: str) -> None:
    if value not in ("clear", "forget"):
        raise ValueError("must be clear or forget")


def _at_least_one(_: object, __: "Attribute[int]", value: int) -> None:
    if value < 1:
        raise ValueError("must be 1 or more")


@frozen(kw_only=True)
class Config(SourceSettings):
    """Settings of one shop. Several shops are several tables; nothing is shared between them."""

    url: str = option(help="the shop's address, https://shop.example.com", validator=_is_address)
    consumer_key: Secret | None = option(
        default=None, help="REST API key, begins with ck_; left out: `synccore connect` asks the shop for one"
    )
    consumer_secret: Secret | None = option(default=None, help="its secret, begins with cs_")
    webhook_secret: Secret | None = option(
        default=None, help="signs the shop's webhooks; made and stored encrypted when left out"
    )
    entities: tuple[str, ...] = option(
        default=("customer",),
        help="what to report: customer, order, membership, subscription, payment (comes with subscription)",
        validator=_is_known,
    )
    guests: bool = option(default=True, help="buyers without an account are customers too")
    roles: tuple[str, ...] = option(
        default=("customer", "subscriber"), help="WordPress roles that are customers; staff are not"
    )
    others_as_guests: bool = option(
        default=True,
        help="buyers whose role is none of `roles` (staff), or whose account is gone, are treated as guests by the "
        "address of their order; false: their orders go without a customer",
    )
    on_erased: str = option(
        default="clear",
        help="what becomes of a person whom WordPress's eraser blanked: clear (emptied at the targets) or forget",
        validator=_clear_or_forget,
    )
    consent_keys: tuple[str, ...] = option(
        default=(), help="meta keys of customers or orders that hold marketing consent; none: consent is unknown"
    )
    concurrency: int = option(default=2, help="requests to the shop at the same time", validator=_at_least_one)
    pause: timedelta = option(default=timedelta(0), help="wait between two pages, for weak hosts")
    ca_file: Path | None = option(default=None, help="PEM file with an additional authority to trust")
