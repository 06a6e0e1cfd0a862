"""What `verify`, `status`, `log` and `reload` say, and what an operator does: where one of these is false, whole lives
have to see it."""

from .form import core

__all__ = ["STATEMENTS"]

SIMULATION, CRASHES = "tests/test_simulation.py", "tests/test_crash_points.py"

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
        '            self._warn("error", f"{self._route.entity} {link.key} is gone at the target{refusal}")\n',
        "",
        SIMULATION,
    ),
    core(
        "call what is under way in a vendor's job nothing, seen by crash points",
        "_verbs/status.py",
        '"running": counts.running + counts.submitted,',
        '"running": counts.running,',
        CRASHES,
    ),
    core(
        "call a target well of which a route is held, seen by whole lives",
        "_verbs/status.py",
        '    if state == "ok" and (held := app.store.holds(unit.name)):',
        '    if state != "ok" and (held := app.store.holds(unit.name)):',
        SIMULATION,
    ),
    core(
        "call delivered what a target had already, seen by whole lives",
        "_delivery/settle.py",
        'word = "delivered" if isinstance(outcome, Delivered) else "unchanged"',
        'word = "delivered" if isinstance(outcome, Delivered | Unchanged) else "unchanged"',
        SIMULATION,
    ),
    core(
        "miss whom a route let go of, seen by whole lives",
        "_delivery/settle.py",
        'to="skipped" if operation.op == "leave" and link is not None and link.remove else "done",',
        'to="done",',
        SIMULATION,
    ),
    core(
        "say nothing of a route whose fields changed, seen by whole lives",
        "_verbs/parts/changed.py",
        '"mapping": ("fields", "options", "mapper", "compare", "include"),',
        '"mapping": ("mapper", "compare", "include"),',
        SIMULATION,
    ),
    core(
        "take what another mapping made for what this one makes, seen by whole lives",
        "store/rows.py",
        'hashlib.sha256("\\n".join((made_by, *inputs)).encode())',
        'hashlib.sha256("\\n".join(inputs).encode())',
        SIMULATION,
    ),
    core(
        "keep the facts of who was forgotten, seen by whole lives",
        "store/_rules/people.py",
        '"history", "snapshot", "event", "sweep_seen"',
        '"history", "snapshot", "sweep_seen"',
        SIMULATION,
    ),
    core(
        "restore without a comparison, seen by whole lives",
        "_verbs/restore.py",
        '            app.store.queue_backfill("reconcile", name, entity, {}, None, now)\n',
        "",
        SIMULATION,
    ),
    core(
        "let an outage end what the operator holds, seen by whole lives",
        "_delivery/gate.py",
        (
            '            if current.state == "paused":\n'
            "                self.record = current\n"
            "                return False\n"
            "            if outage"
        ),
        "            if outage",
        SIMULATION,
    ),
    core(
        "say nothing of what hangs under nothing at the target, seen by whole lives",
        "_verbs/parts/hanging.py",
        "if odd.there != odd.due}",
        "if odd.there and odd.there != odd.due}",
        SIMULATION,
    ),
    core(
        "say nothing of what hangs under somebody else at the target, seen by whole lives",
        "_verbs/parts/hanging.py",
        "if odd.there != odd.due}",
        "if not odd.there}",
        SIMULATION,
    ),
)
