"""The mapper of `mapper = "jinja"`, which is every route's unless it says otherwise.

A string is an expression whose result keeps its type; a string with `{{` or `{%` is a template that gives text; any
other value is a constant.
"""

import re
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import attrs
from jinja2 import TemplateError, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError, TemplateRuntimeError, UndefinedError

from .._plain import Plain
from ..config import ConfigProblems, Problem
from ..errors import MappingError
from ..hookspecs import Mapper, MapperType
from ..types import MapContext, RouteSpec, Skip, Snapshot
from .bounds import LONGEST_SOURCE
from .environment import Environment, hopeless, make_environment
from .late import OWN, are_late, late
from .names import find_unknown
from .scope import absent, scope, visible
from .together import Field, is_template, together
from .values import ValueFault, plain

Names = dict[str, Any]
Filters = Mapping[str, Callable[..., Any]]
_NONE: Filters = {}
_WHEN = "when"


class JinjaMapper:
    """A route's compiled fields."""

    def __init__(self, route: RouteSpec, environment: Environment) -> None:
        self._route = route
        self._problems: list[Problem] = []
        self._environment = environment
        self._globals = environment.globals
        self._meter = environment.meter
        names = visible(route)
        self._absent = absent(route)
        self._when = self._read_when(names)
        self._fields = {
            name: self._read(f"fields.{name}", value, names, absent(route) if name in route.defaulted else {})
            for name, value in route.fields.items()
        }
        self._stop_at_problems()
        self._together = self._compile(names)
        self._stop_at_problems()

    def map(self, snapshot: Snapshot, context: MapContext, own: Filters = _NONE) -> Mapping[str, Any] | Skip:
        """The fields' values, empty ones as None or "", with a sink's own filters. Raises MappingError."""
        try:
            names = scope(snapshot, context, self._absent)
            names[OWN] = own
        except Exception as error:  # noqa: BLE001  the cause may hold the record's values
            raise self._error("", "", f"the record does not hold together ({type(error).__name__})") from None
        if self._when is not None and not self._run(_WHEN, self._when, {**self._globals, **names}, truth=True):
            return Skip(f"when: {self._route.when}")
        values = self._all(names)
        if len(values) == len(self._fields):
            return values
        names = {**self._globals, **names}
        return {
            name: values[name]
            if name in values
            else self._run(name, field, names)
            if isinstance(field, Field)
            else plain(field)
            for name, field in self._fields.items()
        }

    # -- compiling

    def _read_when(self, names: Names) -> Field | None:
        when = self._route.when
        if when is None:
            return None
        if is_template(when):
            self._problem(_WHEN, "is an expression: write it without {{ }}")
            return None
        return self._read_text(_WHEN, when, names, {})

    def _read(self, path: str, value: Any, names: Names, absent_names: Names) -> Any:
        """What stands for a text; the constant itself for the rest."""
        if not isinstance(value, str):
            return value
        return None if value == "" else self._read_text(path, value, names, absent_names)

    def _read_text(self, path: str, source: str, names: Names, absent_names: Names) -> Field | None:
        """What is wrong with it is noted. One that may name what is absent is lenient: it then says nothing."""
        if len(source) > LONGEST_SOURCE:
            self._problem(path, f"is longer than {LONGEST_SOURCE:,} characters")
            return None
        field = Field(self._environment, source)
        with self._noting(path, source):
            tree = field.parse()
            parts = list(tree.find_all(nodes.Node))
            named = field.named(tree, parts)
            field.lenient = not absent_names.keys().isdisjoint(named)
            for message in [*find_unknown(parts, named, {**absent_names, **names}), *hopeless(tree, self._environment)]:
                self._problem(path, message)
        return field

    def _compile(self, kinds: Names) -> Callable[[Names], dict[str, Any]]:
        """All fields as one but for the lenient ones; what is wrong with which is noted."""
        fields = {name: field for name, field in self._fields.items() if isinstance(field, Field)}
        strict = {name: field for name, field in fields.items() if not field.lenient}
        alone = {f"fields.{name}": field for name, field in fields.items() if field.lenient}
        if self._when is not None:
            alone[_WHEN] = self._when
        evaluate: Callable[[Names], dict[str, Any]]
        try:
            evaluate = together(self._environment, strict, kinds)
        except Exception:  # noqa: BLE001  whatever it is, each alone tells whose
            alone |= {f"fields.{name}": field for name, field in strict.items()}
            evaluate = dict  # each may work, and not all at once: they are evaluated one by one
        for path, field in alone.items():
            with self._noting(path, field.source):
                field.compile()
        return evaluate

    @contextmanager
    def _noting(self, path: str, source: str) -> Iterator[None]:
        try:
            yield
        except TemplateError as error:
            self._problem(path, _syntax(source, error))
        except (RecursionError, MemoryError, SyntaxError):
            self._problem(path, "is nested too deeply")
        except (ValueError, OverflowError):
            self._problem(path, "holds a number that is too large")

    def _stop_at_problems(self) -> None:
        if self._problems:
            raise ConfigProblems(self._problems)

    def _problem(self, path: str, message: str) -> None:
        self._problems.append(Problem(f"routes.{self._route.name}.{path}", message))

    # -- running

    def _all(self, names: Names) -> Mapping[str, Any]:
        """What is evaluated together; nothing where one of it fails: each alone then shows which one, and why."""
        self._meter.start()
        try:
            return self._together(names)
        except Exception:  # noqa: BLE001  it is raised again where it is known whose it is
            return {}

    def _run(self, name: str, field: Field, names: Names, *, truth: bool = False) -> Any:
        self._meter.start()
        try:
            value = field.evaluate(names)
            return bool(value) if truth else plain(value)
        except Exception as error:  # noqa: BLE001  whatever the record's data set off, it is this field's
            if field.lenient:
                return None
            # Without the cause: it may hold the record's values.
            raise self._error(name, field.source, _reason(error, field.source)) from None

    def _error(self, field: str, expression: str, reason: str) -> MappingError:
        where = ".".join(p for p in ("routes", self._route.name, "" if field == _WHEN else "fields", field) if p)
        return MappingError(
            f"{where}: {reason}, in: {expression}", route=self._route.name, field=field, expression=expression
        )


def _syntax(source: str, error: TemplateError) -> str:
    message = (error.message or "").rstrip(".")
    if isinstance(error, TemplateSyntaxError) and message.startswith("No filter named"):
        return message[0].lower() + message[1:]
    if is_template(source):
        return f"is no template: {message}"
    return f"is no expression: {message}; a fixed text has quotes inside, \"'like this'\""


_MISSING = re.compile(r"(?:attribute '(\w+)'|^'(\w+)' is undefined)")


def _reason(error: Exception, expression: str) -> str:
    """What went wrong in words that hold none of the record's values."""
    if isinstance(error, ValueFault):
        return str(error)
    if isinstance(error, UndefinedError):
        found = _MISSING.search(error.message or "")
        name = found[1] or found[2] if found else ""
        name = name if name in expression else ""
        empty = (error.message or "").startswith("'None' has no")
        if name and empty:
            return f"what {name!r} is asked of is empty"
        return f"there is no {name!r}" if name else "something it names is not there"
    if isinstance(error, SecurityError):
        return "it reaches for something that is closed to expressions"
    if isinstance(error, ZeroDivisionError):
        return "it divides by zero"
    if isinstance(error, RecursionError | MemoryError):
        return "it calls itself too often, or the record is nested too deeply"
    if isinstance(error, TypeError):
        return "a value is of the wrong kind, or empty (TypeError)"
    if isinstance(error, TemplateRuntimeError):
        return "it cannot be worked out"
    return f"it failed with {type(error).__name__}"


@attrs.frozen
class _Written(Plain):
    """A route, equal to one that is written alike."""

    words: str
    route: RouteSpec = attrs.field(eq=False)


@lru_cache(maxsize=128)
def _compiled(written: _Written, filters: frozenset[tuple[str, Callable[..., Any]]]) -> JinjaMapper:
    """Compiled once a process: a configuration is read, looked over and worked with, and read again at each reload."""
    return JinjaMapper(written.route, make_environment(dict(filters)))


@attrs.frozen
class _WithOwn(Plain):
    """What is compiled for all, with the filters of one sink."""

    _mapper: JinjaMapper
    _own: Filters

    def map(self, snapshot: Snapshot, context: MapContext) -> Mapping[str, Any] | Skip:
        """As `JinjaMapper.map`."""
        return self._mapper.map(snapshot, context, self._own)


def _open(route: RouteSpec, filters: Filters) -> Mapper:
    own = filters.maps[0] if isinstance(filters, ChainMap) else _NONE
    written = _Written(repr(route), route)
    if not own or not are_late(own):
        return _compiled(written, frozenset(filters.items()))
    return _WithOwn(_compiled(written, frozenset({**filters, **{name: late(name) for name in own}}.items())), own)


MAPPER = MapperType(name="jinja", summary="Jinja expressions and templates", open=_open)
