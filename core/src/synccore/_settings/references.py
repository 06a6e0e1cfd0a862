"""Secrets that the configuration names and does not hold."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ..config import suggest
from ..errors import ConfigError
from ..secrets import Secret


class SecretMissing(ConfigError):
    """A secret that whoever looks does not have; it says nothing about whoever delivers."""


class Unfit(ValueError):
    """A value in the file that is not what belongs there; the message goes on after the path."""


_SCHEMES = ("env", "file", "secret")
StoredSecret = Callable[[str], str | None]


class SecretHooks(Protocol):
    """What resolving needs of the plugins."""

    @property
    def has_secret_schemes(self) -> bool: ...

    def secret(self, reference: Mapping[str, str]) -> str | None: ...


class SecretResolver:
    """Turns `{ env = "NAME" }` and its like into secrets.

    The environment and files are read at once, so that what is missing is a problem of the configuration; the
    encrypted store and plugins are asked on first use. With `later` nothing is missed before it is used: who only
    looks needs none of them.
    """

    def __init__(
        self, environ: Mapping[str, str], stored: StoredSecret, plugins: SecretHooks, *, later: bool = False
    ) -> None:
        self._later = later
        self._environ = environ
        self._stored = stored
        self._plugins = plugins

    def resolve(self, reference: Any, base: Path, path: str) -> Secret:
        """The secret behind a reference. Raises Unfit."""
        if not isinstance(reference, Mapping) or len(reference) != 1:
            raise Unfit('is a secret: write { env = "NAME" }, { file = "PATH" } or { secret = "NAME" }')
        scheme, name = next(iter(reference.items()))
        if not isinstance(name, str) or not name:
            raise Unfit(f"{scheme} needs a text in quotes")
        try:
            return self._resolve(scheme, name, base, path)
        except Unfit as missing:
            if not self._later:
                raise
            return Secret(_told_when_used(str(missing), path), origin=f"{scheme} {name}")

    def _resolve(self, scheme: str, name: str, base: Path, path: str) -> Secret:
        if scheme == "env":
            return self._from_environment(name)
        if scheme == "file":
            return _from_file(base / self._expanded(name))
        if scheme == "secret":
            return Secret(lambda: self._from_store(name, path), origin=f"secret {name}")
        if not self._plugins.has_secret_schemes:
            raise Unfit(
                f"nothing resolves {{ {scheme} = ... }}{suggest(scheme, _SCHEMES)} (known: {', '.join(_SCHEMES)})"
            )
        return self._from_plugin({scheme: name}, scheme, name, path)

    def _expanded(self, name: str) -> Path:
        """Where a file is: systemd tells each unit in a variable where its credentials are."""
        variable, _, rest = name.partition("/")
        if variable.startswith("$") and rest:
            return Path(self._from_environment(variable.removeprefix("$")).reveal(), rest)
        return Path(name).expanduser()

    def _from_environment(self, name: str) -> Secret:
        value = self._environ.get(name)
        if not value:
            state = "is not set" if value is None else "is empty"
            raise Unfit(f"the environment variable {name} {state}")
        return Secret(value, origin=f"env {name}")

    def _from_store(self, name: str, path: str) -> str:
        value = self._stored(name)
        if value is None:
            raise ConfigError(f"secret {name} is not stored: run synccore secret set {name}", path=path)
        return value

    def _from_plugin(self, reference: Mapping[str, str], scheme: str, name: str, path: str) -> Secret:
        known: list[str] = []

        def fetch() -> str:
            if not known:
                value = self._plugins.secret(reference)
                if value is None:
                    raise ConfigError(f"no plugin resolves {{ {scheme} = ... }}", path=path)
                known.append(value)
            return known[0]

        return Secret(fetch, origin=f"{scheme} {name}")


def _told_when_used(reason: str, path: str) -> Callable[[], str]:
    def missing() -> str:
        raise SecretMissing(reason, path=path)

    return missing


def _from_file(file: Path) -> Secret:
    try:
        value = file.read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise Unfit(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Unfit(f"{file} is no UTF-8 text") from None
    if not value:
        raise Unfit(f"{file} is empty")
    return Secret(value, origin=f"file {file}")
