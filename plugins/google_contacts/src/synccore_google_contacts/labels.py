"""Labels (contact groups): found by our marker, then by name, else made."""

from typing import Any

from synccore.errors import ConfigError, Rejected
from synccore.types import State

from .client import Client
from .errors import NameTaken

MY_CONTACTS = "contactGroups/myContacts"
#: `clientData` key on a label we use; its value is the name in the configuration, so that a label the owner renamed
#: is still found.
MARKER = "synccore.label"
USER_GROUP = "USER_CONTACT_GROUP"


class Labels:
    """Resource names of labels, remembered in the account's state."""

    def __init__(self, people: Client, state: State) -> None:
        self._people = people
        self._state = state

    def named(self, name: str) -> str | None:
        """The resource name of the label, made where there is none; None for no name."""
        if not name:
            return None
        known = self._state.get(f"label:{name}")
        if known:
            return str(known)
        group = self._find(name) or self._make(name)
        self._state.put({f"label:{name}": group["resourceName"]})
        return str(group["resourceName"])

    def forget(self, name: str) -> None:
        """Google does not know it any more: look again the next time."""
        self._state.put({f"label:{name}": None})

    def exists(self, resource_name: str) -> bool:
        """Whether Google still has it."""
        return any(g.get("resourceName") == resource_name for g in self._people.groups())

    def _find(self, name: str) -> dict[str, Any] | None:
        groups = [g for g in self._people.groups() if not (g.get("metadata") or {}).get("deleted")]
        for group in groups:
            if {"key": MARKER, "value": name} in group.get("clientData", ()):
                return group
        return next((g for g in groups if g.get("groupType") == USER_GROUP and g.get("name") == name), None)

    def _make(self, name: str) -> dict[str, Any]:
        try:
            return self._people.create_group(name, [{"key": MARKER, "value": name}])
        except NameTaken as error:
            # Made by another program a moment ago, or spelled with other capitals.
            groups = self._people.groups()
            found = next((g for g in groups if str(g.get("name", "")).casefold() == name.casefold()), None)
            if found is None:
                raise ConfigError(f"Google refuses the label {name!r}: choose another name with label") from error
            return found
        except Rejected as error:
            raise ConfigError(f"Google refuses the label {name!r} ({error.message}): choose another") from error
