"""The Jinja environment of expressions and templates: sandboxed, strict, without clock or chance.

It differs from plain Jinja where a shop's data would trip it: an empty value (None) is never the word "None", keys of
mappings win over methods, and filters that give several values give lists.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

#: Jinja's own that depend on chance or write Python's idea of a value.
_LEFT_OUT_FILTERS = ("random", "pprint", "xmlattr", "urlize")
_LEFT_OUT_GLOBALS = ("lipsum", "cycler", "joiner")
TEXT_FILTER = "_text"


class _NoneIsEmpty(NodeTransformer):
    """Gives `a ~ b` the text of its parts, empty for None."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802  the visitor's naming
        self.generic_visit(node)
        node.nodes = [nodes.Filter(n, TEXT_FILTER, [], [], None, None, lineno=node.lineno) for n in node.nodes]
        return node


class _Generator(CodeGenerator):
    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802
        super().visit_Template(_NoneIsEmpty().visit(node), frame)


class Environment(ImmutableSandboxedEnvironment):
    """Expressions see entities, texts, numbers and lists, and can change none of them."""

    code_generator_class = _Generator

    def getattr(self, obj: Any, attribute: str) -> Any:
        """On mappings keys win: `customer.meta.items` is the key `items` where there is one."""
        if hasattr(obj, "__attrs_attrs__") and not attribute.startswith("_"):
            # The usual case by far: a frozen record, of which all that is public may be seen.
            try:
                return getattr(obj, attribute)
            except AttributeError:
                return self.undefined(obj=obj, name=attribute)
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Names with an underscore in front stay closed, and so do modules' and functions' insides."""
        return not attr.startswith("_") and super().is_safe_attribute(obj, attr, value)


def text(value: Any) -> Any:
    """What stands in a text for a value: nothing for None."""
    return "" if value is None else value


def make_environment(filters: Mapping[str, Callable[..., Any]]) -> Environment:
    """An environment with these filters over Jinja's own."""
    environment = Environment(undefined=StrictUndefined, autoescape=False, finalize=text, cache_size=0)
    for name in _LEFT_OUT_FILTERS:
        environment.filters.pop(name, None)
    for name in _LEFT_OUT_GLOBALS:
        environment.globals.pop(name, None)
    environment.filters.update(filters)
    environment.filters[TEXT_FILTER] = text
    return environment
