"""Filters of expressions: pure functions, each giving None for None.

Those that Jinja has under the same name keep its arguments. They differ where a shop's data would trip them: an empty
value stays empty instead of becoming the word "None", lists are lists, and nothing grows past its limit.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from functools import wraps
from typing import Any

import jinja2.filters as jinja
from jinja2 import Undefined, pass_context, pass_environment
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from .. import values
from .values import ValueFault

__all__ = ["FILTERS", "NEEDS_ZONE", "ZONE_NAME"]

#: The name under which expressions hold the shop's time zone, for filters alone.
ZONE_NAME = "_zone"

_MOST_DIGITS = 1000
_HASHES = ("sha256", "sha1", "sha512", "md5")


# -- texts -----------------------------------------------------------------------------------------------------------


def _text(value: Any) -> str | None:
    if isinstance(value, Undefined):
        str(value)  # strict: raises, saying what is not there
    return None if value is None else str(value)


def _on_text(function: Callable[..., str | list[str]]) -> Callable[..., str | list[str] | None]:
    """A filter on text that leaves None alone."""

    @wraps(function)
    def filtered(value: Any, *arguments: Any, **named: Any) -> str | list[str] | None:
        text = _text(value)
        return None if text is None else function(text, *arguments, **named)

    return filtered


@_on_text
def lower(text: str) -> str:
    """In lower case."""
    return text.lower()


@_on_text
def upper(text: str) -> str:
    """In upper case."""
    return text.upper()


@_on_text
def title(text: str) -> str:
    """Every word with a capital: "anna-maria o'neil" -> "Anna-Maria O'neil"."""
    return jinja.do_title(text)


@_on_text
def capitalize(text: str) -> str:
    """The first letter as a capital, the rest in lower case."""
    return text.capitalize()


@_on_text
def trim(text: str, chars: str | None = None) -> str:
    """Without white space (or `chars`) at both ends."""
    return text.strip(chars)


@_on_text
def replace(text: str, old: str, new: str, count: int | None = None) -> str:
    """With every `old` (or the first `count`) replaced by `new`."""
    return text.replace(old, new, -1 if count is None else count)


@_on_text
def split(text: str, separator: str | None = None, maxsplit: int = -1) -> list[str]:
    """The parts between separators, each trimmed, empty ones left out; without a separator: the words."""
    return [part.strip() for part in text.split(separator, maxsplit) if part.strip()]


@_on_text
def truncate(text: str, length: int = 255, killwords: bool = False, end: str = "…") -> str:
    """At most `length` characters, `end` included; cut between words unless `killwords`."""
    if len(text) <= length:
        return text
    room = length - len(end)
    if room <= 0:
        return text[: max(length, 0)]
    cut = text[:room]
    if not killwords and not text[room].isspace() and " " in cut:
        cut = cut.rsplit(" ", 1)[0]
    return cut.rstrip() + end


@_on_text
def hash_(text: str, algorithm: str = "sha256", length: int | None = None) -> str:
    """The text's hash in hexadecimal (sha256, sha1, sha512 or md5), or its first `length` digits."""
    if algorithm not in _HASHES:
        raise ValueFault(f"hash knows {', '.join(_HASHES)}")
    return hashlib.new(algorithm, text.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()[:length]


# -- what people typed: numbers, countries, states (`synccore.values`) ------------------------------------------------


def e164(value: Any, country: Any = None, *others: Any) -> str | None:
    """The telephone number as "+49301234567"; None where it is no valid one.

    The countries (codes or names) say what a number without country code may mean. Extensions are left out.
    """
    return values.phone(_text(value), *(_text(c) for c in (country, *others)))


def phone(value: Any, country: Any = None, *others: Any) -> str | None:
    """As `e164`, but a number that is not valid stays as it was typed."""
    return e164(value, country, *others) or (_text(value) or "").strip() or None


def country(value: Any) -> str | None:
    """The country's two-letter code, from a code or a name in any language; None for what is none."""
    return values.country(_text(value))


def country_name(value: Any, language: str = "en") -> str | None:
    """The country's usual name, in English or another language ("de"); what is no country stays as it is."""
    return values.country_name(_text(value), language)


def state(value: Any, country: Any) -> str | None:
    """The state's code in ISO 3166-2 without the country ("NW", "13"), from a code or a name; else as it was typed."""
    text = _text(value)
    found = values.state(text, _text(country))
    return found.code if found else text


def state_name(value: Any, country: Any) -> str | None:
    """The state's name in ISO 3166-2 ("Nordrhein-Westfalen"), from a code or a name; else as it was typed."""
    text = _text(value)
    found = values.state(text, _text(country))
    return found.name if found else text


def default(value: Any, fallback: Any = "", boolean: bool = False) -> Any:
    """`fallback` where the value is absent, None or "" (with `boolean`: also 0 and False)."""
    if isinstance(value, Undefined) or value is None or value == "":
        return fallback
    return fallback if boolean and not value else value


# -- times and numbers -----------------------------------------------------------------------------------------------


def _zone(name: str | None) -> dt.tzinfo | None:
    """A time zone by its IANA name or as an offset ("+05:30"); None for what is none."""
    if not name:
        return None
    if name[0] in "+-":
        try:
            return dt.datetime.strptime(name, "%z").tzinfo
        except ValueError:
            return None
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _local(moment: dt.datetime, tz: str | None) -> dt.datetime:
    if tz is None:
        return moment
    zone = _zone(tz)
    if zone is None:
        raise ValueFault("tz is no time zone, for instance Europe/Berlin")
    try:
        return moment.astimezone(zone)
    except OverflowError:
        raise ValueFault("tz: the time is at the end of all times") from None


def _form(form: str | None, tz: str | None) -> tuple[str | None, str | None]:
    """`date('UTC')` names a time zone where a format would stand: formats have a percent sign."""
    if form is not None and tz is None and "%" not in form and _zone(form) is not None:
        return None, form
    return form, tz


@pass_context
def date(context: Context, value: Any, format: str | None = None, tz: str | None = None) -> str | None:  # noqa: A002
    """The day as text, "2024-05-31" or by a strftime `format`, in the shop's time zone or in `tz` (`date('UTC')`)."""
    moment = values.moment(value)
    if moment is None:
        return None
    form, tz = _form(format, tz)
    if isinstance(moment, dt.datetime):
        moment = _local(moment, tz or context.get(ZONE_NAME))
    if form is not None:
        return moment.strftime(form)
    return (moment.date() if isinstance(moment, dt.datetime) else moment).isoformat()


@pass_context
def datetime(context: Context, value: Any, format: str | None = None, tz: str | None = None) -> str | None:  # noqa: A002
    """The time as text: "2024-05-31T14:05:00+00:00" in its own zone, by a `format` in the shop's; or in `tz`."""
    moment = values.moment(value)
    if moment is None:
        return None
    if not isinstance(moment, dt.datetime):
        moment = dt.datetime(moment.year, moment.month, moment.day, tzinfo=dt.UTC)
    form, tz = _form(format, tz)
    if form is None:
        return _local(moment, tz).isoformat(timespec="seconds")
    return _local(moment, tz or context.get(ZONE_NAME)).strftime(form)


#: These ask Jinja's context for the shop's time zone, and for nothing else.
NEEDS_ZONE = frozenset({date, datetime})


def number(value: Any) -> Decimal | None:
    """The value as an exact number; None for what is none, or may be two ("1,234")."""
    return values.amount(value)


def money(value: Any, currency: str | None = None, places: int | None = None) -> str | None:
    """An amount as text with the currency's decimals (two without one): 1234.5 -> "1234.50"."""
    return values.money(value, currency, places)


def int_(value: Any, default: Any = None, base: int = 10) -> Any:
    """A whole number, decimals cut off; `default` for what is no number."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and base != 10:
        try:
            return int(value, base)
        except ValueError:
            return default
    exact = number(value)
    # "1e999999999" would be a number of a thousand million digits.
    return default if exact is None or exact.adjusted() > _MOST_DIGITS else int(exact)


def float_(value: Any, default: Any = None) -> Any:
    """A floating-point number; `default` for what is no number."""
    exact = number(value)
    return default if exact is None else float(exact)


def round_(value: Any, precision: int = 0, method: str = "common") -> Any:
    """Rounded half up to `precision` decimals, or with method "ceil" or "floor"; keeps the kind of number."""
    exact = number(value)
    if exact is None:
        return None
    rounding = {"common": ROUND_HALF_UP, "ceil": "ROUND_CEILING", "floor": "ROUND_FLOOR"}.get(method)
    if rounding is None:
        raise ValueFault("round knows common, ceil and floor")
    rounded = exact.quantize(Decimal(1).scaleb(-precision), rounding)
    if isinstance(value, int):
        return int(rounded)
    return float(rounded) if isinstance(value, float) else rounded


# -- lists -----------------------------------------------------------------------------------------------------------


def _items(value: Any) -> list[Any]:
    return [] if value is None else list(value)


def _as_list(function: Callable[..., Any]) -> Callable[..., list[Any]]:
    """One of Jinja's filters that gives items one by one, giving them at once; nothing for None."""

    @wraps(function, assigned=("__name__", "__qualname__", "__doc__"), updated=())
    def filtered(context: Any, value: Any, *arguments: Any, **named: Any) -> list[Any]:
        return list(function(context, _items(value), *arguments, **named))

    return filtered


def _getter(environment: Any, attribute: str | int | None) -> Callable[[Any], Any]:
    return jinja.make_attrgetter(environment, attribute)


@pass_environment
def join(environment: SandboxedEnvironment, value: Any, separator: str = "", attribute: str | int | None = None) -> str:
    """The texts of the items with `separator` between them; empty ones are left out."""
    texts = (_text(_getter(environment, attribute)(item)) for item in _items(value))
    return separator.join(text for text in texts if text)


@pass_environment
def sum_(environment: SandboxedEnvironment, value: Any, attribute: str | int | None = None, start: Any = 0) -> Any:
    """The sum of the items (or of their `attribute`); empty ones count nothing."""
    numbers = (_getter(environment, attribute)(item) for item in _items(value))
    return sum((n for n in numbers if n is not None), start)


@pass_environment
def sort(
    environment: SandboxedEnvironment,
    value: Any,
    reverse: bool = False,
    case_sensitive: bool = False,
    attribute: str | int | None = None,
) -> list[Any]:
    """The items in order (or in that of their `attribute`, or of several: "status,number"), empty ones last."""
    items = _items(value)
    for name in reversed(str(attribute).split(",") if attribute is not None else [None]):
        keyed = [(_getter(environment, name)(item), item) for item in items]
        there = [(_folded(key, case_sensitive), item) for key, item in keyed if key is not None]
        there.sort(key=lambda pair: pair[0], reverse=reverse)
        items = [item for _, item in there] + [item for key, item in keyed if key is None]
    return items


def _folded(key: Any, case_sensitive: bool) -> Any:
    if isinstance(key, Undefined):
        str(key)
    return key.casefold() if isinstance(key, str) and not case_sensitive else key


def first(value: Any) -> Any:
    """The first item; None of nothing."""
    return next(iter(_items(value)), None)


def last(value: Any) -> Any:
    """The last item; None of nothing."""
    items = _items(value)
    return items[-1] if items else None


def length(value: Any) -> int:
    """How many items (or characters); 0 of nothing."""
    return len(value) if isinstance(value, str | Mapping) else len(_items(value))


FILTERS: Mapping[str, Callable[..., Any]] = {
    "capitalize": capitalize,
    "count": length,
    "country": country,
    "country_name": country_name,
    "d": default,
    "date": date,
    "datetime": datetime,
    "default": default,
    "e164": e164,
    "first": first,
    "float": float_,
    "hash": hash_,
    "int": int_,
    "join": join,
    "last": last,
    "length": length,
    "lower": lower,
    "map": pass_context(_as_list(jinja.sync_do_map)),
    "money": money,
    "phone": phone,
    "reject": pass_context(_as_list(jinja.sync_do_reject)),
    "rejectattr": pass_context(_as_list(jinja.sync_do_rejectattr)),
    "replace": replace,
    "round": round_,
    "select": pass_context(_as_list(jinja.sync_do_select)),
    "selectattr": pass_context(_as_list(jinja.sync_do_selectattr)),
    "sort": sort,
    "split": split,
    "state": state,
    "state_name": state_name,
    "sum": sum_,
    "title": title,
    "trim": trim,
    "truncate": truncate,
    "unique": pass_environment(_as_list(jinja.sync_do_unique)),
    "upper": upper,
}
