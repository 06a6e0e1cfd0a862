"""The help: fast, complete, and the same words in three places."""

import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from synccore._cli import VERBS, cli

DOCS = Path(__file__).parents[3] / "docs" / "cli.md"
HEAVY = ("httpx", "starlette", "uvicorn", "jinja2", "rich", "sqlite_utils", "cryptography", "structlog")


def commands():
    """Every verb with its name, those below a group as `group name`."""
    with click.Context(cli) as ctx:
        for name in VERBS:
            command = cli.get_command(ctx, name)
            yield name, command
            if isinstance(command, click.Group):
                for below in command.list_commands(ctx):
                    yield f"{name} {below}", command.get_command(ctx, below)


@pytest.mark.parametrize("args", [["--help"], ["--version"]])
def test_help_imports_nothing_heavy_and_no_plugin(args):
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from synccore._cli import cli\n"
        f"result = CliRunner().invoke(cli, {args!r})\n"
        "assert result.exit_code == 0, result.output\n"
        f"print([m for m in sys.modules if m.split('.')[0] in {HEAVY!r} or m.startswith('synccore_')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_script_and_the_module_are_the_same_program():
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="synccore")
    assert script.value == "synccore._cli:main"
    done = subprocess.run([sys.executable, "-m", "synccore", "statsu"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "did you mean status?" in done.stderr


def test_every_verb_can_be_imported_and_says_what_it_does():
    for name, command in commands():
        assert command is not None, name
        assert command.help, name


def test_the_table_of_verbs_is_what_the_verbs_say():
    with click.Context(cli) as ctx:
        for name, verb in VERBS.items():
            command = cli.get_command(ctx, name)
            assert command.name == name
            assert " ".join(command.help.split("\n\n")[0].split()) == verb.summary
            below = tuple(command.list_commands(ctx)) if isinstance(command, click.Group) else ()
            assert set(below) == set(verb.below), name


def test_every_option_has_help():
    for name, command in commands():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.name}"


def test_every_verb_takes_the_configuration_after_itself():
    for name, command in commands():
        if name not in ("demo", "plugins new"):  # they use none
            assert any(p.name == "config" for p in command.params), name


def test_help_names_every_verb_in_its_section():
    shown = CliRunner().invoke(cli, ["--help"]).output
    for name, verb in VERBS.items():
        assert f"  {name}" in shown
        assert verb.section + ":" in shown


def test_every_verb_and_option_is_documented():
    text = DOCS.read_text()
    for name, command in commands():
        assert f"synccore {name}" in text, f"docs/cli.md does not show synccore {name}"
        if isinstance(command, click.Group):
            continue
        section = _section(text, name)
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name not in ("config", "help"):
                assert any(o in section for o in parameter.opts), f"docs/cli.md: {name} lacks {parameter.opts[-1]}"


def test_every_verb_that_answers_does_so_as_a_document_too():
    #: A play for people, a script for a shell, and a folder of files.
    silent = {"demo", "completion", "plugins new"}
    lacking = [
        name
        for name, command in commands()
        if not isinstance(command, click.Group) and name not in silent
        if not any("--json" in option.opts for option in command.params)
    ]
    assert lacking == []


def _section(text, name):
    """The part of the page below the heading that names the verb, or its group."""
    parts = text.split("\n## ")
    found = [p for p in parts if f"`{name}`" in p.split("\n")[0] or f"`{name.split()[0]}`" in p.split("\n")[0]]
    assert found, f"docs/cli.md has no heading with `{name}`"
    return found[0]


def test_an_unknown_verb_suggests_one(world):
    assert "did you mean status?" in world.run("statsu", code=2).stderr
    assert "synccore --help" in world.run("zzzz", code=2).stderr


def test_plugins_add_verbs(world):
    def add(group):
        @group.command("greet")
        def greet():
            click.echo("hello from a plugin")

    from .conftest import hook

    world.extra["synccore_commands"] = hook("synccore_commands", add)
    assert world.run("greet").stdout == "hello from a plugin\n"


def test_every_verb_ends_with_an_example_that_could_be_typed():
    for name, command in commands():
        shown = command.get_help(click.Context(command, info_name=name))
        assert "Example: synccore " in shown, name
        line = shown.split("Example: synccore ")[1].splitlines()[0].split(" > ")[0]
        words = shlex.split(line)
        assert " ".join(words).startswith(name), line
        if isinstance(command, click.Group):
            continue
        known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
        assert {w for w in words if w.startswith("-")} <= known, line
