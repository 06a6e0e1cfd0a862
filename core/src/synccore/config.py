"""Building blocks for a plugin's configuration class.

    @frozen(kw_only=True)
    class Config:
        api_key: Secret = option(help="private key, begins with pk_")
        pause: timedelta = option(default=timedelta(0), help="wait between two pages")

Accepted types: str, int, bool, float, Decimal, timedelta ("5m"), Secret, Schedule, Path, Literal, tuple[T, ...],
Mapping[str, T], T | None, and nested attrs classes. Nothing is coerced: 1 is no text and "1" is no number.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs
from attrs import NOTHING, frozen

from ._plain import Plain
from .errors import ConfigError

__all__ = [
    "ConfigProblems",
    "Problem",
    "Schedule",
    "SourceSettings",
    "format_duration",
    "option",
    "parse_duration",
    "suggest",
]

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?<![\d.])(\d++(?:\.\d++)?+)(ms|[smhdw])")


def option(
    *,
    help: str,  # noqa: A002  the word the CLI shows
    default: Any = NOTHING,
    factory: Callable[[], Any] | None = None,
    validator: Any = None,
    sample: Any = None,
) -> Any:
    """A setting: an attrs field with help text that `synccore init`, `plugins show` and the docs print.

    `sample` is what `synccore init` writes for it, as it would stand in the TOML file; without one it writes a
    placeholder for what is required and leaves the rest out.
    """
    metadata = {"help": help, "sample": sample}
    if factory is not None:
        return attrs.field(factory=factory, metadata=metadata, validator=validator)
    return attrs.field(default=default, metadata=metadata, validator=validator)


def parse_duration(text: str) -> timedelta:
    """ "30s", "5m", "1h30m", "24h", "90d". Raises ValueError saying what is accepted."""
    if len(text) > 60:
        raise ValueError(f"{text[:20]!r}... is not a duration; write for instance 30s, 5m, 24h or 90d")
    parts = _DURATION.findall(text)
    if not parts or "".join(n + u for n, u in parts) != text.replace(" ", ""):
        raise ValueError(f"{text!r} is not a duration; write for instance 30s, 5m, 24h or 90d")
    try:
        return timedelta(seconds=sum(float(n) * _UNITS[u] for n, u in parts))
    except OverflowError:
        raise ValueError(f"{text!r} is too long for a duration") from None


def format_duration(value: timedelta) -> str:
    """The shortest text that `parse_duration` reads back as `value`."""
    milliseconds = round(value.total_seconds() * 1000)
    if milliseconds == 0:
        return "0s"
    out = ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            out += f"{count}{unit}"
    return out


@frozen
class Schedule(Plain):
    """When something runs: a duration ("5m") or cron text ("*/5 * * * *", UTC)."""

    text: str

    def __attrs_post_init__(self) -> None:
        self._interval()

    def _interval(self) -> timedelta | None:
        """The duration, or None for cron text. Raises ValueError for neither."""
        if len(self.text.split()) >= 5:
            from cronsim import CronSim, CronSimError

            try:
                CronSim(self.text, datetime(2000, 1, 1))  # noqa: DTZ001  only parsed
            except CronSimError as error:
                raise ValueError(f"{self.text!r} is no cron text: {error}") from error
            return None
        interval = parse_duration(self.text)
        if interval <= timedelta(0):
            raise ValueError(f"{self.text!r} is no interval: it must be longer than zero")
        return interval

    def next_after(self, moment: datetime) -> datetime:
        """The next time it runs after `moment`."""
        interval = self._interval()
        if interval is not None:
            return moment + interval
        from cronsim import CronSim

        return next(CronSim(self.text, moment))


@frozen(kw_only=True)
class SourceSettings(Plain):
    """What core itself reads from a source's configuration; a source's config class inherits it."""

    entities: tuple[str, ...] = option(default=("customer",), help="what to report: customer, order, ...")
    poll: Schedule | None = option(default=Schedule("5m"), help='how often to ask for changes: "5m" or cron text')
    reconcile: Schedule | None = option(
        default=Schedule("24h"), help="how often to compare everything, which heals missed webhooks"
    )
    write_back: bool = option(default=False, help="store remote ids at the source")


@frozen
class Problem(Plain):
    """One mistake in the configuration: where (dotted path) and what is wrong, with what to do."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigProblems(ConfigError):
    """Several mistakes in the configuration at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__(
            "\n".join(str(p) for p in self.problems) or None, path=self.problems[0].path if self.problems else None
        )


def suggest(word: str, known: Sequence[str]) -> str:
    """ "; did you mean X?" for the nearest of `known`, empty where none is near."""
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1, cutoff=0.6)
    if not near:
        folded = {k.casefold(): k for k in known}
        near = [folded[n] for n in get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)]
    return f"; did you mean {near[0]}?" if near else ""
