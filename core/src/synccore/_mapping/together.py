"""All fields of a route as one template, so that a record's names are looked up once and not for each field."""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Template, nodes

from .environment import Environment
from .values import plain

__all__ = ["evaluator", "is_template", "together"]

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


def evaluator(environment: Environment, template: Template) -> Callable[[Names], dict[str, Any]]:
    """Runs a template over visible names for what it assigns."""
    render = template.root_render_func

    def evaluate(names: Names) -> dict[str, Any]:
        # Jinja's own `new_context` copies all names, or the keys of all globals: here they are among the names.
        context = environment.context_class(environment, names, None, {})
        for _ in render(context):
            pass
        return context.vars

    return evaluate


def together(environment: Environment, sources: Mapping[str, str]) -> Callable[[Names], dict[str, Any]]:
    """One function for many fields, each an expression or template that compiles: field -> plain value.

    It raises where one of them would: which one it was, its own function tells. Fields that cannot be put together
    are not among the answers.
    """
    body: list[nodes.Node] = []
    fields: dict[str, str] = {}
    for name, source in sources.items():
        variable = f"_{len(fields)}"  # no expression can name it: what it names is checked
        if (assignment := _assignment(environment, variable, source)) is not None:
            body.append(assignment)
            fields[variable] = name
    # Jinja takes a tree where its annotation says text.
    template = environment.from_string(nodes.Template(body, lineno=1))
    evaluate = evaluator(environment, template)

    def values(names: Names) -> dict[str, Any]:
        found = evaluate(names)
        return {name: plain(found[variable]) for variable, name in fields.items()}

    return values


def _assignment(environment: Environment, variable: str, source: str) -> nodes.Node | None:
    target = nodes.Name(variable, "store")
    if not is_template(source):
        (output,) = environment.parse("{{ " + source + " }}").body
        assert isinstance(output, nodes.Output)  # noqa: S101  the text has been compiled as an expression before
        return nodes.Assign(target, output.nodes[0], lineno=1)
    tree = environment.parse(source)
    if next(tree.find_all(_ITS_OWN_WORLD), None) is not None:
        return None
    return nodes.AssignBlock(target, None, tree.body, lineno=1)
