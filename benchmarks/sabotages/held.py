"""Mends of single faults taken back that only tests of their own are known to see: none, for now.

Whoever makes lives, call points, histories or the contract kit see one of these moves it to `mends` or `points`.
"""

from .form import Sabotage

__all__ = ["HELD"]

HELD: tuple[Sabotage, ...] = ()
