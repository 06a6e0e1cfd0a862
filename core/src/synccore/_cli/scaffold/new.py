"""`synccore plugins new NAME`: a complete distribution that installs and passes its tests at once."""

import keyword
import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from ...errors import ConfigError

_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
#: Files that stay beside the package.
_BESIDE = ("pyproject.toml", "README.md")


@click.command("new")
@click.argument("name")
@click.option("--sink", "kind", flag_value="sink", default="sink", help="A target (the default).")
@click.option("--source", "kind", flag_value="source", help="A shop, or anything that reports changes.")
@click.option("--mapper", "kind", flag_value="mapper", help="A way to shape records.")
@click.option("--dir", "folder", type=click.Path(path_type=Path), help="Where to write it. [default: ./synccore-NAME]")
def new(name: str, kind: str, folder: Path | None) -> None:
    """Begin a plugin: configuration, client, stand-in and contract tests, ready to install."""
    word = name.removeprefix("synccore-").replace("-", "_").lower()
    if not _NAME.fullmatch(word) or keyword.iskeyword(word):
        raise click.UsageError(f"{name!r} is no plugin name: letters, digits and _ only, a letter first")
    target = folder or Path(f"synccore-{word.replace('_', '-')}")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target} exists already: choose another name or --dir")
    written = write(word, kind, target)
    for path in written:
        click.echo(path)
    click.echo(f"\nNext: cd {target} && pip install -e .[test] && pytest", err=True)


def write(name: str, kind: str, target: Path) -> list[Path]:
    """Write the distribution; the paths of its files."""
    words = _words(name, kind)
    package = target / "src" / words["@MODULE@"]
    written = []
    templates = files("synccore._cli.scaffold") / "templates"
    for template in (*_files(templates / "common"), *_files(templates / kind)):
        file = template.name.removesuffix(".tmpl")
        if file == "test.py":
            path = target / "tests" / f"test_{name}.py"
        else:
            path = target / file if file in _BESIDE else package / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_fill(template.read_text(encoding="utf-8"), words), encoding="utf-8")
        written.append(path)
    typed = package / "py.typed"
    typed.touch()
    return sorted([*written, typed])


def _files(folder: Traversable) -> list[Traversable]:
    return [f for f in folder.iterdir() if f.name.endswith(".tmpl")]


def _words(name: str, kind: str) -> dict[str, str]:
    return {
        "@NAME@": name,
        "@DIST@": f"synccore-{name.replace('_', '-')}",
        "@MODULE@": f"synccore_{name}",
        "@CLASS@": "".join(part.capitalize() for part in name.split("_")),
        "@TITLE@": name.replace("_", " ").capitalize(),
        "@ENV@": name.upper(),
        "@KIND@": kind,
    }


def _fill(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text
