"""The pages that say where things are name only what is there, and every room of core."""

import ast
import importlib
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from synccore._daemon.run import Daemon
from synccore._workshop.scaffold import write
from synccore.testing import Fault

ROOT = Path(__file__).parent.parent
CORE = ROOT / "core/src/synccore"
PLACE = re.compile(r"`((?:core|plugins|tests|docs|benchmarks)/[^`]*)`")


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_every_place_that_is_named_is_there(page):
    named = PLACE.findall((ROOT / page).read_text())
    assert named
    gone = [place for place in named if not list(ROOT.glob(place.rstrip("/")))]
    assert gone == []


def test_every_room_of_core_is_in_the_table():
    text = (ROOT / "docs/architecture.md").read_text()
    rooms = [f"{p.name}/" for p in CORE.iterdir() if (p / "__init__.py").exists()]
    rooms += [p.name for p in CORE.glob("*.py") if not p.name.startswith("__")]
    assert [room for room in rooms if f"`core/src/synccore/{room}`" not in text] == []


@pytest.mark.parametrize("face", ["_cli", "_web"])
def test_no_face_of_the_verbs_asks_the_store_by_itself(face):
    """What terminal and dashboard show, a verb has answered."""
    files = (CORE / face).rglob("*.py")
    assert [str(p) for p in files if re.search(r"\bapp\.store\b|\blane_of\(", p.read_text())] == []


def way(page):
    """The files of the table that follows one webhook, in its order."""
    table = (ROOT / page).read_text().partition("One webhook's body")[2].partition("\n\n")[2].split("\n\n")[0]
    return PLACE.findall(table)


#: Calls back to a file that was read already, and why.
BACK = {
    ("core/src/synccore/_delivery/prepare.py", "plugins/woocommerce/src/synccore_woocommerce/source.py"): "the shop's "
    "time zone, by a function that the app hands to the mapping",
    (
        "core/src/synccore/store/_rules/settle.py",
        "core/src/synccore/store/_rules/owing.py",
    ): "what waits for the settled row may go now, by the rules by which it waits",
}


@contextmanager
def calls_between(files):
    """The calls among these files (caller, called) as they come, in threads that begin meanwhile; None: a thread
    begins there."""
    known, calls = {str(ROOT / name): name for name in files}, []

    def note(frame, event, _):
        if event == "call" and (called := known.get(frame.f_code.co_filename)) is not None:
            caller = frame.f_back
            while caller is not None and known.get(caller.f_code.co_filename, called) == called:
                caller = caller.f_back
            calls.append((known[caller.f_code.co_filename] if caller else None, called))

    threading.setprofile(note)
    yield calls
    threading.setprofile(None)


def follow(world, settle_down):
    """A webhook as the daemon's endpoint takes it in, delivered by a lane, which fails once."""
    world.hooks_to_daemon()
    with world.open() as app:
        daemon = Daemon(app)
        daemon._state = None
        daemon.web.start()
        world.shop.add_customer("new@shop.test", first_name="Neu", last_name="Kunde")
        world.shop.run_queue()
        world.google.fail_next(Fault.status(429, when=lambda asked: "create" in asked.path))

        def work():
            daemon._works.workers["shop"].follow_hints()
            settle_down(app, world.clock)

        worker = threading.Thread(target=work)
        worker.start()
        worker.join(60)
        daemon.web.stop()
    assert world.emails() == ["new@shop.test"]


def test_a_webhook_is_followed_down_the_table_and_never_up(still_world, settle_down):
    pages = {page: way(page) for page in ("README.md", "docs/architecture.md")}
    with calls_between({name for files in pages.values() for name in files}) as calls:
        follow(still_world, settle_down)
    for page, files in pages.items():
        place = {name: number for number, name in enumerate(files)}
        among = [(caller, called) for caller, called in calls if called in place and caller in place]
        up = {(caller, called) for caller, called in among if place[caller] > place[called]}
        assert up - {*BACK} == set(), f"{page}: a call goes back up"
        assert {call for call in BACK if {*call} <= {*files}} - up == set(), f"{page}: no such call goes back any more"
        reached = {called for caller, called in among if place[caller] < place[called]}
        begins = [files[0], "core/src/synccore/_delivery/lane.py"]
        assert [name for name in files if name not in reached] == begins, f"{page}: only where a thread begins"
        entered = iter(called for _, called in calls)
        assert [name for name in files if name not in entered] == [], f"{page}: entered in this order"


def imports_of(package):
    """Module -> the modules of this package that it imports, wherever in it; of a package what is in its `__init__`."""
    files = {".".join(f.relative_to(package.parent).with_suffix("").parts): f for f in package.rglob("*.py")}
    files = {name.removesuffix(".__init__"): file for name, file in files.items()}
    found = {}
    for module, file in files.items():
        inside = module.split(".") if file.stem == "__init__" else module.split(".")[:-1]
        named = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                above = inside[: len(inside) + 1 - node.level] if node.level else []
                origin = ".".join([*above, *filter(None, [node.module])])
                named |= {name if (name := f"{origin}.{alias.name}") in files else origin for alias in node.names}
        found[module] = (named & {*files}) - {module}
    return found


@pytest.mark.parametrize("package", [CORE, *ROOT.glob("plugins/*/src/*")], ids=lambda p: p.name)
def test_no_module_is_imported_by_what_it_imports(package):
    """What import-linter holds among neighbours, for a room and its own modules too."""
    TopologicalSorter(imports_of(package)).prepare()


def test_every_sabotage_finds_the_text_that_it_changes_once_and_leaves_a_file_that_can_be_read(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    sabotage = importlib.import_module("sabotage")
    missed = {}
    for one in sabotage.SABOTAGES:
        (copy := tmp_path / one.file).parent.mkdir(parents=True, exist_ok=True)
        copy.write_text((ROOT / one.file).read_text())
        if why := sabotage.broken(tmp_path, one):
            missed[one.promise] = why
    assert missed == {}


def room_table():
    """Room -> its main names, each with what it answers."""
    page = (ROOT / "docs/authors/contract.md").read_text().partition("## Rooms")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", page, re.MULTILINE)
    return {
        room: {n: re.findall(r"`(\w+)`", w) for n, w in re.findall(r"`(\w+)`(?:: ([^;]*))?", said)}
        for room, said in rows
    }


def modules_of(room):
    """A room of one module, or of several."""
    files = [room.with_suffix(".py")] if room.with_suffix(".py").exists() else sorted(room.rglob("*.py"))
    return [ast.parse(file.read_text()) for file in files]


def definitions(room):
    """Class or function -> the names of its methods, and what each calls."""
    found = {}
    for node in [node for module in modules_of(room) for node in module.body if hasattr(node, "name")]:
        methods = [m for m in ast.walk(node) if isinstance(m, ast.FunctionDef) and m is not node]
        found[node.name] = {m.name: {c.attr for c in ast.walk(m) if isinstance(c, ast.Attribute)} for m in methods}
    return found


PACKAGES = [p.parent for p in ROOT.glob("plugins/*/src/*/client.py")]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_the_face_of_a_plugin_hands_each_question_to_the_room_that_answers_it(package):
    [face] = [face for face in (package / "sink", package / "source") if modules_of(face)]
    asked = {name: calls for methods in definitions(face).values() for name, calls in methods.items()}
    for room, mains in room_table().items():
        there = definitions(package / room)
        for main, answers in mains.items() if there else ():
            assert main in there, f"{room}: no {main}"
            for name in asked.keys() & {*answers}:
                assert name in there[main], f"{room}: {main} does not answer {name}"
                assert name in asked[name], f"{face.name}: {name} is not handed on to {room}"


def test_who_only_names_the_types_of_plugins_imports_none_of_the_rooms_that_work():
    code = (
        "import sys; from synccore._plugins import load_plugins; p = load_plugins(environ={}); p.sources, p.sinks;"
        "print(*(m for m in sys.modules if m.startswith('synccore_')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {f"{p.name}.config" for p in PACKAGES} <= {*done.stdout.split()}
    working = {
        "account",
        "check",
        "read",
        "write",
        "jobs",
        "erase",
        "match",
        "webhooks",
        "listing",
        "lookups",
        "changes",
    }
    assert not {f"{p.name}.{room}" for p in PACKAGES for room in working} & {*done.stdout.split()}


@pytest.mark.parametrize("kind", ["sink", "source"])
def test_a_new_plugin_has_rooms_of_these_names(tmp_path, kind):
    write("sample", kind, tmp_path)
    package = tmp_path / "src/synccore_sample"
    table = room_table()
    assert {p.stem for p in package.glob("*.py")} <= {*table, "__init__", kind, "contract", "testing"}
    for room, mains in table.items():
        there = definitions(package / room)
        assert not there or {*mains} <= {*there}, room
