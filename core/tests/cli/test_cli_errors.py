"""What goes wrong is told in words, where it is, and what to run next; never as a traceback."""

import json
import os
import subprocess
import sys

from click.testing import CliRunner

from synccore._cli import cli
from synccore._cli._session import Session
from synccore.errors import Transient
from synccore.testing import customer

FIVE_MISTAKES = """
[synccore]
databse = "x.db"
[sources.shop]
type = "emitter"
poll = "soon"
[sinks.crm]
type = "crn"
[routes.people]
source = "shp"
entity = "customer"
sink = "crm"
dealy = "5m"
"""


def test_all_mistakes_are_listed_at_once_with_their_paths(world):
    world.path.write_text(FIVE_MISTAKES)
    told = world.run("status", code=3).stderr
    for path in ("synccore.databse", "sources.shop.poll", "sinks.crm.type", "routes.people.source"):
        assert path in told
    assert "problems in the configuration" in told


def test_check_gives_the_mistakes_in_its_own_document(world):
    world.path.write_text(FIVE_MISTAKES)
    document = world.json("check", code=3)
    assert document["ok"] is False
    assert document["instances"] == {}
    assert {f["path"] for f in document["findings"]} >= {"synccore.databse", "sources.shop.poll", "sinks.crm.type"}


def test_a_failure_is_one_document_too(world):
    world.path.write_text(FIVE_MISTAKES)
    error = world.json("status", code=3)["error"]
    assert error["kind"] == "config"
    assert len(error["problems"]) >= 4


def test_a_missing_configuration_says_what_to_run(world):
    world.path.unlink()
    assert "synccore init" in world.run("status", "-c", world.path, config=False, code=3).stderr
    assert "SYNCCORE_CONFIG" in world.run("status", code=3).stderr


def test_the_configuration_is_taken_before_and_after_the_verb(world):
    assert world.run("-c", world.path, "log", config=False).exit_code == 0
    assert world.run("log", "-c", world.path, config=False).exit_code == 0
    assert world.run("deliveries", "list", "--config", world.path, config=False).exit_code == 0


def test_wrong_names_on_the_command_line_are_usage_errors(world):
    for args in (
        ("preview", "pople", "1"),
        ("plan", "pople"),
        ("adopt", "pople"),
        ("verify", "pople"),
        ("connect", "cmr"),
        ("disconnect", "cmr"),
        ("backfill", "shp"),
        ("reconcile", "shp"),
        ("backfill", "shop", "custmer"),
        ("backfill", "shop", "--route", "pople"),
        ("lanes", "pause", "cmr"),
        ("log", "--sink", "cmr"),
        ("deliveries", "list", "--sink", "cmr"),
        ("deliveries", "show", "7"),
        ("run", "--once", "--timeout", "soon"),
    ):
        told = world.run(*args, code=2).stderr
        assert "Error:" in told, args


def test_a_usage_error_is_a_document_with_json(world):
    error = json.loads(world.run("plan", "--json", "pople", code=2).stdout)["error"]
    assert error["kind"] == "usage"
    assert "people" in error["message"]


def test_a_bug_is_named_without_a_traceback_and_shown_when_asked(world):
    def broken(*_args):
        raise ZeroDivisionError("p1@shop.test")

    world.crm.lookup = broken
    world.source.put(customer("1", email="p1@shop.test"))
    told = world.run("adopt", "people", code=1).stderr
    assert "ZeroDivisionError" in told
    assert "p1@shop.test" not in told
    session = Session({"SYNCCORE_CONFIG": str(world.path), "SYNCCORE_DEBUG": "1"}, plugins=world.plugins())
    shown = CliRunner().invoke(cli, ["adopt", "people"], obj=session).stderr
    assert "Traceback" in shown


def test_a_backfill_whose_source_is_down_says_what_to_run(world, monkeypatch):
    def poll(entity, cursor, filters):
        raise Transient("HTTP 502 from the web server")
        yield

    monkeypatch.setattr(world.source, "poll", poll)
    told = world.run("backfill", "shop", code=1).stderr
    assert "error: HTTP 502 from the web server" in told
    assert "shop failed for now: run the same command again, it goes on where it stopped" in told


def test_a_reader_that_goes_away_is_no_error():
    script = "from synccore._cli import main; import sys; sys.argv = ['synccore', '--help']; main()"
    read, write = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", script], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    os.close(read)
    _, told = process.communicate(timeout=60)
    assert told == ""
    assert process.returncode in (0, 1)
