"""What WordPress's personal data eraser leaves behind, in any language.

Facts: `wp_privacy_anonymize_data` gives addresses the domain `site.invalid` whatever the language, and texts a
translated word in brackets; WooCommerce's eraser marks an order with the meta key `_anonymized` and takes its customer
off; it blanks an account's addresses and leaves the account.
"""

from typing import Any

from ..client import Record
from ..php import address_of, flag, mapped, rows

__all__ = ["cleaned", "is_erased", "is_placeholder"]

_MARK = "_anonymized"


def is_placeholder(email: str | None) -> bool:
    """Whether an address is nobody's: the top-level domain `invalid` is reserved for such."""
    return email is not None and email.lower().rstrip(".").endswith(".invalid")


def is_erased(record: Record) -> bool:
    """Whether an order, or an account, stands for somebody who was erased."""
    if any(row.get("key") == _MARK and flag(row.get("value")) for row in rows(record.get("meta_data"))):
        return True
    return is_placeholder(_email(record.get("email"))) or is_placeholder(
        _email(mapped(record.get("billing")).get("email"))
    )


def cleaned(record: Record) -> dict[str, Any]:
    """The record without what stands in the place of a person."""
    personal = ("email", "first_name", "last_name", "username", "customer_note", "meta_data")
    return {name: value for name, value in record.items() if name not in personal} | {"billing": {}, "shipping": {}}


def _email(value: Any) -> str | None:
    return address_of(value) if isinstance(value, str) else None
