"""Mends of single faults taken back that only tests of their own are known to see.

Whoever makes lives, call points, histories or the contract kit see one of these moves it to `mends` or `points`.
"""

from .form import Sabotage, plugin

__all__ = ["HELD"]

HELD: tuple[Sabotage, ...] = (
    # In lives a comparison brings what no poll lists.
    plugin(
        "woocommerce",
        "take back: poll from no later than now, for a shop's clock that was ahead is set right",
        "listing/__init__.py",
        "min(newest, _gmt(read_at))",
        "newest",
        "plugins/woocommerce/tests/test_woocommerce_purchases.py",
    ),
)
