"""Contract tests: subclass, give configuration and stand-in, run."""

from ._stage import Stage
from .mapper import MapperContract
from .sink import SinkContract
from .source import SourceContract, SourceStage

__all__ = ["MapperContract", "SinkContract", "SourceContract", "SourceStage", "Stage"]
