"""synccore keeps other systems up to date with a shop.

source -> ingest -> outbox -> mapper -> sink. Plugin authors import from `synccore.hookspecs`, `types`, `entities`,
`errors`, `config`, `http`, `oauth`, `secrets`, `store` (outbox engines), and `synccore.testing` in tests; everything
underscored is private.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .hookspecs import hookimpl

__all__ = ["__version__", "hookimpl"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`hookimpl`, imported when a plugin asks for it: `synccore --help` needs none of what comes with it."""
    if name == "hookimpl":
        from .hookspecs import hookimpl

        return hookimpl
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
