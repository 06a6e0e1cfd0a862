"""Secrets: a masked type everywhere, and encryption at rest.

Keys come, in this order, from the environment variable SYNCCORE_KEY, from a file beside the database (mode 0600, made
on first use), so that a stolen database file alone opens nothing.
"""

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from .errors import ConfigError

__all__ = ["Cipher", "Secret", "load_key"]

KEY_VARIABLE = "SYNCCORE_KEY"


class Secret:
    """A value that never shows itself: `str`, `repr` and templates give ****; only `reveal()` gives the text.

    The text may be fetched late (encrypted store), so `reveal` raises ConfigError where there is none.
    """

    __slots__ = ("_fetch", "origin", "shown")

    def __init__(self, value: str | Callable[[], str], origin: str = "plain") -> None:
        self._fetch: Callable[[], str] = (lambda: value) if isinstance(value, str) else value
        #: Where it comes from, for `check`: plain, "env NAME", "file PATH", "secret NAME".
        self.origin = origin
        #: The text once it was revealed: core keeps it out of whatever the other side says.
        self.shown: str | None = None

    def reveal(self) -> str:
        """The secret's text. Raises ConfigError naming where it should have come from."""
        self.shown = self._fetch()
        return self.shown

    def __repr__(self) -> str:
        return "Secret(****)"

    def __str__(self) -> str:
        return "****"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.reveal() == other.reveal()

    __hash__ = None  # type: ignore[assignment]


class Cipher:
    """Encrypts texts with one key (Fernet: AES-128-CBC with HMAC-SHA256)."""

    def __init__(self, key: bytes) -> None:
        from cryptography.fernet import Fernet, InvalidToken  # dear to import, and most commands open no secret

        self._invalid = InvalidToken
        try:
            self._fernet = Fernet(key)
        except ValueError as error:
            raise ConfigError(
                f"the encryption key is not valid: {KEY_VARIABLE} and the key file hold 32 bytes in url-safe base64",
                path="synccore.database",
            ) from error

    def encrypt(self, text: str) -> str:
        """The text, encrypted and authenticated."""
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, token: str) -> str:
        """The text again. Raises ConfigError where the key is not the one it was encrypted with."""
        try:
            return self._fernet.decrypt(token.encode()).decode()
        except self._invalid as error:
            raise ConfigError(
                "a stored secret does not open with this key: restore the key file, or connect again",
                path="synccore.database",
            ) from error


def load_key(key_file: Path, *, create: bool = True) -> bytes:
    """The key from SYNCCORE_KEY, else from `key_file`, which is made (0600) where it is missing and `create` is set.

    Raises ConfigError for a key file that is missing, cannot be read, or can be read by others.
    """
    if value := os.environ.get(KEY_VARIABLE):
        return value.encode()
    try:
        if create and not key_file.exists():
            _make_key(key_file)
        mode = stat.S_IMODE(key_file.stat().st_mode)
        if mode & 0o077:
            raise ConfigError(f"{key_file} can be read by others: run chmod 600 {key_file}", path="synccore.database")
        return key_file.read_bytes().strip()
    except FileNotFoundError:
        raise ConfigError(
            f"the key file {key_file} is missing, and what it encrypted cannot be opened: put it back from your "
            f"backup (or set {KEY_VARIABLE}), or connect again and set the stored secrets again",
            path="synccore.database",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"the key file {key_file} cannot be used: {error.strerror or error}", path="synccore.database"
        ) from error


def _make_key(key_file: Path) -> None:
    """All of it or nothing, whoever else makes one at the same time."""
    from cryptography.fernet import Fernet

    descriptor, name = tempfile.mkstemp(prefix=f".{key_file.name}.", dir=key_file.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, key_file)
    finally:
        Path(name).unlink()
