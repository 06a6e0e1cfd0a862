"""Outside authors: their wheel beside ours, and the tutorial, command by command, in new environments."""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from synccore._workshop.scaffold import write

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
def env(tmp_path_factory):
    """One new virtual environment for everything here, filled from wheels alone; its variables."""
    wheels, folder = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("outside") / "env"

    def build(source):
        run("uv", "build", "--quiet", "--wheel", "--out-dir", wheels, source, cwd=wheels)

    with ThreadPoolExecutor() as threads:
        list(threads.map(build, (ROOT / "core", ROOT / "plugins/woocommerce", SAMPLE)))
    run("uv", "venv", "--quiet", "--python", sys.executable, folder, cwd=wheels)
    # Its bytecode is its own, and goes with it.
    inside = {
        "VIRTUAL_ENV": str(folder),
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPYCACHEPREFIX": "",
    }
    core, *others = (
        next(wheels.glob(f"{name}-*.whl")) for name in ("synccore", "synccore_woocommerce", "synccore_mailroom")
    )
    # hatchling and editables: what `pip install -e` would fetch to build with.
    run("uv", "pip", "install", "--quiet", f"synccore[testing] @ {core.as_uri()}", *others, "hatchling", "editables",
        cwd=wheels, **inside)  # fmt: skip
    return inside


def test_a_downstream_plugin_passes_its_contract_from_wheels(env, tmp_path):
    shutil.copytree(SAMPLE / "tests", tmp_path / "tests")
    output = run(f"{env['VIRTUAL_ENV']}/bin/python", "-m", "pytest", "-q", "-W", "error", "tests", cwd=tmp_path, **env)
    assert re.search(r"\b\d+ passed", output), output
    assert "mailroom" in run(f"{env['VIRTUAL_ENV']}/bin/synccore", "plugins", "list", cwd=tmp_path, **env)


def test_an_installed_plugin_is_checked_hazard_by_hazard(env, tmp_path):
    write("checked", "source", tmp_path)
    run("uv", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "-e", ".", cwd=tmp_path, **env)

    # The plugin's author makes a mistake: a cursor of "later than the last".
    source = tmp_path / "src/synccore_checked/source.py"
    source.write_text(source.read_text().replace("while page is not None:", "if page is not None:"))
    contract = tmp_path / "src/synccore_checked/contract.py"
    text = contract.read_text()
    contract.write_text(
        text.replace("    many = ", '    exempt = {"closing_twice_is_fine": "it never is"}\n    many = ')
    )
    command = (f"{env['VIRTUAL_ENV']}/bin/synccore", "plugins", "check", "checked", "--json")
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **env}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    cases = {case["case"]: case for case in json.loads(done.stdout)}
    assert cases["a_listing_gives_every_customer"]["result"] == "failed"
    assert (cases["closing_twice_is_fine"]["result"], cases["closing_twice_is_fine"]["reason"]) == (
        "exempt",
        "it never is",
    )
    assert cases["check_names_the_account"]["result"] == "proven"
    tampered = cases["a_tampered_webhook_is_refused"]
    assert tampered["result"] == "proven"
    assert "addresses" not in tampered["reason"]


def test_what_authors_write_is_typed(tmp_path):
    """The downstream sample and each kind of generated plugin, against the types of core."""
    pytest.importorskip("mypy")
    sources = [SAMPLE / "src"]
    packages = ["synccore_mailroom"]
    for kind in ("sink", "source", "mapper"):
        write(f"typed_{kind}", kind, tmp_path / kind)
        sources.append(tmp_path / kind / "src")
        packages.append(f"synccore_typed_{kind}")
    named = [word for package in packages for word in ("-p", package)]
    # By the rules and with the memory of the repository's own check, which has read core already.
    run(sys.executable, "-m", "mypy", *named, cwd=ROOT, MYPYPATH=os.pathsep.join(map(str, sources)))


def test_a_downstream_plugin_lives_on_public_names():
    private = re.compile(r"synccore\.(_\w+|testing\._)|from synccore import _")
    for path in SAMPLE.rglob("*.py"):
        assert not private.search(path.read_text()), path


def commands():
    for block in re.findall(r"```console\n(.*?)```", TUTORIAL.read_text(), re.DOTALL):
        yield from (line[2:] for line in block.splitlines() if line.startswith("$ "))


def test_the_tutorial_works_as_it_is_written(env, tmp_path):
    script = ["set -e"]
    for command in commands():
        # The registry's core is not this one: the wheel is installed already, and stands for it.
        if "pip install" in command and "-e" not in command:
            continue
        script.append(command.replace("pip install", "uv pip install --quiet --no-deps --no-build-isolation"))
    # The kit's own tests run every case on the generated sink; here the commands are what is proved.
    few = {"PYTEST_ADDOPTS": "-k 'arrives_once or lost_answer'"}
    output = run("bash", "-c", "\n".join(script), cwd=tmp_path, **env, **few)
    assert re.search(r"\b\d+ passed", output), output
    assert "the contract found it" in output
    assert "sink tinycrm" in output
