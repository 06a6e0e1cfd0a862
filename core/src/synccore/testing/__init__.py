"""The author kit: what a plugin's tests need to prove it.

`LoopbackServer` is the base of vendor stand-ins, `FakeContext` and `FakeClock` serve tests of one plugin, `Harness`
runs the whole app in one process around a `ScriptedSink`. `SinkContract`, `SourceContract` and `MapperContract` stage
the hazards a plugin must withstand; they need `synccore[testing]` (pytest and hypothesis), the rest does not.
"""

from typing import TYPE_CHECKING, Any

from .browser import AutoBrowser
from .clock import START, FakeClock
from .context import FakeContext, MemoryState, MemoryVault, RecordingLog
from .harness import Harness, customer, upsert
from .interleave import Meanwhile, meanwhile
from .scripted import EmitterSource, ScriptedSink
from .server import Fault, LoopbackServer, Reply, Request, replaced

if TYPE_CHECKING:
    from .contracts import MapperContract, SinkContract, SourceContract

__all__ = [
    "START",
    "AutoBrowser",
    "EmitterSource",
    "FakeClock",
    "FakeContext",
    "Fault",
    "Harness",
    "LoopbackServer",
    "MapperContract",
    "Meanwhile",
    "MemoryState",
    "MemoryVault",
    "RecordingLog",
    "Reply",
    "Request",
    "ScriptedSink",
    "SinkContract",
    "SourceContract",
    "customer",
    "meanwhile",
    "replaced",
    "upsert",
]


def __getattr__(name: str) -> Any:
    """The contracts, imported when asked for: stand-ins run in `synccore demo`, where there is no pytest."""
    if name in ("MapperContract", "SinkContract", "SourceContract"):
        from . import contracts

        return getattr(contracts, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
