"""Countries and their parts."""

import re
import unicodedata
from functools import cache, lru_cache
from typing import Any

from attrs import frozen

from .._plain import Plain
from ._texts import MOST

#: What shops hold and neither ISO nor its translations list: codes of the EU and of Kosovo, parts of the United
#: Kingdom, WooCommerce's own names. CLDR (Babel) lacks as many, and has no states, so it would come beside pycountry.
_ALIASES = {
    "UK": "GB",
    "EL": "GR",
    "XKX": "XK",
    "Kosova": "XK",
    "England": "GB",
    "Scotland": "GB",
    "Wales": "GB",
    "Northern Ireland": "GB",
    "Great Britain": "GB",
    "America": "US",
    "U.S. Virgin Islands": "VI",
    "U.S. Outlying Islands": "UM",
    "Republic of Ireland": "IE",
    "Cape Verde": "CV",
    "Macedonia": "MK",
    "Turkey": "TR",
    "East Timor": "TL",
    "Vatican City": "VA",
    "Caribbean Netherlands": "BQ",
    "Falkland Islands": "FK",
    "Saint Martin": "MF",
    "Sint Maarten": "SX",
    "Saint Helena": "SH",
    "Congo-Kinshasa": "CD",
    "Democratic Republic of the Congo": "CD",
    "Congo-Brazzaville": "CG",
    "Россия": "RU",
    "Russie": "RU",
    "Rusia": "RU",
    "ایران": "IR",
    "سوريا": "SY",
    "북한": "KP",
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
#: English names people use where ISO's is another, and `pycountry` has no common one.
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
    if not isinstance(text, str) or not (typed := text.strip()) or len(typed) > MOST:
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


# -- states


@frozen
class State(Plain):
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
    if region is None or not isinstance(text, str) or not (typed := text.strip()) or len(typed) > MOST:
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
