"""What is said beside the results: key=value lines, or JSON with SYNCCORE_LOG=json, on stderr, never on stdout."""

import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, TextIO

import click

from ..errors import redact

__all__ = ["as_json", "configure_logging", "first_foreign_line", "redacting", "say"]

#: Longer than a traceback in one line, shorter than a flood.
_LIMIT = 4000


def redacting(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The last line of defence: no address, number, token or key leaves through a log line."""
    for name, value in event.items():
        if name != "at" and value is not None and not isinstance(value, (bool, int, float)):
            event[name] = redact(str(value), _LIMIT)
    return event


def as_json(environ: Mapping[str, str]) -> bool:
    """Whether every line on stderr is a JSON document."""
    return environ.get("SYNCCORE_LOG", "").lower() == "json"


def say(environ: Mapping[str, str], text: str, level: int = logging.WARNING) -> None:
    """A sentence on stderr: a line of the log where that is JSON, so that no line of it is anything else."""
    if as_json(environ):
        import structlog

        structlog.get_logger("synccore").log(level, click.unstyle(text))
    else:
        click.echo(text, err=True)


class _Stderr:
    """Whatever stderr is when something is written. A log that cannot be written (a full disk) stops nobody's work."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            return sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


class _Handler(logging.StreamHandler[Any]):
    """Ours among the root logger's handlers."""


class _First(_Handler):
    """Sets the log up when a library says the first line, and hands that line on."""

    def __init__(self, begin: Callable[[], None]) -> None:
        super().__init__(_Stderr())
        self._begin = begin

    def emit(self, record: logging.LogRecord) -> None:
        self._begin()
        root = logging.getLogger()
        root.removeHandler(self)
        root.handle(record)


def first_foreign_line(begin: Callable[[], None]) -> None:
    """Call `begin` before what a library logs is written."""
    root = logging.getLogger()
    root.handlers[:] = [*(h for h in root.handlers if not isinstance(h, _Handler)), _First(begin)]


def configure_logging(environ: Mapping[str, str], to: TextIO | None = None, *, level: int = logging.INFO) -> None:
    """Set up structlog, and the standard library's loggers (uvicorn, plugins) behind the same processors.

    `to` takes the place of stderr.
    """
    import structlog

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
        redacting,
    ]
    render: Any = structlog.processors.KeyValueRenderer(key_order=["at", "level", "event"], drop_missing=True)
    if as_json(environ):
        render = structlog.processors.JSONRenderer(ensure_ascii=False)
    stream: Any = to or _Stderr()
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = _Handler(stream)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[remove, render], foreign_pre_chain=shared))
    root = logging.getLogger()
    root.handlers[:] = [*(h for h in root.handlers if not isinstance(h, _Handler)), handler]
