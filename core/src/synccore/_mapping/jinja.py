"""The mapper of `mapper = "jinja"`, which is every route's unless it says otherwise.

A string is an expression whose result keeps its type; a string with `{{` or `{%` is a template that gives text; any
other value is a constant.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError
from jinja2.exceptions import SecurityError, TemplateRuntimeError, UndefinedError
from jinja2.meta import find_undeclared_variables

from ..config import ConfigProblems, Problem
from ..errors import MappingError
from ..hookspecs import Mapper, MapperType
from ..types import MapContext, RouteSpec, Skip, Snapshot
from .bounds import LONGEST_SOURCE
from .environment import Environment, hopeless, make_environment
from .names import find_unknown
from .scope import absent, scope, visible
from .together import evaluator, is_template, together
from .values import ValueFault, plain

Names = dict[str, Any]
_WHEN = "when"


class JinjaMapper:
    """A route's compiled fields."""

    def __init__(self, route: RouteSpec, environment: Environment) -> None:
        self._route = route
        self._problems: list[Problem] = []
        self._globals = environment.globals
        self._meter = environment.meter
        names = visible(route)
        self._absent = absent(route)
        #: Fields whose failing is no failure: they are evaluated alone.
        self._lenient: set[str] = set()
        self._when = self._compile_when(environment, names)
        self._fields = {
            name: self._default(environment, names, name, value)
            if name in route.defaulted
            else self._compile(environment, names, f"fields.{name}", value)
            for name, value in route.fields.items()
        }
        if self._problems:
            raise ConfigProblems(self._problems)
        strict = (name for name, value in self._fields.items() if callable(value) and name not in self._lenient)
        self._together = together(environment, {name: route.fields[name] for name in strict})

    def map(self, snapshot: Snapshot, context: MapContext) -> Mapping[str, Any] | Skip:
        """The fields' values, empty ones as None or "". Raises MappingError."""
        try:
            # Made once and shared by all fields, Jinja's own names among them: it would copy them for each.
            names = {**self._globals, **scope(snapshot, context)}
        except Exception as error:  # noqa: BLE001  the cause may hold the record's values
            raise self._error("", "", f"the record does not hold together ({type(error).__name__})") from None
        if self._when is not None and not self._run(_WHEN, str(self._route.when), self._when, names, truth=True):
            return Skip(f"when: {self._route.when}")
        values = self._all(names)
        return {
            name: values[name]
            if name in values
            else self._run(name, self._route.fields[name], value, names)
            if callable(value)
            else plain(value)
            for name, value in self._fields.items()
        }

    # -- compiling

    def _default(self, environment: Environment, names: Names, name: str, value: Any) -> Any:
        """A field as the sink maps it: where it needs what the route does not include, it says nothing."""
        compiled = self._compile(environment, {**self._absent, **names}, f"fields.{name}", value)
        if not callable(compiled):
            return compiled
        tree = environment.parse(value if is_template(value) else "{{ " + value + " }}")
        if not find_undeclared_variables(tree) & self._absent.keys():
            return compiled
        self._lenient.add(name)

        def evaluate(visible_names: Names) -> Any:
            try:
                return plain(compiled(visible_names))
            except Exception:  # noqa: BLE001  it was written for what is not included
                return None

        return evaluate

    def _compile_when(self, environment: Environment, names: Names) -> Callable[[Names], Any] | None:
        when = self._route.when
        if when is None:
            return None
        if is_template(when):
            self._problem(_WHEN, "is an expression: write it without {{ }}")
            return None
        return self._expression(environment, names, _WHEN, when)

    def _compile(self, environment: Environment, names: Names, path: str, value: Any) -> Any:
        """A function of the visible names for strings; the constant itself for the rest."""
        if not isinstance(value, str):
            return value
        if value == "":
            return None
        if is_template(value):
            return self._template(environment, names, path, value)
        return self._expression(environment, names, path, value)

    def _expression(
        self, environment: Environment, names: Names, path: str, source: str
    ) -> Callable[[Names], Any] | None:
        # The same text as a template has the same names, and gives them as a tree.
        compiled = self._compiled(
            environment, names, path, source, "{{ " + source + " }}", partial(_expression, environment)
        )
        if compiled is None:
            return None
        evaluate = evaluator(environment, compiled._template)  # noqa: SLF001  calling `compiled` copies all names
        return lambda visible_names: evaluate(visible_names)["result"]

    def _template(
        self, environment: Environment, names: Names, path: str, source: str
    ) -> Callable[[Names], Any] | None:
        compiled = self._compiled(environment, names, path, source, source, environment.from_string)
        if compiled is None:
            return None
        return lambda visible_names: environment.concat(
            compiled.root_render_func(compiled.new_context(visible_names, shared=True))
        )

    def _compiled(
        self,
        environment: Environment,
        names: Names,
        path: str,
        source: str,
        template: str,
        compile_: Callable[[str], Any],
    ) -> Any:
        """What Jinja makes of it; None where something is wrong with it, which is noted."""
        if len(source) > LONGEST_SOURCE:
            self._problem(path, f"is longer than {LONGEST_SOURCE:,} characters")
            return None
        try:
            compiled = compile_(source)
            messages = [*find_unknown(environment.parse(template), names)]
            messages += hopeless(environment.parse(template), environment)
        except TemplateError as error:
            self._problem(path, _syntax(source, error))
            return None
        except (RecursionError, MemoryError, SyntaxError):
            self._problem(path, "is nested too deeply")
            return None
        except (ValueError, OverflowError):
            self._problem(path, "holds a number that is too large")
            return None
        for message in messages:
            self._problem(path, message)
        return compiled

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

    def _run(
        self, field: str, expression: str, function: Callable[[Names], Any], names: Names, *, truth: bool = False
    ) -> Any:
        self._meter.start()
        try:
            value = function(names)
            return bool(value) if truth else plain(value)
        except Exception as error:  # noqa: BLE001  whatever the record's data set off, it is this field's
            # Without the cause: it may hold the record's values.
            raise self._error(field, expression, _reason(error, expression)) from None

    def _error(self, field: str, expression: str, reason: str) -> MappingError:
        where = ".".join(p for p in ("routes", self._route.name, "" if field == _WHEN else "fields", field) if p)
        return MappingError(
            f"{where}: {reason}, in: {expression}", route=self._route.name, field=field, expression=expression
        )


def _expression(environment: Environment, source: str) -> Any:
    return environment.compile_expression(source, undefined_to_none=False)


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


def _open(route: RouteSpec, filters: Mapping[str, Callable[..., Any]]) -> Mapper:
    return JinjaMapper(route, make_environment(filters))


MAPPER = MapperType(name="jinja", summary="Jinja expressions and templates", open=_open)
