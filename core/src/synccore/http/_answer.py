"""An answer, what may be read of it, and what it says of the other side."""

import json as jsonlib
import re
import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from attrs import field, frozen

from .._plain import Plain
from ..errors import LONGEST_WAIT, RateLimited, Transient, redact
from ..values import mended
from ._shape import Shape, WrongShape

__all__ = ["Response", "parse_json", "parse_retry_after", "target_fault"]

_GZIP = b"\x1f\x8b\x08"
#: What would unpack to more than this is taken as it came.
_UNPACKED_MOST = 16_000_000
#: More values than this in one JSON text are not read: a hundred orders of a hundred lines have half of them.
MOST_VALUES = 400_000
#: Nor are lists and objects in one another beyond this: whoever goes through them would come to the end of the stack.
DEEPEST = 100
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


@frozen(kw_only=True)
class Response(Plain):
    """An answer. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    url: str = field(repr=False, default="")

    @property
    def ok(self) -> bool:
        """True for 2xx."""
        return 200 <= self.status < 300

    @property
    def content(self) -> bytes:
        """The body; one that is compressed without a header saying so is unpacked (some hosts store such pages)."""
        if not self.body.startswith(_GZIP):
            return self.body
        unpacking = zlib.decompressobj(wbits=31)
        try:
            plain = unpacking.decompress(self.body, _UNPACKED_MOST)
        except zlib.error:
            return self.body
        return plain if unpacking.eof else self.body

    @property
    def text(self) -> str:
        """The body as text, broken bytes replaced."""
        return self.content.decode("utf-8", "replace")

    def json(self, *, wrote: bool = False) -> Any:
        """The body as JSON (numbers with a fraction as Decimal-safe floats are left to the caller).

        Texts hold no half characters. Raises Transient where the body is not JSON: proxies and firewalls answer HTML
        with any status. `wrote`: the request was to change something, so it may have been carried out.
        """
        try:
            return parse_json(self.content)
        except TooManyValues as error:
            raise Transient(
                f"HTTP {self.status} with a body of {error}: {self.structure()}", maybe_applied=wrote
            ) from None
        except ValueError:
            # Without the cause: a parser's error holds the whole body.
            text = f"HTTP {self.status} with a body that is not JSON: {self.structure()}"
            raise Transient(text, maybe_applied=wrote) from None

    def json_as(self, shape: Shape, *, wrote: bool = False) -> Any:
        """The body as JSON of that shape. Raises Transient, as `json` does, where it has another one.

        Behind a mistyped address, or in a vendor's bad hour, an answer of 200 may be any JSON at all: read what each
        call answers by its shape, and nothing behind it needs to ask what a part is.
        """
        try:
            return shape.read(self.json(wrote=wrote))
        except WrongShape as error:
            text = f"HTTP {self.status} with another answer than asked for: {error} ({self.structure()})"
            raise Transient(text, maybe_applied=wrote) from None

    def json_object(self, *names: str, wrote: bool = False) -> dict[str, Any]:
        """The JSON object of the body. Raises Transient where it is anything else, or lacks one of `names`: see
        `json_as`, which looks at what they hold as well."""
        found = self.json(wrote=wrote)
        if isinstance(found, dict) and all(name in found for name in names):
            return found
        text = f"HTTP {self.status} with another answer than asked for: {self.structure()}"
        raise Transient(text, maybe_applied=wrote)

    def json_or_none(self, shape: Shape | None = None) -> Any:
        """The body as JSON, or None where it is not JSON, or not of that shape."""
        try:
            found = parse_json(self.content)
            return found if shape is None else shape.read(found)
        except ValueError:
            return None

    def structure(self) -> str:
        """What kind of body it is, for errors: content type, length, first tag. Never what it says: that is foreign."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()[:80]
        known = kind if re.fullmatch(r"[a-z]{1,20}/[a-z0-9.+-]{1,50}", kind) else "no content type"
        begin = self.body[:200].lstrip()
        tag = re.match(rb"<!?[a-zA-Z][a-zA-Z0-9]{0,20}", begin)
        starts = (
            f", begins with {tag[0].decode()}>" if tag else ", begins like JSON" if begin[:1] in (b"{", b"[") else ""
        )
        return f"{known}, {len(self.body):,} bytes{starts}"

    def excerpt(self, limit: int = 200) -> str:
        """A JSON body's beginning, personal values and secrets taken out; of anything else only its `structure`."""
        if self.json_or_none() is None:
            return self.structure()
        return redact(" ".join(self.content[: 20 * limit].decode("utf-8", "replace").split()), limit)


class TooManyValues(ValueError):
    """A JSON text that would fill the memory: each value costs some dozens of bytes, and two in the text."""


def parse_json(body: bytes | str) -> Any:
    """JSON as the other side sends it, with every half of a character pair replaced by U+FFFD.

    Raises ValueError for what is no JSON, has numbers that are none (NaN), or is nested deeper, or into more values,
    than anybody means.
    """
    if len(body) > MOST_VALUES and _values_in(body) > MOST_VALUES:
        raise TooManyValues(f"more than {MOST_VALUES:,} values")
    try:
        value = jsonlib.loads(body, parse_constant=_no_number)
        if _may_be_deep(body) and _is_deep(value):
            raise ValueError("nested too deeply")
        # Only an escape can bring half a pair into a text: the body itself was decoded as UTF-8.
        escaped = ("\\ud", "\\uD") if isinstance(body, str) else (b"\\ud", b"\\uD")
        return mended(value) if any(e in body for e in escaped) else value  # type: ignore[operator]
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _values_in(body: bytes | str) -> int:
    """How many values it may have, at most: texts may hold the same signs."""
    if isinstance(body, str):
        return sum(body.count(sign) for sign in ",[{")
    return sum(body.count(sign) for sign in b",[{")


def _may_be_deep(body: bytes | str) -> bool:
    """Whether it has brackets in brackets, or in texts: a fraction of the time that reading takes."""
    plain = body.encode("utf-8", "replace") if isinstance(body, str) else body
    if plain.count(b"[") + plain.count(b"{") <= DEEPEST:
        return False
    brackets = plain.translate(None, _ALL_BUT_BRACKETS)
    for _ in range(DEEPEST):
        outer = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(outer) == len(brackets):
            break
        brackets = outer
    return bool(brackets)


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [inner for each in level for inner in _inside(each)]
    return bool(level)


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number")


def target_fault(answer: Response, now: datetime, *, writes: bool = True) -> RateLimited | Transient | None:
    """What an answer says of the other side, whatever the record was; None where it may speak of the record.

    Use it before reading a refusal: what stands between us and an API (proxies, firewalls, load balancers) answers in
    its stead, and no record is ever to blame for that. 401 is not judged: only the plugin knows its credentials.

    | answer | fault |
    | --- | --- |
    | 429; 503 with Retry-After | `RateLimited` |
    | 5xx | `Transient`, carried out perhaps where the request `writes`: a proxy may have given up first |
    | 405, 407, 408, 421, 425 | `Transient` |
    | 301, 302, 303, 307, 308 | `Transient`: a log-in page or a proxy; an API that moved is for a person to see |
    | 413 | `Transient(outage=False)`: a smaller batch may get through |
    | any other refusal with a page instead of JSON | `Transient` |
    """
    status = answer.status
    wait = _asked_wait(answer.headers.get("retry-after"), now)
    if status == 429 or (status == 503 and wait is not None):
        return RateLimited(f"HTTP {status}: asked to wait", retry_after=wait)
    if status >= 500:
        return Transient(f"HTTP {status}: {answer.excerpt(120)}", maybe_applied=writes)
    if status == 413:
        return Transient("HTTP 413: the request is too large", outage=False)
    if status in (301, 302, 303, 307, 308):
        return Transient(f"HTTP {status}: it sends us elsewhere instead of answering: is the address right?")
    if status in (405, 407, 408, 421, 425):
        return Transient(f"HTTP {status}: {answer.excerpt(120)}")
    if status >= 400 and status != 401 and answer.body.strip() and answer.json_or_none() is None:
        return Transient(f"HTTP {status} with a page of something in between: {answer.excerpt(120)}")
    return None


def parse_retry_after(value: str | None, now: datetime) -> timedelta | None:
    """A `Retry-After` header: whole seconds or an HTTP date, at most a day. None where absent or unreadable."""
    wait = _asked_wait(value, now)
    return None if wait is None else min(wait, LONGEST_WAIT)


def _asked_wait(value: str | None, now: datetime) -> timedelta | None:
    """As it was asked for, however long."""
    if not value:
        return None
    value = value.strip()
    if value.isdecimal():
        return timedelta(seconds=int(value[:9]))
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(when - now, timedelta(0))
