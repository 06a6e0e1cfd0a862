"""A WooCommerce shop on loopback: strict where the real one is strict, and lossy where it is lossy.

    with FakeWooCommerce(clock=clock) as shop:
        ada = shop.add_customer("ada@shop.test", first_name="Ada")
        shop.webhook("customer.updated", hook_url, secret)
        shop.edit_customer(ada, first_name="Augusta")
        shop.run_queue()

It speaks plain http, where WooCommerce ignores Basic without a word and only OAuth 1.0a works; with `tls=True` it is an
https shop with a certificate of its own (`ca_file`), where Basic works.
"""

from .auth import Key
from .faults import maintenance, php_fatal, php_notice
from .rest import KEY, READ_KEY, FakeWooCommerce, settings

__all__ = ["KEY", "READ_KEY", "FakeWooCommerce", "Key", "maintenance", "php_fatal", "php_notice", "settings"]
