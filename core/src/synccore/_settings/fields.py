"""The values of `[routes.NAME.fields]`.

Name = "customer.name"                              an expression or template
Active = true                                       a constant; so are numbers, dates, lists and other tables
Name = { value = "customer.name", truncate = true } a value with options
Name = { value = "customer.name", delay = "5m" }    a value whose changes wait for further ones
Name = { keep_existing = true }                     options for the field of the sink's default mapping
Name = ""                                           no such field: drops it from the default mapping
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import attrs
from attrs import frozen

from .._plain import Plain
from ..config import suggest
from ..types import Defaults, FieldOptions
from .structure import INVALID, Structurer, constant

_OPTIONS: Mapping[str, type] = {"truncate": bool, "keep_existing": bool, "clear": bool, "delay": timedelta}
_KEYS = ("value", *_OPTIONS)
#: Stands for a value that is not written.
_ABSENT: Any = object()


@frozen
class Field(Plain):
    """A field's value as written, and the options written with it."""

    value: Any
    written: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def options(self) -> FieldOptions:
        """The options, with the defaults of those that are not written."""
        return FieldOptions(**self.written)


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
    options: dict[str, Any] = {}
    for key, kind in _OPTIONS.items():
        if key in written:
            with reader.at(key):
                value = reader.read(written[key], kind)
                if value is not INVALID:
                    options[key] = value
    if "value" not in written:
        return Field(_ABSENT, options)
    with reader.at("value"):
        return Field(_constant(reader, written["value"]), options)


def default_fields(reader: Structurer, defaults: Defaults) -> dict[str, Field]:
    """The sink's default mapping, with the options it gives its fields."""
    fields = {name: read_field(reader, name, value) for name, value in defaults.fields.items()}
    for name, options in defaults.options.items():
        if name in fields:
            given = {k: v for k, v in attrs.asdict(options).items() if v != getattr(FieldOptions(), k)}
            fields[name] = Field(fields[name].value, {**given, **fields[name].written})
    return fields


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
        base = defaults.get(name)
        if field.value is not _ABSENT:
            # Its own value keeps the sink's own rule for how long this field waits.
            kept = {k: v for k, v in base.written.items() if k == "delay"} if base else {}
            merged[name] = Field(field.value, {**kept, **field.written})
        elif base is not None:
            merged[name] = Field(base.value, {**base.written, **field.written})
        else:
            reader.problem("has options and no value, and the default mapping has no such field", name)
    return {n: f for n, f in merged.items() if f.value is not _ABSENT and not _dropped(f)}


def _dropped(field: Field) -> bool:
    """ "" sends nothing, unless the field is to be emptied at the target."""
    return field.value == "" and not field.options.clear
