"""What the documents say is so."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"

pytestmark = pytest.mark.skipif(not README.exists(), reason="runs in the source tree only")


def block(marker, language=""):
    found = re.search(rf"<!-- {marker} -->\n```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"README has no {marker}"
    return found[1]


def test_the_first_configuration_passes_check(tmp_path):
    text = block("config", "toml")
    (tmp_path / "synccore.toml").write_text(text, encoding="utf-8")
    secrets = dict.fromkeys(re.findall(r'env = "(\w+)"', text), "x" * 20)
    secrets["KLAVIYO_API_KEY"] = "pk_" + "a" * 34
    done = subprocess.run(
        [sys.executable, "-m", "synccore", "check", "--offline"],
        cwd=tmp_path,
        env=os.environ | secrets,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(tomllib.loads(text)["routes"]) == {"google_contacts_customers", "klaviyo_profile"}


def test_the_first_configuration_is_what_init_writes_filled_in(tmp_path):
    """The same names of instances, routes and variables: what README says to type works after `init`."""
    from click.testing import CliRunner

    from synccore._cli import cli

    options = ["--source", "woocommerce", "--sink", "google_contacts", "--sink", "klaviyo"]
    made = CliRunner().invoke(cli, ["init", str(tmp_path), *options])
    assert made.exit_code == 0, made.output
    written = (tmp_path / "synccore.toml").read_text(encoding="utf-8")
    text = block("config", "toml")
    first, whole = tomllib.loads(text), tomllib.loads(written)
    for kind in ("sources", "sinks", "routes"):
        assert first[kind].keys() <= whole[kind].keys(), kind
    for name, route in first["routes"].items():
        assert {k: v for k, v in route.items() if k != "when"} == {
            k: whole["routes"][name][k] for k in route if k != "when"
        }
    variables = set(re.findall(r'env = "(\w+)"', text))
    assert variables <= set(re.findall(r'env = "(\w+)"', written))
    for verb, name in re.findall(
        r"^synccore (connect|plan|adopt|verify) (\w+)", README.read_text("utf-8"), re.MULTILINE
    ):
        assert name in {**first["sources"], **first["sinks"], **first["routes"]}, f"synccore {verb} {name}"


def test_the_cast_shows_the_demo_as_it_is():
    cast = block("cast")
    for words in ("owed", "delivered", "HTTP calls", "contacts_customers", "marketing_profiles", "crm_customers"):
        assert words in cast


@pytest.mark.parametrize("page", [README, *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_test_command_is_the_one_ci_runs():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "pip install uv && uv run pytest" in README.read_text(encoding="utf-8")
    assert "uv run pytest" in ci


def test_every_verb_named_in_the_documents_exists():
    from synccore._cli import VERBS

    for page in (README, *(ROOT / "docs").rglob("*.md")):
        for verb in re.findall(r"`synccore ([a-z]+)", page.read_text(encoding="utf-8")):
            assert verb in VERBS, f"{page.name}: synccore {verb}"


def test_what_is_installed_is_what_the_first_configuration_names():
    text = README.read_text(encoding="utf-8")
    installed = re.search(r"^pip install (synccore .+)$", text, re.MULTILINE)[1].split()
    config = tomllib.loads(block("config", "toml"))
    types = {table["type"] for kind in ("sources", "sinks") for table in config[kind].values()}
    assert {f"synccore-{kind.replace('_', '-')}" for kind in types} | {"synccore"} == set(installed)
    from_clone = re.search(r"`pip install (\./core .+?)`", text)[1].split()
    assert all((ROOT / folder / "pyproject.toml").is_file() for folder in from_clone)
    assert {"./core", *(f"./plugins/{kind}" for kind in types)} == set(from_clone)


def test_the_glossary_of_the_documents_is_that_of_the_product():
    from synccore._verbs.parts.words import GLOSSARY

    page = (ROOT / "docs/operating.md").read_text(encoding="utf-8").split("<!-- words -->")[1]
    told = dict(re.findall(r"^\| ([a-z ]+) \| (.+) \|$", page, re.MULTILINE))
    told.pop("word", None)
    assert told == {w.word: w.means for words in GLOSSARY.values() for w in words}


def test_nobody_says_set_aside():
    """One word for it everywhere: parked."""
    pages = [README, *ROOT.glob("docs/*.md"), *ROOT.glob("core/src/**/_web/dashboard/templates/*.html")]
    pages += [*ROOT.glob("core/src/**/_cli/**/*.py"), *ROOT.glob("core/src/**/_verbs/*.py")]
    assert [p.name for p in pages if "set aside" in p.read_text(encoding="utf-8")] == []
