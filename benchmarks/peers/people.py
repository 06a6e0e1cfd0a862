"""The records everybody in a comparison is given: a customer of some 350 bytes of JSON."""

from collections.abc import Iterator, Mapping
from typing import Any


def person(number: int) -> dict[str, Any]:
    """One customer; the same number is always the same customer."""
    return {
        "id": f"c{number:08}",
        "email": f"someone.{number}@shop.test",
        "first_name": f"Ada {number % 887}",
        "last_name": f"Sample {number % 1013}",
        "phone": f"+1202555{number % 10_000:04}",
        "address": {"street": f"{number % 300} Long Road", "city": "Leeds", "postcode": "LS1 4DY", "country": "GB"},
        "plan": "basic" if number % 4 else "plus",
        "state": "active",
        "orders": number % 30,
        "spent": f"{number % 700}.25",
    }


def people(count: int) -> Iterator[Mapping[str, Any]]:
    """So many of them, one by one."""
    return map(person, range(count))
