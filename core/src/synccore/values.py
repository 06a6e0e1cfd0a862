"""How a telephone number, a country, a state and an amount are read: one rule each, for every source and sink.

Shops hold what people typed and what other programs imported. Each function gives the one form that targets compare,
or None where the text cannot be read for certain; none of them guesses. They are pure, and take any text of any
length without taking long.

Sources of facts: numbering plans from `phonenumbers`; ISO 3166-1, ISO 3166-2 and their translations from `pycountry`.
Both are loaded when first needed.
"""

import re
import unicodedata
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

from attrs import frozen

__all__ = ["Phone", "State", "amount", "country", "country_name", "encodable", "phone", "read_phone", "state"]

#: Longer texts are no number, name or amount of this world.
_MOST = 200


def encodable(text: str) -> str:
    """The text with every half of a broken character pair (a cut emoji) replaced by U+FFFD, so that it can be sent."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def mended(value: Any) -> Any:
    """JSON whose every text can be encoded (`encodable`)."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list):
        return [mended(v) for v in value]
    if isinstance(value, dict):
        return {encodable(k): mended(v) for k, v in value.items()}
    return value


# -- telephone numbers -----------------------------------------------------------------------------------------------

#: Mexico dropped the 1 after its country code in 2019; shops and phones still hold numbers with it.
_OLD_MEXICAN_MOBILE = re.compile(r"\+521(\d{10})")
_EXTENSION = re.compile(r"(?:ext(?:ension|n)?|x|#|durchwahl|poste|int|ramal|доб)[.:]? ?(\d{1,7})", re.IGNORECASE)


@frozen
class Phone:
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
    typed = unicodedata.normalize("NFKC", str(text)[: _MOST + 1]).strip()
    if not typed or len(typed) > _MOST:
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


# -- countries -------------------------------------------------------------------------------------------------------

#: What ISO does not list but shops hold: codes of the EU and of Kosovo, parts of the United Kingdom, names in use.
_ALIASES = {
    "UK": "GB",
    "EL": "GR",
    "XK": "XK",
    "XKX": "XK",
    "Kosovo": "XK",
    "Kosova": "XK",
    "England": "GB",
    "Scotland": "GB",
    "Wales": "GB",
    "Northern Ireland": "GB",
    "Great Britain": "GB",
    "Holland": "NL",
    "America": "US",
    "U.S. Virgin Islands": "VI",
    "British Virgin Islands": "VG",
    "U.S. Outlying Islands": "UM",
    "Republic of Ireland": "IE",
    "Eire": "IE",
    "Ivory Coast": "CI",
    "Cape Verde": "CV",
    "Macedonia": "MK",
    "Swaziland": "SZ",
    "Burma": "MM",
    "Turkey": "TR",
    "Macau": "MO",
    "East Timor": "TL",
    "Vatican City": "VA",
    "Vatican": "VA",
    "Caribbean Netherlands": "BQ",
    "Falkland Islands": "FK",
    "Saint Martin": "MF",
    "Sint Maarten": "SX",
    "Saint Helena": "SH",
    "Congo-Kinshasa": "CD",
    "Democratic Republic of the Congo": "CD",
    "Congo-Brazzaville": "CG",
    "Republic of the Congo": "CG",
    "Mexico": "MX",
    "Россия": "RU",
    "Russie": "RU",
    "Rusia": "RU",
    "ایران": "IR",
    "سوريا": "SY",
    "북한": "KP",
    "La Réunion": "RE",
    "Lëtzebuerg": "LU",
    "Dominikana": "DO",
    "Irã": "IR",
    "Tchéquia": "CZ",
    "United States (US) Minor Outlying Islands": "UM",
    "United States (US) Virgin Islands": "VI",
    "Saint Martin (Dutch part)": "SX",
    "Palestinian Territory": "PS",
    "South Georgia/Sandwich Islands": "GS",
    "Bonaire, Saint Eustatius and Saba": "BQ",
}
#: English names people use where ISO's is another.
_ENGLISH = {
    "BN": "Brunei",
    "BQ": "Caribbean Netherlands",
    "CD": "Democratic Republic of the Congo",
    "FK": "Falkland Islands",
    "FM": "Micronesia",
    "MF": "Saint Martin",
    "MO": "Macau",
    "PS": "Palestine",
    "RU": "Russia",
    "SH": "Saint Helena",
    "ST": "São Tomé and Príncipe",
    "SX": "Sint Maarten",
    "UM": "U.S. Outlying Islands",
    "VA": "Holy See",
    "VG": "British Virgin Islands",
    "VI": "U.S. Virgin Islands",
    "XK": "Kosovo",
}
_ARTICLES = ("the", "die", "der", "la", "le", "les", "el", "los")


def country(text: Any) -> str | None:
    """ISO 3166-1 alpha-2, upper case, from a code (DE, de, DEU, UK, EL) or a name in any language of the translations.

    None where nothing, or more than one country, is called so.
    """
    if not isinstance(text, str) or not (typed := text.strip()) or len(typed) > _MOST:
        return None
    code = typed.upper()
    if code in _codes():
        return code
    return _country_by_name(typed)


@lru_cache(maxsize=1024)
def _country_by_name(typed: str) -> str | None:
    words = typed.split()
    trials = [typed] if len(words) < 2 or words[0].casefold() not in _ARTICLES else [typed, " ".join(words[1:])]
    for names in (_english_names, _translated_names):
        for trial in trials:
            found = names().get(_plain(trial), frozenset())
            if len(found) == 1:
                return next(iter(found))
    outer, _, inner = typed.removesuffix(")").partition("(")
    # "United Kingdom (UK)": twice the same.
    return code if inner and (code := country(outer)) == country(inner) else None


def country_name(code: Any, language: str = "en") -> str | None:
    """The country's usual name in a language ("de", "pt_BR"), in English where there is no translation; None for none.

    A text that is no country stays as it is.
    """
    if not isinstance(code, str) or not code.strip():
        return None
    known = country(code)
    if known is None:
        return code
    english = _ENGLISH.get(known) or _usual_name(_codes()[known])
    if language == "en" or known == "XK":
        return english
    iso = _codes()[known]
    for name in (getattr(iso, "common_name", None), iso.name):
        if name and (local := _translation(language)(name)) != name:
            return str(local)
    return english


@cache
def _codes() -> dict[str, Any]:
    import pycountry

    return {iso.alpha_2: iso for iso in pycountry.countries} | {"XK": None}


def _usual_name(iso: Any) -> str:
    return str(getattr(iso, "common_name", iso.name))


def _names_of(iso: Any) -> list[str]:
    names = (getattr(iso, attribute, None) for attribute in ("name", "common_name", "official_name"))
    return [name for name in names if name]


@cache
def _english_names() -> dict[str, frozenset[str]]:
    names: dict[str, set[str]] = {}
    for code, iso in _codes().items():
        if iso is not None:
            for name in (*_names_of(iso), iso.alpha_3):
                names.setdefault(_plain(name), set()).add(code)
    for code, name in _ENGLISH.items():
        names.setdefault(_plain(name), set()).add(code)
    # What is written here is certain, whatever else a translation calls so.
    certain = {_plain(name): frozenset({code}) for name, code in _ALIASES.items()}
    return {name: frozenset(codes) for name, codes in names.items()} | certain


@cache
def _translated_names() -> dict[str, frozenset[str]]:
    """Names in every language there is: half a second and some megabytes, so only once something else was typed."""
    from pathlib import Path

    import pycountry

    names: dict[str, set[str]] = {}
    for folder in sorted(Path(pycountry.LOCALES_DIR).iterdir()):
        translate = _translation(folder.name)
        for code, iso in _codes().items():
            for name in _names_of(iso) if iso is not None else ():
                names.setdefault(_plain(translate(name)), set()).add(code)
    return {name: frozenset(codes) for name, codes in names.items()}


@lru_cache(maxsize=256)
def _translation(language: str) -> Any:
    import gettext

    import pycountry

    wanted = language.replace("-", "_") if re.fullmatch(r"[A-Za-z_-]{2,12}", language) else "en"
    return gettext.translation("iso3166-1", pycountry.LOCALES_DIR, [wanted], fallback=True).gettext


def _plain(name: str) -> str:
    """A name as it is compared: letters and digits alone, no case, no accents; & is and, St. is Saint."""
    words = unicodedata.normalize("NFKD", name.replace("\u0131", "i").replace("&", " and ")).casefold().split()
    return "".join("saint" if w in ("st", "st.") else "".join(c for c in w if c.isalnum()) for w in words)


# -- states ----------------------------------------------------------------------------------------------------------


@frozen
class State:
    """A state, province, prefecture or other part of a country in ISO 3166-2.

    Attributes:
        code: without the country: "NW", "13".
        name: as ISO writes it, mostly in the local language: "Nordrhein-Westfalen".
    """

    code: str
    name: str


def state(text: Any, country_: Any) -> State | None:
    """The part of `country_` that a code (NW, DE-NW, JP13) or a name means; None where ISO knows none, or several."""
    region = country(country_)
    if region is None or not isinstance(text, str) or not (typed := text.strip()) or len(typed) > _MOST:
        return None
    states, names = _states(region)
    code = typed.upper()
    bare = code.removeprefix(region).lstrip("-")
    for candidate in (code, bare, bare.zfill(2)):
        if candidate in states:
            return states[candidate]
    return names.get(_plain(typed))


@lru_cache(maxsize=300)
def _states(region: str) -> tuple[dict[str, State], dict[str, State]]:
    """By code, and by name where one part alone, or one below the others (a province of a region), has it."""
    import pycountry

    parts = pycountry.subdivisions.get(country_code=region) or []  # type: ignore[no-untyped-call]
    states: dict[str, State] = {}
    by_name: dict[str, list[tuple[bool, State]]] = {}
    for part in parts:
        found = State(part.code.partition("-")[2], part.name)
        states[found.code] = found
        by_name.setdefault(_plain(part.name), []).append((part.parent_code is not None, found))
    names: dict[str, State] = {}
    for name, several in by_name.items():
        lower = [found for below, found in several if below] or [found for _, found in several]
        if len(lower) == 1:
            names[name] = lower[0]
    return states, names


# -- amounts ---------------------------------------------------------------------------------------------------------

_AMOUNT = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?")
_GROUP_SIGNS = " '\u2019\u00a0\u202f"


def amount(value: Any) -> Decimal | None:
    """An exact amount from a number or a text in plain or local notation ("1234.50", "1.234,50", "1 234,50").

    None where it cannot be read for certain: "1,234" may be either, and an amount that is unknown is not 0.
    """
    if isinstance(value, bool) or value is None:
        return None
    text = str(value).strip()
    if len(text) > _MOST:
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
