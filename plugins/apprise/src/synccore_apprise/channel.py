"""`type = "apprise"`: one notice, one message at every address."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import frozen

from synccore.config import option
from synccore.errors import ConfigError, Transient, redact
from synccore.hookspecs import AlertType
from synccore.secrets import Secret
from synccore.types import Context, Notice

__all__ = ["APPRISE", "AppriseChannel", "AppriseConfig"]


@contextmanager
def _heard_here_alone() -> Iterator[None]:
    """What Apprise says of an address shows the address: it must not reach the log of the process."""
    log = logging.getLogger("apprise")
    before, log.propagate = log.propagate, False
    try:
        yield
    finally:
        log.propagate = before


@frozen(kw_only=True)
class AppriseConfig:
    """`type = "apprise"`."""

    url: Secret = option(
        help="where to: one or several addresses as Apprise writes them (ntfy://topic, tgram://TOKEN/CHAT), with commas"
    )


class AppriseChannel:
    """Hands each notice to Apprise."""

    def __init__(self, config: AppriseConfig, context: Context) -> None:
        import apprise  # a fifth of a second that only who uses it pays

        self._urls = config.url
        self._apprise = apprise.Apprise()
        with _heard_here_alone(), apprise.LogCapture(level=logging.WARNING):  # type: ignore[no-untyped-call]
            if not self._apprise.add(config.url.reveal()):
                raise ConfigError("url: Apprise does not know such an address: https://github.com/caronc/apprise/wiki")

    def send(self, notice: Notice) -> None:
        """Raises Transient where one of the addresses could not be reached."""
        import apprise

        kind = apprise.NotifyType.WARNING if notice.troubles else apprise.NotifyType.SUCCESS
        with (
            _heard_here_alone(),
            apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as said,  # type: ignore[no-untyped-call]
        ):
            sent = self._apprise.notify(
                title=notice.subject, body=notice.text, notify_type=kind, body_format=apprise.NotifyFormat.TEXT
            )
            words = " ".join(said.getvalue().split())
        if not sent:
            raise Transient(redact(f"Apprise could not send it: {words}", 300, secrets=[self._urls.reveal()]))


APPRISE = AlertType(
    name="apprise",
    summary="Slack, Telegram, Matrix, ntfy, Pushover and what else Apprise knows.",
    config=AppriseConfig,
    open=AppriseChannel,
)
