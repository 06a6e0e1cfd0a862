"""synccore keeps other systems up to date with a shop.

source -> ingest -> outbox -> mapper -> sink. Plugin authors import from `synccore.hookspecs`, `types`, `entities`,
`errors`, `config`, `http`, `oauth`, `secrets`, `store` (outbox engines), and `synccore.testing` in tests; everything
underscored is private.
"""

from .hookspecs import hookimpl

__all__ = ["__version__", "hookimpl"]

__version__ = "0.1.0"
