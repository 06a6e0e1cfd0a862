"""What the web endpoint needs from the daemon."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

from ..oauth import Browser
from ..types import Account, Clock, WebhookRequest
from .metrics import Metrics

if TYPE_CHECKING:
    from .._plugins import Plugins
    from .._settings import Settings
    from .._store.base import Store

__all__ = ["InstanceView", "WebServices"]


@frozen(kw_only=True)
class InstanceView:
    """An instance of a source or sink, as the dashboard shows it."""

    #: The open plugin instance; None where it could not be opened.
    plugin: Any = None
    #: Why it could not be opened.
    error: str | None = None
    #: Whom it is connected to, as far as that is known without asking.
    account: Account | None = None


class WebServices(Protocol):
    """The daemon, seen from its web endpoint. All methods may be called from any thread."""

    @property
    def settings(self) -> "Settings":
        """The configuration."""
        ...

    @property
    def plugins(self) -> "Plugins":
        """The loaded plugins."""
        ...

    @property
    def store(self) -> "Store":
        """The outbox, only read here."""
        ...

    @property
    def clock(self) -> Clock:
        """The time."""
        ...

    @property
    def metrics(self) -> Metrics:
        """The counters."""
        ...

    def not_ready(self) -> str | None:
        """None while the daemon works; else why it does not (starting, stopping)."""
        ...

    def receive(self, source: str, request: WebhookRequest) -> None:
        """Take a webhook in; everything it says is committed when this returns.

        Raises SignatureError (answered 401), anything else is answered 500. `source` is a configured one.
        """
        ...

    def status(self) -> Mapping[str, Any]:
        """The document of `synccore status --json`."""
        ...

    def calls(self, name: str) -> int:
        """HTTP calls made by an instance so far."""
        ...

    def instance(self, name: str) -> InstanceView:
        """A configured instance."""
        ...

    def connect(self, name: str, browser: Browser) -> Account:
        """Connect an instance and remember the account. Blocks until the person came back from the vendor's screen.

        Raises AuthError, ConfigError, Transient.
        """
        ...
