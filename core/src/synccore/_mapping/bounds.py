"""How large and how long an expression may become: operators, filters and methods that refuse before they grow.

Whoever writes the configuration may mistype a width, and a record may be larger than anybody thought: neither may take
the process's memory or time. What is refused raises `ValueFault`, whose words hold none of the record's values.
"""

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from functools import wraps
from typing import Any

from .values import ValueFault

__all__ = [
    "CALL_STEPS",
    "LONGEST_SOURCE",
    "Meter",
    "bounded",
    "bounded_call",
    "bounded_filters",
    "bounded_join",
    "operate",
]

#: Characters of a text, items of a list, bits of a whole number.
LONGEST_TEXT, LONGEST_LIST, MOST_BITS = 1_000_000, 100_000, 4096
#: Steps of one field: a turn of a loop is one, a call several.
MOST_STEPS, CALL_STEPS = 200_000, 20
#: Widths, repetitions and indents.
WIDEST = 10_000
_DEEPEST_INDENT = 20
#: Characters of an expression or template.
LONGEST_SOURCE = 20_000

_WIDE_PERCENT = re.compile(r"%(?:\([^()%]*+\))?[-+ #0]*+(?:\d{5}|\*|\d*+\.(?:\d{5}|\*))")
_WIDE_FORMAT = re.compile(r":[^{}:\d]*+(?:\d{1,4}+[^{}:\d]++)*+\d{5}|:[^{}:]*+\{")


class Meter:
    """Counts the steps of the field under way in each thread."""

    def __init__(self) -> None:
        self._local = threading.local()

    def start(self) -> None:
        """A field begins."""
        self._local.steps = 0

    def step(self, count: int = 1) -> None:
        """Raises ValueFault where a field takes too many."""
        steps = getattr(self._local, "steps", 0) + count
        self._local.steps = steps
        if steps > MOST_STEPS:
            raise ValueFault(f"it takes more than {MOST_STEPS:,} steps")

    def counted(self, items: Iterable[Any]) -> Iterator[Any]:
        """The items, each a step."""
        for item in items:
            self.step()
            yield item


_TEXTS = (str, bytes)


def bounded(value: Any) -> Any:
    """The value, where it is no longer than it may be."""
    if isinstance(value, _TEXTS):
        if len(value) > LONGEST_TEXT:
            raise _too_long()
    elif isinstance(value, Sized) and len(value) > LONGEST_LIST:
        raise ValueFault(f"a list would have more than {LONGEST_LIST:,} items")
    return value


def bounded_join(pieces: Iterable[str]) -> str:
    """The pieces as one text, refused as soon as they are too long together."""
    kept: list[str] = []
    length = 0
    for piece in pieces:
        kept.append(piece)
        length += len(piece)
        if length > LONGEST_TEXT:
            raise _too_long()
    return "".join(kept)


def _too_long() -> ValueFault:
    return ValueFault(f"a text would be longer than {LONGEST_TEXT:,} characters")


def _width(value: Any) -> None:
    if isinstance(value, int) and abs(value) > WIDEST:
        raise ValueFault(f"a width or count is more than {WIDEST:,}")


# -- operators ---------------------------------------------------------------------------------------------------------


def operate(operator: str, left: Any, right: Any, plain: Callable[[Any, Any], Any]) -> Any:
    """`left operator right`, where the result is no larger than it may be."""
    if operator == "**":
        _power(left, right)
    elif operator == "*":
        _times(left, right)
    elif operator == "%" and isinstance(left, str | bytes):
        _percent(left, right)
    elif operator == "+" and isinstance(left, Sized) and isinstance(right, Sized):
        _sizes(left, len(left) + len(right))
    return plain(left, right)


def _power(base: Any, exponent: Any) -> None:
    if (
        isinstance(base, int)
        and isinstance(exponent, int)
        and abs(base) > 1
        and exponent * base.bit_length() > MOST_BITS
    ):
        raise ValueFault("a number would have more than a thousand digits")


def _times(left: Any, right: Any) -> None:
    for sequence, count in ((left, right), (right, left)):
        if isinstance(sequence, Sized) and isinstance(count, int):
            _sizes(sequence, len(sequence) * count)
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > 2 * MOST_BITS:
        raise ValueFault("a number would have more than a thousand digits")


def _sizes(sequence: Any, length: int) -> None:
    if isinstance(sequence, str | bytes):
        if length > LONGEST_TEXT:
            raise _too_long()
    elif length > LONGEST_LIST:
        raise ValueFault(f"a list would have more than {LONGEST_LIST:,} items")


def _percent(template: Any, _: Any) -> None:
    text = template if isinstance(template, str) else template.decode("latin-1")
    if _WIDE_PERCENT.search(text):
        raise ValueFault(f"a width in a % format is more than {WIDEST:,}, or not written in it")


# -- methods -----------------------------------------------------------------------------------------------------------

_CLOSED = frozenset({"to_bytes", "translate", "maketrans", "format_map", "expandtabs"})


def bounded_call(function: Any, arguments: tuple[Any, ...]) -> None:
    """Refuse a method of a text, list or number whose result would be too large, before it is called."""
    function = getattr(function, "__wrapped__", function)  # the sandbox's own `format`
    owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
    if not isinstance(owner, str | bytes | int | list | tuple):
        return
    if name in _CLOSED:
        raise ValueFault(f"{name} is closed to expressions")
    if isinstance(owner, int):
        return
    if name in ("ljust", "rjust", "center", "zfill"):
        for value in arguments[:1]:
            _width(value)
    elif name == "replace" and len(arguments) > 1:
        _replaced(owner, arguments[0], arguments[1])
    elif name == "join" and arguments and not isinstance(arguments[0], Iterator):
        _joined(owner, arguments[0])
    elif name == "format" and isinstance(owner, str) and _WIDE_FORMAT.search(owner):
        raise ValueFault(f"a width in a format is more than {WIDEST:,}, or not written in it")


def _replaced(text: Any, old: Any, new: Any) -> None:
    if not isinstance(old, str | bytes) or not isinstance(new, str | bytes):
        return
    places = text.count(old) if old else len(text) + 1
    _sizes(text, len(text) + places * max(len(new) - len(old), 0))


def _joined(separator: Any, items: Any) -> None:
    if isinstance(items, list | tuple):
        _sizes(separator, len(separator) * len(items) + sum(len(i) for i in items if isinstance(i, str | bytes)))


# -- filters -----------------------------------------------------------------------------------------------------------


def _replaces(value: Any, old: Any = None, new: Any = None, *_: Any, **__: Any) -> None:
    _replaced(str(value), old, new)


def _widths(*arguments: Any, **named: Any) -> None:
    for value in (*arguments[1:], *named.values()):
        _width(value)


def _indents(value: Any, width: Any = 4, *_: Any, **__: Any) -> None:
    _width(width)
    _grown(value, str(value).count("\n") + 1, width)


def _wraps(value: Any, width: Any = 79, break_long_words: Any = True, wrapstring: Any = "", *_: Any, **__: Any) -> None:
    _width(width)
    text = str(value)
    _grown(text, len(text) // max(width, 1) + text.count("\n") + 1, wrapstring)


def _grown(value: Any, places: int, by: Any) -> None:
    _sizes("", len(str(value)) + places * (len(by) if isinstance(by, str) else by if isinstance(by, int) else 0))


def _writes_json(_: Any, indent: Any = None, **__: Any) -> None:
    if isinstance(indent, int) and indent > _DEEPEST_INDENT:
        raise ValueFault(f"an indent is more than {_DEEPEST_INDENT}")


def _formats(value: Any, *_: Any, **__: Any) -> None:
    _percent(str(value), None)


def _joins(value: Any, separator: Any = "", *_: Any, **__: Any) -> None:
    if isinstance(value, Sized) and isinstance(separator, str):
        _sizes("", len(value) * len(separator))


_BEFORE: Mapping[str, Callable[..., None]] = {
    "batch": _widths,
    "center": _widths,
    "format": _formats,
    "indent": _indents,
    "join": _joins,
    "replace": _replaces,
    "slice": _widths,
    "tojson": _writes_json,
    "wordwrap": _wraps,
}


def bounded_filters(filters: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """The same filters, none of which gives more than may be."""
    return {name: _bounded_filter(name, function) for name, function in filters.items()}


def _bounded_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    before = _BEFORE.get(name)
    # Jinja hands its context or environment to some filters first, which their own attribute tells.
    skipped = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def filtered(*arguments: Any, **named: Any) -> Any:
        if before is not None:
            before(*arguments[skipped:], **named)
        return bounded(function(*arguments, **named))

    return filtered
