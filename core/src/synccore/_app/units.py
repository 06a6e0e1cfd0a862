"""A configured instance, opened or not, with the reason."""

import json
import re
import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, cast

from attrs import define, evolve, field, fields, has

from .._contained import contained
from .._settings import InstanceSettings
from .._settings.references import SecretMissing
from ..errors import ConfigError
from ..hookspecs import SinkType, SourceType
from ..secrets import Secret
from ..types import Limits, Log, ObjectType
from .context import InstanceContext
from .discreet import Discreet

__all__ = ["FAILED", "SinkUnit", "SourceUnit", "Unit", "lane_name"]


#: Prefix of a source's marks that say how often, and why, the listing of an entity failed.
FAILED = "failed:"
#: How long a plugin may take to release what it holds, before it is left alone.
CLOSE_WITHIN = timedelta(seconds=5)
_SEPARATORS = re.compile(r"[\s\"',:{}\\]++")
#: Shorter parts of a document of secrets are its words.
_SHORTEST = 12


def lane_name(source: str) -> str:
    """Under which name a source's state is kept beside the lanes'."""
    return f"source:{source}"


@define
class Unit:
    """One configured instance. `instance` is None where it could not be opened, `error` then says why."""

    name: str
    settings: InstanceSettings
    context: InstanceContext
    instance: Any = None
    error: str | None = None
    #: It was not opened because a secret is not here, where somebody only looks: nothing is wrong with it.
    unasked: bool = False
    #: It was not opened because the outbox was not, which is no fault of its own.
    no_outbox: ConfigError | None = None
    #: What each secret is made of: they are asked for with every answer of the instance.
    _parted: dict[str, tuple[str, ...]] = field(factory=dict, init=False, repr=False, eq=False)

    def open(self) -> None:
        """Open the instance, anew where it was open."""
        self.instance, self.error, self.unasked, self.no_outbox = None, None, False, None
        try:
            with contained():
                opened = self.settings.descriptor.open(self.settings.config, self.context)
            kinds = getattr(opened, "objects", None) or getattr(self.settings.descriptor, "objects", None) or ()
            self.instance = Discreet(opened, self.secrets, {o.name: o.sayable for o in kinds if o.sayable})
        except SecretMissing as error:
            self.error, self.unasked = error.message, True
        except ConfigError as error:
            self.error = error.message
            self.no_outbox = error if error.path == "synccore.database" else None
        except Exception as error:  # noqa: BLE001  one broken plugin never stops the others
            from .._delivery.policy import describe_bug

            self.error = describe_bug(error)

    def close(self, log: Log) -> None:
        """Let the instance release what it holds."""
        if self.instance is None:
            return
        # In a thread, since a plugin may wait for ever; whatever it holds ends with the process then.
        closing = threading.Thread(target=_close, args=(self.name, self.instance, log), daemon=True)
        closing.start()
        closing.join(CLOSE_WITHIN.total_seconds())
        if closing.is_alive():
            log.warning("close did not end", instance=self.name, after=str(CLOSE_WITHIN))
        self.instance = None

    def secrets(self) -> Iterator[str]:
        """The texts of every secret this process has read for the instance so far."""
        config = self.settings.config
        values = (getattr(config, a.name) for a in (fields(type(config)) if has(type(config)) else ()))
        read = [value.shown for value in values if isinstance(value, Secret) and value.shown]
        read += getattr(self.context.vault, "shown", {}).values()
        # Nothing is kept of one that is no longer there.
        self._parted = parted = {text: self._parted.get(text) or tuple(_parts(text)) for text in read}
        for parts in parted.values():
            yield from parts


def _close(name: str, instance: Any, log: Log) -> None:
    try:
        instance.close()
    except Exception as error:  # noqa: BLE001  the others still close
        log.warning("close failed", instance=name, error=type(error).__name__)


def _parts(secret: str) -> Iterator[str]:
    """A secret as a whole, and the lines or values of one that is a document (a PEM key, a bundle of tokens).

    The names in a bundle are none: `access_token` stands in the names of many a vendor's errors.
    """
    yield secret
    values = _values(secret) if secret.startswith("{") else [secret]
    for part in (part for value in values for part in _SEPARATORS.split(value)):
        if len(part) >= _SHORTEST and part != secret:
            yield part


def _values(document: str) -> list[str]:
    try:
        bundle = json.loads(document)
    except (ValueError, RecursionError):
        return [document]
    return [v if isinstance(v, str) else json.dumps(v) for v in bundle.values()]


class SourceUnit(Unit):
    """A `[sources.NAME]`."""

    @property
    def known_entities(self) -> tuple[str, ...]:
        """What this type of source can report."""
        return cast("SourceType", self.settings.descriptor).entities


class SinkUnit(Unit):
    """A `[sinks.NAME]`."""

    @property
    def limits(self) -> Limits:
        """The instance's limits, where it states some, else the type's."""
        limits: Limits = getattr(self.instance, "limits", None) or self._type.limits
        linger = self.settings.linger
        return limits if linger is None else evolve(limits, linger=linger)

    @property
    def objects(self) -> Sequence[ObjectType]:
        """What can be written, with the defaults that depend on the configuration."""
        objects: Sequence[ObjectType] = getattr(self.instance, "objects", None) or self._type.objects
        return objects

    @property
    def leaves(self) -> Sequence[str]:
        """What it can do to records of any object that a route lets go of."""
        leaves: Sequence[str] = getattr(self.instance, "leaves", None) or self._type.leaves
        return leaves

    @property
    def spares(self) -> bool:
        """Whether its author has thought of records that are shared or were there before us (`Link.ours`)."""
        return any(set(leaves) - {"keep"} for leaves in (self.leaves, *(o.leaves for o in self.objects)))

    @property
    def _type(self) -> SinkType:
        return cast("SinkType", self.settings.descriptor)
