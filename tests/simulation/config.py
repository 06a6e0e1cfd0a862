"""The configuration of a world."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    path.write_text("".join(f"{name} = {_toml(table)}\n" for name, table in document.items()), encoding="utf-8")


def _toml(value: Any) -> str:
    """In one line: a library that knows how people like it takes as long as the rest of what begins a world."""
    match value:
        case str() | bool() | int():
            return json.dumps(value, ensure_ascii=False)
        case list() | tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case dict():
            return f"{{{', '.join(f'{json.dumps(name)} = {_toml(inner)}' for name, inner in value.items())}}}"
    raise TypeError(f"{value!r} has no such form")
