"""The channels core brings: e-mail, a webhook, a command. Others come by plugin (`synccore_alerts`)."""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from datetime import timedelta
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import frozen

from .._plain import Plain
from ..config import option
from ..errors import ConfigError, Rejected, Transient, redact
from ..hookspecs import AlertType
from ..secrets import Secret
from ..types import Context, Notice
from ..values import timestamp

if TYPE_CHECKING:
    import smtplib

__all__ = ["CHANNELS", "document"]

#: How long sending may take.
DEADLINE = timedelta(seconds=30)


def document(notice: Notice) -> dict[str, Any]:
    """A notice as JSON: what webhooks and commands get."""
    return {
        "subject": notice.subject,
        "text": notice.text,
        "at": timestamp(notice.at),
        "troubles": [
            {"kind": t.kind, "name": t.name, "sentence": t.sentence, "next": t.next, "since": timestamp(t.since)}
            for t in notice.troubles
        ],
        "recovered": [{"kind": t.kind, "name": t.name, "sentence": t.sentence} for t in notice.recovered],
    }


# -- e-mail ----------------------------------------------------------------------------------------------------------


def _mail_server(_: Any, attribute: Any, value: str) -> None:
    url = urlsplit(value)
    if url.scheme not in ("smtp", "smtps") or not url.hostname or url.path.strip("/"):
        raise ConfigError("is smtp://HOST:PORT (STARTTLS) or smtps://HOST:PORT")
    if url.username or url.password:
        raise ConfigError("holds a user name: write `user` and `password`")


@frozen(kw_only=True)
class EmailConfig(Plain):
    """`type = "email"`."""

    to: str | tuple[str, ...] = option(help="who is told")
    sender: str | None = option(default=None, help="who it comes from; synccore@HOST where left out")
    smtp: str = option(
        default="smtp://localhost:25",
        help="the mail server: smtp://HOST:PORT (STARTTLS, unless it is this machine) or smtps://HOST:PORT",
        validator=_mail_server,
    )
    user: str | None = option(default=None, help="user name at the mail server")
    password: Secret | None = option(default=None, help="and its password")


class EmailChannel:
    """Sends one plain message per notice."""

    def __init__(self, config: EmailConfig, context: Context) -> None:
        self._config = config

    def send(self, notice: Notice) -> None:
        """Raises Transient where the server cannot be reached, Rejected where it refuses."""
        import smtplib  # with all of TLS, and channels are named whenever a configuration is read

        url = urlsplit(self._config.smtp)
        try:
            with self._connect(url.scheme, url.hostname or "", url.port) as server:
                if self._config.user is not None and self._config.password is not None:
                    server.login(self._config.user, self._config.password.reveal())
                server.send_message(self._message(notice))
        except smtplib.SMTPResponseException as error:
            raise Rejected(f"{url.hostname} refused the message: {error.smtp_code}") from None
        except smtplib.SMTPRecipientsRefused:
            raise Rejected(f"{url.hostname} refused the address in `to`") from None
        except (OSError, smtplib.SMTPException) as error:
            raise Transient(f"{url.hostname} took no message: {redact(str(error)) or type(error).__name__}") from error

    def _connect(self, scheme: str, host: str, port: int | None) -> "smtplib.SMTP":
        import smtplib
        import ssl

        timeout = DEADLINE.total_seconds()
        if scheme == "smtps":
            return smtplib.SMTP_SSL(host, port or 465, timeout=timeout, context=ssl.create_default_context())
        server = smtplib.SMTP(host, port or 25, timeout=timeout)
        if host not in ("localhost", "127.0.0.1", "::1"):
            try:
                server.starttls(context=ssl.create_default_context())
            except BaseException:
                server.close()
                raise
        return server

    def _message(self, notice: Notice) -> EmailMessage:
        to = self._config.to
        message = EmailMessage()
        message["Subject"] = notice.subject
        message["From"] = self._config.sender or f"synccore@{socket.getfqdn()}"
        message["To"] = to if isinstance(to, str) else ", ".join(to)
        message.set_content(notice.text)
        return message


# -- webhook ---------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class WebhookConfig(Plain):
    """`type = "webhook"`."""

    url: str = option(help="where the notice is posted, as JSON")
    headers: Mapping[str, Secret] = option(factory=dict, help='headers to send: { Authorization = { env = "NAME" } }')


class WebhookChannel:
    """Posts one JSON document per notice."""

    def __init__(self, config: WebhookConfig, context: Context) -> None:
        from ..http import Client

        self._config = config
        self._client = Client(context, timeout=DEADLINE)

    def send(self, notice: Notice) -> None:
        """Raises Transient, Rejected."""
        headers = {name: secret.reveal() for name, secret in self._config.headers.items()}
        answer = self._client.post(self._config.url, json=document(notice), headers=headers)
        if answer.status >= 500 or answer.status in (408, 429):
            raise Transient(f"the webhook answered {answer.status}")
        if not answer.ok:
            raise Rejected(f"the webhook answered {answer.status}")

    def close(self) -> None:
        """Close its connections."""
        self._client.close()


# -- command ---------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class CommandConfig(Plain):
    """`type = "command"`."""

    command: tuple[str, ...] = option(help='program and arguments: ["/usr/local/bin/page", "ops"]; no shell')


class CommandChannel:
    """Runs a program with the notice as JSON on its stdin."""

    def __init__(self, config: CommandConfig, context: Context) -> None:
        if not config.command:
            raise ConfigError("names no program", path="command")
        self._command: Sequence[str] = config.command

    def send(self, notice: Notice) -> None:
        """Raises Rejected where the program fails, Transient where it does not end."""
        import subprocess

        program = self._command[0]
        try:
            done = subprocess.run(  # noqa: S603  what the operator wrote, and no shell
                self._command,
                input=json.dumps(document(notice)),
                text=True,
                capture_output=True,
                timeout=DEADLINE.total_seconds(),
                check=False,
                env={**os.environ, "SYNCCORE_ALERT": notice.subject},
            )
        except subprocess.TimeoutExpired:
            raise Transient(f"{program} did not end within {DEADLINE.total_seconds():.0f} seconds") from None
        except OSError as error:
            raise Rejected(f"{program} cannot be run: {error.strerror}") from None
        if done.returncode:
            raise Rejected(f"{program} ended with {done.returncode}: {redact(done.stderr.strip()[-500:])}")


CHANNELS = (
    AlertType(name="email", summary="A message by e-mail.", config=EmailConfig, open=EmailChannel),
    AlertType(name="webhook", summary="JSON posted to an address.", config=WebhookConfig, open=WebhookChannel),
    AlertType(name="command", summary="A program that is run.", config=CommandConfig, open=CommandChannel),
)
