"""`synccore disconnect`: end the grant, remove the webhooks, wipe every stored credential."""

from collections.abc import Callable

from attrs import evolve, frozen

from .._app.app import App
from .._plain import Plain
from ..errors import SynccoreError, redact
from ..oauth import credentials_lock
from ..store import StoreError
from .parts.waits import remedy
from .parts.words import plural

__all__ = ["Disconnected", "disconnect", "hold", "scrub"]


@frozen(kw_only=True)
class Disconnected(Plain):
    """What a disconnect did, and what could not be done (and has to be done at the vendor by hand)."""

    name: str
    done: tuple[str, ...]
    failed: tuple[str, ...]


def disconnect(app: App, name: str, *, keep_grant: bool = False) -> Disconnected:
    """Disconnect a source or sink. Whatever fails at the vendor, nothing stays stored here.

    Webhooks go first: removing them needs the credentials. The lane is held until the next connect.
    Raises ConfigError where nothing has that name.
    """
    unit = app.unit(name)
    stored = len(app.store.secret_names(f"{name}/"))
    done: list[str] = []
    failed: list[str] = []

    def attempt(what: str, call: Callable[[], str | None]) -> None:
        try:
            said = call()
        except Exception as error:  # noqa: BLE001  credentials are wiped whatever happens
            text = error.message if isinstance(error, SynccoreError) else redact(f"{type(error).__name__}: {error}")
            failed.append(f"{what}: {text}")
        else:
            if said:
                done.append(said)

    hold(app, name)
    instance = unit.instance
    if instance is None:
        failed.append(f"the vendor was not asked to end the grant: {unit.error}")
    else:
        if name in app.sources:
            attempt("the webhooks could not be removed (delete them there by hand)", instance.unsubscribe)
        ending = getattr(instance, "disconnect", None)
        if callable(ending):
            attempt("the grant could not be ended", lambda: str(ending(keep_grant=keep_grant) or ""))
    with credentials_lock(unit.context):
        app.vault(name).wipe()
    failed += scrub(app)
    done.append(f"{plural(stored, 'stored credential')} erased" if stored else "nothing was stored")
    return Disconnected(name=name, done=tuple(done), failed=tuple(failed))


def scrub(app: App) -> list[str]:
    """Leave nothing of what was erased in the files; what kept that from being done, as a sentence."""
    try:
        app.store.scrub()
    except StoreError as error:
        return [error.message]
    return []


def hold(app: App, name: str) -> None:
    """Let nothing go to it before the next connect."""
    lane = app.lane_of(name)
    reason = f"disconnected: run {remedy('needs_auth', name)}"
    app.store.put_lane(evolve(lane, state="needs_auth", reason=reason, until=None, changed_at=app.clock.now()))
