"""What the daemon says while it runs: key=value lines, or JSON with SYNCCORE_LOG=json, on stderr."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from ..errors import redact

__all__ = ["configure_logging", "redacting"]


def redacting(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The last line of defence: no address, number, token or key leaves through a log line."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = redact(value, 2000)
        elif value is not None and not isinstance(value, (bool, int, float)):
            event[name] = redact(str(value), 2000)
    return event


def configure_logging(environ: Mapping[str, str], stream: TextIO | None = None) -> None:
    """Set up structlog, and the standard library's loggers (uvicorn, plugins) behind the same processors."""
    stream = stream or sys.stderr
    as_json = environ.get("SYNCCORE_LOG", "").lower() == "json"
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
        redacting,
    ]
    render: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.processors.KeyValueRenderer(key_order=["at", "level", "event"], drop_missing=True)
    )
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=render, foreign_pre_chain=shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
