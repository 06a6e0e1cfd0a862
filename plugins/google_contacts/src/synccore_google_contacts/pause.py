"""How long an account is left alone after a 429: remembered with the account, whoever uses it and after a restart."""

from datetime import datetime, timedelta

from synccore.errors import RateLimited
from synccore.types import Context, State

from .errors import DailyQuota, HiddenQuota, MinuteQuota

#: Google's unpublished write quota clears slowly (rapidwebltd/php-google-people-api#45).
SHORTEST, LONGEST = timedelta(minutes=5), timedelta(hours=6)
KEY = "pause"


def check_held(context: Context, state: State) -> None:
    """Raise RateLimited while the account is to be left alone."""
    record = state.get(KEY)
    if record is None:
        return
    left = datetime.fromisoformat(record["until"]) - context.clock.now()
    if left > (wait := timedelta(seconds=record.get("seconds", left.total_seconds()))):
        # The clock was set back since: nobody waits longer for that.
        left = wait
        state.put({KEY: {**record, "until": (context.clock.now() + wait).isoformat()}})
    if left > timedelta(0):
        raise RateLimited(record["reason"], retry_after=left)


def hold(context: Context, state: State, error: RateLimited) -> RateLimited:
    """The error with the time to wait, which grows while Google's hidden quota stays exhausted."""
    if not isinstance(error, MinuteQuota | DailyQuota | HiddenQuota):
        return error
    streak = 0
    if isinstance(error, HiddenQuota):
        streak = ((state.get(KEY) or {}).get("streak") or 0) + 1
        wait = error.retry_after or min(SHORTEST * 2 ** min(streak - 1, 10), LONGEST)
    else:
        wait = error.retry_after or timedelta(minutes=1)
    wait += timedelta(seconds=10 * context.random.random())
    held = {"until": (context.clock.now() + wait).isoformat(), "seconds": wait.total_seconds()}
    state.put({KEY: {**held, "streak": streak, "reason": error.message}})
    return RateLimited(error.message, retry_after=wait)


def release(state: State) -> None:
    """A write went through."""
    if state.get(KEY):
        state.put({KEY: None})
