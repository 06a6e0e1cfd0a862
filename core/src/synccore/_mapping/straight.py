"""What needs no template: fields that name attributes, give constants or pass both through filters, as plain Python.

Most fields of most routes are such. They give what the template would (`together` compares them in its tests), without
its context and its look at every attribute's owner.
"""

import keyword
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from jinja2 import nodes

from .environment import Environment, public, text
from .filters import NEEDS_ZONE
from .late import LATE

__all__ = ["straight"]

Names = dict[str, Any]


class _Bent(Exception):
    """Part of an expression that only a template can work out."""


def straight(
    environment: Environment, parsed: Mapping[str, nodes.Node], kinds: Mapping[str, Any]
) -> tuple[Callable[[Names], dict[str, Any]], frozenset[str]]:
    """A function of the visible names that gives these fields' values (as they come, not `plain`), and which of the
    fields it gives: expressions, and templates that are texts and expressions one after the other (`nodes.Output`).

    `kinds`: what the names stand for (`scope.visible`): only a guess, that is looked at again for each record.
    """
    writer = _Writer(environment, kinds)
    given = {}
    for name, tree in parsed.items():
        try:
            given[name] = writer.field(tree)
        except _Bent:
            continue
    lines = [*writer.lines, f"return {{{', '.join(f'{name!r}: {value}' for name, value in given.items())}}}"]
    code = "def evaluate(names):\n" + "".join(f"    {line}\n" for line in lines)
    exec(compile(code, "<fields>", "exec"), writer.known)  # noqa: S102  written here, of names that were checked
    return writer.known["evaluate"], frozenset(given)


class _Writer:
    """Writes a function's lines. Every part is worked out once, however many fields begin with it."""

    def __init__(self, environment: Environment, kinds: Mapping[str, Any]) -> None:
        self._environment = environment
        self._kinds = kinds
        #: What the function knows beside the record: classes, filters, constants.
        self.known: dict[str, Any] = {"look": environment.getattr, "join": environment.concat, "said": _said}
        self.lines: list[str] = []
        self._made: dict[tuple[str, ...], tuple[str, Any]] = {}

    def field(self, node: nodes.Node) -> str:
        """What gives its value."""
        if not isinstance(node, nodes.Output):
            return self._value(node)[0]
        pieces = [
            repr(piece.data) if isinstance(piece, nodes.TemplateData) else f"said({self._value(piece)[0]})"
            for piece in node.nodes
        ]
        return f"join([{', '.join(pieces)}])"

    def _value(self, node: nodes.Node | None) -> tuple[str, Any]:
        """The variable, and of what class the value probably is; None where that cannot be told."""
        match node:
            case nodes.Const(value=value) if value is None or isinstance(value, str | bool | int):
                return self._keep(value), None
            case nodes.Name(name=name, ctx="load") if name in self._kinds:
                return self._once(("name", name), f"names[{name!r}]", _class_of(self._kinds[name]))
            case nodes.Getattr(node=owner, attr=name, ctx="load"):
                return self._attribute(*self._value(owner), name)
            case nodes.Filter():
                return self._filtered(node), None
        raise _Bent

    def _attribute(self, owner: str, kind: type | None, name: str) -> tuple[str, Any]:
        look = f"look({owner}, {name!r})"
        if kind is dict:
            text = f"{owner}[{name!r}] if {self._is(owner, kind)} and {name!r} in {owner} else {look}"
            return self._once((owner, name), text, None)
        if kind is None or name not in public(kind):
            return self._once((owner, name), look, None)
        inner = {a.name: a.type for a in attrs.fields(attrs.resolve_types(kind))}.get(name)
        text = f"{owner}.{name} if {self._is(owner, kind)} else {look}"
        return self._once((owner, name), text, _class_of(inner))

    def _is(self, owner: str, kind: type) -> str:
        """Whether a value is just of that class, looked at once for all that is asked of it."""
        return self._once(("is", owner), f"type({owner}) is {self._keep(kind)}", None)[0]

    def _filtered(self, node: nodes.Filter) -> str:
        found = self._environment.filters.get(node.name)
        if found is None or node.dyn_args is not None or node.dyn_kwargs is not None or node.node is None:
            raise _Bent
        named = {str(pair.key): pair.value for pair in node.kwargs}
        if any(map(keyword.iskeyword, named)):
            raise _Bent
        arguments = [self._value(node.node)[0], *(self._value(a)[0] for a in node.args)]
        arguments += [f"{name}={self._value(value)[0]}" for name, value in named.items()]
        if hasattr(found, "jinja_pass_arg"):
            if getattr(found, "__wrapped__", None) not in NEEDS_ZONE and not hasattr(found, LATE):
                raise _Bent
            arguments.insert(0, "names")  # asked for the zone or the sink's filters alone, which are among them
        called = self._keep(found)
        return self._once((called, *arguments), f"{called}({', '.join(arguments)})", None)[0]

    def _once(self, what: tuple[str, ...], text: str, kind: Any) -> tuple[str, Any]:
        if what not in self._made:
            variable = f"v{len(self._made)}"
            self.lines.append(f"{variable} = {text}")
            self._made[what] = variable, kind
        return self._made[what]

    def _keep(self, value: Any) -> str:
        for name, known in self.known.items():
            if known is value:
                return name
        name = f"k{len(self.known)}"
        self.known[name] = value
        return name


def _class_of(kind: Any) -> type | None:
    """What a value of that type is when there is one: an entity or part of one, or a mapping."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        parts = [p for p in typing.get_args(kind) if p is not type(None)]
        kind = parts[0] if len(parts) == 1 else None
    if kind == Mapping[str, Any]:
        return dict
    return kind if isinstance(kind, type) and attrs.has(kind) else None


def _said(value: Any) -> str:
    return str(text(value))
