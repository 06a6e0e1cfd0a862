"""What went wrong, in words and as an exit code: never a traceback for bad input."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from ._session import Session

if TYPE_CHECKING:
    from ..config import Problem
    from ..errors import ConfigError

__all__ = ["CONFIGURATION", "DONE", "FINDINGS", "USAGE", "guarded", "problems_of", "say_error"]

DONE, FINDINGS, USAGE, CONFIGURATION = 0, 1, 2, 3
#: What a shell gives a program that Ctrl-C ended.
INTERRUPTED = 130


def guarded(session: Session, call: Callable[[], Any]) -> int:
    """Run `call` (click, not standalone) and give the exit code; failures are told on stderr.

    With `--json` a failure is a document on stdout too: {"error": {"kind", "message", "problems"?}}.
    """
    try:
        result = call()
        sys.stdout.flush()
    except click.exceptions.Abort:
        if session.json:
            _document("stopped", "stopped before anything was done")
        click.echo("stopped", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        if session.json:
            _document("usage", error.format_message())
        error.show()
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is wrong, and nothing may complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:  # noqa: BLE001  the last line of defence
        return _failure(session, error)
    return result if isinstance(result, int) else DONE


def _failure(session: Session, error: Exception) -> int:
    from .._ingest.listing import Stopped
    from ..errors import ConfigError, SynccoreError, UnknownFilter, redact

    if isinstance(error, Stopped):
        click.echo("stopped before the end: run it again", err=True)
        return INTERRUPTED
    if session.environ.get("SYNCCORE_DEBUG") == "1":
        traceback.print_exception(error)
    if isinstance(error, ConfigError) and not isinstance(error, UnknownFilter):
        return _configuration(session, error)
    if isinstance(error, SynccoreError):
        kind, text = error.kind, error.message
    else:
        kind = "bug"
        text = f"{type(error).__name__}: {redact(str(error))} (SYNCCORE_DEBUG=1 shows where)"
    if session.json:
        _document(kind, text)
    say_error(text)
    for note in getattr(error, "__notes__", ()):
        click.echo(note, err=True)
    return FINDINGS


def _configuration(session: Session, error: ConfigError) -> int:
    """All problems at once, each with its path."""
    problems = problems_of(error)
    if session.json:
        _document("config", error.message, [{"path": p.path, "message": p.message} for p in problems])
    if len(problems) == 1:
        say_error(str(problems[0]))
    else:
        say_error(f"{len(problems)} problems in the configuration")
        for problem in problems:
            click.echo(f"  {problem}", err=True)
    return CONFIGURATION


def problems_of(error: ConfigError) -> tuple[Problem, ...]:
    """Every mistake a configuration error tells of."""
    from ..config import Problem

    found: tuple[Problem, ...] = tuple(getattr(error, "problems", ()))
    return found or (Problem(error.path or "", error.message),)


def say_error(text: str) -> None:
    """One line on stderr, its first word red on a terminal."""
    click.secho("error: ", fg="red", nl=False, err=True)
    click.echo(text, err=True)


def _document(kind: str, message: str, problems: Sequence[dict[str, str]] = ()) -> None:
    import json

    error: dict[str, Any] = {"kind": kind, "message": message}
    if problems:
        error["problems"] = list(problems)
    click.echo(json.dumps({"error": error}, ensure_ascii=False, indent=2))
