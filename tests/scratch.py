"""Where the files of tests are: in memory where there is room. An outbox waits for its disk at each commit, and no test
cuts the power."""

import os
import shutil
from pathlib import Path

__all__ = ["in_memory"]

_MEMORY = Path("/dev/shm")  # noqa: S108  each makes a folder of its own in it
#: Bytes that have to be free: environments with everything in them are made there too.
_ENOUGH = 3_000_000_000


def in_memory() -> Path | None:
    """A folder for temporary files that no disk holds up; None where there is none, or a place was chosen."""
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK | os.X_OK):
        return None
    # Programs are started from there.
    runs = not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC
    return _MEMORY if runs and shutil.disk_usage(_MEMORY).free > _ENOUGH else None
