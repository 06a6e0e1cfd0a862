"""Telephone numbers."""

import re
import unicodedata
from functools import lru_cache
from typing import Any

from attrs import frozen

from .._plain import Plain
from ._countries import country
from ._texts import MOST

#: Mexico dropped the 1 after its country code in 2019; shops and phones still hold numbers with it.
_OLD_MEXICAN_MOBILE = re.compile(r"\+521(\d{10})")
_EXTENSION = re.compile(r"(?:ext(?:ension|n)?|x|#|durchwahl|poste|int|ramal|доб)[.:]? ?(\d{1,7})", re.IGNORECASE)


@frozen
class Phone(Plain):
    """A number that exists in its country's plan.

    Attributes:
        e164: "+49301234567".
        extension: digits to dial afterwards, which E.164 cannot hold.
    """

    e164: str
    extension: str | None = None


def phone(text: Any, *countries: Any) -> str | None:
    """The number in E.164 ("+49301234567"), an extension left out; None where it is no valid one.

    `countries` (codes or names) say what a number without country code may mean; the first that fits counts.
    """
    read = read_phone(text, *countries)
    return None if read is None else read.e164


def read_phone(text: Any, *countries: Any) -> Phone | None:
    """The number and its extension; None where it is no valid one. Letters are no digits."""
    if not isinstance(text, str | int) or isinstance(text, bool):
        return None
    typed = unicodedata.normalize("NFKC", str(text)[: MOST + 1]).strip()
    if not typed or len(typed) > MOST:
        return None
    regions = dict.fromkeys(code for c in countries if c and (code := country(c)))
    return _read_phone(typed, tuple(regions))


@lru_cache(maxsize=4096)
def _read_phone(typed: str, regions: tuple[str, ...]) -> Phone | None:
    number, extension = _without_extension(typed)
    if any(c.isalpha() for c in number):
        return None
    if number.startswith("00"):
        number = "+" + number[2:]
    for region in regions or (None,):
        if e164 := _parse(number, region):
            return Phone(e164, extension)
    return None


def _without_extension(typed: str) -> tuple[str, str | None]:
    """Cut at the word (or sign) for an extension, where only its digits follow."""
    for at, character in enumerate(typed):
        if character.isalpha() or character == "#":
            found = _EXTENSION.fullmatch(typed, at)
            return (typed[:at].rstrip(" ,;-("), found[1]) if found else (typed, None)
    return typed, None


def _parse(number: str, region: str | None) -> str | None:
    if not number.startswith("+") and region and (international := _country_code_without_plus(number, region)):
        return international
    return _valid(number, region)


def _country_code_without_plus(number: str, region: str) -> str | None:
    """ "491711234567" in Germany: whoever dials within the country begins with 0, so this begins with its code.

    Only where the plan has such a prefix: elsewhere (Italy) numbers may begin with the digits of the country code.
    """
    import phonenumbers

    plan = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    if plan is None or plan.national_prefix != "0":
        return None
    digits = "".join(c for c in number if c.isdigit())
    return _valid("+" + digits, None) if digits.startswith(str(plan.country_code)) else None


def _valid(number: str, region: str | None) -> str | None:
    import phonenumbers

    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None
    plain = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if old := _OLD_MEXICAN_MOBILE.fullmatch(plain):
        return _valid("+52" + old[1], None)
    return plain if phonenumbers.is_valid_number(parsed) else None
