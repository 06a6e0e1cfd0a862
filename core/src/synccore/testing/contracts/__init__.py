"""Contract tests: subclass, give configuration and stand-in, run."""

from .mapper import MapperContract
from .sink import SinkContract, Stage
from .source import SourceContract, SourceStage

__all__ = ["MapperContract", "SinkContract", "SourceContract", "SourceStage", "Stage"]
