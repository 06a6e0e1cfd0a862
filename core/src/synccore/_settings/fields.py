"""The values of `[routes.NAME.fields]`.

Name = "customer.name"                              an expression or template
Active = true                                       a constant; so are numbers, dates, lists and other tables
Name = { value = "customer.name", truncate = true } a value with options
Name = { keep_existing = true }                     options for the field of the sink's default mapping
Name = ""                                           no such field: drops it from the default mapping
"""

from collections.abc import Mapping
from typing import Any

import attrs
from attrs import frozen

from ..config import suggest
from ..types import FieldOptions
from .structure import INVALID, Structurer, constant

_OPTIONS = tuple(a.name for a in attrs.fields(FieldOptions))
_KEYS = ("value", *_OPTIONS)
#: Stands for a value that is not written.
_ABSENT: Any = object()


@frozen
class Field:
    """A field's value as written, and its options."""

    value: Any
    options: FieldOptions = attrs.field(factory=FieldOptions)


def read_field(reader: Structurer, name: str, written: Any) -> Field:
    """One entry of the table; mistakes are noted with the reader."""
    with reader.at(name):
        if isinstance(written, Mapping) and any(k in _KEYS for k in written):
            return _with_options(reader, written)
        return Field(_constant(reader, written))


def _with_options(reader: Structurer, written: Mapping[str, Any]) -> Field:
    for key in written:
        if key not in _KEYS:
            reader.problem(
                f"unknown key{suggest(key, _KEYS)} (a table as the value itself is written {{ value = {{ ... }} }})",
                key,
            )
    options: dict[str, bool] = {}
    for key in _OPTIONS:
        if key in written:
            with reader.at(key):
                value = reader.read(written[key], bool)
                options[key] = value if value is not INVALID else False
    if "value" not in written:
        return Field(_ABSENT, FieldOptions(**options))
    with reader.at("value"):
        return Field(_constant(reader, written["value"]), FieldOptions(**options))


def _constant(reader: Structurer, written: Any) -> Any:
    try:
        return constant(written)
    except ValueError as error:
        reader.problem(str(error))
        return None


def merge(reader: Structurer, defaults: Mapping[str, Field], own: Mapping[str, Field]) -> dict[str, Field]:
    """The default mapping with the route's own fields over it."""
    merged = dict(defaults)
    for name, field in own.items():
        if field.value is not _ABSENT:
            merged[name] = field
        elif name in defaults:
            options = {n: getattr(field.options, n) or getattr(defaults[name].options, n) for n in _OPTIONS}
            merged[name] = Field(defaults[name].value, FieldOptions(**options))
        else:
            reader.problem("has options and no value, and the default mapping has no such field", name)
    return {n: f for n, f in merged.items() if f.value is not _ABSENT and not _dropped(f)}


def _dropped(field: Field) -> bool:
    """ "" sends nothing, unless the field is to be emptied at the target."""
    return field.value == "" and not field.options.clear
