"""What an error means for a delivery: one pure function, the whole retry policy of the product.

An outage is never the record's fault: it closes the lane for a while and uses no attempt. Only a failure that
concerns one record while others get through counts against that record.
"""

import random
import traceback
from datetime import datetime, timedelta

from attrs import frozen

from .._plain import Plain
from ..errors import (
    AnotherAccount,
    AuthError,
    BatchRejected,
    ConfigError,
    Conflict,
    MappingError,
    RateLimited,
    Rejected,
    SynccoreError,
    Transient,
    WaitFor,
    redact,
)

#: Full jitter: a random wait between zero and BASE x 2^attempts, at most CAP.
BASE = timedelta(seconds=2)
CAP = timedelta(hours=1)
#: A target that is away is looked for at least this often: one record is the probe, so it costs one call.
OUTAGE_CAP = timedelta(minutes=5)
#: A record that really was tried for this long, while others got through, is parked.
PATIENCE = timedelta(days=3)
#: A record whose parent does not come is parked after this long.
PARENT_PATIENCE = timedelta(days=1)
#: A bug in a plugin gets this many tries.
BUG_TRIES = 3
#: This many outages in a row open the circuit.
CIRCUIT_AFTER = 3
#: How soon a lane that stopped with a configuration error looks again.
CONFIG_RECHECK = timedelta(minutes=5)
#: A rate limit without a stated wait.
DEFAULT_RATE_WAIT = timedelta(seconds=30)


@frozen
class Retry(Plain):
    """Try again at `at`; the attempt counts against the record."""

    at: datetime


@frozen
class Snooze(Plain):
    """Look again at `until`; no attempt used."""

    until: datetime


@frozen
class Park(Plain):
    """A person has to look; `reason` is shown."""

    reason: str


@frozen
class PauseLane(Plain):
    """Nothing to this sink until `until` (None: until a person acts); the delivery goes back unharmed."""

    until: datetime | None
    #: needs_auth, rate_limited, circuit_open, error; or ok for the short wait after a first outage.
    state: str
    reason: str


Decision = Retry | Snooze | Park | PauseLane


@frozen(kw_only=True)
class Tried(Plain):
    """What the policy needs to know of a delivery."""

    attempts: int = 0
    first_failed_at: datetime | None = None
    waiting_since: datetime | None = None
    #: The lane's outages in a row before this one.
    lane_failures: int = 0
    #: How long at most until a target that is away is looked for again.
    look_within: timedelta = OUTAGE_CAP
    #: False where other records got through since this one failed: then the failure is the record's own.
    outage: bool = True


def backoff(tries: int, random_: random.Random, cap: timedelta = CAP) -> timedelta:
    """Full jitter; never overflows, however many tries."""
    ceiling = min(cap, BASE * 2 ** min(max(tries, 0), 20))
    wait: timedelta = ceiling * random_.uniform(0.1, 1)
    return wait


def decide(error: BaseException, tried: Tried, now: datetime, random_: random.Random) -> Decision:
    """What to do after `error`."""
    match error:
        case ConfigError() | AnotherAccount():
            return PauseLane(now + CONFIG_RECHECK, "error", error.message)
        case AuthError():
            return PauseLane(None, "needs_auth", error.message)
        case RateLimited():
            wait = error.retry_after or DEFAULT_RATE_WAIT * random_.uniform(1, 1.5)
            if error.scope != "lane":
                return Snooze(now + wait)
            return PauseLane(now + wait, "rate_limited", error.message)
        case WaitFor():
            since = tried.waiting_since or now
            if now - since >= PARENT_PATIENCE:
                return Park(f"{error.message}, for longer than a day")
            return Snooze(now + max(timedelta(minutes=1), min((now - since) / 4, timedelta(minutes=15))))
        case Rejected() | MappingError() | BatchRejected():
            return Park(error.message)
        case Transient() if error.outage and tried.outage:
            state = "circuit_open" if tried.lane_failures + 1 >= CIRCUIT_AFTER else "ok"
            return PauseLane(now + backoff(tried.lane_failures, random_, tried.look_within), state, error.message)
        case Transient() if not error.sent:
            return Snooze(now + backoff(1, random_))
        case Transient() | Conflict():
            # Of a Transient nobody knows whose it is (too large, locked) before others get through.
            return _retry(error.message, tried, now, random_, park=not (isinstance(error, Transient) and tried.outage))
        case _:
            if tried.attempts + 1 >= BUG_TRIES:
                return Park(describe_bug(error))
            return Retry(now + backoff(tried.attempts, random_))


def source_state(error: BaseException, decision: Decision) -> str:
    """The state of a source after `error`: unlike a target's, its first failure holds up all of it."""
    if isinstance(error, AnotherAccount):
        return "error"  # its credentials are fine
    if isinstance(decision, PauseLane) and decision.state != "ok":
        return decision.state
    if isinstance(error, RateLimited):
        return "rate_limited"
    return "circuit_open" if isinstance(error, Transient) else "error"


def _retry(message: str, tried: Tried, now: datetime, random_: random.Random, *, park: bool) -> Decision:
    if park and tried.first_failed_at is not None and now - tried.first_failed_at >= PATIENCE:
        return Park(f"{message} (tried {tried.attempts + 1} times in {(now - tried.first_failed_at).days} days)")
    return Retry(now + backoff(tried.attempts, random_))


def describe_bug(error: BaseException) -> str:
    """A plugin's bug for a person: type, place and calls, personal values taken out of the text."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    path = " > ".join(f"{frame.name} ({frame.filename.rsplit('/', 1)[-1]}:{frame.lineno})" for frame in frames)
    return redact(f"bug in the plugin: {type(error).__name__}: {error}" + (f"; {path}" if path else ""), 900)


def where(error: BaseException) -> str:
    """File and line a bug was raised at, without any value."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""


def error_kind(error: BaseException) -> str:
    """The word shown as error_kind."""
    return error.kind if isinstance(error, SynccoreError) else "bug"


def error_text(error: BaseException) -> str:
    """The message shown for it."""
    return error.message if isinstance(error, SynccoreError) else describe_bug(error)
