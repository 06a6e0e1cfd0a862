"""What a running daemon says of itself, for the commands beside it: which configuration it works with."""

import hashlib
import json
import tomllib
from collections.abc import Mapping, Set
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from attrs import frozen

from .._delivery.trouble import LaneTrouble
from .._plain import Plain
from .._settings import SettingsError, read_file
from ..store import Store
from ..types import Vault

__all__ = ["RUNNING", "Reloaded", "Running", "digest_of"]

#: Prefix of what is kept encrypted here (a configuration may hold secrets), and namespace of the rest.
RUNNING = "synccore:daemon"


@lru_cache(maxsize=2)
def digest_of(text: str) -> str:
    """The same for texts that mean the same: comments and order of keys do not count."""
    try:
        meant = json.dumps(tomllib.loads(text), sort_keys=True, default=str)
    except (ValueError, RecursionError):
        meant = text
    return hashlib.sha256(meant.encode()).hexdigest()


#: Prefix of the key under which each process says what keeps its lanes from working.
_TROUBLES = "troubles:"


def _process(key: str) -> str:
    return key.removeprefix(_TROUBLES).partition("@")[0]


@frozen(kw_only=True)
class Reloaded(Plain):
    """The daemon's answer to a wish to read its configuration again."""

    wish: int
    problems: tuple[tuple[str, str], ...] = ()
    #: What a reload cannot change, for people.
    notes: tuple[str, ...] = ()


class Running:
    """The daemon's page in the store. Of several hosts each has a file of its own: `path`."""

    def __init__(self, store: Store, vault: Vault, path: Path) -> None:
        self._store = store
        self._state = store.state(RUNNING)
        self._vault = vault
        self._me = store.holder.partition("@")[0]
        host = self._me.rpartition(":")[0]
        self._place = f":{host}:{path.resolve()}" if host else ""

    # -- the daemon's side

    def began(self, text: str, now: datetime) -> None:
        """A daemon works with this configuration from now on."""
        self._vault.put("text" + self._place, text)
        alive = self._alive()
        gone = {key: None for key, _ in self._state.scan(_TROUBLES) if _process(key) not in alive}
        own = {_TROUBLES + self._store.holder: None}
        file = {"digest": digest_of(text), "since": now.isoformat(), "by": self._me}
        self._state.put({**gone, **own, "file" + self._place: file})

    def troubled(self, troubles: Mapping[str, LaneTrouble]) -> None:
        """Say what keeps lanes of this process from working; nothing, where all work."""
        told = {name: {"since": one.since.isoformat(), "text": one.text} for name, one in troubles.items()}
        self._state.put({_TROUBLES + self._store.holder: told or None})

    def answered(self, reloaded: Reloaded) -> None:
        """Tell whoever wished for it."""
        answer = {"wish": reloaded.wish, "problems": reloaded.problems, "notes": list(reloaded.notes)}
        self._state.put({"answer": answer, "answer" + self._place: answer})

    # -- the commands' side

    def _here(self) -> Mapping[str, str] | None:
        """What a daemon that runs said of this file; None where there is none."""
        known: Mapping[str, str] | None = self._state.get("file" + self._place)
        return known if known and known["by"] in self._alive() else None

    def troubles(self) -> dict[str, LaneTrouble]:
        """Lane -> what keeps it from working in a daemon that runs."""
        if not self._store.daemon_running():
            return {}
        alive = self._alive()
        return {
            name: LaneTrouble(since=datetime.fromisoformat(one["since"]), text=one["text"])
            for key, told in self._state.scan(_TROUBLES)
            if _process(key) in alive
            for name, one in told.items()
        }

    def _alive(self) -> Set[str]:
        """Names of the daemons that run; of an engine that knows one at most, the only name is empty."""
        return {"", *(daemon.name for daemon in self._store.daemons())}

    @property
    def text(self) -> str | None:
        """The configuration it works with. Raises ConfigError where the key is missing."""
        return self._vault.get("text" + self._place)

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
        """What came of a wish, here rather than on another host; None: nothing yet."""
        found: Mapping[str, Any] = self._state.get("answer" + (self._place if self._here() else "")) or {}
        if found.get("wish", 0) < wish:
            return None
        problems = tuple((str(path), str(message)) for path, message in found.get("problems", ()))
        return Reloaded(wish=found["wish"], problems=problems, notes=tuple(found.get("notes", ())))

    def behind(self, path: Path) -> str | None:
        """A sentence where a daemon runs and the file says something else than what it works with."""
        if (known := self._here()) is None or not self._store.daemon_running():
            return None
        try:
            text = read_file(path)
        except SettingsError as error:
            return f"the running daemon works with what it read before: {error.problems[0]}"
        if digest_of(text) == known["digest"]:
            return None
        since = known["since"][:16].replace("T", " ")
        return (
            f"{path.name} is another one than the running daemon works with (since {since} UTC): "
            "synccore reload makes it read the file"
        )
