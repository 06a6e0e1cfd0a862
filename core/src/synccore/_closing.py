"""What is closed when a `with` block ends."""

from types import TracebackType
from typing import Self

__all__ = ["Closing"]


class Closing:
    """A context manager of itself: the block's end closes it, whatever happened inside."""

    def close(self) -> None:
        """Give back what it holds."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
