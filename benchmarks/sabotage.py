"""Small sabotages, each of which the tests have to catch: `uv run python benchmarks/sabotage.py [WORD ...]`.

Each is one change of text in a copy of the tree, after which the tests beside it must fail; first is tried that they
pass where nothing is broken. With words, only those whose name holds one of them. Prints a table; the exit code is 1
where one was not caught, and where a text to change is no longer in its file: then the promise is kept in another way,
and the table has to say how it would be broken now.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import click
from attrs import frozen
from sabotages import SABOTAGES, Sabotage

ROOT = Path(__file__).parents[1]
#: What of the tree a copy needs.
PARTS = ("core", "plugins", "tests", "benchmarks", "docs", "conftest.py", "pyproject.toml", "README.md")


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
    with _copied() as copy:
        if why := broken(copy, sabotage):
            return Result(caught=False, seen=why, seconds=monotonic() - began)
        return _run(copy, sabotage.tests, workers, patience)


def sound(test: str, workers: int, patience: float) -> Result:
    """Run those tests in a copy where nothing is broken: what fails there says nothing of a sabotage."""
    with _copied() as copy:
        return _run(copy, (test,), workers, patience)


@contextmanager
def _copied() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sabotage-") as folder:
        copy = Path(folder)
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__", ".*"))
            else:
                shutil.copy2(source, copy / part)
        yield copy


def _run(copy: Path, tests: Sequence[str], workers: int, patience: float) -> Result:
    """What the tests of a copy say; it is caught where one fails, or where they do not end."""
    began = monotonic()
    sources = [str(copy / "core/src"), *(str(p) for p in sorted(copy.glob("plugins/*/src")))]
    own = {"PYTHONPATH": os.pathsep.join(sources), "PYTHONDONTWRITEBYTECODE": "1", "SUITE_LIVES": "150"}
    environ = {**os.environ, **own}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", str(workers), "-p", "no:cacheprovider", *tests]
    try:
        run = subprocess.run(
            command, cwd=copy, env=environ, capture_output=True, text=True, timeout=patience, check=False
        )
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
    """Break one promise after the other, once their tests pass where none is broken."""
    todo = list(chosen(words))
    takes: dict[str, float] = {}
    red = 0
    for test in dict.fromkeys(test for sabotage in todo for test in sabotage.tests):
        result = sound(test, workers, 10 * patience)
        takes[test] = result.seconds
        red += result.caught
        print(f"{'RED' if result.caught else 'sound':6}  {result.seconds:5.0f} s  {test}: {result.seen}", flush=True)
    if red:
        print(f"{red} fail where nothing is broken, and say nothing of what they are to catch")
        sys.exit(1)
    missed = 0
    for sabotage in todo:
        # Tests that do not end are caught where they would have ended.
        result = tried(sabotage, workers, max(patience, 3 * sum(takes[test] for test in sabotage.tests)))
        missed += not result.caught
        word = "caught" if result.caught else "MISSED"
        print(f"{word}  {result.seconds:5.0f} s  {sabotage.promise}: {result.seen}", flush=True)
    print("all caught" if not missed else f"{missed} not caught")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
