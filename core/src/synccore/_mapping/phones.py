"""Phone numbers as people type them, in the one form that targets compare."""

import re
from typing import Any

import phonenumbers
from jinja2 import Undefined

#: Mexico dropped the 1 after its country code in 2019; shops and phones still hold numbers with it.
_OLD_MEXICAN_MOBILE = re.compile(r"\+521(\d{10})")


def e164(value: Any, country: Any = None) -> str | None:
    """The number as "+49301234567"; None where it is not a valid one.

    `country` (ISO 3166-1 alpha-2) says what a number without country code means. Extensions are left out.
    """
    if isinstance(value, Undefined) or isinstance(country, Undefined):
        str(value), str(country)  # strict: raises, saying what is not there
    if value is None or not str(value).strip():
        return None
    text = str(value).strip()
    region = str(country).strip().upper() if country else None
    if region not in phonenumbers.SUPPORTED_REGIONS:
        region = None
        text = re.sub(r"^00", "+", text)
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    plain = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if old := _OLD_MEXICAN_MOBILE.fullmatch(plain):
        number = phonenumbers.parse("+52" + old[1], None)
        plain = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return plain if phonenumbers.is_valid_number(number) else None


def phone(value: Any, country: Any = None) -> str | None:
    """As `e164`, but a number that is not valid stays as it was typed."""
    found = e164(value, country)
    if found is not None or value is None:
        return found
    return str(value).strip() or None
