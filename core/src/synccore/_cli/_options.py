"""Parameter types that several verbs take."""

from datetime import timedelta
from typing import Any

import click

from ..config import parse_duration

__all__ = ["DURATION", "pairs"]


class _Duration(click.ParamType[timedelta]):
    """ "30s", "5m", "24h", "90d"."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION = _Duration()


def pairs(values: tuple[str, ...], option: str) -> dict[str, str]:
    """KEY=VALUE options as a mapping. Raises UsageError."""
    found: dict[str, str] = {}
    for value in values:
        key, sign, text = value.partition("=")
        if not sign or not key.strip() or not text.strip():
            raise click.UsageError(f"{option} {value!r}: write KEY=VALUE, for instance {option} plan=123")
        found[key.strip()] = text.strip()
    return found
