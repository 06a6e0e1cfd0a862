"""What `synccore plugins new` writes: a complete distribution that installs and passes its tests at once."""

import keyword
import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from ..errors import ConfigError

__all__ = ["new", "word_of", "write"]

_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
#: Files that stay beside the package.
_BESIDE = ("pyproject.toml", "README.md")


def word_of(name: str) -> str | None:
    """The plugin's word in "synccore-acme" or "acme"; None where it cannot be one."""
    word = name.removeprefix("synccore-").replace("-", "_").lower()
    return word if _NAME.fullmatch(word) and not keyword.iskeyword(word) else None


def new(word: str, kind: str, folder: Path | None = None) -> tuple[Path, list[Path]]:
    """Write the distribution into a folder that is new or empty: it, and the paths of the files.

    Raises ConfigError where something is there already.
    """
    target = folder or Path(f"synccore-{word.replace('_', '-')}")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target} exists already: choose another name or --dir")
    return target, write(word, kind, target)


def write(name: str, kind: str, target: Path) -> list[Path]:
    """Write the distribution; the paths of its files."""
    words = _words(name, kind)
    package = target / "src" / words["@MODULE@"]
    written = []
    templates = files("synccore._workshop") / "templates"
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
