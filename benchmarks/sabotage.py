"""Small sabotages of core, each of which the tests have to catch: `uv run python benchmarks/sabotage.py [WORD ...]`.

Each is one change of text in a copy of the tree, after which the tests beside it must fail. With words, only those
whose name holds one of them. Prints a table; the exit code is 1 where one was not caught, and where a text to change is
no longer in its file: then the promise is kept in another way, and the table has to say how it would be broken now.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import click
from attrs import evolve, frozen

ROOT = Path(__file__).parents[1]
CORE = "core/src/synccore"
STORE, DELIVERY, INGEST = "core/tests/store", "core/tests/delivery", "core/tests/ingest"
VERBS, CLI, DAEMON = "core/tests/verbs", "core/tests/cli", "core/tests/daemon"
LIVES = ("tests/test_simulation.py", "tests/test_crash_points.py", "tests/test_interleavings.py", "tests/test_fuzz.py")
#: What of the tree a copy needs.
PARTS = ("core", "plugins", "tests", "benchmarks", "docs", "conftest.py", "pyproject.toml", "README.md")


@frozen
class Sabotage:
    """`promise`: what is broken. In `file` the one place with the text `old` becomes `new`; `tests` must see it."""

    promise: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def _core(promise: str, file: str, old: str, new: str, *tests: str) -> Sabotage:
    return Sabotage(promise, f"{CORE}/{file}", old, new, tests)


_EACH = (
    _core(
        "settle without the fence",
        "store/_rules/settle.py",
        '        if tokens[row["id"]] == (row["lease_token"] if row["state"] == "running" else row["job"])\n',
        "",
        STORE,
    ),
    _core(
        "forget the lookup after a lost answer",
        "_delivery/doubtful.py",
        "sure = [item for item in items if not _is_doubtful(item.operation)]",
        "sure = list(items)",
        DELIVERY,
    ),
    _core(
        "look a doubtful create up under its own key alone",
        "_delivery/doubtful.py",
        "        if former:\n",
        "        if not former:\n",
        DELIVERY,
    ),
    _core(
        "make again what a restored backup does not know, without waiting",
        "_delivery/doubtful.py",
        "return until if until is not None and until > self._clock.now() else None",
        "return None",
        DELIVERY,
    ),
    _core(
        "lose maybe_applied when folding",
        "store/sql.py",
        "maybe_applied = max(maybe_applied, :maybe_applied), before",
        "before",
        STORE,
    ),
    _core(
        "lose maybe_applied on a failure",
        "_delivery/lane.py",
        "maybe_applied=maybe_applied or _unsure(work, error),",
        "maybe_applied=False,",
        DELIVERY,
    ),
    _core(
        "drop REFRESH_BLOCKED", "store/_rules/owing.py", "tx.executemany(sql.REFRESH_BLOCKED, distinct)", "pass", STORE
    ),
    _core(
        "let a person's facts overtake each other",
        "store/_rules/owing.py",
        'tx.executemany(sql.REFRESH_OWNER, [slot for slot in distinct if slot["owner_key"] is not None])',
        "pass",
        STORE,
    ),
    _core(
        "claim the events of one owner side by side",
        "store/sql.py",
        "            AND r.route = :route AND r.state <> 'parked') THEN 1 ELSE 0 END,",
        "            AND r.route = :route AND r.state = 'none') THEN 1 ELSE 0 END,",
        STORE,
    ),
    _core(
        "claim a key twice",
        "store/_rules/claim.py",
        "    tx.execute(sql.BLOCK_OTHERS, ids)\n",
        "",
        STORE,
    ),
    _core(
        "swap live and bulk",
        "store/_rules/claim.py",
        "    for bulk in (False, True):\n        best",
        "    for bulk in (True, False):\n        best",
        STORE,
    ),
    _core(
        "fold the older row into the newer one's time",
        "store/sql.py",
        "UPDATE delivery SET due_at = max(due_at, :due_at), attempts",
        "UPDATE delivery SET due_at = due_at, attempts",
        STORE,
    ),
    _core(
        "fold a live row into a bulk one as bulk",
        "store/sql.py",
        "bulk = min(bulk, :bulk),\n    maybe",
        "bulk = max(bulk, :bulk),\n    maybe",
        STORE,
    ),
    _core(
        "keep no newer state when a row is folded",
        "store/_rules/owing.py",
        '        tx.execute("DELETE FROM delivery WHERE id = ?", (row["id"],))\n',
        '        tx.execute("DELETE FROM delivery WHERE id = ?", (newer["id"],))\n',
        STORE,
    ),
    _core(
        "take an older version",
        "store/_rules/ingest.py",
        'change.version < int(known["version"])',
        "False",
        STORE,
        INGEST,
    ),
    _core(
        "take a page in that was read before the change",
        "store/_rules/ingest.py",
        'self._read_at is not None and self._read_at < int(known["known_at"])',
        "False",
        STORE,
        INGEST,
    ),
    _core(
        "date a page when it came and not when it was asked for",
        "_ingest/listing.py",
        "            yield asked_at, page\n",
        "            yield self._clock.now(), page\n",
        INGEST,
        DAEMON,
    ),
    _core(
        "date an answer after the question",
        "_ingest/hints.py",
        "read_at=read_at,",
        "read_at=self._clock.now(),",
        INGEST,
        DAEMON,
    ),
    _core(
        "believe that a record is gone because a listing lacks it",
        "_ingest/listing.py",
        "        found = self._source.fetch(entity, key)\n",
        "        found = None\n",
        INGEST,
        DAEMON,
    ),
    _core(
        "delete whatever a short listing lacks",
        "_ingest/listing.py",
        "MASS_DELETION_SHARE = 0.1",
        "MASS_DELETION_SHARE = 1.0",
        INGEST,
        DAEMON,
        CLI,
    ),
    _core(
        "see nothing that arrives while a comparison runs",
        "store/_rules/ingest.py",
        "        if self._sweeps:\n            self._mark_seen(change)\n        if self._is_forgotten",
        "        if self._is_forgotten",
        STORE,
        INGEST,
    ),
    _core(
        "tell a fact twice", "store/_rules/ingest.py", "rowcount > 0 and not late", "rowcount >= 0 and not late", STORE
    ),
    _core(
        "take in who was forgotten",
        "store/_rules/ingest.py",
        "        if not self._facts.tombstones:\n            return False\n",
        "        return False\n",
        STORE,
        VERBS,
    ),
    _core(
        "leave the guest's links behind",
        "store/_rules/takeover.py",
        "    tx.execute(MOVE_LINKS, where)\n",
        "",
        STORE,
        INGEST,
    ),
    _core(
        "end a hint that was given again",
        "store/sql.py",
        "AND key = :key AND mark <= :mark",
        "AND key = :key AND mark >= 0",
        STORE,
        INGEST,
    ),
    _core(
        "delete a record that others share",
        "_delivery/prepare.py",
        "        if link.ours:\n",
        "        if True:\n",
        DELIVERY,
    ),
    _core(
        "leave who shares a twin with what was emptied",
        "_delivery/settle.py",
        "emptied = isinstance(outcome, Delivered)",
        "emptied = False",
        DELIVERY,
    ),
    _core(
        "compare with the newest mapping and not with what was delivered",
        "_delivery/prepare.py",
        "return different | frozenset(fields) if everything else different",
        "return different",
        DELIVERY,
    ),
    _core(
        "call an outage the record's fault",
        "_delivery/policy.py",
        "case Transient() if error.outage and tried.outage:",
        "case Transient() if False:",
        DELIVERY,
    ),
    _core("park at once", "_delivery/policy.py", "now - tried.first_failed_at >= PATIENCE", "True", DELIVERY),
    _core(
        "halve a batch whose answer was lost without asking",
        "_delivery/halving.py",
        "answers += self._asked(half) if in_doubt(error) else self.deliver(half)",
        "answers += self.deliver(half)",
        DELIVERY,
    ),
    _core(
        "park everything when a target refuses everything",
        "_delivery/holds.py",
        "        if run.count <= MANY:\n",
        "        if run.count:\n",
        DELIVERY,
    ),
    _core(
        "keep what a dead process had claimed",
        "_delivery/engine.py",
        "all_running=True",
        "all_running=False",
        DELIVERY,
        STORE,
    ),
    _core(
        "restore without doubt",
        "_verbs/restore.py",
        "app.store.doubt(tuple(app.sources), now)",
        "0",
        CLI,
        VERBS,
    ),
    _core(
        "lose what a job was sent",
        "store/_rules/settle.py",
        '"sent": None if settlement.sent is None else codec.dump_fields(settlement.sent),',
        '"sent": None,',
        STORE,
        DELIVERY,
    ),
    _core(
        "deliver who has an address now before who gave it up",
        "_delivery/namesakes.py",
        "given = self._store.behind_handovers([route], one.source, one.entity, keys)",
        "given: set[str] = set()",
        DELIVERY,
    ),
    _core(
        "tell facts by an address under which nobody was delivered yet",
        "_delivery/namesakes.py",
        "moving = self._store.moving(self._routes, source, entity, people)",
        "moving: set[str] = set()",
        DELIVERY,
    ),
    _core(
        "trust a change that had no answer",
        "_delivery/prepare.py",
        "everything = work.delivery.maybe_applied or self.moved(work)",
        "everything = self.moved(work)",
        DELIVERY,
    ),
    _core(
        "trust a change whose second try met something else",
        "_delivery/halving.py",
        "[evolve(settled[o.id], unsure=True) for o in operations]",
        "[evolve(settled[o.id], unsure=o.id in found) for o in operations]",
        DELIVERY,
    ),
    _core(
        "take a refused change for one that wrote nothing",
        "_delivery/halving.py",
        "return self.unsure or (isinstance(self.outcome, Failed) and self.outcome.partly)",
        "return self.unsure",
        DELIVERY,
        "core/tests/kit",
    ),
    # Mends of single faults taken back: the lives, meetings and crash points have to see them, not their own tests.
    _core(
        "forget somebody whom a call makes anew at this moment",
        "store/_rules/people.py",
        "sinks = _sent_to_now(tx, refs, lease_clock)",
        "sinks: list[str] = []",
        "tests/test_interleavings.py",
    ),
    _core(
        "delete before the facts are told, seen by whole lives",
        "_delivery/namesakes.py",
        "self._behind(route, items) | self._before_facts(items) | self._facts(items)",
        "self._behind(route, items) | self._facts(items)",
        *LIVES,
    ),
    _core(
        "take what a comparison finds for the past, seen by whole lives",
        "store/_rules/ingest.py",
        "since = self._facts.news_since.get(change.entity)",
        "since = None",
        *LIVES,
    ),
    _core(
        "forget what an update without an answer may have written, seen by whole lives",
        "_delivery/settle.py",
        "return evolve(settlement, may_hold={**link.mapped, **more}) if more else settlement",
        "return settlement",
        *LIVES,
    ),
    _core(
        "keep at the target what the shop emptied, seen by whole lives",
        "_mapping/shape.py",
        "clear = link is not None and name in link.mapped and name not in link.left_out",
        "clear = False",
        *LIVES,
    ),
    _core(
        "lose an opt-out from before the first delivery, seen by whole lives",
        "_delivery/prepare.py",
        "before=self._before(work) if op is None and not (work.link and work.link.mapped) else None,",
        "before=None,",
        *LIVES,
    ),
    Sabotage(
        "tell of a payment by the state of its order, seen by whole lives",
        "plugins/woocommerce/src/synccore_woocommerce/changes/__init__.py",
        "        if paid is not None:  # whatever became of the order since\n",
        '        if paid is not None and record.get("status") in ("processing", "completed", "refunded"):\n',
        LIVES,
    ),
    Sabotage(
        "leave a former number on a profile, seen by whole lives",
        "plugins/klaviyo/src/synccore_klaviyo/profile.py",
        'frozenset({"phone_number"} if mine else ())',
        "frozenset()",
        LIVES,
    ),
    Sabotage(
        "forget nobody who has no link on a merged contact, seen by whole lives",
        "plugins/google_contacts/src/synccore_google_contacts/erase.py",
        "fields={n: v for n, v in held.items() if v})",
        "fields={})",
        LIVES,
    ),
    _core(
        "lose maybe_applied on a failure, seen by whole lives",
        "_delivery/lane.py",
        "return in_doubt(error) or work.delivery.maybe_applied or (answer is not None and answer.unsure_of_it)",
        "return False",
        *LIVES,
    ),
)

#: Those that whole lives, too, have to see. Some they cannot: whom a listing lacks is asked for before it is believed
#: to be gone, so what came during a comparison costs a call and nobody; and what a target that refuses everything
#: parked, the operator of a life retries at its end; and a fact that is taken in again is given to no route a second
#: time. Others are too rare a chain for some hundred lives.
_SEEN_BY_LIVES = frozenset(
    {
        "forget the lookup after a lost answer",
        "make again what a restored backup does not know, without waiting",
        "restore without doubt",
        "trust a change that had no answer",
        "take a refused change for one that wrote nothing",
        "halve a batch whose answer was lost without asking",
        "drop REFRESH_BLOCKED",
        "lose maybe_applied when folding",
        "keep no newer state when a row is folded",
        "let a person's facts overtake each other",
        "deliver who has an address now before who gave it up",
        "keep what a dead process had claimed",
        "leave the guest's links behind",
        "take an older version",
        "take a page in that was read before the change",
    }
)

SABOTAGES = (
    *_EACH,
    *(
        evolve(one, promise=f"{one.promise}, seen by whole lives", tests=LIVES)
        for one in _EACH
        if one.promise in _SEEN_BY_LIVES
    ),
)


@frozen
class Result:
    """What came of a sabotage; `seen`: the first test that failed, or why there was none."""

    caught: bool
    seen: str
    seconds: float


def broken(copy: Path, sabotage: Sabotage) -> str | None:
    """Break the promise in a copy of the tree; why it cannot be broken there any more."""
    path = copy / sabotage.file
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if (times := text.count(sabotage.old)) != 1 or sabotage.old == sabotage.new:
        return f"the text to change is {times} times in {sabotage.file}"
    text = text.replace(sabotage.old, sabotage.new)
    path.write_text(text, encoding="utf-8")
    try:
        compile(text, sabotage.file, "exec")
    except SyntaxError as error:
        return f"{sabotage.file} can be read no more: {error.msg}"
    return None


def tried(sabotage: Sabotage, workers: int, patience: float) -> Result:
    """Carry it out in a copy, and run the tests that have to see it."""
    began = monotonic()
    with tempfile.TemporaryDirectory(prefix="sabotage-") as folder:
        copy = Path(folder)
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__", ".*"))
            else:
                shutil.copy2(source, copy / part)
        if why := broken(copy, sabotage):
            return Result(caught=False, seen=why, seconds=monotonic() - began)
        sources = [str(copy / "core/src"), *(str(p) for p in sorted(copy.glob("plugins/*/src")))]
        own = {"PYTHONPATH": os.pathsep.join(sources), "PYTHONDONTWRITEBYTECODE": "1", "SUITE_LIVES": "150"}
        environ = {**os.environ, **own}
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", str(workers), "-p", "no:cacheprovider"]
        try:
            run = subprocess.run(
                [*command, *sabotage.tests],
                cwd=copy, env=environ, capture_output=True, text=True, timeout=patience, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Result(caught=True, seen=f"the tests do not end within {patience:.0f} s", seconds=patience)
    failed = next((line for line in run.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))), None)
    seen = failed.split(" - ")[0].split(" ", 1)[1] if failed else run.stdout.strip().splitlines()[-1:] or [run.stderr]
    return Result(
        caught=failed is not None,
        seen=seen if isinstance(seen, str) else seen[0][-200:],
        seconds=monotonic() - began,
    )


def chosen(words: tuple[str, ...]) -> Iterator[Sabotage]:
    """Those whose name holds a word; all without one."""
    return (s for s in SABOTAGES if not words or any(word in s.promise for word in words))


@click.command()
@click.argument("words", nargs=-1)
@click.option("--workers", default=2, help="Test processes at a time.")
@click.option("--patience", default=600.0, help="Seconds after which tests that do not end count as failing.")
def main(words: tuple[str, ...], workers: int, patience: float) -> None:
    """Break one promise after the other."""
    missed = 0
    for sabotage in chosen(words):
        result = tried(sabotage, workers, patience)
        missed += not result.caught
        word = "caught" if result.caught else "MISSED"
        print(f"{word}  {result.seconds:5.0f} s  {sabotage.promise}: {result.seen}", flush=True)
    print("all caught" if not missed else f"{missed} not caught")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
