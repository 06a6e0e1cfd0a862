"""The contract of a source, held to by every source."""

from synccore_woocommerce.contract import TestWooCommerce

__all__ = ["TestWooCommerce"]
