"""Parameter types that several verbs take."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from ..config import parse_duration

__all__ = ["DURATION", "names_in", "pairs"]

_Completer = Callable[[click.Context, click.Parameter, str], list[str]]


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


def names_in(*tables: str) -> _Completer:
    """Completes the names that the configuration has in these tables ("routes", "sinks"); nothing where it cannot."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        import tomllib

        from .._settings import find_config
        from ..errors import ConfigError
        from ._session import Session

        session = Session.of(ctx)
        try:
            file = tomllib.loads(find_config(session.config, session.environ, Path.cwd()).read_text(encoding="utf-8"))
        except (ConfigError, OSError, ValueError, RecursionError):
            return []
        found = [name for table in tables if isinstance(file.get(table), dict) for name in file[table]]
        return [name for name in found if name.startswith(incomplete)]

    return complete
