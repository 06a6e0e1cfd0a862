"""What PHP, WordPress and the plugins of a shop make of JSON: how their values are read, one rule each.

A PHP array with a gap in its numbers becomes an object with numbers for names, an empty object becomes `[]`; numbers
and truth values arrive as text; text that went through WordPress's forms holds HTML entities.
"""

import html
import re
from collections.abc import Mapping
from typing import Any

from synccore.values import encodable

__all__ = ["Broken", "address_of", "decoded", "flag", "key", "listed", "mapped", "rows", "text", "whole"]

#: What WordPress's typography puts in the place of plain signs; no e-mail address has them on purpose.
_PLAIN = str.maketrans(
    {"×": "x", "‘": "'", "’": "'", "′": "'", "“": '"', "”": '"', "–": "--", "—": "---", "…": "..."}  # noqa: RUF001
)
#: WordPress writes entities with their semicolon; "M&section" was typed so.
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[0-9A-Za-z]{1,31});")
_NO = ("", "0", "false", "no", "off", "n", "null", "none")


class Broken(ValueError):
    """A record cannot be anybody's. Says why, without values."""


def listed(value: Any) -> list[Any] | None:
    """A list, also where a gap in its numbers made it an object; None for anything else."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and value and all(name.isascii() and name.isdigit() for name in value):
        return [value[name] for name in sorted(value, key=int)]
    return None


def rows(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; what is none is left out."""
    return [row for row in listed(value) or () if isinstance(row, dict)]


def mapped(value: Any) -> Mapping[str, Any]:
    """An object; `[]`, null and anything else are an empty one."""
    return value if isinstance(value, dict) else {}


def decoded(value: str) -> str:
    """With its HTML entities decoded, once."""
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), value)


def text(value: Any) -> str | None:
    """Text as a person reads it: entities decoded once, trimmed; None where it is unset or no text."""
    if value is None or isinstance(value, bool | dict | list):
        return None
    return encodable(decoded(str(value))).strip() or None


def address_of(value: Any) -> str | None:
    """An e-mail address, without what WordPress's typography made of it ("36&#215;24" was typed as "36x24").

    Raises Broken for a number: a record that is broken there is not to be believed elsewhere.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise Broken("its e-mail address is a number")
    found = text(value)
    return None if found is None else found.translate(_PLAIN)


def key(value: Any) -> str | None:
    """An id as a key; 0, "0", null and "" mean that there is none, and so does what is no whole number."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    word = str(value).strip()
    return str(int(word)) if word.isascii() and word.isdigit() and len(word) < 20 and int(word) else None


def flag(value: Any) -> bool | None:
    """A truth value; "false" and "0" are false. None where there is none."""
    if value is None or isinstance(value, dict | list):
        return None
    return value if isinstance(value, bool) else str(value).strip().lower() not in _NO


def whole(value: Any) -> int | None:
    """A whole number that is not negative, from a number or its text."""
    word = text(value)
    return int(word) if word is not None and word.isascii() and word.isdigit() and len(word) < 20 else None
