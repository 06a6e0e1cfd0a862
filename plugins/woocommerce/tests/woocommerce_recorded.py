"""Exchanges and deliveries recorded from a real shop, where they are beside this repository."""

import json
from pathlib import Path
from typing import Any

import pytest

__all__ = ["DELIVERIES", "exchange", "needs_recordings", "recorded"]

FOLDER = Path(__file__).resolve().parents[3].parent / "shared" / "reference" / "recorded" / "woocommerce"
HERE = FOLDER.is_dir()
needs_recordings = pytest.mark.skipif(not HERE, reason="the recordings of a real shop are not beside this repository")


def recorded(name: str) -> Any:
    """A file of the recordings; empty where there are none."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")) if HERE else []


def exchange(name: str, note: str) -> dict[str, Any]:
    """The exchange whose note begins so."""
    return next(e for e in recorded(name) if e["note"].startswith(note))


DELIVERIES = recorded("webhook_deliveries") or {"events": []}
