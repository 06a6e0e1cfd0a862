"""All fields of a route as one template, so that a record's names are looked up once and not for each field."""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Template, TemplateSyntaxError, nodes
from jinja2.parser import Parser

from .environment import Environment
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


def together(environment: Environment, fields: Mapping[str, Field]) -> Callable[[Names], dict[str, Any]]:
    """One function for many fields: field -> plain value.

    It raises where one of them would: which one it was, its own function tells. Fields that cannot be put together
    are not among the answers; they are compiled alone. Raises what Jinja raises for a text that means nothing.
    """
    body: list[nodes.Node] = []
    variables: dict[str, str] = {}
    for name, field in fields.items():
        variable = f"_{len(variables)}"  # no expression can name it: what it names is checked
        if (assignment := field.assignment(variable)) is None:
            field.compile()
        else:
            body.append(assignment)
            variables[variable] = name
    # Jinja takes a tree where its annotation says text.
    evaluate = _evaluator(environment, environment.from_string(nodes.Template(body, lineno=1)))

    def values(names: Names) -> dict[str, Any]:
        found = evaluate(names)
        return {
            name: value if type(value := found[variable]) is str else plain(value)
            for variable, name in variables.items()
        }

    return values
