"""All fields of a route as one function, so that a record's names are looked up once and not for each field."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from jinja2 import Template, TemplateAssertionError, TemplateSyntaxError, nodes
from jinja2.meta import find_undeclared_variables
from jinja2.parser import Parser

from .environment import Environment
from .straight import straight
from .values import plain

__all__ = ["Field", "is_template", "together"]

Names = dict[str, Any]
#: What a template may bring about beyond its own text, or may hold but once.
_ITS_OWN_WORLD = (
    nodes.Block,
    nodes.CallBlock,
    nodes.Extends,
    nodes.FromImport,
    nodes.Import,
    nodes.Include,
    nodes.Macro,
)


def is_template(value: str) -> bool:
    """Whether a string is a template, not an expression."""
    return "{{" in value or "{%" in value


class Field:
    """The text of one field (or of `when`): an expression, whose value keeps its type, or a template."""

    def __init__(self, environment: Environment, source: str) -> None:
        self._environment = environment
        self._evaluate: Callable[[Names], Any] | None = None
        self.source = source
        #: Its failing is no failure: it says nothing then.
        self.lenient = False

    def parse(self) -> nodes.Template:
        """Its tree, anew each time: who works with one changes it. Raises jinja2.TemplateSyntaxError."""
        if is_template(self.source):
            return self._environment.parse(self.source)
        tree = nodes.Template([nodes.Output([self._parse_expression()], lineno=1)], lineno=1)
        tree.set_environment(self._environment)
        return tree

    def named(self, tree: nodes.Template, parts: Sequence[nodes.Node]) -> AbstractSet[str]:
        """What its tree, of these parts, names and does not set itself.

        Raises jinja2.TemplateSyntaxError for a filter or a test that there is not.
        """
        if is_template(self.source) or any(isinstance(part, nodes.CondExpr) for part in parts):
            return find_undeclared_variables(tree)
        # Other expressions set nothing and ask for all they name: no need to write a program to find that out.
        known = {nodes.Filter: self._environment.filters, nodes.Test: self._environment.tests}
        for part in parts:
            if isinstance(part, nodes.Filter | nodes.Test) and part.name not in known[type(part)]:
                raise TemplateAssertionError(f"No {type(part).__name__.lower()} named {part.name!r}.", part.lineno)
        return {part.name for part in parts if isinstance(part, nodes.Name)} - self._environment.globals.keys()

    def plainly(self) -> nodes.Node | None:
        """Its tree where it is an expression, or texts and expressions one after the other; None for more than that."""
        if not is_template(self.source):
            return self._parse_expression()
        match self.parse().body:
            case [nodes.Output() as output]:
                return output
        return None

    def _parse_expression(self) -> nodes.Expr:
        parser = Parser(self._environment, self.source, state="variable")
        expression = parser.parse_expression()
        if not parser.stream.eos:
            raise TemplateSyntaxError("chunk after expression", parser.stream.current.lineno)
        return expression

    def assignment(self, variable: str) -> nodes.Node | None:
        """What gives a variable its value among those of other fields; None where it cannot stand among them."""
        target = nodes.Name(variable, "store")
        if not is_template(self.source):
            return nodes.Assign(target, self._parse_expression(), lineno=1)
        tree = self.parse()
        if next(tree.find_all(_ITS_OWN_WORLD), None) is not None:
            return None
        return nodes.AssignBlock(target, None, tree.body, lineno=1)

    def compile(self) -> Callable[[Names], Any]:
        """The function of the visible names. Raises what Jinja raises for a text that means nothing."""
        if self._evaluate is None:
            self._evaluate = self._template() if is_template(self.source) else self._expression()
        return self._evaluate

    def evaluate(self, names: Names) -> Any:
        """Its value alone, compiled at first use: mostly fields are evaluated together."""
        return self.compile()(names)

    def _expression(self) -> Callable[[Names], Any]:
        body = nodes.Assign(nodes.Name("result", "store"), self._parse_expression(), lineno=1)
        values = _evaluator(self._environment, self._environment.from_string(nodes.Template([body], lineno=1)))
        return lambda names: values(names)["result"]

    def _template(self) -> Callable[[Names], Any]:
        template = self._environment.from_string(self.source)
        return lambda names: self._environment.concat(
            template.root_render_func(template.new_context(names, shared=True))
        )


def _evaluator(environment: Environment, template: Template) -> Callable[[Names], dict[str, Any]]:
    """Runs a template over visible names for what it assigns."""
    render = template.root_render_func

    def evaluate(names: Names) -> dict[str, Any]:
        # Jinja's own `new_context` copies all names, or the keys of all globals: here they are among the names.
        context = environment.context_class(environment, names, None, {})
        for _ in render(context):
            pass
        return context.vars

    return evaluate


def together(
    environment: Environment, fields: Mapping[str, Field], kinds: Mapping[str, Any]
) -> Callable[[Names], dict[str, Any]]:
    """One function of a record's names (`scope`) for many fields: field -> plain value. `kinds`: see `straight`.

    It raises where one of them would: which one it was, its own function tells. Fields that cannot be put together
    are not among the answers; they are compiled alone. Raises what Jinja raises for a text that means nothing.
    """
    parsed = {name: tree for name, field in fields.items() if (tree := field.plainly()) is not None}
    plainly, easy = straight(environment, parsed, kinds)
    bent, bent_names = _bent(environment, {name: field for name, field in fields.items() if name not in easy})
    order = [name for name in fields if name in easy or name in bent_names]

    def values(names: Names) -> dict[str, Any]:
        found = plainly(names)
        if bent_names:
            beside = bent(names)
            found = {name: found[name] if name in found else beside[name] for name in order}
        for name, value in found.items():
            if type(value) is not str and value is not None:
                found[name] = plain(value)
        return found

    return values


def _bent(
    environment: Environment, fields: Mapping[str, Field]
) -> tuple[Callable[[Names], dict[str, Any]], frozenset[str]]:
    """Those that need a template, as one: its function, and which of them it gives."""
    body: list[nodes.Node] = []
    variables: dict[str, str] = {}
    for name, field in fields.items():
        variable = f"_{len(variables)}"  # no expression can name it: what it names is checked
        if (assignment := field.assignment(variable)) is None:
            field.compile()
        else:
            body.append(assignment)
            variables[variable] = name
    if not body:
        return dict, frozenset()
    # Jinja takes a tree where its annotation says text.
    evaluate = _evaluator(environment, environment.from_string(nodes.Template(body, lineno=1)))
    its_own = environment.globals

    def values(names: Names) -> dict[str, Any]:
        # Made once and shared by all fields, Jinja's own names among them: it would copy them for each.
        found = evaluate({**its_own, **names})
        return {name: found[variable] for variable, name in variables.items()}

    return values, frozenset(variables.values())
