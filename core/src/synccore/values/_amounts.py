"""Amounts."""

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, overload

from ._texts import MOST

_AMOUNT = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?")
_GROUP_SIGNS = " '\u2019\u00a0\u202f"
#: Currencies whose smallest unit is not a hundredth (ISO 4217).
_DECIMALS = dict.fromkeys(
    (
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ),
    0,
) | (dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3))


def amount(value: Any) -> Decimal | None:
    """An exact amount from a number or a text in plain or local notation ("1234.50", "1.234,50", "1 234,50").

    None where it cannot be read for certain: "1,234" may be either, and an amount that is unknown is not 0.
    """
    if isinstance(value, bool) or value is None:
        return None
    text = str(value).strip()
    if len(text) > MOST:
        return None
    if isinstance(value, float | Decimal) and "e" in text.lower():
        exact = Decimal(text)
        return exact if exact.is_finite() and abs(exact.adjusted()) <= 40 else None
    plain = _plain_amount(text)
    return Decimal(plain) if plain is not None and _AMOUNT.fullmatch(plain) else None


def _plain_amount(text: str) -> str | None:
    """With a point before the decimals and nothing between the thousands."""
    if _AMOUNT.fullmatch(text):
        return text
    body = text.lstrip("+-")
    sign = text[: len(text) - len(body)]
    for mark in _GROUP_SIGNS:
        body = _ungrouped(body, mark) or body
    point, comma = body.rfind("."), body.rfind(",")
    if point < 0 and comma < 0:
        return sign + body
    if point >= 0 and comma >= 0:
        decimal, group = (".", ",") if point > comma else (",", ".")
        whole, _, fraction = body.rpartition(decimal)
        ungrouped = _ungrouped(whole, group)
        return None if ungrouped is None else f"{sign}{ungrouped}.{fraction}"
    mark = "." if point >= 0 else ","
    if body.count(mark) > 1:
        ungrouped = _ungrouped(body, mark)
        return None if ungrouped is None else sign + ungrouped
    whole, _, fraction = body.partition(mark)
    if mark == "," and len(fraction) == 3:
        return None  # one thousand or one and a bit: not for us to say
    return f"{sign}{whole}.{fraction}"


def _ungrouped(text: str, mark: str) -> str | None:
    """Without the marks between groups of three digits (the first may be shorter); None where they are no groups."""
    whole, point, fraction = text, "", ""
    for decimal in (".", ","):
        if decimal != mark and decimal in text:
            whole, point, fraction = text.partition(decimal)
            break
    first, *others = whole.split(mark)
    if not others or not 1 <= len(first) <= 3 or any(len(group) != 3 for group in others):
        return None
    return first + "".join(others) + point + fraction


def money(value: Any, currency: str | None = None, places: int | None = None) -> str | None:
    """An amount as text with its currency's decimals (two without one), rounded half up: 1234.5 -> "1234.50"."""
    exact = amount(value)
    if exact is None:
        return None
    if places is None:
        places = _DECIMALS.get((currency or "").upper(), 2)
    return str(exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))


@overload
def json_number(value: Decimal) -> int | float: ...
@overload
def json_number(value: None) -> None: ...
def json_number(value: Decimal | None) -> int | float | None:
    """An exact amount as a number of JSON, whole ones without a point: the edge where money stops being Decimal."""
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)
