"""Terminal and dashboard are two faces of the same verbs: what one prints, the other shows."""

import ast
import functools
import html
import importlib
import inspect
import json
import sys
from pathlib import Path
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner

import synccore
from synccore._cli import cli
from synccore._cli._session import Session
from synccore._verbs.parked import causes
from synccore._verbs.plugins import Video
from synccore._web.dashboard.site import VIDEO_HOST
from synccore.testing import customer

CORE = Path(synccore.__file__).parent
ADA = "ada@shop.test"
RECORD = urlencode({"source": "shop", "entity": "customer", "key": "1"})

#: Verb -> the page that shows its answer, and the command.
LOOKS = {
    "status.overview": ("/", ("status",)),
    "log.trail": ("/", ("log", "-n", "10")),
    "preview.preview": (f"/people/record?{RECORD}", ("preview", "people", "1")),
    "export.export": (f"/people/export?{RECORD}", ("export", ADA)),
    "plugins.show": ("/plugins/crm", ("plugins", "show", "crm")),
}
#: Verb -> the page with the form, where it goes, what it says, and the command.
ACTS = {
    "why.why": ("/people", "/people", {"q": "bo@shop.test"}, ("why", "bo@shop.test")),
    "deliveries.retry": ("/parked", "/parked/retry", {"id": "2"}, ("deliveries", "retry", "2")),
    "deliveries.dismiss": (
        *("/parked/cause?{cause}", "/parked/dismiss", {"id": "2", "reason": "known"}),
        ("deliveries", "dismiss", "2", "--reason", "known"),
    ),
    "lanes.pause": (
        *("/people", "/lanes/pause", {"name": "crm", "reason": "we move"}),
        ("lanes", "pause", "crm", "--reason", "we move"),
    ),
    "lanes.resume": ("/", "/lanes/resume", {"name": "crm"}, ("lanes", "resume", "crm")),
    "reload.reload": ("/people", "/reload", {}, ("reload",)),
    "connect.connect": ("/people", "/connect/crm", {}, ("connect", "crm")),
    "disconnect.disconnect": ("/people", "/disconnect", {"name": "crm"}, ("disconnect", "crm", "--yes")),
    "forget.forget": (
        *(f"/people/record?{RECORD}", "/people/forget"),
        {"source": "shop", "entity": "customer", "key": "1", "email": ADA},
        ("forget", ADA, "--yes"),
    ),
}
#: What is no verb: it says an answer in words, or in JSON. So does much of `_verbs/parts`.
WORDS = {"log.document", "log.told"}


def functions_used_by(face):
    """What the modules of a face import of the verbs: "module.function"."""
    for path in (CORE / face).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("_verbs."):
                module = importlib.import_module(f"synccore.{node.module}")
                named = (alias.name for alias in node.names if inspect.isfunction(getattr(module, alias.name)))
                yield from (f"{node.module.removeprefix('_verbs.')}.{name}" for name in named)


def test_every_verb_with_two_faces_is_compared_here():
    both = {*functions_used_by("_cli")} & {*functions_used_by("_web")}
    both = {name for name in both if not name.startswith("parts.")}
    assert both - WORDS == {*LOOKS, *ACTS} - {"preview.preview"}, "a record's page previews by the verb `person`"


def test_every_module_of_the_verbs_is_asked_from_above():
    """What is not, no person asks for: it is a part of what they ask for."""
    above = "\n".join(p.read_text() for room in ("_cli", "_web", "_daemon") for p in (CORE / room).rglob("*.py"))
    verbs = {p.stem for p in (CORE / "_verbs").glob("*.py")} - {"__init__"}
    assert {verb for verb in verbs if f"_verbs.{verb} import" not in above} == set()


def listen(patch, verb):
    """What the verb answers from now on, whoever asks."""
    module, _, name = verb.partition(".")
    asked = getattr(importlib.import_module(f"synccore._verbs.{module}"), name)
    answers = []

    @functools.wraps(asked)
    def heard(*args, **values):
        answers.append(asked(*args, **values))
        return answers[-1]

    for there in [m for n, m in sys.modules.items() if n.startswith("synccore.") and vars(m).get(name) is asked]:
        patch.setattr(there, name, heard)
    return answers


def command(house, *words):
    session = Session({"SYNCCORE_CONFIG": str(house.app.path)}, plugins=house.app.plugins, clock=house.clock)
    result = CliRunner().invoke(cli, words, obj=session)
    assert result.exit_code in (0, 1), (result.output, result.exception)
    return result.stdout


def lived_in(house):
    """Ada arrived, somebody is parked, and the target stands still."""
    house.reached()
    house.emit(customer("1", email=ADA))
    house.drain()
    house.park(1)
    house.emit(customer("1", email=ADA, first_name="Ada"))
    house.lane("paused", "by hand")
    return house


def test_page_and_command_are_given_the_same(open_site, monkeypatch):
    site = open_site()
    lived_in(site.house)
    for verb, (page, words) in LOOKS.items():
        with monkeypatch.context() as patch:
            answers = listen(patch, verb)
            assert site.visitor().get(page).status == 200
            command(site.house, *words)
        shown, printed = answers
        assert shown, verb
        assert printed == shown, verb


def test_the_page_of_an_instance_shows_what_the_command_prints_of_it(open_site):
    site = open_site()
    films = (("Set up", "https://video.test/1"), Video(title="Plays", preview_url=f"{VIDEO_HOST}/p", view_url="v"))
    site.house.crm.videos = films
    page = html.unescape(site.visitor().get("/plugins/crm").text)
    printed = json.loads(command(site.house, "plugins", "show", "crm", "--json"))
    assert printed["instances"]["crm"]["videos"] == [["Set up", "https://video.test/1"], ["Plays", "v"]]
    for told in (printed["summary"], printed["version"], "Plays", *(s["help"] for s in printed["settings"])):
        assert told in page


@pytest.mark.parametrize("verb", ACTS)
def test_button_and_command_do_the_same(open_site, new_house, monkeypatch, verb):
    """Each in a house of its own, where the same happened before."""
    page, target, form, words = ACTS[verb]
    site, beside = open_site(), lived_in(new_house())
    [parked] = causes(lived_in(site.house).app)
    answers = listen(monkeypatch, verb)
    cause = urlencode({"route": "people", "cause": parked.id})
    assert site.visitor().act(target, page.format(cause=cause), **form).status == 200
    command(beside, *words)
    done, printed = answers
    assert done is not None
    assert printed == done
