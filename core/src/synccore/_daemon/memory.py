"""Memory that is given back."""

import ctypes
from contextlib import suppress

__all__ = ["give_back_large_blocks"]

#: glibc's names for what `mallopt` sets.
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
#: Bytes: blocks from this size on are the system's own, and its again as soon as they are free.
_LARGE = 131_072
#: Threads share so many heaps; each of a hundred threads would keep its own else.
_ARENAS = 4


def give_back_large_blocks() -> None:
    """Keep no room for the next large answer in this process.

    glibc learns from each large block that is freed to keep the next one of its size, up to 32 MB in each of its heaps:
    a daemon that read a few large answers stays that large for good. Elsewhere nothing is changed.
    """
    with suppress(OSError, AttributeError):  # no glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_ARENA_MAX, _ARENAS)
