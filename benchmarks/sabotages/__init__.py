"""The sabotages that `sabotage.py` carries out.

form      what one is
promises  lines of core, each with the tests beside it
mends     faults that were mended, put back: whole lives have to see them
points    the same, seen by trouble at any call
deaths    what a process that dies in a call leaves: deaths at calls have to see it
data      what is known of people: their last word, who a guest is, what an owner wrote
statements  what is said, and what an operator does: whole lives have to see where that is false
histories  the same as mends, seen by short histories
held      the same as points, seen by tests of their own alone
"""

from .data import DATA
from .deaths import DEATHS
from .form import Sabotage
from .held import HELD
from .histories import HISTORIES
from .mends import MENDS
from .points import POINTS
from .promises import PROMISES, PROMISES_SEEN_BY_LIVES
from .statements import STATEMENTS

__all__ = ["SABOTAGES", "Sabotage"]

SABOTAGES = (*PROMISES, *MENDS, *HISTORIES, *POINTS, *DEATHS, *STATEMENTS, *DATA, *HELD, *PROMISES_SEEN_BY_LIVES)
