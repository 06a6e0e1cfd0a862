"""What a running daemon says of itself, for the commands beside it: which configuration it works with."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import frozen

from .._settings import SettingsError, read_file
from ..store import Store
from ..types import Vault

__all__ = ["RUNNING", "Reloaded", "Running", "digest_of"]

#: Prefix of what is kept encrypted here (a configuration may hold secrets), and namespace of the rest.
RUNNING = "synccore:daemon"


def digest_of(text: str) -> str:
    """The same for texts that mean the same: comments and order of keys do not count."""
    try:
        meant = json.dumps(tomllib.loads(text), sort_keys=True, default=str)
    except (ValueError, RecursionError):
        meant = text
    return hashlib.sha256(meant.encode()).hexdigest()


@frozen(kw_only=True)
class Reloaded:
    """The daemon's answer to a wish to read its configuration again."""

    wish: int
    problems: tuple[tuple[str, str], ...] = ()
    #: What a reload cannot change, for people.
    notes: tuple[str, ...] = ()


class Running:
    """The daemon's page in the store."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._state = store.state(RUNNING)
        self._vault = vault

    # -- the daemon's side

    def began(self, path: Path, text: str, now: datetime) -> None:
        """A daemon works with this configuration from now on."""
        self._vault.put("text", text)
        self._state.put({"digest": digest_of(text), "path": str(path), "since": now.isoformat()})

    def answered(self, reloaded: Reloaded) -> None:
        """Tell whoever wished for it."""
        self._state.put(
            {"answer": {"wish": reloaded.wish, "problems": reloaded.problems, "notes": list(reloaded.notes)}}
        )

    # -- the commands' side

    @property
    def text(self) -> str | None:
        """The configuration it works with. Raises ConfigError where the key is missing."""
        return self._vault.get("text")

    @property
    def wish(self) -> int:
        """The number of the last wish to read the configuration again."""
        return int(self._state.get("wish") or 0)

    def ask(self) -> int:
        """Wish that it reads its configuration again; the wish's number."""
        wish = self.wish + 1
        self._state.put({"wish": wish})
        return wish

    def answer(self, wish: int) -> Reloaded | None:
        """What came of a wish; None: nothing yet."""
        found: Mapping[str, Any] = self._state.get("answer") or {}
        if found.get("wish", 0) < wish:
            return None
        problems = tuple((str(path), str(message)) for path, message in found.get("problems", ()))
        return Reloaded(wish=found["wish"], problems=problems, notes=tuple(found.get("notes", ())))

    def behind(self, path: Path) -> str | None:
        """A sentence where a daemon runs and the file says something else than what it works with."""
        digest = self._state.get("digest")
        if digest is None or not self._store.daemon_running():
            return None
        try:
            text = read_file(path)
        except SettingsError as error:
            return f"the running daemon works with what it read before: {error.problems[0]}"
        if digest_of(text) == digest:
            return None
        since = str(self._state.get("since"))[:16].replace("T", " ")
        return (
            f"{path.name} is another one than the running daemon works with (since {since} UTC): "
            "synccore reload makes it read the file"
        )
