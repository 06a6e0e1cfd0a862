"""One record of a person, as somebody with a login of their own sees it."""

from collections.abc import Mapping
from typing import Any

from attrs import frozen

__all__ = ["Held"]


@frozen(kw_only=True)
class Held:
    """One record of a person at a target."""

    email: str
    first: str
    last: str
    #: Digits alone: each vendor writes numbers in its own way.
    phone: str = ""
    #: Street, city and postcode of the bills.
    place: tuple[str, str, str] = ("", "", "")

    @staticmethod
    def at(held: Mapping[str, Any], street: str, city: str, code: str) -> tuple[str, str, str]:
        """A place, of something that has these names for its parts."""
        return held.get(street) or "", held.get(city) or "", held.get(code) or ""

    @staticmethod
    def digits(text: str | None) -> str:
        """The digits of a telephone number."""
        return "".join(c for c in text or "" if c.isdigit())
