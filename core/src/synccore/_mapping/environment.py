"""The Jinja environment of expressions and templates: sandboxed, strict, without clock or chance.

It differs from plain Jinja where a shop's data would trip it: an empty value (None) is never the word "None", keys of
mappings win over methods, and filters that give several values give lists.
"""

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from types import CodeType
from typing import Any

from attrs import has
from jinja2 import StrictUndefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.sandbox import MAX_RANGE, ImmutableSandboxedEnvironment, safe_range
from jinja2.visitor import NodeTransformer

from .bounds import CALL_STEPS, Meter, bounded, bounded_call, bounded_filters, bounded_join, operate
from .values import ValueFault

#: Jinja's own that depend on chance or write Python's idea of a value.
_LEFT_OUT_FILTERS = ("random", "pprint", "xmlattr", "urlize")
_LEFT_OUT_GLOBALS = ("lipsum", "cycler", "joiner")
TEXT_FILTER, BOUNDED_FILTER, COUNTED_FILTER = "_text", "_bounded", "_counted"


class _Ours(NodeTransformer):
    """Gives `a ~ b` the text of its parts, empty for None and not too long, and counts the turns of loops."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802  the visitor's naming
        self.generic_visit(node)
        node.nodes = [_filtered(n, TEXT_FILTER) for n in node.nodes]
        return _filtered(node, BOUNDED_FILTER)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  the visitor's naming
        self.generic_visit(node)
        node.iter = _filtered(node.iter, COUNTED_FILTER)
        return node


def _filtered(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class _Generator(CodeGenerator):
    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802
        super().visit_Template(_Ours().visit(node), frame)


@cache
def public(kind: type) -> frozenset[str]:
    """What may be seen of a frozen record, which is what expressions look at by far the most: all that is public."""
    return frozenset(n for n in dir(kind) if not n.startswith("_")) if has(kind) else frozenset()


@lru_cache(maxsize=1024)
def _code(source: str, filename: str) -> CodeType:
    """A route of a sink with filters of its own is compiled twice, when the configuration is read and when it works."""
    return compile(source, filename, "exec")


class Environment(ImmutableSandboxedEnvironment):
    """Expressions see entities, texts, numbers and lists, and can change none of them."""

    code_generator_class = _Generator
    intercepted_binops = frozenset({"+", "*", "**", "%"})
    concat = staticmethod(bounded_join)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.meter = Meter()

    def _compile(self, source: str, filename: str) -> CodeType:
        """From the text that Jinja writes; where it differs, so does the text."""
        return _code(source, filename)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Operators that could grow are asked first."""
        return operate(operator, left, right, self.binop_table[operator])

    def call(self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """So are methods, and a call takes as long as some turns of a loop."""
        self.meter.step(CALL_STEPS)
        bounded_call(__obj, args)
        return bounded(super().call(__context, __obj, *args, **kwargs))

    def getattr(self, obj: Any, attribute: str) -> Any:
        """On mappings keys win: `customer.meta.items` is the key `items` where there is one."""
        if attribute in public(obj.__class__):
            return getattr(obj, attribute)
        if type(obj) is dict or isinstance(obj, Mapping):
            if attribute in obj:
                return obj[attribute]
            if not hasattr(obj, attribute):
                return self.undefined(obj=obj, name=attribute)
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
    environment.filters = bounded_filters(environment.filters)
    environment.filters[TEXT_FILTER] = text
    environment.filters[BOUNDED_FILTER] = bounded
    environment.filters[COUNTED_FILTER] = environment.meter.counted
    environment.globals["range"] = _range
    return environment


def _range(*arguments: int) -> range:
    """Whole numbers in a row, at most a hundred thousand."""
    try:
        found = safe_range(*arguments)
    except OverflowError:
        raise ValueFault(f"a range would have more than {MAX_RANGE:,} numbers") from None
    return found


class _Constants(NodeTransformer):
    """Works out what has no name in it, so that what can never work is a mistake of the configuration."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.faults: list[str] = []

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        """Inner parts first."""
        super().generic_visit(node, *args, **kwargs)
        try:
            match node:
                case nodes.BinExpr(left=nodes.Const(value=left), right=nodes.Const(value=right)):
                    return nodes.Const(self._environment.call_binop(None, node.operator, left, right))
                case nodes.Filter(node=nodes.Const(value=value), args=args_) if not node.kwargs and _constant(args_):
                    found = self._environment.filters[node.name]
                    if not hasattr(found, "jinja_pass_arg"):
                        return nodes.Const(found(value, *_values(args_)))
                case nodes.Call(node=nodes.Getattr(node=nodes.Const(value=owner), attr=name), args=args_):
                    if _constant(args_):
                        method, values = self._environment.getattr(owner, name), _values(args_)
                        bounded_call(method, tuple(values))
                case nodes.Call(node=nodes.Name(name="range"), args=args_) if _constant(args_):
                    _range(*_values(args_))
                case nodes.List(items=items) | nodes.Tuple(items=items) if _constant(items):
                    values = _values(items)
                    return nodes.Const(values if isinstance(node, nodes.List) else tuple(values))
        except ValueFault as fault:
            self.faults.append(str(fault))
        except Exception:  # noqa: BLE001  what else is wrong with it is told when it runs
            return node
        return node


def _constant(found: Any) -> bool:
    return all(isinstance(n, nodes.Const) for n in found)


def _values(found: Any) -> list[Any]:
    return [n.value for n in found]


def hopeless(tree: nodes.Template, environment: Environment) -> list[str]:
    """Why parts of an expression that need no record would be refused whatever the record is. Changes the tree."""
    constants = _Constants(environment)
    constants.visit(tree)
    return constants.faults
