"""The author kit: what a plugin's tests need to prove it.

`LoopbackServer` is the base of vendor stand-ins, `FakeContext` and `FakeClock` serve tests of one plugin, `Harness`
runs the whole app in one process around a `ScriptedSink`.
"""

from .clock import START, FakeClock
from .context import FakeContext, MemoryState, MemoryVault, RecordingLog
from .harness import Harness, customer, upsert
from .scripted import EmitterSource, ScriptedSink
from .server import Fault, LoopbackServer, Reply, Request

__all__ = [
    "START",
    "EmitterSource",
    "FakeClock",
    "FakeContext",
    "Fault",
    "Harness",
    "LoopbackServer",
    "MemoryState",
    "MemoryVault",
    "RecordingLog",
    "Reply",
    "Request",
    "ScriptedSink",
    "customer",
    "upsert",
]
