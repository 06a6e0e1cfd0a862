"""The words of the plugin contract.

entity     a kind of thing at the source (see `synccore.entities`)
change     one observation: entity + key + op, with the source's own version and time
snapshot   the last known state of one entity and its owner
operation  what a sink is asked to do: object, op, fields, match keys, link, idempotency key
outcome    what came of it: Delivered, Unchanged, Submitted or Failed
link       what is known of the remote twin: remote id, etag, the fields last delivered
lane       everything core owes one sink instance: its limiter, circuit, pause state and workers
"""

from ._context import Clock, Context, Log, Opener, State, Vault
from ._describe import (
    Account,
    Allowance,
    Check,
    Defaults,
    FieldInfo,
    Finding,
    Limits,
    Notice,
    ObjectInfo,
    ObjectType,
    Settled,
    Trouble,
)
from ._mapping import FieldOptions, MapContext, RouteSpec, Skip
from ._sink import (
    Ambiguous,
    Delivered,
    Erased,
    Failed,
    Hanging,
    Identity,
    Job,
    Link,
    LookupResult,
    Operation,
    Outcome,
    Retry,
    Roomier,
    SinkOp,
    Submitted,
    Successor,
    Unchanged,
    each,
)
from ._source import (
    BackfillFilters,
    Change,
    ChangeOp,
    EntityRef,
    Op,
    Page,
    Snapshot,
    Uid,
    Unreadable,
    WebhookRequest,
    WriteBack,
)

__all__ = [
    "Account",
    "Allowance",
    "Ambiguous",
    "BackfillFilters",
    "Change",
    "ChangeOp",
    "Check",
    "Clock",
    "Context",
    "Defaults",
    "Delivered",
    "EntityRef",
    "Erased",
    "Failed",
    "FieldInfo",
    "FieldOptions",
    "Finding",
    "Hanging",
    "Identity",
    "Job",
    "Limits",
    "Link",
    "Log",
    "LookupResult",
    "MapContext",
    "Notice",
    "ObjectInfo",
    "ObjectType",
    "Op",
    "Opener",
    "Operation",
    "Outcome",
    "Page",
    "Retry",
    "Roomier",
    "RouteSpec",
    "Settled",
    "SinkOp",
    "Skip",
    "Snapshot",
    "State",
    "Submitted",
    "Successor",
    "Trouble",
    "Uid",
    "Unchanged",
    "Unreadable",
    "Vault",
    "WebhookRequest",
    "WriteBack",
    "each",
]
