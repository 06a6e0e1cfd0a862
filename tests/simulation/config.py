"""The configuration of a world."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit

from synccore_woocommerce.testing import FakeWooCommerce
from synccore_woocommerce.testing import settings as woocommerce_settings

from .moments import CONSENT
from .network import HOOK
from .targets import Target

__all__ = ["ENTITIES", "write_config"]

ENTITIES = ("customer", "order", "subscription", "payment")


def write_config(
    path: Path, shop: FakeWooCommerce, targets: Mapping[str, Target], more: Mapping[str, Mapping[str, Any]]
) -> None:
    """With all routes of the targets, and more."""
    routes = {
        name: {"source": "shop", "sink": target.name, **table}
        for target in targets.values()
        for name, table in target.routes.items()
    }
    document = {
        "synccore": {"database": "outbox.db"},
        "server": {"public_url": HOOK},
        "sources": {"shop": woocommerce_settings(shop, "signed", ENTITIES, consent_keys=[CONSENT], poll="5m")},
        "sinks": {name: dict(target.config()) for name, target in targets.items()},
        "routes": routes | dict(more),
    }
    path.write_text(tomlkit.dumps(document), encoding="utf-8")
