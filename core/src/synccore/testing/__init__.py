"""The author kit: what a plugin's tests need to prove it.

`LoopbackServer` is the base of vendor stand-ins, `FakeContext` and `FakeClock` serve tests of one plugin.
"""

from .clock import START, FakeClock
from .context import FakeContext, MemoryState, MemoryVault, RecordingLog
from .server import Fault, LoopbackServer, Reply, Request

__all__ = [
    "START",
    "FakeClock",
    "FakeContext",
    "Fault",
    "LoopbackServer",
    "MemoryState",
    "MemoryVault",
    "RecordingLog",
    "Reply",
    "Request",
]
