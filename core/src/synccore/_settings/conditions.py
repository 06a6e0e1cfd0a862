"""What `when` of `[alerts.NAME]` may say: a kind of trouble, and from which measure on it is worth a message."""

import re
from datetime import timedelta

from attrs import frozen

from .._plain import Plain
from ..config import format_duration, parse_duration, suggest
from ..errors import ConfigError
from ..types import Trouble

__all__ = ["DEFAULT", "KINDS", "LATE", "Condition", "parse_condition"]

#: Kind -> what is measured: a duration it lasts, a count, bytes that are free, or nothing.
KINDS = {
    "needs_auth": "duration",
    "error": "duration",
    "circuit_open": "duration",
    "rate_limited": "duration",
    "paused": "duration",
    "backlog": "duration",
    "silent": "duration",
    "stale": "duration",
    "parked": "count",
    "listing": "count",
    "disk": "bytes",
}
#: From here on what is owed is late, and a source that nothing is heard of is silent; a word alone means that.
LATE = timedelta(hours=1)
_LATE = format_duration(LATE)
_LASTING = ("backlog", "silent")
#: What is told where an alert does not say what.
DEFAULT = (
    *("needs_auth", "error", "circuit_open > 15m", "parked > 0", f"backlog > {_LATE}", f"silent > {_LATE}"),
    *("listing > 1", "stale > 15m", "disk < 1GB"),
)
_SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_TEXT = re.compile(r"([a-z_]{1,40}) ?(?:([<>]) ?([0-9A-Za-z.]{1,20}))?")
_SIZE = re.compile(r"([0-9]{1,9}) ?(B|KB|MB|GB)")


@frozen(kw_only=True)
class Condition(Plain):
    """One entry of `when`. `bound` is compared with the trouble's measure (seconds, a count, bytes)."""

    kind: str
    bound: float = 0
    text: str

    def fits(self, trouble: Trouble) -> bool:
        """Whether this trouble is meant."""
        if trouble.kind != self.kind:
            return False
        return trouble.measure < self.bound if self.kind == "disk" else trouble.measure >= self.bound


def parse_condition(text: str) -> Condition:
    """ "needs_auth", "parked > 0", "backlog > 1h", "disk < 1GB". Raises ConfigError."""
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f'{text!r} is no condition; write for instance "needs_auth", "parked > 0" or "backlog > 1h"')
    kind, sign, bound = found.groups()
    if kind not in KINDS:
        raise ConfigError(f"there is no condition {kind!r}{suggest(kind, list(KINDS))} (there are: {', '.join(KINDS)})")
    wanted = "<" if kind == "disk" else ">"
    if sign not in (None, wanted) or (kind == "disk" and sign is None):
        raise ConfigError(f'{kind} is compared with {wanted}: write for instance "{kind} {wanted} {_example(kind)}"')
    if bound is None:
        return Condition(kind=kind, bound=LATE.total_seconds() if kind in _LASTING else 0, text=text.strip())
    return Condition(kind=kind, bound=_bound(kind, bound), text=text.strip())


def _bound(kind: str, text: str) -> float:
    try:
        match KINDS[kind]:
            case "duration":
                return parse_duration(text).total_seconds()
            case "count":
                return int(text) + 1  # more than
            case _:
                size = _SIZE.fullmatch(text)
                if size is None:
                    raise ValueError
                return int(size[1]) * _SIZES[size[2]]
    except ValueError:
        raise ConfigError(f'{text!r} cannot be compared with {kind}: write for instance "{_example(kind)}"') from None


def _example(kind: str) -> str:
    return {"duration": format_duration(timedelta(hours=1)), "count": "0"}.get(KINDS[kind], "1GB")
