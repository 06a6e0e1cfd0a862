"""Contract tests: subclass, give configuration and stand-in, run."""

from ._stage import Stage
from .mapper import MapperContract
from .sink import SinkContract
from .source import SourceContract, SourceStage
from .store import OutboxMachine, StoreContract

__all__ = [
    "MapperContract",
    "OutboxMachine",
    "SinkContract",
    "SourceContract",
    "SourceStage",
    "Stage",
    "StoreContract",
]
