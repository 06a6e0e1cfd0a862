"""What a plugin says while a case runs: by structlog, by the standard library's loggers, or by print."""

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from structlog.testing import capture_logs

__all__ = ["heard"]


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # Core says nothing of httpx's own lines.
        if not record.name.startswith(("httpx", "httpcore")):
            self.lines.append(self.format(record))


@contextmanager
def heard() -> Iterator[Callable[[], str]]:
    """Gives all that was said so far, as one text. Lines below INFO are left out, as the daemon leaves them out."""
    root, kept, printed = logging.getLogger(), _Kept(), io.StringIO()
    level = root.level
    root.addHandler(kept)
    root.setLevel(logging.INFO)
    try:
        with capture_logs() as lines, redirect_stdout(printed), redirect_stderr(printed):
            yield lambda: f"{lines}{kept.lines}{printed.getvalue()}"
    finally:
        root.removeHandler(kept)
        root.setLevel(level)
