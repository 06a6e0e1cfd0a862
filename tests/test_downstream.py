"""Outside authors: their wheel beside ours, and the tutorial, command by command, in new environments."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "tests/downstream/synccore-mailroom"
TUTORIAL = ROOT / "docs/authors/tutorial.md"

pytestmark = [
    pytest.mark.wheels,
    pytest.mark.skipif(shutil.which("uv") is None, reason="builds wheels with uv, which is not on the PATH"),
]


def run(*command, cwd, **environ):
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environ}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    for source in (ROOT / "core", ROOT / "plugins/woocommerce", SAMPLE):
        run("uv", "build", "--quiet", "--wheel", "--out-dir", folder, source, cwd=folder)
    return {path.name.partition("-")[0]: path for path in folder.glob("*.whl")}


def environment(folder, *what):
    """A new virtual environment; its PATH."""
    run("uv", "venv", "--quiet", "--seed", "--python", sys.executable, folder, cwd=folder.parent)
    run("uv", "pip", "install", "--quiet", "--python", folder / "bin/python", *what, cwd=folder.parent)
    return f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"


def test_a_downstream_plugin_passes_its_contract_from_wheels(wheels, tmp_path):
    path = environment(
        tmp_path / "env", f"synccore[testing] @ {wheels['synccore'].as_uri()}", wheels["synccore_mailroom"]
    )
    shutil.copytree(SAMPLE / "tests", tmp_path / "tests")
    python = tmp_path / "env/bin/python"
    output = run(python, "-m", "pytest", "-q", "-W", "error", "tests", cwd=tmp_path, PATH=path)
    assert re.search(r"^\d+ passed", output, re.MULTILINE), output
    assert "mailroom" in run(tmp_path / "env/bin/synccore", "plugins", "list", cwd=tmp_path)


def test_a_downstream_plugin_lives_on_public_names():
    private = re.compile(r"synccore\.(_\w+|testing\._)|from synccore import _")
    for path in SAMPLE.rglob("*.py"):
        assert not private.search(path.read_text()), path


def commands():
    for block in re.findall(r"```console\n(.*?)```", TUTORIAL.read_text(), re.DOTALL):
        yield from (line[2:] for line in block.splitlines() if line.startswith("$ "))


def test_the_tutorial_works_as_it_is_written(wheels, tmp_path):
    path = environment(
        tmp_path / "env", f"synccore[testing] @ {wheels['synccore'].as_uri()}", wheels["synccore_woocommerce"]
    )
    script = ["set -e"]
    for command in commands():
        # The registry's core is not this one: the wheel is installed already, and stands for it.
        if "pip install" in command and "-e" not in command:
            continue
        script.append(command.replace("pip install", "pip install --quiet --no-deps --no-build-isolation"))
    run(
        "uv",
        "pip",
        "install",
        "--quiet",
        "--python",
        tmp_path / "env/bin/python",
        "hatchling",
        "editables",
        cwd=tmp_path,
    )
    output = run("bash", "-c", "\n".join(script), cwd=tmp_path, PATH=path)
    assert re.search(r"^\d+ passed", output, re.MULTILINE), output
    assert "the contract found it" in output
    assert "sink tinycrm" in output
