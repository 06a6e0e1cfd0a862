"""From TOML values to typed settings: strict, and every mistake at once with its path.

What is done is chosen by type, and is strict: nothing is coerced, and problems are noted instead of stopping at the
first. What is of none of the documented types is left to cattrs.
"""

import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import attrs

from .._contained import contained
from ..config import Problem, Schedule, parse_duration, suggest
from ..errors import ConfigError
from ..secrets import Secret
from .references import SecretResolver, Unfit

T = TypeVar("T")
#: Stands for a value that could not be read; its problem is noted.
INVALID: Any = object()
#: Origins of `A | B`.
UNIONS = (types.UnionType, typing.Union)
_LISTS = (tuple, list, frozenset, set, Sequence)


class Structurer:
    """Reads the values of one file. `problems` and `warnings` grow with what is read."""

    def __init__(self, base: Path, secrets: SecretResolver) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        #: What could not be read for a secret that whoever only looks does not have.
        self.unread: list[Problem] = []
        self.base = base
        self._secrets = secrets
        self._path: list[str] = []
        self._exact: Mapping[Any, Callable[[Any], Any]] = {
            str: _text,
            bool: _bool,
            int: _int,
            float: lambda v: float(_number(v)),
            Decimal: lambda v: Decimal(repr(_number(v))),
            timedelta: _duration,
            Schedule: _schedule,
            Path: self._file,
            Secret: self._secret,
            Any: constant,
            object: constant,
        }

    @property
    def path(self) -> str:
        """Where in the file it is, dotted."""
        return ".".join(self._path)

    def problem(self, message: str, *below: str) -> Any:
        """Note a mistake here, or below; gives INVALID."""
        self.problems.append(Problem(".".join((*self._path, *below)), message))
        return INVALID

    def warning(self, message: str, *below: str) -> None:
        """Note what should be changed."""
        self.warnings.append(Problem(".".join((*self._path, *below)), message))

    @contextmanager
    def at(self, *keys: str) -> Iterator[None]:
        """Go down in the file."""
        self._path.extend(keys)
        try:
            yield
        finally:
            del self._path[len(self._path) - len(keys) :]

    def read(self, value: Any, kind: Any) -> Any:
        """The value as `kind`, or INVALID with its problems noted."""
        try:
            return self._structure(value, kind)
        except ConfigError as error:
            return self.problem(error.message, *((error.path,) if error.path else ()))
        except ValueError as error:
            return self.problem(str(error))

    def read_table(self, table: Any, cls: type[T], *, extra: Sequence[str] = (), go_on: bool = False) -> T:
        """An attrs class from a table, or INVALID. Keys in `extra` are known and left to the caller.

        With `go_on` what is wrong is left at its default, so that the rest can be looked at too; its problem is noted.
        """
        if not isinstance(table, Mapping):
            return typing.cast("T", self.problem(f"is a table, not {_shown(table)}"))
        fields = {f.alias or f.name: f for f in attributes(cls) if f.init}
        known = [*fields, *extra]
        values: dict[str, Any] = {}
        for key in table:
            if key not in known:
                self.problem(f"unknown key{suggest(key, known)}", key)
        for key, field in fields.items():
            with self.at(key):
                if key in table:
                    values[key] = self.read(table[key], field.type or Any)
                    if go_on and values[key] is INVALID and field.default is not attrs.NOTHING:
                        del values[key]
                elif field.default is attrs.NOTHING:
                    values[key] = self.problem(f"is required ({_help(field)})" if _help(field) else "is required")
        if any(value is INVALID for value in values.values()):
            return typing.cast("T", INVALID)
        return self._build(cls, fields, values)

    # -- attrs classes

    def _build(self, cls: type[T], fields: Mapping[str, Any], values: dict[str, Any]) -> T:
        """An instance; what validators say is noted at the field they belong to."""
        try:
            with contained():
                return cls(**values)
        except Exception as error:  # noqa: BLE001  validators are plugins' code
            failure = error
        try:
            with attrs.validators.disabled(), contained():
                instance = cls(**values)
        except Exception as error:  # noqa: BLE001  __attrs_post_init__ speaks about the table as a whole
            return typing.cast("T", self._refused(error))
        before = len(self.problems)
        for key, field in fields.items():
            if field.validator is None:
                continue
            try:
                with contained():
                    field.validator(instance, field, getattr(instance, field.name))
            except Exception as error:  # noqa: BLE001  as above
                with self.at(key):
                    self._refused(error)
        return typing.cast("T", INVALID if len(self.problems) > before else self._refused(failure))

    def _refused(self, error: Exception) -> Any:
        if isinstance(error, ConfigError):
            return self.problem(error.message, *((error.path,) if error.path else ()))
        # attrs' own validators carry the attribute and the value behind the message.
        return self.problem(str(error.args[0]) if error.args else type(error).__name__)

    # -- by type

    def _structure(self, value: Any, kind: Any) -> Any:
        if exact := self._exact.get(kind):
            return exact(value)
        origin = get_origin(kind) or kind
        if origin is Literal:
            return _literal(value, kind)
        if origin in UNIONS:
            return self._union(value, kind)
        if origin in _LISTS:
            return self._list(value, kind)
        if origin in (dict, Mapping):
            return self._mapping(value, kind)
        if isinstance(kind, type) and attrs.has(kind):
            return self.read_table(value, kind)
        return self._by_cattrs(value, kind)

    def _by_cattrs(self, value: Any, kind: Any) -> Any:
        from cattrs import Converter  # a hundredth of a second, for types that plugins hardly ever use
        from cattrs.errors import StructureHandlerNotFoundError

        converter = Converter(detailed_validation=False)
        converter.register_structure_hook_func(lambda inner: inner is not kind, self._structure)
        for plain in (str, bool, int, float):  # of these it has an idea of its own, which coerces
            converter.register_structure_hook(plain, self._structure)
        try:
            return converter.structure(value, kind)
        except StructureHandlerNotFoundError:
            return self.problem(f"the plugin declares a setting of type {type_text(kind)}, which cannot be written")

    def _secret(self, value: Any) -> Secret:
        if isinstance(value, str):
            if not value:
                raise Unfit("is empty")
            self.warning(
                'is written in the file; keep it outside: { env = "NAME" }, { file = "PATH" } or { secret = "NAME" }'
            )
            return Secret(value)
        return self._secrets.resolve(value, self.base, self.path)

    def _file(self, value: Any) -> Path:
        return self.base / Path(_text(value)).expanduser()

    def _union(self, value: Any, kind: Any) -> Any:
        members = [m for m in get_args(kind) if m is not type(None)]
        optional = len(members) < len(get_args(kind))
        if optional and value is False and bool not in members:
            return None
        if len(members) == 1:
            return self.read(value, members[0])
        problems, warnings = len(self.problems), len(self.warnings)
        for member in members:
            found = self.read(value, member)
            if found is not INVALID:
                return found
            del self.problems[problems:], self.warnings[warnings:]
        raise Unfit(f"is {_shown(value)}; accepted: {type_text(kind)}")

    def _list(self, value: Any, kind: Any) -> Any:
        if not isinstance(value, list):
            hint = f": write [{_shown(value)}]" if isinstance(value, str | int | float) else ""
            raise Unfit(f"is a list, not {_shown(value)}{hint}")
        item = next((a for a in get_args(kind) if a is not Ellipsis), Any)
        items = []
        for index, element in enumerate(value):
            with self.at(str(index)):
                items.append(self.read(element, item))
        if any(i is INVALID for i in items):
            return INVALID
        origin = get_origin(kind) or kind
        return origin(items) if origin in (list, set, frozenset) else tuple(items)

    def _mapping(self, value: Any, kind: Any) -> Any:
        if not isinstance(value, Mapping):
            raise Unfit(f"is a table, not {_shown(value)}")
        item = (get_args(kind) or (str, Any))[1]
        items = {}
        for key, element in value.items():
            with self.at(key):
                items[key] = self.read(element, item)
        return INVALID if any(i is INVALID for i in items.values()) else items


# -- single values ---------------------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unfit(f"is text, not {_shown(value)}: write it in quotes")
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unfit(f"is true or false, not {_shown(value)}")
    return value


def _int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unfit(f"is a whole number, not {_shown(value)}")
    return value


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unfit(f"is a number, not {_shown(value)}")
    return value


def _duration(value: Any) -> timedelta:
    if isinstance(value, str):
        return parse_duration(value)
    raise Unfit(f'is a duration, not {_shown(value)}; write for instance "30s", "5m", "24h" or "90d"')


def _schedule(value: Any) -> Schedule:
    if isinstance(value, str):
        return Schedule(value)
    raise Unfit(f'is a duration or cron text, not {_shown(value)}; write for instance "5m" or "*/5 * * * *"')


def _literal(value: Any, kind: Any) -> Any:
    choices = get_args(kind)
    if any(type(value) is type(c) and value == c for c in choices):
        return value
    hint = suggest(value, [c for c in choices if isinstance(c, str)]) if isinstance(value, str) else ""
    raise Unfit(f"is {_shown(value)}; accepted: {', '.join(map(str, choices))}{hint}")


def constant(value: Any) -> Any:
    """A TOML value as it stands, where fields can hold it. Raises Unfit."""
    if isinstance(value, float) and not math.isfinite(value):
        raise Unfit("is no finite number")
    if isinstance(value, datetime) and value.tzinfo is None:
        raise Unfit("is a time without time zone: add Z or an offset such as +01:00")
    if isinstance(value, time):
        raise Unfit("is a time of day: write it as text")
    if isinstance(value, list):
        return [constant(v) for v in value]
    if isinstance(value, Mapping):
        return {k: constant(v) for k, v in value.items()}
    return value


def _shown(value: Any) -> str:
    """A value as it stands in the file; tables and lists by kind, since they may hold what should not be shown."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 60 else "a long text"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)


def attributes(cls: Any) -> "tuple[attrs.Attribute[Any], ...]":
    """The fields of an attrs class with their types resolved."""
    found: tuple[attrs.Attribute[Any], ...] = attrs.fields(attrs.resolve_types(cls))
    return found


def _help(field: Any) -> str:
    return str(field.metadata.get("help", ""))


_WORDS: Mapping[Any, str] = {
    str: "text",
    bool: "true or false",
    int: "whole number",
    float: "number",
    Decimal: "number",
    timedelta: "duration",
    Schedule: "duration or cron text",
    Path: "file",
    Secret: "secret",
    Any: "anything",
}


def type_text(kind: Any) -> str:
    """A type in the words of the documentation."""
    if kind in _WORDS:
        return _WORDS[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin in UNIONS:
        return " or ".join(type_text(a) for a in arguments if a is not type(None))
    if origin in _LISTS:
        return f"list of {type_text(arguments[0])}"
    if origin in (dict, Mapping):
        return f"table of {type_text(arguments[1])}"
    if isinstance(kind, type) and attrs.has(kind):
        return "table"
    return getattr(kind, "__name__", str(kind))
