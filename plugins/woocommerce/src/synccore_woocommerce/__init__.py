"""WooCommerce as a synccore source."""
