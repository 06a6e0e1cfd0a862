"""Contract tests: subclass, give configuration and stand-in, run."""

from .sink import SinkContract, Stage

__all__ = ["SinkContract", "Stage"]
