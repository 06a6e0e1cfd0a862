"""`plugins new` writes what installs and passes at once."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from synccore._cli import cli
from synccore._workshop.scaffold import write

README = Path(__file__).parents[3] / "README.md"


@pytest.mark.parametrize(("kind", "some"), [("source", "account or tampered"), ("mapper", "refused_when_opened")])
def test_the_tests_of_a_generated_plugin_are_found_and_pass(tmp_path, kind, some):
    """A few of them: every case of what is generated is run elsewhere, in this process."""
    write(f"sample_{kind}", kind, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-k", some],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "src"), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def lines_of_code(path):
    """Without blank lines, comments and docstrings."""
    text = path.read_text()
    documented = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            documented |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(1 for n, line in lines if n not in documented and line.strip() and not line.strip().startswith("#"))


def test_the_generated_sink_has_the_lines_that_the_readme_states(tmp_path):
    write("sample_short", "sink", tmp_path)
    package = tmp_path / "src/synccore_sample_short"
    sink, client = lines_of_code(package / "sink.py"), lines_of_code(package / "client.py")
    said = re.search(r"(\d+) lines of sink and (\d+) of client", README.read_text())
    assert said, "README.md does not say how long a sink is"
    assert (int(said[1]), int(said[2])) == (sink, client)
    assert sink + client <= 110


def test_no_placeholder_stays(tmp_path):
    for kind in ("sink", "source", "mapper"):
        for path in write(f"sample_{kind}", kind, tmp_path / kind):
            assert "@NAME@" not in path.read_text()
            assert not [word for word in ("@DIST@", "@MODULE@", "@CLASS@", "@ENV@") if word in path.read_text()]


@pytest.mark.parametrize("kind", ["sink", "source", "mapper"])
def test_what_is_generated_is_lint_free(tmp_path, kind):
    ruff = shutil.which("ruff", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if ruff is None:
        pytest.skip("ruff is not installed")
    write(f"sample_{kind}", kind, tmp_path)
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run([ruff, *command, "."], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_folder_that_is_there_is_not_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    assert runner.invoke(cli, ["plugins", "new", "my_crm"]).exit_code == 0
    mine = tmp_path / "synccore-my-crm/src/synccore_my_crm/sink.py"
    mine.write_text("mine")
    assert runner.invoke(cli, ["plugins", "new", "my_crm"]).exit_code == 2
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("name", ["9lives", "my crm", "class", "../evil", ""])
def test_a_name_that_cannot_be_a_module_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(cli, ["plugins", "new", name]).exit_code == 2
