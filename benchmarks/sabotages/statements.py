"""What `verify`, `status`, `log` and `reload` say, and what an operator does: where one of these is false, whole lives
have to see it."""

from .form import core

__all__ = ["STATEMENTS"]

SIMULATION = "tests/test_simulation.py"

STATEMENTS = (
    core(
        "call a record that is there twice whole, seen by whole lives",
        "_verbs/verify.py",
        "if x.object == self._route.object and carriers[_ref(x)] != 1}",
        "if x.object == self._route.object and carriers[_ref(x)] < 1}",
        SIMULATION,
    ),
    core(
        "take a field that was emptied at the target for the owner's, seen by whole lives",
        "_verbs/verify.py",
        "ours = {name: value for name, value in link.fields.items() if name not in link.left_out}",
        "ours = {name: value for name, value in link.fields.items() if name not in link.left_out and remote.get(name)}",
        SIMULATION,
    ),
    core(
        "say nothing of a record that is gone at the target, seen by whole lives",
        "_verbs/verify.py",
        '            self._warn("error", f"{self._route.entity} {link.key} is gone at the target")\n',
        "",
        SIMULATION,
    ),
)
