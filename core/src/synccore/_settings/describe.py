"""Settings in words: for `plugins show`, the documentation and the sample file."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import attrs
from attrs import frozen

from .._plain import Plain
from ..config import Schedule, format_duration
from ..secrets import Secret
from ..values import json_number
from .structure import UNIONS, attributes, type_text

if TYPE_CHECKING:
    import tomlkit

__all__ = ["SettingHelp", "describe_config"]


@frozen
class SettingHelp(Plain):
    """One setting of a configuration class.

    Attributes:
        name: the key; keys of a table below are dotted.
        default_text: the default as it would stand in the file; "" where there is none to write.
        required: whether it must be written.
    """

    name: str
    type_text: str
    default_text: str
    help: str
    secret: bool
    required: bool = False


def describe_config(cls: type) -> list[SettingHelp]:
    """The settings of a plugin's configuration class, in its order; required ones are not moved."""
    return list(_describe(cls, ""))


def _describe(cls: type, prefix: str) -> Iterator[SettingHelp]:
    for field in attributes(cls):
        if not field.init:
            continue
        name = prefix + (field.alias or field.name)
        inner = required_type(field.type)
        if isinstance(inner, type) and attrs.has(inner) and inner is not Schedule:
            yield from _describe(inner, f"{name}.")
            continue
        default = default_of(field)
        yield SettingHelp(
            name=name,
            type_text=type_text(field.type),
            default_text="" if default is attrs.NOTHING or default is None else toml_text(default),
            help=str(field.metadata.get("help", "")),
            secret=inner is Secret,
            required=default is attrs.NOTHING,
        )


def required_type(kind: Any) -> Any:
    """The type without its `| None`."""
    if get_origin(kind) in UNIONS:
        members = [a for a in get_args(kind) if a is not type(None)]
        return members[0] if len(members) == 1 else kind
    return kind


def default_of(field: Any) -> Any:
    """The default value, or attrs.NOTHING."""
    default = field.default
    if not hasattr(default, "takes_self"):  # attrs.Factory is a function to type checkers
        return default
    return None if default.takes_self else default.factory()


def toml_value(value: Any) -> Any:
    """A setting's value as the plain TOML value it is written as."""
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Schedule):
        return value.text
    if isinstance(value, Secret | Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): toml_value(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [toml_value(v) for v in value]
    if isinstance(value, Decimal):
        return json_number(value)
    return value if isinstance(value, str | bool | int | float) else str(value)


def toml_item(value: Any) -> "tomlkit.items.Item":
    """A setting's value as an item of a TOML file, tables on one line."""
    import tomlkit

    plain = toml_value(value)
    if isinstance(plain, dict):
        table = tomlkit.inline_table()
        table.update(plain)
        return table
    item: tomlkit.items.Item = tomlkit.item(plain)
    return item


def toml_text(value: Any) -> str:
    """A setting's value as it stands in the file."""
    return str(toml_item(value).as_string())
