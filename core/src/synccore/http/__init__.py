"""HTTP for plugins: one small client, httpx kept behind it.

The client never retries by itself (only the caller knows what may be sent twice), never follows redirects, never
switches TLS verification off, and states precisely what a failure leaves unsure: a request that never left is
`Transient`, one whose answer was lost is `Transient(maybe_applied=True)`.

Nothing the other side does is without a bound: a call takes as long as it may in all, an answer is as large as it may
be (unpacked), a wait is a day at most.
"""

from ._answer import Response, parse_json, parse_retry_after, target_fault
from ._budget import Budget, Window
from ._client import LARGEST, Client, prepare
from ._shape import ID, MOMENT, SECONDS, Kind, Shape, WrongShape
from ._time import time_left, time_limit

__all__ = [
    "ID",
    "LARGEST",
    "MOMENT",
    "SECONDS",
    "Budget",
    "Client",
    "Kind",
    "Response",
    "Shape",
    "Window",
    "WrongShape",
    "parse_json",
    "parse_retry_after",
    "prepare",
    "target_fault",
    "time_left",
    "time_limit",
]
